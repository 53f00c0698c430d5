"""Functions in Node.js, and such that bring their own program, through boto3.

The endpoint, region and keys come from the environment, as the platform's announcement says. A Node.js 22 is on the platform's path.
"""

import base64
import json

import sdk
from sdk import call, client, packed, result


def make(name, files, handler="index.handler", runtime="nodejs22.x", **more):
    sdk.make(name, files, **{"Runtime": runtime, "Handler": handler, "MemorySize": 256, **more})


PLAIN = """
let calls = 0;
exports.handler = async (event, context) => {
  console.log("called with", event);
  console.error("and\\nin two lines");
  if (event && event.error) throw new RangeError(event.error);
  if (event && event.exit !== undefined) process.exit(event.exit);
  if (event && event.reject) { Promise.reject(new Error("nobody waits")); await new Promise((r) => setTimeout(r, 5000)); }
  if (event && event.forget) return new Promise(() => {});
  if (event && event.grow) { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1)); }
  return {
    event, calls: ++calls, id: context.awsRequestId, name: context.functionName, memory: context.memoryLimitInMB,
    child: require('child_process').execSync('echo $_X_AMZN_TRACE_ID').toString().trim(), left: context.getRemainingTimeInMillis(), client: context.clientContext, trace: process.env._X_AMZN_TRACE_ID,
    version: process.version, runtime: process.env.AWS_EXECUTION_ENV,
  };
};
exports.nested = { deep: { handler: (event, context, callback) => {
  if (event === "late") { setTimeout(() => console.log("late"), 100); }
  if (event === "fail") return callback(new TypeError("called back"));
  callback(null, ["called back", event]);
} } };
exports.impatient = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setInterval(() => {}, 1000);
  callback(null, "at once");
};
exports.nothing = async () => {};
"""


def javascript():
    make("js", {"index.js": PLAIN})
    first = result("js", {"n": 1})
    assert first["event"] == {"n": 1} and first["calls"] == 1 and first["version"].startswith("v22."), first
    assert (first["name"], first["memory"], first["runtime"]) == ("js", "256", "AWS_Lambda_nodejs22.x"), first
    assert 0 < first["left"] <= 20_000 and first["trace"].startswith("Root=1-"), first
    assert first["child"] == first["trace"], first
    context = base64.b64encode(json.dumps({"custom": {"who": "ü"}}).encode()).decode()
    second = result("js", "ü", ClientContext=context)
    assert second["trace"].startswith("Root=1-") and second["trace"] != first["trace"], second
    assert (second["calls"], second["event"], second["client"]) == (2, "ü", {"custom": {"who": "ü"}}), second
    log = base64.b64decode(call("js", {"n": 2}, LogType="Tail")["LogResult"]).decode()
    assert "\tINFO\tcalled with { n: 2 }\n" in log and "\tERROR\tand\rin two lines\n" in log, log

    failed = call("js", {"error": "too far"})
    assert failed["FunctionError"] == "Unhandled", failed
    body = failed["Payload"]
    assert (body["errorType"], body["errorMessage"]) == ("RangeError", "too far"), body
    assert any("index.js" in line for line in body["trace"]), body
    for event, kind, said in [
        ({"exit": 7}, "Runtime.ExitError", "exit status 7"),
        ({"reject": True}, "Runtime.UnhandledPromiseRejection", "nobody waits"),
        ({"grow": True}, "Runtime.OutOfMemory", "256 MB"),
    ]:
        body = call("js", event)["Payload"]
        assert body["errorType"] == kind and said in body["errorMessage"], (event, body)
        assert result("js", 1)["event"] == 1, f"it works again after {event}"
    assert result("js", {"forget": True}) is None, "what nobody will ever answer is null"

    for name, handler, cases in [
        ("js-nested", "index.nested.deep.handler", {"a": ["called back", "a"], "late": ["called back", "late"]}),
        ("js-impatient", "index.impatient", {"a": "at once", "b": "at once"}),
        ("js-nothing", "index.nothing", {"a": None}),
    ]:
        make(name, {"index.js": PLAIN}, handler)
        for event, expected in cases.items():
            assert result(name, event) == expected, (name, event)
    body = call("js-nested", "fail")["Payload"]
    assert (body["errorType"], body["errorMessage"]) == ("TypeError", "called back"), body

    print_much = "exports.handler = async () => { for (let n = 0; n < 2000; n += 1) console.log(n, 'x'.repeat(180)); return 1; }"
    make("prints", {"index.js": print_much})
    for _ in range(3):
        lines = base64.b64decode(call("prints", LogType="Tail")["LogResult"]).decode().splitlines()
        assert [line.split(" ")[0] for line in lines[-2:]] == ["END", "REPORT"], lines[-3:]
        assert "\tINFO\t1999 x" in lines[-3], lines[-3:]

    module = "import { word } from './lib/word.mjs';\nexport const handler = async (event) => [word, event, await Promise.resolve(2)];"
    make("mjs", {"index.mjs": module, "lib/word.mjs": "export const word = 'module';"})
    assert result("mjs", 1) == ["module", 1, 2]
    package = {"package.json": '{"type": "module"}', "src/app.js": "export function run(event) { return Promise.resolve(event); }"}
    make("package", package, "src/app.run")
    assert result("package", [1]) == [1]
    installed = {"index.js": "exports.handler = async () => require('three')", "node_modules/three/index.js": "module.exports = 3"}
    make("installed", installed)
    assert result("installed") == 3

    for files, handler, kind in [
        ({"index.js": "require('nowhere')"}, "index.handler", "Runtime.ImportModuleError"),
        ({"index.js": "exports.handler = ("}, "index.handler", "Runtime.UserCodeSyntaxError"),
        ({"index.js": ""}, "index.handler", "Runtime.HandlerNotFound"),
        ({"index.js": ""}, "handler", "Runtime.MalformedHandlerName"),
        ({"index.js": "throw new Error('at the top')"}, "index.handler", "Error"),
        ({"index.js": "Promise.reject(new Error('x'))"}, "index.handler", "Runtime.HandlerNotFound"),
        (
            {"index.js": "Promise.reject(new Error('nobody waits')); exports.handler = async () => 1"},
            "index.handler",
            "Runtime.UnhandledPromiseRejection",
        ),
        (
            {"index.js": "process.nextTick(() => { throw new RangeError('later'); }); exports.handler = async () => 1"},
            "index.handler",
            "RangeError",
        ),
    ]:
        make("broken", files, handler)
        body = call("broken")["Payload"]
        assert body["errorType"] == kind, (kind, body)
        client.delete_function(FunctionName="broken")


