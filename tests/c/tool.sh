#!/bin/sh
# The command-line tool as people and scripts meet it: exit codes, one-line errors, output in pipes.
#
# usage: tool.sh PATH_OF_ZNIPPY
znippy=$1
# shellcheck source=tests/c/tool_harness.sh
. "$(dirname "$0")/tool_harness.sh"

# One line on standard error that begins with the tool's name and holds the text and an advice.
error_says() {
    [ "$(wc -l < err)" -eq 1 ] || wrong "not one line of error: $(cat err)"
    grep -q '^znippy: .*: .*' err || wrong "not 'znippy: NAME: what': $(cat err)"
    grep -qF -- "$1" err || wrong "error lacks '$1': $(cat err)"
    grep -q '; ' err || wrong "the error gives no advice: $(cat err)"
}

quiet() {
    [ ! -s err ] || wrong "not quiet: $(cat err)"
}

out_says() {
    grep -qF -- "$1" out || wrong "output lacks '$1': $(head -c 500 out)"
}

bad_name=$(printf 'latin-\351')
mkdir -p tree/sub tree/empty
echo 'hello, world' > tree/hello.txt
head -c 3000000 /dev/urandom > tree/sub/noise
: > tree/nothing
: > "tree/$bad_name"
: > "tree/$(printf 'new\nline')"
ln -s hello.txt tree/link
chmod 4640 tree/nothing
touch -d '2001-02-03T04:05:06.123456789Z' tree/hello.txt

# Usage.
run 2
error_says 'nothing to do'
run 2 frobnicate
error_says frobnicate
run 2 pack tree
error_says 'DIR ARCHIVE'
run 2 pack tree a b
error_says 'too many'
run 2 pack -l 99 tree a
error_says 'level'
run 2 pack -l 3 tree
error_says 'pack takes'
run 2 pack --set nonsense=1 tree a
error_says 'no such option'
run 2 pack --set level tree a
error_says 'OPTION=VALUE'
run 2 pack --preset huge tree a
error_says huge
run 2 pack --frob tree a
error_says '--frob'
run 2 list --quick a
error_says '--quick'
run 2 pack '' a
error_says 'empty'
run 0 --version
out_says 'znippy 0.'
run 0 help
out_says 'unpack ARCHIVE DIR'
run 0 help options
out_says 'memory-limit'
run 0 pack --help
out_says '(-7 to 22, default 3)'
run 2 help nothing
error_says nothing

# Pack and its refusals.
run 0 pack -q -l 1 -j 2 tree a.znippy
quiet
run 0 pack tree b.znippy
quiet
run 1 pack tree b.znippy
error_says 'b.znippy'
error_says '(-f)'
run 0 pack -fj2 --preset small --no-skip --set repo=label --set block-size=64K tree b.znippy
run 1 pack no-such-tree c.znippy
error_says 'no-such-tree'
run 1 pack tree no-such-dir/c.znippy
error_says 'no-such-dir'
[ ! -e c.znippy ] || wrong "an archive of a directory that isn't there"
run 0 pack --stats tree c1
out_says 'ratio'
run 0 pack --json tree c2
out_says '"files":5,'
run 0 pack -- tree -dash
run 0 list ./-dash

# List.
run 0 list a.znippy
quiet
out_says "$bad_name"
[ "$(grep -c . out)" -eq 9 ] || wrong "list has $(grep -c . out) lines instead of 9"
run 0 list -0 a.znippy
[ "$(tr -dc '\000' < out | wc -c)" -eq 8 ] || wrong "list -0 has not 8 NUL bytes"
run 0 list -l a.znippy
out_says '2001-02-03T04:05:06Z hello.txt'
out_says 'link -> hello.txt'
out_says '-rwSr-----'
out_says 'drwx'
run 0 list --json a.znippy
[ "$(wc -l < out)" -eq 8 ] || wrong "list --json has not 8 lines"
out_says '"path":"new\u000aline"'
out_says '"path":"latin-\ufffd","path_bytes":"6c6174696e2de9"'
out_says '"mtime":"2001-02-03T04:05:06.123456789Z"'
out_says '"link_target":"hello.txt"'
if command -v python3 > /dev/null; then
    python3 -c 'import json,sys; [json.loads(line) for line in open("out", encoding="utf-8")]' || wrong "list --json is not JSON"
fi

