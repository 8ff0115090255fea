#!/bin/sh
# Checks that abi/symbols.txt, the header's prototypes and the globals of both libraries are one set, and that
# the shared library has the soname, the flags and the symbol version that programs rely on.
#
# usage: check-symbols.sh SOURCE_DIR SHARED_LIBRARY STATIC_LIBRARY SONAME SYMBOL_VERSION
set -eu
export LC_ALL=C
source=$1 shared=$2 static=$3 soname=$4 version=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "check-symbols: $*" >&2
    exit 1
}

same() {
    diff -u "$work/symbols" "$1" >&2 || fail "$2 differs from abi/symbols.txt (lines with + are not in the list)"
}

# Defined symbols that a linker of other code can see. readelf, since nm of old binutils breaks off on objects
# of a newer LLVM.
globals() {
    readelf -sW "$1" 2>/dev/null | awk '$5 ~ /GLOBAL|WEAK/ && $6 != "HIDDEN" && $7 != "UND" && $7 != "ABS" { print $8 }' | sort -u
}

exports() {
    readelf --dyn-syms -W "$1" | awk '$5 ~ /GLOBAL|WEAK/ && $7 != "UND" && $7 != "ABS" { print $8 }' | sort -u
}

grep '^znippy_' "$source/abi/symbols.txt" | sort -u > "$work/symbols"
python3 "$(dirname "$0")/prototypes.py" names "$source/include/znippy.h" > "$work/header"
globals "$static" | grep -v '^DW\.ref\.rust_eh_personality$' > "$work/static" || true
exports "$shared" > "$work/exports"
sed 's/@.*//' "$work/exports" > "$work/shared"


# Symbols of what is linked in would meet those of the system's copy in the same program.
for library in static shared; do
    leaked=$(grep -E '^(ZSTD_|ZSTDMT_|HUF_|FSE_|XXH|blake3_|rust_|__rust|_ZN|_R)' "$work/$library" | head -5 | tr '\n' ' ') || true
    [ -z "$leaked" ] || fail "the $library library leaks symbols of what it is made of: $leaked"
done
same "$work/header" "include/znippy.h"
same "$work/shared" "libznippy.so"
same "$work/static" "libznippy.a"
grep -v "@@$version\$" "$work/exports" >&2 && fail "symbols above lack the version $version"

dynamic=$(readelf -dW "$shared")
echo "$dynamic" | grep -q "Library soname: \[$soname\]" || fail "the soname is not $soname"
echo "$dynamic" | grep -q NODELETE || fail "the library can be unloaded, which Rust code does not survive"
echo "$dynamic" | grep -q BIND_NOW || fail "the library is not linked with -z now"
readelf -lW "$shared" | grep -q GNU_RELRO || fail "the library is not linked with -z relro"
readelf -lW "$shared" | grep GNU_STACK | grep -q 'RWE' && fail "the stack is executable"
if echo "$dynamic" | grep -q TEXTREL; then fail "the library has text relocations"; fi

# Programs run on systems as old as the floor, Debian 12.
floor=$(sed -n 's/^glibc //p' "$source/abi/floor.txt")
needed=$(readelf --dyn-syms -W "$shared" | grep -o '@GLIBC_[0-9.]*' | sed 's/@GLIBC_//' | sort -uV | tail -1)
newest=$(printf '%s\n%s\n' "$needed" "$floor" | sort -V | tail -1)
[ "$newest" = "$floor" ] || fail "the library needs glibc $needed, the floor is $floor"
echo "$(wc -l < "$work/symbols") symbols, the same everywhere; glibc $needed or later"
