"""Asynchronous calls through boto3: accepted, tried again, told to destinations, given up.

    later.py calls           every operation and what becomes of calls; the platform runs with --retry-base 100ms
    later.py accept N        accepts N calls of a function that writes down each; prints their ids
    later.py done IDS        waits until each of these calls is written down

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import json
import sys

import boto3
from sdk import client, fails, make, wait

table = boto3.client("dynamodb")

# Writes down each call, and does what its event says.
CODE = """
import boto3, json, os, time
table = boto3.client("dynamodb")

def handler(event, context):
    key = {"id": {"S": event.get("as") or context.aws_request_id}}
    counted = table.update_item(
        TableName="seen", Key=key, UpdateExpression="ADD calls :one SET event = :event, version = :version",
        ExpressionAttributeValues={
            ":one": {"N": "1"}, ":event": {"S": json.dumps(event)}, ":version": {"S": context.function_version},
        },
        ReturnValues="ALL_NEW",
    )["Attributes"]
    if int(counted["calls"]["N"]) <= event.get("failures", 0):
        raise ValueError("not yet")
    if "sleep" in event:
        time.sleep(event["sleep"])
    return {"answer": event}
"""
# Writes down what it is told.
TOLD = """
import boto3, json
table = boto3.client("dynamodb")

def handler(event, context):
    key = event["requestContext"]["requestId"]
    table.put_item(TableName="seen", Item={"id": {"S": "told " + key}, "record": {"S": json.dumps(event)}})
"""

# Writes down the events that it gets as dead letters.
KEPT = """
import boto3, json
table = boto3.client("dynamodb")

def handler(event, context):
    table.put_item(TableName="seen", Item={"id": {"S": "kept " + event["as"]}, "event": {"S": json.dumps(event)}})
