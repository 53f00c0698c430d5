"""The platform's side of a Python function: loads the handler, then fetches an invocation, calls the handler and answers.

It speaks the Lambda Runtime API (2018-06-01) over one kept connection with plain sockets. `awslambdaric` works too, but
brings a native module that must be compiled or matched to the interpreter, and imports three times as much before the
handler's first line. The answer to an invocation and the request for the next one leave in a single write.

The interpreter runs with -S, because the site module costs up to 30 ms of a cold start and its folders are not here;
what it would define for scripts (exit, quit) is defined below.
"""

# The bare module: `socket` wraps it in selectors and enums, which take 5 ms to import and are not needed here.
import _socket
import builtins
import os
import sys
import time

API = "/2018-06-01/runtime/"


class RuntimeApi:
    """One kept HTTP/1.1 connection to the Runtime API."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.place = (host, int(port))
        self.host = address.encode()
        self.connect()
        self.get_next = b"GET " + API.encode() + b"invocation/next HTTP/1.1\r\nHost: " + self.host + b"\r\n\r\n"

    def connect(self):
        self.connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.connection.connect(self.place)
        self.connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.buffer = b""

    def post(self, path, body, headers=b"", then=b""):
        self.connection.sendall(
            b"POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s%s"
            % (API.encode(), path.encode(), self.host, headers, len(body), body, then)
        )

    def read(self):
        """The next answer: its status, its headers by lower-case name, and its body."""
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        while not _:
            self._fill()
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().decode("latin-1")
        length = int(headers.get(b"content-length", 0))
        if len(rest) < length:
            parts, missing = [rest], length - len(rest)
            while missing > 0:
                part = self.connection.recv(min(missing, 1 << 20))
                if not part:
                    raise ConnectionError("the platform closed the Runtime API's connection")
                parts.append(part)
                missing -= len(part)
            rest = b"".join(parts)
        self.buffer = rest[length:]
        return int(status.split(b" ", 2)[1]), headers, rest[:length]

    def _fill(self):
        part = self.connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the platform closed the Runtime API's connection")
        self.buffer += part


class LambdaContext:
    """What handlers get as their second argument. What is the same for every call is kept on the class."""

    client_context = None
    identity = None

    def __init__(self, headers):
        self.aws_request_id = headers[b"lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get(b"lambda-runtime-invoked-function-arn", "")
        self._deadline_ms = int(headers.get(b"lambda-runtime-deadline-ms", 0))

    @classmethod
    def describe(cls, environment):
        cls.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        cls.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
        cls.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        cls.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        cls.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([aws_request_id=%s,function_name=%s])" % (self.aws_request_id, self.function_name)


class LoadError(Exception):
    """The handler could not be loaded; its arguments are the error's type, message and trace."""


def load_handler(name):
    """The function that `_HANDLER` names: `dir/module.function`, split at the last dot."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot or not module_name or not function_name:
        raise LoadError("Runtime.MalformedHandlerName", "Bad handler '%s': not of the form file.function" % name, [])
    import importlib

    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (module_name, error)
        raise LoadError("Runtime.ImportModuleError", message, trace_of(error))
    except SyntaxError as error:
        place = '  File "%s", line %s\n    %s' % (error.filename, error.lineno, (error.text or "").strip())
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise LoadError("Runtime.UserCodeSyntaxError", message, [place])
    except Exception as error:
        raise LoadError(type(error).__name__, str(error), trace_of(error))
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise LoadError("Runtime.HandlerNotFound", message, [])


def trace_of(error):
    """The error's stack below this file, outermost first, as Lambda reports it."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = ("/var/runtime/", "<frozen importlib")
    return traceback.format_list([f for f in frames if not f.filename.startswith(ours) and "/importlib/" not in f.filename])


def error_body(json, kind, message, trace, request_id=""):
    body = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    return json.dumps(body).encode()


def log_error(kind, message, trace):
    # One record is one line, so lines within it are kept together by carriage returns.
    text = "[ERROR] %s: %s\n%s" % (kind, message, "Traceback (most recent call last):\n" + "".join(trace) if trace else "")
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def encode_other(value):
    """Decimals, which tables return, as numbers; everything else is the handler's mistake."""
    kind = type(value)
    if kind.__name__ == "Decimal" and kind.__module__ in ("decimal", "_decimal", "_pydecimal"):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError("Object of type %s is not JSON serializable" % kind.__name__)


def prepare():
    """What the site module and Lambda's own runtime would have set up."""
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    requirements = os.environ.pop("ALOFT_REQUIREMENTS", "/opt/python")
    # The first entry is this file's folder, of which handlers know nothing.
    sys.path[:1] = [os.environ["LAMBDA_TASK_ROOT"], requirements]
    sys.stdout.reconfigure(line_buffering=True)
    # A library that asks for the script's arguments finds none of the platform's.
    sys.argv = [""]


def main():
    prepare()
    import json

    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except LoadError as error:
        kind, message, trace = error.args
        log_error(kind, message, trace)
        header = b"Lambda-Runtime-Function-Error-Type: %s\r\n" % kind.encode("ascii", "replace")
        api.post("init/error", error_body(json, kind, message, trace), header)
        api.read()
        sys.exit(1)
    LambdaContext.describe(os.environ)
    # One encoder for all answers: json.dumps would make a new one for each.
    encode = json.JSONEncoder(ensure_ascii=False, default=encode_other).encode
    loads, environment = json.loads, os.environ
    request = api.get_next
    api.connection.sendall(request)
    while True:
        status, headers, body = api.read()
        if status != 200:
            raise ConnectionError("the Runtime API answered %d to invocation/next: %s" % (status, body[:500]))
        request_id = headers[b"lambda-runtime-aws-request-id"]
        environment["_X_AMZN_TRACE_ID"] = headers.get(b"lambda-runtime-trace-id", "")
        try:
            result = handler(loads(body), LambdaContext(headers))
            if isinstance(result, (bytes, bytearray)):
                answer = bytes(result)
            else:
                try:
                    answer = encode(result).encode()
                except (TypeError, ValueError) as error:
                    message = "Unable to marshal response: %s" % error
                    log_error("Runtime.MarshalError", message, [])
                    api.post("invocation/%s/error" % request_id, error_body(json, "Runtime.MarshalError", message, [], request_id), then=request)
                    api.read()
                    continue
            # What the handler printed belongs to this invocation: it must leave before the next one begins.
            sys.stdout.flush()
            api.post("invocation/%s/response" % request_id, answer, then=request)
        except Exception as error:
            kind, message, trace = type(error).__name__, str(error), trace_of(error)
            log_error(kind, message, trace)
            api.post("invocation/%s/error" % request_id, error_body(json, kind, message, trace, request_id), then=request)
        status, headers, body = api.read()
        if headers.get(b"connection") == "close":
            # The request for the next invocation, sent behind the answer, was not read any more.
            api.connection.close()
            api.connect()
            api.connection.sendall(request)
        if status >= 400:
            # The platform refused the answer (too large, say) and has told the caller; the next invocation goes on.
            sys.stderr.write("[ERROR] the platform refused the answer: %s\n" % body.decode("utf-8", "replace"))


if __name__ == "__main__":
    main()
