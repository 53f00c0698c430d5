"""What the functions share: reading, checking and storing orders, and answering in JSON.

Nothing here talks to a service, so all of it can be tested without one (see ../tests).
"""

import base64
import json
import re
import uuid
from datetime import datetime, timezone
from decimal import Decimal

TABLE = "orders"
RECEIPTS = "receipts"

# Bounds keep an order under 40 KB (a row holds 400) and every sum within the 28 digits
# that Decimal adds exactly: 100 items x 1,000,000 pieces x 15 digits before the point.
MAX_BODY = 256 * 1024
MAX_ITEMS = 100
MAX_QUANTITY = 1_000_000
MAX_CUSTOMER = 200
MAX_SKU = 64
MAX_STATUS = 40
PRICE = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,2})?")
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

FIELDS = ("id", "customer", "items", "status", "total", "created_at")


class Invalid(Exception):
    """The request cannot be accepted. `field` tells where: `items[0].price`, or None for the body as a whole."""

    def __init__(self, message, field=None):
        super().__init__(message)
        self.message = message
        self.field = field


# --- Requests -------------------------------------------------------------------------------------


def order_id(event):
    """The id in the path, or None when it cannot be one of ours: then no table need be asked."""
    value = event["pathParameters"]["id"]
    return value if ID.fullmatch(value) else None


def read_body(event):
    """The request's body, which must be one JSON object in UTF-8."""
    body = event.get("body") or ""
    if len(body) > MAX_BODY:
        raise Invalid(f"The body is too large: {MAX_BODY:,} characters are more than any order needs.")
    try:
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode()
        document = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode()  # raises on half of a surrogate pair
    except RecursionError:
        raise Invalid("The body is not valid JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body is not valid JSON: {error}.") from None
    return document


def _no_duplicates(pairs):
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a field appears twice in one object")
    return document


def _no_constant(name):
    raise ValueError(f"{name} is not a JSON value")


# --- Checks ---------------------------------------------------------------------------------------


def check_new(document):
    """What a new order may say: customer and items."""
    _check_fields(document, required=("customer", "items"))
    return {
        "customer": _check_text(document["customer"], "customer", MAX_CUSTOMER),
        "items": _check_items(document["items"]),
    }


def check_replacement(document):
    """What may replace an order: customer and items, and a status."""
    _check_fields(document, required=("customer", "items"), optional=("status",))
    order = {
        "customer": _check_text(document["customer"], "customer", MAX_CUSTOMER),
        "items": _check_items(document["items"]),
    }
    if "status" in document:
        order["status"] = _check_text(document["status"], "status", MAX_STATUS)
    return order


def _check_items(items):
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise Invalid(f"Must be a list of 1 to {MAX_ITEMS} items.", "items")
    return [_check_item(item, f"items[{index}]") for index, item in enumerate(items)]


def _check_item(item, path):
    _check_fields(item, required=("sku", "quantity", "price"), path=path)
    return {
        "sku": _check_text(item["sku"], f"{path}.sku", MAX_SKU),
        "quantity": _check_quantity(item["quantity"], f"{path}.quantity"),
        "price": _check_price(item["price"], f"{path}.price"),
    }


def _check_fields(document, required, optional=(), path=None):
    if not isinstance(document, dict):
        raise Invalid("Must be a JSON object.", path)
    prefix = f"{path}." if path else ""
    for name in document:
        if name not in required and name not in optional:
            known = ", ".join(required + optional)
            raise Invalid(f"Unknown field. Known here: {known}.", prefix + name[:100])
    for name in required:
        if name not in document:
            raise Invalid("Missing.", prefix + name)


def _check_text(value, field, longest):
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise Invalid(f"Must be a text of 1 to {longest} characters.", field)
    return value


def _check_quantity(value, field):
    # `type` and not `isinstance`: True is an int in Python, but no quantity.
    if type(value) is not int or not 1 <= value <= MAX_QUANTITY:
        raise Invalid(f"Must be a whole number from 1 to {MAX_QUANTITY:,}.", field)
    return value


def _check_price(value, field):
    if not isinstance(value, str) or not PRICE.fullmatch(value):
        raise Invalid('Must be a string like "9.90": 0 or more, at most 2 decimal places.', field)
    return value


# --- Orders ---------------------------------------------------------------------------------------


def new_order(document):
    """A checked document as a complete order."""
    checked = check_new(document)
    return {
        "id": uuid.uuid4().hex,
        "customer": checked["customer"],
        "items": checked["items"],
        "status": "new",
        "total": total(checked["items"]),
        "created_at": now(),
    }


def total(items):
    """The exact sum of the items, with two decimal places."""
    amount = sum(item["quantity"] * Decimal(item["price"]) for item in items)
    return f"{amount:.2f}"


def now():
    """This moment, as 2026-01-31T12:00:00.000Z."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- Rows -----------------------------------------------------------------------------------------


def key(id):
    """The key of an order, and of its receipt."""
    return {"id": {"S": id}}


def to_row(order):
    """An order, or a part of one, as a table stores it: each value with its type."""
    return {name: _typed(value) for name, value in order.items()}


def from_row(row):
    """A row of the table as an order. Rows may also come from other tools: what they lack is left out."""
    return {name: _plain(row[name]) for name in FIELDS if name in row}


def receipt_from_row(row):
    """A row of the receipts' table as a receipt."""
    return {"order": row["id"]["S"], "total": row["total"]["S"], "issued_at": row["issued_at"]["S"]}


def _typed(value):
    if isinstance(value, dict):
        return {"M": to_row(value)}
    if isinstance(value, list):
        return {"L": [_typed(inner) for inner in value]}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"S": value}


def _plain(value):
    ((kind, inner),) = value.items()
    if kind == "M":
        return {name: _plain(each) for name, each in inner.items()}
    if kind == "L":
        return [_plain(each) for each in inner]
    if kind == "N":
        return int(inner) if inner.isdigit() else float(inner)
    return None if kind == "NULL" else inner


# --- Answers --------------------------------------------------------------------------------------


def answer(status, document, headers=None):
    """An HTTP answer with a JSON body."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(document, ensure_ascii=False, default=str),
    }


def refused(error):
    """400: what is wrong, and where."""
    return answer(400, {"message": error.message, "field": error.field})


def not_found(message="There is no such order."):
    """404, with the reason."""
    return answer(404, {"message": message})
