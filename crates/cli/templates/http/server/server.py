"""A server that listens where PORT says: GET /hello/{name} greets. Any server in any language will do."""

import http.server
import json
import os


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith("/hello/"):
            return self.answer(404, {"message": f"there is no {self.path}"})
        self.answer(200, {"hello": self.path.removeprefix("/hello/")})

    def do_POST(self):
        """A call that is no request comes as a POST to /: an event of a rule, or `aloft invoke`."""
        event = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.answer(200, {"hello": event["name"]})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(port):
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    serve(int(os.environ["PORT"])).serve_forever()
