#!/bin/bash
# What the Go module costs beside C, and what znippy-cache costs beside tar and zstd.
#
# usage: scripts/bench-go.sh read TREE        reading all files and listing all entries, Go beside C, five rounds
#        scripts/bench-go.sh cache TREE       the first get of a tree, the second, and tar | zstd, five rounds
#
# Work is done in $TMPDIR, which should be on tmpfs.
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { echo "usage: scripts/bench-go.sh read|cache TREE" >&2; exit 2; }
what=$1 tree=$2 rounds=${ROUNDS:-5}
work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-go.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
export PKG_CONFIG_PATH=$PWD/build/uninstalled LD_LIBRARY_PATH=$PWD/build/lib

seconds() { # seconds LABEL COMMAND...
    local label=$1 begin end
    shift
    begin=$(date +%s.%N)
    "$@" > /dev/null
    end=$(date +%s.%N)
    echo "$label $(echo "$begin $end" | awk '{ printf "%.4f", $2 - $1 }') s"
}

medians() { sort -k1,2 -k3n | awk '{ key = $1 " " $2 } key != last { show(); n = 0; last = key } { v[n++] = $3; line = $0 } END { show() }
    function show() { if (n) printf "%-20s median %.4f s of %d\n", last, v[int(n / 2)], n }'; }

case $what in
read)
    cmake --build build --target benches > /dev/null
    (cd go && go build -o "$work/measure" ./internal/measure)
    build/bin/znippy pack -q "$tree" "$work/archive"
    for _ in $(seq "$rounds"); do
        build/benches/read_all "$work/archive"
        "$work/measure" "$work/archive"
    done | tee "$work/log"
    medians < "$work/log"
    ;;
cache)
    (cd go && go build -o "$work/cache" ./cmd/znippy-cache)
    "$work/cache" serve -store "$work/store" -listen 127.0.0.1:0 > "$work/said" &
    server=$!
    while ! grep -q listening "$work/said"; do sleep 0.1; done
    ZNIPPY_CACHE_SERVER=$(sed 's/listening on \([^,]*\),.*/\1/' "$work/said")
    export ZNIPPY_CACHE_SERVER
    "$work/cache" put tree "$tree"
    tar -C "$tree" -c . | zstd -3 -T2 -q -o "$work/tree.tar.zst"
    for _ in $(seq "$rounds"); do
        rm -rf "$work/out" "$work/tar"
        seconds "get first" "$work/cache" get tree "$work/out"
        seconds "get second" "$work/cache" get tree "$work/out"
        mkdir "$work/tar"
        seconds "tar first" sh -c "zstd -dc '$work/tree.tar.zst' | tar -x -C '$work/tar'"
        seconds "tar second" sh -c "zstd -dc '$work/tree.tar.zst' | tar -x -C '$work/tar'"
    done | tee "$work/log"
    medians < "$work/log"
    ;;
*) exit 2 ;;
esac
