#!/bin/sh
# Installs the programs that are named and missing, with apt, where that is possible; else says what is missing.
#
# usage: install-needs.sh PROGRAM...
set -eu

# The Debian package that has a program.
package_of() {
    case $1 in
    cc | gcc) echo gcc libc6-dev ;;
    g++ | c++) echo g++ ;;
    ld | objcopy | readelf) echo binutils ;;
    python3) echo python3 python3-venv ;;
    *) echo "$1" ;;
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
    if ! command -v "$program" > /dev/null; then
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
