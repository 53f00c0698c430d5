"""Lambda through boto3 and the AWS command line: functions, versions, aliases, tags and calls, with their errors.

    functions.py made        every operation
    functions.py project     functions of a project, which are called but not changed
    functions.py again       the same, after the platform was started anew

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

from sdk import PYTHON, ROLE, call, client, fails, make, packed, result

ARN = "arn:aws:lambda:%s:000000000000:function:" % os.environ["AWS_REGION"]


def app(code):
    """A zip of a program in one file."""
    return packed({"app.py": code})


ECHO = """
import os
calls = 0

def handler(event, context):
    global calls
    calls += 1
    print("called with", event)
    return {
        "event": event, "calls": calls, "version": context.function_version, "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb, "colour": os.environ.get("COLOUR"), "id": context.aws_request_id,
    }
"""


def life():
    code = app(ECHO)
    made = make("echo", ECHO, Environment={"Variables": {"COLOUR": "blue"}}, MemorySize=256, Tags={"team": "a"})
    assert made["FunctionArn"] == ARN + "echo", made
    assert made["State"] == "Active" and made["Version"] == "$LATEST", made
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode(), made
    assert made["CodeSize"] == len(code), made
    fails("ResourceConflictException", make, name="echo", code=ECHO)

    first = result("echo", {"n": 1})
    assert first["event"] == {"n": 1} and first["version"] == "$LATEST", first
    assert (first["memory"], first["colour"], first["arn"]) == ("256", "blue", ARN + "echo"), first
    answer = client.invoke(FunctionName=ARN + "echo")
    assert answer["ResponseMetadata"]["RequestId"] == json.loads(answer["Payload"].read())["id"], answer
    assert answer["ExecutedVersion"] == "$LATEST", answer

    # What changes is in the next call.
    client.update_function_configuration(FunctionName="echo", Environment={"Variables": {"COLOUR": "red"}})
    client.get_waiter("function_updated_v2").wait(FunctionName="echo")
    assert result("echo")["colour"] == "red"
    updated = client.update_function_code(FunctionName="echo", ZipFile=app("handler = lambda e, c: 'new'"))
    assert updated["CodeSha256"] != made["CodeSha256"], updated
    assert result("echo") == "new"
    fails(
        "PreconditionFailedException",
        client.update_function_configuration,
        FunctionName="echo",
        Timeout=5,
        RevisionId=made["RevisionId"],
    )
    got = client.get_function(FunctionName="echo")
    assert got["Configuration"]["Timeout"] == 20 and got["Tags"] == {"team": "a"}, got
    location = got["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == app("handler = lambda e, c: 'new'")
    for wrong in (location[:-1] + ("0" if location[-1] != "0" else "1"), location.replace("Expires=1", "Expires=2")):
        try:
            urllib.request.urlopen(wrong)
            raise AssertionError(f"{wrong} is let through")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error
    assert client.get_function_configuration(FunctionName="echo")["Environment"]["Variables"] == {"COLOUR": "red"}

    client.tag_resource(Resource=ARN + "echo", Tags={"stage": "x", "team": "b"})
    client.untag_resource(Resource=ARN + "echo", TagKeys=["stage"])
    assert client.list_tags(Resource=ARN + "echo")["Tags"] == {"team": "b"}
    client.delete_function(FunctionName="echo")
    fails("ResourceNotFoundException", client.get_function, FunctionName="echo")
    fails("ResourceNotFoundException", client.invoke, FunctionName="echo")
    fails("ResourceNotFoundException", client.delete_function, FunctionName="echo")
    # Made anew, it is another function.
    make("echo", "handler = lambda e, c: 'again'")
    assert result("echo") == "again"
    client.delete_function(FunctionName="echo")


def versions():
    make("versioned", "handler = lambda e, c: [1, c.function_version, c.invoked_function_arn]")
    first = client.publish_version(FunctionName="versioned", Description="the first")
    assert (first["Version"], first["Description"]) == ("1", "the first"), first
    assert client.publish_version(FunctionName="versioned")["Version"] == "1", "unchanged, it is the same"
    code = app("handler = lambda e, c: [2, c.function_version, c.invoked_function_arn]")
    second = client.update_function_code(FunctionName="versioned", ZipFile=code, Publish=True)
    assert second["Version"] == "2", second
    client.update_function_code(FunctionName="versioned", ZipFile=app("handler = lambda e, c: 3"))
    assert result("versioned") == 3
    for number in (1, 2):
        expected = [number, str(number), f"{ARN}versioned:{number}"]
        assert result("versioned", Qualifier=str(number)) == expected
        assert result(f"versioned:{number}") == expected
    listed = client.list_versions_by_function(FunctionName="versioned")["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"], listed
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName="versioned", PaginationConfig={"PageSize": 1}
    )
    assert [version["Version"] for page in pages for version in page["Versions"]] == ["$LATEST", "1", "2"]

    pages = client.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", MasterRegion="ALL", PaginationConfig={"PageSize": 2}
    )
    listed = [function["FunctionArn"] for page in pages for function in page["Functions"]]
    assert listed == [f"{ARN}versioned:{version}" for version in ("$LATEST", "1", "2")], listed

    alias = client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == ARN + "versioned:live", alias
    assert result("versioned", Qualifier="live") == [1, "1", ARN + "versioned:live"]
    assert call("versioned:live")["ExecutedVersion"] == "1"
    client.update_alias(FunctionName="versioned", Name="live", FunctionVersion="2")
    assert result("versioned:live")[0] == 2, "the next call goes to where it points"
    routing = {"AdditionalVersionWeights": {"1": 0.5}}
    split = client.update_alias(FunctionName="versioned", Name="live", RoutingConfig=routing)
    assert split["RoutingConfig"] == routing, split
    seen = {result("versioned:live")[0] for _ in range(64)}
    assert seen == {1, 2}, f"64 calls that are split evenly all went to {seen}"
    client.update_alias(FunctionName="versioned", Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    client.create_alias(FunctionName="versioned", Name="other", FunctionVersion="$LATEST")
    names = lambda **more: [a["Name"] for a in client.list_aliases(FunctionName="versioned", **more)["Aliases"]]
    assert names() == ["live", "other"] and names(FunctionVersion="2") == ["live"]

    fails("ResourceConflictException", client.delete_function, FunctionName="versioned", Qualifier="2")
    fails("ResourceConflictException", client.create_alias, FunctionName="versioned", Name="live", FunctionVersion="1")
    fails("ResourceNotFoundException", client.create_alias, FunctionName="versioned", Name="x", FunctionVersion="9")
    fails("ResourceNotFoundException", client.invoke, FunctionName="versioned", Qualifier="9")
    fails("ResourceNotFoundException", client.invoke, FunctionName="versioned", Qualifier="nobody")
    fails("ResourceNotFoundException", client.get_alias, FunctionName="versioned", Name="nobody")
    assert client.get_function_code_signing_config(FunctionName="versioned")["CodeSigningConfigArn"] == ""
    # What is published never changes.
    for change in (client.update_function_configuration, client.publish_version):
        fails("InvalidParameterValueException", change, FunctionName="versioned:live")
    fails("InvalidParameterValueException", client.update_function_code, FunctionName="versioned:2", ZipFile=code)
    fails("InvalidParameterValueException", client.update_function_configuration, FunctionName="versioned", Handler="")
    client.delete_function(FunctionName="versioned", Qualifier="1")
    fails("ResourceNotFoundException", client.invoke, FunctionName="versioned", Qualifier="1")
    client.delete_alias(FunctionName="versioned", Name="live")
    fails("ResourceNotFoundException", client.invoke, FunctionName="versioned:live")
    client.delete_function(FunctionName="versioned")


def permissions():
    make("shared", "handler = lambda e, c: 1")
    fails("ResourceNotFoundException", client.get_policy, FunctionName="shared")
    arguments = dict(FunctionName="shared", StatementId="events", Action="lambda:InvokeFunction")
    source = "arn:aws:events:us-east-1:000000000000:rule/x"
    added = client.add_permission(**arguments, Principal="events.amazonaws.com", SourceArn=source)
    statement = json.loads(added["Statement"])
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}, statement
    assert statement["Resource"] == ARN + "shared", statement
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": source}}, statement
    fails("ResourceConflictException", client.add_permission, **arguments, Principal="*")
    fails("ValidationException", client.add_permission, **{**arguments, "StatementId": "a b"}, Principal="*")
    url = dict(Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    client.add_permission(FunctionName="shared", StatementId="url", **url)
    found = client.get_policy(FunctionName="shared")
    statements = json.loads(found["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["events", "url"], statements
    assert statements[1]["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}, statements
    stale = "00000000-0000-0000-0000-000000000001"
    remove = dict(FunctionName="shared", StatementId="events")
    fails("PreconditionFailedException", client.remove_permission, **remove, RevisionId=stale)
    client.remove_permission(**remove, RevisionId=found["RevisionId"])
    fails("ResourceNotFoundException", client.remove_permission, **remove)
    client.remove_permission(FunctionName="shared", StatementId="url")
    fails("ResourceNotFoundException", client.get_policy, FunctionName="shared")
    client.delete_function(FunctionName="shared")


LAYERED = """
import shared, site_shared, os, subprocess

