#!/bin/bash
# Exchange of archives with the tool of znippy 0.10.1 and with the crates of 0.7.2: what 0.10 packs is read here, what is
# packed here for them is read there, byte for byte, and both refuse format version 4. Prints a line a check; ends with 1
# where one failed.
#
# usage: scripts/interop.sh PATH_OF_ZNIPPY [TREE...]     three trees of this machine where none is named
#
# ZNIPPY_PEER names the tool of 0.10.1, ZNIPPY_PEER_07 one for 0.7.2. Without them they are built in a temporary
# directory, with Rust 1.96 or later (CARGO=... says with what; "cargo +nightly" by default): some 350 crates, half an
# hour on two cores.
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
    else say refused "$what: $(grep -m1 . "$work/out" | cut -c1-100)"; fi
}

# Names and SHA-256 of all files of a tree whose names are UTF-8.
sums() { (cd "$1" && find . -type f -print0 | iconv -f UTF-8 -t UTF-8 -c | sort -z | xargs -0 -r sha256sum); }
same_files() {
    sums "$1" > "$work/a.sums"
    sums "$2" > "$work/b.sums"
    diff "$work/a.sums" "$work/b.sums"
}

read -r -a cargo <<< "${CARGO:-cargo +nightly}"
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$work/target

# A small program with the flags of the tool over the crates of 0.7.2, whose own tool has no build any more: the sources
# of OpenZL that it would fetch have gone, and those of a later version stand in.
make_peer_07() {
    mkdir -p "$1/src" "$1/openzl/src"
    cat > "$1/Cargo.toml" << 'END'
[package]
name = "peer-07"
version = "0.0.0"
edition = "2024"
[dependencies]
anyhow = "1"
znippy-common = "=0.7.2"
znippy-decompress = "=0.7.2"
[patch.crates-io]
openzl-sys-rs = { path = "openzl" }
END
    cat > "$1/openzl/Cargo.toml" << 'END'
[package]
name = "openzl-sys-rs"
version = "0.2.0"
edition = "2024"
[dependencies]
vendored = { package = "openzl-sys-rs", version = "=0.4.2" }
END
    echo 'pub use vendored::*;' > "$1/openzl/src/lib.rs"
    cat > "$1/src/main.rs" << 'END'
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let value = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1).cloned().unwrap_or_default();
    let (archive, output) = (value("--input"), value("--output"));
    match words[1].as_str() {
        "verify" => println!("{:?}", znippy_common::index::verify_archive_integrity(Path::new(&archive))?),
        "list" => znippy_common::index::list_archive_contents(Path::new(&archive))?,
        "decompress" => println!("{:?}", znippy_decompress::decompress_archive(Path::new(&archive), Path::new(&output))?),
        other => anyhow::bail!("no command {other}"),
    }
    Ok(())
}
END
    (cd "$1" && "${cargo[@]}" build -q --release)
}

peer=${ZNIPPY_PEER:-}
if [ -z "$peer" ]; then
    "${cargo[@]}" install -q znippy --version 0.10.1 --root "$work/peer" || exit 1
    peer=$work/peer/bin/znippy
fi
old=${ZNIPPY_PEER_07:-}
if [ -z "$old" ]; then
    make_peer_07 "$work/peer-07" || exit 1
    old=$work/target/release/peer-07
fi
# 0.7.2 opens all files at once.
ulimit -n "$(ulimit -Hn)"
"$peer" --version
say "" "0.7.2: a program over its crates"

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
    check "0.10 gets $some" get_one "$ours" "$some" "$copy"
    check "0.10 decompresses it" "$peer" decompress --input "$ours" --output "$work/there$number"
    check "... byte for byte" same_files "$copy" "$work/there$number"
    check "0.7.2 verifies it" "$old" verify --input "$ours"
    check "0.7.2 decompresses it" "$old" decompress --input "$ours" --output "$work/then$number"
    check "... byte for byte" same_files "$copy" "$work/then$number"
    cp "$ours" "$work/grown.znippy"
    check "0.10 appends to it" "$peer" append --input "$work/grown.znippy" --add "$work/patch"
    check "0.10 packs" "$peer" compress --input "$copy" --output "$theirs"
    check "read here" reads_here "$theirs" "$copy"
    check "0.10 appends" "$peer" append --input "$theirs" --add "$work/patch"
    cp -r "$work/patch/." "$copy/"
    check "read here after it" reads_here "$theirs" "$copy"
    check "the one of here, too" reads_here "$work/grown.znippy" "$copy"
    check "converted to version 4" "$znippy" convert -q "$theirs" "$work/converted$number.znippy"
    check "read here" reads_here "$work/converted$number.znippy" "$copy"
    "$znippy" pack -q "$copy" "$work/four.znippy" --force
    for version in 0.10 0.7.2; do
        [ "$version" = 0.10 ] && reader=$peer || reader=$old
        refused "$version verify, version 4" "$reader" verify --input "$work/four.znippy"
        refused "$version decompress, version 4" "$reader" decompress --input "$work/four.znippy" --output "$work/refused"
    done
done

# Columns of packages: what a handler of 0.10 finds stands in the index that is read here.
columns() {
    format=$1 directory=$2 column=$3
    "$peer" compress --format "$format" --input "$directory" --output "$work/$format.znippy" &&
        reads_here "$work/$format.znippy" "$directory" || return 1
    list=$(dirname "$znippy")/../examples/list_schema
    [ ! -x "$list" ] || "$list" "$work/$format.znippy" | grep "^$column "
}
mkdir "$work/crates" "$work/wheels" "$work/programs"
find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name '[ab]*.crate' -size -100k | sort | head -20 | xargs -r cp -t "$work/crates"
cp "$(type -P true)" "$(type -P ls)" "$work/programs/"
python3 - "$work/wheels/one-1.0-py3-none-any.whl" << 'END'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as out:
    out.writestr("one/__init__.py", "")
    out.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\nRequires-Dist: two\n")
END
check "columns of --format cargo" columns cargo "$work/crates" crate_name
check "columns of --format python" columns python "$work/wheels" version
check "columns of --format elf" columns elf "$work/programs" arch_claim
check "columns of the fixture" "$znippy" verify -q tests/fixtures/v3/0.10.1/crates-rust.znippy
say "" "$failures failures"
[ "$failures" -eq 0 ]
