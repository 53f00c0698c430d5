#!/bin/sh
# Run with: sh test.sh
set -eu
cd "$(dirname "$0")"
found=$(./filters/words.sh < events/words.json 2> /dev/null)
if [ "$found" != '{"words":4}' ]; then
    echo "words.sh said $found" >&2
    exit 1
fi
echo "ok"
