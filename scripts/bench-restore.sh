#!/bin/bash
# Times restoring beside tar, unsquashfs and cp, interleaved: the whole tree, an unchanged one, one with 1 % of its files
# changed, and one directory of it. Prints medians and ratios.
#
# usage: scripts/bench-restore.sh [-n RUNS] [-j THREADS] TREE...     TREE and $TMPDIR should be on tmpfs
set -eu -o pipefail
cd "$(dirname "$0")/.."
tool=${ZNIPPY:-$PWD/build/bin/znippy}
runs=5
threads=2
while getopts n:j: option; do
    case $option in
    n) runs=$OPTARG ;;
    j) threads=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
sh scripts/install-needs.sh time zstd python3 mksquashfs

# Runs a command and notes wall seconds, CPU seconds and peak KiB of its biggest process.
timed() {
    local what=$1
    shift
    /usr/bin/time -a -o "$work/times" -f "$what %e %U %S %M" "$@" > /dev/null
}

# Adds a byte to every hundredth file of a restored tree.
change() {
    find "$1" -type f -print0 | LC_ALL=C sort -z | awk 'BEGIN { RS = ORS = "\0" } NR % 100 == 1' |
        xargs -0 sh -c 'for file; do chmod u+w "$file"; echo >> "$file"; done' sh
}

clean() {
    chmod -R u+rwX "$work/out"
    rm -rf "$work/out"
}

for tree; do
    tree=$(realpath "$tree")
    parent=$(dirname "$tree")
    name=$(basename "$tree")
    work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-bench.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    "$tool" pack -q -j "$threads" "$tree" "$work/a.znippy"
    tar c -C "$parent" "$name" | zstd -3 -T"$threads" -q -o "$work/a.tar.zst"
    mksquashfs "$tree" "$work/a.squashfs" -comp zstd -Xcompression-level 3 -b 1M -quiet -no-progress > /dev/null
    # The directory whose number of files is nearest to a hundred.
    part=$(cd "$tree" && find . -type f -printf '%h\n' | sed 's,^\./,,' | LC_ALL=C sort | uniq -c |
        awk '$2 != "." { d = $1 > 100 ? $1 - 100 : 100 - $1; if (best == "" || d < least) { least = d; best = $2 } } END { print best }')
    echo "== $name: $(find "$tree" -type f | wc -l) files; one directory: $part"
    for ((i = 0; i < runs; i++)); do
        timed unpack "$tool" unpack -q -j "$threads" "$work/a.znippy" "$work/out"
        timed unchanged "$tool" unpack -q -j "$threads" --skip-unchanged "$work/a.znippy" "$work/out"
        change "$work/out"
        timed changed-1-in-100 "$tool" unpack -q -j "$threads" --skip-unchanged "$work/a.znippy" "$work/out"
        clean
        timed one-directory "$tool" unpack -q -j "$threads" --prefix "$part" "$work/a.znippy" "$work/out"
        clean
        mkdir "$work/out"
        timed zstd-tar sh -c "zstd -dc '$work/a.tar.zst' | tar x -C '$work/out'"
        clean
        timed unsquashfs unsquashfs -q -n -p "$threads" -d "$work/out" "$work/a.squashfs"
        clean
        mkdir "$work/out"
        timed cp cp -a "$tree" "$work/out/tree"
        clean
    done
    python3 - "$work/times" <<'PYTHON'
import statistics, sys

rows = {}
for line in open(sys.argv[1]):
    name, wall, user, system, kib = line.split()
    rows.setdefault(name, []).append((float(wall), float(user) + float(system), int(kib)))
median = {name: [statistics.median(column) for column in zip(*values)] for name, values in rows.items()}
whole = median["unpack"][0]
for name, (wall, cpu, kib) in median.items():
    print(f"{name:17} wall {wall:6.2f} s   cpu {cpu:6.2f} s   peak {kib / 1024:6.1f} MiB   {wall / whole:.3f} x unpack   unpack {whole / max(wall, 0.005):.2f} x")
PYTHON
    rm -rf "$work"
done
