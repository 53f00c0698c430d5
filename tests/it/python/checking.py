"""What the black-box scripts share: one line per check, an end at the first failure, waiting, and plain HTTP.

Plain `http.client`, not a comfortable library: it sends paths and bodies as they are and follows nothing.
"""

import http.client
import json
import sys
import time
import urllib.parse

PATIENCE = 30.0  # seconds; a cold start on a busy machine is the longest thing that is waited for


def fail(message):
    """Ends the script: what was expected, and what was there."""
    print(f"FAILED  {message}", flush=True)
    sys.exit(1)


def check(name, holds, seen=None):
    """Prints one line, or ends the script with what was seen instead."""
    if not holds:
        fail(f"{name}: saw {seen!r}" if seen is not None else name)
    print(f"ok      {name}", flush=True)


def equal(name, seen, expected):
    """A check that two values are the same."""
    if seen != expected:
        fail(f"{name}\n  expected {expected!r}\n  saw      {seen!r}")
    print(f"ok      {name}", flush=True)


def until(name, look, patience=PATIENCE):
    """Looks again and again until there is something to see, and returns it."""
    end = time.monotonic() + patience
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            fail(f"{name}: not within {patience:g} s, last saw {seen!r}")
        time.sleep(0.05)


class Answer:
    """Status, headers (by lower-case name) and body of one answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        """The body as JSON, which it must be."""
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip() != "application/json":
            fail(f"the answer is not JSON: {self}")
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class Site:
    """One origin, with a new connection for each request, so that threads may share it."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    def connect(self):
        """A connection of one's own, for keep-alive."""
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, headers=None):
        """Sends one request. A body that is not text or bytes is sent as JSON."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        """A GET; `If_None_Match="…"` gives a header."""
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
