#!/bin/sh
# `run.sh WORKERD` prints the port of a workerd with config.capnp. It ends when its standard input does.
set -eu
told=$(mktemp -u)
mkfifo "$told"
"$1" serve "$(dirname "$0")/config.capnp" --control-fd=3 3>"$told" &
workerd=$!
trap 'kill $workerd; rm -f "$told"' EXIT
# {"event":"listen","socket":"http","port":33827}
read -r line <"$told"
port=${line##*:}
echo "${port%\}}"
cat >/dev/null
