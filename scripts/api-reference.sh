#!/bin/sh
# Makes HTML of the headers and the guide in build/reference/html; a warning is a failure.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh doxygen
mkdir -p build
rm -rf build/reference
doxygen docs/Doxyfile
echo "build/reference/html/index.html: $(find build/reference/html -name '*.html' | wc -l) pages"
