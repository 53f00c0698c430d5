"""POST /signups: stores an address. That it is welcomed is a rule's matter, and no reason to let anybody wait."""

import base64
import json

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    try:
        body = event.get("body") or ""
        # What is not said to be text comes like this, and that includes the form that curl's -d says it sends.
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body)
        address = json.loads(body)["address"]
    except (ValueError, KeyError, TypeError):
        return answer(400, {"message": 'The body must be {"address": "someone@somewhere"}.'})
    if not isinstance(address, str) or not 3 <= len(address) <= 254 or "@" not in address:
        return answer(400, {"message": "The address must have an @, and 3 to 254 characters."})
    dynamodb.put_item(TableName="signups", Item={"address": {"S": address}})
    return answer(202, {"address": address})


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
