// The platform's side of a Node.js function: loads the handler, then fetches an invocation, calls the handler and answers.
//
// It speaks the Lambda Runtime API (2018-06-01) over one kept connection with a plain socket: npm's aws-lambda-ric works too, but brings
// a native module that must be compiled, and node:http is 10 ms of a cold start. An answer asks for the next invocation (`?next`, which is
// ours), so that each invocation is one write and one read.
//
// It is CommonJS, since a module of ES starts later; handlers may be either.
"use strict";

const net = require("node:net");
const path = require("node:path");
const fs = require("node:fs");
const { format } = require("node:util");

const API = "/2018-06-01/runtime/";
const STREAM = Symbol("a handler that streams its answer");
const NOTHING = Buffer.alloc(0);

// One kept HTTP/1.1 connection to the Runtime API. What it reads was written by the platform: lower-case names of headers, one space
// behind the colon, a Content-Length.
class RuntimeApi {
  constructor(address) {
    const colon = address.lastIndexOf(":");
    this.place = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
    this.host = address;
    this.buffer = NOTHING;
    this.answered = null;
    this.connect();
  }

  connect() {
    const socket = net.connect({ ...this.place, noDelay: true });
    socket.on("data", (piece) => {
      this.buffer = this.buffer.length === 0 ? piece : Buffer.concat([this.buffer, piece]);
      this.read();
    });
    // Without the platform there is nothing to do.
    socket.on("error", (error) => this.lost(socket, error.message));
    socket.on("close", () => this.lost(socket, "it was closed"));
    this.socket = socket;
  }

  lost(socket, why) {
    if (socket === this.socket) {
      process.stderr.write(`the Runtime API cannot be reached: ${why}\n`);
      process.exit(1);
    }
  }

  get(where) {
    this.socket.write(`GET ${API}${where} HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`);
  }

  post(where, body, headers = "") {
    const length = Buffer.byteLength(body);
    const head = `POST ${API}${where} HTTP/1.1\r\nHost: ${this.host}\r\n${headers}Content-Length: ${length}\r\n\r\n`;
    if (typeof body === "string") {
      this.socket.write(head + body);
    } else {
      this.socket.cork();
      this.socket.write(head);
      this.socket.write(body);
      this.socket.uncork();
    }
  }

  // Reads one answer if it is there as a whole.
  read() {
    const end = this.buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.buffer.latin1Slice(0, end + 2);
    const length = Number(field(head, "content-length") || 0);
    const last = end + 4 + length;
    if (this.buffer.length < last) return;
    const body = this.buffer.subarray(end + 4, last);
    this.buffer = this.buffer.subarray(last);
    if (head.includes("\r\nconnection: close\r\n")) {
      const old = this.socket;
      this.connect();
      old.end();
    }
    const answered = this.answered;
    this.answered = null;
    if (answered === null) this.lost(this.socket, "it answered what was not asked");
    answered(Number(head.slice(9, 12)), head, body);
  }
}

function field(head, name) {
  const begin = head.indexOf(`\r\n${name}: `);
  if (begin < 0) return undefined;
  const from = begin + name.length + 4;
  return head.slice(from, head.indexOf("\r\n", from));
}

class LoadError extends Error {
  constructor(name, message, stack) {
    super(message);
    this.name = name;
    if (stack) this.stack = stack;
  }
}

