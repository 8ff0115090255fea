#!/bin/bash
# Packs and unpacks onto a disk that is full after so many bytes, for every multiple of 64 KiB that is too little.
#
# usage: scripts/campaign-full-disk.sh [STEP-IN-KIB]      needs root, for a tmpfs; ends with 77 where none can be mounted
set -eu
cd "$(dirname "$0")/.."
probe=$(mktemp -d)
mounted=1
mount -t tmpfs -o size=64k tmpfs "$probe" 2> /dev/null && umount "$probe" || mounted=
rmdir "$probe"
[ -n "$mounted" ] || { echo "campaign-full-disk: a tmpfs can't be mounted here"; exit 77; }
PYTHONPATH=scripts exec python3 - "${1:-64}" <<'PYTHON'
import os, subprocess, sys
from campaign_support import *

step, report, work = int(sys.argv[1]) << 10, Report(), work_directory()
tree, archive, disk = (os.path.join(work, name) for name in ("tree", "a.znippy", "disk"))
make_tree(tree, 1)
assert run("pack", tree, archive)[0] == 0
original, whole = snapshot(tree), open(archive, "rb").read()
os.mkdir(disk)
runs, full = 0, 0
JOBS = (["unpack", "-q"], ["unpack", "-q", "--keep-going"], ["unpack", "-q", "--atomic"], ["pack", "-q"])
for job in JOBS:
    size, fits = step, 0
    while fits < 3:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
        try:
            target = os.path.join(disk, "out")
            source = tree if job[0] == "pack" else archive
            code, text = run(*job, source, target)
            where = f"{' '.join(job)} with {size >> 10} KiB, code {code}"
            runs += 1
            if code == 0:
                fits += 1
                good = open(target, "rb").read() == whole if job[0] == "pack" else snapshot(target) == original
                if not good:
                    report.problem(f"{where}: success, but not what was packed")
            else:
                full += 1
                if code != 1 or not is_one_error(text) or "space" not in text:
                    report.problem(f"{where}: {text.strip()[:300]}")
                if job[0] == "pack" and os.listdir(disk):
                    report.problem(f"{where}: {os.listdir(disk)} left")
                if "--atomic" in job and os.listdir(disk):
                    report.problem(f"{where}: {os.listdir(disk)} left")
                if job[0] == "unpack" and os.path.isdir(target):
                    for name in wrong_names(snapshot(target), original):
                        report.problem(f"{where}: wrong bytes under {name}")
            for name in leftovers(disk):
                report.problem(f"{where}: left over: {name}")
        finally:
            subprocess.run(["umount", disk], check=True)
        size += step
remove(work)
report.finish(f"full disk: every {step >> 10} KiB, {runs} runs of {len(JOBS)} jobs, {full} ended for want of space")
PYTHON
