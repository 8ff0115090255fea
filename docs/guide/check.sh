#!/bin/bash
# Compiles and runs the program of every page, as its commands say, against the installed library.
#
# usage: docs/guide/check.sh [BUILD_DIR]     default: build, which must be built
set -eu -o pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build}")
sh scripts/install-needs.sh cmake gcc g++ pkg-config
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > /dev/null
libdir=$(dirname "$(find "$work/prefix" -name libznippy.so)")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
pages=0
mkdir -p "$work/run/tree/docs"
echo "read me" > "$work/run/tree/README"
echo "hello, world" > "$work/run/tree/docs/hello.txt"

for page in docs/guide/*.md; do
    name=$(basename "$page" .md)
    [ "$name" != README ] || continue
    grep -q "($name.md)" docs/guide/README.md || { echo "$page is not in the table of the guide" >&2; exit 1; }
    language=$(sed -n 's/^```\(c\|cpp\)$/\1/p' "$page" | head -1)
    sed -n "/^\`\`\`$language\$/,/^\`\`\`\$/p" "$page" | sed '/^```/d' > "$work/run/$name.$language"
    sed -n '/^```sh$/,/^```$/p' "$page" | sed '/^```/d' > "$work/run/$name.sh"
    [ -s "$work/run/$name.$language" ] && [ -s "$work/run/$name.sh" ] || { echo "$page has no program or no commands" >&2; exit 1; }
    # Warnings are errors, so that nobody copies one.
    sed -i 's/^cc /cc -Wall -Wextra -Werror /; s/^c++ /c++ -Wall -Wextra -Werror /' "$work/run/$name.sh"
    [ -e "$work/run/tree.znippy" ] || "$work/prefix/bin/znippy" pack -q "$work/run/tree" "$work/run/tree.znippy"
    echo "== $name"
    (cd "$work/run" && sh -eu "$name.sh")
    pages=$((pages + 1))
done
echo "$pages pages, each compiled and run"
