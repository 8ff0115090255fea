#!/bin/sh
# The example program with embedded assets, run away from the directory that they came from.
#
# usage: game.sh PROGRAM ASSETS
set -eu
program=$1 assets=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$program" "$work/game"
(cd "$assets" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) > "$work/wanted"
cd "$work"
./game --list > found
cmp wanted found
while read -r name; do
    ./game --cat "$name" > one
    cmp one "$assets/$name"
done < wanted
./game de | grep -q Willkommen
./game | grep -q '3 coins on this level'
if ./game xx 2> said; then exit 1; fi
grep -q 'text/xx.txt' said
