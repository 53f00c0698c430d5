"""DELETE /orders/{id}: removes an order and its receipt.

The order goes first. A receipt that is issued at the same moment then either exists already and
is removed here, or is issued later and taken back by receipt.py, which looks at the order last.
"""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    id = orders.order_id(event)
    if id is None:
        return orders.not_found()
    deleted = dynamodb.delete_item(TableName=orders.TABLE, Key=orders.key(id), ReturnValues="ALL_OLD")
    # Also when there was no order: a former attempt may have ended between these two lines.
    dynamodb.delete_item(TableName=orders.RECEIPTS, Key=orders.key(id))
    if "Attributes" not in deleted:
        return orders.not_found()
    return {"statusCode": 204}
