"""An ordinary Flask server. It listens where PORT says; the table's service is where AWS's SDK finds it."""

import os

import boto3
from flask import Flask, jsonify, request

app = Flask(__name__)
notes = boto3.client("dynamodb")
changes = []


@app.get("/flask/hello/<name>")
def hello(name):
    return jsonify(hello=name, agent=request.headers.get("User-Agent"))


@app.put("/flask/notes/<id>")
def note(id):
    notes.put_item(TableName="notes", Item={"id": {"S": id}, "text": {"S": request.get_data(as_text=True)}})
    return "", 204


@app.get("/flask/changes")
def changed():
    return jsonify(changes)


# A rule's events come here: CloudEvents, in structured mode.
@app.post("/")
def event():
    changes.append({"kind": request.content_type, "event": request.get_json(force=True)})
    return jsonify(ok=True)


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
