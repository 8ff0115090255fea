#!/bin/bash
# Runs every test. One line of result per step at the end; fails if any step failed.
#
# usage: scripts/test.sh
#
# What takes longer is in scripts/ci-extra.sh.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# cargo prints one "test result:" line a test program.
cargo_tests() {
    printf '\n== cargo test\n'
    local code=0 passed failed
    cargo test --locked --no-fail-fast 2>&1 | tee "$log" || code=1
    passed=$(sed -n 's/^test result: .* \([0-9]*\) passed; .*/\1/p' "$log" | paste -sd+ | sum_of)
    failed=$(sed -n 's/^test result: .* \([0-9]*\) failed; .*/\1/p' "$log" | paste -sd+ | sum_of)
    # Code that doesn't compile, and a test program that ended before its result line, count as one failure.
    [ "$code" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    note "cargo test" "$passed" "$failed"
}

c_tests() {
    printf '\n== C build and ctest\n'
    if ! { cmake -B build -DZNIPPY_BUILD_TOOL=ON -DZNIPPY_BUILD_TESTS=ON && cmake --build build -j 2; }; then
        note "C build" 0 1
        return
    fi
    note "C build" 1 0
    local code=0 total failed skipped
    ctest --test-dir build --output-on-failure -j 2 2>&1 | tee "$log" || code=1
    failed=$(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests\{0,1\} failed out of [0-9]*$/\1/p' "$log")
    total=$(sed -n 's/^[0-9]*% tests passed, [0-9]* tests\{0,1\} failed out of \([0-9]*\)$/\1/p' "$log")
    skipped=$(grep -c '\*\*\*Skipped' "$log")
    [ -n "$total" ] || { total=0 failed=1; }
    [ "$code" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    note "ctest" $((total > failed + skipped ? total - failed - skipped : 0)) "$failed"
}

# An install must be usable with pkg-config alone, shared and static; scripts/check-install.sh tries all the other ways.
installed_program() {
    local prefix program='#include <znippy.h>
#include <znippy/arrow_abi.h>
int main(void) { return znippy_version_number() != ZNIPPY_VERSION_NUMBER; }'
    prefix=$(mktemp -d) || return 1
    local code=0
    (
        set -e
        cmake --install build --prefix "$prefix" > /dev/null
        cd "$prefix"
        printf '%s\n' "$program" > one.c
        export PKG_CONFIG_PATH=$prefix/lib/pkgconfig:$prefix/lib/$(gcc -print-multiarch)/pkgconfig
        # shellcheck disable=SC2046 # flags are several words on purpose
        gcc one.c -o shared $(pkg-config --define-prefix --cflags --libs znippy)
        LD_LIBRARY_PATH=$(pkg-config --define-prefix --variable=libdir znippy) ./shared
        # shellcheck disable=SC2046
        gcc one.c -o static -Wl,-Bstatic $(pkg-config --define-prefix --cflags --libs znippy) -Wl,-Bdynamic \
            $(sed -n 's/^Libs.private: //p' "$(find "$prefix" -name znippy.pc)")
        ./static
        ./bin/znippy --version
    ) || code=1
    rm -rf "$prefix"
    return $code
}

under_valgrind() {
    local test
    for test in "$@"; do
        valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
            "build/tests/$test.shared" || return 1
    done
}

needs=(cmake make gcc g++ objcopy readelf pkg-config python3)
sh scripts/install-needs.sh "${needs[@]}" || exit 1
# Without these, the tests that need them are skipped.
sh scripts/install-needs.sh libcurl.pc fuse3.pc zlib.pc fusermount3 nginx libarchive.pc libzip.pc bsdtar zip unzip setfacl || true

step "format" cargo fmt --check
step "lints" cargo clippy --locked --all-targets -- -D warnings
cargo_tests
c_tests
step "installed library" installed_program
step_or_skip "file from an HTTP server" tests/remote/run.sh
step_or_skip "mounted archive" tests/mount/run.sh
if command -v valgrind > /dev/null; then
    step "valgrind" under_valgrind error_objects options struct_sizes null_arguments arrow
else
    skipped valgrind "it is not installed"
fi
step_or_skip "Go module" scripts/test-go.sh
# A reader that follows docs/FORMAT.md alone; it brings its own Python environment.
if [ -x tests/stranger/run.sh ]; then
    step "a stranger's reader" tests/stranger/run.sh
fi
# DuckDB, Polars and pyarrow over the exported index; they come in a Python environment too.
step "queries" tests/query/run.sh

results
