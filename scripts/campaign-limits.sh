#!/bin/bash
# Does each job under limits of the process: no further thread, few descriptors, small files, little address space. Each run
# must end in success with the right result, or in one clear error with nothing temporary left and no wrong byte under a final
# name, and never hang. Where there is too little address space, the runtime of Rust may end the process.
#
# usage: scripts/campaign-limits.sh [STEP-IN-MIB]     of the address space, default 4; needs root, to be somebody without threads
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh python3 setpriv prlimit cc
PYTHONPATH=scripts exec python3 - "${1:-4}" <<'PYTHON'
import collections, os, subprocess, sys
import campaign_support
from campaign_jobs import Corpus, state, use_static_tool
from campaign_support import *

step = int(sys.argv[1]) << 20
report, work, counts = Report(), work_directory(), collections.Counter()
os.chmod(work, 0o755)
# Extraction gives files to whoever unpacks, and a tree has directories that only their owner writes to.
corpus = Corpus(work, 1, small=60, big=2, big_size=900_000, threads=4)
static = use_static_tool(work)
jobs = {name: job for name, job in corpus.jobs.items() if not name.startswith("convert")}
place = os.path.join(work, "place")
for name in jobs:
    corpus.learn(name, place)


def attempt(name, limit, prefix, may_abort=False):
    """One run; whether it succeeded."""
    out, job = corpus.prepare(name, place), jobs[name]
    environment = dict(os.environ, RUST_BACKTRACE="1")
    if "setpriv" in prefix:
        subprocess.run(["chown", "-R", "-h", "61234:61234", place], check=True)
    try:
        done = subprocess.run([*prefix, campaign_support.TOOL, *job.arguments(out)], capture_output=True, timeout=TIME_LIMIT,
                              stdin=subprocess.DEVNULL, check=False, env=environment)
        code, text, output = done.returncode, done.stderr.decode(errors="replace"), done.stdout
    except subprocess.TimeoutExpired:
        code, text, output = None, "a hang", b""
    where = f"{name}, {limit}, code {code}"
    problem = corpus.judge(name, output if job.kind == "reads" else state(out), success=code == job.success)
    if problem and name.startswith("salvage") and code == job.success and run("verify", "-q", out)[0] == 0:
        problem = None
    if problem:
        report.problem(f"{where}: {problem}")
    if code == job.success:
        counts["success"] += 1
    elif code == 1 and is_one_error(text):
        counts["error"] += 1
    elif may_abort and code in (-6, 127, -11):
        # -11 and 127: the program itself could not be loaded, or its first thread has no stack.
        counts["ended"] += 1
    else:
        report.problem(f"{where}: {text.strip()[:400]}")
    if code in (0, 1, 3, 4):
        for name in leftovers(place):
            report.problem(f"{where}: left over: {name}")
    remove(place)
    return code == job.success


lowest = {}
for name in jobs:
    # Threads count by user, so it takes a user who has nothing else. The tree has files for the owner alone.
    if name not in ("pack", "pack -f", "diff with a tree"):
        attempt(name, "no thread", ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "prlimit", "--nproc=1"])
    for descriptors in range(3, 21):
        attempt(name, f"{descriptors} descriptors", ["prlimit", f"--nofile={descriptors}"])
    for size in (0, 1, 4096, 30_000, 100_000, 300_000, 1_000_000):
        attempt(name, f"files of {size} bytes", ["prlimit", f"--fsize={size}"])
    space, fits = step, 0
    while fits < 2 and space < 4 << 30:
        fits = fits + 1 if attempt(name, f"{space >> 20} MiB of address space", ["prlimit", f"--as={space}"], may_abort=True) else 0
        space += step if space < 256 << 20 else space // 4
    lowest[name] = space >> 20
subprocess.run(["rm", "-rf", work], check=True)
report.finish(f"limits: {sum(counts.values())} runs of {len(jobs)} jobs, {'static' if static else 'shared'} tool: {counts['success']} succeeded, {counts['error']} one clear "
              f"error, {counts['ended']} ended by the runtime for want of address space; 0 hangs; enough address space: at most {max(lowest.values())} MiB")
PYTHON
