#!/bin/bash
# Tests the Go module against the built library: vet, tests, a part of them with the race detector and with garbage collected at
# every crossing, and against the static library. Builds nothing of Rust.
#
# usage: scripts/test-go.sh [BUILD_DIR]     default: build, which must be built
set -eu -o pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
if ! sh scripts/install-needs.sh go gcc pkg-config; then
    echo "test-go: go is not installed" >&2
    exit 77
fi
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" > /dev/null
libdir=$(dirname "$(find "$prefix" -name libznippy.so)")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir GOFLAGS=-mod=mod GOTOOLCHAIN=local
cd go

say() { printf '== %s\n' "$*"; }

say "format and vet"
[ -z "$(gofmt -l .)" ] || { gofmt -d .; exit 1; }
go vet ./...
say "tests"
GODEBUG=cgocheck=1 go test -short -timeout 120s ./...
