"""GET /orders/{id}: one order."""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    id = orders.order_id(event)
    if id is None:
        return orders.not_found()
    found = dynamodb.get_item(TableName=orders.TABLE, Key=orders.key(id), ConsistentRead=True)
    if "Item" not in found:
        return orders.not_found()
    return orders.answer(200, orders.from_row(found["Item"]))
