#!/bin/sh
# Reads archives of the built tool with a reader that was written from docs/FORMAT.md alone.
#   BUILD_DIR  where the build stands (default: build); the virtual environment is made in it
#   ZNIPPY     the command-line tool (default: $BUILD_DIR/bin/znippy)
#   PYTHON     the Python that makes the virtual environment (default: python3)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# Relative paths are relative to the source tree, wherever the script is called from.
cd "$root"
build=${BUILD_DIR:-build}
venv=$build/stranger-venv
: "${ZNIPPY:=$build/bin/znippy}"
case $ZNIPPY in
    /*) ;;
    *) ZNIPPY=$root/$ZNIPPY ;;
esac
export ZNIPPY

# The copy of the requirements is written last: what was not installed completely is installed again.
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    mkdir -p "$build"
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
exec "$venv/bin/python" "$here/test_reader.py"
