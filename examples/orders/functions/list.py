"""GET /orders: all orders, the newest first."""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    pages = dynamodb.get_paginator("scan").paginate(TableName=orders.TABLE, ConsistentRead=True)
    found = [orders.from_row(row) for page in pages for row in page["Items"]]
    found.sort(key=lambda order: (str(order.get("created_at", "")), order["id"]), reverse=True)
    return orders.answer(200, {"orders": found})
