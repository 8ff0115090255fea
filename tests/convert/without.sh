#!/bin/sh
# The tool converts in a program of its own where it has one, builds without libarchive, without libzip and without both; what it then can't convert it says, and nothing is
# left; what it still can, it does.
#
# usage: without.sh C_COMPILER DIRECTORY_OF_LIBZNIPPY      77 where libarchive or libzip is missing
set -eu
cc=$1 library=$2
cd "$(dirname "$0")/../.."
sources=c_examples/znippy
pkg-config --exists libarchive libzip zlib || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "without.sh: $*" >&2; exit 1; }

# build NAME SOURCE... FLAG...
build() {
    name=$1
    shift
    "$cc" -std=c11 -O0 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Wshadow -Werror -D_XOPEN_SOURCE=700 -Iinclude \
        -o "$work/$name" "$sources"/*.c "$sources"/foreign/import.c "$sources"/foreign/late.c "$sources"/foreign/limits.c \
        "$@" "-L$library" "-Wl,-rpath,$library" -lznippy || fail "$name doesn't build"
}
foreign=$sources/foreign
# shellcheck disable=SC2046 # words of pkg-config
build neither
# shellcheck disable=SC2046
build tar -DZNIPPY_WITH_LIBARCHIVE "$foreign/from_tar.c" "$foreign/to_tar.c" "$foreign/tree_order.c" "$foreign/acl.c" \
    "$foreign/gzip.c" $(pkg-config --cflags --libs libarchive zlib)
# shellcheck disable=SC2046
build split '-DZNIPPY_CONVERTER="part/of/convert"'
# shellcheck disable=SC2046
build zip -DZNIPPY_WITH_LIBZIP "$foreign/from_zip.c" $(pkg-config --cflags --libs libzip zlib)

mkdir "$work/tree"
echo text > "$work/tree/file"
tar -cf "$work/a.tar" -C "$work/tree" .
python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("file", "text\n")' "$work/a.zip"
"$work/neither" pack -q "$work/tree" "$work/a.znippy"

# refused TOOL ARCHIVE NEW LIBRARY
refused() {
    if "$work/$1" convert "$work/$2" "$3" > "$work/out" 2> "$work/said"; then fail "$1 converts $2"; fi
    grep -q "was built without $4" "$work/said" || fail "$1, $2: $(cat "$work/said")"
    [ ! -e "$work/new" ] || fail "$1, $2: something is left"
    [ ! -s "$work/out" ] || fail "$1, $2: something was written"
}
converted() {
    "$work/$1" convert -q "$work/$2" "$work/new" > "$work/out" 2>&1 || fail "$1, $2: $(cat "$work/out")"
    [ "$("$work/$1" cat "$work/new" file)" = text ] || fail "$1, $2: other bytes"
    rm "$work/new"
}
for tool in neither zip; do
    refused $tool a.tar "$work/new" libarchive
    refused $tool a.znippy - libarchive
done
for tool in neither tar; do refused $tool a.zip "$work/new" libzip; done
mkdir -p "$work/part/of"
ln "$work/tar" "$work/part/of/convert"
converted split a.tar
# The part that has libarchive is gone, or was never installed.
mv "$work/part" "$work/elsewhere"
if "$work/split" convert "$work/a.tar" "$work/new" > "$work/out" 2> "$work/said"; then fail "split converts by itself"; fi
grep -q "takes libarchive, and the part.*part/of/convert" "$work/said" || fail "split: $(cat "$work/said")"
converted split a.znippy

converted tar a.tar
converted zip a.zip
for tool in neither tar zip; do converted $tool a.znippy; done
"$work/tar" convert -q "$work/a.znippy" - | tar -tf - | grep -q '^file$' || fail "no tar comes out"
echo "the tool works with the program that converts and without, and without libarchive, without libzip, and without both"
