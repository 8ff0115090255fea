#!/bin/bash
# Installs into a prefix, moves the tree, builds and runs every consumer from there, uninstalls, and looks for what was
# left behind.
#
# usage: scripts/check-install.sh [BUILD_DIR]     default: build, which must be built
set -eu -o pipefail
cd "$(dirname "$0")/.."
root=$PWD
build=$(realpath "${1:-build}")
PATH=$PATH:$HOME/.cargo/bin
sh scripts/install-needs.sh cmake make gcc g++ pkg-config readelf meson ninja libzstd.pc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
libdir=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$build/CMakeCache.txt")
libdir=${libdir:-lib}
tree=$work/tree
mkdir "$tree"
echo "read me" > "$tree/README"
archive=$work/tree.znippy
checked=0

say() {
    printf '== %s\n' "$*"
}

fail() {
    echo "check-install: $*" >&2
    exit 1
}

# run PROGRAM: a consumer that packs a directory and reads a file back.
run() {
    rm -f "$archive"
    "$1" "$tree" "$archive" README "read me"
    checked=$((checked + 1))
}

uses_shared() { readelf -dW "$1" | grep -q 'NEEDED.*\[libznippy\.so\.[0-9.]*\]' || fail "$1 is not linked to the shared library"; }
uses_static() { if readelf -dW "$1" | grep -q 'NEEDED.*libznippy'; then fail "$1 is linked to the shared library"; fi; }

say "where programs look for libraries"
# An empty place is the current directory. CMake adds one to built programs whose path it changes at installation, which it need not
# do where the library lies beside them as it will when installed.
no_empty_path() {
    if readelf -dW "$1" | grep -E 'R(UN)?PATH.*(\[:|::|:\])'; then fail "$1 looks for libraries in the current directory"; fi
}
[ "$libdir" != lib ] || for program in "$build/bin/znippy" "$build"/libexec/znippy/*; do no_empty_path "$program"; done

say "components, staged"
for component in runtime development tools; do
    DESTDIR=$work/stage cmake --install "$build" --prefix /opt/znippy --component "$component" > /dev/null
    (cd "$work/stage/opt/znippy" && find . ! -type d | sort) > "$work/$component"
    [ ! -f "$work/sofar" ] || comm -13 "$work/sofar" "$work/$component" > "$work/only" && cp "$work/$component" "$work/sofar"
    [ "$component" = runtime ] && cp "$work/$component" "$work/only"
    echo "$component: $(tr '\n' ' ' < "$work/only")"
done
[ "$(wc -l < "$work/runtime")" -eq 2 ] || fail "the runtime is more than the library and its soname"
DESTDIR=$work/stage cmake --build "$build" --target uninstall > /dev/null
[ ! -e "$work/stage" ] || fail "uninstalling left something in the stage: $(find "$work/stage")"

say "installation"
cmake --install "$build" --prefix "$prefix" > "$work/log"
(cd "$prefix" && find . ! -type d | sort)
grep -rlI -e "$work" -e "$root" "$prefix" && fail "files name the place they were installed to, or built in"

# What was installed can be moved: everything is used from another place.
mv "$prefix" "$work/moved"
for program in "$work/moved/bin/znippy" "$work"/moved/libexec/znippy/*; do no_empty_path "$program"; done
export PKG_CONFIG_PATH=$work/moved/$libdir/pkgconfig
export CMAKE_PREFIX_PATH=$work/moved
export LD_LIBRARY_PATH=$work/moved/$libdir
cp -rL tests/consumers "$work/consumers"
cd "$work/consumers"

say "Makefile and pkg-config"
make -s -C makefile
uses_shared makefile/shared
uses_static makefile/static
run makefile/shared
run makefile/static

say "a binary without shared libraries"
make -s -C static
readelf -dW static/roundtrip | grep NEEDED && fail "the static binary needs shared libraries"
run static/roundtrip

say "CMake"
cmake -S cmake -B cmake/build > /dev/null
cmake --build cmake/build > /dev/null
uses_shared cmake/build/shared
uses_static cmake/build/static
for program in shared static cpp; do run cmake/build/$program; done
printf 'cmake_minimum_required(VERSION 3.25)\nproject(other LANGUAGES C)\nfind_package(znippy 0.9 REQUIRED)\n' > "$work/CMakeLists.txt"
if cmake -S "$work" -B "$work/other" > /dev/null 2>&1; then fail "another minor version is found as if it fitted"; fi

say "Meson"
meson setup meson/build meson > meson.log 2>&1 || { cat meson.log; exit 1; }
meson compile -C meson/build > meson.log 2>&1 || { cat meson.log; exit 1; }
for program in shared static cpp; do run meson/build/$program; done
uses_static meson/build/static

say "a plug-in host"
make -s -C plugin
rm -f "$archive"
plugin/host "$work/moved/$libdir/libznippy.so" "$tree" "$archive"
checked=$((checked + 1))

say "a directory packed by CMake, inside a program"
cmake -S embed -B embed/build > /dev/null
cmake --build embed/build > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
uses_shared embed/build/shared
uses_static embed/build/static
for what in "read me" "read me again"; do
    echo "$what" > embed/assets/README
    # A changed file is packed again, and nothing is done where nothing changed.
    cmake --build embed/build > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    for program in shared static; do
        [ "$(embed/build/$program README)" = "$what" ] || fail "embed/build/$program has something else"
        checked=$((checked + 1))
    done
    if cmake --build embed/build | grep Packing; then fail "an unchanged directory was packed again"; fi
done
echo more > embed/assets/more
cmake --build embed/build > /dev/null
[ "$(embed/build/shared more)" = more ] || fail "a new file was not packed"

say "beside another Rust library and the system's zstd"
make -s -C beside
for program in first last optimised; do
    uses_static beside/$program
    rm -f "$archive"
    beside/$program "$tree" "$archive"
    checked=$((checked + 1))
done

say "the tool"
rm -f "$archive"
(unset LD_LIBRARY_PATH; "$work/moved/bin/znippy" pack -q "$tree" "$archive" && "$work/moved/bin/znippy" verify "$archive")

say "built along with another project"
unset PKG_CONFIG_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
for fetch in OFF ON; do
    cmake -S subproject -B "subproject/$fetch" -DFETCH=$fetch -DZNIPPY_SOURCE="$root" -DZNIPPY_CARGO_TARGET_DIR="$root/target" > /dev/null
    cmake --build "subproject/$fetch" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    uses_shared "subproject/$fetch/shared"
    run "subproject/$fetch/shared"
    run "subproject/$fetch/static"
done

say "uninstallation"
mv "$work/moved" "$prefix"
cmake --build "$build" --target uninstall > /dev/null
[ ! -e "$prefix" ] || { find "$prefix"; fail "uninstalling left this behind"; }
echo "$checked programs built and run from the installed library; nothing is left of it"
