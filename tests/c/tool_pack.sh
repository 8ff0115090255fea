#!/bin/sh
# What the tool packs and what it records: filters, limits, the policy for times and modes, extended attributes.
#
# usage: tool_pack.sh PATH_OF_ZNIPPY
znippy=$1
# shellcheck source=tests/c/tool_harness.sh
. "$(dirname "$0")/tool_harness.sh"

# refused WORD ARGUMENT...: a usage error that names the word and leaves no archive.
refused() {
    word=$1
    shift
    run 2 pack -q "$@" tree refused.znippy
    grep -q -e "$word" err || wrong "the error does not name '$word': $(cat err)"
    [ ! -e refused.znippy ] || wrong "there is an archive after: $*"
}

# packs NAMES ARGUMENT...: the tree is packed with these arguments, and this is what is in the archive.
packs() {
    names=$1
    shift
    run 0 pack -qf "$@" tree packed.znippy
    lists "$names" "$*"
}

lists() {
    run 0 list packed.znippy
    got=$(sort out | tr '\n' ' ')
    [ "$got" = "$1 " ] || wrong "packed '$got' instead of '$1 ': $2"
}

# dated TIME ARGUMENT...: the time of tree/new in an archive that was packed with these arguments.
dated() {
    time=$1
    shift
    run 0 pack -qf "$@" tree packed.znippy
    time_is new "$time" "$*"
}

time_is() {
    run 0 list -l packed.znippy "$1"
    grep -q " $2 " out || wrong "time of $1 is not $2: $3 ($(cat out))"
}

same_bytes() {
    [ "$(sha256sum < "$1")" = "$(sha256sum < "$2")" ] || wrong "$1 and $2 differ: $3"
}

mkdir -p tree/sub
echo one > tree/one.c
echo two > tree/sub/two.c
echo text > tree/sub/text
echo new > tree/new
head -c 5000 /dev/urandom > tree/big
printf '*.c\n!/one.c\n' > tree/.leave
find tree -exec touch -h -d '2001-02-03T04:05:06Z' {} +
touch -d '2020-01-01T00:00:00Z' tree/new

# Which files.
packs 'one.c sub sub/two.c' --include '*.c'
packs '.leave big new one.c' --exclude sub
packs 'big one.c' --include '*.c' --include big --exclude sub
packs '.leave big new one.c sub sub/text' --ignore-file .leave
packs '.leave new one.c sub sub/text sub/two.c' --max-file-size 4K
grep -q . err && wrong "list said something: $(cat err)"
run 0 pack -qf --max-file-size 4999 tree packed.znippy
grep -q 'tree/big: .*max-file-size is 4999' err || wrong "a file that is left out is not named: $(cat err)"
packs '.leave big new one.c sub sub/text sub/two.c' --max-file-size 5000
refused max-file-size --max-file-size -1
refused ignore-file --ignore-file a/b
refused include --include '[a'

# A file that can't be read makes it a part still, with a limit too.
if [ "$(id -u)" -eq 0 ] && command -v setpriv > /dev/null; then
    cp -r tree closed
    chmod 000 closed/new
    chmod 755 "$work"
    mkdir home
    chown 65534 home
    checks=$((checks + 1))
    setpriv --reuid=65534 --regid=65534 --clear-groups "$znippy" pack -q --set on-error=1 --max-file-size 4K closed home/a.znippy 2> err
    code=$?
    [ $code -eq 3 ] || wrong "exit code $code where a file can't be read ($(cat err))"
    grep -q 'closed/new' err || wrong "the file that can't be read is not named: $(cat err)"
    if mount -t tmpfs none tree/sub 2> /dev/null; then
        mounted=$work/tree/sub
        echo inside > tree/sub/inside
        packs '.leave big new one.c sub' --one-file-system
        packs '.leave big new one.c sub sub/inside'
        umount tree/sub
        mounted=
    else
        echo "tool_pack.sh: no file system can be mounted here; --one-file-system was only tried on one"
    fi
fi
packs '.leave big new one.c sub sub/text sub/two.c' --one-file-system

