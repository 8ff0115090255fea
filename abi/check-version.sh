#!/bin/sh
# The version is one and the same in Cargo.toml, in the header's macros and in the library that runs.
#
# usage: check-version.sh SOURCE_DIR SHARED_LIBRARY
set -eu
source=$1 library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^version = "\([0-9.]*\)".*/\1/p' "$source/Cargo.toml" | head -1)
cat > "$work/version.c" <<'C'
#include <stdio.h>
#include <string.h>
#include "znippy.h"

int main(int argc, char **argv) {
    char parts[64];
    int number = ZNIPPY_VERSION_MAJOR * 1000000 + ZNIPPY_VERSION_MINOR * 1000 + ZNIPPY_VERSION_PATCH;
    snprintf(parts, sizeof parts, "%d.%d.%d", ZNIPPY_VERSION_MAJOR, ZNIPPY_VERSION_MINOR, ZNIPPY_VERSION_PATCH);
    if (argc != 2 || strcmp(parts, argv[1]) != 0 || strcmp(ZNIPPY_VERSION_STRING, argv[1]) != 0 ||
        ZNIPPY_VERSION_NUMBER != number || znippy_version_number() != (uint32_t)number ||
        strcmp(znippy_version_string(), argv[1]) != 0) {
        fprintf(stderr, "check-version: Cargo.toml has %s; the macros %s, %s and %d; the library %s and %u\n",
                argc == 2 ? argv[1] : "?", parts, ZNIPPY_VERSION_STRING, ZNIPPY_VERSION_NUMBER,
                znippy_version_string(), (unsigned)znippy_version_number());
        return 1;
    }
    printf("%s everywhere\n", argv[1]);
    return 0;
}
C
cc -std=c11 -I"$source/include" "$work/version.c" "$library" -Wl,-rpath,"$(dirname "$library")" -o "$work/version"
"$work/version" "$version"
