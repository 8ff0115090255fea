#!/bin/bash
# Packs and unpacks trees beside tar and zstd, mksquashfs, zip, 7z and cp, in turns; prints tables, and keeps figures as
# JSON and as charts.
#
# usage: scripts/bench.sh [-n ROUNDS] [-j THREADS] [-o RESULTS.json] [--all] [--tool TEXT] [--no-unpack] TREE...
#        scripts/bench.sh --charts RESULTS.json DIRECTORY
#
# Default: 5 rounds, 2 threads, the tools' defaults; --all takes every preset and level. Trees and $TMPDIR should be on tmpfs;
# scripts/bench-corpora.sh makes trees. ZNIPPY is the tool (default: build/bin/znippy).
set -eu -o pipefail
cd "$(dirname "$0")/.."
export ZNIPPY=${ZNIPPY:-$PWD/build/bin/znippy}
if [ "${1:-}" = --charts ]; then
    venv=build/charts-venv
    if ! cmp -s benches/compare/requirements.txt "$venv/installed.txt"; then
        sh scripts/install-needs.sh python3
        python3 -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r benches/compare/requirements.txt
        cp benches/compare/requirements.txt "$venv/installed.txt"
    fi
    exec "$venv/bin/python" benches/compare/charts.py "$2" "$3"
fi
needs=(python3 tar zstd mksquashfs)
for argument; do [ "$argument" != --all ] || needs+=(zip unzip 7z); done
sh scripts/install-needs.sh "${needs[@]}"
exec python3 benches/compare/measure.py "$@"
