#!/bin/sh
# Archives of format version 3 and the tool: reading, converting there and back, packing for older programs.
#
# usage: tool_convert.sh PATH_OF_ZNIPPY PATH_OF_FIXTURES
znippy=$1
fixtures=$2
# shellcheck source=tests/c/tool_harness.sh
. "$(dirname "$0")/tool_harness.sh"

tree_digest() {
    "$znippy" info --json "$1" | sed 's/.*"tree_digest":"\([0-9a-f]*\)".*/\1/'
}

for fixture in "$fixtures"/0.7.2/*.znippy "$fixtures"/0.10.1/*.znippy; do
    run 0 verify "$fixture"
    run 0 unpack "$fixture" old
    # There: nothing is lost. The digest that is printed is that of both.
    run 0 convert "$fixture" new.znippy
    [ "$(cat out)" = "tree digest $(tree_digest "$fixture")" ] || wrong "another tree: $(cat out)"
    [ "$(tree_digest new.znippy)" = "$(tree_digest "$fixture")" ] || wrong "another tree in $fixture"
    "$znippy" info new.znippy | grep -q '^format  *4$' || wrong "not version 4"
    run 0 verify new.znippy
    run 0 diff new.znippy "$fixture"
    # Back: files and their bytes.
    run 0 convert new.znippy back.znippy
    "$znippy" info back.znippy | grep -q '^format  *3$' || wrong "not version 3"
    run 0 verify back.znippy
    run 0 unpack back.znippy back
    (cd old && find . -type f | sort) > old.list
    (cd back && find . -type f | sort) > back.list
    cmp -s old.list back.list || wrong "other files came back: $(diff old.list back.list)"
    while read -r file; do
        cmp -s "old/$file" "back/$file" || wrong "$file differs"
    done < old.list
    rm -rf old back new.znippy back.znippy
done

# What version 3 can't carry is named, and the rest is there.
mkdir -p tree/sub tree/void
echo text > tree/sub/file
ln -s sub/file tree/link
run 0 pack --profile v3 tree three.znippy
grep -q '^znippy: left out: link: ' err || wrong "the link is not named: $(cat err)"
grep -q '^znippy: left out: void: ' err || wrong "the empty directory is not named: $(cat err)"
run 0 list three.znippy
[ "$(cat out)" = sub/file ] || wrong "other entries: $(cat out)"
run 0 pack tree four.znippy
run 0 convert --profile v4 four.znippy again.znippy
[ "$(tree_digest four.znippy)" = "$(tree_digest again.znippy)" ] || wrong "version 4 became another tree"
run 1 convert four.znippy again.znippy
run 0 convert --force four.znippy again.znippy
run 1 append three.znippy tree
grep -q 'convert it' err || wrong "no advice: $(cat err)"
finish
