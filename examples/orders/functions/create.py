"""POST /orders: checks an order, counts its total and stores it."""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    try:
        order = orders.new_order(orders.read_body(event))
    except orders.Invalid as error:
        return orders.refused(error)
    dynamodb.put_item(TableName=orders.TABLE, Item=orders.to_row(order))
    return orders.answer(201, order, {"Location": f"/orders/{order['id']}"})