def handler(event, context):
    said = subprocess.run(["hello-tool"], capture_output=True, text=True).stdout
    return [shared.word, site_shared.word, said, sorted(os.listdir("/opt")), os.environ["LD_LIBRARY_PATH"]]
"""


WRAPPED = """
import os, sys
handler = lambda event, context: [os.environ["BY"], sys.flags.utf8_mode, sys.argv]
"""


def wrappers():
    wrap = '#!/bin/sh\nexport BY=wrapper\nprogram=$1; shift\nexec "$program" -X utf8 "$@"\n'
    layer = client.publish_layer_version(LayerName="wrap", Content={"ZipFile": packed({"bin/wrap": wrap})})
    for name, wrapper in [("wrapped", "/opt/bin/wrap"), ("nowhere", "/opt/nowhere")]:
        variables = {"AWS_LAMBDA_EXEC_WRAPPER": wrapper, "BY": "nobody"}
        make(name, WRAPPED, Layers=[layer["LayerVersionArn"]], Environment={"Variables": variables})
    assert result("wrapped") == ["wrapper", 1, [""]], result("wrapped")
    body = call("nowhere")["Payload"]
    assert body["errorType"] == "Runtime.InvalidEntrypoint" and "/opt/nowhere" in body["errorMessage"], body
    for name in ["wrapped", "nowhere"]:
        client.delete_function(FunctionName=name)


def layers():
    site = f"python/lib/{PYTHON}/site-packages/site_shared.py"
    first = {"python/shared.py": "word = 'first'", site: "word = 'site'", "bin/hello-tool": "#!/bin/sh\necho hello"}
    publish = lambda name, **files: client.publish_layer_version(
        LayerName=name, Content={"ZipFile": packed(files)}, Description="shared", CompatibleRuntimes=[PYTHON]
    )
    one = publish("one", **first)
    arn = one["LayerVersionArn"]
    assert arn == "arn:aws:lambda:%s:000000000000:layer:one:1" % os.environ["AWS_REGION"], one
    assert one["Content"]["CodeSize"] == len(packed(first)), one
    with urllib.request.urlopen(client.get_layer_version_by_arn(Arn=arn)["Content"]["Location"]) as answer:
        assert answer.read() == packed(first)
    two = publish("two", **{"python/shared.py": "word = 'second'"})
    assert publish("two", **{"python/shared.py": "word = 'third'"})["Version"] == 2
    found = client.list_layer_versions(LayerName="two")["LayerVersions"]
    assert [version["Version"] for version in found] == [2, 1], found
    found = client.list_layers()["Layers"]
    assert [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in found] == [("one", 1), ("two", 2)]
    assert [layer["LayerName"] for layer in client.list_layers(CompatibleRuntime=PYTHON)["Layers"]] == ["one", "two"]
    assert client.list_layers(CompatibleRuntime="nodejs22.x")["Layers"] == []
    assert client.list_layer_versions(LayerName="two", CompatibleArchitecture="arm64")["LayerVersions"] == []

    made = make("layered", LAYERED, Layers=[arn, two["LayerVersionArn"]])
    assert [layer["Arn"] for layer in made["Layers"]] == [arn, two["LayerVersionArn"]], made
    word, site, said, there, libraries = result("layered")
    assert (word, site, said, there) == ("second", "site", "hello\n", ["bin", "python"]), (word, site, said, there)
    assert libraries.endswith("/opt/lib"), libraries
    client.update_function_configuration(FunctionName="layered", Layers=[two["LayerVersionArn"], arn])
    assert result("layered")[0] == "first", "the later one lies over the former"
    # Functions go on with what was deleted, and new ones cannot have it.
    client.delete_layer_version(LayerName="one", VersionNumber=1)
    fails("ResourceNotFoundException", client.get_layer_version, LayerName="one", VersionNumber=1)
    client.update_function_configuration(FunctionName="layered", Environment={"Variables": {"COLOUR": "red"}})
    assert result("layered")[0] == "first"
    fails("InvalidParameterValueException", make, name="x", code="", Layers=[arn])
    other = two["LayerVersionArn"].replace(os.environ["AWS_REGION"], "eu-west-3")
    for layers in ([two["LayerVersionArn"], two["LayerVersionArn"].replace(":2", ":1")], [other]):
        fails("InvalidParameterValueException", make, name="x", code="", Layers=layers)
    fails("ValidationException", make, name="x", code="", Layers=["nonsense layer"])
    fails("InvalidParameterValueException", client.publish_layer_version, LayerName="x", Content={"ZipFile": b"no zip"})
    client.delete_function(FunctionName="layered")


FAULTS = """
import os, sys, time

