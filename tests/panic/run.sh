#!/bin/bash
# Forces a panic in every function of the header, in every kind of handle and in workers: the host must live, get
# ZNIPPY_E_PANIC and be able to free its handles. Then the same with two such libraries in one process.
#
# The library that can be made to panic is built for this with the feature test-hooks; what is shipped has no such thing.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:$HOME/.cargo/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh scripts/install-needs.sh gcc python3 objcopy
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}

cargo rustc --locked --lib --crate-type staticlib --features test-hooks
library=$CARGO_TARGET_DIR/debug/libznippy.a
libs=$(grep '^-l' abi/native-libs.txt | tr '\n' ' ')
{ grep '^znippy_' abi/symbols.txt; echo znippy_test_panic; } > "$work/symbols"
python3 tests/panic/generate.py include/znippy.h > "$work/module.c"
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wno-cast-function-type -Werror -O1 -fPIC -Iinclude -c "$work/module.c" -o "$work/module.o"
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 tests/panic/host.c -o "$work/host" -ldl -lpthread

# One module uses a shared library, the other has a static one inside.
{ echo "ZNIPPY {"; echo "global:"; sed 's/$/;/' "$work/symbols"; echo "local: *;"; echo "};"; } > "$work/map"
echo "{ global: run_module; local: *; };" > "$work/module.map"
# shellcheck disable=SC2086 # several libraries
gcc -shared -o "$work/libznippy-test.so" -Wl,--gc-sections -Wl,--whole-archive "$library" -Wl,--no-whole-archive \
    -Wl,--version-script="$work/map" -Wl,-soname,libznippy-test.so -Wl,-z,defs $libs
gcc -shared -o "$work/shared.so" "$work/module.o" -Wl,--version-script="$work/module.map" "$work/libznippy-test.so" -Wl,-rpath,"$work"
# shellcheck disable=SC2086
gcc -shared -o "$work/static.so" -Wl,--gc-sections "$work/module.o" "$library" -Wl,--version-script="$work/module.map" $libs

for modules in shared.so static.so "shared.so static.so"; do
    mkdir "$work/run"
    # Several words; a panic that printed something would show in the log.
    # shellcheck disable=SC2086
    (cd "$work" && ./host "$work/run" $(printf "$work/%s " $modules)) > "$work/out" 2> "$work/err" || { cat "$work/out" "$work/err"; exit 1; }
    [ ! -s "$work/err" ] || { cat "$work/err"; echo "panics print"; exit 1; }
    sed "s/^/$modules: /" "$work/out"
    rm -rf "$work/run"
done
if [ -f build/lib/libznippy.so ] && readelf -sW build/lib/libznippy.so | grep -q znippy_test_panic; then
    echo "the shipped library has the hook" >&2
    exit 1
fi
