"""The jobs that are killed, cut off and made to fail: what they need, and what may stand there afterwards."""

import os
import subprocess
import sys
import tarfile

import campaign_support
from campaign_support import make_tree, remove, run, snapshot, wrong_names


class Job:
    """One command of the tool. `before` is the archive that stands under the name, or the one whose tree does."""

    def __init__(self, kind, before, arguments, success=0):
        self.kind, self.before, self.arguments, self.success = kind, before, arguments, success
        self.old = self.new = None


class Corpus:
    """Trees and archives in a directory, and the jobs over them."""

    def __init__(self, work, seed=1, small=60, big=2, big_size=500_000, threads=2):
        where = {name: os.path.join(work, name) for name in ("tree", "more", "older", "first", "second", "damaged", "tar", "grown")}
        tree, more, first, second, damaged, tar, grown = (
            where[name] for name in ("tree", "more", "first", "second", "damaged", "tar", "grown"))
        make_tree(tree, seed, small=small, big=big, big_size=big_size)
        make_tree(more, seed + 1, small=small // 3, big=1, big_size=big_size // 2)
        # It has some of the tree's names, with other bytes.
        make_tree(where["older"], seed + 2, small=small // 2, big=1, big_size=big_size // 4)
        self.tree, self.first, self.damaged = tree, first, damaged
        self.expect(0, "pack", "--recovery", tree, first)
        self.expect(0, "pack", where["older"], second)
        with open(first, "rb") as file:
            data = file.read()
        with open(damaged, "wb") as file:
            file.write(data[:len(data) // 2] + b"damage" + data[len(data) // 2 + 6:])
        with open(grown, "wb") as file:
            file.write(data)
        # Some of its bytes belong to nothing any more.
        self.expect(0, "append", "--set", "duplicate-paths=1", grown, more)
        with tarfile.open(tar, "w") as archive:
            archive.add(tree, arcname=".")
        j = f"-j{threads}"
        self.jobs = {
            "pack": Job("archive", None, lambda out: ["pack", "-q", j, tree, out]),
            "pack -f": Job("archive", second, lambda out: ["pack", "-q", j, "-f", tree, out]),
            "append": Job("archive", first, lambda out: ["append", "-q", j, "--prefix", "more", out, more]),
            "compact": Job("archive", grown, lambda out: ["compact", "-q", j, out]),
            "merge": Job("archive", None, lambda out: ["merge", "-q", j, "--replace", out, first, second]),
            "merge -f": Job("archive", second, lambda out: ["merge", "-q", j, "-f", "--replace", out, first, second]),
            "salvage": Job("archive", None, lambda out: ["salvage", "-q", j, damaged, out], 3),
            "salvage -f": Job("archive", second, lambda out: ["salvage", "-q", j, "-f", damaged, out], 3),
            "convert -f": Job("archive", second, lambda out: ["convert", "-q", j, "-f", tar, out]),
            "unpack": Job("tree", None, lambda out: ["unpack", "-q", j, first, out]),
            "unpack --skip-unchanged --prune": Job(
                "update", second, lambda out: ["unpack", "-q", j, "--skip-unchanged", "--prune", first, out]),
            "unpack --atomic": Job("atomic", None, lambda out: ["unpack", "-q", j, "--atomic", first, out]),
            "unpack --atomic -f": Job("atomic", second, lambda out: ["unpack", "-q", j, "--atomic", "-f", first, out]),
            "cat": Job("reads", None, lambda out: ["cat", first, "big0"]),
            "list": Job("reads", None, lambda out: ["list", "--json", first]),
            "verify": Job("reads", None, lambda out: ["verify", "-q", j, first]),
            "verify --quick": Job("reads", None, lambda out: ["verify", "-q", j, "--quick", first]),
            "diff": Job("reads", None, lambda out: ["diff", "-q", j, first, second], 4),
            "diff with a tree": Job("reads", None, lambda out: ["diff", "-q", j, first, tree]),
        }

    @staticmethod
    def expect(code, *arguments):
        """Runs the tool, which must end so."""
        found, text = run(*arguments)
        assert found == code, f"{arguments}: {found}: {text}"

    def prepare(self, name, place):
        """Makes the directory anew, with what stands there before; returns the name that the job writes to."""
        remove(place)
        os.mkdir(place)
        job, out = self.jobs[name], os.path.join(place, "out")
        if job.before and job.kind in ("update", "atomic"):
            self.expect(0, "unpack", "-q", job.before, out)
        elif job.before:
            with open(job.before, "rb") as source, open(out, "wb") as file:
                file.write(source.read())
        return out

    def learn(self, name, place):
        """Does the job once, to know what it makes. Call it before `judge`."""
        job, out = self.jobs[name], self.prepare(name, place)
        job.old = state(out)
        done = subprocess.run([campaign_support.TOOL, *job.arguments(out)], capture_output=True, check=False)
        assert done.returncode == job.success, f"{name}: {done.returncode}: {done.stderr}"
        job.new = done.stdout if job.kind == "reads" else state(out)
        remove(place)

    def judge(self, name, found, success=False, killed=False):
        """What is wrong with what stands there; None for nothing."""
        job = self.jobs[name]
        if success:
            return None if found == job.new else f"success, but {self.called(job, found)}"
        if job.kind in ("archive", "atomic"):
            return None if found in (job.old, job.new) else f"neither old nor new: {self.called(job, found)}"
        if job.kind == "reads":
            # After an error that is said, output has a gap at most where writing it failed.
            return None if all(line in job.new for line in found.split(b"\n")) else "wrong output"
        old = job.old or {}
        wrong = [name for name in wrong_names(found or {}, job.new)
                 if found[name] != old.get(name) and not (killed and short(found[name], job.new.get(name)))]
        # Modes of directories may be half set, and what is to be pruned may be there still.
        wrong = [name for name in wrong if not (found[name][0] == "directory" and old.get(name, ("",))[0] == "directory")]
        return f"wrong bytes under {wrong[:5]}" if wrong else None

    @staticmethod
    def called(job, found):
        return "nothing" if found is None else "the old" if found == job.old else "the new" if found == job.new else "something else"


def short(found, right):
    """A file of which the end is missing."""
    return right is not None and found[0] == right[0] == "file" and right[2].startswith(found[2])


def state(out):
    """What stands under a name: bytes, a tree, or None."""
    if os.path.isdir(out):
        return snapshot(out)
    if not os.path.lexists(out):
        return None
    with open(out, "rb") as file:
        return file.read()


def use_static_tool(work):
    """Has the tool built without shared libraries, so that no call of the loader stands before the tool's own. Where that
    can't be, the tool stays what it is."""
    root = os.path.join(os.path.dirname(__file__), "..")
    library = os.path.join(os.environ.get("ZNIPPY_LIB", os.path.join(root, "build", "lib")), "libznippy.a")
    sources = os.path.join(root, "c_examples", "znippy")
    files = [os.path.join(sources, name) for name in sorted(os.listdir(sources)) if name.endswith(".c")]
    tool = os.path.join(work, "znippy-static")
    command = ["cc", "-static", "-O1", "-std=c11", "-D_XOPEN_SOURCE=700", "-I" + os.path.join(root, "include"), *files,
               *(os.path.join(sources, "foreign", name) for name in ("import.c", "late.c", "limits.c")), library, "-lpthread", "-ldl", "-lm", "-o", tool]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        campaign_support.TOOL = tool
    else:
        print(f"no static tool: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return done.returncode == 0
