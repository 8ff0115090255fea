#!/bin/sh
# Runs packing, reading, verification and extraction under orders of threads that shuttle chooses, at random and by
# priorities (PCT): no deadlock, no lost slice, the same archive each time. Prints a line for each kind and one for all.
#
# usage: scripts/campaign-schedules.sh [SCHEDULES]     of each kind; default 1000, of extraction a tenth
# ZNIPPY_SCHEDULES_SEED chooses where they begin; else it is 1.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
code=0
# Optimised, with the checks for overflow and the assertions of a build for tests.
ZNIPPY_SCHEDULES=${1:-1000} CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/schedules \
    cargo test --quiet --locked --features schedules --test schedules -- --nocapture --test-threads 1 > "$out" 2>&1 || code=$?
[ "$code" = 0 ] || cat "$out" >&2
# What the test harness writes may stand before a line of ours.
grep -o 'schedules: .*' "$out" || true
grep -o 'schedules: .* without a finding' "$out" |
    awk '{ sum += $(NF - 3) } END { printf "schedules: %d in all\n", sum }'
exit $code
