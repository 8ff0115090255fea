#!/bin/bash
# Makes each system call of packing and unpacking fail once, with each of several errors, by strace: each run must end
# in success, or in one clear error with nothing temporary left and no wrong byte under a final name, and never hang.
#
# usage: scripts/campaign-faults.sh [JOBS-AT-ONCE [ERRNO...]]
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh strace
jobs=${1:-2}
[ $# -eq 0 ] || shift
PYTHONPATH=scripts exec python3 - "$jobs" "${@:-EIO ENOSPC EMFILE ENOMEM EACCES}" <<'PYTHON'
import collections, concurrent.futures, os, re, sys, threading
from campaign_support import *

workers, errnos = int(sys.argv[1]), " ".join(sys.argv[2:]).split()
report, work = Report(), work_directory()
tree, archive = os.path.join(work, "tree"), os.path.join(work, "a.znippy")
make_tree(tree, 1, small=12, big=1, big_size=300_000)
assert run("pack", tree, archive)[0] == 0
original, whole = snapshot(tree), open(archive, "rb").read()
# What ends a process or a thread, and what the kernel never answers with an error number.
NOT_INJECTED = {"exit", "exit_group", "execve", "rt_sigreturn", "restart_syscall", "futex", "brk", "prlimit64"}
JOBS = {
    "unpack": lambda out: ["unpack", "-q", "-j2", archive, out],
    "unpack --atomic -f": lambda out: ["unpack", "-q", "-j2", "--atomic", "-f", archive, out],
    "pack": lambda out: ["pack", "-q", "-j2", tree, out],
    "pack -f": lambda out: ["pack", "-q", "-j2", "-f", tree, out],
}
CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")
lock, counter = threading.Lock(), [0]


def calls(arguments):
    log = os.path.join(work, "baseline")
    code, text = run(*arguments, prefix=["strace", "-f", "-qq", "-o", log])
    assert code == 0, text
    names = (CALL.match(line) for line in open(log))
    return collections.Counter(match.group(1) for match in names if match)


def place():
    with lock:
        counter[0] += 1
        path = os.path.join(work, f"place{counter[0]}")
    os.mkdir(path)
    return path


def prepare(job, directory):
    """An older tree or archive, where the job replaces one."""
    out = os.path.join(directory, "out")
    if job == "unpack --atomic -f":
        os.mkdir(out)
        open(os.path.join(out, "old"), "w").close()
    elif job == "pack -f":
        open(out, "wb").write(b"old")
    return out


def point(job, call, number, errno):
    """One fault; says what became of it."""
    directory = place()
    out = prepare(job, directory)
    log = os.path.join(directory, "log")
    inject = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:error={errno}:when={number}"]
    code, text = run(*JOBS[job](out), prefix=inject)
    injected = os.path.exists(log) and "(INJECTED)" in open(log).read()
    if os.path.exists(log):
        os.unlink(log)
    where = f"{job}: {call} number {number} fails with {errno}, code {code}"
    problems = []
    loader = "error while loading shared libraries" in text or "cannot create" in text
    if code == 0:
        if job.startswith("pack"):
            if open(out, "rb").read() != whole:
                problems.append("success, but not the archive")
        elif snapshot(out) != original:
            problems.append("success, but not the tree")
    elif code == 1:
        if not is_one_error(text):
            problems.append(text.strip()[:300])
        if job == "pack -f" and open(out, "rb").read() not in (b"old", whole):
            problems.append("neither the old archive nor the new")
        if job == "pack" and os.path.exists(out) and open(out, "rb").read() != whole:
            problems.append("a part of an archive")
        if job == "unpack --atomic -f" and snapshot(out) not in (original, {"old": ("file", 0o644, b"")}):
            problems.append("neither the old tree nor the new")
        if job == "unpack" and os.path.isdir(out):
            problems += [f"wrong bytes under {name}" for name in wrong_names(snapshot(out), original)]
    elif not loader and not (code in (-6, 134) and errno == "ENOMEM" and call in ("mmap", "brk", "mremap", "munmap")):
        problems.append(f"ended by {code}: {text.strip()[:300]}")
    # What can't be removed, because removing was made to fail, stays.
    if call not in ("unlinkat", "unlink", "rmdir"):
        problems += [f"left over: {name}" for name in leftovers(directory)]
    remove(directory)
    kind = "none" if not injected else "success" if code == 0 else "error" if code == 1 else "loader" if loader else "abort"
    return kind, [f"{where}: {problem}" for problem in problems]


points, results = [], collections.Counter()
loading = calls(["--version"])
for job, arguments in JOBS.items():
    directory = place()
    for call, count in sorted(calls(arguments(prepare(job, directory))).items()):
        # Those that load the program come first.
        if call not in NOT_INJECTED:
            points += [(job, call, number, errno) for number in range(loading[call] + 1, count + 1) for errno in errnos]
    remove(directory)
with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for kind, problems in pool.map(lambda args: point(*args), points):
        results[kind] += 1
        for problem in problems:
            report.problem(problem)
remove(work)
done = sum(results.values()) - results["none"]
report.finish(f"faults: {done} faults in {len(JOBS)} jobs ({' '.join(errnos)}): {results['success']} without effect, "
              f"{results['error']} one clear error, {results['loader']} in the dynamic loader, {results['abort']} aborts for want of memory")
PYTHON
