"""Functions' own addresses and answers that are streamed, through boto3 and plain HTTP.

The endpoint, region and keys come from the environment, as the platform's announcement says. A Node.js 22 is on the platform's path.
"""

import http.client
import json
import os
import urllib.parse

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from checking import Site, check, equal
from sdk import client, fails, make

ARN = "arn:aws:lambda:%s:000000000000:function:" % os.environ["AWS_REGION"]
SITE = Site(os.environ["AWS_ENDPOINT_URL"])

ECHO = """
import json

def handler(event, context):
    if event["rawPath"] == "/fail":
        raise ValueError("no")
    if event["rawPath"] == "/cors":
        return {"statusCode": 200, "headers": {"access-control-allow-origin": "https://mine.example"}, "body": "x"}
    return {
        "statusCode": 201, "headers": {"x-seen": "yes"}, "cookies": ["a=b", "c=d"],
        "body": json.dumps({"event": event, "version": context.function_version}),
    }
"""

# What it says second it says only when the table has the item "go": whoever has not seen the first piece by then waits for ever.
STREAM = """
const ask = (operation, input) => fetch(process.env.AWS_ENDPOINT_URL, {
  method: "POST", headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": `DynamoDB_20120810.${operation}` },
  body: JSON.stringify(input),
}).then((answer) => answer.json());

const go = async (id) => {
  while (!(await ask("GetItem", { TableName: "signals", Key: { id: { S: id } } })).Item) await new Promise((r) => setTimeout(r, 20));
};

exports.plain = awslambda.streamifyResponse(async (event, out, context) => {
  console.log("streams");
  out.setContentType("text/x-pieces");
  out.write("first\\n");
  if (event.wait) await go(event.wait);
  if (event.fail) throw new RangeError("in the middle");
  if (event.exit) process.exit(3);
  if (event.forever) await new Promise((r) => setTimeout(r, 60000));
  out.write("second\\n");
  out.end();
});

exports.http = awslambda.streamifyResponse(async (event, out, context) => {
  const { wait, fail } = event.queryStringParameters ?? {};
  const answer = awslambda.HttpResponseStream.from(out, {
    statusCode: 202, headers: { "x-seen": event.rawPath, "content-type": "text/plain" }, cookies: ["a=b", "c=d"],
  });
  answer.write("first\\n");
  if (wait) await go(wait);
  if (fail) throw new RangeError("in the middle");
  answer.write("second\\n");
  answer.end();
});
"""


def path(url):
    parts = urllib.parse.urlsplit(url)
    check("an address is one of this port, with a slash at its end", parts.netloc and parts.path.startswith("/_url/"), url)
    return parts.path


def address(name, auth="NONE", **more):
    return client.create_function_url_config(FunctionName=name, AuthType=auth, **more)


