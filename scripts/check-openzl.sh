#!/bin/bash
# The library with OpenZL built in (cargo feature `openzl`, CMake option ZNIPPY_OPENZL): frames of OpenZL's graphs in all
# versions of its format are decoded, damaged ones are errors; there is one copy of zstd, no symbol of OpenZL, zstd or lz4
# gets out of either library, and the static one links beside the system's libzstd. Builds in build/openzl.
#
# usage: scripts/check-openzl.sh     OpenZL takes some minutes to build, the first time
set -eu
cd "$(dirname "$0")/.."
fixture=tests/fixtures/v3/openzl-frames.znippy
build=build/openzl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "check-openzl: $*" >&2; exit 1; }

# One folder and one profile for both, so that OpenZL is built once.
target=$PWD/$build/target
cargo test --locked --quiet --release --target-dir "$target" --features openzl --test version_3_openzl -- --nocapture > "$work/out" 2>&1 || {
    cat "$work/out" >&2
    fail "the tests failed"
}
grep -o '[0-9]* frames of versions .*' "$work/out"

cmake -B "$build" -DZNIPPY_OPENZL=ON -DZNIPPY_BUILD_TESTS=OFF -DZNIPPY_BUILD_EXAMPLES=OFF -DZNIPPY_INSTALL=OFF \
    "-DZNIPPY_CARGO_TARGET_DIR=$target" > /dev/null
cmake --build "$build" -j 2 > "$work/out" 2>&1 || { tail -20 "$work/out" >&2; fail "no build"; }

# The library that cargo makes has each of zstd's functions once: both sides use the same.
objects=$work/symbols
nm --defined-only "$target/release/libznippy.a" > "$objects" 2> /dev/null || true
for symbol in ZSTD_decompressDCtx ZSTD_compress2 ZSTD_getFrameHeader_advanced ZL_decompress LZ4_decompress_safe; do
    count=$(grep -c " T $symbol\$" "$objects" || true)
    [ "$count" -eq 1 ] || fail "$symbol is there $count times"
done
foreign='^(ZSTD|ZL|ZS2|LZ4|HUF|FSE|XXH|ZDICT|HIST|POOL)_'
nm --defined-only --extern-only "$build/lib/libznippy.a" | awk 'NF == 3 { print $3 }' > "$work/static"
nm -D --defined-only "$build"/lib/libznippy.so | awk '{ print $3 }' > "$work/shared"
for library in static shared; do
    grep -q '^znippy_reader_open' "$work/$library" || fail "$library: no symbols of its own"
    ! grep -E "$foreign" "$work/$library" || fail "$library: symbols of others get out"
done

# One program with the static library and the system's zstd.
cat > "$work/both.c" << 'END'
#include <stdio.h>
#include <znippy.h>
#include <zstd.h>
int main(int argc, char **argv) {
    znippy_reader *reader = NULL;
    char text[64], room[256];
    znippy_status status = argc > 1 ? znippy_reader_open(argv[1], NULL, &reader, NULL) : ZNIPPY_E_INVALID_ARGUMENT;
    if (status == ZNIPPY_OK) {
        status = znippy_reader_verify(reader, NULL, NULL, NULL);
    }
    znippy_reader_free(reader);
    size_t len = ZSTD_compress(room, sizeof room, "both in one", 12, 3);
    size_t back = ZSTD_decompress(text, sizeof text, room, len);
    printf("%s, %s, zstd %s\n", status == ZNIPPY_OK ? "verified" : "not verified", text, ZSTD_versionString());
    return status != ZNIPPY_OK || back != 12;
}
END
read -r -a native <<< "$(grep -E '^-l' abi/native-libs.txt | grep -vE -- '-lgcc_s|-lc$' | tr '\n' ' ')"
cc -I include -o "$work/both" "$work/both.c" "$build/lib/libznippy.a" -lzstd "${native[@]}"
"$work/both" "$fixture"
"$build/bin/znippy" verify -q "$fixture"
"$build/bin/znippy" unpack -q "$fixture" "$work/tree"
head -c 20 "$work/tree/text.huffman" | grep -q 'line 0 of some text' || fail "other bytes"
if "$build/bin/znippy" unpack -q --untrusted "$fixture" "$work/untrusted" 2> "$work/out"; then
    fail "a stranger's frame came to OpenZL"
fi
grep -q 'untrusted' "$work/out" || fail "it doesn't say why"
strip -o "$work/stripped" "$build/lib/libznippy.so"
echo "check-openzl: $(find "$work/tree" -type f | wc -l) files of the fixture read; library of $(wc -c < "$work/stripped") bytes"
