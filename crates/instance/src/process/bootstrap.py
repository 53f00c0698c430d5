"""The platform's side of a Python function: loads the handler, then fetches an invocation, calls the handler and answers.

It speaks the Lambda Runtime API (2018-06-01) over one kept connection with plain sockets. `awslambdaric` works too, but
brings a native module that must be compiled or matched to the interpreter, and imports three times as much before the
handler's first line. An answer asks for the next invocation (`?next`, which is ours), so that each invocation is one write
and one read.

The interpreter runs with -S, because the site module costs up to 30 ms of a cold start and its folders are not here;
what it would define for scripts (exit, quit) is defined below.
"""

# The bare module: `socket` wraps it in selectors and enums, which take 5 ms to import and are not needed here.
import _socket
import builtins
import os
import sys
import time

API = b"/2018-06-01/runtime/"


def field(head, name):
    """The value of a header, whose name comes with what is around it: `\\r\\nname: `. All bytes; empty if it is not there.

    Looking for five headers is a third of the work of taking all apart.
    """
    begin = head.find(name)
    if begin < 0:
        return b""
    begin += len(name)
    return head[begin : head.find(b"\r\n", begin)]


class RuntimeApi:
    """One kept HTTP/1.1 connection to the Runtime API.

    What it reads was written by the platform: lower-case header names, one space behind the colon, a Content-Length.
    """

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.place = (host, int(port))
        self.host = address.encode()
        self.connect()

    def connect(self):
        self.connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.connection.connect(self.place)
        self.connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.buffer = b""

    def get(self, path):
        self.connection.sendall(b"GET %b%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (API, path, self.host))

    def post(self, path, body, headers=b""):
        self.connection.sendall(
            b"POST %b%b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (API, path, self.host, headers, len(body), body)
        )

    def read(self):
        """The next answer: its status, its head up to the last line's end, and its body."""
        buffer = self.buffer
        end = buffer.find(b"\r\n\r\n")
        while end < 0:
            buffer += self.receive(1 << 16)
            end = buffer.find(b"\r\n\r\n")
        begin = end + 4
        head = buffer[: end + 2]
        end = begin + int(field(head, b"\r\ncontent-length: ") or 0)
        if len(buffer) < end:
            parts, missing = [buffer], end - len(buffer)
            while missing > 0:
                part = self.receive(min(missing, 1 << 20))
                parts.append(part)
                missing -= len(part)
            buffer = b"".join(parts)
        self.buffer = buffer[end:]
        return int(head[9:12]), head, buffer[begin:end]

    def receive(self, most):
        try:
            part = self.connection.recv(most)
        except ConnectionError:
            part = b""
        if not part:
            # The platform closes it when the instance is to end, which is nothing to be told in the function's log.
            os._exit(0)
        return part


class Members:
    """An object with the members of the class, from a dict that may lack some: as Lambda's own runtime makes its contexts."""

    members = ()

    def __init__(self, values):
        for name in self.members:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "%s([%s])" % (type(self).__name__, ",".join("%s=%s" % (name, getattr(self, name)) for name in self.members))


class CognitoIdentity(Members):
    members = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Members):
    members = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Members):
    """What the caller says of itself."""

    members = ("custom", "env", "client")

    @classmethod
    def read(cls, text):
        import json

        values = json.loads(text)
        if not isinstance(values, dict):
            return None
        context = cls(values)
        context.client = Client(context.client) if isinstance(context.client, dict) else None
        return context


class LambdaContext:
    """What handlers get as their second argument. What is the same for every call is kept on the class."""

    client_context = None
    # Nobody calls with an identity of Cognito, and handlers look at its members without asking.
    identity = CognitoIdentity({})

    def __init__(self, request_id, head):
        self.aws_request_id = request_id
        client = field(head, b"\r\nlambda-runtime-client-context: ")
        if client:
            self.client_context = ClientContext.read(client)
        self.invoked_function_arn = field(head, b"\r\nlambda-runtime-invoked-function-arn: ").decode("latin-1")
        self._deadline_ms = int(field(head, b"\r\nlambda-runtime-deadline-ms: "))

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


