"""CloudWatch Logs through boto3 and the AWS command line.

    logs.py functions         what functions said: START, the lines, END, REPORT, found by group, stream, pattern
    logs.py groups            groups, streams and events that somebody puts
    logs.py json              functions whose log is JSON, from a level on
    logs.py text              what Python's module logging writes where the log is text
    logs.py again ID          after the platform was killed: the invocation's lines are there
"""

import base64
import json
import os
import re
import subprocess
import sys
import time

import boto3
import botocore.config
from sdk import call, fails, make, result, wait
from sdk import client as functions

client = boto3.client("logs", config=botocore.config.Config(retries={"max_attempts": 0}))
NODE = "nodejs22.x"
GROUP = "/aws/lambda/hello"


def command_line(*arguments):
    done = subprocess.run([os.environ["AWS"], "logs", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


def said():
    """What functions said, as CloudWatch has it."""
    answer = functions.invoke(FunctionName="hello", Payload=json.dumps({"n": 7}))
    invocation = answer["ResponseMetadata"]["RequestId"]

    def lines():
        try:
            found = client.filter_log_events(logGroupName=GROUP, filterPattern=f'"{invocation}"')["events"]
        except client.exceptions.ResourceNotFoundException:
            return None
        return found if any(event["message"].startswith("REPORT") for event in found) else None

    found = wait("the report of the call", lines)
    words = [event["message"].split(" ")[0] for event in found]
    assert words == ["START", "END", "REPORT"], found
    assert found[0]["message"] == f"START RequestId: {invocation} Version: $LATEST", found
    assert "Billed Duration: " in found[2]["message"] and "Memory Size: 128 MB" in found[2]["message"], found
    stream = found[0]["logStreamName"]
    assert stream.startswith(time.strftime("%Y/%m/%d/[$LATEST]", time.gmtime())), stream
    events = client.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
    messages = [event["message"] for event in events]
    assert "hello 7" in messages and "to stderr" in messages, messages
    assert messages.index("hello 7") > 0 and messages[0].startswith("START"), messages
    # The function is told where its lines are.
    assert f"in {GROUP} {stream}" in messages, messages
    times = [event["timestamp"] for event in events]
    assert times == sorted(times) and all(event["ingestionTime"] >= event["timestamp"] - 1000 for event in events), events
    fields = client.filter_log_events(logGroupName=GROUP, filterPattern='{ $.level = "WARN*" && $.n >= 7 }')["events"]
    assert [json.loads(event["message"])["n"] for event in fields] == [7], fields
    assert client.filter_log_events(logGroupName=GROUP, filterPattern="{ $.n > 7 }")["events"] == []
    described = client.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    assert [group["logGroupName"] for group in described] == [GROUP], described
    assert described[0]["retentionInDays"] == 14 and described[0]["storedBytes"] > 0, described
    streams = client.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
    assert streams[0]["logStreamName"] == stream and streams[0]["lastEventTimestamp"] == times[-1], streams
    assert "hello 7" in command_line("filter-log-events", "--log-group-name", GROUP, "--filter-pattern", "hello")
    print(invocation)


def groups():
    """Groups, streams and events that somebody puts."""
    client.create_log_group(logGroupName="app/web", tags={"team": "a"})
    fails("ResourceAlreadyExistsException", client.create_log_group, logGroupName="app/web")
    client.create_log_stream(logGroupName="app/web", logStreamName="one")
    fails("ResourceNotFoundException", client.create_log_stream, logGroupName="app/none", logStreamName="one")
    now = int(time.time() * 1000)
    events = [{"timestamp": now - 5000 + n, "message": f"line {n} é"} for n in range(2500)]
    put = client.put_log_events(logGroupName="app/web", logStreamName="one", logEvents=events)
    assert "rejectedLogEventsInfo" not in put, put
    old = [{"timestamp": now - 15 * 86_400_000, "message": "old"}]
    put = client.put_log_events(logGroupName="app/web", logStreamName="one", logEvents=old)
    assert put["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}, put
    fails("ResourceNotFoundException", client.put_log_events, logGroupName="app/web", logStreamName="two", logEvents=old)
    turned = [{"timestamp": now, "message": "b"}, {"timestamp": now - 1, "message": "a"}]
    fails("InvalidParameterException", client.put_log_events, logGroupName="app/web", logStreamName="one", logEvents=turned)

    def walk(**more):
        """All events page by page, until the token stays the same."""
        token, seen = {}, []
        while True:
            page = client.get_log_events(logGroupName="app/web", logStreamName="one", limit=700, **more, **token)
            name = "nextForwardToken" if more["startFromHead"] else "nextBackwardToken"
            part = page["events"]
            seen = seen + part if more["startFromHead"] else part + seen
            if token.get("nextToken") == page[name]:
                return [event["message"] for event in seen]
            token = {"nextToken": page[name]}

    wanted = [event["message"] for event in events]
    assert walk(startFromHead=True) == wanted
    assert walk(startFromHead=False) == wanted
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName="app/web", filterPattern='"line 1" -"line 10"', PaginationConfig={"PageSize": 100},
    )
    found = [event["message"] for page in pages for event in page["events"]]
    assert found == [text for text in wanted if "line 1" in text and "line 10" not in text], len(found)
    fails("InvalidParameterException", client.filter_log_events, logGroupName="app/web", filterPattern="{ $.a }")

    client.put_retention_policy(logGroupName="app/web", retentionInDays=3)
    assert client.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["retentionInDays"] == 3
    fails("InvalidParameterException", client.put_retention_policy, logGroupName="app/web", retentionInDays=4)
    client.delete_retention_policy(logGroupName="app/web")
    arn = client.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["logGroupArn"]
    client.tag_resource(resourceArn=arn, tags={"stage": "x"})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a", "stage": "x"}
    client.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"stage": "x"}

    assert "line 2499" in command_line("get-log-events", "--log-group-name", "app/web", "--log-stream-name", "one", "--limit", "1")
    client.delete_log_stream(logGroupName="app/web", logStreamName="one")
    assert client.describe_log_streams(logGroupName="app/web")["logStreams"] == []
    client.delete_log_group(logGroupName="app/web")
    fails("ResourceNotFoundException", client.delete_log_group, logGroupName="app/web")
    refused = fails("UnknownOperationException", client.describe_metric_filters)
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400, refused


def again(invocation):
    """What was said before the platform was killed."""
    found = client.filter_log_events(logGroupName=GROUP, filterPattern=f'"{invocation}"')["events"]
    assert [event["message"].split(" ")[0] for event in found] == ["START", "END", "REPORT"], found


LOUD = """
import logging

log = logging.getLogger("shop")

def handler(event, context):
    print("printed")
    log.debug("left out")
    log.info("sold %s", "tea", extra={"price": 3})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    if event == "raise":
        raise ValueError("too loud")
    return context.aws_request_id
"""

LOUD_JS = """
exports.handler = async (event, context) => {
  console.debug("left out");
  console.log("sold", 3);
  console.warn({ price: 3 });
  console.error("failed", new TypeError("no tea"));
  return context.awsRequestId;
};
"""


def kept(name, count):
    """The newest events of a function, as soon as there are so many: objects, and lines that are none."""
    def look():
        try:
            events = client.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except client.exceptions.ResourceNotFoundException:
            return None
        return [event["message"] for event in events] if len(events) >= count else None

    read = lambda line: json.loads(line) if line.startswith("{") else line
    return [read(line) for line in wait(f"{count} events of {name}", look)]


def in_json():
    """What LoggingConfig says of a log's form and levels, with Lambda's own words."""
    made = make("loud", LOUD, LoggingConfig={"LogFormat": "JSON"})
    levels = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/aws/lambda/loud"}
    assert made["LoggingConfig"] == levels, made
    answer = call("loud", LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    start, printed, sold, failed, report = kept("loud", 5)
    assert [json.loads(tail[0])["type"], tail[1], json.loads(tail[-1])["type"]] == ["platform.start", "printed", "platform.report"], tail
    me = answer["Payload"]
    assert (start["type"], start["record"]) == ("platform.start", {"requestId": me, "version": "$LATEST"}), start
    assert printed == "printed", printed
    told = {name: sold[name] for name in ["level", "message", "logger", "price", "requestId"]}
    assert told == {"level": "INFO", "message": "sold tea", "logger": "shop", "price": 3, "requestId": me}, sold
    assert (failed["level"], failed["errorType"], failed["message"]) == ("ERROR", "ZeroDivisionError", "failed"), failed
    assert "app.py" in failed["location"] and failed["stackTrace"], failed
    metrics = report["record"]["metrics"]
    assert (report["type"], report["record"]["status"], report["record"]["requestId"]) == ("platform.report", "success", me), report
    assert metrics["memorySizeMB"] == 128 and metrics["durationMs"] > 0 and metrics["initDurationMs"] > 0, report

    # Only what is wrong: the platform says nothing of a success, and of an error all.
    functions.update_function_configuration(FunctionName="loud", LoggingConfig={"ApplicationLogLevel": "ERROR", "SystemLogLevel": "WARN"})
    call("loud")
    call("loud", "raise")
    more = kept("loud", 12)[5:]
    # Three events of the first call would have come before.
    kinds = [line if isinstance(line, str) else line.get("type", line.get("level")) for line in more]
    wanted = ["printed", "ERROR", "printed", "ERROR", "ERROR", "platform.runtimeDone", "platform.report"]
    assert kinds == wanted, more
    assert (more[4]["errorType"], more[4]["errorMessage"], more[6]["record"]["status"]) == ("ValueError", "too loud", "error"), more

    make("script", {"app.js": LOUD_JS}, Runtime=NODE, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"})
    me = result("script")
    start, sold, price, failed, done, report = kept("script", 6)
    assert (sold["level"], sold["message"], sold["requestId"]) == ("INFO", "sold 3", me), sold
    assert (price["level"], price["message"]) == ("WARN", {"price": 3}), price
    assert (failed["level"], failed["errorType"], failed["errorMessage"]) == ("ERROR", "TypeError", "no tea"), failed
    assert (done["type"], report["type"]) == ("platform.runtimeDone", "platform.report"), done


LINES = """
import logging

log = logging.getLogger("shop")
log.warning("loaded")

def handler(event, context):
    log.info("left out")
    logging.getLogger().setLevel("INFO")
    log.info("sold %s", "tea")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    return context.aws_request_id
"""

# Imports it when it is called, by the way of another module, and asks for the place that it was loaded from.
LATE = """
def handler(event, context):
    import sys
    assert "logging" not in sys.modules, "it was imported for everybody"
    import concurrent.futures, inspect, logging
    assert "class Logger" in inspect.getsource(logging) and type(logging.__spec__.loader).__module__ != "__main__"
    logging.warning("late")
    return context.aws_request_id
"""

OWN = """
import logging
logging.basicConfig(level="INFO", format="own %(levelname)s %(message)s")

def handler(event, context):
    logging.info("said")
    logging.basicConfig(level="ERROR")
    logging.info("still said")
    logging.basicConfig(level="ERROR", force=True)
    logging.warning("left out")
    return context.aws_request_id
"""


def in_text():
    """Python's own logging, as Lambda's runtime sets it up, and as a function may for itself."""
    def said(name, code):
        make(name, code)
        me = result(name)
        wait(f"the report of {name}", lambda: kept(name, 3)[-1].startswith("REPORT"))
        return me, [line for line in kept(name, 3) if not line.startswith(("START", "END", "REPORT"))]

    stamp = r"\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,3}Z\t"
    me, (loaded, sold, failed, *trace) = said("lines", LINES)
    assert re.fullmatch(r"\[WARNING\]" + stamp + r"\tloaded", loaded), loaded
    assert re.fullmatch(r"\[INFO\]" + stamp + me + r"\tsold tea", sold), sold
    assert re.match(r"\[ERROR\]" + stamp + me + r"\tfailed", failed), failed
    assert "ZeroDivisionError" in "\n".join([failed, *trace]), trace
    me, (late,) = said("late", LATE)
    assert re.fullmatch(r"\[WARNING\]" + stamp + me + r"\tlate", late), late
    _, lines = said("own", OWN)
    assert lines == ["own INFO said", "own INFO still said"], lines


what, *rest = sys.argv[1:]
{"functions": said, "groups": groups, "json": in_json, "text": in_text, "again": again}[what](*rest)
