#!/bin/bash
# Kills appending (SIGKILL) at random moments. What stands under the archive's name afterwards is the old archive or the
# new one, byte for byte, and valid.
#
# usage: scripts/campaign-append-kill.sh [KILLS [MEGABYTES]]        default: 50 kills, an archive of 200 MB
#
# The archive lies in $TMPDIR. Ends with 1 at the first archive that is neither.
set -eu -o pipefail
cd "$(dirname "$0")/.."
kills=${1:-50} megabytes=${2:-200}
sh scripts/install-needs.sh cmp
znippy=${ZNIPPY:-$PWD/build/bin/znippy}
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-kill.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir "$work/tree" "$work/more" "$work/place"
for number in $(seq "$megabytes"); do
    head -c 1000000 /dev/urandom > "$work/tree/$number"
done
for number in $(seq 100); do
    head -c 100000 /dev/urandom > "$work/more/new-$number"
done
"$znippy" pack -q "$work/tree" "$work/old"
cp "$work/old" "$work/new"
"$znippy" append -q "$work/new" "$work/more"
"$znippy" verify -q "$work/new"
archive=$work/place/archive

cp "$work/old" "$archive"
started=$(date +%s%N)
"$znippy" append -q "$archive" "$work/more"
lasts=$((($(date +%s%N) - started) / 1000))
cmp "$archive" "$work/new" # appending the same gives the same bytes

killed=0 old=0 new=0 temporary=0 tries=0
while [ "$killed" -lt "$kills" ] && [ "$tries" -lt $((kills * 20)) ]; do
    tries=$((tries + 1))
    rm -rf "$work/place"
    mkdir "$work/place"
    cp "$work/old" "$archive"
    "$znippy" append -q "$archive" "$work/more" &
    process=$!
    wait=$(((RANDOM * 32768 + RANDOM) % lasts))
    sleep "$((wait / 1000000)).$(printf %06d $((wait % 1000000)))"
    kill -KILL "$process" 2> /dev/null || true
    code=0
    wait "$process" 2> /dev/null || code=$?
    [ "$code" -eq 137 ] || continue # it was done before
    killed=$((killed + 1))
    if cmp -s "$archive" "$work/old"; then
        old=$((old + 1))
    elif cmp -s "$archive" "$work/new"; then
        new=$((new + 1))
    else
        echo "kill $killed after $wait of $lasts microseconds: neither the old archive nor the new" >&2
        exit 1
    fi
    "$znippy" verify -q "$archive"
    temporary=$((temporary + $(find "$work/place" -mindepth 1 | wc -l) - 1))
done
echo "$killed kills within $lasts microseconds: $old times the old archive, $new times the new, all valid; $temporary temporary files were left"
[ "$killed" -eq "$kills" ]
