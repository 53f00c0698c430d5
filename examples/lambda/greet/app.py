"""Greets whoever the event names; refuses those whose name it does not get."""


def handler(event, context):
    name = event.get("name")
    if not name:
        raise ValueError("whom shall I greet? The event needs a name")
    print(f"greeting {name} in version {context.function_version}")
    return {"greeting": f"Hello, {name}!", "version": context.function_version}
