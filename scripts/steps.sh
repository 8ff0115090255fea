# What scripts/test.sh and scripts/ci-extra.sh share: steps, and their results for people and for whoever counts.
# shellcheck shell=bash
#
# Counts go to $ZNIPPY_TEST_COUNTS where that is set: one line "PASSED FAILED" a step (.ci/run adds them up).

summary=()
failed_steps=0
PATH=$PATH:$HOME/.cargo/bin

# Notes the result of a step.
note() {
    local name=$1 passed=$2 failed=$3
    summary+=("$(printf '%-32s %5d passed, %d failed  %4d s' "$name" "$passed" "$failed" $((SECONDS - ${step_start:-0})))")
    step_start=$SECONDS
    [ "$failed" -eq 0 ] || failed_steps=$((failed_steps + 1))
    [ -z "${ZNIPPY_TEST_COUNTS:-}" ] || echo "$passed $failed" >> "$ZNIPPY_TEST_COUNTS"
}

skipped() {
    summary+=("$(printf '%-32s skipped%s' "$1" "${2:+, $2}")")
}

# A step that counts as one test: step NAME COMMAND...
step() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    step_start=$SECONDS
    if "$@"; then note "$name" 1 0; else note "$name" 0 1; fi
}

# The same where the command may end with 77, because this machine can't show it; it says why itself.
step_or_skip() {
    local name=$1 code=0
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    step_start=$SECONDS
    "$@" || code=$?
    case $code in
    0) note "$name" 1 0 ;;
    77) skipped "$name" ;;
    *) note "$name" 0 1 ;;
    esac
}

# The value of "1+2+3"; 0 where there is nothing.
sum_of() {
    local terms
    read -r terms || terms=
    echo $((${terms:-0}))
}

# Prints the results; fails if a step failed.
results() {
    printf '\n== results\n'
    printf '%s\n' "${summary[@]}"
    [ "$failed_steps" -eq 0 ]
}
