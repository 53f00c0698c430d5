"""The peer of a warm call: a raw-socket loop around the same handler, with nothing between but bytes.

`loop.py FOLDER WORKERS` imports `handler` from FOLDER/hello.py, prints its port, and answers HTTP/1.1 on kept
connections, one connection at a time in each of WORKERS processes. It does what any server must: finds the end of the
head, makes the event of it, calls the handler, writes head and body in one send. TCP_NODELAY is set: the stock http.server
writes twice and waits 40 ms for Nagle's sake. It ends when its standard input does.
"""

import os
import signal
import socket
import sys


def serve(listener, handler):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        while True:
            head, end, rest = buffer.partition(b"\r\n\r\n")
            if not end:
                part = connection.recv(65536)
                if not part:
                    break
                buffer += part
                continue
            buffer = rest
            line, *fields = head.decode("latin-1").split("\r\n")
            method, path, _ = line.split(" ")
            headers = {}
            for field in fields:
                name, _, value = field.partition(":")
                headers[name.lower()] = value.strip()
            path, _, query = path.partition("?")
            event = {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "headers": headers,
                "requestContext": {"http": {"method": method, "path": path}},
            }
            answer = handler(event, None)
            body = answer["body"].encode()
            fields = "".join("%s: %s\r\n" % pair for pair in answer["headers"].items())
            head = "HTTP/1.1 %d OK\r\n%scontent-length: %d\r\n\r\n" % (answer["statusCode"], fields, len(body))
            connection.sendall(head.encode("latin-1") + body)
        connection.close()


def main():
    folder, workers = sys.argv[1], int(sys.argv[2])
    sys.path.insert(0, folder)
    from hello import handler

    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            serve(listener, handler)
        children.append(child)
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


main()
