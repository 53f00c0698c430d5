"""The services through boto3 and the AWS command line.

    wire.py open             every operation, its results and its errors
    wire.py refused CODE     credentials that must be refused with this error code

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import decimal
import json
import os
import subprocess
import sys

import boto3
from sdk import fails

client = boto3.client("dynamodb")
sts = boto3.client("sts")


def tables():
    table = dict(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    fails("ResourceNotFoundException", client.describe_table, TableName="things")
    made = client.create_table(**table)["TableDescription"]
    assert made["TableName"] == "things", made
    client.get_waiter("table_exists").wait(TableName="things", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    fails("ResourceInUseException", client.create_table, **table)
    described = client.describe_table(TableName="things")["Table"]
    assert described["TableStatus"] == "ACTIVE", described
    assert described["KeySchema"] == table["KeySchema"], described
    region = os.environ["AWS_REGION"]
    assert described["TableArn"] == f"arn:aws:dynamodb:{region}:000000000000:table/things", described
    assert described["ItemCount"] == 0, described
    assert "things" in client.list_tables()["TableNames"]
    fails("ValidationException", client.create_table, **{**table, "TableName": "no"})
    index = {
        "IndexName": "later",
        "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    refused = fails(
        "ValidationException", client.create_table, **{**table, "TableName": "other", "GlobalSecondaryIndexes": [index]}
    )
    assert "GlobalSecondaryIndexes" in str(refused), f"what is not built is refused by name: {refused}"
    assert "other" not in client.list_tables()["TableNames"]


def key(id, at):
    return {"id": {"S": id}, "at": {"N": str(at)}}


def put_and_get():
    item = {
        **key("a", 1),
        "text": {"S": "grüße"},
        "number": {"N": "12345678901234567890123456789012345678"},
        "bytes": {"B": b"\x00\xff"},
        "yes": {"BOOL": True},
        "nothing": {"NULL": True},
        "list": {"L": [{"S": "x"}, {"N": "-0.5"}]},
        "map": {"M": {"deep": {"M": {"er": {"S": "y"}}}}},
        "words": {"SS": ["p", "q"]},
        "numbers": {"NS": ["1", "2.5"]},
    }
    client.put_item(TableName="things", Item=item)
    found = client.get_item(TableName="things", Key=key("a", 1), ConsistentRead=True)["Item"]
    for name in ("words", "numbers"):
        (kind,) = item[name]
        assert sorted(found[name][kind]) == sorted(item[name][kind]), found
    assert {k: v for k, v in found.items() if k not in ("words", "numbers")} == {
        k: v for k, v in item.items() if k not in ("words", "numbers")
    }, found
    part = client.get_item(
        TableName="things",
        Key=key("a", 1),
        ProjectionExpression="#m.deep.er, #l[1]",
        ExpressionAttributeNames={"#m": "map", "#l": "list"},
    )["Item"]
    assert part == {"map": {"M": {"deep": {"M": {"er": {"S": "y"}}}}}, "list": {"L": [{"N": "-0.5"}]}}, part
    assert "Item" not in client.get_item(TableName="things", Key=key("nobody", 1))
    counted = client.describe_table(TableName="things")["Table"]
    assert counted["ItemCount"] == 1 and 100 < counted["TableSizeBytes"] < 400, counted
    old = client.put_item(TableName="things", Item={**key("a", 1), "v": {"N": "2"}}, ReturnValues="ALL_OLD")
    assert old["Attributes"]["text"] == {"S": "grüße"}, old

    fails("ValidationException", client.put_item, TableName="things", Item={"id": {"S": "a"}})
    fails("ValidationException", client.put_item, TableName="things", Item={**key("a", 1), "at": {"S": "no number"}})
    fails("ValidationException", client.put_item, TableName="things", Item={**key("a", "1x")})
    fails("ValidationException", client.put_item, TableName="things", Item={**key("", 1)})
    fails("ResourceNotFoundException", client.put_item, TableName="nothing", Item=key("a", 1))
    fails("ValidationException", client.put_item, TableName="things", Item={**key("b", 1), "x": {"S": "y" * 410_000}})
    fails(
        "ConditionalCheckFailedException",
        client.put_item,
        TableName="things",
        Item=key("a", 1),
        ConditionExpression="attribute_not_exists(id)",
    )
    fails(
        "ValidationException",
        client.put_item,
        TableName="things",
        Item=key("a", 1),
        ConditionExpression="attribute_not_exists(id",
    )


def update():
    def change(expression, values=None, names=None, **more):
        arguments = dict(TableName="things", Key=key("u", 1), UpdateExpression=expression, ReturnValues="ALL_NEW")
        if values:
            arguments["ExpressionAttributeValues"] = values
        if names:
            arguments["ExpressionAttributeNames"] = names
        return client.update_item(**{**arguments, **more})["Attributes"]

    new = change("SET n = :n, tags = :t, #l = :l", {":n": {"N": "1"}, ":t": {"SS": ["a"]}, ":l": {"L": []}}, {"#l": "list"})
    assert new == {**key("u", 1), "n": {"N": "1"}, "tags": {"SS": ["a"]}, "list": {"L": []}}, new
    new = change("SET n = n + :d, kept = if_not_exists(kept, :d) ADD tags :t", {":d": {"N": "0.1"}, ":t": {"SS": ["b"]}})
    assert new["n"] == {"N": "1.1"} and new["kept"] == {"N": "0.1"} and sorted(new["tags"]["SS"]) == ["a", "b"], new
    new = change("SET #l = list_append(#l, :x) REMOVE kept DELETE tags :t", {":x": {"L": [{"S": "x"}]}, ":t": {"SS": ["a"]}}, {"#l": "list"})
    assert new["list"] == {"L": [{"S": "x"}]} and "kept" not in new and new["tags"] == {"SS": ["b"]}, new
    only = change("ADD n :one", {":one": {"N": "1"}}, ReturnValues="UPDATED_NEW")
    assert only == {"n": {"N": "2.1"}}, only
    fails("ConditionalCheckFailedException", change_if(":n", "5"))
    for bad in ("SET", "SET n = ", "SET n = :n", "SET id = :i", "SET n = n + :s", "SET n = :i, n = :i", "TURN n"):
        values = {":i": {"S": "x"}, ":s": {"S": "x"}} if ":i" in bad or ":s" in bad else None
        values = values and {name: value for name, value in values.items() if name in bad}
        fails("ValidationException", lambda bad=bad, values=values: change(bad, values))
    gone = client.delete_item(TableName="things", Key=key("u", 1), ReturnValues="ALL_OLD")
    assert gone["Attributes"]["n"] == {"N": "2.1"}, gone
    assert "Attributes" not in client.delete_item(TableName="things", Key=key("u", 1), ReturnValues="ALL_OLD")


def change_if(name, value):
    return lambda: client.update_item(
        TableName="things",
        Key=key("u", 1),
        UpdateExpression="SET another = :n",
        ConditionExpression=f"n = {name}",
        ExpressionAttributeValues={name: {"N": value}},
    )


def query_and_scan():
    for at in [-10, -1.5, 0, 2, 10, 100]:
        client.put_item(TableName="things", Item={**key("q", at), "even": {"BOOL": at % 2 == 0}})

    def ats(answer):
        return [decimal.Decimal(item["at"]["N"]) for item in answer["Items"]]

    def query(condition="id = :id", values=None, **more):
        values = {":id": {"S": "q"}, **(values or {})}
        return client.query(
            TableName="things", KeyConditionExpression=condition, ExpressionAttributeValues=values, **more
        )

    everything = [decimal.Decimal(text) for text in ("-10", "-1.5", "0", "2", "10", "100")]
    assert ats(query()) == everything
    assert ats(query(ScanIndexForward=False)) == everything[::-1]
    between = {":from": {"N": "-1.5"}, ":to": {"N": "10"}}
    assert ats(query("id = :id AND #at BETWEEN :from AND :to", between, ExpressionAttributeNames={"#at": "at"})) == everything[1:5]
    filtered = query("id = :id", {":yes": {"BOOL": True}}, FilterExpression="even = :yes")
    assert filtered["ScannedCount"] == 6 and filtered["Count"] == len(filtered["Items"]) < 6, filtered
    assert query(Select="COUNT")["Count"] == 6

    pages, start = [], {}
    while True:
        page = query(Limit=4, **start)
        pages.append(ats(page))
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert [at for page in pages for at in page] == everything and len(pages[0]) == 4, pages
    fails("ValidationException", query, condition="even = :id")
    fails("ValidationException", query, condition="id > :id")

    scanned = [item for page in client.get_paginator("scan").paginate(TableName="things", PaginationConfig={"PageSize": 2}) for item in page["Items"]]
    assert len(scanned) == len({(item["id"]["S"], item["at"]["N"]) for item in scanned}) == 7, scanned
    some = client.scan(
        TableName="things",
        FilterExpression="begins_with(id, :q) AND (NOT #at < :zero)",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":q": {"S": "q"}, ":zero": {"N": "0"}},
    )
    assert sorted(ats(some)) == everything[2:], some


def command_line():
    def aws(*arguments, code=0):
        done = subprocess.run([os.environ["AWS"], "dynamodb", *arguments], capture_output=True, text=True)
        assert (done.returncode == 0) == (code == 0), f"aws dynamodb {arguments}: {done}"
        return json.loads(done.stdout) if code == 0 and done.stdout else done.stderr

    assert "things" in aws("list-tables")["TableNames"]
    assert aws("scan", "--table-name", "things")["Count"] == 7
    item = aws("get-item", "--table-name", "things", "--key", json.dumps(key("q", 100)))["Item"]
    assert item["at"] == {"N": "100"}, item
    assert "ResourceNotFoundException" in aws("describe-table", "--table-name", "nothing", code=1)


def other_operations():
    refused = fails("UnknownOperationException", client.list_backups)
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400, refused


def identity():
    who = sts.get_caller_identity()
    assert (who["Account"], who["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root"), who
    aws = [os.environ["AWS"], "sts", "get-caller-identity", "--query", "Account", "--output", "text"]
    done = subprocess.run(aws, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "000000000000\n"), done
    refused = fails("InvalidAction", sts.get_session_token)
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400, refused


# What STS calls what DynamoDB calls so.
OF_STS = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
}


def main(arguments):
    if arguments[0] == "refused":
        refused = fails(arguments[1], client.list_tables)
        assert refused["ResponseMetadata"]["HTTPStatusCode"] in (400, 403), refused
        refused = fails(OF_STS[arguments[1]], sts.get_caller_identity)
        assert refused["ResponseMetadata"]["HTTPStatusCode"] == 403, refused
        return
    identity()
    tables()
    put_and_get()
    update()
    query_and_scan()
    command_line()
    other_operations()
    client.delete_table(TableName="things")
    client.get_waiter("table_not_exists").wait(TableName="things", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert "things" not in client.list_tables()["TableNames"]


main(sys.argv[1:])
