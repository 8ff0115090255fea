#!/bin/bash
# Cuts the power of a file system while archives are written to it, and right after the tool said that it was done. What
# was done must be there afterwards; before that, the old archive or tree stands, the whole new one, or none where there was none.
#
# usage: scripts/campaign-power-cut.sh [--no-sync] [CUTS [SEED [FILE-SYSTEM...]]]
#        default: 100 cuts on each of ext4, ext4-writeback, xfs and btrfs
#
# ext4 and xfs are shut down by their ioctl, which drops what is not on the disk yet. btrfs has none, so its disk, which is
# a file, is cloned in one moment: what hadn't been written to it by then is lost as well. With --no-sync the kernel doesn't
# get to see fsync() and its like; losses must be seen then, or the campaign shows nothing, and fails.
# Needs root and loop devices; ends with 77 where a file system can't be mounted.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "campaign-power-cut: only root can mount"; exit 77; }
sync=1
if [ "${1:-}" = --no-sync ]; then
    sync=0
    shift
fi
cuts=${1:-100} seed=${2:-1}
[ $# -le 2 ] && set -- "" "" ext4 ext4-writeback xfs btrfs
shift 2
sh scripts/install-needs.sh mkfs.ext4 mkfs.xfs mkfs.btrfs strace
PYTHONPATH=scripts exec python3 - "$cuts" "$seed" "$sync" "$@" <<'PYTHON'
import collections, fcntl, os, random, struct, subprocess, sys, time
from campaign_jobs import Corpus, state
from campaign_support import *

cuts, seed, sync, kinds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1", sys.argv[4:]
SHUTDOWN = 0x8004587D  # of ext4, and XFS_IOC_GOINGDOWN
FLUSH_LOG, DROP_LOG = 1, 2
CLONE = 0x40049409  # FICLONE
MKFS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], "ext4", []),
    "ext4-writeback": (["mkfs.ext4", "-q", "-F"], "ext4", ["-o", "data=writeback"]),
    "xfs": (["mkfs.xfs", "-q", "-f"], "xfs", []),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], "btrfs", []),
}
SIZE = 400 << 20
CALLS = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"
NO_SYNC = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e", f"inject={CALLS}:retval=0"]
rng, report, work = random.Random(seed), Report(), work_directory()


def quiet(*command):
    return subprocess.run(command, capture_output=True, check=True)


def unmount(path):
    for _ in range(100):
        if subprocess.run(["umount", path], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.02)
    quiet("umount", "-l", path)


class Disk:
    """A file system in a file, whose power can be cut."""

    def __init__(self, kind):
        self.kind, self.path = kind, os.path.join(work, f"mount-{kind}")
        make, self.type, self.options = MKFS[kind]
        os.mkdir(self.path)
        self.host = os.path.join(work, "host") if kind == "btrfs" else None
        if self.host:
            # Cloning a file in one moment takes a file system that can: the disk lies on an xfs, in memory.
            base = os.path.join(work, "host.img")
            with open(base, "wb") as file:
                file.truncate(3 << 30)
            os.mkdir(self.host)
            quiet("mkfs.xfs", "-q", "-f", base)
            quiet("mount", "-o", "loop", base, self.host)
        self.image = os.path.join(self.host or work, f"{kind}.img")
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        quiet(*make, self.image)
        self.mount()

    def mount(self):
        quiet("mount", "-t", self.type, "-o", "loop", *self.options, self.image, self.path)

    def cut(self):
        """Everything that isn't on the disk is lost at this moment; the file system answers no more, or what it does is moot."""
        if self.host:
            with open(self.image, "rb") as disk, open(self.image + ".cut", "wb") as clone:
                fcntl.ioctl(clone, CLONE, disk.fileno())
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", rng.choice((FLUSH_LOG, DROP_LOG, DROP_LOG))))
        finally:
            os.close(handle)

    def power_on(self):
        unmount(self.path)
        if self.host:
            os.replace(self.image + ".cut", self.image)
            subprocess.run(["btrfs", "device", "scan", "--forget"], capture_output=True, check=False)
        self.mount()

    def close(self):
        unmount(self.path)
        os.unlink(self.image)
        if self.host:
            unmount(self.host)


# What the jobs read lies in memory; what they write, and what is replaced, on the disk.
corpus = Corpus(work, seed)
# The others promise nothing for power cuts: extraction syncs nothing but with --atomic.
JOBS = {name: job for name, job in corpus.jobs.items() if job.kind in ("archive", "atomic")}


def prepare(disk, name):
    place = os.path.join(disk.path, "place")
    out = corpus.prepare(name, place)
    subprocess.run(["sync", "-f", place], check=True)
    return place, out


def attempt(disk, name, duration, after):
    """One cut: within the job's time, or right after it said that it was done."""
    job, (place, out) = JOBS[name], prepare(disk, name)
    process = subprocess.Popen([*prefix, TOOL, *job.arguments(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if after:
        process.wait()
    else:
        time.sleep(rng.uniform(0, duration))
    # A disk that was cloned goes on working: what the job says after that is about another one, also while the clone is
    # made. One that was shut down answers with errors, so that success was said of what was on it.
    code = process.poll()
    disk.cut()
    if disk.host and code is None:
        process.kill()
        process.wait()
    else:
        code = process.wait()
    disk.power_on()
    found, where = state(out), f"{disk.kind}, {name}, {'after' if after else 'during'}, code {code}"
    results["cuts"] += 1
    if after and code != job.success:
        report.problem(f"{where}: the job failed")
    success = code == job.success
    problem = corpus.judge(name, found, success=success)
    results["success"] += success
    results["lost"] += problem is not None
    if problem and sync:
        report.problem(f"{where}: {problem}")
    results["old" if found == job.old else "new" if found == job.new else "neither"] += 1
    results["temporary"] += len([entry for entry in os.listdir(place) if entry != "out"])


prefix, per_kind = [] if sync else NO_SYNC, []
for name in JOBS:
    corpus.learn(name, os.path.join(work, "place"))
for kind in kinds:
    results = collections.Counter()
    try:
        disk = Disk(kind)
    except subprocess.CalledProcessError as error:
        print(f"campaign-power-cut: {kind}: {error.cmd[0]}: {error.stderr.decode().strip()}", file=sys.stderr)
        sys.exit(77)
    try:
        durations = {}
        for name, job in JOBS.items():
            _, out = prepare(disk, name)
            started = time.monotonic()
            code, text = run(*job.arguments(out), prefix=prefix)
            assert code == job.success and state(out) == job.new, f"{name}: {code}: {text}"
            durations[name] = time.monotonic() - started
        names = list(JOBS)
        for number in range(cuts):
            name = names[number % len(names)]
            attempt(disk, name, durations[name], (number // len(names)) % 2 == 1)
    finally:
        disk.close()
    per_kind.append(f"{kind} {results['cuts']} cuts, {results['success']} after success, {results['lost']} lost or torn, "
                    f"{results['old']} times the old, {results['new']} the new, {results['temporary']} temporary names")
    print(f"  {per_kind[-1]}", file=sys.stderr)
    if not sync and results["lost"] == 0:
        report.problem(f"{kind}: no loss was seen without syncing")
remove(work)
report.finish(f"power cuts{'' if sync else ' without sync'}: {len(JOBS)} jobs, seed {seed}: {'; '.join(per_kind)}")
PYTHON
