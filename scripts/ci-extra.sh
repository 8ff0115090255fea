#!/bin/bash
# What takes longer than scripts/test.sh, which must have run before: the installed library and its consumers, panics on
# purpose, the gates that are Rust tests, ThreadSanitizer, sanitizers around the C interface, the packages, and longer
# campaigns. One line of result per step at the end; fails if any step failed.
#
# usage: scripts/ci-extra.sh [SECONDS]     default 3600: no step begins after them, nor runs beyond them
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
budget=${1:-3600}

# timed NAME MOST-SECONDS COMMAND...: a step within what is left of the time. One that is cut off counts as failed,
# one that can't begin any more as skipped.
timed() {
    local name=$1 most=$2 left=$((budget - SECONDS))
    shift 2
    if [ "$left" -lt $((most / 4)) ]; then
        skipped "$name" "no time left"
        return
    fi
    step_or_skip "$name" timeout --kill-after=30 "$((most < left ? most : left))" "$@"
}

sanitized() {
    cmake --preset sanitize && cmake --build --preset sanitize -j 2 &&
        ctest --preset sanitize -j 2 -R '\.shared$|^tool\.|^cpp\.' -E "${ZNIPPY_SANITIZE_SKIP:-^$}"
}
export -f sanitized

sh scripts/install-needs.sh cmake make gcc g++ clang objcopy readelf pkg-config python3 meson ninja libzstd.pc doxygen mandoc \
    rpmspec abidw dpkg-buildpackage lintian debootstrap xz || exit 1

timed "installed library, consumers" 900 scripts/check-install.sh
timed "panics" 900 tests/panic/run.sh
timed "gates that are Rust tests" 600 abi/check-gates.sh --rust .
timed "native libraries" 600 sh abi/check-native-libs.sh . build/znippy.pc
timed "interface against abidiff" 300 abi/check-abi.sh .
timed "guide" 300 docs/guide/check.sh
timed "API reference" 300 scripts/api-reference.sh
timed "package files" 300 packaging/check-files.sh
timed "AddressSanitizer, C interface" 1200 bash -c sanitized
timed "ThreadSanitizer" 1500 scripts/tsan.sh
for campaign in scripts/campaign-*.sh; do
    [ ! -x "$campaign" ] || timed "${campaign##*/}" 900 "$campaign"
done
timed "Debian packages" 1500 scripts/check-debian.sh

results
