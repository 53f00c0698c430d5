"""The servers of `examples/servers` through plain HTTP: what they get, and what becomes of their answers.

    servers.py URL    of the application
"""

import hashlib
import json
import sys
import threading

from checking import Site, check, equal, until

SITE = Site(sys.argv[1])


def express():
    answer = SITE.get("/express/hello/you?a=1", Cookie="k=v")
    equal("an answer of Express", (answer.status, answer.json()), (200, {"hello": "you", "query": {"a": "1"}}))
    equal("with its headers", (answer.headers["x-server"], answer.headers["set-cookie"]), ("express", "seen=yes; Path=/"))
    answer = SITE.ask("POST", "/express/echo", {"n": 1}, {"Content-Type": "application/json", "X-Mine": "yes", "Connection": "x-hop", "X-Hop": "1"})
    said = answer.json()
    equal("a body", (answer.status, said["body"]), (201, {"n": 1}))
    headers = said["headers"]
    equal("headers as they came", headers["x-mine"], "yes")
    check("and those of the platform", headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-proto"] == "http", headers)
    check("a trace, and the request's id", headers["traceparent"] and headers["x-request-id"] == answer.headers["x-request-id"], headers)
    check("nothing of the connection", "x-hop" not in headers, headers)
    equal("what is not there", SITE.get("/express/none").status, 404)
    equal("HEAD", (SITE.ask("HEAD", "/express/hello/you").status, SITE.ask("HEAD", "/express/hello/you").body), (200, b""))

    # Two calls of one instance at once: the second makes the first go on, whose beginning was seen before.
    connection = SITE.connect()
    connection.request("GET", "/express/news")
    news = connection.getresponse()
    equal("the first event, while the server has the others still to come", (news.readline(), news.readline()), (b"data: welcome\n", b"\n"))
    told = SITE.ask("POST", "/express/news", {"text": "hello"}, {"Content-Type": "application/json"}).json()
    equal("one listens", told, {"told": 1})
    equal("and hears it", news.read(), b"data: hello\n\n")

    answer = SITE.get("/express/exit")
    check("a server that ends", answer.status == 502 and "exit status 7" in answer.body.decode(), answer)
    equal("is started again", SITE.get("/express/hello/again").json()["hello"], "again")


def flask():
    equal("an answer of Flask", SITE.get("/flask/hello/you", User_Agent="me").json(), {"hello": "you", "agent": "me"})
    equal("it writes a row", SITE.ask("PUT", "/flask/notes/one", "text").status, 204)
    event = until("the row's change", lambda: SITE.get("/flask/changes").json())[0]
    equal("comes as a CloudEvent", event["kind"], "application/cloudevents+json")
    body = event["event"]
    equal("in structured mode", (body["specversion"], body["data"]["new"]), ("1.0", {"id": "one", "text": "text"}))


def plain():
    for number in range(60):
        path = f"/plain/{number}"
        check("a connection for each answer", SITE.get(path).json() == {"path": path})
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(SITE.get(f"/plain/{n}").status)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("many at once", answers, [200] * 40)
    answer = SITE.get("/plain/slow")
    equal("one that takes too long", answer.status, 504)
    equal("the next one is answered", SITE.get("/plain/next").json(), {"path": "/plain/next"})


def commands():
    for body in [b"some words", b"", bytes(range(256)) * 20_000]:
        answer = SITE.ask("POST", "/sha256", body)
        equal("a program of the system", (answer.status, answer.body.decode()), (200, hashlib.sha256(body).hexdigest() + "  -\n"))
        equal("answers text", answer.headers["content-type"], "text/plain; charset=utf-8")
    equal("a script", SITE.ask("POST", "/words", b"one two three").body, b"3\n")
    answer = SITE.ask("POST", "/words", b"one two", {"Content-Type": "text/csv"})
    equal("the answer is of the request's type", answer.headers["content-type"], "text/csv")
    answer = SITE.get("/words")
    check("one that fails", answer.status == 502 and "exit status 2" in answer.body.decode(), answer)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(SITE.ask("POST", "/words", b"a b").body)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("many at once", answers, [b"2\n"] * 20)


commands()
express()
flask()
plain()
