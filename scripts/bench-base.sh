#!/bin/bash
# What packing against a base archive saves where one file in a hundred has changed, beside packing the whole tree.
#
# usage: scripts/bench-base.sh [-n ROUNDS] [-j THREADS] [-c BASE-CHECK] TREE        default: 5 rounds, 2 threads, option base-check 0
#
# TREE is copied to $TMPDIR, which should be on tmpfs, and one file in a hundred of the copy gets a line more. Rounds take
# turns, so that whatever else the machine does falls on both. Tree digests are compared.
set -eu -o pipefail
cd "$(dirname "$0")/.."
rounds=5 threads=2 check=0
while getopts n:j:c: option; do
    case $option in
    n) rounds=$OPTARG ;;
    j) threads=$OPTARG ;;
    c) check=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || { echo "usage: scripts/bench-base.sh [-n ROUNDS] [-j THREADS] TREE" >&2; exit 2; }
sh scripts/install-needs.sh time python3
znippy=${ZNIPPY:-build/bin/znippy}
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-base.XXXXXX")
trap 'rm -rf "$work"' EXIT

cp -a "$1" "$work/tree"
sleep 3 # so that nothing was modified just now
"$znippy" pack -q -j "$threads" "$work/tree" "$work/old"
find "$work/tree" -type f | LC_ALL=C sort | awk 'NR % 100 == 50' | while IFS= read -r name; do
    echo "a line more" >> "$name"
done
echo "$(find "$work/tree" -type f | wc -l) files, $(du -sb "$work/tree" | cut -f1) bytes, one in a hundred changed"
sleep 3

digest() {
    "$znippy" info --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["tree_digest"])'
}

for round in $(seq "$rounds"); do
    for what in full base; do
        [ $((round % 2)) -eq 1 ] || { [ $what = full ] && what=base || what=full; }
        if [ $what = full ]; then set --; else set -- --base "$work/old" --set "base-check=$check"; fi
        /usr/bin/time -a -o "$work/$what.times" -f %e "$znippy" pack -q -f -j "$threads" "$@" "$work/tree" "$work/$what"
    done
done
[ "$(digest "$work/full")" = "$(digest "$work/base")" ] || { echo "tree digests differ" >&2; exit 1; }
"$znippy" verify -q "$work/base"
median() {
    sort -n "$1" | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'
}
full=$(median "$work/full.times") base=$(median "$work/base.times")
echo "medians of $rounds rounds, $threads threads: full $full s, against a base $base s, $(echo "$base $full" | awk '{ printf "%.1f", 100 * $1 / $2 }') %"
echo "archives: full $(stat -c %s "$work/full"), against a base $(stat -c %s "$work/base") bytes; equal tree digests"
