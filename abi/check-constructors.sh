#!/bin/sh
# Checks that loading the library runs nothing but what the C compiler and Rust's standard library bring along: no
# constructor of ours, of zstd or of a crate. Unloading likewise.
#
# usage: check-constructors.sh SHARED_LIBRARY
set -eu
python3 - "$1" <<'PYTHON'
import re, struct, subprocess, sys

library = sys.argv[1]
ALLOWED = {
    # Every object of gcc has the two; without Java or a profiler they return at once.
    ".init_array": {r"frame_dummy", r"_(ZN|R).*std.*args.*ARGV_INIT_ARRAY.*"},  # stores argc and argv
    ".fini_array": {r"__do_global_dtors_aux"},
}


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, library], check=True, capture_output=True, text=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin:/usr/local/bin"}).stdout


def fail(message):
    sys.exit(f"check-constructors: {message}")


sections = {}
for line in readelf("-S").splitlines():
    found = re.match(r"\s*\[\s*\d+\]\s+(\.\S+)\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)\s+([0-9a-f]+)", line)
    if found:
        sections[found[1]] = tuple(int(number, 16) for number in found.groups()[1:])
names = {}
for line in readelf("-s").splitlines():
    fields = line.split()
    if len(fields) >= 8 and fields[3] in ("FUNC", "NOTYPE") and fields[6] != "UND":
        names.setdefault(int(fields[1], 16), []).append(fields[7])
if not any("frame_dummy" in at for at in names.values()):
    fail("the library has no names of local functions; it was stripped")
# Linkers that pack relocations leave the addresses in place, others keep them beside.
addends = {int(found[1], 16): int(found[2], 16)
           for found in re.finditer(r"^([0-9a-f]+)\s+[0-9a-f]+\s+R_\w+_RELATIVE\s+([0-9a-f]+)", readelf("-r"), re.M)}
if ".preinit_array" in sections:
    fail("the library has a .preinit_array")
with open(library, "rb") as file:
    data = file.read()
count = 0
for section, allowed in ALLOWED.items():
    address, offset, size = sections.get(section, (0, 0, 0))
    for position in range(0, size, 8):
        target = addends.get(address + position) or struct.unpack_from("<Q", data, offset + position)[0]
        here = names.get(target, [f"{target:#x}"])
        if not any(re.fullmatch(pattern, name) for pattern in allowed for name in here):
            fail(f"{section} has {here[0]}, which runs whenever the library is loaded or unloaded")
        count += 1
print(f"{count} entries in .init_array and .fini_array, none of them ours")
PYTHON
