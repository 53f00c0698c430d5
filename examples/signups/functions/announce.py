"""Tells the team of every change."""


def handler(event, context):
    for record in event["Records"]:
        print(f"{record['eventName'].lower()}: {record['dynamodb']['Keys']['address']['S']}")
