"""Run with: python3 -m unittest"""

import json
import pathlib
import unittest

from functions import hello

EVENT = pathlib.Path(__file__).parent / "events" / "hello.json"


class Hello(unittest.TestCase):
    def test_it_greets_by_name(self):
        answer = hello.handler(json.loads(EVENT.read_text()), None)
        self.assertEqual(answer["statusCode"], 200)
        self.assertEqual(json.loads(answer["body"]), {"hello": "Ada"})
