#!/bin/sh
# What the Rust compiler says that programs must link to = abi/native-libs.txt = what znippy.pc names, but for libgcc
# and libc, which compilers link by themselves.
#
# usage: check-native-libs.sh SOURCE_DIR PC_FILE [NOTE]
#
# NOTE is a file with the compiler's note; without it, the library is compiled for the note (in target/debug).
set -eu
export LC_ALL=C
source=$1 pc=$2 note=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:$HOME/.cargo/bin

if [ -z "$note" ]; then
    note=$work/note
    # A change of flags makes cargo say it again even where everything is compiled already.
    (cd "$source" && cargo rustc --locked --lib --crate-type staticlib -- --print native-static-libs) > "$note" 2>&1 ||
        { cat "$note" >&2; exit 1; }
fi
said=$(sed -n 's/^note: native-static-libs: //p' "$note" | tail -1)
[ -n "$said" ] || { echo "check-native-libs: the compiler says nothing of libraries" >&2; exit 1; }
# The same library may be named more than once, in an order that doesn't matter for shared ones.
echo "$said" | tr ' ' '\n' | grep . | sort -u > "$work/compiler"
grep '^-l' "$source/abi/native-libs.txt" | sort -u > "$work/list"
sed -n 's/^Libs\.private: //p' "$pc" | tr ' ' '\n' | grep . | sort -u > "$work/pc"
diff -u "$work/list" "$work/compiler" >&2 ||
    { echo "check-native-libs: abi/native-libs.txt (-) is not what the compiler says (+)" >&2; exit 1; }
grep -v -x -e -lgcc_s -e -lc "$work/list" | diff -u - "$work/pc" >&2 ||
    { echo "check-native-libs: abi/native-libs.txt (-) and $pc (+) differ" >&2; exit 1; }
echo "$(wc -l < "$work/list") libraries, the same for the compiler, the list and znippy.pc"
