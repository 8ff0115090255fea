# What the tests of the tool begin with: a directory of their own, and words that run the tool and look at what it said.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # who includes this sets $znippy, and uses what is not used here
set -u
LC_ALL=C
export LC_ALL
unset SOURCE_DATE_EPOCH
umask 022
script=${0##*/}
work=$(mktemp -d)
# What is mounted below the directory, if anything.
mounted=
trap '[ -z "$mounted" ] || umount "$mounted"; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
checks=0

wrong() {
    printf '%s: %s\n' "$script" "$*" >&2
    failures=$((failures + 1))
}

# run CODE ARGUMENT...: runs the tool, keeps both outputs, checks the exit code.
run() {
    wanted=$1
    shift
    checks=$((checks + 1))
    "$znippy" "$@" > out 2> err < /dev/null
    code=$?
    [ "$code" -eq "$wanted" ] || wrong "exit code $code instead of $wanted: $* ($(cat err))"
}

# The end: how often the tool ran, and whether all was right.
finish() {
    printf '%s: %d runs of the tool, %d failures\n' "$script" "$checks" "$failures"
    [ "$failures" -eq 0 ]
}