def handler(event, context):
    if event == "raise":
        raise ValueError("said no")
    if event == "exit":
        os._exit(3)
    if event == "sleep":
        time.sleep(60)
    if event == "memory":
        held = []
        while True:
            held.append(bytearray(os.urandom(4096)) * 256)
    if event == "large":
        return "x" * (7 << 20)
    if event == "odd":
        return object()
    if event == "client":
        client = context.client_context
        return [client.custom, client.client.app_title, client.env, context.identity.cognito_identity_id, os.environ["LD_LIBRARY_PATH"]]
    print("one line\\nand another")
    return "well"
"""


def faults():
    make("faults", FAULTS, Timeout=2, MemorySize=128)
    for event, kind, said in [
        ("raise", "ValueError", "said no"),
        ("exit", "Runtime.ExitError", "exit status 3"),
        ("sleep", "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
        ("memory", "Runtime.OutOfMemory", "128 MB"),
        ("large", "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size (6291556 bytes)"),
        ("odd", "Runtime.MarshalError", "Unable to marshal response"),
    ]:
        answer = call("faults", event)
        assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled"), (event, answer)
        assert answer["Payload"]["errorType"] == kind, (event, answer["Payload"])
        assert said in answer["Payload"]["errorMessage"], (event, answer["Payload"])
        assert result("faults") == "well", f"it works again after {event}"
    trace = call("faults", "raise")["Payload"]
    assert any("said no" in line for line in trace["stackTrace"]), trace
    log = base64.b64decode(call("faults", LogType="Tail")["LogResult"]).decode()
    lines = log.splitlines()
    assert lines[0].startswith("START RequestId: ") and lines[0].endswith(" Version: $LATEST"), log
    assert lines[1:3] == ["one line", "and another"] and lines[3].startswith("END RequestId: "), log
    assert "\tMemory Size: 128 MB\tMax Memory Used: " in lines[4], log
    log = base64.b64decode(call("faults", "sleep", LogType="Tail")["LogResult"]).decode()
    assert [line.split()[0] for line in log.splitlines()] == ["START", "RequestId:", "END", "REPORT"], log
    assert " Error: the function did not answer within 2s" in log.splitlines()[1], log
    assert "LogResult" not in call("faults")

    assert client.invoke(FunctionName="faults", InvocationType="DryRun")["StatusCode"] == 204
    for payload in [b"{", b'"bad\xff"']:
        fails("InvalidRequestContentException", client.invoke, FunctionName="faults", Payload=payload)
    told = base64.b64encode(json.dumps({"custom": {"a": "ü"}, "client": {"app_title": "shop"}}).encode()).decode()
    answer = call("faults", "client", ClientContext=told)
    assert answer["Payload"] == [{"a": "ü"}, "shop", None, None, "/var/task:/var/task/lib"], answer
    traced = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert traced.startswith("Root=1-"), traced
    fails("InvalidRequestContentException", client.invoke, FunctionName="faults", ClientContext="?")
    large = json.dumps("x" * (6 << 20))
    fails("RequestTooLargeException", client.invoke, FunctionName="faults", Payload=large)
    client.delete_function(FunctionName="faults")

    make("unloadable", "import nowhere")
    answer = call("unloadable", LogType="Tail")
    assert answer["Payload"]["errorType"] == "Runtime.ImportModuleError", answer
    log = base64.b64decode(answer["LogResult"]).decode()
    assert log.index("Runtime.ImportModuleError") < log.index("START RequestId: ") < log.index(" Error: ") < log.index("END "), log
    client.delete_function(FunctionName="unloadable")
    refused = fails("InvalidParameterValueException", make, name="x", code="", Runtime="python3.29")
    assert PYTHON in refused["Error"]["Message"], f"those that are here are named: {refused}"
    fails("InvalidParameterValueException", make, name="x", code="", Runtime="cobol85")
    fails("InvalidParameterValueException", make, name="x", code="", Code={"ZipFile": b"no zip"})
    fails("InvalidParameterValueException", make, name="x", code="", Code={"S3Bucket": "bucket", "S3Key": "key"})
    sqs = {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}
    refused = fails("InvalidParameterValueException", make, name="x", code="", DeadLetterConfig=sqs)
    assert "sqs" in refused["Error"]["Message"], refused
    fails("ValidationException", make, name="x", code="", MemorySize=129_000)
    dual = {"SubnetIds": [], "SecurityGroupIds": [], "Ipv6AllowedForDualStack": True}
    fails("InvalidParameterValueException", make, name="x", code="", VpcConfig=dual)
    fails("InvalidParameterValueException", client.list_functions, MasterRegion="ALL")
    fails("ResourceNotFoundException", client.get_function, FunctionName="x")


def escapes():
    """Zips that would write elsewhere are refused as a whole."""
    for name in ("../evil.py", "/etc/evil", "a/../../evil"):
        refused = fails("InvalidParameterValueException", make, name="x", code="", Code={"ZipFile": packed({"app.py": "", name: ""})})
        assert "evil" in refused["Error"]["Message"], refused


NESTED = """
import boto3, json