# A part of the list: names with what lies below them, globs that stop at slashes, each entry once and in order.
listed() {
    [ "$(tr '\n' ' ' < out)" = "$1" ] || wrong "list gave '$(tr '\n' ' ' < out)' instead of '$1'"
}
mkdir -p globs/a/deep globs/b
for name in a/x.c a/deep/y.c a-b a.c b/x.c 'b/[x].c' 'b/*' top.c; do
    echo "$name" > "globs/$name"
done
run 0 pack -q globs globs.znippy
run 0 list globs.znippy a
listed 'a a/deep a/deep/y.c a/x.c '
run 0 list globs.znippy a/ a/deep/y.c a/deep
listed 'a a/deep a/deep/y.c a/x.c '
run 0 list globs.znippy '*.c'
listed 'a.c top.c '
run 0 list globs.znippy '*/*.c'
listed 'a/x.c b/[x].c b/x.c '
run 0 list globs.znippy top.c 'a/*.c' 'a/d*'
listed 'a/deep a/x.c top.c '
run 0 list globs.znippy 'b/[x].c'
listed 'b/[x].c '
run 0 list globs.znippy 'b/*'
listed 'b/* '
run 0 list globs.znippy 'b/[!y].c' 'b/\[*'
listed 'b/[x].c b/x.c '
run 0 list globs.znippy '?'
listed 'a b '
run 0 list --json globs.znippy a-b
[ "$(wc -l < out)" -eq 1 ] || wrong "list --json of one name has not one line"
run 0 list -0 a.znippy "$bad_name"
[ "$(tr -dc '\000' < out | wc -c)" -eq 1 ] || wrong "list of a name that is not UTF-8"
for name in no-such 'no*such' '*/*/*/*' ../a /a ..; do
    run 1 list globs.znippy "$name"
    error_says "$name"
    listed ''
done
run 1 list globs.znippy no-such a-b
error_says no-such
listed 'a-b '

run 1 list no-such.znippy
error_says 'no-such.znippy'
run 1 list tree/hello.txt
error_says 'hello.txt'

# Cat.
run 0 cat a.znippy hello.txt
cmp -s out tree/hello.txt || wrong "cat gave other bytes"
run 0 cat a.znippy sub/noise
cmp -s out tree/sub/noise || wrong "cat gave other bytes of a big file"
run 0 cat a.znippy nothing
[ ! -s out ] || wrong "cat of an empty file"
for part in '0 1' '5 7' '0 4K' '2999990 100' '3000000 1' '99999999 5' '1000000 1M' '7 0' '2M 900000'; do
    # shellcheck disable=SC2086 # two words
    set -- $part
    run 0 cat --offset "$1" --length "$2" a.znippy sub/noise
    tail -c +"$(($(echo "$1" | sed 's/M/*1048576/') + 1))" tree/sub/noise | head -c "$2" > part
    cmp -s out part || wrong "cat --offset $1 --length $2 gave other bytes"
done
run 0 cat --offset=2999000 a.znippy sub/noise
tail -c 1000 tree/sub/noise | cmp -s - out || wrong "cat --offset alone gave other bytes"
run 0 cat --length=1000 a.znippy sub/noise
head -c 1000 tree/sub/noise | cmp -s - out || wrong "cat --length alone gave other bytes"
run 2 cat --offset -1 a.znippy hello.txt
error_says 'number of bytes'
run 2 cat --length x a.znippy hello.txt
error_says 'number of bytes'
run 2 cat --length
error_says 'value'
run 1 cat a.znippy no/such
error_says 'no/such'
run 1 cat a.znippy sub
error_says 'directory'
run 1 cat a.znippy link
error_says 'symlink'

# Verify and info.
run 0 verify a.znippy
quiet
run 0 verify --quick a.znippy
run 0 verify --json a.znippy
grep -q '^{"archive":"a.znippy","whole":true,"mode":"full","checks":{"head":.*"files":"decoded, .*"archive_digest":"[0-9a-f]\{64\}".*"entries":' out ||
    wrong "verify --json does not tell what was checked: $(cat out)"
run 0 verify --quick --json a.znippy
grep -q '"mode":"quick",.*"slices":"not checked"' out || wrong "verify --quick --json: $(cat out)"
out_says '"entries":8'
run 0 info a.znippy
out_says 'tree digest'
out_says 'level=1'
run 0 info --json a.znippy
out_says '"format_version":4'
out_says '"options":{'
if command -v python3 > /dev/null; then
    python3 -c 'import json; i = json.load(open("out", encoding="utf-8")); assert i["entries"] == 8 and len(i["tree_digest"]) == 64' ||
        wrong "info --json is not the JSON that it should be"
