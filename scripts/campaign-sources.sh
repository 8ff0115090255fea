#!/bin/bash
# Packs what is no plain file and what changes meanwhile. First special sources, one at a time: each is packed as what it is, or
# refused in one clear error. Then a tree that five processes change all the time: they append, cut and write anew, replace by a
# rename, put links and directories in the place of files, and take away whole directories. Each packing ends in one clear error
# and no archive, or in an archive that verifies and each of whose files has bytes that the file had at some moment.
#
# usage: scripts/campaign-sources.sh [PACKS [SEED]]      default 1000; needs root for devices and for being nobody
set -eu
cd "$(dirname "$0")/.."
sh scripts/install-needs.sh python3 setpriv
PYTHONPATH=scripts exec python3 - "${1:-1000}" "${2:-1}" <<'PYTHON'
import collections, multiprocessing, os, random, shutil, socket, stat, subprocess, sys, time
from campaign_support import *

packs, seed = int(sys.argv[1]), int(sys.argv[2])
report, work, counts = Report(), work_directory(), collections.Counter()
os.chmod(work, 0o755)
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
HANGS = 20


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


# ---- special sources, one at a time ----

def bind_loop(tree):
    os.makedirs(os.path.join(tree, "a", "again"))
    subprocess.run(["mount", "--bind", tree, os.path.join(tree, "a", "again")], check=True)
    return lambda: subprocess.run(["umount", os.path.join(tree, "a", "again")], check=True)


def unix_socket(tree):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(tree, "socket"))


