#!/bin/sh
# Makes two functions with the AWS command line and calls them: now, by an alias, and later. Start the platform first:
#   aloft dev examples/lambda --retry-base 1s
# and paste the `export` lines that it prints.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for name in greet told; do
    (cd "$name" && python3 -m zipfile -c "$work/$name.zip" app.py)
done
trust='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'
role=$(aws iam create-role --role-name greeters --assume-role-policy-document "$trust" --query Role.Arn --output text)

# A version that the machine lacks is run by the nearest newer one.
for name in greet told; do
    aws lambda create-function --function-name "$name" --runtime python3.9 --handler app.handler --role "$role" \
        --zip-file "fileb://$work/$name.zip" --output text --query FunctionArn
    aws lambda wait function-active-v2 --function-name "$name"
done

printf '{"name": "world"}' > "$work/event.json"
echo "- a call, and what it printed:"
aws lambda invoke --function-name greet --payload "fileb://$work/event.json" --log-type Tail \
    --query LogResult --output text "$work/answer.json" | base64 -d
cat "$work/answer.json"
echo

echo "- the first version, by the alias live:"
version=$(aws lambda publish-version --function-name greet --query Version --output text)
aws lambda create-alias --function-name greet --name live --function-version "$version" --output text --query AliasArn
aws lambda invoke --function-name greet:live --payload "fileb://$work/event.json" --output text "$work/answer.json"
cat "$work/answer.json"
echo

echo "- a call that nobody waits for, and that fails: \`aloft logs told\` shows that the other function is told"
told=$(aws lambda get-function-configuration --function-name told --query FunctionArn --output text)
aws lambda put-function-event-invoke-config --function-name greet --maximum-retry-attempts 1 \
    --destination-config "{\"OnFailure\": {\"Destination\": \"$told\"}}" --output text --query FunctionArn
aws lambda invoke --function-name greet --invocation-type Event --output text "$work/answer.json"
