#!/bin/sh
# Counts the words of what it is given. A request is a few variables, as with OpenFaaS.
case "$Http_Method" in
"" | POST) wc -w ;;
*) echo "$Http_Method is not for $Http_Path: POST a text" >&2; exit 2 ;;
esac
