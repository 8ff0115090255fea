#!/bin/sh
# Compiles the public headers alone, and twice in one program, as every C and C++ standard that users have.
#
# usage: check-header.sh INCLUDE_DIR
set -eu
include=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings="-Wall -Wextra -Wpedantic -Wundef -Wshadow -Wpadded -Werror"
checked=0

# Two translation units that both include everything, in both orders, and are linked together.
printf '#include "znippy.h"\n#include "znippy.h"\nconst char *one(void);\nconst char *one(void) { return znippy_version_string(); }\n' > "$work/one.c"
printf '#include "znippy/arrow_abi.h"\n#include "znippy.h"\n#include "znippy/arrow_abi.h"\nunsigned two(void);\nunsigned two(void) { return znippy_version_number() + (unsigned)sizeof(struct ArrowArrayStream); }\n' > "$work/two.c"
printf '#include "znippy.hpp"\n#include "znippy.hpp"\nznippy::stats one(znippy::reader &reader);\nznippy::stats one(znippy::reader &reader) { return reader.verify(); }\n' > "$work/one.cpp"
printf '#include "znippy/arrow_abi.h"\n#include "znippy.hpp"\nstd::string two(znippy::reader &reader);\nstd::string two(znippy::reader &reader) { return reader.read("a").str(); }\n' > "$work/two.cpp"

# check COMPILER LANGUAGE STANDARD EXTENSION [WARNING...]
check() {
    compiler=$1 language=$2 standard=$3 extension=$4
    shift 4
    command -v "$compiler" > /dev/null || return 0
    # A compiler that doesn't know the standard yet says nothing about the header.
    echo 'int x;' | "$compiler" -x "$language" -std="$standard" -fsyntax-only - 2> /dev/null || return 0
    for unit in one two; do
        # shellcheck disable=SC2086 # the warnings are several words on purpose
        "$compiler" -x "$language" -std="$standard" $warnings "$@" -I"$include" -c "$work/$unit.$extension" -o "$work/$unit.o" ||
            { echo "check-header: $compiler -std=$standard refuses the headers" >&2; exit 1; }
    done
    "$compiler" -r -nostdlib -o "$work/both.o" "$work/one.o" "$work/two.o"
    checked=$((checked + 1))
}

for compiler in gcc clang; do
    for standard in c99 c11 c17 c2x; do
        check "$compiler" c "$standard" c -Wc++-compat -Wstrict-prototypes
    done
done
for compiler in g++ clang++; do
    for standard in c++11 c++14 c++17 c++20; do
        check "$compiler" c++ "$standard" c
    done
    # The C++ interface needs C++17. Padding inside the standard library is not its affair.
    for standard in c++17 c++20 c++2b; do
        check "$compiler" c++ "$standard" cpp -Wconversion -Wno-padded
        check "$compiler" c++ "$standard" cpp -Wconversion -Wno-padded -fno-rtti
    done
done
[ "$checked" -gt 0 ] || { echo "check-header: no compiler was found" >&2; exit 1; }
echo "the headers are clean in $checked combinations of compiler and standard"
