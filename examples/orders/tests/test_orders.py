"""Reading, checking and counting orders: plain functions, so no service and no boto3 is needed.

    python3 -m unittest discover -s examples/orders/tests
"""

import base64
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "functions"))

import orders  # noqa: E402

ITEM = {"sku": "A1", "quantity": 2, "price": "9.90"}
ORDER = {"customer": "ada", "items": [ITEM]}


def event(body, **more):
    return {"body": body if isinstance(body, str) else json.dumps(body), "isBase64Encoded": False, **more}


class Body(unittest.TestCase):
    def test_reads_text_and_base64(self):
        self.assertEqual(orders.read_body(event(ORDER)), ORDER)
        encoded = base64.b64encode('{"customer":"zoë"}'.encode()).decode()
        self.assertEqual(orders.read_body(event(encoded, isBase64Encoded=True)), {"customer": "zoë"})

    def test_refuses_what_is_not_json(self):
        refused = {
            "nothing": "",
            "half": '{"customer":',
            "two": "{} {}",
            "a byte order mark": "\ufeff{}",
            "NaN": '{"customer": NaN}',
            "Infinity": '{"customer": -Infinity}',
            "a field twice": '{"customer": "a", "customer": "b"}',
            "a nested field twice": '{"items": [{"sku": "a", "sku": "b"}]}',
            "half of a surrogate pair": '{"customer": "\\ud800"}',
            "the same in a name": '{"\\udfff": 1}',
            "an endless number": '{"quantity": ' + "9" * 5000 + "}",
            "endless nesting": "[" * 100_000,
            "endless objects": '{"a":' * 40_000,
            "too much of it": " " * orders.MAX_BODY + "{}",
        }
        for name, body in refused.items():
            with self.subTest(name), self.assertRaises(orders.Invalid) as caught:
                orders.read_body(event(body))
            json.dumps(orders.refused(caught.exception), ensure_ascii=False).encode()
            self.assertIsNone(caught.exception.field)

    def test_refuses_bad_base64_and_bad_utf8(self):
        for body in ("a", base64.b64encode(b'"\xff"').decode()):
            with self.subTest(body), self.assertRaises(orders.Invalid):
                orders.read_body(event(body, isBase64Encoded=True))

    def test_a_missing_body_is_refused(self):
        with self.assertRaises(orders.Invalid):
            orders.read_body({"isBase64Encoded": False})


class Checks(unittest.TestCase):
    def assert_field(self, field, document, check=orders.check_new):
        with self.assertRaises(orders.Invalid) as caught:
            check(document)
        self.assertEqual(caught.exception.field, field)

    def test_accepts_an_order(self):
        self.assertEqual(orders.check_new(ORDER), ORDER)
        self.assertEqual(orders.check_replacement({**ORDER, "status": "paid"}), {**ORDER, "status": "paid"})
        self.assertNotIn("status", orders.check_replacement(ORDER))

    def test_names_the_field_of_a_bad_document(self):
        for document in ([], "order", 1, None, True):
            self.assert_field(None, document)
        self.assert_field("customer", {})
        self.assert_field("items", {"customer": "ada"})
        self.assert_field("customer", {"items": [ITEM]})
        self.assert_field("extra", {**ORDER, "extra": 1})
        self.assert_field("status", {**ORDER, "status": "paid"})  # a new order is new
        self.assert_field("id", {**ORDER, "id": "1"}, orders.check_replacement)
        self.assert_field("total", {**ORDER, "total": "0.00"}, orders.check_replacement)

    def test_names_the_field_of_a_bad_text(self):
        for value in ("", "  ", "x" * 201, 7, None, True, [], {}):
            self.assert_field("customer", {**ORDER, "customer": value})
            self.assert_field("status", {**ORDER, "status": value}, orders.check_replacement)

    def test_names_the_field_of_bad_items(self):
        for value in ([], {}, "A1", None, [ITEM] * 101):
            self.assert_field("items", {**ORDER, "items": value})
        for value in (None, "A1", [], 3):
            self.assert_field("items[1]", {**ORDER, "items": [ITEM, value]})
        self.assert_field("items[0].colour", {**ORDER, "items": [{**ITEM, "colour": "red"}]})
        for name in ITEM:
            lacking = {other: value for other, value in ITEM.items() if other != name}
            self.assert_field(f"items[0].{name}", {**ORDER, "items": [lacking]})

    def test_names_the_field_of_a_bad_quantity(self):
        for value in (0, -1, 1.0, 2.5, "2", True, None, [], 1_000_001, 10**400, float("inf")):
            self.assert_field("items[0].quantity", {**ORDER, "items": [{**ITEM, "quantity": value}]})

    def test_names_the_field_of_a_bad_price(self):
        texts = ["", " ", "-1", "+1", "1.", ".5", "1.234", "1e3", "1E3", "NaN", "Infinity", "0x1", "1_000"]
        texts += ["1,50", " 1", "1 ", "1\n", "01", "٣", "1.٣", "９", "9" * 16, "9" * 100_000, "1.1.1"]
        for value in [*texts, 9.9, 9, None, True, [], {}]:
            self.assert_field("items[1].price", {**ORDER, "items": [ITEM, {**ITEM, "price": value}]})

    def test_accepts_every_good_price(self):
        for value in ("0", "0.0", "0.00", "7", "7.5", "7.50", "9" * 15 + ".99"):
            self.assertEqual(orders.check_new({**ORDER, "items": [{**ITEM, "price": value}]})["items"][0]["price"], value)

    def test_a_long_unknown_name_makes_no_long_answer(self):
        with self.assertRaises(orders.Invalid) as caught:
            orders.check_new({**ORDER, "x" * 100_000: 1})
        self.assertLess(len(orders.refused(caught.exception)["body"]), 500)


