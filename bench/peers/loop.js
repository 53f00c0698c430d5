// The peer of a warm call in Node.js: a plain socket around the same handler, with nothing between but bytes.
//
// `loop.js FOLDER WORKERS` loads `handler` from FOLDER/hello.js, prints its port, and answers HTTP/1.1 on kept connections in WORKERS
// processes, to which connections go in turn. It does what any server must: finds the end of the head, makes the event of it, calls the
// handler, writes head and body at once; or, for a handler that streams, the head with the first piece and a chunk for each piece. It ends
// when its standard input does.
"use strict";

const cluster = require("node:cluster");
const net = require("node:net");
const path = require("node:path");

globalThis.awslambda = {
  streamifyResponse: (handler) => Object.assign(handler, { streams: true }),
  HttpResponseStream: {
    from(stream, { statusCode, headers }) {
      stream.head = head(statusCode, headers, "transfer-encoding: chunked");
      return stream;
    },
  },
};

function head(status, headers, length) {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} OK\r\n${fields.join("")}${length}\r\n\r\n`;
}

class Chunks {
  constructor(socket) {
    this.socket = socket;
    this.head = "";
  }

  write(text) {
    this.socket.write(`${this.head}${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
    this.head = "";
  }

  end() {
    this.socket.write("0\r\n\r\n");
  }
}

async function answer(socket, text, handler) {
  const [line, ...fields] = text.split("\r\n");
  const [method, target] = line.split(" ");
  const headers = {};
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  const [rawPath, rawQueryString = ""] = target.split("?");
  const http = { method, path: rawPath };
  const event = { version: "2.0", rawPath, rawQueryString, headers, requestContext: { http } };
  if (handler.streams) return handler(event, new Chunks(socket), {});
  const { statusCode, headers: own, body } = await handler(event, {});
  socket.write(head(statusCode, own, `content-length: ${Buffer.byteLength(body)}`) + body);
}

function serve(handler) {
  const server = net.createServer({ noDelay: true }, (socket) => {
    let buffer = "";
    socket.on("data", (piece) => {
      buffer += piece.latin1Slice();
      const end = buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const text = buffer.slice(0, end);
      buffer = buffer.slice(end + 4);
      answer(socket, text, handler).catch((error) => socket.destroy(error));
    });
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
}

const [folder, workers] = process.argv.slice(2);
if (cluster.isPrimary) {
  const all = Array.from({ length: Number(workers) }, () => cluster.fork());
  let ready = 0;
  cluster.on("listening", (_, { port }) => {
    ready += 1;
    if (ready === all.length) console.log(port);
  });
  process.stdin.resume().on("end", () => {
    for (const worker of all) worker.process.kill("SIGKILL");
    process.exit(0);
  });
} else {
  serve(require(path.resolve(folder, "hello.js")).handler);
}