STREAM = """
const later = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType("text/plain");
  if (event === "early") throw new Error("early");
  stream.write('"one ');
  await new Promise((done) => setTimeout(done, 10));
  if (event === "fail") throw new Error("halfway");
  if (event === "die") {
    setImmediate(() => { setImmediate(() => { throw new Error("second"); }); throw new Error("die"); });
    return await new Promise(() => {});
  }
  if (event === "context") return context.fail(new Error("context"));
  stream.write('two"');
  stream.end();
});
const atOnce = awslambda.streamifyResponse((event, stream) => {
  stream.write("begun");
  throw new Error("atOnce");
});
Object.assign(exports, { later, atOnce });
"""


def streamed():
    make("stream", {"index.js": STREAM}, Handler="index.later")
    make("at-once", {"index.js": STREAM}, Handler="index.atOnce")
    assert result("stream", 1) == "one two", "who asks for the whole gets the whole"
    for name, event, said in [
        ("stream", "fail", "halfway"), ("stream", "early", "early"), ("stream", "context", "context"),
        ("stream", "die", "die"), ("at-once", 1, "atOnce"),
    ]:
        body = call(name, event)["Payload"]
        assert (body["errorType"], body["errorMessage"]) == ("Error", said), (event, body)
        assert result("stream", 1) == "one two", f"it goes on after {event}"


SDK = """
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
export const handler = async () => (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn;
"""


def javascript_sdk():
    """Version 3 of the SDK is there without being brought."""
    make("sdk", {"index.mjs": SDK})
    assert result("sdk") == "arn:aws:sts::000000000000:assumed-role/sdk/sdk"


OWN = r"""#!/bin/bash
set -euo pipefail
export LC_ALL=C
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API##*:}
while true; do
  exec 3<>"/dev/tcp/$host/$port"
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >&3
  id='' length=0
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    [ -n "$line" ] || break
    case "${line,,}" in
      lambda-runtime-aws-request-id:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  IFS= read -r -N "$length" event <&3
  exec 3>&-
  echo "the shell got $event"
  answer="{\"handler\": \"$_HANDLER\", \"event\": $event, \"execution\": \"${AWS_EXECUTION_ENV:-none}\"}"
  exec 3<>"/dev/tcp/$host/$port"
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
    "$id" "${#answer}" "$answer" >&3
  cat <&3 >/dev/null
  exec 3>&-
done
"""


def own():
    make("own", {"bootstrap": OWN}, "any.text", "provided.al2023")
    for number in range(3):
        found = result("own", {"n": number})
        assert found == {"handler": "any.text", "event": {"n": number}, "execution": "none"}, found
    log = base64.b64decode(call("own", 1, LogType="Tail")["LogResult"]).decode()
    assert "the shell got 1\n" in log, log
    layer = client.publish_layer_version(LayerName="own", Content={"ZipFile": packed({"bootstrap": OWN})})
    make("lent", {"readme": "no program"}, "by.layer", "provided", Layers=[layer["LayerVersionArn"]])
    assert result("lent", 1) == {"handler": "by.layer", "event": 1, "execution": "none"}
    node = client.publish_layer_version(
        LayerName="node", Content={"ZipFile": packed({"nodejs/node_modules/four/index.js": "module.exports = 4"})}
    )
    make("node-layer", {"index.js": "exports.handler = async () => require('four')"}, Layers=[node["LayerVersionArn"]])
    assert result("node-layer") == 4
    make("none", {"readme": "no program"}, "x", "provided")
    body = call("none")["Payload"]
    assert body["errorType"] == "Runtime.InvalidEntrypoint", body
    make("nobody", {"bootstrap": "#!/bin/sh\r\nexit 0\r\n"}, "x", "provided")
    body = call("nobody")["Payload"]
    assert body["errorType"] == "Runtime.InvalidEntrypoint" and "CR LF" in body["errorMessage"], body
    make("ends", {"bootstrap": "#!/bin/sh\nexit 4\n"}, "x", "provided.al2")
    body = call("ends")["Payload"]
    assert body["errorType"] == "Runtime.ExitError" and "exit status 4" in body["errorMessage"], body


javascript()
streamed()
javascript_sdk()
own()
