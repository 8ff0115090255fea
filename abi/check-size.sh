#!/bin/sh
# The library is at most 4 MiB without what only debuggers read.
#
# usage: check-size.sh SHARED_LIBRARY      of a release build
set -eu
most=4194304
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
size=$(wc -c < "$stripped")
echo "$1: $size bytes stripped, of at most $most"
if [ "$size" -gt "$most" ]; then
    echo "check-size: the largest of what is in it:" >&2
    readelf -sW "$1" | awk '$4 == "FUNC" || $4 == "OBJECT" { print $3, $8 }' | sort -rnu | head -20 | c++filt >&2
    exit 1
fi
