"""What the scripts that use boto3 share: errors, waiting, and functions that are made and called."""

import io
import json
import sys
import time
import zipfile

import boto3
import botocore.config
import botocore.exceptions

# Every failure is seen as it is, and not tried again.
client = boto3.client("lambda", config=botocore.config.Config(retries={"max_attempts": 0}))
ROLE = "arn:aws:iam::000000000000:role/any"
PYTHON = "python3.%d" % sys.version_info[1]


def fails(code, call, /, **arguments):
    """The call must fail with this code; what was answered is given back."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, f"expected {code}, got {found}"
        assert found["Message"], f"{code} comes without a message"
        return error.response
    raise AssertionError(f"expected {code}, got {answer}")


def wait(what, condition):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"in 60 s it did not come to this: {what}")


def packed(files):
    """A zip of these files; programs may be executed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            is_program = name == "bootstrap" or name.startswith("bin/")
            entry.external_attr = (0o100755 if is_program else 0o100644) << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED, compresslevel=1)
    return content.getvalue()


def make(name, code, **more):
    """Makes a function: its code are files, or the text of `app.py`."""
    files = code if isinstance(code, dict) else {"app.py": code}
    arguments = dict(Runtime=PYTHON, Handler="app.handler", Role=ROLE, Code={"ZipFile": packed(files)}, Timeout=20)
    made = client.create_function(FunctionName=name, **{**arguments, **more})
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    return made


def call(name, event=None, **more):
    """Calls a function and reads its answer."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **more)
    answer["Payload"] = json.loads(answer["Payload"].read())
    return answer


def result(name, event=None, **more):
    """What a function answers, which must not fail."""
    answer = call(name, event, **more)
    assert "FunctionError" not in answer, answer
    return answer["Payload"]
