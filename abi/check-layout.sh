#!/bin/sh
# Compares the layout that a C compiler gives the public structs with abi/layout.txt, which tests/layout.rs compares
# with Rust's. Every public struct and every field must be in the list.
#
# usage: check-layout.sh SOURCE_DIR [COMPILER]
set -eu
export LC_ALL=C
source=$1 compiler=${2:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 "$(dirname "$0")/prototypes.py" structs "$source/include/znippy.h" > "$work/fields"
{
    printf '#include <stdio.h>\n#include "znippy.h"\nint main(void) {\n'
    cut -d ' ' -f 1 "$work/fields" | uniq | while read -r name; do
        printf '    printf("%%s %%zu\\n", "%s", sizeof(%s));\n' "$name" "$name"
        grep "^$name " "$work/fields" | while read -r _ field; do
            printf '    printf("%%s %%zu\\n", "%s.%s", offsetof(%s, %s));\n' "$name" "$field" "$name" "$field"
        done
    done
    printf '    return 0;\n}\n'
} > "$work/layout.c"
"$compiler" -std=c11 -I"$source/include" "$work/layout.c" -o "$work/layout"
"$work/layout" > "$work/compiled"
grep -v '^#' "$source/abi/layout.txt" > "$work/frozen"
diff -u "$work/frozen" "$work/compiled" >&2 || {
    echo "check-layout: the structs of znippy.h (+) are not those of abi/layout.txt (-)" >&2
    exit 1
}
echo "$(wc -l < "$work/frozen") sizes and offsets, the same in C and in the list"
