"""Issues the receipt of each new order. A rule runs it with the rows that were added.

The same row may come more than once: the first receipt stays, with the time when it was issued.
"""

import os

import boto3

import orders

CURRENCY = os.environ.get("CURRENCY", "EUR")

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    for record in event["Records"]:
        row = record["dynamodb"]["NewImage"]
        issue(row["id"]["S"], row["total"]["S"])


def issue(id, total):
    receipt = {"id": id, "total": total, "issued_at": orders.now()}
    try:
        dynamodb.put_item(
            TableName=orders.RECEIPTS,
            Item=orders.to_row(receipt),
            ConditionExpression="attribute_not_exists(id)",
        )
        print(f"Receipt for order {id}: {total} {CURRENCY}")
    except dynamodb.exceptions.ConditionalCheckFailedException:
        print(f"Order {id} has its receipt already")
    take_back_without_order(id)


def take_back_without_order(id):
    """Removes the receipt of an order that was deleted before, or while, the receipt was issued."""
    order = dynamodb.get_item(TableName=orders.TABLE, Key=orders.key(id), ConsistentRead=True)
    if "Item" not in order:
        dynamodb.delete_item(TableName=orders.RECEIPTS, Key=orders.key(id))
        print(f"Order {id} is gone, and its receipt with it")
