#!/bin/sh
# The manual page has every command and option that the tool's help has, and no others; its markup is clean.
#
# usage: check-manual.sh PATH_OF_ZNIPPY
set -eu
export LC_ALL=C
tool=$1
page=$(dirname "$0")/znippy.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# same WHAT: the two lists in $work/help and $work/page are one set.
same() {
    sort -u -o "$work/help" "$work/help"
    sort -u -o "$work/page" "$work/page"
    if ! diff "$work/help" "$work/page" > "$work/diff"; then
        echo "znippy.1 and the help differ in $1 (< only in the help, > only in the page):" >&2
        grep '^[<>]' "$work/diff" >&2
        failed=1
    fi
}

# Options that a part of the page names.
page_options() {
    grep -oE '(^\.It .*|^\.Fl )-[a-z0-9-]+' | grep -oE -- '-[a-z0-9]{2}[a-z0-9-]*' || true
}

"$tool" help | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p' > "$work/help"
sort -u "$work/help" > "$work/commands"
sed -n 's/^\.Ss //p' "$page" > "$work/page"
same "commands"

: > "$work/all"
while read -r command; do
    [ "$command" != help ] || continue
    "$tool" help "$command" | grep -oE '^  (-., )?--[a-z0-9-]+' | sed 's/.*--/-/' > "$work/help"
    cat "$work/help" >> "$work/all"
    # From the word Options on: the text may name options of other commands.
    sed -n "/^\.Ss $command\$/,/^\.S[sh] /p" "$page" | sed -n '/^Options:$/,$p' | page_options > "$work/page"
    same "options of $command"
done < "$work/commands"

cp "$work/all" "$work/help"
sed -n '/^\.Sh OPTIONS/,/^\.Sh EXIT/p' "$page" | grep '^\.It' | page_options > "$work/page"
same "described options"

# Complaints about other manual pages that aren't installed don't count.
if command -v mandoc > /dev/null; then
    mandoc -T lint -W warning "$page" || failed=1
elif command -v groff > /dev/null; then
    [ -z "$(groff -mdoc -ww -z "$page" 2>&1)" ] || failed=1
fi
[ "$failed" -eq 0 ] && echo "the manual page has all $(wc -l < "$work/commands") commands and $(sort -u "$work/all" | wc -l) options"