def life():
    make("echo", ECHO)
    made = address("echo")
    equal("what is made", {key: made[key] for key in ["FunctionArn", "AuthType", "InvokeMode"]},
          {"FunctionArn": ARN + "echo", "AuthType": "NONE", "InvokeMode": "BUFFERED"})
    fails("ResourceConflictException", address, name="echo")
    fails("ValidationException", address, name="echo", auth="NOBODY")
    fails("ResourceNotFoundException", address, name="none")
    for wrong in [{"AllowMethods": ["FETCH"]}, {"MaxAge": 86_401}, {"AllowOrigins": ["a b"]}]:
        fails("ValidationException", address, name="echo", Cors=wrong)
    client.publish_version(FunctionName="echo")
    client.create_alias(FunctionName="echo", Name="live", FunctionVersion="1")
    fails("ValidationException", address, name="echo", Qualifier="1")
    alias = address("echo", Qualifier="live", Cors={"AllowOrigins": ["*"], "MaxAge": 5})
    equal("an alias has one of its own", alias["FunctionArn"], ARN + "echo:live")
    equal("CORS is kept", alias["Cors"], {"AllowCredentials": False, "AllowOrigins": ["*"], "MaxAge": 5})
    listed = client.list_function_url_configs(FunctionName="echo", MaxItems=1)
    equal("the first of two", len(listed["FunctionUrlConfigs"]), 1)
    rest = client.list_function_url_configs(FunctionName="echo", Marker=listed["NextMarker"])
    both = {url["FunctionUrl"] for url in listed["FunctionUrlConfigs"] + rest["FunctionUrlConfigs"]}
    equal("both", both, {made["FunctionUrl"], alias["FunctionUrl"]})
    changed = client.update_function_url_config(FunctionName="echo", Qualifier="live", Cors={})
    check("an empty CORS takes it away", "Cors" not in changed, changed)

    at, live = path(made["FunctionUrl"]), path(alias["FunctionUrl"])
    answer = SITE.ask("POST", at + "a/b%20c?x=1&x=2", "text", {"Content-Type": "text/plain", "Cookie": "k=v"})
    event = answer.json()["event"] if answer.headers.get("content-type") == "application/json" else json.loads(answer.body)["event"]
    equal("status and headers", (answer.status, answer.headers["x-seen"]), (201, "yes"))
    equal("format 2.0", (event["version"], event["routeKey"], event["requestContext"]["stage"]), ("2.0", "$default", "$default"))
    equal("the path below the address", (event["rawPath"], event["rawQueryString"]), ("/a/b%20c", "x=1&x=2"))
    equal("body and cookies", (event["body"], event["cookies"], event["isBase64Encoded"]), ("text", ["k=v"], False))
    check("nobody has signed", "authorizer" not in event["requestContext"], event)
    equal("the id of the address", event["requestContext"]["apiId"], at.strip("/").split("/")[1])
    equal("the call's id", answer.headers["x-amzn-requestid"], event["requestContext"]["requestId"])
    equal("without a slash", json.loads(SITE.get(at.rstrip("/")).body)["event"]["rawPath"], "/")
    equal("an alias runs its version", json.loads(SITE.get(live).body)["version"], "1")
    equal("a function that fails", SITE.get(at + "fail").status, 502)
    client.update_alias(FunctionName="echo", Name="live", FunctionVersion="$LATEST")
    equal("an alias that was moved", json.loads(SITE.get(live).body)["version"], "$LATEST")

    client.delete_function_url_config(FunctionName="echo", Qualifier="live")
    equal("an address that was taken away", SITE.get(live).status, 404)
    fails("ResourceNotFoundException", client.get_function_url_config, FunctionName="echo", Qualifier="live")
    fails("ResourceNotFoundException", client.delete_function_url_config, FunctionName="echo", Qualifier="live")
    again = path(address("echo", Qualifier="live")["FunctionUrl"])
    check("a new one is another", again != live)
    client.delete_alias(FunctionName="echo", Name="live")
    equal("an alias takes its address with it", SITE.get(again).status, 404)
    equal("no address", SITE.get("/_url/nonsense/").status, 404)


def signed(method, url, body=b""):
    session = boto3.session.Session()
    request = AWSRequest(method, url, data=body, headers={"content-type": "text/plain"})
    SigV4Auth(session.get_credentials(), "lambda", os.environ["AWS_REGION"]).add_auth(request)
    return dict(request.headers.items())