# Times. What is older than the limit keeps its time.
dated 2020-01-01T00:00:00Z
dated 2010-01-01T00:00:00Z --mtime 2010-01-01T00:00:00Z
time_is one.c 2001-02-03T04:05:06Z --mtime
dated 2010-01-01T00:00:00Z --mtime=1262304000
dated 2016-02-29T23:59:59Z --mtime 2016-02-29T23:59:59Z
dated 2000-03-01T00:00:00Z --mtime 2000-03-01T00:00:00Z
dated 1969-12-31T23:59:59Z --mtime -1
dated 1700-01-01T12:00:00Z --mtime 1700-01-01T12:00:00Z
dated 2020-01-01T00:00:00Z --mtime 2030-01-01T00:00:00Z
dated 2010-01-01T00:00:00Z --mtime 1262304000 --set mtimes=3
time_is one.c 2010-01-01T00:00:00Z "--set mtimes=3"
for time in '' - now 1K 1.5 99999999999 9999999999999999999999 2026-01-01 2026-01-01T00:00:00 2026-01-01T00:00:00z \
    2026-13-01T00:00:00Z 2025-02-29T00:00:00Z 1900-02-29T00:00:00Z 2026-00-01T00:00:00Z 2026-01-00T00:00:00Z \
    2026-01-01T24:00:00Z 2026-01-01T00:60:00Z 2026-01-01T00:00:60Z 2026-01-01T00:00:00ZZ 2026-1-1T00:00:00Z 9999-01-01T00:00:00Z; do
    refused mtime --mtime "$time"
done

# SOURCE_DATE_EPOCH is the limit where nothing else says one.
SOURCE_DATE_EPOCH=1262304000
export SOURCE_DATE_EPOCH
dated 2010-01-01T00:00:00Z
time_is one.c 2001-02-03T04:05:06Z SOURCE_DATE_EPOCH
dated 2015-01-01T00:00:00Z --mtime 2015-01-01T00:00:00Z
dated 2020-01-01T00:00:00Z --set mtimes=0
for value in '' -1 1e9 '1262304000 ' 2010-01-01T00:00:00Z 99999999999; do
    SOURCE_DATE_EPOCH=$value
    refused SOURCE_DATE_EPOCH
    run 2 append packed.znippy tree
    dated 2010-01-01T00:00:00Z --mtime 2010-01-01T00:00:00Z
    run 0 list packed.znippy
done
unset SOURCE_DATE_EPOCH

# Modes.
chmod 4711 tree/one.c
chmod 600 tree/new
run 0 pack -qf --modes keep tree packed.znippy
run 0 list -l packed.znippy one.c
grep -q '^-rws--x--x ' out || wrong "--modes keep: $(cat out)"
run 0 pack -qf --modes normalise tree packed.znippy
run 0 list -l packed.znippy one.c new
[ "$(cut -c 1-11 out | sort | tr '\n' '|')" = '-rw-r--r-- |-rwxr-xr-x |' ] || wrong "--modes normalise: $(cat out)"
refused modes --modes other

# Two users have the same files, but for times, modes and hard links.
mkdir -p other/sub
ln tree/one.c tree/twin
cp tree/big tree/new tree/.leave other/
cp tree/sub/two.c tree/sub/text other/sub/
cp tree/one.c other/one.c
cp tree/one.c other/twin
chmod 700 other other/sub other/one.c other/twin
chmod 640 other/new
[ "$(id -u)" -ne 0 ] || chown -R 65534:65534 other
run 0 pack -q tree plain1.znippy
run 0 pack -q other plain2.znippy
cmp -s plain1.znippy plain2.znippy && wrong "the trees do not differ"
run 0 pack -q --reproducible tree same1.znippy
run 0 pack -q other --reproducible -j 1 same2.znippy
same_bytes same1.znippy same2.znippy --reproducible
run 0 list -l same1.znippy one.c
grep -q ' 1970-01-01T00:00:00Z ' out || wrong "--reproducible has another time: $(cat out)"
run 0 pack -qf --reproducible --mtime 1262304000 tree same1.znippy
SOURCE_DATE_EPOCH=1262304000 "$znippy" pack -qf --reproducible other same2.znippy || wrong "SOURCE_DATE_EPOCH with --reproducible"
same_bytes same1.znippy same2.znippy "--reproducible and SOURCE_DATE_EPOCH"
run 0 list -l same1.znippy one.c
grep -q ' 2010-01-01T00:00:00Z ' out || wrong "--reproducible --mtime has another time: $(cat out)"
run 0 pack -qf --reproducible --set mtimes=2 tree same1.znippy
run 0 pack -qf --set mtimes=2 --reproducible other same2.znippy
same_bytes same1.znippy same2.znippy "--reproducible --set mtimes=2"
refused mtimes --reproducible --set mtimes=1
refused xattrs --reproducible --xattrs
refused modes --modes keep --reproducible
refused record-ids --set record-ids=1 --reproducible
refused hard-links --set hard-links=0 --reproducible

