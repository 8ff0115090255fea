#!/bin/sh
# From a bare Debian 12 with Rust to a packed, checked and restored tree. Builds into build/, leaves nothing
# else behind.
#
# usage: scripts/quickstart.sh [DIRECTORY]     (default: /usr/include or /usr/share/doc, whichever is there)
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin

say() {
    printf '\n== %s\n' "$*"
}

# Shows a command, then runs it.
show() {
    printf '$ %s\n' "$*"
    "$@"
}

command -v cargo > /dev/null || {
    echo "quickstart: cargo is missing; install Rust from https://rustup.rs and try again" >&2
    exit 1
}
say "What is needed: cmake, make, a C compiler, binutils, diff"
sh scripts/install-needs.sh cmake make gcc objcopy diff
echo "all there"

tree=${1:-}
for candidate in /usr/include /usr/share/doc; do
    [ -n "$tree" ] || { [ ! -d "$candidate" ] || tree=$candidate; }
done
work=$(mktemp -d)
# Directories come back with the modes that they had.
trap 'chmod -R u+rwX "$work" && rm -rf "$work"' EXIT
archive=$work/tree.znippy
znippy=build/bin/znippy

say "Building the library and the tool into build/"
show cmake -B build -DZNIPPY_BUILD_TESTS=OFF
show cmake --build build

say "Packing $tree"
show "$znippy" pack --stats "$tree" "$archive"

say "What is in it"
show "$znippy" info "$archive"
"$znippy" list -l "$archive" > "$work/list"
printf '$ %s list -l %s | tail -5\n' "$znippy" "$archive"
tail -5 "$work/list"

say "Checking every byte"
show "$znippy" verify "$archive"
echo "good"

say "Reading one file"
name=$(cd "$tree" && find . -type f -size +1 ! -name '*[![:print:]]*' | sed 's,^\./,,' | LC_ALL=C sort | head -1)
"$znippy" cat "$archive" "$name" > "$work/one"
printf '$ %s cat %s %s | head -3\n' "$znippy" "$archive" "$name"
head -c 2000 "$work/one" | head -3 | tr -cd '[:print:]\n'
cmp "$work/one" "$tree/$name"

say "Unpacking and comparing"
show "$znippy" unpack "$archive" "$work/back"
show diff -r --no-dereference "$tree" "$work/back"

say "Done"
echo "$(wc -l < "$work/list") entries of $tree, $(du -sh "$tree" | cut -f1), went into an archive of $(du -h "$archive" | cut -f1)"
echo "and came back the same. The tool is $znippy, the libraries are in build/lib, the header is include/znippy.h."
