#!/bin/bash
# Breaks the interface on purpose, each time in one way, and expects the gate that watches it to say so.
#
# usage: check-gates.sh SOURCE_DIR SHARED_LIBRARY STATIC_LIBRARY SONAME SYMBOL_VERSION PC_FILE
#        check-gates.sh --rust SOURCE_DIR      the gates that are Rust tests (compiles them where that is needed)
set -u -o pipefail
export LC_ALL=C
PATH=$PATH:$HOME/.cargo/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
caught=0

# A copy of what the gates look at, as it stands.
restore() {
    rm -rf "$work/source"
    mkdir -p "$work/source/src"
    cp -r "$source/include" "$source/abi" "$source/Cargo.toml" "$source/cbindgen.toml" "$work/source"
    cp -r "$source/src/capi" "$work/source/src"
}

# passes NAME COMMAND...: without a break the gate is quiet.
passes() {
    local name=$1
    shift
    if ! "$@" > "$work/log" 2>&1; then
        echo "check-gates: $name fails without a break:" >&2
        tail -20 "$work/log" >&2
        failures=$((failures + 1))
    fi
}

# caught WHAT TEXT COMMAND...: the gate fails, and for the right reason.
caught() {
    local what=$1 text=$2
    shift 2
    if "$@" > "$work/log" 2>&1; then
        echo "check-gates: nobody noticed: $what" >&2
        failures=$((failures + 1))
    elif ! grep -qE -- "$text" "$work/log"; then
        echo "check-gates: $what was refused for another reason:" >&2
        tail -20 "$work/log" >&2
        failures=$((failures + 1))
    else
        echo "caught: $what"
        caught=$((caught + 1))
    fi
}

# edit FILE SED-EXPRESSION: changes the copy, and makes sure that something changed.
edit() {
    sed -i.before -E "$2" "$work/source/$1"
    if cmp -s "$work/source/$1" "$work/source/$1.before"; then
        echo "check-gates: '$2' changes nothing in $1" >&2
        failures=$((failures + 1))
    fi
    rm -f "$work/source/$1.before"
}

finish() {
    [ "$failures" -eq 0 ] || exit 1
    echo "$caught breaks, each caught"
    exit 0
}

rust_gates() {
    local tests=() test
    for test in header layout; do
        tests+=("$(cd "$source" && cargo test --locked --test "$test" --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')")
        case ${tests[-1]} in /*) ;; *) tests[-1]=$source/${tests[-1]} ;; esac
    done
    in_copy() { CARGO_MANIFEST_DIR=$work/source "$@"; }
    local header="${tests[0]}" layout="${tests[1]}"
    restore
    passes "the header test" in_copy "$header"
    passes "the layout test" in_copy "$layout"
    edit include/znippy.h 's/^ \* The same as text\./ * The same, as text./'
    caught "a comment that differs from the source" "out of date" in_copy "$header"
    restore
    edit src/capi/types.rs 's/pub mode: u32/pub mode: u64/'
    caught "a struct that was changed in Rust alone" "out of date" in_copy "$header"
    restore
    edit src/capi/library.rs 's/(fn znippy_status_message\(status: )znippy_status/\1u64/'
    caught "a signature that was changed in Rust alone" "out of date" in_copy "$header"
    restore
    edit include/znippy.h 's/ \* Ownership: static\. Threads: any\. Errors: none\./ * /'
    caught "a function that says nothing of ownership, threads and errors" "says nothing of Ownership" in_copy "$header"
    restore
    edit include/znippy.h 's/(#define ZNIPPY_VERSION_MINOR) .*/\1 9/'
    caught "a version macro that is not the package's" "version_macros_are_those_of_the_package" in_copy "$header"
    restore
    edit abi/layout.txt 's/^(znippy_stats.seconds) .*/\1 999/'
    caught "an offset that is not Rust's" "out of date" in_copy "$layout"
    finish
}

if [ "$1" = --rust ]; then
    source=$(realpath "$2")
    rust_gates
fi
source=$(realpath "$1") shared=$2 static=$3 soname=$4 version=$5 pc=$6
gates=$source/abi

# Links a shared library of our own making: link [FLAG...]
native=$(grep '^-l' "$source/abi/native-libs.txt" | tr '\n' ' ')
GOOD=("-Wl,-soname,$soname" -Wl,-z,nodelete -Wl,-z,defs -Wl,-z,relro -Wl,-z,now)
link() {
    # shellcheck disable=SC2086 # several libraries
    cc -shared -o "$work/broken.so" -Wl,--whole-archive "$static" -Wl,--no-whole-archive "$@" -Wl,--as-needed $native
}
map() {
    { echo "$version {"; echo "global:"; sed 's/$/;/' "$work/exported"; echo "local: *;"; echo "};"; } > "$work/map"
}
symbols() { sh "$gates/check-symbols.sh" "$work/source" "${1:-$work/broken.so}" "${2:-$static}" "$soname" "$version"; }
exported() { grep '^znippy_' "$source/abi/symbols.txt" > "$work/exported"; map; }

