// Run with: node --test (Node.js 22.18 or newer, which runs TypeScript as it is)

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { handler } from "../functions/hello.ts";

test("it greets by name", async () => {
  const event = JSON.parse(await readFile(new URL("../events/hello.json", import.meta.url)));
  const answer = await handler(event);
  assert.equal(answer.statusCode, 200);
  assert.deepEqual(JSON.parse(answer.body), { hello: "Ada" });
});