# append takes the same.
run 0 pack -qf --include sub tree packed.znippy
run 0 append -q --include one.c --mtime 86400 --modes normalise packed.znippy tree
lists 'one.c sub sub/text sub/two.c' append
time_is one.c 1970-01-02T00:00:00Z append
run 0 append -q --prefix more --max-file-size 4K --exclude '*.c' --exclude twin --reproducible packed.znippy tree
lists 'more more/.leave more/new more/sub more/sub/text one.c sub sub/text sub/two.c' "append --prefix"
time_is more/new 1970-01-01T00:00:00Z "append --reproducible"

# Extended attributes.
if command -v setfattr > /dev/null && setfattr -n user.znippy -v value tree/new 2> /dev/null; then
    run 0 pack -qf tree packed.znippy
    run 0 unpack -q --xattrs all packed.znippy back1
    getfattr -n user.znippy back1/new > /dev/null 2>&1 && wrong "an attribute was recorded that nobody asked for"
    run 0 pack -qf --xattrs tree packed.znippy
    run 0 unpack -q packed.znippy back2
    getfattr -n user.znippy back2/new > /dev/null 2>&1 && wrong "an attribute was restored that nobody asked for"
    for which in user all; do
        run 0 unpack -q --xattrs $which packed.znippy "back-$which"
        [ "$(getfattr --only-values -n user.znippy "back-$which/new" 2> err)" = value ] || wrong "--xattrs $which: $(cat err)"
    done
else
    echo "tool_pack.sh: no extended attributes here; only the flags were tried"
    run 0 pack -qf --xattrs tree packed.znippy
    run 0 unpack -q --xattrs user packed.znippy back
fi
run 2 unpack -q --xattrs some packed.znippy back3

# What was replaced goes with the next compact.
mkdir twice
head -c 300000 /dev/urandom > twice/file
run 0 pack -qf twice packed.znippy
head -c 200000 /dev/urandom > twice/file
run 0 append -q --set duplicate-paths=1 packed.znippy twice
before=$(wc -c < packed.znippy)
run 0 compact -q packed.znippy
run 0 verify -q packed.znippy
run 0 unpack -q packed.znippy back4
cmp twice/file back4/file || wrong "compact changed a file"
[ $((before - $(wc -c < packed.znippy))) -ge 300000 ] || wrong "compact left what nobody uses"
run 2 compact packed.znippy tree

# Merged: the union, without a name twice; what several have is stored once.
mkdir -p parts/one/usr parts/two/usr
head -c 3000000 /dev/urandom > parts/one/usr/noise
cp parts/one/usr/noise parts/two/usr/again
echo one > parts/one/usr/one
echo two > parts/two/usr/two
run 0 pack -q parts/one one.znippy
run 0 pack -q -l 9 parts/two two.znippy
run 0 merge -q merged.znippy one.znippy two.znippy
run 0 verify -q merged.znippy
run 0 unpack -q merged.znippy back5
cat parts/one/usr/noise parts/one/usr/one parts/two/usr/again parts/two/usr/two > wanted
cat back5/usr/noise back5/usr/one back5/usr/again back5/usr/two | cmp - wanted || wrong "merge changed a file"
[ "$(wc -c < merged.znippy)" -lt 3200000 ] || wrong "merge stored twice what both have"
run 1 merge -q merged.znippy one.znippy two.znippy
run 1 merge -qf merged.znippy one.znippy one.znippy
grep -q 'usr/noise' err || wrong "merge doesn't name the path that two archives have"
run 0 merge -qf --replace merged.znippy one.znippy two.znippy one.znippy
run 1 merge -q new.znippy one.znippy missing.znippy
[ ! -e new.znippy ] || wrong "merge left half an archive"
run 2 merge merged.znippy

# A limit on the size of files is an error, and leaves nothing.
mkdir limited
checks=$((checks + 1))
(ulimit -f 100 && exec "$znippy" pack -q parts/one limited/new.znippy) 2> err
code=$?
[ "$code" -eq 1 ] || wrong "a limit on the size of files ends packing with $code"
grep -q 'File too large' err || wrong "a limit on the size of files isn't said to be one: $(cat err)"
[ -z "$(ls -A limited)" ] || wrong "a limit on the size of files leaves $(ls -A limited)"

finish
