#!/bin/bash
# What takes longer than scripts/test.sh, which must have run before: the installed library and its consumers, panics on
# purpose, the gates that are Rust tests, ThreadSanitizer, sanitizers around the C interface, the packages, and longer
# campaigns. One line of result per step at the end; fails if any step failed.
#
# usage: scripts/ci-extra.sh [SECONDS]     default 2100: no step begins after them, nor runs beyond them
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
budget=${1:-2100}

# timed NAME MOST-SECONDS COMMAND...: a step that fails if it takes longer than that. What the time that is left is too
# short for is skipped, and said to be.
timed() {
    local name=$1 most=$2 left=$((budget - SECONDS)) code=0
    shift 2
    if [ "$left" -lt $((most / 4)) ]; then
        skipped "$name" "no time left"
        return
    fi
    printf '\n== %s: %s\n' "$name" "$*"
    step_start=$SECONDS
    timeout --kill-after=30 "$((most < left ? most : left))" "$@" || code=$?
    case $code in
    0) note "$name" 1 0 ;;
    77) skipped "$name" ;;
    124 | 137) if [ "$left" -lt "$most" ]; then skipped "$name" "no time left"; else note "$name" 0 1; fi ;;
    *) note "$name" 0 1 ;;
    esac
}

# AddressSanitizer takes terabytes of addresses, so what convert may take is not limited there.
sanitized() {
    export ZNIPPY_CONVERT_MEMORY=unlimited
    cmake --preset sanitize && cmake --build --preset sanitize -j 2 &&
        ctest --preset sanitize -j 2 -R '\.shared$|^tool\.|^cpp\.' -E "${ZNIPPY_SANITIZE_SKIP:-^$}"
}
export -f sanitized

sh scripts/install-needs.sh cmake make gcc g++ clang objcopy readelf strip c++filt pkg-config python3 meson ninja libzstd.pc doxygen mandoc \
    rpmspec abidw dpkg-buildpackage dh fakeroot lintian debootstrap xz libarchive.pc libzip.pc zlib.pc bsdtar zip unzip valgrind strace || exit 1

# What takes seconds comes first; what every user meets before what is rare. All use the build that scripts/test.sh left.
timed "size of the library" 60 abi/check-size.sh build/lib/libznippy.so
timed "interface against abidiff" 300 abi/check-abi.sh .
timed "installed library, consumers" 600 scripts/check-install.sh
timed "guide" 300 docs/guide/check.sh
timed "API reference" 300 scripts/api-reference.sh
timed "package files" 300 packaging/check-files.sh
timed "instructions and system calls" 300 scripts/count-instructions.sh
timed "one archive from two users" 300 scripts/check-two-chroots.sh
# Samples; the whole campaigns and their last results are in docs/RELIABILITY.md.
timed "corruption, a sample" 300 scripts/campaign-corruption.sh 100
timed "kills, a sample" 300 scripts/campaign-kill.sh 5
timed "kills at system calls, a sample" 300 scripts/campaign-kill-calls.sh 2 40
timed "power cuts, a sample" 300 scripts/campaign-power-cut.sh 33
timed "power cuts without syncing, which must show" 300 scripts/campaign-power-cut.sh --no-sync 22
timed "system call faults, a sample" 300 scripts/campaign-faults.sh 2 60
timed "limits of the process" 300 scripts/campaign-limits.sh 32
timed "special and changing sources, a sample" 300 scripts/campaign-sources.sh 100
timed "soak, a sample" 300 scripts/campaign-soak.sh 1
timed "full disk, a sample" 300 scripts/campaign-full-disk.sh 1024
timed "kills of appending, a sample" 300 scripts/campaign-append-kill.sh 10 20
timed "failing allocations, a sample" 300 scripts/campaign-memory.sh 12
timed "native libraries" 300 sh abi/check-native-libs.sh . build/znippy.pc
timed "Criterion benches compile" 300 cargo clippy --locked --manifest-path benches/criterion/Cargo.toml --target-dir target/benches \
    --all-targets -- -D warnings
timed "panics" 600 tests/panic/run.sh
timed "gates that are Rust tests" 600 abi/check-gates.sh --rust .
timed "AddressSanitizer, C interface" 900 bash -c sanitized
timed "Debian packages" 900 scripts/check-debian.sh
timed "fuzzing, a sample" 600 scripts/campaign-fuzz.sh all 0.1
timed "schedules, a sample" 900 scripts/campaign-schedules.sh 300
timed "ThreadSanitizer" 900 scripts/tsan.sh
timed "Go module, long" 900 scripts/test-go.sh --long

results
