"""AWS's own runtime clients, unmodified, as programs of functions' own: `awslambdaric` for Python and `lambda_runtime` for Rust.

    clients.py GUEST    the program of tests/guest

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from checking import check, equal
from sdk import call, client, fails, make, result

# What every sandbox sees: the awslambdaric of the tester's own interpreter might not be for this one.
PYTHON = "/usr/bin/python3"
LONG = "x" * (6 << 20)

APP = """
import os, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    print("called", event)
    if isinstance(event, dict) and "fail" in event:
        raise LookupError(event["fail"])
    if isinstance(event, dict) and event.get("panic"):
        os._exit(101)
    if isinstance(event, dict) and "sleep" in event:
        time.sleep(event["sleep"])
    if isinstance(event, dict) and "large" in event:
        return "x" * event["large"]
    return {
        "event": event, "calls": calls, "id": context.aws_request_id, "arn": context.invoked_function_arn,
        "name": context.function_name, "memory": int(context.memory_limit_in_mb), "left": context.get_remaining_time_in_millis(),
    }
"""


def made(name, files):
    make(name, files, Runtime="provided.al2023", Handler="app.handler", MemorySize=256, Timeout=10)


def awslambdaric():
    minor = subprocess.check_output([PYTHON, "-c", "import sys; print(sys.version_info[1])"], text=True).strip()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder,
                        "--python-version", f"3.{minor}", "--only-binary", ":all:", "awslambdaric>=3,<5"], check=True)
        root = pathlib.Path(folder)
        files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    files["app.py"] = APP
    files["bootstrap"] = f"#!/bin/sh\nexport PYTHONPATH=$LAMBDA_TASK_ROOT\nexec {PYTHON} -m awslambdaric $_HANDLER\n"
    made("ric", files)
    first, second = result("ric", {"n": 1}), result("ric", "ü")
    equal("what it is given", (first["event"], second["event"], second["calls"]), ({"n": 1}, "ü", 2))
    equal("who it is", (first["name"], first["memory"], first["arn"].rpartition(":")[2]), ("ric", 256, "ric"))
    check("how long it has", 0 < first["left"] <= 10_000, first)
    failed = call("ric", {"fail": "not here"})["Payload"]
    equal("what it raises", (failed["errorType"], failed["errorMessage"]), ("LookupError", "not here"))
    check("where", any("app.py" in line for line in failed["stackTrace"]), failed)
    failed = call("ric", {"large": 7 << 20})["Payload"]
    equal("an answer that is too large", failed["errorType"], "Function.ResponseSizeTooLarge")
    # The client takes the refusal for its end, as on Lambda; the call after it must not be its victim.
    equal("the next call is answered", result("ric", 1)["event"], 1)
    ended("ric")
    client.update_function_configuration(FunctionName="ric", Handler="nothing.handler")
    failed = call("ric", 1)["Payload"]
    equal("a module that is not there", failed["errorType"], "Runtime.ImportModuleError")


def ended(name):
    failed = call(name, {"panic": True})["Payload"]
    check("one that ends", failed["errorType"] == "Runtime.ExitError" and "exit status 101" in failed["errorMessage"], failed)
    equal("the next one runs", result(name, 1)["event"], 1)


def lambda_runtime():
    made("rust", {"bootstrap": pathlib.Path(sys.argv[1]).read_bytes()})
    said = result("rust", {"n": 1})
    equal("what it is given", (said["event"], said["name"], said["memory"]), ({"n": 1}, "rust", 256))
    check("who it is, and its trace", said["arn"].endswith(":function:rust") and said["trace"].startswith("Root=1-"), said)
    failed = call("rust", {"fail": "not here"})["Payload"]
    equal("what it returns as an error", failed["errorMessage"], "not here")
    ended("rust")
    streamed = lambda: client.invoke_with_response_stream(FunctionName="rust", Payload=json.dumps({"pieces": 100}))["EventStream"]
    *pieces, end = list(streamed())
    whole = b"".join(piece["PayloadChunk"]["Payload"] for piece in pieces)
    head, _, body = whole.partition(bytes(8))
    equal("the head of what it streams", json.loads(head)["statusCode"], 200)
    equal("and what it streams", body.decode().split(), [str(number) for number in range(100)])
    equal("the end", end, {"InvokeComplete": {}})


lambda_runtime()
awslambdaric()