def deep(tree):
    here = os.open(tree, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("directory", dir_fd=here)
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def closed(name, mode, make=None):
    def build(tree):
        path = os.path.join(tree, name)
        (make or (lambda path: write(path, b"secret")))(path)
        os.chmod(path, mode)
    return build


def sparse(tree):
    with open(os.path.join(tree, "sparse"), "wb") as file:
        file.truncate(4 << 30)
        file.seek(3 << 30)
        file.write(b"middle")


def links_in_a_loop(tree):
    os.symlink("b", os.path.join(tree, "a"))
    os.symlink("a", os.path.join(tree, "b"))
    os.symlink("loop/loop", os.path.join(tree, "loop"))
    os.symlink("..", os.path.join(tree, "up"))


# What is made, who packs, what comes of it: 0 an archive with that in it, 1 an error, None either.
SPECIAL = {
    "a FIFO": (lambda tree: os.mkfifo(os.path.join(tree, "fifo")), [], 0),
    "a socket": (unix_socket, [], 0),
    "a character device": (lambda tree: os.mknod(os.path.join(tree, "zero"), stat.S_IFCHR | 0o666, os.makedev(1, 5)), [], 0),
    "a block device": (lambda tree: os.mknod(os.path.join(tree, "disk"), stat.S_IFBLK | 0o666, os.makedev(7, 200)), [], 0),
    "links in a loop": (links_in_a_loop, [], 0),
    "a link to nowhere": (lambda tree: os.symlink("/no/such/\udcff", os.path.join(tree, "dangling")), [], 0),
    "an unreadable file": (closed("file", 0), NOBODY, 1),
    "an unreadable directory": (closed("directory", 0o300, os.mkdir), NOBODY, 1),
    "a directory that may not be entered": (closed("directory", 0o400, lambda path: (os.mkdir(path), write(path + "/f", b"x"))), NOBODY, 1),
    "a sparse file of 4 GiB": (sparse, [], 0),
    "400 directories deep": (deep, [], 0),
    "names of 255 bytes and of every byte": (
        lambda tree: [write(os.path.join(tree.encode(), bytes([byte]) * (255 if byte == 97 else 3)), b"x")
                      for byte in range(1, 256) if byte not in b"/."], [], 0),
    "a tree mounted in itself": (bind_loop, [], None),
}


def special():
    for what, (make, who, expected) in SPECIAL.items():
        place = os.path.join(work, "special")
        tree, archive, back = (os.path.join(place, name) for name in ("tree", "out/archive", "out/back"))
        os.makedirs(tree)
        os.mkdir(os.path.join(place, "out"))
        os.chmod(os.path.join(place, "out"), 0o777)
        undo = make(tree)
        try:
            code, text = run("pack", "-q", tree, archive, prefix=["timeout", str(HANGS), *who])
            if code not in ((0, 1) if expected is None else (expected,)) or (code == 1 and not is_one_error(text)):
                report.problem(f"{what}: code {code}: {text.strip()[:300]}")
            if code == 1 and os.listdir(os.path.join(place, "out")):
                report.problem(f"{what}: refused, and something is left")
            if code == 0:
                checks = (["verify", "-q", archive], ["diff", "-q", archive, tree], ["unpack", "-q", archive, back])
                for arguments in checks:
                    code, text = run(*arguments, prefix=["timeout", "60"])
                    # Devices and sockets are in the archive, and are not made.
                    if code != 0 and not (arguments[0] == "unpack" and code == 3 and ("device" in what or "socket" in what)):
                        report.problem(f"{what}: {arguments[0]} ends with {code}: {text.strip()[:300]}")
        finally:
            undo() if callable(undo) else None
            subprocess.run(["rm", "-rf", place], check=True)
        counts["special"] += 1
    for place in ("/proc/self", "/proc/sys/kernel", "/sys/kernel", "/dev"):
        # Files of size 0 that have bytes, of 4,096 that have fewer, devices, and links that lead anywhere.
        archive = os.path.join(work, "special.znippy")
        code, text = run("pack", "-q", "--one-file-system", place, archive, prefix=["timeout", str(HANGS)])
        if code not in (0, 1) or (code == 1 and (not is_one_error(text) or os.path.exists(archive))):
            report.problem(f"{place}: code {code}: {text.strip()[:300]}")
        code, text = run("pack", "-q", "--one-file-system", "--set", "on-error=1", place, archive, prefix=["timeout", str(HANGS)])
        if code not in (0, 1, 3) or (os.path.exists(archive) and run("verify", "-q", archive)[0] != 0):
            report.problem(f"{place} with on-error=1: code {code}: {text.strip()[:300]}")
        remove(archive)
        counts["special"] += 1


# ---- a tree that changes ----

def line(name, version):
    return f"{name} is of version {version:010}\n".encode()


def lasting(name, version, length):
    return line(name, version) * length


def appended(path, name, rng, version):
    if version % 50 == 0:
        write(path + ".new", b"")
        os.rename(path + ".new", path)
    with open(path, "ab", buffering=0) as file:
        file.write(line(name, 0) * rng.randrange(1, 300))


def cut_and_written(path, name, rng, version):
    with open(path, "wb", buffering=0) as file:
        for _ in range(3):
            file.write(lasting(name, version, rng.randrange(1, 200)))


def written_in_place(path, name, rng, version):
    """Blocks of one version each, from the first to the last."""
    with open(path, "r+b" if os.path.exists(path) else "w+b", buffering=0) as file:
        for block in range(24):
            os.pwrite(file.fileno(), (line(name, version) * 200)[:4096], block * 4096)


def replaced(path, name, rng, version):
    write(path + ".new", lasting(name, version, rng.randrange(1, 3000)))
    os.rename(path + ".new", path)


def turned(path, name, rng, version):
    """A file, a link to a file outside, a directory, a FIFO, nothing, in turn."""
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.path.lexists(path) and os.unlink(path)
    kind = version % 5
    if kind == 0:
        write(path, lasting(name, version, 50))
    elif kind == 1:
        os.symlink("/etc/passwd", path)
    elif kind == 2:
        os.mkdir(path)
        write(os.path.join(path, name), lasting(name, version, 50))
    elif kind == 3:
        os.mkfifo(path)


MUTATORS = {"appended": appended, "cut": cut_and_written, "inplace": written_in_place, "replaced": replaced, "turned": turned}
FILES = 8


def mutate(tree, how, own_seed, pause):
    """Changes files of one directory, and now and then takes the directory away."""
    rng, version, home = random.Random(own_seed), 0, os.path.join(tree, how)
    while True:
        version += 1
        number = rng.randrange(FILES)
        name = f"{how}-{number}"
        try:
            if version % 200 == 0:
                os.rename(home, home + ".away")
                time.sleep(0.002)
                os.rename(home + ".away", home)
            MUTATORS[how](os.path.join(home, name), name, rng, version)
        except (FileNotFoundError, FileExistsError):
            pass
        time.sleep(pause * rng.random())


def had(name, data):
    """Whether the file can have had these bytes at some moment."""
    how = name.split("-")[0]
    if not data:
        return True
    try:
        first = data[:len(line(name, 0))]
        if how == "inplace":
            versions = [int(data[at:at + len(first)].rsplit(b" ", 1)[1]) for at in range(0, len(data), 4096)]
            right = all(data[number * 4096:number * 4096 + 4096] == (line(name, version) * 200)[:4096]
                        for number, version in enumerate(versions))
            # Between two passes over the file a prefix is new: never more than two versions, the newer ones first.
            return right and len(set(versions)) <= 2 and versions == sorted(versions, reverse=True)
        version = int(first.rsplit(b" ", 1)[1]) if len(first) == len(line(name, 0)) else None
        if version is None:
            return line(name, 0)[:10] == data[:10]
        whole = lasting(name, version, len(data) // len(first) + 1)
        return whole.startswith(data) and (how in ("appended", "cut") or len(data) % len(first) == 0)
    except (ValueError, IndexError):
        return False


def changing():
    tree, archive, back = (os.path.join(work, name) for name in ("tree", "a.znippy", "back"))
    rng = random.Random(seed)
    for how, mutator in MUTATORS.items():
        os.makedirs(os.path.join(tree, how))
        for number in range(FILES):
            mutator(os.path.join(tree, how, f"{how}-{number}"), f"{how}-{number}", rng, 5 * number)
    os.mkdir(os.path.join(tree, "quiet"))
    for number in range(20):
        write(os.path.join(tree, "quiet", f"quiet-{number}"), lasting(f"quiet-{number}", number, 500))
    for number in range(packs):
        # From a change now and then to changes all the time.
        pause = (1.0, 0.2, 0.05, 0.0)[number * 4 // packs]
        if number % 50 == 0:
            changers = [multiprocessing.Process(target=mutate, args=(tree, how, seed * 1000 + number, pause), daemon=True)
                        for how in MUTATORS]
            [process.start() for process in changers]
        leaves_out = number % 2
        code, text = run("pack", "-q", "-f", *(["--set", "on-error=1"] if leaves_out else []), f"-j{1 + number % 3}", tree, archive,
                         prefix=["timeout", str(HANGS)])
        where = f"pack {number}, {'leaving out' if leaves_out else 'plain'}, code {code}"
        counts["packs"] += 1
        if code not in (0, 1) and not (leaves_out and code == 3):
            report.problem(f"{where}: {text.strip()[:300]}")
        if code == 1 and not is_one_error(text):
            report.problem(f"{where}: {text.strip()[:300]}")
        if code == 1 and os.path.exists(archive):
            report.problem(f"{where}: an error, and an archive")
        counts["refused" if code == 1 else "packed" if code == 0 else "packed in part"] += 1
        if code in (0, 3):
            for arguments in (["verify", "-q", archive], ["unpack", "-q", archive, back]):
                done, text = run(*arguments)
                if done != 0:
                    report.problem(f"{where}: {arguments[0]} ends with {done}: {text.strip()[:300]}")
            for path, what in snapshot(back).items():
                name = os.path.basename(path)
                if what[0] == "file" and not had(name.removesuffix(".new"), what[2]):
                    report.problem(f"{where}: {path} never had these {len(what[2])} bytes")
                counts["files"] += what[0] == "file"
        remove(archive)
        remove(back)
        for name in leftovers(work):
            report.problem(f"{where}: left over: {name}")
        if number % 50 == 49 or number == packs - 1:
            for process in changers:
                process.kill()
                process.join()
            for how in MUTATORS:
                home = os.path.join(tree, how)
                os.path.exists(home) or os.rename(home + ".away", home)


special()
changing()
subprocess.run(["rm", "-rf", work], check=True)
report.finish(f"sources: {counts['special']} special ones, {counts['packs']} packs of a changing tree, seed {seed}: {counts['refused']} refused, "
              f"{counts['packed']} whole, {counts['packed in part']} in part, with {counts['files']} files that all had those bytes once; 0 hangs")
PYTHON
