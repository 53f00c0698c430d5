"""Calls that there is something to explain of; prints their ids as JSON.

    explain.py        the platform runs with --retry-base 100ms
"""

import json

import boto3
from sdk import client, make, result, wait

OUTER = """
import boto3, json, os

def handler(event, context):
    print("traced", os.environ["_X_AMZN_TRACE_ID"])
    answer = boto3.client("lambda").invoke(FunctionName="inner", Payload=json.dumps("hello"))
    return {"outer": context.aws_request_id, "inner": json.loads(answer["Payload"].read())}
"""
INNER = """
import os

def handler(event, context):
    print("traced", os.environ["_X_AMZN_TRACE_ID"])
    print("inner says", event)
    return context.aws_request_id
"""
# A failure, then success: each attempt is another call of the same id.
FLAKY = """
tried = set()

def handler(event, context):
    if context.aws_request_id not in tried:
        tried.add(context.aws_request_id)
        raise ValueError("not yet")
    print("at last")
"""

LOST = """
def handler(event, context):
    raise ValueError("never")
"""


def main():
    make("outer", OUTER, MemorySize=256, Timeout=60)
    make("inner", INNER)
    make("flaky", FLAKY)
    letters = client.get_function_configuration(FunctionName="inner")["FunctionArn"]
    make("lost", LOST, DeadLetterConfig={"TargetArn": letters})
    client.put_function_event_invoke_config(FunctionName="lost", MaximumRetryAttempts=0)
    answer = client.invoke(FunctionName="lost", InvocationType="Event", Payload='"a lost one"')
    lost = answer["ResponseMetadata"]["RequestId"]
    first = result("outer")
    second = result("outer")
    answer = client.invoke(FunctionName="flaky", InvocationType="Event", Payload="{}")
    flaky = answer["ResponseMetadata"]["RequestId"]
    logs = boto3.client("logs")

    def has_said(name, words):
        group = f"/aws/lambda/{name}"
        groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        return groups and logs.filter_log_events(logGroupName=group, filterPattern=f'"{words}"')["events"]

    wait("the second attempt", lambda: has_said("flaky", "at last"))
    wait("the dead letter", lambda: has_said("inner", "inner says a lost one"))
    print(json.dumps({"first": first, "second": second, "flaky": flaky, "lost": lost}))


main()
