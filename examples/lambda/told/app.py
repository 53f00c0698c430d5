"""A destination: it is told what became of asynchronous calls of another function."""


def handler(record, context):
    asked = record["requestContext"]
    print(f"{asked['functionArn']}: {asked['condition']} after {asked['approximateInvokeCount']} attempts")
