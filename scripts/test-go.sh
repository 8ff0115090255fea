#!/bin/bash
# Tests the Go module against the built library: vet, every test and example, a part of them with the race detector, with garbage
# collected at every crossing, and against the static library. Builds nothing of Rust.
#
# usage: scripts/test-go.sh [--long] [BUILD_DIR]     default: build, which must be built
#
# --long takes whole trees (/usr/include, Go's own sources), 10,000 archives, more kills, and a headless browser.
set -eu -o pipefail
cd "$(dirname "$0")/.."
short=-short
if [ "${1:-}" = --long ]; then
    short=
    shift
fi
build=$(realpath "${1:-build}")
if ! sh scripts/install-needs.sh go gcc pkg-config curl; then
    echo "test-go: Go is not installed"
    exit 77
fi
if [ -z "$short" ]; then
    sh scripts/install-needs.sh chromium || true
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH=$build/uninstalled LD_LIBRARY_PATH=$build/lib GODEBUG=cgocheck=1
cd go

say() { printf '== %s\n' "$*"; }

say "format and vet"
[ -z "$(gofmt -l .)" ] || { gofmt -d .; exit 1; }
go vet ./...
go vet -tags znippy_static,znippy_gcstress .

say "tests and examples"
go test -count=1 $short -timeout 1200s ./...

say "race detector"
go test -race -count=1 -short -timeout 300s -run 'Goroutines|CloseBeside|Callback|Panic|Provider|ContextStops|WriterIn|Batches' .

say "garbage collected at every crossing"
go test -tags znippy_gcstress -count=1 -short -timeout 300s \
    -run 'Goroutines|CloseBeside|Callback|Panic|Provider|WriterIn|Batches|Lost|LeavesNothing|Append' .

say "static library"
go test -tags znippy_static -c -o "$work/static.test" .
if readelf -dW "$work/static.test" | grep -q 'NEEDED.*libznippy'; then
    echo "test-go: with the tag znippy_static the shared library is needed" >&2
    exit 1
fi
env -u LD_LIBRARY_PATH "$work/static.test" -test.short -test.run 'RoundTrip|Goroutines|Example'
