#!/bin/bash
# What is big: an archive of a million entries against one of half of them, and files of 5 GiB, one with holes and one without.
# Memory stays within its bounds; opening an archive and reading one entry takes as many system calls and bytes at a million
# entries as at half a million, and going over all takes no more than twice the bytes; big files come back as they were.
#
# usage: scripts/campaign-scale.sh [ENTRIES [GIB]]      default 1000000 and 5; takes 6 GB of memory at most (files lie on tmpfs)
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh python3 strace cc
PYTHONPATH=scripts exec python3 - "${1:-1000000}" "${2:-5}" <<'PYTHON'
import os, random, re, subprocess, sys
from campaign_support import *

entries, size = int(sys.argv[1]), int(sys.argv[2]) << 30
report, work = Report(), work_directory()
LIBRARY = os.environ.get("ZNIPPY_LIB", "build/lib")
MIB = 1 << 20


def measured(*command):
    """Most memory of a program, which must succeed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        report.problem(f"{' '.join(command)[:100]}: code {process.returncode}")
    return usage.ru_maxrss << 10


def read_by(*arguments):
    """System calls of the tool, and the bytes that it reads at offsets, which are those of the archive."""
    log = os.path.join(work, "log")
    subprocess.run(["strace", "-f", "-qq", "-o", log, TOOL, *arguments], stdout=subprocess.DEVNULL, check=True)
    calls = read = 0
    with open(log) as lines:
        for line in lines:
            calls += 1
            found = re.search(r"pread64\(.* = (\d+)$", line)
            read += int(found.group(1)) if found else 0
    return calls, read


def many():
    writer = os.path.join(work, "write_entries")
    subprocess.run(["cc", "-std=c11", "-O1", "-Iinclude", "tests/scale/write_entries.c", f"-L{LIBRARY}",
                    f"-Wl,-rpath,{os.path.abspath(LIBRARY)}", "-lznippy", "-o", writer], check=True)
    figures = {}
    for count in (entries // 2, entries):
        archive = os.path.join(work, f"{count}.znippy")
        memory = {"writing": measured(writer, str(count), archive)}
        name = f"d{count // 20000:04}/d50/file-{count // 20000 * 10000 + 5000:08}"
        for job, arguments in {"verifying": ["verify", "-q", "-j2", archive], "listing": ["list", archive],
                               "planning": ["unpack", "-q", "-j2", "--dry-run", archive, os.path.join(work, "no")]}.items():
            memory[job] = measured(TOOL, *arguments)
        for job, most in memory.items():
            if most > 256 * MIB:
                report.problem(f"{job} {count} entries takes {most >> 20} MiB")
        figures[count] = (memory, read_by("cat", archive, name), read_by("list", archive))
        os.unlink(archive)
    half, whole = figures[entries // 2], figures[entries]
    # One entry: a search among twice as many segments takes a step more at most.
    one = max(whole[1][0] / half[1][0], whole[1][1] / half[1][1])
    every = max(whole[2][0] / half[2][0], whole[2][1] / half[2][1])
    if one > 1.5 or every > 2.5:
        report.problem(f"twice the entries take {one:.2f} times as much for one entry and {every:.2f} times for all")
    memory = ", ".join(f"{job} {most >> 20} MiB" for job, most in whole[0].items())
    return (f"{entries} entries: {memory}; one entry takes {whole[1][0]} system calls and {whole[1][1]} bytes, {one:.2f} times those of "
            f"half as many entries, a list of all {every:.2f} times")


def big(sparse):
    tree, archive, back = (os.path.join(work, name) for name in ("tree", "big.znippy", "back"))
    os.mkdir(tree)
    path, rng = os.path.join(tree, "big"), random.Random(1)
    with open(path, "wb") as file:
        file.truncate(size)
        if not sparse:
            os.posix_fallocate(file.fileno(), 0, size)
        places = [at for at in (0, (1 << 31) - 1000, (1 << 32) - 1000, size - 3000) if at <= size - 3000]
        parts = [rng.randbytes(3000) for _ in places]
        for at, part in zip(places, parts):
            os.pwrite(file.fileno(), part, at)
    memory = measured(TOOL, "pack", "-q", "-j2", tree, archive)
    remove(tree)
    for at, part in zip(places, parts):
        got = subprocess.run([TOOL, "cat", "--offset", str(at), "--length", "3000", archive, "big"], capture_output=True, check=True)
        if got.stdout != part:
            report.problem(f"wrong bytes at {at}")
    memory = max(memory, measured(TOOL, "verify", "-q", "-j2", archive), measured(TOOL, "unpack", "-q", "-j2", archive, back))
    with open(os.path.join(back, "big"), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size != size or any(os.pread(file.fileno(), 3000, at) != part for at, part in zip(places, parts)):
            report.problem("the big file came back as another one")
        if sparse and status.st_blocks * 512 > size // 100:
            report.problem("the holes came back filled")
    if memory > 256 * MIB:
        report.problem(f"a file of {size} bytes takes {memory >> 20} MiB")
    remove(back)
    os.unlink(archive)
    return memory


try:
    text = many()
    holes, full = big(True), big(False)
finally:
    remove(work)
report.finish(f"scale: {text}; {size >> 30} GiB: {holes >> 20} MiB of memory with holes, {full >> 20} MiB without")
PYTHON
