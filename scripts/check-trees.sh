#!/bin/bash
# Packs and unpacks real trees and compares everything: names, bytes, kinds, modes, modification times to the
# nanosecond, link targets, hard links, empty directories, sizes. One line a tree.
#
# usage: scripts/check-trees.sh [DIR...]     default: /usr/include, /usr/share and the Rust toolchain
set -eu -o pipefail
cd "$(dirname "$0")/.."
tool=${ZNIPPY:-$PWD/build/bin/znippy}
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-trees.XXXXXX")
trap 'chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- /usr/include /usr/share "$(rustc --print sysroot)"

# One line an entry; hard links by the group of their names, since inode numbers differ. Sockets have no place in
# an unpacked tree.
describe() {
    (cd "$1" && find . ! -type s \( -type l -printf '%P\t%y\t%T@\t%l\n' -o -type d -printf '%P\t%y\t%m\t%T@\n' \
        -o -printf '%P\t%y\t%m\t%T@\t%s\t%n\n' \) | LC_ALL=C sort)
    (cd "$1" && find . -type f -links +1 -printf '%i\t%P\n' | LC_ALL=C sort -t "$(printf '\t')" -k2 |
        awk -F '\t' '{names[$1] = names[$1] "|" $2} END {for (i in names) print names[i]}' | LC_ALL=C sort)
}

for tree; do
    "$tool" pack -q -f "$tree" "$work/archive"
    "$tool" verify "$work/archive" > /dev/null
    "$tool" unpack "$work/archive" "$work/tree"
    describe "$tree" > "$work/before"
    describe "$work/tree" > "$work/after"
    diff "$work/before" "$work/after" | head -20 > "$work/differences" || true
    if [ -s "$work/differences" ]; then
        echo "$tree: DIFFERENT"
        cat "$work/differences"
        exit 1
    fi
    diff -r --no-dereference "$tree" "$work/tree"
    echo "$tree: identical ($(find "$tree" | wc -l) entries)"
    chmod -R u+rwX "$work/tree"
    rm -rf "$work/tree"
done
