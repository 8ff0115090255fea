#!/bin/bash
# Runs unit tests and the tests that read from several threads under ThreadSanitizer.
#
# usage: scripts/tsan.sh [CARGO-TEST-ARGUMENT...]     default: --lib --test reader_threads --test capi
#
# The sanitizer is one of rustc's unstable features; RUSTC_BOOTSTRAP lets a stable compiler have it. The standard
# library comes compiled and without it, so its locks are replaced by others (feature `tsan`), and the two things that
# can't be replaced are suppressed: the end of counted references, which it orders by fences, which the sanitizer
# doesn't know, and its channels. The C code of zstd is not instrumented either.
set -eu -o pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin
[ $# -gt 0 ] || set -- --lib --test reader_threads --test capi
target=$(rustc -vV | sed -n 's/^host: //p')
suppressions=$(mktemp)
trap 'rm -f "$suppressions"' EXIT
cat > "$suppressions" <<'LIST'
race:alloc::sync::Arc<*>::drop
race:alloc::sync::Arc<*>::drop_slow
race:std::sync::mpmc
race:std::sync::mpsc
race:crossbeam_channel
LIST
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/tsan
export TSAN_OPTIONS="suppressions=$suppressions halt_on_error=0 exitcode=66"
# Ten times slower: fewer reads, which still meet each other all the time.
export ZNIPPY_TEST_READS=${ZNIPPY_TEST_READS:-10000}
cargo test --locked --no-fail-fast --features tsan --target "$target" "$@"
