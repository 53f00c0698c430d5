"""PUT /orders/{id}: replaces customer and items, counts the total anew, and may set the status.

One conditional update: an order that is deleted meanwhile does not come back.
"""

import boto3

import orders

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    try:
        changes = orders.check_replacement(orders.read_body(event))
    except orders.Invalid as error:
        return orders.refused(error)
    id = orders.order_id(event)
    if id is None:
        return orders.not_found()
    changes["total"] = orders.total(changes["items"])
    try:
        updated = dynamodb.update_item(
            TableName=orders.TABLE,
            Key=orders.key(id),
            # `items`, `status` and `total` are reserved words, so each name gets a `#`.
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
            ExpressionAttributeNames={f"#{name}": name for name in changes},
            ExpressionAttributeValues={f":{name}": value for name, value in orders.to_row(changes).items()},
            ConditionExpression="attribute_exists(id)",
            ReturnValues="ALL_NEW",
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return orders.not_found()
    return orders.answer(200, orders.from_row(updated["Attributes"]))
