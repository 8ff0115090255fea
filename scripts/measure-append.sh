#!/bin/bash
# What appending costs beside the size of the archive: bytes that pass through the process, and blocks that the disk
# gives, on file systems of its own (loop devices) with and without reflinks.
#
# usage: scripts/measure-append.sh [MEGABYTES...]        default: 50 500; needs root, for mounting
#
# 100 files of 10 KB are added to an archive of each size, the second time with ext4's copy_file_range. Bytes are counted
# by strace, so that nothing depends on what else the machine does. Ends with 1 where the bytes that pass through the
# process grow with the archive, or a clone takes blocks.
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "mounting needs root" >&2; exit 2; }
[ $# -gt 0 ] || set -- 50 500
sh scripts/install-needs.sh strace mkfs.xfs mkfs.btrfs mkfs.ext4 mount python3
znippy=$(readlink -f "${ZNIPPY:-build/bin/znippy}")
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-append.XXXXXX")
finish() {
    ! mountpoint -q "$work/place" || umount "$work/place"
    rm -rf "$work"
}
trap finish EXIT

mkdir "$work/more" "$work/place"
for number in $(seq 100); do head -c 10000 /dev/urandom > "$work/more/new-$number"; done

# Bytes that reads and writes moved, bytes that the kernel copied, and whether a clone was made.
count() {
    python3 - "$1" <<'END'
import re, sys
moved = copied = 0
cloned = "no"
for line in open(sys.argv[1], errors="replace"):
    call = re.search(r"\b(pread64|read|pwrite64|write|copy_file_range|ioctl)\(.*= (-?\d+)", line)
    if not call:
        continue
    result = max(int(call[2]), 0)
    if call[1] == "copy_file_range":
        copied += result
    elif call[1] == "ioctl":
        cloned = "yes" if "FICLONE" in line and call[2] == "0" else cloned
    else:
        moved += result
print(moved, copied, cloned)
END
}

printf '%-6s %10s %14s %14s %6s %12s\n' "" "archive MB" "moved bytes" "kernel copied" clone "disk bytes"
failed=0
for kind in xfs btrfs ext4; do
    first=
    for megabytes in "$@"; do
        truncate -s $((megabytes * 3 + 600))M "$work/image"
        case $kind in
        xfs) mkfs.xfs -q -f -m reflink=1 "$work/image" ;;
        btrfs) mkfs.btrfs -q -f "$work/image" ;;
        ext4) mkfs.ext4 -q -F "$work/image" ;;
        esac
        mount -o loop "$work/image" "$work/place"
        mkdir "$work/place/tree"
        for number in $(seq "$megabytes"); do head -c 1000000 /dev/urandom > "$work/place/tree/$number"; done
        "$znippy" pack -q "$work/place/tree" "$work/place/archive"
        rm -r "$work/place/tree"
        sync -f "$work/place"
        before=$(df --output=used -B1 "$work/place" | tail -1)
        # The old archive stays open, as a reader's would, so that its blocks stay.
        exec 7< "$work/place/archive"
        strace -f -qq -o "$work/trace" -e trace=read,pread64,write,pwrite64,copy_file_range,ioctl \
            "$znippy" append -q "$work/place/archive" "$work/more"
        sync -f "$work/place"
        after=$(df --output=used -B1 "$work/place" | tail -1)
        exec 7<&-
        "$znippy" verify -q "$work/place/archive"
        read -r moved copied cloned <<< "$(count "$work/trace")"
        printf '%-6s %10s %14s %14s %6s %12s\n' $kind "$megabytes" "$moved" "$copied" "$cloned" $((after - before))
        umount "$work/place"
        rm "$work/image"
        # The index of the archive is read and written anew: 200 bytes a file.
        [ -z "$first" ] || [ "$moved" -le $((first + first / 4)) ] || { echo "$kind: what is moved grows" >&2; failed=1; }
        first=${first:-$moved}
        if [ $kind != ext4 ] && { [ "$cloned" != yes ] || [ $((after - before)) -gt 12000000 ]; }; then
            echo "$kind: the payload was not cloned" >&2
            failed=1
        fi
    done
done
exit $failed
