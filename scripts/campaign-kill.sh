#!/bin/bash
# Kills the tool (SIGKILL) at random moments. Unpacking may leave short files and temporary names, and never wrong bytes;
# --atomic leaves the old tree or the new; what makes an archive leaves the old one or the new, or none where there was none.
#
# usage: scripts/campaign-kill.sh [KILLS [SEED]]      so many kills of each job that writes
# scripts/campaign-kill-calls.sh kills at each system call instead.
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh python3
PYTHONPATH=scripts exec python3 - "${1:-100}" "${2:-1}" <<'PYTHON'
import collections, os, random, subprocess, sys, time
from campaign_jobs import Corpus, state
from campaign_support import *

kills, seed = int(sys.argv[1]), int(sys.argv[2])
rng, report, work, counts = random.Random(seed), Report(), work_directory(), collections.Counter()
corpus, place = Corpus(work, seed, small=600, big=4, big_size=2_000_000), os.path.join(work, "place")
jobs = {name: job for name, job in corpus.jobs.items() if job.kind != "reads"}


def killed(command, duration):
    """Whether the command was killed before it was done."""
    process = subprocess.Popen([TOOL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, duration))
    process.kill()
    return process.wait() == -9


for name, job in jobs.items():
    corpus.learn(name, place)
    out = corpus.prepare(name, place)
    started = time.monotonic()
    assert run(*job.arguments(out))[0] == job.success
    duration = time.monotonic() - started
    count = tries = 0
    while count < kills and tries < 20 * kills:
        out = corpus.prepare(name, place)
        tries += 1
        if not killed(job.arguments(out), duration):
            duration *= 0.98
            continue
        duration *= 1.01
        count += 1
        found = state(out)
        problem = corpus.judge(name, found, killed=True)
        if problem:
            report.problem(f"{name}, kill {count}: {problem}")
        beside = [entry for entry in os.listdir(place) if entry != "out"]
        counts["archives" if job.kind == "archive" else "trees"] += len(beside)
        if job.kind in ("tree", "update") and found:
            counts["short"] += any(what[0] == "file" and what not in (job.new.get(path), (job.old or {}).get(path))
                                   for path, what in found.items())
        counts["old" if found == job.old else "new" if found == job.new else "between"] += 1
    counts["kills"] += count
remove(work)
report.finish(f"kill: {counts['kills']} kills of {len(jobs)} jobs, seed {seed}: {counts['old']} times the old stood there, {counts['new']} "
              f"the new, {counts['between']} a part of a tree ({counts['short']} with short files); left beside it: {counts['trees']} trees "
              f"(--atomic), {counts['archives']} temporary archives")
PYTHON
