#!/bin/sh
# Installs the programs that are named and missing, with apt, where that is possible; else says what is missing.
# NAME.pc stands for what a C program needs to be built with the library of that pkg-config name.
#
# usage: install-needs.sh PROGRAM|NAME.pc...
set -eu

# The Debian package that has a program or a library.
package_of() {
    case $1 in
    cc | gcc) echo gcc libc6-dev ;;
    g++ | c++) echo g++ ;;
    ld | objcopy | readelf) echo binutils ;;
    c++filt | strip) echo binutils ;;
    python3) echo python3 python3-venv ;;
    go) echo golang-go ;;
    libcurl.pc) echo libcurl4-openssl-dev ;;
    fuse3.pc) echo libfuse3-dev ;;
    zlib.pc) echo zlib1g-dev ;;
    libarchive.pc) echo libarchive-dev ;;
    bsdtar) echo libarchive-tools ;;
    setfacl) echo acl ;;
    fusermount3) echo fuse3 ;;
    nginx) echo nginx-light ;;
    mksquashfs) echo squashfs-tools ;;
    libsquashfs1.pc) echo libsquashfs-dev ;;
    libzip.pc) echo libzip-dev ;;
    xz) echo xz-utils ;;
    ninja) echo ninja-build ;;
    libzstd.pc) echo libzstd-dev ;;
    abidw | abidiff) echo abigail-tools ;;
    mandoc) echo mandoc ;;
    mkfs.xfs) echo xfsprogs ;;
    mkfs.btrfs) echo btrfs-progs ;;
    mkfs.ext4) echo e2fsprogs ;;
    dpkg-buildpackage) echo dpkg-dev debhelper fakeroot ;;
    rpmspec) echo rpm ;;
    dh) echo debhelper ;;
    7z) echo p7zip-full ;;
    xz) echo xz-utils ;;
    *) echo "$1" ;;
    esac
}

is_there() {
    case $1 in
    *.pc) pkg-config --exists "${1%.pc}" 2> /dev/null ;;
    *) command -v "$1" > /dev/null || [ -x "/usr/sbin/$1" ] ;;
    esac
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing=
packages=
for program in "$@"; do
    if ! is_there "$program"; then
        missing="$missing $program"
        packages="$packages $(package_of "$program")"
    fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get > /dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo > /dev/null; }; then
    echo "These programs are missing:$missing. Install them and try again." >&2
    exit 1
fi
echo "installing$packages" >&2
# shellcheck disable=SC2086 # several words on purpose
as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh $packages >&2
