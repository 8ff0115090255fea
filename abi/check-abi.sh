#!/bin/bash
# Compares the interface with the one that was promised: abi/libznippy.abi, what abidw makes of a library that has
# nothing but the functions and types of the header. Functions may be added; all else that differs is a break.
#
# usage: check-abi.sh SOURCE_DIR                  compare; ends with 77 where abidw is missing
#        check-abi.sh --write SOURCE_DIR          at a release: write the promise anew
#
# Why not of the library itself: types are in its debugging information as Rust has them, with everything behind the
# opaque handles. That Rust and the header have the same functions and layouts is what the other checks are for.
set -eu -o pipefail
write=
[ "$1" != --write ] || { write=1; shift; }
source=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v abidw > /dev/null || { echo "check-abi: abidw is missing (package abigail-tools)"; exit 77; }

python3 "$here/prototypes.py" stubs "$source/include/znippy.h" > "$work/stubs.c"
(cd "$work" && cc -g -O0 -Wno-array-parameter -I"$source/include" -shared -fPIC -o stubs.so stubs.c)
if [ -n "$write" ]; then
    abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --out-file "$source/abi/libznippy.abi" "$work/stubs.so"
    echo "wrote abi/libznippy.abi"
    exit
fi
code=0
abidiff --no-added-syms --no-show-locs "$source/abi/libznippy.abi" "$work/stubs.so" > "$work/differences" || code=$?
if [ "$code" -ne 0 ]; then
    cat "$work/differences" >&2
    echo "check-abi: the interface is not the one of abi/libznippy.abi; before a release: abi/check-abi.sh --write ." >&2
    exit 1
fi
echo "the interface is the promised one, additions aside"
