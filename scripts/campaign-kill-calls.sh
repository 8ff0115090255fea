#!/bin/bash
# Kills the tool (SIGKILL, by strace) at each system call of each job that writes, one run each. What may stand there
# afterwards is the same as in scripts/campaign-kill.sh.
#
# usage: scripts/campaign-kill-calls.sh [JOBS-AT-ONCE [STEP]]      every call, or every STEP-th
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh strace cc python3
PYTHONPATH=scripts exec python3 - "${1:-2}" "${2:-1}" <<'PYTHON'
import collections, concurrent.futures, os, sys
import campaign_support
from campaign_jobs import Corpus, state, use_static_tool
from campaign_support import *

workers, step = int(sys.argv[1]), int(sys.argv[2])
report, work, counts = Report(), work_directory(), collections.Counter()
jobs, tools = {}, {}
shared_tool = campaign_support.TOOL
corpus = Corpus(work, 1, small=24, big=1, big_size=300_000)
static = use_static_tool(work)
for name, job in corpus.jobs.items():
    if job.kind != "reads":
        # Conversion needs libraries that the static tool has not.
        tools[name] = shared_tool if name.startswith("convert") else campaign_support.TOOL
        jobs[name] = job
        corpus.learn(name, os.path.join(work, "place")) if tools[name] != shared_tool else None
campaign_support.TOOL = shared_tool
for name in jobs:
    if jobs[name].new is None:
        corpus.learn(name, os.path.join(work, "place"))


def point(number, name, call, when):
    """One kill; what became of it."""
    place = os.path.join(work, f"place{number}")
    out, job = corpus.prepare(name, place), jobs[name]
    log = os.path.join(work, f"log{number}")
    inject = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
    code, text = run(*job.arguments(out), prefix=inject, tool=tools[name])
    os.unlink(log)
    found, problems = state(out), []
    was_killed = code in (-9, 137)
    problem = corpus.judge(name, found, success=not was_killed and code == job.success, killed=was_killed)
    if problem or (not was_killed and code != job.success):
        problems.append(problem or text.strip()[:300])
    beside = [entry for entry in os.listdir(place) if entry != "out"]
    remove(place)
    stands = "old" if found == job.old else "new" if found == job.new else "between"
    where = f"{name}, killed at {call} number {when}, code {code}"
    return was_killed, stands, name, call, job.kind, len(beside), [f"{where}: {text}" for text in problems]


points = []
for name, job in jobs.items():
    place = os.path.join(work, "place")
    out = corpus.prepare(name, place)
    for call, most in sorted(calls_of(work, *job.arguments(out), tool=tools[name]).items()):
        points += [(name, call, when) for when in range(1, most + 1)]
    remove(place)
points = points[::step]
temporary = collections.Counter()
with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for was_killed, stands, name, call, kind, beside, problems in pool.map(lambda args: point(args[0], *args[1]), enumerate(points)):
        counts["kills"] += was_killed
        counts[stands] += was_killed
        counts["trees" if kind == "atomic" else "archives" if kind == "archive" else "others"] += beside
        if kind == "archive" and beside:
            temporary[f"{name} at {call}"] += beside
        for problem in problems:
            report.problem(problem)
remove(work)
where = f" ({', '.join(sorted(temporary))})" if temporary else ""
report.finish(f"kill at calls: {counts['kills']} kills of {len(jobs)} jobs, {'static' if static else 'shared'} tool: {counts['old']} times the old "
              f"stood there, {counts['new']} the new, {counts['between']} a part of a tree; left beside it: {counts['trees']} trees (--atomic), "
              f"{counts['archives']} temporary archives{where}")
PYTHON
