#!/bin/bash
# Builds the Debian packages from a source tree that has all crates in it, offline; checks them with lintian; installs them
# in a chroot that debootstrap makes anew; runs their smoke test there, and takes them away again.
#
# usage: scripts/check-debian.sh [KEEP_DIR]     the packages are copied to KEEP_DIR
#
# dpkg-buildpackage does not look for cargo among Debian's packages (-d): Debian 12 has an older one than is needed.
set -eu -o pipefail
grep -qx 'ID=debian' /etc/os-release || { echo "check-debian: this is not Debian"; exit 77; }
[ "$(id -u)" -eq 0 ] || { echo "check-debian: a chroot needs root"; exit 77; }
cd "$(dirname "$0")/.."
root=$PWD
keep=${1:-}
PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
# debhelper builds with another HOME, where rustup's stand-in for cargo finds no toolchain.
if command -v rustup > /dev/null; then PATH=$(dirname "$(rustup which cargo)"):$PATH; fi
sh scripts/install-needs.sh cmake make gcc git dpkg-buildpackage dh fakeroot lintian debootstrap python3 pkg-config
version=$(sed -n 's/^version = "\([0-9.]*\)".*/\1/p' Cargo.toml | head -1)
work=$(mktemp -d)
trap 'umount "$work/chroot/proc" 2> /dev/null || true; rm -rf "$work"' EXIT
source=$work/libznippy-$version

echo "== source with crates"
mkdir -p "$source"
git ls-files -z | xargs -0 tar c --no-recursion | tar x -C "$source"
(
    cd "$source"
    cp -r packaging/debian debian
    python3 packaging/debian-copyright.py > debian/copyright
    mkdir -p .cargo
    # Quiet, it would not say what belongs into the configuration.
    cargo vendor --locked vendor > .cargo/config.toml 2> "$work/vendor.log" || { cat "$work/vendor.log"; exit 1; }
)

echo "== dpkg-buildpackage"
# Cargo may use what it built before; the path of the sources is not in the libraries.
(cd "$source" && CARGO_NET_OFFLINE=true dpkg-buildpackage -d -b -us -uc > "$work/build.log" 2>&1) ||
    { tail -40 "$work/build.log"; exit 1; }
ls -l "$work"/*.deb

echo "== lintian"
# The project has no mail address of its own yet.
lintian --fail-on error,warning --tag-display-limit 0 --allow-root \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$work"/*.changes

echo "== clean chroot"
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# Where apt takes this system from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' "Codename: $suite" | sort -u | head -1)
[ -n "$mirror" ] || { echo "check-debian: apt knows no Debian mirror of '$suite'" >&2; exit 77; }
# What apt would bring with them.
needed=$(dpkg-deb -f "$work"/znippy-tools_*.deb Depends | tr ',' '\n' | sed 's/^ *\([^ ]*\).*/\1/' | grep -v znippy | paste -sd,)
debootstrap --variant=minbase --include="gcc,libc6-dev,pkg-config,$needed" "$suite" "$work/chroot" "$mirror" > "$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log"; exit 1; }
cp "$work"/*.deb packaging/debian/tests/smoke "$work/chroot/var/tmp/"
in_chroot() {
    chroot "$work/chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
}
mount -t proc proc "$work/chroot/proc"
in_chroot dpkg --get-selections | sort > "$work/before"
in_chroot find /usr /etc -xdev ! -type d | sort > "$work/files-before"
in_chroot sh -c 'dpkg -i /var/tmp/*.deb'
in_chroot sh /var/tmp/smoke
in_chroot dpkg --purge znippy-tools libznippy-dev libznippy0.1
in_chroot dpkg --get-selections | sort | diff "$work/before" -
in_chroot find /usr /etc -xdev ! -type d | sort | diff "$work/files-before" - | grep -v 'ld\.so\.cache' | grep '^[<>]' &&
    { echo "the packages left files behind" >&2; exit 1; }
[ -z "$keep" ] || cp "$work"/*.deb "$keep"
echo "three packages, built, checked, installed, tested and purged in a clean chroot of $suite"
cd "$root"
