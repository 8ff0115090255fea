#!/bin/bash
# Makes each system call of packing, reading, restoring and mending fail once, with each error that it can give, by strace:
# each run must end in success, or in one clear error with nothing temporary left and no wrong byte under a final name, and
# never hang. A call that a signal interrupted (EINTR) must not show, nor that the kernel reads and writes less than was asked.
#
# usage: scripts/campaign-faults.sh [JOBS-AT-ONCE [STEP [JOB...]]]      every fault, or every STEP-th; of all jobs or of these
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh strace gcc python3
jobs=${1:-2} step=${2:-1}
[ $# -le 2 ] && shift $# || shift 2
PYTHONPATH=scripts exec python3 - "$jobs" "$step" "$@" <<'PYTHON'
import collections, concurrent.futures, itertools, os, subprocess, sys
import campaign_support
from campaign_jobs import Corpus, state, use_static_tool
from campaign_support import *

workers, step, wanted = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
report, work = Report(), work_directory()
shared_tool = campaign_support.TOOL
corpus = Corpus(work, 1, small=12, big=1, big_size=300_000)
static = use_static_tool(work)
# Conversion needs libraries that the static tool has not; they are what would be tested there.
jobs = {name: job for name, job in corpus.jobs.items() if not name.startswith("convert") and (not wanted or name in wanted)}
for name in jobs:
    corpus.learn(name, os.path.join(work, "place"))
tracer = os.path.join(work, "short_io")
subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", "tests/faults/short_io.c", "-o", tracer], check=True)

# What begins or ends a process or a thread, and what the kernel never answers with an error number as it is called here.
NOT_INJECTED = {"exit", "exit_group", "execve", "rt_sigreturn", "restart_syscall", "futex", "brk", "prlimit64", "arch_prctl",
                "set_tid_address", "set_robust_list", "rseq", "rt_sigprocmask", "rt_sigaction", "gettid", "getpid", "sched_yield"}
OPENING = "EMFILE ENFILE EACCES ENOENT ELOOP ENOMEM EIO EINTR ENOSPC EDQUOT EROFS"
NAMING = "EACCES EPERM ENOSPC EDQUOT EROFS EIO ENOENT EMLINK"
ERRORS = {
    "open": OPENING, "openat": OPENING, "openat2": OPENING + " ENOSYS EPERM EAGAIN",
    "read": "EIO EINTR", "pread64": "EIO EINTR", "readv": "EIO EINTR", "preadv": "EIO EINTR",
    "write": "EIO ENOSPC EDQUOT EFBIG EINTR", "pwrite64": "EIO ENOSPC EDQUOT EFBIG EINTR",
    "writev": "EIO ENOSPC EDQUOT EFBIG EINTR", "pwritev": "EIO ENOSPC EDQUOT EFBIG EINTR",
    "fsync": "EIO ENOSPC EDQUOT EINVAL", "fdatasync": "EIO ENOSPC EDQUOT", "syncfs": "EIO ENOSPC EDQUOT",
    "close": "EIO EINTR ENOSPC", "fstat": "EIO ENOMEM", "statx": "EIO EACCES ENOENT ENOMEM ENOSYS",
    "newfstatat": "EIO EACCES ENOENT ENOMEM ELOOP", "fstatfs": "EIO ENOSYS", "lseek": "EINVAL EIO", "getdents64": "EIO ENOENT",
    "mkdir": NAMING, "mkdirat": NAMING, "symlinkat": NAMING, "mknodat": NAMING, "linkat": NAMING + " EXDEV",
    "renameat": NAMING + " EXDEV EBUSY", "renameat2": NAMING + " EXDEV EBUSY EINVAL ENOSYS",
    "unlinkat": "EACCES EPERM EBUSY EROFS EIO", "unlink": "EACCES EPERM EBUSY EROFS EIO", "rmdir": "EACCES EBUSY EROFS EIO",
    "ftruncate": "EIO EFBIG ENOSPC EINTR", "fallocate": "ENOSPC EOPNOTSUPP EFBIG EIO EINTR",
    "fchmod": "EPERM EROFS EIO", "fchown": "EPERM EROFS EIO", "utimensat": "EPERM EACCES EROFS EIO",
    "copy_file_range": "EIO ENOSPC EXDEV EINVAL EOPNOTSUPP ENOSYS EPERM EINTR", "sendfile": "EIO EINVAL ENOSYS",
    "ioctl": "EOPNOTSUPP EXDEV ENOTTY EINVAL EIO EPERM", "fcntl": "EMFILE EINVAL", "dup": "EMFILE", "readlinkat": "EIO EACCES ENOENT",
    "fgetxattr": "EOPNOTSUPP ENODATA EIO", "flistxattr": "EOPNOTSUPP EIO", "fsetxattr": "EOPNOTSUPP ENOSPC EIO",
    "mmap": "ENOMEM EAGAIN", "mremap": "ENOMEM", "munmap": "ENOMEM", "mprotect": "ENOMEM", "madvise": "ENOMEM EINVAL",
    "clone": "EAGAIN ENOMEM EPERM", "clone3": "EAGAIN ENOMEM EPERM ENOSYS", "getrandom": "EINTR ENOSYS",
    "sched_getaffinity": "EPERM EINVAL", "fadvise64": "EINVAL",
}
OTHERS = "EIO ENOMEM EPERM"
# Those that go on or are made again.
UNSEEN = {"open", "openat", "openat2", "read", "pread64", "readv", "preadv", "write", "pwrite64", "writev", "pwritev", "close", "ftruncate",
          "fallocate", "copy_file_range", "getrandom"}
counter = itertools.count()


def attempt(name, prefix):
    """Runs a job; gives its code, its errors, what stands there and what else is there."""
    place = os.path.join(work, f"place{next(counter)}")
    out, job = corpus.prepare(name, place), jobs[name]
    try:
        done = subprocess.run([*prefix, campaign_support.TOOL, *job.arguments(out)], capture_output=True, timeout=TIME_LIMIT,
                              stdin=subprocess.DEVNULL, check=False)
        code, text, output = done.returncode, done.stderr.decode(errors="replace"), done.stdout
    except subprocess.TimeoutExpired:
        code, text, output = None, "a hang", b""
    found = output if job.kind == "reads" else state(out)
    problem = corpus.judge(name, found, success=code == job.success)
    if problem and name.startswith("salvage") and code == job.success and run("verify", "-q", out)[0] == 0:
        problem = None  # what can't be read is lost like what is damaged; what is there is whole
    left = leftovers(place)
    remove(place)
    return code, text, problem, left


def point(name, call, number, errno):
    """One fault; says what became of it."""
    log = os.path.join(work, f"log{next(counter)}")
    inject = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:error={errno}:when={number}"]
    code, text, problem, left = attempt(name, inject)
    with open(log) as lines:
        injected = "(INJECTED)" in lines.read()
    os.unlink(log)
    problems = [problem] if problem else []
    kind = "success" if code == jobs[name].success else "error"
    if "error while loading shared libraries" in text:
        return "none", []
    # The runtime of Rust ends a process that can't have a thread's or an allocator's memory.
    if code in (-6, 134) and call in ("mmap", "mremap", "munmap", "mprotect"):
        kind = "abort"
    elif kind == "error" and (code not in (1, 3, 4) or (code == 1 and not is_one_error(text))):
        problems.append(text.strip()[:300])
    if errno == "EINTR" and call in UNSEEN and kind != "success":
        problems.append(f"an interruption shows: {text.strip()[:200]}")
    # What can't be removed, because removing was made to fail, stays.
    if call not in ("unlinkat", "unlink", "rmdir") and kind != "abort":
        problems += [f"left over: {path}" for path in left]
    return kind if injected else "none", [f"{name}: {call} number {number} fails with {errno}, code {code}: {text}" for text in problems]


def short(name, seed):
    """One run in which the kernel does a part of what it is asked for."""
    count = os.path.join(work, f"count{next(counter)}")
    code, text, problem, left = attempt(name, [tracer, str(seed), count])
    with open(count) as file:
        cut = int(file.read())
    problems = [problem] if problem else []
    if code != jobs[name].success or left:
        problems.append(f"code {code}: {text.strip()[:300]} {left}")
    return cut, [f"{name}: short reads and writes, seed {seed}: {text}" for text in problems]


points = []
for name, job in jobs.items():
    out = corpus.prepare(name, os.path.join(work, "place"))
    for call, most in sorted(calls_of(work, *job.arguments(out)).items()):
        if call not in NOT_INJECTED:
            points += [(name, call, number, errno) for number in range(1, most + 1) for errno in ERRORS.get(call, OTHERS).split()]
    remove(os.path.join(work, "place"))
results, cut = collections.Counter(), 0
shorts = [(name, seed) for name in jobs for seed in range(1, max(2, 20 // step) + 1)]
with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for kind, problems in pool.map(lambda args: point(*args), points[::step]):
        results[kind] += 1
        for problem in problems:
            report.problem(problem)
    for count, problems in pool.map(lambda args: short(*args), shorts):
        cut += count
        for problem in problems:
            report.problem(problem)
remove(work)
done = sum(results.values()) - results["none"]
report.finish(f"faults: {done} faults of {len(points)} in {len(jobs)} jobs, {'static' if static else 'shared'} tool: {results['success']} without effect, "
              f"{results['error']} one clear error, {results['abort']} ended by Rust for want of memory; {cut} short reads and writes in "
              f"{len(shorts)} runs")
PYTHON
