"""IAM's roles through boto3 and the AWS command line: what tools make before they make a function.

The endpoint, region and keys come from the environment, as the platform's announcement says.
"""

import json
import os
import subprocess

import boto3
from sdk import fails

client = boto3.client("iam")
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def life():
    made = client.create_role(
        RoleName="runner", AssumeRolePolicyDocument=json.dumps(TRUST), Path="/service-role/", Description="<runs> & walks",
        Tags=[{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "x"}],
    )["Role"]
    assert made["Arn"] == "arn:aws:iam::000000000000:role/service-role/runner", made
    assert made["AssumeRolePolicyDocument"] == TRUST and made["RoleId"].startswith("AROA"), made
    found = client.get_role(RoleName="runner")["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("<runs> & walks", 3600), found
    assert found["CreateDate"] == made["CreateDate"], found
    for name in ("runner", "Runner"):
        fails("EntityAlreadyExists", client.create_role, RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    fails("NoSuchEntity", client.get_role, RoleName="nobody")
    for text in ("no json", "{}"):
        fails("MalformedPolicyDocument", client.create_role, RoleName="other", AssumeRolePolicyDocument=text)
    fails("ValidationError", client.create_role, RoleName="a b", AssumeRolePolicyDocument=json.dumps(TRUST))

    fails("InvalidInput", client.attach_role_policy, RoleName="runner", PolicyArn="arn:aws:iam::aws:role/x")
    client.attach_role_policy(RoleName="runner", PolicyArn=BASIC)
    attached = client.list_attached_role_policies(RoleName="runner")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}], attached
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    client.put_role_policy(RoleName="runner", PolicyName="tables", PolicyDocument=json.dumps(policy))
    assert client.list_role_policies(RoleName="runner")["PolicyNames"] == ["tables"]
    assert client.get_role_policy(RoleName="runner", PolicyName="tables")["PolicyDocument"] == policy
    fails("NoSuchEntity", client.get_role_policy, RoleName="runner", PolicyName="none")
    client.tag_role(RoleName="runner", Tags=[{"Key": "stage", "Value": "y"}])
    twice = [{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}]
    fails("InvalidInput", client.tag_role, RoleName="runner", Tags=twice)
    pages = client.get_paginator("list_role_tags").paginate(RoleName="runner", PaginationConfig={"PageSize": 1})
    assert [tag["Key"] for page in pages for tag in page["Tags"]] == ["stage", "team"]
    client.untag_role(RoleName="runner", TagKeys=["team"])
    assert client.list_role_tags(RoleName="runner")["Tags"] == [{"Key": "stage", "Value": "y"}]
    client.update_role(RoleName="runner", MaxSessionDuration=7200)
    trust = {"Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "events.amazonaws.com"}}]}
    client.update_assume_role_policy(RoleName="runner", PolicyDocument=json.dumps(trust))
    found = client.get_role(RoleName="runner")["Role"]
    assert (found["MaxSessionDuration"], found["AssumeRolePolicyDocument"]) == (7200, trust), found
    assert found["Description"] == "<runs> & walks", found
    client.update_role(RoleName="runner", Description="two\r\nlines")
    assert client.get_role(RoleName="runner")["Role"]["Description"] == "two\r\nlines"
    fails("ValidationError", client.update_role, RoleName="runner", Description="a\0b")
    client.update_role(RoleName="runner", Description="")
    assert "Description" not in client.get_role(RoleName="runner")["Role"]
    none = client.list_attached_role_policies(RoleName="runner", PathPrefix="/other/")["AttachedPolicies"]
    assert none == [], none

    fails("DeleteConflict", client.delete_role, RoleName="runner")
    client.detach_role_policy(RoleName="runner", PolicyArn=BASIC)
    fails("NoSuchEntity", client.detach_role_policy, RoleName="runner", PolicyArn=BASIC)
    fails("DeleteConflict", client.delete_role, RoleName="runner")
    client.delete_role_policy(RoleName="runner", PolicyName="tables")
    assert client.list_instance_profiles_for_role(RoleName="runner")["InstanceProfiles"] == []
    client.delete_role(RoleName="runner")
    fails("NoSuchEntity", client.delete_role, RoleName="runner")

    for number in range(5):
        client.create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=json.dumps(TRUST))
    pages = client.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2})
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == [f"r{number}" for number in range(5)]
    client.get_waiter("role_exists").wait(RoleName="r0", WaiterConfig={"Delay": 1, "MaxAttempts": 2})


def command_line():
    aws = [os.environ["AWS"], "iam", "list-roles", "--query", "Roles[].RoleName", "--output", "text"]
    done = subprocess.run(aws, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["r0", "r1", "r2", "r3", "r4"]), done


life()
command_line()
refused = fails("InvalidAction", client.list_users)
assert refused["ResponseMetadata"]["HTTPStatusCode"] == 400, refused
