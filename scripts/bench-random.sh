#!/bin/bash
# Reads files at random out of one tree packed by znippy, by mksquashfs and by zip, in one process each on 1 and 8 threads.
#
# usage: scripts/bench-random.sh [-c COUNT] TREE [PACK-OPTION...]     TREE and $TMPDIR on tmpfs
set -eu -o pipefail
cd "$(dirname "$0")/.."
count=3000
while getopts c: option; do
    case $option in
    c) count=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
tree=$(realpath "$1")
shift
sh scripts/install-needs.sh mksquashfs zip libsquashfs1.pc libzip.pc pkg-config
cmake -B build > /dev/null
cmake --build build --target znippy_tool benches > /dev/null
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
build/bin/znippy pack -q "$@" "$tree" "$work/a.znippy"
mksquashfs "$tree" "$work/b.squashfs" -comp zstd -Xcompression-level 3 -quiet -no-progress > /dev/null
(cd "$tree" && zip -qr1 "$work/c.zip" .)
stat -c '%n %s' "$work"/[abc].* | sed 's,.*/,,'
for threads in 1 8; do
    echo "== $threads threads"
    build/benches/random_reads "$work/a.znippy" "$work/b.squashfs" "$work/c.zip" "$count" "$threads"
done
