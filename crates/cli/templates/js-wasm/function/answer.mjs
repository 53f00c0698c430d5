// GET /hello/{name}: greets. A call that is no request, such as an event of a rule or `aloft invoke`, is a POST to /.

export async function answer(request) {
  const { pathname } = new URL(request.url);
  if (request.method === "GET" && pathname.startsWith("/hello/")) {
    return json(200, { hello: pathname.slice("/hello/".length) });
  }
  if (request.method === "POST" && pathname === "/") {
    const event = await request.json();
    return json(200, { hello: event.name });
  }
  return json(404, { message: `there is no ${pathname}` });
}

function json(status, value) {
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json" } });
}
