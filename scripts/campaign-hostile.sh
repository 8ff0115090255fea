#!/bin/sh
# Unpacks every hostile archive into every state of a destination, with openat2 and without, as root and as nobody, plain
# and with --untrusted; then unpacks while somebody swaps directories for links. Prints one line of figures each.
#
# usage: scripts/campaign-hostile.sh [RACES]      the archives come from tests/hostile/archives.rs
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin
export ZNIPPY_RACE_RUNS="${1:-2000}"
cargo test --locked --test hostile -- --ignored --exact campaign race::campaign_race --nocapture --test-threads 1 |
    grep -E '^hostile:|race: |archives in|^(root|nobody) ' || { echo "hostile: FAILED; run cargo test --test hostile" >&2; exit 1; }
