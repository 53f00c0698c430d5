#!/bin/sh
# Makes a function in Node.js whose answer comes piece by piece, at an address of its own. Start the platform first, as for make.sh.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd count && python3 -m zipfile -c "$work/count.zip" index.js)
aws lambda create-function --function-name count --runtime nodejs18.x --handler index.handler \
    --role arn:aws:iam::000000000000:role/any --zip-file "fileb://$work/count.zip" --output text --query FunctionArn
aws lambda wait function-active-v2 --function-name count
url=$(aws lambda create-function-url-config --function-name count --auth-type NONE --invoke-mode RESPONSE_STREAM \
    --query FunctionUrl --output text)
echo "$url"
curl --no-buffer --silent --show-error "$url?to=3"