// The function that `_HANDLER` names: `dir/file.export[.nested]`, split at the first dot of the file's name.
async function loadHandler(name, root) {
  if (name.includes("..")) {
    throw new LoadError("Runtime.MalformedHandlerName", `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const folder = path.dirname(name);
  const base = path.basename(name);
  const dot = base.indexOf(".");
  if (dot <= 0 || dot === base.length - 1) {
    throw new LoadError("Runtime.MalformedHandlerName", `Bad handler '${name}': not of the form file.export`);
  }
  const file = path.join(folder, base.slice(0, dot));
  let found;
  try {
    found = await loadModule(path.resolve(root, file), file, root);
  } catch (error) {
    if (error instanceof LoadError) throw error;
    if (error instanceof SyntaxError) throw new LoadError("Runtime.UserCodeSyntaxError", error.stack, error.stack);
    if (error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND")) {
      throw new LoadError("Runtime.ImportModuleError", `Error: ${error.message}`, error.stack);
    }
    throw error;
  }
  for (const part of base.slice(dot + 1).split(".")) {
    found = found == null ? undefined : found[part];
  }
  if (found === undefined) throw new LoadError("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof found !== "function") throw new LoadError("Runtime.HandlerNotFound", `${name} is not a function`);
  return found;
}

async function loadModule(place, file, root) {
  const plain = [place, `${place}.js`].find((candidate) => fs.existsSync(candidate) && fs.statSync(candidate).isFile());
  if (plain && !(plain.endsWith(".js") && isModule(path.dirname(plain)))) return require(plain);
  const module = [plain, `${place}.mjs`].find((candidate) => candidate && fs.existsSync(candidate));
  if (module) return await import(require("node:url").pathToFileURL(module).href);
  if (fs.existsSync(`${place}.cjs`)) return require(`${place}.cjs`);
  return require(require.resolve(file, { paths: [root] }));
}

// Whether the nearest package.json says that .js files are modules of ES.
function isModule(folder) {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(at, "package.json"), "utf8")).type === "module";
    } catch {
      if (at === path.dirname(at)) return false;
    }
  }
}

// What goes wrong, as Lambda's clients read it.
function described(error) {
  if (error !== null && typeof error === "object" && (error instanceof Error || "message" in error || "name" in error)) {
    const stack = typeof error.stack === "string" ? error.stack.split("\n") : [];
    return { errorType: String(error.name ?? "Error"), errorMessage: String(error.message ?? ""), trace: stack };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

// How the log is written, and from which level on. The levels are Lambda's, in their order.
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const isJson = (process.env.AWS_LAMBDA_LOG_FORMAT ?? "").toUpperCase() === "JSON";
const leastLevel = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL ?? "").toUpperCase());

// An error within what is logged, as Lambda's runtime shows it.
function shown(error) {
  const stack = typeof error.stack === "string" ? error.stack.split("\n") : [];
  return { errorType: error.constructor?.name ?? "UnknownError", errorMessage: error.message, stackTrace: stack };
}

// One thing alone stays what it is; several are put together as text, with the first error among them told besides.
function logJson(level, words) {
  const told = { timestamp: new Date().toISOString(), level, requestId: current === null ? undefined : current.id };
  let line;
  try {
    if (words.length === 1) {
      told.message = words[0];
      line = JSON.stringify(told, (_, value) => (value instanceof Error ? { ...shown(value), ...value } : value));
    }
  } catch {
    // What is no JSON is text.
  }
  if (line === undefined) {
    told.message = format(...words);
    const error = words.length === 1 ? undefined : words.find((word) => word instanceof Error);
    line = JSON.stringify(error === undefined ? told : { ...told, ...shown(error) });
  }
  process.stdout.write(`${line}\n`);
}

function say(level, words) {
  if (LEVELS.indexOf(level) < leastLevel) return;
  if (isJson) logJson(level, words);
  else log(level, format(...words));
}

function log(level, text) {
  const line = `${new Date().toISOString()}\t${current === null ? "undefined" : current.id}\t${level}\t${text}`;
  // One record is one line, so lines within it are kept together by carriage returns.
  process.stdout.write(`${line.replace(/\n/g, "\r")}\n`);
}

function tellError(name, error) {
  if (isJson) {
    logJson("ERROR", [error]);
    return;
  }
  const { errorType, errorMessage, trace } = described(error);
  log("ERROR", `${name} \t${JSON.stringify({ errorType, errorMessage, stack: trace })}`);
}

// Each invocation has another trace. As a variable of the process, each would stay in its memory for ever: glibc keeps every value that a
// variable ever had. So this one is kept beside the others.
const TRACE = "_X_AMZN_TRACE_ID";
let trace;

function keepTraceAside() {
  const described = () => ({ value: trace, writable: true, enumerable: true, configurable: true });
  process.env = new Proxy(process.env, {
    get: (all, name) => (name === TRACE ? trace : all[name]),
    has: (all, name) => name === TRACE || name in all,
    set: (all, name, value) => {
      if (name === TRACE) trace = String(value);
      else all[name] = value;
      return true;
    },
    ownKeys: (all) => [...Reflect.ownKeys(all), TRACE],
    getOwnPropertyDescriptor: (all, name) => (name === TRACE ? described() : Reflect.getOwnPropertyDescriptor(all, name)),
  });
}

let api;
// The invocation that is worked on.
let current = null;

function fail(error) {
  tellError("Invoke Error", error);
  const body = described(error);
  finish("error", JSON.stringify(body), `Content-Type: application/json\r\n`);
}

function succeed(value) {
  let body;
  try {
    body = JSON.stringify(value === undefined ? null : value);
    if (body === undefined) body = "null";
  } catch (error) {
    return fail(new LoadError("Runtime.UnmarshalError", `Unable to stringify response body: ${error.message}`));
  }
  finish("response", body, "Content-Type: application/json\r\n");
}

// Ends the invocation and asks for the next.
function finish(kind, body, headers) {
  const { id } = current;
  current = null;
  api.socket.ref();
  api.answered = next;
  whenPrinted(() => api.post(`invocation/${id}/${kind}?next`, body, headers));
}

// What a call printed must leave before its answer does. A pipe takes 64 KiB at once; what is more waits in this process.
function whenPrinted(then) {
  let waiting = 1;
  const one = () => {
    waiting -= 1;
    if (waiting === 0) then();
  };
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0) {
      waiting += 1;
      stream.write("", one);
    }
  }
  one();
}

let handler;

function ask() {
  api.answered = next;
  api.get("invocation/next");
}

// The platform refused an answer (too large, say) and has told the caller; the next invocation goes on.
function refused(body) {
  process.stderr.write(`[ERROR] the platform refused the answer: ${body.toString()}\n`);
  ask();
}

function next(status, head, body) {
  if (status !== 200) return refused(body);
  const id = field(head, "lambda-runtime-aws-request-id");
  const mine = { id, isWaiting: true };
  current = mine;
  trace = field(head, "lambda-runtime-trace-id");
  const deadline = Number(field(head, "lambda-runtime-deadline-ms"));
  const once = (end) => (value) => {
    // A second answer is nobody's, and so is one that comes after the invocation.
    if (current === mine && !mine.isEnding) end(value);
  };
  const good = once((value) => (mine.endStream ? mine.endStream() : succeed(value)));
  const bad = once((error) => (mine.endStream ? mine.endStream(error) : fail(error)));
  // What calls back has its answer sent when there is nothing left to do, unless it says otherwise.
  const whenIdle = (end) => (value) => {
    if (current !== mine || mine.isEnding) return;
    if (!context.callbackWaitsForEmptyEventLoop) return end(value);
    mine.isEnding = true;
    mine.atExit = () => { mine.isEnding = false; end(value); };
  };
  const lateGood = whenIdle(good);
  const lateBad = whenIdle(bad);
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    invokedFunctionArn: field(head, "lambda-runtime-invoked-function-arn"),
    awsRequestId: id,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    succeed: (value) => good(value),
    fail: (error) => bad(error),
    done: (error, value) => (error === null || error === undefined ? good(value) : bad(error)),
  };
  const client = field(head, "lambda-runtime-client-context");
  if (client !== undefined) context.clientContext = JSON.parse(client);
  // What runs now keeps the process alive, the connection does not: when nothing is left, nobody will answer.
  api.socket.unref();
  mine.atExit = () => good(null);
  let event;
  try {
    event = JSON.parse(body.toString());
  } catch (error) {
    return fail(error);
  }
  try {
    if (handler[STREAM]) return stream(mine, event, context);
    const result = handler(event, context, (error, value) => (error === null || error === undefined ? lateGood(value) : lateBad(error)));
    if (result !== null && typeof result === "object" && typeof result.then === "function") result.then(good, bad);
  } catch (error) {
    bad(error);
  }
}

// The socket whose writes of this turn are held back.
let corked = null;

function uncork() {
  const socket = corked;
  corked = null;
  if (socket !== null) socket.uncork();
}

// Writes parts of a streamed answer. Those of one turn leave in one write, as node:http does it. Says whether more may be written at once.
function send(...parts) {
  const { socket } = api;
  if (corked !== socket) {
    uncork();
    corked = socket;
    socket.cork();
    process.nextTick(uncork);
  }
  let hasRoom = true;
  for (const part of parts) hasRoom = socket.write(part);
  return hasRoom;
}

// A handler of `awslambda.streamifyResponse`: what it writes goes on as it comes, in chunks; an error is told in the trailers.
function stream(mine, event, context) {
  const { Writable } = require("node:stream");
  let kind = "application/octet-stream";
  mine.hasBegun = false;
  const begin = () => {
    if (mine.hasBegun) return;
    mine.hasBegun = true;
    api.socket.ref();
    // Refused before its end, what is still written would be taken for the next request.
    api.answered = (status, head, body) => {
      current = null;
      const old = api.socket;
      api.connect();
      old.destroy();
      refused(body);
    };
    send(
      `POST ${API}invocation/${mine.id}/response HTTP/1.1\r\nHost: ${api.host}\r\n` +
        `Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: ${kind}\r\nTransfer-Encoding: chunked\r\n` +
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n",
    );
  };
  const end = (error) => {
    if (current !== mine) return;
    if (error && !mine.hasBegun) return fail(error);
    begin();
    current = null;
    api.answered = (status, head, body) => (status < 300 ? ask() : refused(body));
    let trailers = "";
    if (error) {
      current = mine;
      tellError("Invoke Error", error);
      current = null;
      const { errorType, errorMessage, trace } = described(error);
      const told = Buffer.from(JSON.stringify({ errorType, errorMessage, trace })).toString("base64");
      const type = errorType.replace(/[^\x21-\x7e]/g, "?");
      trailers = `Lambda-Runtime-Function-Error-Type: ${type}\r\nLambda-Runtime-Function-Error-Body: ${told}\r\n`;
    }
    whenPrinted(() => send(`0\r\n${trailers}\r\n`));
  };
  mine.endStream = end;
  const responseStream = new Writable({
    write(chunk, encoding, done) {
      if (current !== mine) return done(new Error("the invocation has ended"));
      begin();
      const piece = typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
      if (piece.length === 0) return done();
      const hasRoom = send(`${piece.length.toString(16)}\r\n`, piece, "\r\n");
      if (hasRoom) return done();
      // A caller that reads slowly makes the handler wait, and one that is refused must not make it wait for ever.
      const { socket } = api;
      const go = () => {
        socket.off("drain", go);
        socket.off("close", go);
        done();
      };
      socket.on("drain", go);
      socket.on("close", go);
    },
    final(done) {
      end();
      done();
    },
  });
  responseStream.setContentType = (type) => {
    if (mine.hasBegun) throw new Error("Cannot set content type, too late.");
    kind = String(type).replace(/[\r\n]/g, " ");
  };
  responseStream.on("error", (error) => end(error));
  mine.atExit = () => end();
  const result = handler(event, responseStream, context);
  if (result !== null && typeof result === "object" && typeof result.then === "function") {
    result.then(
      () => { if (!responseStream.writableEnded) responseStream.end(); },
      (error) => end(error),
    );
  }
}

globalThis.awslambda = {
  streamifyResponse(inner, options) {
    const outer = (event, responseStream, context) => inner(event, responseStream, context);
    outer[STREAM] = options ?? {};
    return outer;
  },
  HttpResponseStream: {
    from(responseStream, prelude) {
      responseStream.setContentType("application/vnd.awslambda.http-integration-response");
      responseStream.write(JSON.stringify(prelude));
      // Eight zero bytes end the prelude.
      responseStream.write(Buffer.alloc(8));
      return responseStream;
    },
  },
};

let isLoading = true;
let isDying = false;

// Says why there will be no calls, and ends.
function failToLoad(told, status) {
  isDying = true;
  const type = told.errorType.replace(/[^\x21-\x7e]/g, "?");
  api.answered = () => process.exit(status);
  api.post("init/error", JSON.stringify(told), `Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: ${type}\r\n`);
}

// What nobody caught ends the process, after it was told.
function die(error) {
  const type = error && error.name ? String(error.name) : "Runtime.Error";
  tellError("Uncaught Exception", error);
  if (isDying) return;
  if (current === null && !isLoading) process.exit(129);
  isDying = true;
  if (isLoading) return failToLoad(described(error), 129);
  const { id, hasBegun, endStream } = current;
  if (hasBegun) {
    endStream(error);
    api.answered = () => process.exit(129);
    return;
  }
  // Nothing else may answer.
  current = null;
  const body = JSON.stringify(described(error));
  api.answered = () => process.exit(129);
  api.socket.ref();
  api.post(`invocation/${id}/error`, body, `Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: ${type.replace(/[^\x21-\x7e]/g, "?")}\r\n`);
}

class UnhandledPromiseRejection extends Error {
  constructor(reason) {
    super(reason && reason.message !== undefined ? `${reason.name ?? "Error"}: ${reason.message}` : String(reason));
    this.name = "Runtime.UnhandledPromiseRejection";
    if (reason && reason.stack) this.stack = reason.stack;
  }
}

async function main() {
  for (const [name, level] of [["log", "INFO"], ["info", "INFO"], ["debug", "DEBUG"], ["trace", "TRACE"], ["warn", "WARN"], ["error", "ERROR"], ["fatal", "FATAL"]]) {
    console[name] = (...words) => say(level, words);
  }
  process.on("uncaughtException", die);
  process.on("unhandledRejection", (reason) => die(new UnhandledPromiseRejection(reason)));
  process.on("exit", uncork);
  process.on("beforeExit", () => {
    if (current !== null && current.atExit) current.atExit();
  });
  api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
  process.argv.length = 1;
  keepTraceAside();
  try {
    handler = await loadHandler(process.env._HANDLER, process.env.LAMBDA_TASK_ROOT);
  } catch (error) {
    const told = described(error);
    process.stderr.write(`${told.errorType}: ${told.errorMessage}\n`);
    failToLoad(told, 1);
    return;
  }
  // A rejection that nobody caught while the code was loaded is told before the next turn.
  setImmediate(() => {
    if (isDying) return;
    isLoading = false;
    ask();
  });
}

main();
