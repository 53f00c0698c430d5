"""How many calls run at once, through boto3.

    concurrency.py made      what can be set, a burst at a bound, and a bound of nothing
    concurrency.py again     what was set, after the platform was started anew for 5 calls at once
    concurrency.py nested    a function that calls another one, on a node for one call at a time
    concurrency.py kept      instances that are loaded before a call comes
    concurrency.py still     the same, after the platform was started anew
    concurrency.py memory    more functions than a node of 64 MB can have loaded

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import base64
import json
import os
import sys
import threading

import boto3
import botocore.config

from checking import Site, check, equal, until
from sdk import call, client, fails, make, packed, result

LIMIT = 50
CALLS = 1_000

SPAN = """
import time, uuid

ME = uuid.uuid4().hex

def handler(event, context):
    began = time.monotonic()
    time.sleep(0.02)
    return {"instance": ME, "began": began, "ended": time.monotonic()}
"""

OUTER = """
import boto3, json

def handler(event, context):
    if event["deep"] == 0:
        return [context.function_name]
    answer = boto3.client("lambda").invoke(FunctionName=event["next"], Payload=json.dumps(
        {"deep": event["deep"] - 1, "next": context.function_name}))
    return [context.function_name] + json.load(answer["Payload"])
"""


def made():
    make("span", SPAN)
    name = {"FunctionName": "span"}
    equal("nothing is reserved", client.get_function_concurrency(**name).get("ReservedConcurrentExecutions"), None)
    account = client.get_account_settings()
    limit = account["AccountLimit"]
    equal("the account's bound", (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]), (1_000, 1_000))
    equal("one function", account["AccountUsage"]["FunctionCount"], 1)
    check("and its code", account["AccountUsage"]["TotalCodeSize"] == client.get_function_configuration(**name)["CodeSize"], account)
    put = client.put_function_concurrency
    fails("InvalidParameterValueException", put, ReservedConcurrentExecutions=901, **name)
    fails("ResourceNotFoundException", put, FunctionName="none", ReservedConcurrentExecutions=1)
    equal("what is set is answered", put(ReservedConcurrentExecutions=LIMIT, **name)["ReservedConcurrentExecutions"], LIMIT)
    equal("and shown", client.get_function(**name)["Concurrency"], {"ReservedConcurrentExecutions": LIMIT})
    unreserved = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    equal("the rest is for the others", unreserved, 1_000 - LIMIT)
    burst()
    put(ReservedConcurrentExecutions=0, **name)
    refused = fails("TooManyRequestsException", client.invoke, **name)
    equal("which bound it was", refused["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded")
    check("and when to ask again", int(refused["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) > 0, refused)
    client.delete_function_concurrency(**name)
    check("without a bound it runs", "instance" in result("span"))
    put(ReservedConcurrentExecutions=7, **name)


def burst():
    """1,000 calls at once of a function that is not loaded, of which 50 may run: all are answered, and never more than 50 at once."""
    many = boto3.client("lambda", config=botocore.config.Config(
        retries={"max_attempts": 0}, max_pool_connections=CALLS, read_timeout=60, connect_timeout=60))
    answers, lock, ready = [], threading.Lock(), threading.Barrier(CALLS)

    def one():
        ready.wait()
        answer = many.invoke(FunctionName="span")
        with lock:
            answers.append(json.load(answer["Payload"]))

    threading.stack_size(256 << 10)
    threads = [threading.Thread(target=one) for _ in range(CALLS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("every call is answered", len(answers), CALLS)
    marks = sorted([(a["began"], 1) for a in answers] + [(a["ended"], -1) for a in answers])
    running = most = 0
    for _, step in marks:
        running += step
        most = max(most, running)
    check(f"at most {LIMIT} run at once", 1 <= most <= LIMIT, most)
    instances = {answer["instance"] for answer in answers}
    check("on as many instances", len(instances) <= LIMIT, len(instances))


def again():
    equal("what was reserved is so still", client.get_function_concurrency(FunctionName="span")["ReservedConcurrentExecutions"], 7)
    unreserved = lambda: client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    equal("more than a smaller node has", unreserved(), 0)
    put, name = client.put_function_concurrency, {"FunctionName": "span"}
    fails("InvalidParameterValueException", put, ReservedConcurrentExecutions=8, **name)
    for calls in (6, 0):
        equal("it can be given up", put(ReservedConcurrentExecutions=calls, **name)["ReservedConcurrentExecutions"], calls)
    client.delete_function_concurrency(**name)
    put(ReservedConcurrentExecutions=2, **name)
    equal("in all", unreserved(), 3)
    client.delete_function(FunctionName="span")
    equal("nothing is, when it is gone", unreserved(), 5)


def nested():
    for name in ["a", "b"]:
        make(name, OUTER, Timeout=60)
    equal("a calls b calls a", result("a", {"deep": 5, "next": "b"}), ["a", "b", "a", "b", "a", "b"])
    found = []
    threads = [threading.Thread(target=lambda: found.append(call("a", {"deep": 2, "next": "b"}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("eight at once", [answer["Payload"] for answer in found], [["a", "b", "a"]] * 8)


def loaded(version):
    """How many instances of this version of `warm` are loaded."""
    items = Site(os.environ["AWS_ENDPOINT_URL"]).get("/_aloft/instances").json()["items"]
    ids = {item["version"]: len(item["instances"]) for item in items if item["function"] == "warm"}
    revision = client.get_function_configuration(FunctionName="warm", Qualifier=version)["RevisionId"]
    return ids.get(revision.replace("-", ""), 0)


def kept():
    make("warm", SPAN)
    client.publish_version(FunctionName="warm")
    client.create_alias(FunctionName="warm", Name="live", FunctionVersion="1")
    put, get = client.put_provisioned_concurrency_config, client.get_provisioned_concurrency_config
    name = {"FunctionName": "warm"}
    three = {"ProvisionedConcurrentExecutions": 3}
    fails("InvalidParameterValueException", put, Qualifier="$LATEST", **three, **name)
    fails("ResourceNotFoundException", put, Qualifier="9", **three, **name)
    fails("InvalidParameterValueException", put, Qualifier="1", ProvisionedConcurrentExecutions=1_001, **name)
    fails("ProvisionedConcurrencyConfigNotFoundException", get, Qualifier="1", **name)
    made = put(Qualifier="live", **three, **name)
    equal("it is on its way", (made["Status"], made["RequestedProvisionedConcurrentExecutions"]), ("IN_PROGRESS", 3))
    fails("ResourceConflictException", put, Qualifier="1", **three, **name)
    reserve = client.put_function_concurrency
    for calls in (0, 2):
        fails("InvalidParameterValueException", reserve, ReservedConcurrentExecutions=calls, **name)
    make("cool", SPAN)
    client.publish_version(FunctionName="cool")
    ready = lambda: (lambda got: got["Status"] == "READY" and got)(get(Qualifier="live", **name))
    equal("all are there", until("three instances", ready)["AvailableProvisionedConcurrentExecutions"], 3)
    equal("before any call", loaded("1"), 3)
    log = base64.b64decode(call("warm", Qualifier="live", LogType="Tail")["LogResult"]).decode()
    check("a call is warm", "REPORT" in log and "Init Duration" not in log, log)
    client.update_function_code(FunctionName="warm", ZipFile=packed({"app.py": SPAN + "\n# changed"}))
    equal("the second version", client.publish_version(FunctionName="warm")["Version"], "2")
    client.update_alias(FunctionName="warm", Name="live", FunctionVersion="2")
    until("those of the new version", lambda: loaded("2") == 3)
    listed = client.list_provisioned_concurrency_configs(**name)["ProvisionedConcurrencyConfigs"]
    check("a list of one", len(listed) == 1 and listed[0]["FunctionArn"].endswith(":warm:live"), listed)
    client.update_function_code(FunctionName="warm", ZipFile=packed({"app.py": "import nothing_of_this_name"}))
    client.publish_version(FunctionName="warm")
    fails("InvalidParameterValueException", put, Qualifier="3", ProvisionedConcurrentExecutions=998, **name)
    fails("InvalidParameterValueException", put, FunctionName="cool", Qualifier="1", ProvisionedConcurrentExecutions=998)
    put(Qualifier="3", ProvisionedConcurrentExecutions=1, **name)
    failed = until("one that cannot be loaded", lambda: (lambda got: got["Status"] == "FAILED" and got)(get(Qualifier="3", **name)))
    check("and why", "nothing_of_this_name" in failed["StatusReason"], failed)


def still():
    until("they are loaded again", lambda: loaded("2") == 3)
    client.delete_provisioned_concurrency_config(FunctionName="warm", Qualifier="live")
    fails("ProvisionedConcurrencyConfigNotFoundException", client.get_provisioned_concurrency_config,
          FunctionName="warm", Qualifier="live")


def memory():
    site = Site(os.environ["AWS_ENDPOINT_URL"])
    loaded = lambda: [item for item in site.get("/_aloft/instances").json()["items"] if item["instances"]]
    names = [f"f{number}" for number in range(12)]
    for name in names:
        make(name, "def handler(event, context):\n    return context.function_name\n")
        equal(f"{name} is called", result(name), name)
        check("what is loaded fits", 1 <= len(loaded()) <= 8, loaded())
    there = {item["function"] for item in loaded()}
    check("the first ones were unloaded for the last ones", names[-1] in there and names[0] not in there, there)
    equal("and come back", [result(name) for name in names], names)


{"made": made, "again": again, "nested": nested, "kept": kept, "still": still, "memory": memory}[sys.argv[1]]()
