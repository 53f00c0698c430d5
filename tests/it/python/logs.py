"""CloudWatch Logs through boto3 and the AWS command line.

    logs.py functions         what functions said: START, the lines, END, REPORT, found by group, stream, pattern
    logs.py groups            groups, streams and events that somebody puts
    logs.py again ID          after the platform was killed: the invocation's lines are there
"""

import json
import os
import subprocess
import sys
import time

import boto3
import botocore.config
from sdk import client as functions
from sdk import fails, wait

client = boto3.client("logs", config=botocore.config.Config(retries={"max_attempts": 0}))
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


what, *rest = sys.argv[1:]
{"functions": said, "groups": groups, "again": again}[what](*rest)