# Symbols and flags of the libraries.
restore
exported
MAP=("-Wl,--version-script=$work/map")
link "${GOOD[@]}" "${MAP[@]}"
passes "check-symbols" symbols
passes "check-symbols on the libraries as built" symbols "$shared"
sed -i '/^znippy_reader_open$/d' "$work/exported"; map
link "${GOOD[@]}" "${MAP[@]}"
caught "a symbol that is no longer exported" "libznippy.so differs" symbols
exported
echo 'int ZSTD_compress(void) { return 0; }' > "$work/leak.c"
cc -fPIC -c "$work/leak.c" -o "$work/leak.o"
echo ZSTD_compress >> "$work/exported"; map
link "${GOOD[@]}" "${MAP[@]}" "$work/leak.o"
caught "a ZSTD_ symbol in the shared library" "leaks symbols of what it is made of: ZSTD_compress" symbols
cp "$static" "$work/leaky.a"
ar --plugin none r "$work/leaky.a" "$work/leak.o" 2> /dev/null
caught "a ZSTD_ symbol in the static library" "leaks symbols of what it is made of: ZSTD_compress" symbols "$shared" "$work/leaky.a"
rm "$work/leaky.a"
exported
link "${GOOD[@]}"
caught "symbols without a version" "differs|lack the version" symbols
link -Wl,-soname,libznippy.so "${GOOD[@]:1}" "${MAP[@]}"
caught "another soname" "the soname is not" symbols
link "${GOOD[0]}" "${GOOD[@]:2}" "${MAP[@]}"
caught "a library that can be unloaded" "can be unloaded" symbols
link "${GOOD[@]:0:4}" -Wl,-z,lazy "${MAP[@]}"
caught "lazy binding" "not linked with -z now" symbols
link "${GOOD[@]}" "${MAP[@]}" -Wl,-z,execstack
caught "an executable stack" "stack is executable" symbols
constructors() { sh "$gates/check-constructors.sh" "${1:-$work/broken.so}"; }
passes "check-constructors" constructors "$shared"
echo '__attribute__((constructor)) static void begin(void) { __asm__ volatile(""); }' > "$work/begin.c"
cc -fPIC -c "$work/begin.c" -o "$work/begin.o"
link "${GOOD[@]}" "${MAP[@]}" "$work/begin.o"
caught "a constructor" "init_array has begin, which runs" constructors
if [ "$(uname -m)" = x86_64 ]; then
    printf '.text\n.quad abort\n.section .note.GNU-stack,"",@progbits\n' > "$work/text.s"
    link "${GOOD[@]}" "${MAP[@]}" -Wl,-z,notext "$work/text.s" 2> /dev/null
    caught "a text relocation" "text relocations" symbols
fi
sed -i 's/^glibc .*/glibc 2.17/' "$work/source/abi/floor.txt"
caught "a glibc newer than the floor" "the floor is 2.17" symbols "$shared"
restore
echo 'ZNIPPY_API int32_t znippy_not_there(void);' >> "$work/source/include/znippy.h"
caught "a prototype without a function" "znippy.h differs" symbols "$shared"

# Layout and types.
layout() { sh "$gates/check-layout.sh" "$work/source"; }
abi() { bash "$gates/check-abi.sh" "$work/source"; }
has_abidw=; command -v abidw > /dev/null && has_abidw=1
restore
passes "check-layout" layout
edit include/znippy.h 's/^    uint32_t mode;/    uint64_t mode;/'
caught "a field of another type" "are not those of abi/layout.txt" layout
[ -z "$has_abidw" ] || caught "a field of another type, by abidiff" "znippy_entry_info" abi
restore
edit include/znippy.h 's/^\} znippy_progress;/    uint64_t more;\n} znippy_progress;/'
caught "a field that the list doesn't have" "are not those of abi/layout.txt" layout
if [ -n "$has_abidw" ]; then
    restore
    passes "check-abi" abi
    edit include/znippy.h 's/size_t znippy_listing_count/uint32_t znippy_listing_count/'
    caught "a function of another type" "znippy_listing_count" abi
    restore
    edit include/znippy.h '/znippy_reader_retain/d'
    caught "a function that is gone" "znippy_reader_retain" abi
    restore
    echo 'ZNIPPY_API int32_t znippy_new(int32_t argument);' >> "$work/source/include/znippy.h"
    passes "check-abi with a function more" abi
fi

# Version, libraries, language.
number() { sh "$gates/check-version.sh" "$work/source" "$shared"; }
restore
passes "check-version" number
edit include/znippy.h 's/(#define ZNIPPY_VERSION_PATCH) .*/\1 7/'
caught "a version macro of another version" "check-version: Cargo.toml has" number
restore
edit Cargo.toml 's/^version = .*/version = "9.9.9"/'
caught "a package of another version" "check-version: Cargo.toml has 9.9.9" number
restore
{ printf 'note: native-static-libs: '; grep '^-l' "$source/abi/native-libs.txt" | tr '\n' ' '; echo; } > "$work/note"
libs() { sh "$gates/check-native-libs.sh" "$work/source" "${1:-$pc}" "$work/note"; }
passes "check-native-libs" libs
sed 's/-lpthread//' "$pc" > "$work/short.pc"
caught "a library that znippy.pc lacks" "differ" libs "$work/short.pc"
sed -i 's/$/ -lnew/' "$work/note"
caught "a library that is new" "is not what the compiler says" libs
clean() { sh "$gates/check-header.sh" "$work/source/include"; }
edit include/znippy.h 's/^(ZNIPPY_API uint32_t znippy_version_number)\(void\)/\1()/'
caught "a declaration without a prototype" "refuses the headers" clean
restore
edit include/znippy.h 's/^#ifndef ZNIPPY_H$/#if 1/'
caught "a header without a guard" "refuses the headers" clean
restore
edit include/znippy.hpp 's/inline const char \*version_string/const char *version_string/'
printf '#include "znippy.hpp"\n' > "$work/one.cpp"
once() { g++ -std=c++17 -I"$work/source/include" -c "$work/one.cpp" -o "$work/one.o" && g++ -r -nostdlib -o "$work/both.o" "$work/one.o" "$work/one.o"; }
caught "a function of the C++ header that is not inline" "multiple definition" once
finish
