"""The sample's whole story over real HTTP: every status, header and body that examples/orders promises.

    python3 orders.py APP_URL API_URL

APP_URL is the application (`aloft dev` on examples/orders), API_URL the services. `AWS` in the environment names the AWS
command line. The tables may hold other rows already: the script looks only at its own.
"""

import base64
import json
import os
import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

from checking import Site, check, equal, until

ITEM = {"sku": "A1", "quantity": 2, "price": "9.90"}
ORDER = {"customer": "ada", "items": [ITEM]}
WEB = Path(__file__).resolve().parents[3] / "examples/orders/web"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

# Any key in any region will do. boto3 and the Python AWS command line read only AWS_DEFAULT_REGION, the newer
# command line and the other SDKs only AWS_REGION.
REGION = "eu-central-1"
ACCESS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}

app = Site(sys.argv[1])
api = Site(sys.argv[2])
dynamodb = boto3.client(
    "dynamodb",
    endpoint_url=sys.argv[2],
    region_name=REGION,
    aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
    config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20),
)


def main():
    order = create()
    read(order)
    receipt(order)
    replaced = replace(order)
    refusals(order)
    unknown_ids()
    methods(order)
    page()
    same_rows(replaced)
    delete(replaced)
    rows_of_other_tools()
    bodies()
    many_at_once()
    no_order_comes_back()
    no_receipt_is_left()
    longer_than_a_page()


# --- One order --------------------------------------------------------------------------------


def placed(order=None):
    """A new order, however it is placed is not the point."""
    answer = app.ask("POST", "/orders", order or ORDER)
    if answer.status != 201:
        check("POST /orders answers 201", False, answer)
    return answer.json()


def create():
    answer = app.ask("POST", "/orders", ORDER, {"Content-Type": "application/json"})
    equal("POST /orders answers 201", answer.status, 201)
    order = answer.json()
    equal("Location names the order", answer.headers.get("location"), f"/orders/{order['id']}")
    expected = {**ORDER, "id": order["id"], "status": "new", "total": "19.80", "created_at": order["created_at"]}
    equal("the order comes back with id, status, total", order, expected)
    check("created_at is an instant", INSTANT.fullmatch(order["created_at"]), order["created_at"])
    prices = [{**ITEM, "quantity": 3, "price": "0.1"}, {**ITEM, "quantity": 1, "price": "0.2"}]
    equal("sums are exact", placed({**ORDER, "items": prices})["total"], "0.50")
    high = [{**ITEM, "quantity": 999_999, "price": "999999999999999.99"}]
    equal("large sums are exact", placed({**ORDER, "items": high})["total"], "999998999999999990000.01")
    name = "Zoë 😀 \u202e\u0000 </script><b>"
    strange = placed({**ORDER, "customer": name})
    equal("any text survives", app.get(f"/orders/{strange['id']}").json()["customer"], name)
    return order


def read(order):
    path = f"/orders/{order['id']}"
    answer = app.get(path)
    equal("GET /orders/{id} answers 200", answer.status, 200)
    equal("GET /orders/{id} gives the order", answer.json(), order)
    listed = app.get("/orders")
    equal("GET /orders answers 200", listed.status, 200)
    equal("GET /orders gives only orders", list(listed.json()), ["orders"])
    check("GET /orders has the order, once", listed.json()["orders"].count(order) == 1, listed)
    times = [each.get("created_at", "") for each in listed.json()["orders"]]
    equal("GET /orders gives the newest first", times, sorted(times, reverse=True))
    for each in (path, "/orders"):
        got, head = app.get(each), app.ask("HEAD", each)
        equal(f"HEAD {each.replace(order['id'], '{id}')} answers as GET, without a body", (head.status, head.body), (200, b""))
        for name in ("content-type", "content-length"):
            equal(f"HEAD has GET's {name}", head.headers.get(name), got.headers.get(name))
    equal("a query changes nothing", app.get(path + "?a=b&c").json(), order)
    connection = app.connect()
    for _ in range(3):
        connection.request("GET", path)
        response = connection.getresponse()
        kept = json.loads(response.read())
    equal("one connection serves many requests", kept, order)
    connection.close()