fi
"$znippy" info --json b.znippy > out2
[ "$(sed 's/.*"tree_digest":"\([0-9a-f]*\).*/\1/' out)" = "$(sed 's/.*"tree_digest":"\([0-9a-f]*\).*/\1/' out2)" ] ||
    wrong "the tree digest depends on the options"

# Unpack.
run 0 unpack -j 2 a.znippy back
quiet
chmod 0640 tree/nothing # set-user-id bits come back only by option
diff -r --no-dereference tree back || wrong "another tree came back"
run 1 unpack a.znippy back
error_says '-f'
run 0 unpack -f a.znippy back
run 0 unpack --stats a.znippy back2
out_says 'entries'

# Filters.
run 0 unpack --exclude '*.txt' --exclude=sub/ a.znippy some
[ -L some/link ] && [ ! -e some/hello.txt ] && [ ! -e some/sub ] || wrong "exclude: $(ls some)"
run 0 unpack --include 'n*' a.znippy some2
[ "$(find some2 -name 'no*' | wc -l)" -eq 2 ] || wrong "include: $(find some2)"
run 0 unpack --prefix sub --strip-components 1 a.znippy some3
[ "$(ls some3)" = noise ] || wrong "prefix and strip-components: $(ls some3)"
run 1 unpack --prefix nowhere a.znippy some4
error_says 'nowhere'
[ ! -e some4 ] || wrong "a prefix without entries wrote something"
run 2 unpack --include 'a[' a.znippy some4
error_says 'a['
run 2 unpack --prefix ../x a.znippy some4
error_says "'..'"

# Updates.
touch back2/newer
run 0 unpack --skip-unchanged --stats a.znippy back2
grep -q '^bytes_out *0$' out || wrong "skip-unchanged wrote something: $(cat out)"
[ -e back2/newer ] || wrong "a file that is not in the archive went without --prune"
echo changed > back2/hello.txt
run 0 unpack --overwrite keep a.znippy back2
[ "$(cat back2/hello.txt)" = changed ] || wrong "--overwrite keep replaced a file"
run 0 unpack --overwrite older a.znippy back2
[ "$(cat back2/hello.txt)" = changed ] || wrong "--overwrite older replaced a newer file"
run 0 unpack --prune --checksum a.znippy back2
chmod 0640 tree/nothing
diff -r --no-dereference tree back2 || wrong "--prune --checksum left another tree"
run 1 unpack --overwrite keep --prune a.znippy back2
error_says 'overwrite=1'
run 2 unpack --overwrite sometimes a.znippy back2
error_says 'sometimes'

# Damage.
cp a.znippy damaged.znippy
printf 'XXXX' | dd of=damaged.znippy bs=1 seek=1000000 conv=notrunc 2> /dev/null
run 1 verify damaged.znippy
error_says 'archive again'
run 1 verify --quick damaged.znippy
error_says 'damaged'
run 1 verify --json damaged.znippy
grep -q '"whole":false,.*"status":"ZNIPPY_E_[A-Z]*","message":"' out || wrong "verify --json of damage: $(cat out)"
run 3 salvage --json damaged.znippy salvaged.znippy
grep -q '^{"index":"whole",.*"entries_lost":[1-9]' out || wrong "salvage --json: $(cat out)"
run 0 verify salvaged.znippy
run 1 salvage damaged.znippy salvaged.znippy
run 3 salvage -f -v damaged.znippy salvaged.znippy
grep -q '^kept ' out && grep -q '^znippy: lost ' err || wrong "salvage -v names nothing"
run 2 salvage damaged.znippy
run 1 cat damaged.znippy sub/noise
run 1 unpack damaged.znippy back3
run 1 unpack --atomic damaged.znippy back5
[ ! -e back5 ] || wrong "--atomic left a part of a tree"
run 0 unpack --atomic a.znippy back5
touch back5/old
run 1 unpack --atomic a.znippy back5
run 1 unpack --atomic -f damaged.znippy back5
[ -e back5/old ] || wrong "--atomic lost the old tree after a failure"
run 0 unpack --atomic -f a.znippy back5
[ ! -e back5/old ] && [ -e back5/hello.txt ] || wrong "--atomic -f did not replace the tree: $(ls back5)"

