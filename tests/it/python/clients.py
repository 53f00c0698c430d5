"""AWS's own runtime clients, unmodified, as programs of functions' own.

    clients.py lambda_runtime GUEST             for Rust: the program of tests/guest
    clients.py awslambdaric                     for Python
    clients.py aws-lambda-ric PACKAGES NODE     for Node.js: what npm installed, and a Node.js that functions bring

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

from checking import check, equal
from sdk import call, client, make, packed, result

# What every sandbox sees: the awslambdaric of the tester's own interpreter might not be for this one.
PYTHON = "/usr/bin/python3"

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


def made(name, files, **more):
    make(name, files, Runtime="provided.al2023", Handler="app.handler", MemorySize=256, Timeout=10, **more)


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


def streamed(name, event):
    """What a function streams, with its head if it has one, and how that ended."""
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event))
    *pieces, end = list(answer["EventStream"])
    return b"".join(piece["PayloadChunk"]["Payload"] for piece in pieces), end


def numbers(whole, end):
    head, _, body = whole.partition(bytes(8))
    equal("the head of what it streams", json.loads(head)["statusCode"], 200)
    equal("and what it streams", body.decode().split(), [str(number) for number in range(100)])
    equal("the end", end, {"InvokeComplete": {}})


def lambda_runtime(guest):
    made("rust", {"bootstrap": pathlib.Path(guest).read_bytes()})
    said = result("rust", {"n": 1})
    equal("what it is given", (said["event"], said["name"], said["memory"]), ({"n": 1}, "rust", 256))
    check("who it is, and its trace", said["arn"].endswith(":function:rust") and said["trace"].startswith("Root=1-"), said)
    failed = call("rust", {"fail": "not here"})["Payload"]
    equal("what it returns as an error", failed["errorMessage"], "not here")
    ended("rust")
    numbers(*streamed("rust", {"pieces": 100}))


JS = """
let calls = 0;

export const handler = async (event, context) => {
  calls += 1;
  console.log("called", event);
  if (event?.fail) throw new RangeError(event.fail);
  if (event?.panic) process.exit(101);
  if (event?.sleep) await new Promise((done) => setTimeout(done, event.sleep * 1000));
  if (event?.large) return "x".repeat(event.large);
  return {
    event, calls, id: context.awsRequestId, arn: context.invokedFunctionArn, name: context.functionName,
    memory: Number(context.memoryLimitInMB), left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
    client: context.clientContext,
  };
};

export const stream = awslambda.streamifyResponse(async (event, out) => {
  if (event.fail === "first") throw new RangeError("before anything");
  const answer = awslambda.HttpResponseStream.from(out, { statusCode: 200 });
  for (let piece = 0; piece < event.pieces; piece += 1) answer.write(`${piece}\n`);
  if (event.fail) throw new RangeError("in the middle");
  answer.end();
});
"""


def aws_lambda_ric(packages, node):
    # As on Lambda, where nothing but the code and its layers brings a Node.js to such a function.
    program = pathlib.Path(node).resolve().read_bytes()
    layer = client.publish_layer_version(LayerName="node", Content={"ZipFile": packed({"bin/node": program})})["LayerVersionArn"]
    root = pathlib.Path(packages)
    files = {f"node_modules/{file.relative_to(root)}": file.read_bytes() for file in (root / "aws-lambda-ric").rglob("*") if file.is_file()}
    files["app.mjs"] = JS
    files["bootstrap"] = "#!/bin/sh\nexec /opt/bin/node $LAMBDA_TASK_ROOT/node_modules/aws-lambda-ric/index.mjs $_HANDLER\n"
    made("js", files, Layers=[layer])
    context = base64.b64encode(json.dumps({"custom": {"who": "ü"}}).encode()).decode()
    first, second = result("js", {"n": 1}), result("js", "ü", ClientContext=context)
    equal("what it is given", (first["event"], second["event"], second["calls"]), ({"n": 1}, "ü", 2))
    equal("with its client's context", second["client"], {"custom": {"who": "ü"}})
    equal("who it is", (first["name"], first["memory"], first["arn"].rpartition(":")[2]), ("js", 256, "js"))
    check("how long it has, and its trace", 0 < first["left"] <= 10_000 and first["trace"].startswith("Root=1-"), first)
    log = base64.b64decode(call("js", {"n": 2}, LogType="Tail")["LogResult"]).decode()
    check("what it prints is its log", "\tINFO\tcalled { n: 2 }\n" in log, log)
    failed = call("js", {"fail": "not here"})["Payload"]
    equal("what it throws", (failed["errorType"], failed["errorMessage"]), ("RangeError", "not here"))
    check("where", any("app.mjs" in line for line in failed["trace"]), failed)
    failed = call("js", {"large": 7 << 20})["Payload"]
    equal("an answer that is too large", failed["errorType"], "Function.ResponseSizeTooLarge")
    equal("the next call is answered", result("js", 1)["event"], 1)
    ended("js")
    client.update_function_configuration(FunctionName="js", Timeout=2)
    failed = call("js", {"sleep": 30})["Payload"]
    check("one that takes too long", "Task timed out after 2" in failed["errorMessage"], failed)
    equal("the next one runs", result("js", 1)["event"], 1)
    client.update_function_configuration(FunctionName="js", Handler="app.stream")
    numbers(*streamed("js", {"pieces": 100}))
    for event in ({"fail": "first"}, {"pieces": 3, "fail": "later"}):
        whole, end = streamed("js", event)
        equal("a stream that fails", end["InvokeComplete"]["ErrorCode"], "RangeError")
    equal("after what it streamed", whole.partition(bytes(8))[2], b"0\n1\n2\n")
    numbers(*streamed("js", {"pieces": 100}))
    client.update_function_configuration(FunctionName="js", Handler="nothing.handler")
    failed = call("js", 1)["Payload"]
    equal("a module that is not there", failed["errorType"], "Runtime.ImportModuleError")


CLIENTS = {"lambda_runtime": lambda_runtime, "awslambdaric": awslambdaric, "aws-lambda-ric": aws_lambda_ric}
CLIENTS[sys.argv[1]](*sys.argv[2:])
