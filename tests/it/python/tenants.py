"""A tenant of a service, by an unmodified boto3.

    tenants.py own NAME          makes a function and a table, and finds its own
    tenants.py again NAME        they are there, after a start
    tenants.py apart OTHER       finds nothing of the account OTHER
    tenants.py session           what a function's credentials are good for outside its sandbox
    tenants.py refused           the key is good for nothing
    tenants.py quota             one function and no more
    tenants.py throttled         a request a second, and twenty at once
    tenants.py administrator     the key belongs to no account
"""

import os
import sys
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

from checking import check, equal
from sdk import ROLE, client as functions, fails, make, packed, result, wait

ONCE = botocore.config.Config(retries={"max_attempts": 0})


def service(name, **more):
    return boto3.client(name, config=ONCE, **more)


def fetched(url):
    """Status and body of a plain GET."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def own(name):
    account = service("sts").get_caller_identity()["Account"]
    code = f"def handler(event, context):\n    print('said by {name}')\n    return ['{name}', context.invoked_function_arn]\n"
    made = make("hello", code)
    equal("the ARN is of the account", made["FunctionArn"], f"arn:aws:lambda:us-east-1:{account}:function:hello")
    tables = service("dynamodb")
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "id", "AttributeType": "S"}]
    tables.create_table(TableName="orders", KeySchema=key, AttributeDefinitions=attributes, BillingMode="PAY_PER_REQUEST")
    tables.put_item(TableName="orders", Item={"id": {"S": "1"}, "whose": {"S": name}})
    service("secretsmanager").create_secret(Name="password", SecretString=f"secret of {name}")
    again(name)
    url = service("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    status, body = fetched(url)
    check("what was signed for later is answered", status == 200 and account in body, (status, body))
    status, body = fetched(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"))
    check("and not when it was changed", status == 403 and "SignatureDoesNotMatch" in body, (status, body))


def again(name):
    account = service("sts").get_caller_identity()["Account"]
    equal("the function is its own", result("hello"), [name, f"arn:aws:lambda:us-east-1:{account}:function:hello"])
    names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
    equal("the list has its own alone", names, ["hello"])
    item = service("dynamodb").get_item(TableName="orders", Key={"id": {"S": "1"}})["Item"]
    equal("the row is its own", item["whose"]["S"], name)
    value = service("secretsmanager").get_secret_value(SecretId="password")["SecretString"]
    equal("the secret is its own", value, f"secret of {name}")
    logs = service("logs")

    def said():
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/hello", filterPattern="said")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return {event["message"].strip() for event in events}

    wait("the log has what it said", said)
    equal("the log has its own lines alone", said(), {f"said by {name}"})


def apart(other):
    arn = f"arn:aws:lambda:us-east-1:{other}:function:hello"
    fails("AccessDeniedException", functions.invoke, FunctionName=arn)
    fails("AccessDeniedException", functions.get_function, FunctionName=arn)
    print("ok      another account's function is not told of")


def session():
    code = "import os\n\ndef handler(event, context):\n    return {name: value for name, value in os.environ.items() if name.startswith('AWS_')}\n"
    make("shows", code)
    given = result("shows")
    inner = dict(
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given["AWS_SESSION_TOKEN"],
    )
    sts = service("sts", **inner)
    fails("InvalidClientTokenId", sts.get_caller_identity)
    status, body = fetched(sts.generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    check("what a function signed for later is answered", status == 200 and "assumed-role/shows" in body, (status, body))
    stolen = service("sts", **{**inner, "aws_session_token": given["AWS_SESSION_TOKEN"].replace("shows", "hello")})
    status, body = fetched(stolen.generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    check("and not in another's name", status == 403, (status, body))
    functions.delete_function(FunctionName="shows")


def refused():
    fails("InvalidClientTokenId", service("sts").get_caller_identity)
    fails("UnrecognizedClientException", service("dynamodb").list_tables)


def quota():
    code = "def handler(event, context):\n    return 1\n"
    made = make("first", code)
    fails("ResourceConflictException", functions.create_function, FunctionName="first", Runtime=made["Runtime"], Role=ROLE,
          Handler="app.handler", Code={"ZipFile": packed({"app.py": code})})
    more = dict(Runtime=made["Runtime"], Role=ROLE, Handler="app.handler", Code={"ZipFile": packed({"app.py": code})})
    fails("ServiceQuotaExceededException", functions.create_function, FunctionName="second", **more)
    functions.delete_function(FunctionName="first")
    functions.create_function(FunctionName="second", **more)
    functions.delete_function(FunctionName="second")
    print("ok      one function and no more")


def throttled():
    def code(call):
        try:
            call()
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        return None

    for name, call, expected in [
        ("JSON", service("dynamodb").list_tables, ("ThrottlingException", 400)),
        ("XML", service("sts").get_caller_identity, ("Throttling", 400)),
        ("REST", functions.list_functions, ("TooManyRequestsException", 429)),
    ]:
        seen = {code(call) for _ in range(20)}
        check(f"beyond the quota of requests, in {name}", expected in seen, seen)


def administrator():
    fails("AccessDeniedException", service("dynamodb").list_tables)
    fails("AccessDeniedException", functions.list_functions)
    print("ok      an administrator has none of the accounts' things")


globals()[sys.argv[1]](*sys.argv[2:])