class Json:
    """Reads events and writes answers as the json module does, by the same C code, without importing the module.

    json imports re, which with what that imports is 10 ms of a cold start on a slow machine; many handlers need neither. A
    text that the C code doesn't take as a whole goes to the module, which then tells what is wrong with it, or knows better
    (white space around it, UTF-16). Interpreters without that C code use the module for all.
    """

    strict, object_hook, object_pairs_hook, parse_float, parse_int = True, None, None, float, int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}.__getitem__

    def __init__(self):
        try:
            import _json

            self.scan = _json.make_scanner(self)
            self.c = _json
            self.renew()
        except (ImportError, AttributeError, TypeError):
            import json

            self.loads = json.loads
            self.dumps = json.JSONEncoder(ensure_ascii=False, default=encode_other).encode

    def renew(self):
        # Its first argument is where it notes what it is within, to find circles.
        self.encode = self.c.make_encoder(
            {}, encode_other, self.c.encode_basestring, None, ": ", ", ", False, False, True
        )

    def loads(self, data):
        try:
            text = data.decode()
            value, end = self.scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, ValueError):
            pass
        import json

        return json.loads(data)

    def dumps(self, value):
        try:
            return "".join(self.encode(value, 0))
        except BaseException:
            # What it has noted is of no use any more, and could be taken for a circle later.
            self.renew()
            raise


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


def error_body(kind, message, trace, request_id=""):
    import json

    body = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    return json.dumps(body).encode()


def is_json():
    """Whether the log is to be written as objects of JSON."""
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


class Current:
    """The invocation that runs, for what is logged meanwhile."""

    request_id = ""


