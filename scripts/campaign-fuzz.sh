#!/bin/sh
# Fuzzes one target of fuzz/, or all of them: random programs of changes, hashes made right, arithmetic checked. Prints one
# line a target. A finding is kept as finding-TARGET in the working directory, and the seed is printed.
#
# usage: scripts/campaign-fuzz.sh TARGET|all [MINUTES]
# ZNIPPY_FUZZ_SEED chooses the seed; else it is the time. With cargo-fuzz and its toolchain, 'cargo fuzz run TARGET' in
# fuzz/ runs the same targets guided by coverage.
set -eu
target=${1:?usage: scripts/campaign-fuzz.sh TARGET|all [MINUTES]}
minutes=${2:-1}
cd "$(dirname "$0")/.."
seed=${ZNIPPY_FUZZ_SEED:-$(date +%s)}
[ "$target" = all ] && target=
out=$(mktemp)
trap 'rm -f "$out"' EXIT
# Optimised, with the checks for overflow and the assertions of a build for tests.
code=0
CARGO_PROFILE_DEV_OPT_LEVEL=2 ZNIPPY_FUZZ_TARGET=$target ZNIPPY_FUZZ_SEED=$seed \
    ZNIPPY_FUZZ_SECONDS=$(awk "BEGIN { print $minutes * 60 }") \
    cargo test --quiet --test fuzz -- --nocapture > "$out" 2>&1 || code=$?
grep -E 'inputs|: input ' "$out" || cat "$out" >&2
exit $code
