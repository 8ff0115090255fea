"""What the campaigns share: a tree to pack, the tool, and what may stand in a destination after a failure."""

import collections
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile

TOOL = os.environ.get("ZNIPPY", os.path.join(os.path.dirname(__file__), "..", "build", "bin", "znippy"))
# A run that takes longer hangs.
TIME_LIMIT = 60


def make_tree(root, seed, small=200, big=3, big_size=1_500_000):
    """Small files of text and noise, big ones, one with holes, links of both kinds, a FIFO, directories of few rights."""
    rng = random.Random(seed)
    os.makedirs(os.path.join(root, "empty"))
    for number in range(small):
        directory = os.path.join(root, f"d{number % 12:02}", "sub" if number % 3 else ".")
        os.makedirs(directory, exist_ok=True)
        size = rng.randrange(0, 6000)
        words = " ".join(rng.choice(("alpha", "beta", "gamma", "delta", str(number))) for _ in range(size // 6 + 1))
        data = rng.randbytes(size) if number % 4 == 0 else words.encode()[:size]
        with open(os.path.join(directory, f"file{number:04}"), "wb") as file:
            file.write(data)
    for number in range(big):
        line = f"line {number} of a big file that compresses\n".encode()
        text = line * (big_size // 2 // len(line))
        with open(os.path.join(root, f"big{number}"), "wb") as file:
            file.write(rng.randbytes(big_size // 2) + text)
    with open(os.path.join(root, "holes"), "wb") as file:
        file.write(b"start")
        file.seek(2_000_000)
        file.write(b"end")
    os.symlink("big0", os.path.join(root, "link"))
    os.link(os.path.join(root, "big0"), os.path.join(root, "second-name"))
    os.mkfifo(os.path.join(root, "fifo"))
    os.chmod(os.path.join(root, "d01"), 0o550)
    return root


def snapshot(root):
    """Names below a directory: what they are, their modes and bytes."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            key = os.path.relpath(path, root)
            if stat.S_ISLNK(status.st_mode):
                found[key] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[key] = ("directory", stat.S_IMODE(status.st_mode))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    data = file.read()
                found[key] = ("file", stat.S_IMODE(status.st_mode), data)
            else:
                found[key] = ("special", stat.S_IFMT(status.st_mode))
    return found


def wrong_names(found, original, short_files=False):
    """Final names that hold something that is not in the archive; whether files may be short after a kill."""
    wrong = []
    for name, what in found.items():
        if ".znippy-" in name:
            continue
        right = original.get(name)
        if right is None or right[0] != what[0]:
            wrong.append(name)
        elif what[0] == "file" and what[2] != right[2]:
            if not (short_files and right[2].startswith(what[2])):
                wrong.append(name)
        elif what[0] in ("link", "special") and what != right:
            wrong.append(name)
    return wrong


def leftovers(*directories):
    """Temporary names."""
    found = []
    for directory in directories:
        for where, directories_, files in os.walk(directory):
            for name in directories_ + files:
                if ".znippy-" in name or (name.startswith(".") and name.endswith(".tmp")):
                    found.append(os.path.join(where, name))
    return found


def run(*arguments, prefix=(), tool=None, **more):
    """Runs the tool; a negative code is the signal that ended it, None is a hang."""
    command = [*prefix, tool or TOOL, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIME_LIMIT, stdin=subprocess.DEVNULL, check=False, **more)
        return done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return None, "a hang"


CALL = re.compile(r"^(\d+) +(\w+)\(")


def calls_of(work, *arguments, tool=None):
    """System calls of a job, by name: how many the thread made that made most. strace counts those of each thread."""
    log = os.path.join(work, "calls")
    run(*arguments, prefix=["strace", "-f", "-qq", "-o", log], tool=tool)
    counts = collections.Counter()
    with open(log) as lines:
        for match in map(CALL.match, lines):
            if match:
                counts[match.groups()] += 1
    os.unlink(log)
    most = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    return most


def is_one_error(text):
    """One line for people, that says what is the matter; salvaging tells before it what is lost."""
    told = ("znippy: lost ", "salvaged in part")
    lines = [line for line in text.splitlines() if line.strip() and not any(part in line for part in told)]
    return len(lines) == 1 and lines[0].startswith("znippy: ") and "panick" not in text


def remove(path):
    """Removes a tree whatever its modes."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        for directory, _, _ in os.walk(path):
            os.chmod(directory, 0o700)
        shutil.rmtree(path)


def work_directory():
    """A directory on tmpfs where there is one."""
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    return tempfile.mkdtemp(prefix="znippy-campaign-", dir=base)


class Report:
    """Counts problems, and prints the first ones."""

    def __init__(self):
        self.problems = 0

    def problem(self, text):
        self.problems += 1
        if self.problems <= 20:
            print(f"PROBLEM: {text}", file=sys.stderr)

    def finish(self, line):
        print(f"{line}; problems: {self.problems}")
        sys.exit(1 if self.problems else 0)