def log_json():
    """Has the module logging write objects, as Lambda's own runtime does. Only then it is imported: that takes its time."""
    import json
    import logging
    import traceback

    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
    # What every record has; all else was given with `extra` and is told, too.
    known = set(logging.LogRecord("", 0, "", 0, "", None, None).__dict__)

    class Formatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            told = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[0]:
                kind, error, trace = record.exc_info
                told["stackTrace"] = traceback.format_tb(trace)
                told["errorType"] = kind.__name__
                told["errorMessage"] = str(error)
                told["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            told["requestId"] = Current.request_id
            for name, value in record.__dict__.items():
                if name not in known and value is not None:
                    told.setdefault(name, value)
            return encode(told)

    root, _ = log_by(logging, Formatter())
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


def log_text(logging):
    """Has the module logging write lines, as Lambda's own runtime does."""

    class Formatter(logging.Formatter):
        converter = time.gmtime

    def stamp(record):
        # Formatters of the function's own find it, too.
        record.aws_request_id = Current.request_id
        return True

    form = "[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(aws_request_id)s\t%(message)s"
    root, handler = log_by(logging, Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(stamp)
    configure = logging.basicConfig

    def basicConfig(**settings):
        # It does nothing where the root has a handler, so on Lambda what it asks for is lost: levels, files, a format. Here what a
        # function sets up itself takes the place of what was set up for it.
        if root.handlers == [handler]:
            root.removeHandler(handler)
        configure(**settings)

    basicConfig.__doc__ = configure.__doc__
    logging.basicConfig = basicConfig


def log_by(logging, formatter):
    """Gives the root logger a handler that writes to standard output; both are returned."""

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                sys.stdout.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)

    root, handler = logging.getLogger(), Handler()
    handler.setFormatter(formatter)
    root.addHandler(handler)
    return root, handler


class WhenLogging:
    """Sets the module logging up as soon as somebody imports it, be it within a call.

    Many functions never do, and it is 10 ms of a cold start; to look whether it is there after the handler's module was loaded would miss
    what is logged while it loads, and whoever imports it later. It stands before the finders of modules and steps aside when it is asked
    for this one.
    """

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                # A loader without it is not the library's, and neither is a module without handlers.
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = WhenLoaded(spec.loader)
                return spec
        return None


class WhenLoaded:
    """The loader of the module logging; to the module it shows the one in whose place it is."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if hasattr(module, "basicConfig") and hasattr(module, "Handler"):
            log_text(module)


def log_error(kind, message, trace):
    if is_json():
        import json

        told = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "ERROR"}
        told.update(errorMessage=message, errorType=kind, requestId=Current.request_id, stackTrace=trace)
        sys.stderr.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stderr.flush()
        return
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
    layers = os.environ.pop("ALOFT_LAYERS", None)
    if layers is not None:
        sys.path[1] = layers + "/python"
        sys.path.insert(2, layers + "/python/lib/python%d.%d/site-packages" % sys.version_info[:2])
    # Behind all else: what a function brings itself comes first.
    sdk = os.environ.pop("ALOFT_SDK", None)
    if sdk is not None:
        sys.path.append(sdk)
    sys.stdout.reconfigure(line_buffering=True)
    # A library that asks for the script's arguments finds none of the platform's.
    sys.argv = [""]


def environment_setter(name):
    """A function that sets one variable of os.environ to bytes.

    It leaves out putenv, which only native code would see: glibc keeps every value that a variable ever had, so a new one
    for each invocation would make an instance grow for as long as it lives.
    """
    data, key = getattr(os.environ, "_data", None), os.fsencode(name)
    if not isinstance(data, dict):
        return lambda value: os.environ.__setitem__(name, os.fsdecode(value))
    return lambda value: data.__setitem__(key, value)


def main():
    prepare()
    api, json = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"]), Json()
    if is_json():
        log_json()
    else:
        sys.meta_path.insert(0, WhenLogging())
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except LoadError as error:
        kind, message, trace = error.args
        log_error(kind, message, trace)
        header = b"Lambda-Runtime-Function-Error-Type: %b\r\n" % kind.encode("ascii", "replace")
        api.post(b"init/error", error_body(kind, message, trace), header)
        api.read()
        sys.exit(1)
    LambdaContext.describe(os.environ)
    set_trace_id = environment_setter("_X_AMZN_TRACE_ID")
    request_id = None
    api.get(b"invocation/next")
    while True:
        status, head, body = api.read()
        if b"\r\nconnection: close\r\n" in head:
            api.connection.close()
            api.connect()
        if status != 200:
            if request_id is None:
                raise ConnectionError("the Runtime API answered %d to invocation/next: %s" % (status, body[:500]))
            # The platform refused the answer (too large, say) and has told the caller; the next invocation goes on.
            sys.stderr.write("[ERROR] the platform refused the answer: %s\n" % body.decode("utf-8", "replace"))
            request_id = None
            api.get(b"invocation/next")
            continue
        path = field(head, b"\r\nlambda-runtime-aws-request-id: ")
        Current.request_id = request_id = path.decode()
        set_trace_id(field(head, b"\r\nlambda-runtime-trace-id: "))
        try:
            result = handler(json.loads(body), LambdaContext(request_id, head))
            if isinstance(result, (bytes, bytearray)):
                kind, answer = b"response", bytes(result)
            else:
                try:
                    kind, answer = b"response", json.dumps(result).encode()
                except (TypeError, ValueError) as error:
                    message = "Unable to marshal response: %s" % error
                    log_error("Runtime.MarshalError", message, [])
                    kind, answer = b"error", error_body("Runtime.MarshalError", message, [], request_id)
        except Exception as error:
            name, message, trace = type(error).__name__, str(error), trace_of(error)
            log_error(name, message, trace)
            kind, answer = b"error", error_body(name, message, trace, request_id)
        try:
            # What the handler printed belongs to this invocation: it must leave before the next one begins.
            sys.stdout.flush()
        except Exception:
            # The handler closed or replaced it, and has lost only its own words.
            pass
        api.post(b"invocation/%b/%b?next" % (path, kind), answer)


if __name__ == "__main__":
    main()
