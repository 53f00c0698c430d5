"""Secrets through boto3 and the AWS command line.

    secret.py wire                 every operation, its results and its errors
    secret.py put NAME VALUE       makes the secret, or gives it this value
    secret.py kept NAME VALUE      the secret has this value
"""

import json
import os
import subprocess
import sys

import boto3
from sdk import fails

client = boto3.client("secretsmanager")
TOKEN = "10000000-0000-0000-0000-000000000001"


def life():
    made = client.create_secret(
        Name="app/db",
        SecretString="one-value",
        ClientRequestToken=TOKEN,
        Description="the database",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    assert made["VersionId"] == TOKEN, made
    region = os.environ["AWS_REGION"]
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:{region}:000000000000:secret:app/db-"), made
    again = client.create_secret(Name="app/db", SecretString="one-value", ClientRequestToken=TOKEN)
    assert again["ARN"] == made["ARN"], again
    fails("ResourceExistsException", client.create_secret, Name="app/db", SecretString="other")
    fails("InvalidParameterException", client.create_secret, Name="a b", SecretString="other")
    for id in ["app/db", made["ARN"], made["ARN"][:-7]]:
        got = client.get_secret_value(SecretId=id)
        assert (got["SecretString"], got["VersionStages"]) == ("one-value", ["AWSCURRENT"]), got
        assert got["CreatedDate"].year >= 2024, got
    fails("ResourceNotFoundException", client.get_secret_value, SecretId="none")

    put = client.put_secret_value(SecretId="app/db", SecretBinary=b"\0\1\2")
    assert client.get_secret_value(SecretId="app/db")["SecretBinary"] == b"\0\1\2"
    former = client.get_secret_value(SecretId="app/db", VersionStage="AWSPREVIOUS")
    assert former["SecretString"] == "one-value", former
    assert client.get_secret_value(SecretId="app/db", VersionId=TOKEN)["VersionStages"] == ["AWSPREVIOUS"]
    client.put_secret_value(SecretId="app/db", SecretString="next", VersionStages=["AWSPENDING"])
    assert client.get_secret_value(SecretId="app/db", VersionStage="AWSPENDING")["SecretString"] == "next"
    fails(
        "InvalidParameterException",
        client.update_secret_version_stage,
        SecretId="app/db",
        VersionStage="AWSCURRENT",
        MoveToVersionId=TOKEN,
    )
    client.update_secret_version_stage(
        SecretId="app/db", VersionStage="AWSCURRENT", MoveToVersionId=TOKEN, RemoveFromVersionId=put["VersionId"]
    )
    assert client.get_secret_value(SecretId="app/db")["SecretString"] == "one-value"
    versions = client.list_secret_version_ids(SecretId="app/db")["Versions"]
    assert len(versions) == 3, versions

    updated = client.update_secret(SecretId="app/db", Description="another", SecretString="two-value")
    assert client.get_secret_value(SecretId="app/db")["VersionId"] == updated["VersionId"]
    client.tag_resource(SecretId="app/db", Tags=[{"Key": "x", "Value": "y"}])
    client.untag_resource(SecretId="app/db", TagKeys=["team"])
    shown = client.describe_secret(SecretId="app/db")
    assert (shown["Description"], shown["Tags"]) == ("another", [{"Key": "x", "Value": "y"}]), shown
    assert shown["VersionIdsToStages"][updated["VersionId"]] == ["AWSCURRENT"], shown
    refused = fails("InvalidRequestException", client.rotate_secret, SecretId="app/db")
    assert "rotation is not supported" in str(refused), refused

    fails("InvalidParameterException", client.delete_secret, SecretId="app/db", RecoveryWindowInDays=6)
    client.delete_secret(SecretId="app/db", RecoveryWindowInDays=7)
    fails("InvalidRequestException", client.get_secret_value, SecretId="app/db")
    assert "DeletedDate" in client.describe_secret(SecretId="app/db")
    client.restore_secret(SecretId="app/db")
    assert client.get_secret_value(SecretId="app/db")["SecretString"] == "two-value"
    client.delete_secret(SecretId="app/db", ForceDeleteWithoutRecovery=True)
    fails("ResourceNotFoundException", client.describe_secret, SecretId="app/db")
    anew = client.create_secret(Name="app/db")
    assert anew["ARN"] != made["ARN"], anew
    fails("ResourceNotFoundException", client.get_secret_value, SecretId="app/db")
    client.delete_secret(SecretId="app/db", ForceDeleteWithoutRecovery=True)


def many():
    for number in range(5):
        client.create_secret(Name=f"many/{number}", SecretString=f"value-{number}")
    pages = client.get_paginator("list_secrets").paginate(
        Filters=[{"Key": "name", "Values": ["many/"]}], PaginationConfig={"PageSize": 2}
    )
    found = [secret["Name"] for page in pages for secret in page["SecretList"]]
    assert found == [f"many/{number}" for number in range(5)], found
    batch = client.batch_get_secret_value(SecretIdList=["many/1", "many/9"])
    assert [value["SecretString"] for value in batch["SecretValues"]] == ["value-1"], batch
    assert batch["Errors"][0]["ErrorCode"] == "ResourceNotFoundException", batch
    password = client.get_random_password(PasswordLength=20, ExcludePunctuation=True)["RandomPassword"]
    assert len(password) == 20 and password.isalnum(), password


def command_line():
    def aws(*words):
        command = [os.environ["AWS"], "secretsmanager", *words, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    code, made, error = aws("create-secret", "--name", "cli", "--secret-string", "from-the-line")
    assert code == 0, error
    code, got, error = aws("get-secret-value", "--secret-id", json.loads(made)["ARN"])
    assert code == 0 and json.loads(got)["SecretString"] == "from-the-line", error
    code, _, error = aws("get-secret-value", "--secret-id", "none")
    assert code != 0 and "ResourceNotFoundException" in error, error


def put(name, value):
    try:
        client.put_secret_value(SecretId=name, SecretString=value)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=name, SecretString=value)


match sys.argv[1:]:
    case ["wire"]:
        life()
        many()
        command_line()
    case ["put", name, value]:
        put(name, value)
    case ["kept", name, value]:
        assert client.get_secret_value(SecretId=name)["SecretString"] == value
    case other:
        sys.exit(f"{other}\n{__doc__}")
