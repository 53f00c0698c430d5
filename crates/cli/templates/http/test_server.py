"""Run with: python3 -m unittest"""

import http.client
import json
import pathlib
import threading
import unittest

from server import server

EVENT = pathlib.Path(__file__).parent / "events" / "hello.json"


class Server(unittest.TestCase):
    def setUp(self):
        self.server = server.serve(0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port)
        connection.request(method, path, body)
        answer = connection.getresponse()
        value = json.loads(answer.read())
        connection.close()
        return answer.status, value

    def test_it_greets_by_name(self):
        self.assertEqual(self.ask("GET", "/hello/Ada"), (200, {"hello": "Ada"}))
        self.assertEqual(self.ask("POST", "/", EVENT.read_text()), (200, {"hello": "Ada"}))

    def test_it_knows_no_other_path(self):
        self.assertEqual(self.ask("GET", "/other")[0], 404)
