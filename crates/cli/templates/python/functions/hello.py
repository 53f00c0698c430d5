"""GET /hello/{name}: greets."""

import json


def handler(event, context):
    name = event["pathParameters"]["name"]
    print(f"greeting {name}")
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"hello": name}),
    }
