#!/bin/bash
# Counts the instructions and system calls of the tool's jobs on one thread, which no other load of a machine changes, and
# compares them with those that are kept in benches/instructions.txt: what costs 3 % more fails.
#
# usage: scripts/count-instructions.sh [--update]     wants a release build in build/
#
# The tree is the same everywhere: 3,000 tiny files and one of 12 MB. Other compilers make other code, so figures of another rustc
# are shown and not compared.
set -eu -o pipefail
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh valgrind strace
kept=benches/instructions.txt
compiler=$(rustc --version | cut -d' ' -f1,2)
tool=${ZNIPPY:-build/bin/znippy}
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-count.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -x build/benches/many_files ] || cmake --build build --target bench_many_files > /dev/null
build/benches/many_files "$work/tree" 3000
seq 1500000 > "$work/tree/big"
find "$work/tree" -exec touch -h -d @1700000000 {} +

# count NAME COMMAND...: prints the name, thousands of instructions, and system calls of a command.
count() {
    local name=$1 instructions calls
    shift
    rm -rf "$work/out"
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$@" > /dev/null 2> "$work/log" || { cat "$work/log" >&2; return 1; }
    instructions=$(awk '/I +refs:/ { gsub(",", "", $NF); print int($NF / 1000) }' "$work/log")
    rm -rf "$work/out"
    strace -f -qq -o "$work/calls" "$@" > /dev/null
    # How often threads wait for each other is chance, and where the loader looks for libraries in vain is the processor's kind.
    calls=$(awk '/ set_tid_address/ { loaded = 1 }
        !/ (futex|sched_yield|<\.\.\.|\+\+\+)/ && (loaded || !/= -1 ENOENT/) { count++ } END { print count }' "$work/calls")
    printf '%s %s %s\n' "$name" "$instructions" "$calls"
}

{
    echo "compiler $compiler"
    "$tool" pack -q -f -j 1 "$work/tree" "$work/archive"
    count pack "$tool" pack -q -f -j 1 "$work/tree" "$work/packed"
    count unpack "$tool" unpack -q -j 1 "$work/archive" "$work/out"
    count verify "$tool" verify -q -j 1 "$work/archive"
    count list "$tool" list "$work/archive"
    count cat "$tool" cat --offset 6000000 --length 1000 "$work/archive" big
    "$tool" unpack -q -j 1 "$work/archive" "$work/same"
    count unchanged "$tool" unpack -q -j 1 --skip-unchanged "$work/archive" "$work/same"
} > "$work/found"

if [ "${1:-}" = --update ]; then
    cp "$work/found" "$kept"
fi
python3 - "$kept" "$work/found" <<'PYTHON'
import sys

MOST = 1.03
kept, found = (dict((line.split(None, 1)) for line in open(name)) for name in sys.argv[1:])
same = kept.pop("compiler") == found.pop("compiler")
failures = 0
print(f"{'':10} {'instructions':>14} {'':>8} {'calls':>8}")
for job, figures in found.items():
    now, before = ([int(figure) for figure in text.split()] for text in (figures, kept.get(job, figures)))
    ratios = [new / old for new, old in zip(now, before)]
    more = same and max(ratios) > MOST
    failures += more
    print(f"{job:10} {now[0]:10,} 10^3 {ratios[0]:8.3f} {now[1]:8,} {ratios[1]:8.3f}{'   more than is kept' if more else ''}")
if not same:
    print("another compiler than that of the figures that are kept: not compared")
elif failures:
    sys.exit("What is meant to cost more is kept with --update, and why is said in the commit.")
PYTHON
