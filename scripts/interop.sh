#!/bin/bash
# Exchange of archives with znippy 0.10: what it packs is read here, what is packed here for it is read there, byte for
# byte, and both older readers refuse format version 4. Prints a line a check; ends with 1 where one failed.
#
# usage: scripts/interop.sh PATH_OF_ZNIPPY [TREE...]     three trees of this machine where none is named
#
# ZNIPPY_PEER names a program with the commands and flags of znippy 0.10.1's tool. Without it, `cargo install znippy
# --version 0.10.1` makes one in a temporary directory: some 350 crates, ten minutes on two idle cores; it takes a
# compiler of Rust 1.96 or later (CARGO=... names its cargo). ZNIPPY_PEER_07 may name one of 0.7.2, for the refusals.
set -u
export LC_ALL=C
znippy=$(readlink -f "$1")
shift
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
failures=0

say() { printf '%-9s %s\n' "$1" "$2"; }

# check WHAT COMMAND...: the command must succeed.
check() {
    what=$1
    shift
    if "$@" > "$work/out" 2>&1; then say ok "$what"; else
        say FAILED "$what"
        tail -5 "$work/out"
        failures=$((failures + 1))
    fi
}

# refused WHAT COMMAND...: the command must fail, and leave no file behind.
refused() {
    what=$1
    shift
    rm -rf "$work/refused"
    if "$@" > "$work/out" 2>&1 || [ -n "$(find "$work/refused" -type f -size +0 2> /dev/null)" ]; then
        say FAILED "$what"
        failures=$((failures + 1))
    else say refused "$what"; fi
}

# Names and SHA-256 of all files of a tree whose names are UTF-8.
sums() { (cd "$1" && find . -type f -print0 | iconv -f UTF-8 -t UTF-8 -c | sort -z | xargs -0 -r sha256sum); }
same_files() {
    sums "$1" > "$work/a.sums"
    sums "$2" > "$work/b.sums"
    diff "$work/a.sums" "$work/b.sums"
}

peer=${ZNIPPY_PEER:-}
if [ -z "$peer" ]; then
    "${CARGO:-cargo}" install -q znippy --version 0.10.1 --root "$work/peer" --target-dir "$work/target" || exit 1
    peer=$work/peer/bin/znippy
fi

get_one() {
    "$peer" get --input "$1" --path "$2" --output "$work/one" && cmp "$work/one" "$3/$2"
}

lists_all() {
    (cd "$2" && find . -type f | sed 's|^\./||' | sort) > "$work/names"
    "$peer" list --input "$1" > "$work/listed" || return 1
    while read -r name; do grep -qF -- "$name" "$work/listed" || { echo "$name is not listed"; return 1; }; done < "$work/names"
}

reads_here() {
    rm -rf "$work/here"
    "$znippy" verify -q "$1" && "$znippy" unpack -q "$1" "$work/here" && same_files "$2" "$work/here"
}

[ $# -gt 0 ] || set -- src /usr/include "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/json"
mkdir -p "$work/patch/added/below"
echo 'one more' > "$work/patch/added/below/file"
head -c 300000 /dev/urandom > "$work/patch/added/noise"
number=0
for tree in "$@"; do
    number=$((number + 1))
    # Files alone: links are carried by neither.
    copy=$work/tree$number
    mkdir "$copy"
    (cd "$tree" && find . -type f -print0 | tar --null -T - -cf -) | tar -xf - -C "$copy"
    say tree "$tree: $(find "$copy" -type f | wc -l) files, $(du -sb --apparent-size "$copy" | cut -f1) bytes"
    some=$(cd "$copy" && find . -type f -size +1k | sed 's|^\./||' | sort | sed -n 2p)
    ours=$work/ours$number.znippy theirs=$work/theirs$number.znippy
    check "pack --profile v3" "$znippy" pack -q --profile v3 "$copy" "$ours"
    check "read here" reads_here "$ours" "$copy"
    check "0.10 verifies it" "$peer" verify --input "$ours"
    check "0.10 lists it" lists_all "$ours" "$copy"
    # 0.10 gets single files from archives with its look-up section alone, which 0.7.2 would take for data.
    if get_one "$ours" "$some" "$copy" > "$work/out" 2>&1; then
        say ok "0.10 gets $some"
    elif grep -q 'no lookup sub-index' "$work/out"; then
        say limit "0.10 gets no single file: $(grep -m1 . "$work/out")"
    else
        check "0.10 gets $some" get_one "$ours" "$some" "$copy"
    fi
    check "0.10 decompresses it" "$peer" decompress --input "$ours" --output "$work/there$number"
    check "... byte for byte" same_files "$copy" "$work/there$number"
    check "0.10 packs" "$peer" compress --input "$copy" --output "$theirs"
    check "read here" reads_here "$theirs" "$copy"
    check "0.10 appends" "$peer" append --input "$theirs" --add "$work/patch"
    cp -r "$work/patch/." "$copy/"
    check "read here after it" reads_here "$theirs" "$copy"
    check "converted to version 4" "$znippy" convert -q "$theirs" "$work/converted$number.znippy"
    check "read here" reads_here "$work/converted$number.znippy" "$copy"
    "$znippy" pack -q "$copy" "$work/four.znippy" --force
    for old in "$peer" ${ZNIPPY_PEER_07:-}; do
        refused "$(basename "$old") verify, version 4" "$old" verify --input "$work/four.znippy"
        refused "$(basename "$old") decompress, version 4" "$old" decompress --input "$work/four.znippy" --output "$work/refused"
    done
done
# Package columns: what 0.10.1's tool wrote with --format rust stands among the fixtures.
if "$peer" compress --help 2> /dev/null | grep -q -- --format; then
    "$peer" compress --format rust --input tests/fixtures/v3 --output "$work/rust.znippy" > /dev/null 2>&1
    check "package columns of --format rust" "$znippy" verify -q "$work/rust.znippy"
fi
check "package columns of the fixture" "$znippy" verify -q tests/fixtures/v3/0.10.1/crates-rust.znippy
say "" "$failures failures"
[ "$failures" -eq 0 ]
