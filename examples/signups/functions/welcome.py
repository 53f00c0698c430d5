"""Welcomes whoever signed up, and says farewell to whoever was removed. It stands for a mail server, one that knows no umlauts."""

WORDS = {"INSERT": "Welcome", "REMOVE": "Farewell"}


def handler(event, context):
    for record in event["Records"]:
        address = record["dynamodb"]["Keys"]["address"]["S"]
        # To be mended: see the README.
        address.encode("ascii")
        print(f"{WORDS[record['eventName']]}, {address}")