# Archives from strangers, limits, duplicates.
mkdir strange && ln -s ../outside strange/link && echo 1 > strange/file && cp -p strange/file strange/twin
run 0 pack strange strange.znippy
run 1 unpack --untrusted strange.znippy back6
error_says 'link'
[ ! -e back6 ] || wrong "--untrusted began with an archive that it refuses"
run 0 unpack strange.znippy back6
run 1 unpack --max-bytes 3 strange.znippy back7
error_says 'max-bytes'
run 0 unpack --untrusted --max-bytes 1K --max-entries 3 --max-depth 1 --exclude link strange.znippy back7
run 1 unpack --untrusted a.znippy back8
error_says 'not portable'
run 0 unpack --set duplicates=2 strange.znippy back9
[ "$(stat -c %h back9/twin)" -eq 2 ] || wrong "duplicates=2 made no hard link"

run 3 unpack --keep-going damaged.znippy back4
grep -q '^znippy: not restored: sub/noise: ' err || wrong "the damaged file is not named: $(cat err)"
grep -q '1 entries were left out' err || wrong "the failures are not counted: $(cat err)"
[ -e back4/hello.txt ] && [ ! -e back4/sub/noise ] || wrong "keep-going restored $(ls back4 back4/sub)"
head -c 5000 a.znippy > cut.znippy
run 1 list cut.znippy
error_says 'cut.znippy'

# Names in errors are escaped.
run 1 list "$(printf 'no\nsuch\033[31m\351')"
error_says 'no\nsuch\u{1b}[31m\xe9'

# An archive that goes to standard output: the bytes of the file, and nothing else.
checks=$((checks + 4))
"$znippy" pack -f -l 1 tree file.znippy || wrong "pack for a comparison"
"$znippy" pack -l 1 --stats tree - 2> err | cat > piped.znippy
cmp file.znippy piped.znippy || wrong "another archive came through the pipe"
grep -q '^entries' err || wrong "the report is not on standard error"
{ "$znippy" pack tree - 2> err; echo $? > code; } | head -c 100 > /dev/null
[ "$(cat code)" -eq 1 ] || wrong "exit code $(cat code) instead of 1 where the pipe broke"
error_says 'standard output'
"$znippy" pack tree - > /dev/full 2> err
[ $? -eq 1 ] || wrong "a full disk on standard output is not an error of pack"
error_says 'standard output'
"$znippy" pack tree - >&- 2> err
[ $? -eq 1 ] || wrong "a closed standard output is not an error of pack"
[ ! -e - ] || wrong "there is an archive of the name -"
run 1 pack no-such -
error_says 'no-such'
[ ! -s out ] || wrong "a failed pack wrote $(wc -c < out) bytes"

# Standard output that can't be written.
checks=$((checks + 2))
"$znippy" list a.znippy > /dev/full 2> err
[ $? -eq 1 ] || wrong "a full disk on standard output is not an error"
error_says 'standard output'
"$znippy" cat a.znippy sub/noise >&- 2> err
[ $? -eq 1 ] || wrong "a closed standard output is not an error"
{ "$znippy" cat a.znippy sub/noise 2> err; echo $? > code; } | head -c 1 > /dev/null
[ "$(cat code)" -eq 1 ] || wrong "exit code $(cat code) instead of 1 where the reader went away"
[ ! -s err ] || wrong "not quiet where the reader went away: $(cat err)"
[ "$("$znippy" list a.znippy | head -1)" = empty ] || wrong "list | head -1"

# A signal. TERM, since SIGINT may be ignored here and then stays so.
mkdir slow
od -An -v -tx1 /dev/urandom | head -c 60000000 > slow/text
(sleep 0.5; kill -TERM "$(cat pid)") &
# shellcheck disable=SC2016 # the inner shell expands them
sh -c 'echo $$ > pid; exec "$0" pack -l 22 -j 1 slow slow.znippy' "$znippy" 2> err
code=$?
wait
if [ "$code" -ne 0 ] || [ ! -e slow.znippy ]; then # a fast machine may be done before
    [ "$code" -eq 130 ] || wrong "exit code $code instead of 130 after a signal ($(cat err))"
    [ ! -e slow.znippy ] || wrong "an archive after a signal"
fi

leftover=$(find . -maxdepth 1 -name '*tmp*' -o -maxdepth 1 -name '.*znippy*')
[ -z "$leftover" ] || wrong "left behind: $leftover"
finish
