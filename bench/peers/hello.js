// The handler of the benchmarks: as little as a function can do.
"use strict";

exports.handler = async () => ({ statusCode: 200, headers: { "content-type": "text/plain" }, body: "hello" });
