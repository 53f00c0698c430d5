// An ordinary Express server. It listens where PORT says, and nothing in it is for Aloft.
const express = require("express");

const app = express();
app.use(express.json());

app.get("/express/hello/:name", (request, response) => {
  response.set("x-server", "express").cookie("seen", "yes").json({ hello: request.params.name, query: request.query });
});

app.post("/express/echo", (request, response) => {
  response.status(201).json({ body: request.body, from: request.ip, headers: request.headers });
});

// Server-sent events: what comes after the first is said when somebody asks for it.
const listeners = new Set();
app.get("/express/news", (request, response) => {
  response.set("content-type", "text/event-stream");
  response.write("data: welcome\n\n");
  listeners.add(response);
  request.on("close", () => listeners.delete(response));
});
app.post("/express/news", (request, response) => {
  for (const listener of listeners) listener.end(`data: ${request.body.text}\n\n`);
  response.json({ told: listeners.size });
});

app.get("/express/exit", () => process.exit(7));

// A call that is no request: `aloft invoke express`.
app.post("/", (request, response) => response.json({ called: request.body }));

app.listen(process.env.PORT, () => console.log(`listens on ${process.env.PORT}`));
