#!/bin/sh
# Damages small archives of all kinds in memory: every bit flipped, every length cut to, 1 to 64 bytes appended. Each
# damage must be reported when the archive is opened or verified, or be proven harmless: all names, bytes and metadata read
# back as they were. Prints a line for each kind of archive and one for all.
#
# usage: scripts/campaign-damage.sh
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
code=0
# Optimised, with the checks for overflow and the assertions of a build for tests.
CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo test --quiet --locked --test read damage_is_detected -- --ignored --nocapture > "$out" 2>&1 ||
    code=$?
# What the test harness writes may stand before a line of ours.
grep -o 'damage: .*' "$out" || cat "$out" >&2
grep 'changed something unnoticed' "$out" || true
exit $code
