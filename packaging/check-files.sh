#!/bin/bash
# Checks the package files of other systems as far as this machine can: they parse, their version is that of Cargo.toml,
# and the files that they name are those that are installed.
set -eu -o pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\([0-9.]*\)".*/\1/p' Cargo.toml | head -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "check-files: $*" >&2
    exit 1
}

# RPM: macros of Fedora that Debian's rpm doesn't have are given a meaning.
rpmspec -P --define '_topdir '"$work" --define 'dist .fc' --define 'cmake cmake' --define 'cmake_build make' \
    --define 'cmake_install make install' packaging/rpm/libznippy.spec > "$work/spec"
grep -q "^Version: *$version" "$work/spec" || fail "the RPM spec has another version than $version"
if command -v rpmlint > /dev/null; then
    rpmlint packaging/rpm/libznippy.spec > "$work/rpmlint" 2>&1 || true
    grep -E ': E: ' "$work/rpmlint" && fail "rpmlint complains"
fi
# Every file that a full installation brings belongs to a package of the spec.
if [ -f build/cmake_install.cmake ]; then
    cmake --install build --prefix "$work/usr" > /dev/null
    (cd "$work" && find usr ! -type d) | while read -r file; do
        name=${file##*/}
        grep -q -F -e "/$name" -e "/${name%%.*}.so.0.1" -e "$(basename "$(dirname "$file")")/" "$work/spec" ||
            fail "$file is in no package of the RPM spec"
    done
    cmake -P build/uninstall.cmake > /dev/null
fi
echo "RPM spec: good"

python3 -m py_compile packaging/conan/conanfile.py
grep -q "version = \"$version\"" packaging/conan/conanfile.py || fail "the Conan recipe has another version than $version"
rm -rf packaging/conan/__pycache__
echo "Conan recipe: compiles"

python3 - "$version" <<'PYTHON'
import json, re, sys
port = json.load(open("packaging/vcpkg/vcpkg.json"))
known = {"name", "version", "description", "license", "supports", "dependencies", "features"}
assert set(port) <= known, set(port) - known
assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", port["name"]), port["name"]
assert port["version"] == sys.argv[1], port["version"]
presets = json.load(open("CMakePresets.json"))
names = {preset["name"] for preset in presets["configurePresets"]}
assert all(preset["configurePreset"] in names for preset in presets["buildPresets"] + presets["testPresets"])
PYTHON
# CMake reads the port's script; what vcpkg defines is left out.
cat > "$work/port.cmake" <<CMAKE
cmake_minimum_required(VERSION 3.25)
foreach(name vcpkg_check_features vcpkg_cmake_configure vcpkg_cmake_install vcpkg_cmake_config_fixup vcpkg_fixup_pkgconfig
        vcpkg_copy_tools vcpkg_install_copyright)
  cmake_language(EVAL CODE "function(\${name})\nendfunction()")
endforeach()
set(VCPKG_LIBRARY_LINKAGE static)
set(CURRENT_PACKAGES_DIR "$work/packages")
include("$PWD/packaging/vcpkg/portfile.cmake")
if(NOT EXISTS "\${SOURCE_PATH}/Cargo.toml")
  message(FATAL_ERROR "the port doesn't find the source")
endif()
CMAKE
cmake -P "$work/port.cmake"
echo "vcpkg port: good"

python3 - "$version" <<'PYTHON'
import configparser, sys
wrap = configparser.ConfigParser()
wrap.read("packaging/meson/znippy.wrap")
assert wrap["wrap-file"]["directory"] == f"libznippy-{sys.argv[1]}"
assert wrap["provide"]["dependency_names"] == "znippy"
PYTHON
# A project that has the library as a subproject configures; what then is built is what CMake builds anywhere.
mkdir -p "$work/user/subprojects/libznippy-$version"
cp packaging/meson/znippy.wrap "$work/user/subprojects/"
cp -R meson.build include packaging abi "$work/user/subprojects/libznippy-$version/"
echo "project('user', 'c')
executable('user', 'user.c', dependencies: dependency('znippy'))" > "$work/user/meson.build"
echo '#include <znippy.h>
int main(void) { return znippy_version_number() == 0; }' > "$work/user/user.c"
meson setup --wrap-mode=forcefallback "$work/user/build" "$work/user" > "$work/meson.log" || fail "$(cat "$work/meson.log")"
echo "Meson wrap: good"

python3 packaging/debian-copyright.py > "$work/copyright"
grep -q '^Files: vendor/zstd-sys/' "$work/copyright" || fail "the copyright file lacks what is linked in"
head -1 packaging/debian/changelog | grep -q -F "libznippy ($version)" || fail "the Debian changelog has another version than $version"
grep -q -F "libznippy.so.${version%.*}" packaging/debian/rules || fail "debian/rules has another soname"
echo "Debian copyright: $(grep -c '^Files:' "$work/copyright") parts, a licence for each"
