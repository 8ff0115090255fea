#!/bin/bash
# Damages an archive at random places, a few bytes each, and unpacks it plainly, with --keep-going and with --atomic:
# no wrong byte may stand under a final name, nothing temporary may be left, and each failure is one clear error.
#
# usage: scripts/campaign-corruption.sh [PLACES [SEED]]
set -eu
cd "$(dirname "$0")/.."
PYTHONPATH=scripts exec python3 - "${1:-1000}" "${2:-1}" <<'PYTHON'
import os, random, sys
from campaign_support import *

places, seed = int(sys.argv[1]), int(sys.argv[2])
rng, report, work = random.Random(seed), Report(), work_directory()
tree, archive, damaged = (os.path.join(work, name) for name in ("tree", "a.znippy", "damaged.znippy"))
out = os.path.join(work, "out")
make_tree(tree, seed)
assert run("pack", tree, archive)[0] == 0
original, data = snapshot(tree), open(archive, "rb").read()
counts = dict(refused=0, partial=0, harmless=0)
for number in range(places):
    at, length = rng.randrange(len(data)), rng.choice((1, 1, 1, 2, 16, 300))
    changed = bytearray(data)
    if number % 10 == 9:
        del changed[at:]
    elif length == 1:
        changed[at] ^= 1 << rng.randrange(8)
    else:
        changed[at:at + length] = rng.randbytes(min(length, len(data) - at))
    open(damaged, "wb").write(changed)
    for mode in ("plain", "--keep-going", "--atomic"):
        flags = [] if mode == "plain" else [mode]
        code, text = run("unpack", "-q", *flags, damaged, out)
        found = snapshot(out) if os.path.isdir(out) else {}
        where = f"place {number} at {at}, {mode}, code {code}"
        if code not in (0, 1, 3) or (code == 1 and not is_one_error(text)):
            report.problem(f"{where}: {text.strip()[:300]}")
        for name in wrong_names(found, original):
            report.problem(f"{where}: wrong bytes under {name}")
        for name in leftovers(work):
            report.problem(f"{where}: left over: {name}")
        if code == 0 and found != original:
            report.problem(f"{where}: success, but the tree is another one")
        if mode == "--atomic" and code != 0 and found:
            report.problem(f"{where}: something stands in the destination")
        counts["harmless" if code == 0 else "partial" if code == 3 else "refused"] += 1
        remove(out)
remove(work)
report.finish(f"corruption: {places} places, {3 * places} runs, seed {seed}: {counts['refused']} refused, "
              f"{counts['partial']} restored in part, {counts['harmless']} harmless")
PYTHON
