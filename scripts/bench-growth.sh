#!/bin/bash
# How time and memory grow: packing, unpacking and verifying 10^4, 10^5 and 10^6 tiny files, and 1, 10 and 40 GB of generated
# data in files of 1 GB, with the default preset. Prints a table.
#
# usage: scripts/bench-growth.sh [-j THREADS] [-f "FILES..."] [-g "GIGABYTES..."]     default: 2, "10000 100000 1000000", "1 10 40"
#
# Works in $TMPDIR, which should be on tmpfs as far as it goes: 4.3 GB and a million inodes for a million files, twice the data
# for gigabytes. Data are seeded: a keystream as text of 64 letters, which compresses to three quarters and has no holes; every
# file has a key of its own. Trees are removed before they are unpacked.
set -eu -o pipefail
cd "$(dirname "$0")/.."
threads=2 counts="10000 100000 1000000" gigabytes="1 10 40"
while getopts j:f:g: option; do
    case $option in
    j) threads=$OPTARG ;;
    f) counts=$OPTARG ;;
    g) gigabytes=$OPTARG ;;
    *) exit 2 ;;
    esac
done
sh scripts/install-needs.sh time openssl
cmake --build build --target znippy_tool benches > /dev/null
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
znippy=build/bin/znippy

# Wall seconds, seconds of processor time and peak MiB of a command.
timed() {
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@"
    awk '{ printf " %.2f | %.2f | %.0f |", $1, $2 + $3, $4 / 1024 }' "$work/time"
}

# What grows, and the job on $work/tree, whose bytes it says.
row() {
    printf '| %s | %.1f |' "$1" "$(du -sb --apparent-size "$work/tree" | awk '{ print $1 / 1e6 }')"
    timed "$znippy" pack -q -j "$threads" "$work/tree" "$work/archive"
    printf ' %.1f |' "$(stat -c %s "$work/archive" | awk '{ print $1 / 1e6 }')"
    rm -rf "$work/tree"
    timed "$znippy" verify -q -j "$threads" "$work/archive"
    timed "$znippy" unpack -q -j "$threads" "$work/archive" "$work/tree"
    printf '\n'
    rm -rf "$work/tree" "$work/archive"
}

echo '| | MB | pack s | CPU s | peak MiB | MB | verify s | CPU s | peak MiB | unpack s | CPU s | peak MiB |'
echo '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|'
for count in $counts; do
    build/benches/many_files "$work/tree" "$count"
    row "$count files"
done
for size in $gigabytes; do
    mkdir "$work/tree"
    for number in $(seq "$size"); do
        openssl enc -aes-128-ctr -K "$(printf %032x "$number")" -iv "$(printf %032d 0)" -nosalt -in /dev/zero 2> /dev/null |
            base64 | head -c 1000000000 > "$work/tree/$number" || true
    done
    row "$size GB"
done
