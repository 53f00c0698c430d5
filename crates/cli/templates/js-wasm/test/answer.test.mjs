// Run with: node --test

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { answer } from "../function/answer.mjs";

const ask = (method, path, body) => answer(new Request(`http://localhost${path}`, { method, body }));

test("it greets by name", async () => {
  const event = await readFile(new URL("../events/hello.json", import.meta.url), "utf8");
  for (const greeting of [await ask("GET", "/hello/Ada"), await ask("POST", "/", event)]) {
    assert.equal(greeting.status, 200);
    assert.deepEqual(await greeting.json(), { hello: "Ada" });
  }
});

test("it knows no other path", async () => {
  assert.equal((await ask("GET", "/other")).status, 404);
});
