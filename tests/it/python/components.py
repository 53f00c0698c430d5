"""A function that is a WebAssembly component, through boto3: `guest` was made with the component of tests/component.

    components.py COMPONENT
"""

import base64
import io
import json
import pathlib
import sys
import urllib.request
import zipfile

from sdk import ROLE, call, client, fails, packed

COMPONENT = pathlib.Path(sys.argv[1]).read_bytes()


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


answer = client.invoke(FunctionName="guest", Payload=json.dumps({"a": "b"}), LogType="Tail")
assert json.loads(answer["Payload"].read()) == {"a": "b"}, answer
tail = base64.b64decode(answer["LogResult"]).decode()
assert "START RequestId" in tail and "REPORT RequestId" in tail, tail

version = client.publish_version(FunctionName="guest")["Version"]
client.create_alias(FunctionName="guest", Name="live", FunctionVersion=version)
url = client.create_function_url_config(FunctionName="guest", Qualifier="live", AuthType="NONE")["FunctionUrl"]
assert get(url + "hello") == b"hello\n"

# What is not in the zip is told as what it is, and the published version goes on.
client.update_function_configuration(FunctionName="guest", Handler="none.wasm")
answer = client.invoke(FunctionName="guest")
assert answer["FunctionError"] and b"none.wasm" in answer["Payload"].read(), answer
assert get(url + "calls") == b"1"


def make(name, code, runtime="wasm", handler="app.wasm"):
    return dict(FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE, Code={"ZipFile": code}, Timeout=20)


def refused(said, make, **arguments):
    message = fails("InvalidParameterValueException", make, **arguments)["Error"]["Message"]
    assert said in message, message


# A component needs no zip: it becomes the file that the handler names.
made = client.create_function(**make("bare", COMPONENT, handler="build/bare.wasm"))
client.get_waiter("function_active_v2").wait(FunctionName="bare")
assert call("bare", {"n": 1})["Payload"] == {"n": 1}
with zipfile.ZipFile(io.BytesIO(get(client.get_function(FunctionName="bare")["Code"]["Location"]))) as code:
    assert code.namelist() == ["build/bare.wasm"] and code.read("build/bare.wasm") == COMPONENT, code.namelist()
updated = client.update_function_code(FunctionName="bare", ZipFile=COMPONENT)
assert updated["CodeSha256"] == made["CodeSha256"], (made, updated)
assert call("bare", 2)["Payload"] == 2
refused("does not end in .wasm", client.create_function, **make("other", COMPONENT, handler="app.handler"))
refused("leaves the function's folder", client.create_function, **make("other", COMPONENT, handler="../app.wasm"))
refused("which the runtime provided does not run", client.create_function, **make("other", COMPONENT, "provided", "app.wasm"))
client.create_function(**make("other", packed({"bootstrap": "#!/bin/sh\n"}), "provided"))
refused("which the runtime provided does not run", client.update_function_code, FunctionName="other", ZipFile=COMPONENT)
refused("not a zip", client.publish_layer_version, LayerName="other", Content={"ZipFile": COMPONENT})

# What cannot be compiled says so at each call, and is compiled no more than once.
for code, said in ((b"\0asm\x0d\0\x01\0" + b"nonsense", "cannot be compiled"), (b"\0asm\x01\0\0\0", "core module")):
    client.update_function_code(FunctionName="bare", ZipFile=code)
    failed = [call("bare", 3)["Payload"] for _ in range(5)]
    assert {error["errorType"] for error in failed} == {"Runtime.InvalidComponent"}, failed
    message, = {error["errorMessage"] for error in failed}
    assert said in message, message
client.update_function_code(FunctionName="bare", ZipFile=COMPONENT)
assert call("bare", "the last")["Payload"] == "the last"
