import hashlib
import json
import os
import urllib.error
import urllib.request


def environment(event, context):
    """The password came with the environment. The log shows `***` in its place."""
    print("connecting with", os.environ["PASSWORD"])
    return {"fingerprint": fingerprint(os.environ["PASSWORD"])}


def reads(event, context):
    """The same secret, asked for while the function runs; a part of it is not shown either."""
    secret = json.loads(ask("GetSecretValue", {"SecretId": "app/database"})["SecretString"])
    print("got", secret)
    try:
        ask("GetSecretValue", {"SecretId": "other"})
    except urllib.error.HTTPError as error:
        return {"fingerprint": fingerprint(secret["password"]), "refused": json.load(error)["Message"]}


def fingerprint(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ask(operation, body):
    """What an SDK does. Inside a sandbox the platform knows who asks, so nothing is signed; the scope names the service."""
    scope = "AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/secretsmanager/aws4_request, "
    headers = {
        "authorization": scope + "SignedHeaders=host, Signature=none",
        "x-amz-target": "secretsmanager." + operation,
        "content-type": "application/x-amz-json-1.1",
    }
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
