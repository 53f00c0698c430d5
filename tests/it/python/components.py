"""A function that is a WebAssembly component, through boto3: `guest` was made with the component of tests/component."""

import base64
import json
import urllib.request

from sdk import client


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
