#!/bin/bash
# A mounted archive is the tree that was packed: c_examples/mount.c on real trees and on one of odd entries.
# Ends with 77 and a line that says why where this machine has no FUSE.
#
# usage: tests/mount/run.sh [BUILD_DIR]
set -eu -o pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build}")
skip() {
    echo "skipped: $1"
    exit 77
}
[ -x "$build/examples/mount" ] || skip "the example was not built, libfuse3-dev is missing"
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "/dev/fuse is missing, or not for this user"
command -v fusermount3 > /dev/null || skip "fusermount3 is missing"

work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-mount.XXXXXX")
mounted=
unmount() {
    local i
    [ -z "$mounted" ] || fusermount3 -u "$mounted"
    mounted=
    for ((i = 0; i < 50; i++)); do # the server ends by itself once the kernel lets go
        mountpoint -q "$work/mount" || return 0
        sleep 0.1
    done
}
trap 'unmount; chmod -R u+rwX "$work"; rm -rf "$work"' EXIT

# Everything that a small tree can have and git can't keep.
make_odd_tree() {
    mkdir -p "$1/a/b/c" "$1/empty" "$1/closed" "$1/many"
    echo 'hello, world' > "$1/hello.txt"
    : > "$1/nothing"
    printf 'inner' > "$1/a/b/c/inner"
    echo x > "$1/a-b" # sorts between "a" and "a/b"
    echo x > "$1/a.b"
    ln "$1/hello.txt" "$1/hard"
    ln -s hello.txt "$1/link"
    ln -s /no/such/place "$1/dangling"
    ln -s ../a "$1/a/back"
    head -c 9000000 /dev/urandom > "$1/noise"
    truncate -s 50M "$1/sparse"
    printf 'end' >> "$1/sparse"
    : > "$1/$(printf 'latin-\351')"
    : > "$1/$(printf 'new\nline')"
    mkfifo "$1/fifo"
    chmod 0500 "$1/closed"
    touch -d '2001-02-03T04:05:06.123456789Z' "$1/hello.txt" "$1/empty"
    touch -h -d '1960-01-02T03:04:05.5Z' "$1/link"
    (cd "$1/many" && seq 1 3000 | xargs touch)
}

# Kind, mode, size, time and target of every entry. What a directory measures is the file system's own affair.
describe() {
    (cd "$1" && find . \( -type d -printf '%P\t%y\t%m\t%T@\n' \) -o -printf '%P\t%y\t%m\t%T@\t%s\t%l\n' | LC_ALL=C sort)
}

same() {
    if ! cmp -s "$work/$1.tree" "$work/$1.mount"; then
        echo "$1: a mounted archive differs from its tree" >&2
        diff "$work/$1.tree" "$work/$1.mount" | head -10 >&2
        return 1
    fi
}

check_tree() {
    local tree
    tree=$(realpath "$1")
    "$build/bin/znippy" pack -q -f "$tree" "$work/archive"
    mkdir -p "$work/mount"
    "$build/examples/mount" "$work/archive" "$work/mount"
    mounted=$work/mount
    describe "$tree" > "$work/entries.tree"
    describe "$mounted" > "$work/entries.mount"
    same entries
    (cd "$tree" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) > "$work/sums.tree"
    # Four programs at once, so that the reader serves several threads.
    (cd "$mounted" && find . -type f -print0 | xargs -0 -P4 -n50 sha256sum | LC_ALL=C sort -k2) > "$work/sums.mount"
    LC_ALL=C sort -k2 -o "$work/sums.tree" "$work/sums.tree"
    same sums
    # FIFOs: diff would call two of them different because they are two.
    diff -r --no-dereference -x fifo "$tree" "$mounted"
    LC_ALL=C ls -lR "$mounted" > "$work/listing"
    grep -r -c -a include "$mounted" --devices=skip > "$work/counts" || true
    check_refusals
    unmount
    echo "$1: identical, $(wc -l < "$work/entries.mount") entries, $(wc -l < "$work/listing") lines of ls -lR"
}

check_refusals() {
    if touch "$mounted/new" 2> "$work/error" || rmdir "$mounted"/* 2> /dev/null; then
        echo "something was written to a mounted archive" >&2
        return 1
    fi
    grep -q 'Read-only file system' "$work/error"
    if cat "$mounted/no/such/file" 2> "$work/error"; then
        echo "a file that isn't there was read" >&2
        return 1
    fi
    grep -q 'No such file' "$work/error"
}

# A damaged archive gives an error and no wrong bytes.
check_damage() {
    mkdir -p "$work/plain"
    head -c 3000000 /dev/urandom > "$work/plain/noise"
    "$build/bin/znippy" pack -q -f "$work/plain" "$work/archive"
    printf 'XXXX' | dd of="$work/archive" bs=1 seek=1500000 conv=notrunc 2> /dev/null
    "$build/examples/mount" "$work/archive" "$work/mount"
    mounted=$work/mount
    if cat "$mounted/noise" > "$work/bytes" 2> "$work/error"; then
        echo "damaged bytes were read" >&2
        return 1
    fi
    grep -q 'Input/output error' "$work/error"
    unmount
    echo "damage: an input/output error, as it must be"
}

make_odd_tree "$work/odd"
check_tree "$work/odd"
for tree in src /usr/include; do
    [ ! -d "$tree" ] || check_tree "$tree"
done
check_damage
