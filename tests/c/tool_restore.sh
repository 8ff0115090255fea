#!/bin/sh
# The tool where something is there already: dry runs, comparison, bytes to standard output.
#
# usage: tool_restore.sh PATH_OF_ZNIPPY
znippy=$1
# shellcheck source=tests/c/tool_harness.sh
. "$(dirname "$0")/tool_harness.sh"

out_is() {
    [ "$(cat out)" = "$1" ] || wrong "output is '$(cat out)' instead of '$1'"
}

mkdir -p tree/sub tree/empty
echo one > tree/one
echo two > tree/sub/two
echo three > tree/three.c
head -c 3000000 /dev/urandom > tree/noise
ln -s one tree/link
run 0 pack -q tree a.znippy

# A dry run makes nothing.
run 0 unpack --dry-run -v a.znippy back
[ ! -e back ] || wrong "--dry-run made the destination"
grep -qx 'create sub/two' out || wrong "--dry-run -v names no action: $(cat out)"
grep -q '^would create 7, replace 0, delete 0, keep 0; ' out || wrong "--dry-run gives no summary: $(cat out)"
run 0 unpack a.znippy back
echo more >> back/one
echo stray > back/stray
run 0 unpack --dry-run -v --prune --skip-unchanged a.znippy back
grep -qx 'replace one' out && grep -qx 'delete stray' out || wrong "--dry-run -v --prune: $(cat out)"
grep -q '^would create 0, replace 1, delete 1, keep 4; 4 B' out || wrong "--dry-run --prune gives no summary: $(cat out)"
[ -e back/stray ] || wrong "--dry-run deleted something"
run 1 unpack --dry-run a.znippy back
grep -q 'taken' err || wrong "--dry-run says nothing of a name that is taken: $(cat err)"

# diff ARCHIVE DIR and diff A B.
run 0 diff a.znippy tree
out_is ''
run 4 diff a.znippy back
out_is 'M one (bytes)
A stray'
chmod 700 back/noise
rm back/link
run 4 diff a.znippy back
out_is 'D link
M noise (mode)
M one (bytes)
A stray'
run 4 diff -q a.znippy back
out_is ''
run 4 diff --json a.znippy back
grep -q '^{"what":"changed","path":"noise","differs":"mode",' out || wrong "diff --json: $(cat out)"
if command -v python3 > /dev/null; then
    python3 -c 'import json; [json.loads(line) for line in open("out", encoding="utf-8")]' || wrong "diff --json is not JSON"
fi
run 0 diff --exclude stray --exclude one --prefix sub a.znippy back
run 0 pack -q --preset random back b.znippy
run 4 diff a.znippy b.znippy
out_is 'D link
M noise (mode)
M one (bytes)
A stray'
run 0 diff b.znippy b.znippy
touch -d '2001-02-03T04:05:06Z' tree/sub/two
run 0 diff a.znippy tree
run 4 diff --mtime a.znippy tree
out_is 'M sub/two (mtime)'
run 1 diff a.znippy no-such
run 1 diff no-such tree
run 2 diff a.znippy
run 2 diff a.znippy tree b.znippy

# Bytes of files in the order of the archive.
run 0 unpack --to-stdout a.znippy
cat tree/noise tree/one tree/sub/two tree/three.c | cmp -s - out || wrong "--to-stdout gave other bytes"
run 0 unpack --to-stdout a.znippy '*.c' sub
cat tree/sub/two tree/three.c | cmp -s - out || wrong "--to-stdout of some gave other bytes"
run 0 unpack --to-stdout a.znippy empty link
out_is ''
run 1 unpack --to-stdout a.znippy one no-such
out_is one
grep -q '^znippy: no-such: ' err || wrong "--to-stdout of what is not there: $(cat err)"
run 2 unpack --to-stdout
run 2 unpack --to-stdout --include '*.c' a.znippy
run 2 unpack a.znippy back more
cp a.znippy damaged.znippy
printf 'XXXX' | dd of=damaged.znippy bs=1 seek=1000000 conv=notrunc 2> /dev/null
run 1 unpack --to-stdout damaged.znippy noise
[ ! -s out ] || wrong "--to-stdout wrote bytes that are damaged"

# Pruning by somebody who may not write into the archive's directories.
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
    mkdir closed
    echo 1 > closed/file
    chmod 555 closed
    mkdir as-nobody home
    cp -r closed as-nobody/
    chmod 755 "$work"
    run 0 pack -q as-nobody closed.znippy
    chown 65534 home
    checks=$((checks + 1))
    setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '"$0" unpack -q closed.znippy home/out && chmod 755 home/out/closed &&
        echo 1 > home/out/closed/stray && chmod 555 home/out/closed && "$0" unpack -q --prune --skip-unchanged closed.znippy home/out' \
        "$znippy" 2> err || wrong "pruning in a directory that is closed to its owner: $(cat err)"
    [ ! -e home/out/closed/stray ] && [ "$(stat -c %a home/out/closed)" = 555 ] || wrong "the closed directory: $(ls -l home/out)"
fi

finish