class Totals(unittest.TestCase):
    def test_are_exact(self):
        def total(*lines):
            return orders.total([{"quantity": quantity, "price": price} for quantity, price in lines])

        self.assertEqual(total((2, "9.90")), "19.80")
        self.assertEqual(total((1, "0")), "0.00")
        self.assertEqual(total((3, "0.1"), (1, "0.2")), "0.50")
        self.assertEqual(total((1, "0.1"), (1, "0.2")), "0.30")  # 0.30000000000000004 in floating point
        self.assertEqual(total((7, "1.01"), (1, "2")), "9.07")

    def test_are_exact_at_the_bounds(self):
        price = "9" * 15 + ".99"
        items = [{"quantity": orders.MAX_QUANTITY, "price": price}] * orders.MAX_ITEMS
        cents = int(price.replace(".", "")) * orders.MAX_QUANTITY * orders.MAX_ITEMS
        self.assertEqual(orders.total(items).replace(".", ""), str(cents))


class Rows(unittest.TestCase):
    def test_an_order_comes_back_as_it_was(self):
        order = orders.new_order(ORDER)
        row = orders.to_row(order)
        self.assertEqual(row["items"]["L"][0]["M"]["quantity"], {"N": "2"})
        self.assertEqual(row["total"], {"S": "19.80"})
        self.assertEqual(orders.from_row(row), order)
        self.assertEqual(list(orders.from_row(dict(reversed(row.items())))), list(orders.FIELDS))

    def test_rows_of_other_tools_can_be_read(self):
        row = {"id": {"S": "x"}, "total": {"N": "1.5"}, "status": {"NULL": True}, "other": {"B": b"\0"}}
        self.assertEqual(orders.from_row(row), {"id": "x", "status": None, "total": 1.5})

    def test_the_largest_order_fits_a_row(self):
        item = {"sku": "\U0001f600" * orders.MAX_SKU, "quantity": orders.MAX_QUANTITY, "price": "9" * 15 + ".99"}
        largest = {"customer": "\U0001f600" * orders.MAX_CUSTOMER, "items": [item] * orders.MAX_ITEMS}
        body = json.dumps(largest)
        order = orders.new_order(orders.read_body(event(body)))
        self.assertLess(len(json.dumps(orders.to_row(order), ensure_ascii=False).encode()), 48 * 1024)


class Paths(unittest.TestCase):
    def test_only_possible_ids_are_looked_up(self):
        self.assertEqual(orders.order_id({"pathParameters": {"id": "demo-1"}}), "demo-1")
        for id in ("", "a" * 65, "a/b", "a b", "ä", "a\n", "..", "%00"):
            self.assertIsNone(orders.order_id({"pathParameters": {"id": id}}), id)


if __name__ == "__main__":
    unittest.main()
