#!/bin/sh
# Uses the library in one process for long: rounds of packing, reading, extracting, appending, salvaging and failing jobs,
# with children that are killed in between. Fails where its memory grows by 1 MiB, or its descriptors or threads at all.
#
# usage: scripts/campaign-soak.sh [MINUTES [PERCENT [SEED]]]      default 10 minutes of 100 % of a processor, seed 1
# The library is that of build/lib, or of the directory ZNIPPY_LIB.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh cc
library=${ZNIPPY_LIB:-$PWD/build/lib}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cc -std=c11 -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -Iinclude tests/soak/soak.c tests/c/harness.c \
    -L"$library" -Wl,-rpath,"$library" -lznippy -lpthread -o "$work/soak"
[ ! -d /dev/shm ] || export TMPDIR=/dev/shm
"$work/soak" "${1:-10}" "${2:-100}" "${3:-1}"
