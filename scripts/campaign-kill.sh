#!/bin/bash
# Kills the tool (SIGKILL) at random moments. Unpacking may leave short files and temporary names, and never wrong bytes;
# --atomic leaves the old tree or the new; packing leaves the old archive or the new, or none where there was none.
#
# usage: scripts/campaign-kill.sh [KILLS [SEED]]      so many kills of each of four jobs
set -eu
cd "$(dirname "$0")/.."
PYTHONPATH=scripts exec python3 - "${1:-100}" "${2:-1}" <<'PYTHON'
import os, random, subprocess, sys, time
from campaign_support import *

kills, seed = int(sys.argv[1]), int(sys.argv[2])
rng, report, work = random.Random(seed), Report(), work_directory()
tree, older, archive, old_archive = (os.path.join(work, name) for name in ("tree", "older", "a.znippy", "old.znippy"))
make_tree(tree, seed, small=1500, big=8, big_size=3_000_000)
make_tree(older, seed + 1, small=50, big=1)
assert run("pack", tree, archive)[0] == 0 and run("pack", older, old_archive)[0] == 0
new, old = snapshot(tree), snapshot(older)
new_bytes, old_bytes = open(archive, "rb").read(), open(old_archive, "rb").read()
place = os.path.join(work, "place")
out = os.path.join(place, "out")
temporary_trees, temporary_archives, short, done = 0, 0, 0, 0


def killed(command, duration):
    """Whether the command was killed before it was done."""
    process = subprocess.Popen([TOOL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, duration))
    process.kill()
    return process.wait() == -9


JOBS = {
    "unpack": ["unpack", "-q", archive, out],
    "unpack --atomic": ["unpack", "-q", "--atomic", "-f", archive, out],
    "pack": ["pack", "-q", tree, out],
    "pack -f": ["pack", "-q", "-f", tree, out],
}


def prepare(job):
    remove(place)
    os.mkdir(place)
    if job == "unpack --atomic":
        assert run("unpack", old_archive, out)[0] == 0
    elif job == "pack -f":
        open(out, "wb").write(old_bytes)


for job, command in JOBS.items():
    prepare(job)
    started = time.monotonic()
    assert run(*command)[0] == 0
    duration = time.monotonic() - started
    count = tries = 0
    while count < kills and tries < 20 * kills:
        prepare(job)
        tries += 1
        if not killed(command, duration):
            duration *= 0.98
            continue
        duration *= 1.01
        count += 1
        where = f"{job}, kill {count}"
        if job == "unpack":
            found = snapshot(out) if os.path.isdir(out) else {}
            for name in wrong_names(found, new, short_files=True):
                report.problem(f"{where}: wrong bytes under {name}")
            short += any(what[0] == "file" and name in new and what[2] != new[name][2] for name, what in found.items())
        elif job == "unpack --atomic":
            found = snapshot(out)
            if found not in (old, new):
                report.problem(f"{where}: neither the old tree nor the new")
            temporary_trees += bool(leftovers(place))
        else:
            there = open(out, "rb").read() if os.path.exists(out) else None
            if there not in ((old_bytes, new_bytes) if job == "pack -f" else (None, new_bytes)):
                report.problem(f"{where}: an archive that is neither old nor new")
            temporary_archives += len(os.listdir(place)) - (there is not None)
    done += count
remove(work)
report.finish(f"kill: {done} kills of {len(JOBS)} jobs, seed {seed}: {short} left short files, {temporary_trees} a temporary "
              f"tree beside the destination (atomic), {temporary_archives} a temporary archive")
PYTHON