def who_may():
    url = client.update_function_url_config(FunctionName="echo", AuthType="AWS_IAM")["FunctionUrl"]
    at = path(url)
    refused = SITE.get(at)
    equal("without a signature", (refused.status, refused.json()), (403, {"Message": "Forbidden"}))
    headers = signed("POST", url + "x", body=b"text")
    answer = SITE.ask("POST", at + "x", "text", headers)
    equal("with one", answer.status, 201)
    signer = json.loads(answer.body)["event"]["requestContext"]["authorizer"]["iam"]
    equal("the function is told who", (signer["accountId"], signer["accessKey"]), ("000000000000", os.environ["AWS_ACCESS_KEY_ID"]))
    page = dict(headers, Origin="https://evil.example")
    equal("a page of the internet may not sign", SITE.ask("POST", at + "x", "text", page).status, 403)
    other = dict(headers, Authorization=headers["Authorization"].replace("/lambda/", "/dynamodb/"))
    equal("a signature for another service", SITE.ask("POST", at + "x", "text", other).status, 403)

    cors = {"AllowOrigins": ["https://one.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-one"], "ExposeHeaders": ["x-seen"]}
    client.update_function_url_config(FunctionName="echo", AuthType="NONE", Cors=cors)
    one = {"Origin": "https://one.example", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-one,x-two"}
    answer = SITE.ask("OPTIONS", at, headers=one)
    told = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
    equal("a browser's question is answered", (answer.status, told), (200, {
        "access-control-allow-origin": "https://one.example",
        "access-control-allow-methods": "GET",
        "access-control-allow-headers": "x-one",
    }))
    answer = SITE.ask("OPTIONS", at, headers=dict(one, Origin="https://two.example"))
    check("another page is told nothing", not any(name.startswith("access-control") for name in answer.headers), answer)
    answer = SITE.ask("GET", at + "cors", headers={"Origin": "https://one.example"})
    equal("what is configured stands in the function's place", answer.headers["access-control-allow-origin"], "https://one.example")
    equal("and what may be seen", answer.headers["access-control-expose-headers"], "x-seen")
    client.update_function_url_config(FunctionName="echo", Cors={})
    answer = SITE.ask("GET", at + "cors", headers={"Origin": "https://one.example"})
    equal("without it the function answers", answer.headers["access-control-allow-origin"], "https://mine.example")


def opened(at):
    connection = SITE.connect()
    connection.request("GET", at)
    return connection.getresponse()


def streams():
    tables = boto3.client("dynamodb")
    tables.create_table(TableName="signals", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
                        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    signal = lambda name: tables.put_item(TableName="signals", Item={"id": {"S": name}})
    for name in ["plain", "http"]:
        make(name, {"index.js": STREAM}, Runtime="nodejs22.x", Handler="index." + name, MemorySize=256, Timeout=20)

    at = path(address("http", InvokeMode="RESPONSE_STREAM")["FunctionUrl"])
    answer = opened(at + "below?wait=one")
    equal("the head comes first", (answer.status, answer.headers["x-seen"], answer.headers.get_all("set-cookie")),
          (202, "/below", ["a=b", "c=d"]))
    equal("then the first piece, while the function still works", answer.readline(), b"first\n")
    signal("one")
    equal("then the rest", answer.read(), b"second\n")
    answer = opened(at + "?fail=1")
    equal("one that fails on its way", answer.readline(), b"first\n")
    try:
        answer.read()
        check("is broken off", False)
    except http.client.IncompleteRead:
        check("is broken off", True)
    answer = opened(at + "?wait=two")
    answer.readline()
    answer.close()
    signal("two")
    equal("and the function works again after a client went away", opened(at).read(), b"first\nsecond\n")
    client.update_function_url_config(FunctionName="http", InvokeMode="BUFFERED")
    answer = SITE.get(at + "whole")
    equal("as a whole", (answer.status, answer.headers["x-seen"], answer.body), (202, "/whole", b"first\nsecond\n"))
    equal("one that fails as a whole", SITE.get(at + "?fail=1").status, 502)

    make("quick", "def handler(event, context):\n    return {'statusCode': 203, 'body': 'whole'}\n")
    quick = path(address("quick", InvokeMode="RESPONSE_STREAM")["FunctionUrl"])
    answer = SITE.get(quick)
    equal("a function that does not stream", (answer.status, answer.body), (203, b"whole"))


def invoke(name, event, **more):
    return client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **more)


def by_events():
    tables = boto3.client("dynamodb")
    answer = invoke("plain", {"wait": "three"}, LogType="Tail")
    equal("the version is told at once", (answer["StatusCode"], answer["ExecutedVersion"]), (200, "$LATEST"))
    events = iter(answer["EventStream"])
    equal("the first event, while the function still works", next(events), {"PayloadChunk": {"Payload": b"first\n"}})
    tables.put_item(TableName="signals", Item={"id": {"S": "three"}})
    rest = list(events)
    equal("the second", rest[0], {"PayloadChunk": {"Payload": b"second\n"}})
    end = rest[1]["InvokeComplete"]
    check("the end, with the log", len(rest) == 2 and "ErrorCode" not in end and end["LogResult"], rest)

    for event, code, said in [
        ({"fail": True}, "RangeError", "in the middle"),
        ({"exit": True}, "Runtime.ExitError", "exit status 3"),
    ]:
        *pieces, end = list(invoke("plain", event)["EventStream"])
        equal("pieces before it went wrong", pieces, [{"PayloadChunk": {"Payload": b"first\n"}}])
        end = end["InvokeComplete"]
        check(f"{code} is told at the end", end["ErrorCode"] == code and said in end["ErrorDetails"], end)
    client.update_function_configuration(FunctionName="plain", Timeout=1)
    *pieces, end = list(invoke("plain", {"forever": True})["EventStream"])
    end = end["InvokeComplete"]
    check("one that takes too long is ended", len(pieces) == 1 and "timed out" in end["ErrorDetails"], end)
    *pieces, end = list(invoke("quick", {})["EventStream"])
    whole = b"".join(piece["PayloadChunk"]["Payload"] for piece in pieces)
    equal("one that does not stream", (json.loads(whole), end), ({"statusCode": 203, "body": "whole"}, {"InvokeComplete": {}}))
    equal("a dry run", invoke("plain", {}, InvocationType="DryRun")["StatusCode"], 204)
    fails("ResourceNotFoundException", invoke, name="none", event={})
    fails("ValidationException", invoke, name="plain", event={}, InvocationType="Event")


life()
who_may()
streams()
by_events()
