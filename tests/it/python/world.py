"""The outside of a sandbox, on loopback: a name server and servers that functions connect to. Prints where they are, and ends with its
standard input."""

import http.server
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

# What names resolve to; a list of lists is what they resolve to one time after the other.
NAMES = {
    "api.example.test": ["127.0.0.1"],
    "other.example.test": ["127.0.0.1"],
    "private.example.test": ["10.0.0.1"],
    "metadata.example.test": ["169.254.169.254"],
    "empty.example.test": [],
}
REBOUND = "rebind.example.test"
asked = {}


def resolved(name):
    if name == REBOUND:
        asked[name] = asked.get(name, 0) + 1
        return ["93.184.216.34"] if asked[name] == 1 else ["127.0.0.2"]
    return NAMES.get(name)


def answer(question):
    end, labels = 12, []
    while question[end]:
        labels.append(question[end + 1 : end + 1 + question[end]].decode())
        end += question[end] + 1
    kind = struct.unpack(">H", question[end + 1 : end + 3])[0]
    name = ".".join(labels).lower()
    found = resolved(name) if kind == 1 else ([] if name in NAMES or name == REBOUND else None)
    code = 3 if found is None else 0
    records = b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address) for address in found or []
    )
    header = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found or []), 0, 0)
    return header + question[12 : end + 5] + records


def serve_names(server):
    while True:
        question, client = server.recvfrom(4096)
        server.sendto(answer(question), client)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest/meta-data/")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = self.path[1:].encode() if not self.path.startswith("/bytes/") else b"x" * int(self.path[7:])
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that go away are what the tests are about."""


class Upper(socketserver.BaseRequestHandler):
    """Answers only after its client has said that it has no more."""

    def handle(self):
        said = b""
        while piece := self.request.recv(65536):
            said += piece
        self.request.sendall(said.upper())


class Echoes(socketserver.ThreadingTCPServer):
    request_queue_size = 1024
    daemon_threads = True


def start(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 0))
threading.Thread(target=serve_names, args=(names,), daemon=True).start()

folder = tempfile.mkdtemp()

certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]
    + ["-subj", "/CN=api.example.test", "-addext", "subjectAltName=DNS:api.example.test"]
    # As an authority's it would be refused as a server's.
    + ["-addext", "basicConstraints=critical,CA:FALSE"],
    check=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
secure = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
secure.socket = context.wrap_socket(secure.socket, server_side=True)

print(
    json.dumps(
        {
            "names": names.getsockname()[1],
            "http": start(Server(("127.0.0.1", 0), Handler)),
            "https": start(secure),
            "upper": start(Echoes(("127.0.0.1", 0), Upper)),
            "certificate": open(certificate).read(),
        }
    ),
    flush=True,
)
sys.stdin.read()
