#!/bin/sh
# The example c_examples/write_some.c makes an archive with what it was given in it.
#
# usage: write_some.sh PATH_OF_EXAMPLE PATH_OF_ZNIPPY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
echo beside > "$work/tree/file"
head -c 9000000 /dev/zero | tr '\0' 'x' > "$work/stream"
"$1" "$work/a.znippy" "$work/tree" < "$work/stream"
"$2" verify "$work/a.znippy"
"$2" cat "$work/a.znippy" input | cmp - "$work/stream"
"$2" cat "$work/a.znippy" tree/file | cmp - "$work/tree/file"
[ "$("$2" cat "$work/a.znippy" note.txt)" = 'Made by write_some.' ]
if "$1" "$work/a.znippy" < /dev/null 2> "$work/err"; then
    echo 'an archive that exists was replaced' >&2
    exit 1
fi
grep -q 'exists already' "$work/err"
