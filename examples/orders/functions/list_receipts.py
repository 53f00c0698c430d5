"""GET /receipts: all receipts; GET /receipts?order={id}: the receipt of one order, or an empty list."""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    id = (event.get("queryStringParameters") or {}).get("order")
    rows = all_rows() if id is None else rows_of(id)
    return orders.answer(200, {"receipts": [orders.receipt_from_row(row) for row in rows]})


def all_rows():
    pages = dynamodb.get_paginator("scan").paginate(TableName=orders.RECEIPTS, ConsistentRead=True)
    return [row for page in pages for row in page["Items"]]


def rows_of(id):
    if not orders.ID.fullmatch(id):
        return []
    found = dynamodb.get_item(TableName=orders.RECEIPTS, Key=orders.key(id), ConsistentRead=True)
    return [found["Item"]] if "Item" in found else []
