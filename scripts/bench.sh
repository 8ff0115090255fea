#!/bin/bash
# Times packing and unpacking beside tar and zstd, and unpacking beside cp, interleaved, and prints medians and ratios.
#
# usage: scripts/bench.sh [-n RUNS] [-j THREADS] TREE     TREE should be on tmpfs; so is $TMPDIR, or say so
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
sh scripts/install-needs.sh time zstd python3
tree=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
parent=$(dirname "$tree")
name=$(basename "$tree")

# Runs a command and notes wall seconds, CPU seconds and peak KiB of its biggest process.
timed() {
    local what=$1
    shift
    /usr/bin/time -a -o "$work/times" -f "$what %e %U %S %M" "$@" > /dev/null
}

# Warm the cache, and say what the tree is.
(cd "$parent" && tar c "$name" | wc -c > "$work/tar-size")
echo "tree: $(find "$tree" -type f | wc -l) files, $(find "$tree" -type f -printf '%s\n' | awk '{s += $1} END {printf "%.1f MB", s / 1e6}')"
for ((i = 0; i < runs; i++)); do
    timed pack "$tool" pack -q -f -j "$threads" "$tree" "$work/a.znippy"
    timed tar-zstd sh -c "tar c -C '$parent' '$name' | zstd -3 -T$threads -q -f -o '$work/a.tar.zst'"
    mkdir "$work/out"
    timed unpack "$tool" unpack -j "$threads" "$work/a.znippy" "$work/out/tree"
    rm -rf "$work/out"
    mkdir "$work/out"
    timed zstd-tar sh -c "zstd -dc '$work/a.tar.zst' | tar x -C '$work/out'"
    rm -rf "$work/out"
    mkdir "$work/out"
    timed cp cp -a "$tree" "$work/out/tree"
    rm -rf "$work/out"
done
python3 - "$work/times" "$(stat -c %s "$work/a.znippy")" "$(stat -c %s "$work/a.tar.zst")" <<'PYTHON'
import statistics, sys

rows = {}
for line in open(sys.argv[1]):
    name, wall, user, system, kib = line.split()
    rows.setdefault(name, []).append((float(wall), float(user) + float(system), int(kib)))
median = {name: [statistics.median(column) for column in zip(*values)] for name, values in rows.items()}
for name, (wall, cpu, kib) in median.items():
    print(f"{name:10} wall {wall:6.2f} s   cpu {cpu:6.2f} s   peak {kib / 1024:6.1f} MiB")
znippy, tar = int(sys.argv[2]), int(sys.argv[3])
print(f"size       znippy {znippy / 1e6:.2f} MB   tar-zstd {tar / 1e6:.2f} MB   ratio {znippy / tar:.4f}")
print(f"pack       {median['pack'][0] / median['tar-zstd'][0]:.2f} x of tar | zstd -3")
print(f"unpack     {median['unpack'][0] / median['zstd-tar'][0]:.2f} x of zstd -d | tar x   {median['unpack'][0] / median['cp'][0]:.2f} x of cp -a")
PYTHON