def receipt_of(id):
    answer = app.get(f"/orders/{id}/receipt")
    check_quietly(answer.status in (200, 404), "the receipt is there, or 404", answer)
    return answer.json() if answer.status == 200 else None


def check_quietly(holds, name, seen):
    if not holds:
        check(name, False, seen)


def receipt(order):
    issued = until("the receipt appears", lambda: receipt_of(order["id"]))
    equal("GET /orders/{id}/receipt: order, total, issued_at", list(issued), ["order", "total", "issued_at"])
    equal("the receipt names its order", issued["order"], order["id"])
    equal("the receipt has the order's total", issued["total"], order["total"])
    check("issued_at is an instant", INSTANT.fullmatch(issued["issued_at"]), issued)
    check("the receipt is not older than its order", issued["issued_at"] >= order["created_at"], issued)
    equal("GET /receipts?order={id}", app.get(f"/receipts?order={order['id']}").json(), {"receipts": [issued]})
    check("GET /receipts has it", issued in app.get("/receipts").json()["receipts"])
    equal("GET /receipts?order=unknown", app.get("/receipts?order=unknown").json(), {"receipts": []})


def replace(order):
    path = f"/orders/{order['id']}"
    issued = receipt_of(order["id"])
    items = [{"sku": "B2", "quantity": 1, "price": "0.1"}, {"sku": "C3", "quantity": 10, "price": "3"}]
    answer = app.ask("PUT", path, {"customer": "grace", "items": items, "status": "paid"})
    equal("PUT /orders/{id} answers 200", answer.status, 200)
    expected = {**order, "customer": "grace", "items": items, "status": "paid", "total": "30.10"}
    equal("PUT replaces and counts anew, id and created_at stay", answer.json(), expected)
    equal("GET sees what PUT wrote", app.get(path).json(), expected)
    again = app.ask("PUT", path, {"customer": "grace", "items": items})
    equal("PUT without a status keeps it", again.json(), expected)
    equal("the receipt stays what it was", receipt_of(order["id"]), issued)
    return expected


# --- What is refused ----------------------------------------------------------------------------


def bad_documents():
    """(what is wrong, body, the field that the answer names)."""

    def item(**change):
        return {**ORDER, "items": [ITEM, {**ITEM, **change}]}

    def without(document, name):
        return {key: value for key, value in document.items() if key != name}

    yield from (("body " + repr(body[:20]), body, None) for body in malformed())
    yield from ((f"a document {value!r}", json.dumps(value), None) for value in ([], "x", 1, None, True))
    for name in ORDER:
        yield f"no {name}", without(ORDER, name), name
    for name in ITEM:
        yield f"an item without {name}", {**ORDER, "items": [without(ITEM, name)]}, f"items[0].{name}"
    yield "an unknown field", {**ORDER, "colour": "red"}, "colour"
    yield "an unknown field of an item", item(colour="red"), "items[1].colour"
    yield "an id of the client's", {**ORDER, "id": "mine"}, "id"
    yield "a total of the client's", {**ORDER, "total": "0.00"}, "total"
    for value in ("", " ", 1, None, True, [], {}, "x" * 201):
        yield f"customer {value!r:.20}", {**ORDER, "customer": value}, "customer"
    for value in ([], {}, "A1", None, 1, [ITEM] * 101):
        yield f"items {value!r:.20}", {**ORDER, "items": value}, "items"
    for value in (None, "A1", 1, []):
        yield f"an item {value!r}", {**ORDER, "items": [ITEM, value]}, "items[1]"
    for value in ("", 1, None, ["A1"], "x" * 65):
        yield f"sku {value!r:.20}", item(sku=value), "items[1].sku"
    for value in (0, -1, 1.5, 2.0, "2", True, None, 10**30, 10**400):
        yield f"quantity {value!r:.20}", item(quantity=value), "items[1].quantity"
    prices = ["", "-1", "+1", "1.234", "1e3", "NaN", "Infinity", " 1", "1 ", "1\n", "1.", ".5", "1,5", "٣", "9" * 99]
    for value in [*prices, 9.9, 1, None, True, ["1"]]:
        yield f"price {value!r:.20}", item(price=value), "items[1].price"


