#!/bin/bash
# Makes allocations of packing, unpacking, verifying, reading and salvaging fail: each one once, and from each one on. What is
# as large as an input says (64 KiB and more here) must end in one clear error; smaller ones may end the process, which Rust
# does for them, but nothing may hang, and nothing half-written may stand under a final name.
#
# usage: scripts/campaign-memory.sh [MOST-FAULTS-A-JOB]      default 60; jobs with more allocations are sampled evenly
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh gcc
PYTHONPATH=scripts exec python3 - "${1:-60}" <<'PYTHON'
import collections, os, shutil, subprocess, sys
from campaign_support import *

most, work = int(sys.argv[1]), work_directory()
shim = os.path.join(work, "failing_malloc.so")
subprocess.run(["gcc", "-std=c11", "-O1", "-shared", "-fPIC", "tests/memory/failing_malloc.c", "-o", shim], check=True)
tree, archive, damaged = (os.path.join(work, name) for name in ("tree", "a.znippy", "damaged.znippy"))
make_tree(tree, 1, small=60, big=2, big_size=900_000)
assert run("pack", "--recovery", tree, archive)[0] == 0
data = bytearray(open(archive, "rb").read())
open(damaged, "wb").write(data[:-2000])
whole, out = bytes(data), os.path.join(work, "out")
JOBS = {
    "pack": ["pack", "-q", "-j2", tree, out],
    "unpack": ["unpack", "-q", "-j2", archive, out],
    "verify": ["verify", "-q", "-j2", archive],
    "list": ["list", "--json", archive],
    "cat": ["cat", archive, "big0"],
    "salvage": ["salvage", "-q", "-j2", damaged, out],
}
totals, problems = collections.Counter(), []


def clean():
    if os.path.isdir(out):
        subprocess.run(["chmod", "-R", "u+rwx", out])
        shutil.rmtree(out)
    elif os.path.exists(out):
        os.remove(out)


def attempt(job, arguments, at, least, on):
    clean()
    count = os.path.join(work, "count")
    environment = dict(os.environ, LD_PRELOAD=shim, FAIL_AT=str(at), FAIL_MIN=str(least), FAIL_ON=str(on),
                       FAIL_COUNT=count, RUST_BACKTRACE="1")
    try:
        done = subprocess.run([TOOL, *arguments], env=environment, capture_output=True, timeout=30)
    except subprocess.TimeoutExpired:
        problems.append(f"{job}: allocation {at} of {least} bytes or more, on={on}: hangs")
        return None
    code = done.returncode
    if at == 0:
        assert code == 0, done.stderr
        return int(open(count).read())
    if code in (0, 1, 3):
        totals["whole" if code == 0 else "one clear error"] += 1
    elif code == -6 and least == 0:
        totals["ended by Rust"] += 1
    else:
        problems.append(f"{job}: allocation {at} of {least} bytes or more, on={on}: code {code}: {done.stderr[-200:]}")
    if job in ("pack", "salvage") and os.path.exists(out) and run("verify", "-q", out)[0] != 0:
        problems.append(f"{job}: allocation {at}, on={on}: what stands under the name is not whole")
    return None


for job, arguments in JOBS.items():
    for least in (1 << 16, 0):
        count = attempt(job, arguments, 0, least, 0)
        places = sorted({1 + i * count // most for i in range(min(most, count))})
        for on in (0, 1):
            for at in places:
                attempt(job, arguments, at, least, on)
        print(f"{job}: {count} allocations of at least {least} bytes, {2 * len(places)} runs", file=sys.stderr)
clean()
for problem in problems[:20]:
    print(problem, file=sys.stderr)
figures = ", ".join(f"{value} {name}" for name, value in sorted(totals.items()))
print(f"memory: {sum(totals.values()) + len(problems)} runs of {len(JOBS)} jobs: {figures}; {len(problems)} problems")
sys.exit(1 if problems else 0)
PYTHON
