#!/bin/bash
# Two users, each in a chroot of its own, pack the same files: one SHA-256 with --reproducible.
#
# usage: scripts/check-two-chroots.sh [TREE]        default: include, src and docs of this repository; needs root
#
# What differs: user and group, umask and so all modes, modification times, owners, order in which the files were made,
# file system where there is a tmpfs, time zone, locale, home, working directory, number of threads. Neither chroot has a
# /proc. Ends with 1 where the archives differ, and where they don't differ without --reproducible: then nothing was tried.
# Ends with 77 without root.
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] && chroot / true 2> /dev/null || { echo "check-two-chroots: chroot needs root"; exit 77; }
sh scripts/install-needs.sh cmp
znippy=$(readlink -f "${ZNIPPY:-build/bin/znippy}")
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-chroot.XXXXXX")
other=$(mktemp -d /dev/shm/znippy-chroot.XXXXXX 2> /dev/null || mktemp -d "${TMPDIR:-/tmp}/znippy-chroot.XXXXXX")
trap 'rm -rf "$work" "$other"' EXIT
chmod 755 "$work" "$other"

mkdir "$work/files"
if [ $# -gt 0 ]; then cp -r "$1/." "$work/files"; else cp -r include src docs "$work/files"; fi
(cd "$work/files" && find . -type d | LC_ALL=C sort > "$work/directories" && find . -type f | LC_ALL=C sort > "$work/names")

# A root with the tool and its libraries, and the files as one user has them.
make_root() { # ROOT USER UMASK SORT YEAR
    local root=$1 user=$2
    mkdir -p "$root/bin" "$root/home"
    cp "$znippy" "$root/bin/znippy"
    # In no place of its own but the loader: without /proc nothing is found beside a program.
    ldd "$znippy" | grep -o '/[^ ]*' | while IFS= read -r library; do
        case $library in */ld-*) to=$root$(dirname "$library") ;; *) to=$root/lib ;; esac
        mkdir -p "$to"
        cp "$library" "$to"
    done
    (
        umask "$3"
        mkdir "$root/home/tree"
        sort $4 "$work/directories" | while IFS= read -r name; do mkdir -p "$root/home/tree/$name"; done
        sort $4 "$work/names" | while IFS= read -r name; do
            cat "$work/files/$name" > "$root/home/tree/$name"
            touch -d "$5-01-01 +$((RANDOM % 300)) days" "$root/home/tree/$name"
        done
    )
    chown -R "$user" "$root/home"
}

pack_in() { # ROOT USER UMASK ARCHIVE OPTION...
    local root=$1 user=$2 mask=$3 archive=$4
    shift 4
    (
        umask "$mask"
        cd /
        export LD_LIBRARY_PATH=/lib
        exec chroot --userspec="$user" "$root" /bin/znippy pack -q -f "$@" /home/tree "/home/$archive"
    )
    sha256sum "$root/home/$archive" | cut -d' ' -f1
}

make_root "$work/root" 1234:1234 022 "" 2011
make_root "$other/root" 4321:99 077 -r 2019
for policy in --reproducible ""; do
    first=$(TZ=Asia/Tokyo LC_ALL=C HOME=/home pack_in "$work/root" 1234:1234 022 first -j 1 $policy)
    second=$(TZ=America/Lima LC_ALL=C.UTF-8 HOME=/ pack_in "$other/root" 4321:99 077 second -j 3 $policy)
    echo "${policy:-without a policy}: $first $second"
    if [ -n "$policy" ]; then
        [ "$first" = "$second" ] || { echo "two users have different archives of the same files" >&2; exit 1; }
    else
        [ "$first" != "$second" ] || { echo "the trees don't differ, so nothing was shown" >&2; exit 1; }
    fi
done
echo "$(wc -l < "$work/names") files, two users in two chroots: one archive"