def malformed():
    yield from ("", "{", "{} {}", "{'customer': 'ada'}", '{"customer": NaN}', "[" * 100_000, '{"a":' * 40_000)
    yield from ('{"quantity": ' + "9" * 5_000 + "}", '{"customer": "\\ud800"}', '{"\\udc00": 1}', "\ufeff{}")
    yield json.dumps(ORDER)[:-1] + ', "customer": "again"}'
    yield " " * 300_000 + json.dumps(ORDER)


def refusals(order):
    before = len(app.get("/orders").json()["orders"])
    path = f"/orders/{order['id']}"
    for name, body, field in bad_documents():
        for method, target in (("POST", "/orders"), ("PUT", path)):
            answer = app.ask(method, target, body)
            check_quietly(answer.status == 400, f"{method} with {name} is 400", answer)
            document = answer.json()
            check_quietly(set(document) == {"message", "field"}, f"{method} with {name}: message and field", document)
            check_quietly(document["message"] and document["field"] == field, f"{method} with {name}: {field}", document)
        print(f"ok      400 for {name!r}: {field}", flush=True)
    new = app.ask("POST", "/orders", {**ORDER, "status": "paid"})
    equal("a new order's status cannot be chosen", (new.status, new.json()["field"]), (400, "status"))
    for value in ("", " ", 1, None, True, "x" * 41):
        answer = app.ask("PUT", path, {**ORDER, "status": value})
        equal(f"PUT with status {value!r:.20} is 400", (answer.status, answer.json()["field"]), (400, "status"))
    equal("nothing that was refused is stored", len(app.get("/orders").json()["orders"]), before)


def unknown_ids():
    ids = {"none": uuid.uuid4().hex, "endless": "x" * 3_000, "encoded": "%F0%9F%98%80%00", "slash": "a%2Fb", "dots": "...", "broken": "%FF"}
    for name, id in ids.items():
        path = f"/orders/{id}"
        asked = [app.get(path), app.ask("PUT", path, ORDER), app.ask("DELETE", path), app.get(path + "/receipt")]
        statuses = [answer.status for answer in asked]
        if name == "broken":  # no UTF-8 at all: the gateway may call it a bad request
            check(f"GET, PUT, DELETE and receipt of {name}: 404 or 400", set(statuses) <= {400, 404}, asked)
            continue
        equal(f"GET, PUT, DELETE and receipt of an unknown id ({name}) are 404", statuses, [404] * 4)
        check("each with a message", all(answer.json().get("message") for answer in asked), asked)
        equal("HEAD too", app.ask("HEAD", path).status, 404)


def methods(order):
    known = {
        "/orders": {"GET", "HEAD", "POST"},
        f"/orders/{order['id']}": {"GET", "HEAD", "PUT", "DELETE"},
        f"/orders/{order['id']}/receipt": {"GET", "HEAD"},
        "/": {"GET", "HEAD"},
        "/app.js": {"GET", "HEAD"},
    }
    for path, allowed in known.items():
        for method in {"POST", "PUT", "DELETE", "PATCH", "PROPFIND"} - allowed:
            answer = app.ask(method, path, b"")
            seen = {each.strip() for each in answer.headers.get("allow", "").split(",")} - {"OPTIONS"}
            equal(f"{method} {path.replace(order['id'], '{id}')} is 405 with Allow", (answer.status, seen), (405, allowed))
    for path in ("/nothing", "/orders/a/b/c", f"/orders/{order['id']}/receipts", "/functions/orders.py", "/aloft.toml"):
        for method in ("GET", "POST"):
            answer = app.ask(method, path)
            equal(f"{method} {path.replace(order['id'], '{id}')} is 404", answer.status, 404)
            check("with a message", answer.json().get("message"), answer)


# --- The page -----------------------------------------------------------------------------------


