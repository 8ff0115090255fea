#!/bin/bash
# The reader of znippy 0.10.1 beside ours: archives of format version 3 are damaged, put together otherwise and given wrong
# rows; whatever both readers read must be the same, and what the other reads of a whole archive must be read here. Prints a
# line of counts.
#
# usage: scripts/campaign-differential.sh [ARCHIVES [SEED]]     default 10000 and 1
#
# ZNIPPY_PEER_READER names the other reader; else it is built from tests/version_3_peer in a temporary directory, with Rust 1.96
# or later (CARGO=... says with what; "cargo +nightly" by default): some 300 crates, ten minutes of two cores. ZNIPPY_FIXTURES_V3
# and ZNIPPY_PEERS name more archives, as for the test version_3_damage; ZNIPPY_PEER_TELL=1 prints what is read there alone.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${ZNIPPY_PEER_READER:-}" ]; then
    read -r -a cargo <<< "${CARGO:-cargo +nightly}"
    cp -r tests/version_3_peer "$work/peer"
    (cd "$work/peer" && CARGO_TARGET_DIR=$work/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 "${cargo[@]}" build -q --release)
    ZNIPPY_PEER_READER=$work/target/release/version-3-peer
fi
export ZNIPPY_PEER_READER
# What it must not do to this machine: take all memory.
ulimit -v "${ZNIPPY_PEER_MEMORY:-8000000}"
code=0
CARGO_PROFILE_DEV_OPT_LEVEL=2 ZNIPPY_ROUNDS=${1:-10000} ZNIPPY_SEED=${2:-1} \
    cargo test --quiet --test version_3_differential -- --ignored --nocapture > "$work/out" 2>&1 || code=$?
grep -oE '(differential|only there): .*|.*panicked.*|round .*' "$work/out" || cat "$work/out" >&2
exit $code
