#!/bin/sh
# POST /words: counts the words of what stands on standard input. It runs once for each call, and any program will do.
count=$(wc -w)
echo "counted" >&2
printf '{"words":%d}\n' "$count"