def page():
    kinds = {"/": "text/html", "/index.html": "text/html", "/style.css": "text/css", "/app.js": "text/javascript"}
    for path, kind in kinds.items():
        answer = app.get(path)
        equal(f"GET {path} answers 200", answer.status, 200)
        equal(f"{path} is the project's file", answer.body, (WEB / (path[1:] or "index.html")).read_bytes())
        equal(f"{path} is {kind}", answer.headers.get("content-type", "").partition(";")[0], kind)
        tag = answer.headers.get("etag", "")
        check(f"{path} has an ETag", re.fullmatch(r'(W/)?"[!-~]+"', tag), tag)
        plain = tag.removeprefix("W/")
        for same in (tag, f"W/{plain}", f'"other", {tag}', "*"):
            cached = app.get(path, If_None_Match=same)
            equal(f"{path} with If-None-Match {same.replace(plain, '…')} is 304", (cached.status, cached.body), (304, b""))
            equal("304 has the ETag", cached.headers.get("etag"), tag)
        equal(f"{path} with another ETag is 200", app.get(path, If_None_Match='"other"').body, answer.body)
        head = app.ask("HEAD", path)
        equal(f"HEAD {path}", (head.status, head.body, head.headers.get("etag")), (200, b"", tag))
        equal("with the length", head.headers.get("content-length"), str(len(answer.body)))
    for path in ("/../aloft.toml", "/%2e%2e/aloft.toml", "/..%2faloft.toml", "//aloft.toml", "/.%00", "/a/../../aloft.toml"):
        answer = app.get(path)
        check(f"GET {path} leads nowhere", answer.status in (400, 404), answer)


# --- The same rows through the AWS tools ------------------------------------------------------------


def plain(value):
    ((kind, inner),) = value.items()
    if kind == "M":
        return {name: plain(each) for name, each in inner.items()}
    if kind == "L":
        return [plain(each) for each in inner]
    return int(inner) if kind == "N" else inner


def rows(table):
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {row["id"]["S"]: row for page in pages for row in page["Items"]}


def same_rows(order):
    listed = {each["id"]: each for each in app.get("/orders").json()["orders"]}
    scanned = {id: plain({"M": row}) for id, row in rows("orders").items()}
    equal("boto3's scan shows the rows that GET /orders shows", scanned, listed)
    item = dynamodb.get_item(TableName="orders", Key={"id": {"S": order["id"]}})["Item"]
    equal("boto3's get_item shows the order", plain({"M": item}), order)
    check("boto3 lists the tables", {"orders", "receipts"} <= set(dynamodb.list_tables()["TableNames"]))
    keys = dynamodb.describe_table(TableName="orders")["Table"]["KeySchema"]
    equal("the table has its key", keys, [{"AttributeName": "id", "KeyType": "HASH"}])
    command = [os.environ["AWS"], "dynamodb", "scan", "--table-name", "orders", "--output", "json"]
    run = subprocess.run(command, env={**os.environ, **ACCESS, "AWS_ENDPOINT_URL": sys.argv[2]}, capture_output=True, timeout=120)
    check("aws dynamodb scan succeeds", run.returncode == 0, run)
    by_cli = {row["id"]["S"]: plain({"M": row}) for row in json.loads(run.stdout)["Items"]}
    equal("aws dynamodb scan shows them too", by_cli, listed)
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    unsigned = api.ask("POST", "/", "{}", headers)
    equal("an unsigned request is refused", unsigned.status, 400)
    check("with its code", b"MissingAuthenticationTokenException" in unsigned.body, unsigned)


def delete(order):
    path = f"/orders/{order['id']}"
    check("the receipt's row is there", order["id"] in rows("receipts"))
    answer = app.ask("DELETE", path)
    equal("DELETE /orders/{id} answers 204 and nothing else", (answer.status, answer.body), (204, b""))
    check("a 204 has no length and no encoding", not {"content-length", "transfer-encoding"} & set(answer.headers), answer)
    gone = [app.get(path), app.get(path + "/receipt"), app.ask("DELETE", path), app.ask("PUT", path, ORDER)]
    equal("then order and receipt are 404", [each.status for each in gone], [404] * 4)
    check("and in no list", order["id"] not in app.get("/orders").body.decode())
    check("nor in a table", order["id"] not in rows("orders") and order["id"] not in rows("receipts"))


def rows_of_other_tools():
    id = f"mine-{uuid.uuid4().hex}"
    row = {"id": {"S": id}, "customer": {"S": "eve"}, "items": {"L": []}, "status": {"S": "new"}, "total": {"S": "1.00"}}
    dynamodb.put_item(TableName="orders", Item=row)
    equal("a row that boto3 wrote is an order", app.get(f"/orders/{id}").json(), plain({"M": row}))
    issued = until("and gets its receipt", lambda: receipt_of(id))
    equal("with its total", issued["total"], "1.00")
    equal("and can be deleted", app.ask("DELETE", f"/orders/{id}").status, 204)


