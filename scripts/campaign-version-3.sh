#!/bin/bash
# Archives of format version 3 (the fixtures, and further ones that the tool of znippy 0.10.1 makes where ZNIPPY_PEER names
# it) are cut, changed bit by bit, and taken apart and put together otherwise: rows and parts in other orders, cut and
# glued, blobs and slices at other places, wrong numbers in rows and in the manifest. No panic, no hang, and nothing that is
# read, checked or unpacked as right may be wrong. Prints a line a kind.
#
# usage: scripts/campaign-version-3.sh [CASES [SEED]]     so many of each kind, 6000 by default
#
# ZNIPPY_FIXTURES_V3 names a folder with more fixtures, such as those of several slices.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
peers=$(mktemp -d)
trap 'rm -rf "$out" "$peers"' EXIT

if [ -n "${ZNIPPY_PEER:-}" ]; then
    copy() { # TREE NAME MOST-FILES: so many files of it
        mkdir "$peers/$2"
        (cd "$1" && find . -type f -size -64k -print0 | sort -z | head -z -n "$3" | tar --null -T - -cf -) | tar -xf - -C "$peers/$2"
        "$ZNIPPY_PEER" compress --format generic --input "$peers/$2" --output "$peers/$2.znippy" > /dev/null
    }
    copy src sources 60
    copy /usr/include headers 80
    copy docs appended 8
    mkdir -p "$peers/patch/added"
    head -c 5000 /dev/urandom > "$peers/patch/added/noise"
    echo 'one more' > "$peers/patch/added/text"
    "$ZNIPPY_PEER" append --input "$peers/appended.znippy" --add "$peers/patch" > /dev/null
    cp -r "$peers/patch/." "$peers/appended/"
    rm -r "$peers/patch"
    export ZNIPPY_PEERS=$peers
fi

code=0
CARGO_PROFILE_DEV_OPT_LEVEL=2 ZNIPPY_ROUNDS=${1:-6000} ZNIPPY_SEED=${2:-1} \
    cargo test --quiet --test version_3_damage -- --nocapture --test-threads 2 > "$out" 2>&1 || code=$?
grep -oE '(damaged|rearranged): .*|.*panicked.*|round .*' "$out" || cat "$out" >&2
exit $code
