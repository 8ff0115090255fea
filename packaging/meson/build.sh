#!/bin/sh
# Builds the static library for meson.build. usage: build.sh CMAKE SOURCE_DIR BUILD_DIR OUTPUT
set -eu
cmake=$1 source=$2 build=$3 output=$4
"$cmake" -S "$source" -B "$build" -DZNIPPY_BUILD_SHARED=OFF -DZNIPPY_BUILD_TESTS=OFF -DZNIPPY_BUILD_EXAMPLES=OFF \
    -DZNIPPY_BUILD_TOOL=OFF -DZNIPPY_INSTALL=OFF
"$cmake" --build "$build"
cmp -s "$build/lib/libznippy.a" "$output" || cp "$build/lib/libznippy.a" "$output"