def bodies():
    raw = json.dumps(ORDER).encode()
    for kind in ("application/json", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"):
        answer = app.ask("POST", "/orders", raw, {"Content-Type": kind})
        equal(f"a body sent as {kind} arrives", (answer.status, answer.json().get("total")), (201, "19.80"))
    for name, body in (("text that is not UTF-8", b'{"customer": "\xff"}'), ("bytes", bytes(range(256))), ("base64", base64.b64encode(raw))):
        answer = app.ask("POST", "/orders", body)
        equal(f"{name} is 400", (answer.status, answer.json()["field"]), (400, None))
    largest = {"customer": "😀" * 200, "items": [{"sku": "😀" * 64, "quantity": 1, "price": "1"}] * 100}
    order = placed(largest)
    equal("the largest order is kept whole", app.get(f"/orders/{order['id']}").json(), order)
    equal("and its items are what was sent", order["items"], largest["items"])


# --- Many at once ---------------------------------------------------------------------------------


def many_at_once():
    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(lambda n: placed({**ORDER, "customer": f"customer {n}"}), range(60)))
        equal("60 orders at once have 60 ids", len({order["id"] for order in made}), 60)
        listed = {order["id"]: order for order in app.get("/orders").json()["orders"]}
        equal("and all are listed", [listed.get(order["id"]) for order in made], made)
        for order in made:
            until("each gets its receipt", lambda order=order: receipt_of(order["id"]))
        print("ok      each gets its receipt", flush=True)
        statuses = set(threads.map(lambda order: app.ask("DELETE", f"/orders/{order['id']}").status, made))
        equal("and all can be deleted", statuses, {204})


def no_order_comes_back():
    """A PUT that races a DELETE comes before it (200) or after it (404), and never makes an order of its own."""
    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            path = f"/orders/{placed()['id']}"
            puts = [threads.submit(app.ask, "PUT", path, ORDER) for _ in range(3)]
            gone = threads.submit(app.ask, "DELETE", path).result()
            statuses = {put.result().status for put in puts}
            check_quietly(gone.status == 204, "DELETE answers 204 in a race", gone)
            check_quietly(statuses <= {200, 404}, "PUT answers 200 or 404 in a race", statuses)
            check_quietly(app.get(path).status == 404, "an order that was deleted stays deleted", path)
    print("ok      a PUT that races a DELETE brings nothing back (20 times)", flush=True)


def no_receipt_is_left():
    """Orders deleted before, while and after their receipts are issued: none of these may stay."""

    def place_and_delete(_):
        id = placed()["id"]
        check_quietly(app.ask("DELETE", f"/orders/{id}").status == 204, "DELETE answers 204", id)
        check_quietly(app.get(f"/orders/{id}/receipt").status == 404, "a deleted order has no receipt", id)
        return id

    with ThreadPoolExecutor(8) as threads:
        gone = set(threads.map(place_and_delete, range(40)))
    last = placed()["id"]
    until("the rule has come to the last order", lambda: receipt_of(last))
    until("no receipt outlives its order", lambda: not gone & set(rows("receipts")))
    print("ok      no receipt outlives its order (40 races)", flush=True)


def longer_than_a_page():
    """A scan answers at most 1 MB; the list has all the same."""
    large = {"customer": "page", "items": [{"sku": "😀" * 64, "quantity": 1, "price": "1"}] * 100}
    with ThreadPoolExecutor(4) as threads:
        made = {order["id"] for order in threads.map(lambda _: placed(large), range(48))}
        first = dynamodb.scan(TableName="orders")
        check("a scan of more than 1 MB ends with a key to go on from", "LastEvaluatedKey" in first, first["Count"])
        listed = {order["id"] for order in app.get("/orders").json()["orders"]}
        check("GET /orders has the orders of all pages", made <= listed, len(made - listed))
        equal("and boto3's paginator the same", set(rows("orders")), listed)
        statuses = set(threads.map(lambda id: app.ask("DELETE", f"/orders/{id}").status, made))
        equal("they can be deleted", statuses, {204})


if __name__ == "__main__":
    main()
    print("ok      the whole story", flush=True)