"""


def accept(name, event, **more):
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more)
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b""), answer
    return answer["ResponseMetadata"]["RequestId"]


def seen(key):
    return table.get_item(TableName="seen", Key={"id": {"S": key}}, ConsistentRead=True).get("Item")


def prepare():
    table.create_table(
        TableName="seen", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    make("worker", CODE, Timeout=30, MemorySize=256)
    # Warm, so that what is measured in attempts is not a load.
    client.invoke(FunctionName="worker", Payload="{}")


def told(id):
    record = wait(f"{id} is told", lambda: seen("told " + id))
    return json.loads(record["record"]["S"])


def calls():
    prepare()
    make("teller", TOLD)
    arn = client.get_function_configuration(FunctionName="teller")["FunctionArn"]
    fails("ResourceNotFoundException", client.get_function_event_invoke_config, FunctionName="worker")
    fails(
        "ResourceNotFoundException", client.update_function_event_invoke_config, FunctionName="worker", MaximumRetryAttempts=1
    )
    refused = fails(
        "InvalidParameterValueException", client.put_function_event_invoke_config, FunctionName="worker",
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}},
    )
    assert '"sqs"' in refused["Error"]["Message"], refused
    fails(
        "InvalidParameterValueException", client.put_function_event_invoke_config, FunctionName="worker",
        DestinationConfig={"OnFailure": {"Destination": arn + "x"}},
    )
    fails("ValidationException", client.put_function_event_invoke_config, FunctionName="worker", MaximumRetryAttempts=3)

    once = accept("worker", {"n": 1})
    item = wait("it is called", lambda: seen(once))
    assert json.loads(item["event"]["S"]) == {"n": 1} and item["version"]["S"] == "$LATEST", item
    twice = accept("worker", {"failures": 1})
    wait("it is called again under the same id", lambda: (seen(twice) or {}).get("calls") == {"N": "2"})
    assert client.invoke_async(FunctionName="worker", InvokeArgs=b'{"as": "older"}')["Status"] == 202
    wait("the older form does the same", lambda: seen("older"))

    put = client.put_function_event_invoke_config(
        FunctionName="worker", MaximumRetryAttempts=1, MaximumEventAgeInSeconds=120,
        DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}},
    )
    assert put["FunctionArn"].endswith(":function:worker:$LATEST") and put["MaximumRetryAttempts"] == 1, put
    good = accept("worker", {"n": 2})
    record = told(good)
    assert record["requestContext"]["condition"] == "Success", record
    assert record["requestContext"]["approximateInvokeCount"] == 1, record
    assert record["requestContext"]["functionArn"].endswith(":function:worker:$LATEST"), record
    assert (record["requestPayload"], record["responsePayload"]) == ({"n": 2}, {"answer": {"n": 2}}), record
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}, record
    bad = accept("worker", {"failures": 9})
    record = told(bad)
    assert record["requestContext"]["condition"] == "RetriesExhausted", record
    assert record["requestContext"]["approximateInvokeCount"] == 2, record
    assert record["responseContext"]["functionError"] == "Unhandled", record
    assert record["responsePayload"]["errorType"] == "ValueError", record
    assert seen(bad)["calls"]["N"] == "2", seen(bad)

    updated = client.update_function_event_invoke_config(FunctionName="worker", MaximumRetryAttempts=0)
    assert updated["MaximumEventAgeInSeconds"] == 120, updated
    assert updated["DestinationConfig"]["OnSuccess"] == {"Destination": arn}, updated
    keeper = make("keeper", KEPT)["FunctionArn"]
    letters = lambda target: client.update_function_configuration(FunctionName="worker", DeadLetterConfig={"TargetArn": target})
    for target in ("arn:aws:sqs:us-east-1:000000000000:q", keeper + "x", keeper.replace("keeper", "worker")):
        fails("InvalidParameterValueException", letters, target=target)
    assert letters(keeper)["DeadLetterConfig"] == {"TargetArn": keeper}
    both = accept("worker", {"failures": 9, "as": "both"})
    assert told(both)["requestPayload"] == {"failures": 9, "as": "both"}
    kept = wait("the dead letter is there, too", lambda: seen("kept both"))
    assert json.loads(kept["event"]["S"]) == {"failures": 9, "as": "both"}, kept
    assert "DeadLetterConfig" not in letters("")
    listed = client.list_function_event_invoke_configs(FunctionName="worker")["FunctionEventInvokeConfigs"]
    assert [config["MaximumRetryAttempts"] for config in listed] == [0], listed
    client.delete_function_event_invoke_config(FunctionName="worker")
    fails("ResourceNotFoundException", client.delete_function_event_invoke_config, FunctionName="worker")

    client.publish_version(FunctionName="worker")
    client.create_alias(FunctionName="worker", Name="live", FunctionVersion="1")
    aliased = accept("worker", {}, Qualifier="live")
    assert wait("it is called", lambda: seen(aliased))["version"]["S"] == "1"
    fails("ResourceNotFoundException", client.invoke, FunctionName="nobody", InvocationType="Event")
    fails("ResourceNotFoundException", client.invoke, FunctionName="worker", InvocationType="Event", Qualifier="9")
    fails("InvalidRequestContentException", client.invoke, FunctionName="worker", InvocationType="Event", Payload=b"{")
    large = json.dumps("x" * (1 << 20))
    fails("RequestTooLargeException", client.invoke, FunctionName="worker", InvocationType="Event", Payload=large)
    # Nobody is told of this one: it becomes a dead letter, which the caller of this script looks at.
    print(accept("worker", {"failures": 9, "as": "dead"}))


def main(arguments):
    if arguments[0] == "calls":
        calls()
    elif arguments[0] == "accept":
        prepare()
        print(json.dumps([accept("worker", {"n": number, "sleep": 0.05}) for number in range(int(arguments[1]))]))
    else:
        for id in json.loads(arguments[1]):
            wait(f"{id} was called", lambda: seen(id))


main(sys.argv[1:])
