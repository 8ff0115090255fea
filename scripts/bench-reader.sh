#!/bin/bash
# What opening, finding, reading and listing cost in archives of many tiny files, and what packing and unpacking
# them takes of memory.
#
# usage: scripts/bench-reader.sh [-j THREADS] [COUNT...]     default: 10000 and 1000000 files, 2 threads
#
# The trees are made in $TMPDIR, which should be on tmpfs: a million files take a million inodes and 4.3 GB there. The
# tree goes before its archive is unpacked, so that no more than one is there at a time.
set -eu -o pipefail
cd "$(dirname "$0")/.."
threads=2
while getopts j: option; do
    case $option in
    j) threads=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- 10000 1000000
cmake --build build --target znippy_tool benches > /dev/null
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Wall seconds, CPU seconds and peak memory of a command.
timed() {
    local what=$1
    shift
    /usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@"
    awk -v what="$what" '{ printf "%-23s %10.2f s wall, %.2f s CPU, peak %.1f MiB\n", what, $1, $2 + $3, $4 / 1024 }' "$work/time"
}

for count; do
    inodes=$(df --output=iavail "$work" | tail -1)
    if [ "$inodes" != - ] && [ "$inodes" -lt $((count + count / 50)) ]; then
        echo "$count files: skipped, only $inodes inodes are free in $work"
        continue
    fi
    echo "== $count files"
    build/benches/many_files "$work/tree" "$count"
    timed "pack, $threads threads" build/bin/znippy pack -q -j "$threads" "$work/tree" "$work/archive"
    rm -rf "$work/tree"
    timed "unpack, $threads threads" build/bin/znippy unpack -q -j "$threads" "$work/archive" "$work/out"
    rm -rf "$work/out"
    timed "verify, $threads threads" build/bin/znippy verify -q -j "$threads" "$work/archive"
    build/benches/reader "$work/archive"
    rm -f "$work/archive"
done