def handler(event, context):
    if event == 0:
        return boto3.client("sts").get_caller_identity()["Arn"]
    answer = boto3.client("lambda").invoke(FunctionName=context.function_name, Payload=json.dumps(event - 1))
    found = json.loads(answer["Payload"].read())
    return [event, found] if "FunctionError" not in answer else found
"""


def nested():
    """boto3 is there without being brought, and functions call functions, up to a depth."""
    make("nested", NESTED, Timeout=60, MemorySize=256)
    who = "arn:aws:sts::000000000000:assumed-role/nested/nested"
    assert result("nested", 2) == [2, [1, who]]
    deep = result("nested", 40)
    while isinstance(deep, list):
        deep = deep[1]
    assert deep["errorType"] == "RecursiveInvocationException" and "in a loop" in deep["errorMessage"], deep
    client.delete_function(FunctionName="nested")


def together():
    """A burst at a cold function: each call gets its own answer."""
    make("burst", "import time\n\ndef handler(event, context):\n    time.sleep(0.05)\n    return event")
    failed = []

    def one(number):
        try:
            assert result("burst", number) == number
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=[number]) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    client.delete_function(FunctionName="burst")


def command_line():
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "code.zip"), "wb") as file:
        file.write(app(ECHO))

    def aws(*arguments, code=0):
        done = subprocess.run([os.environ["AWS"], "lambda", *arguments], capture_output=True, text=True, cwd=folder)
        assert (done.returncode == 0) == (code == 0), f"aws lambda {arguments}: {done}"
        return json.loads(done.stdout) if code == 0 and done.stdout else done.stderr

    aws(
        *["create-function", "--function-name", "cli", "--runtime", PYTHON, "--handler", "app.handler"],
        *["--role", ROLE, "--zip-file", "fileb://code.zip"],
    )
    aws("wait", "function-active-v2", "--function-name", "cli")
    answer = aws("invoke", "--function-name", "cli", "--payload", '{"n": 1}', "out.json")
    assert answer["StatusCode"] == 200, answer
    with open(os.path.join(folder, "out.json")) as file:
        assert json.load(file)["event"] == {"n": 1}
    assert [f["FunctionName"] for f in aws("list-functions")["Functions"]] == ["cli"]
    assert "ResourceNotFoundException" in aws("get-function", "--function-name", "nobody", code=1)
    aws("delete-function", "--function-name", "cli")
    assert aws("list-functions")["Functions"] == []


def project():
    listed = client.list_functions()["Functions"]
    assert [function["FunctionName"] for function in listed] == ["hello"], listed
    assert result("hello", {"n": 2}) == {"n": 2}
    make("other", "handler = lambda e, c: 'other'")
    assert [f["FunctionName"] for f in client.list_functions()["Functions"]] == ["hello", "other"]
    fails("ResourceConflictException", make, name="hello", code=ECHO)
    fails("ResourceConflictException", client.delete_function, FunctionName="hello")
    fails("ResourceNotFoundException", client.get_policy, FunctionName="hello")
    fails("ResourceNotFoundException", client.get_function_event_invoke_config, FunctionName="hello")
    fails("ResourceNotFoundException", client.get_function_url_config, FunctionName="hello")
    fails("ResourceNotFoundException", client.get_provisioned_concurrency_config, FunctionName="hello", Qualifier="x")
    refused = fails("ResourceNotFoundException", client.get_alias, FunctionName="hello", Name="x")
    assert refused["Error"]["Message"].startswith("Cannot find alias arn"), refused
    assert client.get_account_settings()["AccountUsage"]["FunctionCount"] == 2
    found = client.list_function_event_invoke_configs(FunctionName="hello")["FunctionEventInvokeConfigs"]
    assert found == [], found
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    assert [f["FunctionName"] for page in pages for f in page["Functions"]] == ["hello", "other"]
    fails("ResourceNotFoundException", client.invoke, FunctionName="hello", Qualifier="1")


def again():
    assert result("other") == "other"
    assert result("hello", 1) == 1


def main(arguments):
    if arguments[0] == "again":
        again()
        return
    if arguments[0] == "project":
        project()
        return
    life()
    versions()
    permissions()
    layers()
    wrappers()
    faults()
    escapes()
    nested()
    together()
    command_line()
    assert client.list_functions()["Functions"] == []


main(sys.argv[1:])
