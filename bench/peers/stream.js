// A handler that streams: one piece at once, another when the first has gone out.
"use strict";

const PAUSE_MS = 2;

exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const head = { statusCode: 200, headers: { "content-type": "text/plain" } };
  stream = awslambda.HttpResponseStream.from(stream, head);
  stream.write("first");
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  stream.write("second");
  stream.end();
});
