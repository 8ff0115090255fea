#!/bin/sh
# Asks archives of the built tool c_examples/query.py's questions, with every engine, and compares with the tree.
#   BUILD_DIR  where the build stands (default: build); the virtual environment is made in it
#   ZNIPPY     the command-line tool (default: $BUILD_DIR/bin/znippy)
#   ZNIPPY_LIBRARY  the shared library (default: $BUILD_DIR/lib/libznippy.so)
#   PROVIDER_CRATE  the example of a metadata provider (default: $BUILD_DIR/examples/provider_crate); without it its tests are
#              left out
#   PYTHON     the Python that makes the virtual environment (default: python3)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# Relative paths are relative to the source tree, wherever the script is called from.
cd "$root"
build=${BUILD_DIR:-build}
venv=$build/query-venv

absolute() {
    case $1 in
        /*) echo "$1" ;;
        *) echo "$root/$1" ;;
    esac
}
ZNIPPY=$(absolute "${ZNIPPY:-$build/bin/znippy}")
ZNIPPY_LIBRARY=$(absolute "${ZNIPPY_LIBRARY:-$build/lib/libznippy.so}")
PROVIDER_CRATE=$(absolute "${PROVIDER_CRATE:-$build/examples/provider_crate}")
export ZNIPPY ZNIPPY_LIBRARY PROVIDER_CRATE

# The copy of the requirements is written last: what was not installed completely is installed again.
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    mkdir -p "$build"
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
exec "$venv/bin/python" "$here/test_query.py"
