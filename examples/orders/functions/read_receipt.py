"""GET /orders/{id}/receipt: the receipt, once the rule has run receipt.py for the order."""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    id = orders.order_id(event)
    if id is None:
        return orders.not_found()
    # The order decides: without it, a receipt is about to be taken back.
    order = dynamodb.get_item(TableName=orders.TABLE, Key=orders.key(id), ConsistentRead=True)
    if "Item" not in order:
        return orders.not_found()
    found = dynamodb.get_item(TableName=orders.RECEIPTS, Key=orders.key(id), ConsistentRead=True)
    if "Item" not in found:
        return orders.not_found("The receipt is not issued yet.")
    return orders.answer(200, orders.receipt_from_row(found["Item"]))
