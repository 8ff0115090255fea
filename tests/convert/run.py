#!/usr/bin/env python3
"""Archives of other programs and znippy convert: what it makes of them unpacks to the tree that the program itself
unpacks, names, kinds, bytes, modes, times, links, holes and attributes; damaged ones leave nothing.

usage: run.py PATH_OF_ZNIPPY [TREE...]     converts archives of these trees as well

Ends with 77 where a program is missing.
"""

import io
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile

ZNIPPY = os.path.realpath(sys.argv[1])
failures = 0
checks = 0
# KiB of address space for hostile archives; sanitizers take all there is.
MEMORY = os.environ.get("ZNIPPY_CONVERT_MEMORY", "4000000")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, timeout=300, **options)


def must(*command, **options):
    done = run(*command, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def expect(good, what, why=""):
    global failures, checks
    checks += 1
    if not good:
        failures += 1
        print(f"FAILED {what}: {why}")


def fresh(name):
    shutil.rmtree(name, ignore_errors=True)
    os.mkdir(name)
    return name


def described(top, times=True, modes=True, xattrs=False, owners=False, root=True, links=True):
    """What is below a directory: one record a name; names of one file by the first of them."""
    names, first = {}, {}
    top = os.fsencode(top)
    paths = [top] if root else []
    for directory, directories, files in os.walk(top):
        paths += [os.path.join(directory, name) for name in directories + files]
    for path in sorted(paths):
        info = os.lstat(path)
        record = {"kind": stat.S_IFMT(info.st_mode)}
        link = stat.S_ISLNK(info.st_mode)
        if modes and not link:
            record["mode"] = stat.S_IMODE(info.st_mode)
        if times and (links or not link):
            record["mtime"] = info.st_mtime_ns if times is True else info.st_mtime_ns // 1000000000
        if owners:
            record["owner"] = (info.st_uid, info.st_gid)
        if stat.S_ISREG(info.st_mode):
            record["bytes"] = open(path, "rb").read()
            record["is"] = first.setdefault((info.st_dev, info.st_ino), path[len(top):])
        elif link:
            record["target"] = os.readlink(path)
        elif stat.S_ISCHR(info.st_mode):
            record["device"] = info.st_rdev
        if xattrs and not link:
            record["xattrs"] = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        names[path[len(top):]] = record
    return names


def compare(what, wanted, found):
    for name in sorted(set(wanted) | set(found)):
        left, right = wanted.get(name), found.get(name)
        if left != right:
            keys = "" if left is None or right is None else [key for key in left if left[key] != right.get(key)]
            short = lambda record: {key: value for key, value in (record or {}).items() if key != "bytes"}
            expect(False, what, f"{name!r} {keys}: {short(left)} became {short(right)}")
            return
    expect(True, what)


UNPACK = ["--set", "restore-setuid=1"]


def converted(archive, *options, unpack=()):
    """Converts an archive and unpacks that, into the directory `ours`."""
    for name in ["new.znippy", "ours"]:
        shutil.rmtree(name, ignore_errors=True) if os.path.isdir(name) else os.path.exists(name) and os.remove(name)
    done = run(ZNIPPY, "convert", *options, archive, "new.znippy")
    if done.returncode != 0 or not done.stdout.startswith(b"tree digest "):
        return done.stderr.decode(errors="replace") or "no digest"
    must(ZNIPPY, "verify", "-q", "new.znippy")
    done = run(ZNIPPY, "unpack", *UNPACK, *unpack, "new.znippy", "ours")
    return done.stderr.decode(errors="replace") if done.returncode != 0 else None


def same(what, archive, unpack, convert=(), restore=(), **kinds):
    """Whether what convert makes of the archive unpacks as `unpack` has it."""
    theirs = fresh("theirs")
    unpack(archive, theirs)
    trouble = converted(archive, *convert, unpack=restore)
    if trouble is not None:
        expect(False, what, trouble)
        return
    compare(what, described(theirs, **kinds), described("ours", **kinds))


def refused(what, archive, words=(), code=1):
    done = run(ZNIPPY, "convert", archive, "refused.znippy")
    text = done.stderr.decode(errors="replace")
    good = done.returncode == code and not os.path.exists("refused.znippy")
    good = good and text.count("\n") == 1 and all(word in text for word in words)
    expect(good, what, f"{done.returncode}, {text!r}")
    left = [name for name in os.listdir(".") if "refused" in name]
    expect(left == [], what, f"left {left}")


def gnu(archive, directory):
    must("tar", "-xpf", archive, "-C", directory, "--acls", "--xattrs", "--xattrs-include=*", "--same-owner")


def bsd(archive, directory):
    # In the locale "C" it leaves names as they are, and says so.
    done = run("bsdtar", "-xpf", archive, "-C", directory)
    lines = [line for line in done.stderr.decode().splitlines() if "be converted" not in line and "delayed" not in line]
    if lines:
        raise RuntimeError(f"bsdtar {archive}: {lines}")


def unzip(archive, directory):
    must("unzip", "-oq", os.path.realpath(archive), "-d", directory, env=dict(os.environ, LC_ALL="C.UTF-8"))


def write(path, data=b"", mode=None, mtime=None):
    with open(path, "wb") as file:
        file.write(data)
    if mode is not None:
        os.chmod(path, mode)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def noise(size, seed):
    import random
    return random.Random(seed).randbytes(size)


def make_tree(top, plain=False):
    """Everything that a tar archive may hold; with `plain` just what the oldest format has room for."""
    os.makedirs(f"{top}/dir/sub")
    os.makedirs(f"{top}/void/empty")
    write(f"{top}/dir/file", b"text\n" * 1000, 0o640, 1_500_000_000_123_456_789 if not plain else 1_500_000_000_000_000_000)
    write(f"{top}/dir/empty", b"", 0o400)
    write(f"{top}/dir/program", b"#!/bin/sh\n", 0o755)
    write(f"{top}/big", noise(9 << 20, 1) + bytes(300000) + b"end")
    write(f"{top}/e\u0301", b"decomposed")
    write(f"{top}/\u00e9", b"composed")
    write(os.fsencode(top) + b"/raw\xff\xfe", b"no UTF-8")
    write(f"{top}/new\nline and 'quotes' \\ *", b"odd")
    write(f"{top}/-dash", b"dash")
    os.symlink("file", f"{top}/dir/link")
    os.symlink("../nowhere/\u00e9", f"{top}/dir/dangling")
    os.link(f"{top}/dir/file", f"{top}/a-first-name")
    os.link(f"{top}/dir/file", f"{top}/z-last-name")
    os.mkfifo(f"{top}/fifo")
    os.chmod(f"{top}/void", 0o1777)
    if plain:
        return
    write(f"{top}/dir/setuid", b"s", 0o4755)
    write(f"{top}/old", b"before 1970", mtime=-86400_000_000_001)
    write(f"{top}/{'n' * 255}", b"long name")
    deep = f"{top}/" + "/".join(["d" * 60] * 6)
    os.makedirs(deep)
    write(f"{deep}/file", b"long path")
    os.symlink("t" * 300, f"{top}/long-target")
    os.link(f"{deep}/file", f"{top}/name-of-long-path")
    os.link(f"{top}/long-target", f"{top}/name-of-link", follow_symlinks=False)
    os.link(f"{top}/fifo", f"{top}/name-of-fifo")
    with open(f"{top}/sparse", "wb") as file:
        for at in [0, 3 << 20, 40 << 20]:
            file.seek(at)
            file.write(b"data" * 5000)
        file.truncate(60 << 20)
    with open(f"{top}/hole", "wb") as file:
        file.truncate(5 << 20)
    # Names that stand between a directory and what is in it, by their bytes; one of them has the bytes of a file in there.
    os.makedirs(f"{top}/can/can/x")
    write(f"{top}/can/can/file", b"in there")
    write(f"{top}/can/can-file", b"beside")
    for name in ["can-", "can.d", "can/can.d"]:
        os.makedirs(f"{top}/{name}/below")
    os.link(f"{top}/can/can/file", f"{top}/can.h")
    os.link(f"{top}/can/can/file", f"{top}/can/can.h")
    os.link(f"{top}/can/can/file", f"{top}/can/can.d/h")
    for path in ["can/can/x", "can/can", "can", "void", "dir/sub", "dir", "."]:
        os.utime(f"{top}/{path}", ns=(10**18 + 7, 10**18 + 7))


def tar_formats():
    # A hard link to a link or a FIFO becomes another one: unpacked, they are equal and not one.
    for form in ["gnu", "pax", "oldgnu"]:
        must("tar", f"--format={form}", "--sparse", "-cf", "x.tar", "-C", "tree", ".")
        same(f"GNU tar, {form}", "x.tar", gnu, times=True if form == "pax" else "seconds")
    for form in ["ustar", "v7"]:
        must("tar", f"--format={form}", "-cf", "x.tar", *([] if form == "ustar" else ["--exclude=fifo"]), "-C", "plain", ".")
        same(f"GNU tar, {form}", "x.tar", gnu, times="seconds")
    for version in ["0.0", "0.1", "1.0"]:
        must("tar", "--format=pax", "--sparse", f"--sparse-version={version}", "-cf", "x.tar", "-C", "tree", "sparse", "hole")
        same(f"GNU tar, sparse {version}", "x.tar", gnu, root=False)
        expect(os.stat("ours/sparse").st_blocks < 2000, f"holes of sparse {version}", "they take room")
    must("tar", "--format=pax", "-cf", "x.tar", "-C", "tree", ".")
    for name, flag in [("gz", "-z"), ("bz2", "-j"), ("xz", "-J"), ("zst", "--zstd")]:
        if shutil.which({"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}[name]):
            must("tar", "--format=pax", flag, "-cf", f"x.tar.{name}", "-C", "tree", ".")
            same(f"tar.{name}", f"x.tar.{name}", gnu)
    # Fractions of a second before 1970 have the wrong sign there, in what it writes and in what it reads.
    os.utime("tree/old", ns=(-86400 * 10**9, -86400 * 10**9))
    for form in ["pax", "gnutar", "ustar"]:
        must("bsdtar", "--format", form, "-cf", "x.tar", "-C", "plain" if form == "ustar" else "tree", ".",
             env=dict(os.environ, LC_ALL="C.UTF-8"))
        same(f"bsdtar, {form}", "x.tar", bsd, root=False, times=True if form == "pax" else "seconds")
    os.utime("tree/old", ns=(-86400_000_000_001, -86400_000_000_001))
    for name, form in [("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("ustar", tarfile.USTAR_FORMAT)]:
        tree = "plain" if name == "ustar" else "tree"
        with tarfile.open("x.tar", "w", format=form) as out:
            out.add(tree, ".")
        # Python writes times as it has them, as floating point numbers.
        same(f"Python, {name}", "x.tar", gnu, times=True if name == "pax" else "seconds")


def zips():
    for what, command in [("zip", ["-qry"]), ("zip, zip64", ["-qryfz"]), ("zip, stored", ["-qry0"])]:
        if os.path.exists("x.zip"):
            os.remove("x.zip")
        names = [name for name in os.listdir(b"zips")]
        must("zip", *command, "../x.zip", "--", *names, cwd="zips", env=dict(os.environ, LC_ALL="C.UTF-8"))
        same(what, "x.zip", unzip, times="seconds", root=False, links=False)
    with zipfile.ZipFile("x.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name in ["dir/file", "e\u0301", "\u00e9", "big"]:
            out.write(f"plain/{name}", name)
        out.writestr("implied/parents/are/no/entries", "text")
        out.writestr("empty/", "")
        out.writestr("twice", "first")
        out.writestr("twice", "second")
    # unzip gives implied directories the mode that the umask leaves.
    same("Python's zip", "x.zip", unzip, times=False)
    with zipfile.ZipFile("x.zip", "w", zipfile.ZIP_BZIP2) as out:
        out.writestr("file", b"text" * 5000)
    same("zip with bzip2", "x.zip", unzip, times=False)
    must("bsdtar", "--format", "zip", "-cf", "x.zip", "-C", "zips", "dir", "void")
    same("bsdtar's zip", "x.zip", unzip, times="seconds", root=False, links=False)
    with zipfile.ZipFile("x.zip", "w"):
        pass
    expect(converted("x.zip") is None, "an empty zip")
    must("zip", "-qr", "-P", "secret", "../locked.zip", "dir", cwd="zips")
    refused("an encrypted zip", "locked.zip", ["dir/", "is encrypted"])
    with open("x.zip", "rb") as file, zipfile.ZipFile("whole.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("one", noise(50000, 2))
        out.writestr("two", b"text" * 50000)
    whole = open("whole.zip", "rb").read()
    for cut in [5, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        write("cut.zip", whole[:cut])
        refused(f"a zip cut at {cut}", "cut.zip")
    for at in range(60, 50000, 9000):
        write("bad.zip", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        refused(f"a zip with byte {at} changed", "bad.zip", ["one"])
    with zipfile.ZipFile("x.zip", "w") as out:
        out.writestr("../out", "x")
    refused("a zip with '..'", "x.zip", ["../out", ".."])
    with open("whole.zip", "rb") as file:
        done = run(ZNIPPY, "convert", "-", "from-stdin.znippy", stdin=file)
        expect(done.returncode == 0, "a zip file as standard input", done.stderr)
    done = run(ZNIPPY, "convert", "-", "refused.znippy", input=whole)
    expect(done.returncode == 1 and b"pipe" in done.stderr, "a zip in a pipe", done.stderr)


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def make_tar(path, members, form=tarfile.PAX_FORMAT, end=True):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as out:
        for info, data in members:
            out.addfile(info, io.BytesIO(data))
        size = out.offset
    write(path, raw.getvalue() if end else raw.getvalue()[:size])


def odd_tars():
    link = dict(type=tarfile.LNKTYPE)
    make_tar("x.tar", [member("a", b"first"), member("b", linkname="a", **link), member("a", b"second"),
                       member("dir", type=tarfile.DIRTYPE, mode=0o700), member("dir/x", b"x"), member("c", b"file"),
                       member("c", type=tarfile.SYMTYPE, linkname="a"), member("d", type=tarfile.SYMTYPE, linkname="a"),
                       member("d", b"file"), member("e", linkname="d", **link), member("dir", type=tarfile.DIRTYPE, mode=0o750)])
    same("a path twice: the last counts", "x.tar", gnu, root=False)
    make_tar("x.tar", [member("./a//b/./c", b"1"), member("./", type=tarfile.DIRTYPE, mode=0o711, mtime=12345)])
    same("names with './'", "x.tar", gnu, times=False)
    expect(os.stat("ours").st_mode & 0o7777 == 0o711, "the mode of the root")
    make_tar("x.tar", [member("/abs/a", b"1"), member("/abs/b", linkname="/abs/a", **link)])
    same("absolute names", "x.tar", lambda archive, directory: must("tar", "-xf", archive, "-C", directory), times=False)
    done = run(ZNIPPY, "convert", "-f", "x.tar", "new.znippy")
    expect(done.stderr.count(b"\n") == 1 and b"leading '/'" in done.stderr, "the note on absolute names", done.stderr)
    for name in ["../a", "a/../b", "a/.."]:
        make_tar("x.tar", [member("fine", b"1"), member(name, b"1")])
        refused(f"the name {name}", "x.tar", [name, ".."])
    make_tar("x.tar", [member("late", linkname="chain", **link), member("chain", linkname="file", **link), member("file", b"bytes")])
    trouble = converted("x.tar")
    expect(trouble is None and os.stat("ours/late").st_nlink == 3, "hard links before their file", trouble)
    make_tar("x.tar", [member("fine", b"1"), member("nowhere", linkname="missing", **link)])
    refused("a hard link to nothing", "x.tar", ["nowhere", "missing"])
    make_tar("x.tar", [member("file", b"1"), member("file/below", b"1")])
    refused("an entry below a file", "x.tar", ["file/below"])
    devices = [member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666), member("after", b"x")]
    make_tar("x.tar", devices)
    run(ZNIPPY, "convert", "-f", "x.tar", "new.znippy")
    expect(b"crw-rw-rw-" in must(ZNIPPY, "list", "-l", "new.znippy"), "a device is an entry")
    with open("back.tar", "wb") as out:
        must_out = subprocess.run([ZNIPPY, "convert", "-q", "new.znippy", "-"], stdout=out)
    info = tarfile.open("back.tar").getmember("null")
    expect(must_out.returncode == 0 and info.ischr() and (info.devmajor, info.devminor) == (1, 3), "the device comes back")
    make_tar("x.tar", [])
    expect(converted("x.tar") is None, "a tar without entries")
    make_tar("x.tar", [member("a", b"x" * 600)], end=False)
    refused("a tar without an end", "x.tar", ["1,024 zeros"])
    make_tar("x.tar", [member("a", b"x")])
    with open("x.tar", "ab") as file:
        file.write(b"garbage")
    done = run(ZNIPPY, "convert", "-f", "x.tar", "new.znippy")
    expect(done.returncode == 0 and b"behind the end" in done.stderr, "bytes behind the end", done.stderr)
    for name, data in [("nothing", b""), ("text", b"this is text\n" * 100), ("noise", noise(70000, 3))]:
        write(name, data)
        refused(f"{name} for an archive", name)
    refused("a missing file", "no-such-file")


def damaged():
    make_tar("x.tar", [member("one", b"text" * 5000), member("two", noise(30000, 4)), member("three", b"end")])
    whole = open("x.tar", "rb").read()
    for cut in list(range(100, 52000, 4096)) + [20480 + 512, 51712]:
        write("cut.tar", whole[:cut])
        refused(f"a tar cut at {cut}", "cut.tar")
    write("bad.tar", whole[:3] + b"?" + whole[4:])
    refused("a header that is wrong", "bad.tar")
    at = whole.index(b"two\0")
    write("bad.tar", whole[:at] + b"x" + whole[at + 1:])
    refused("a later header that is wrong", "bad.tar")
    import gzip
    packed = gzip.compress(whole, mtime=0)
    for cut in [20, len(packed) // 2, len(packed) - 9, len(packed) - 4]:
        write("cut.tar.gz", packed[:cut])
        refused(f"a tar.gz cut at {cut}", "cut.tar.gz")
    write("bad.tar.gz", packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:])
    refused("a tar.gz with a wrong checksum", "bad.tar.gz")


def refused_with(what, options, archive, words):
    """As refused(), with options; takes little time and memory too."""
    begin = time.monotonic()
    done = run("sh", "-c", 'ulimit -v "$0"; exec "$@"', MEMORY, ZNIPPY, "convert", *options, archive, "refused.znippy")
    text = done.stderr.decode(errors="replace")
    good = done.returncode == 1 and text.count("\n") == 1 and all(word in text for word in words)
    expect(good, what, f"{done.returncode}, {text!r}")
    expect([name for name in os.listdir(".") if "refused" in name] == [], what, "something is left")
    expect(time.monotonic() - begin < 60, what, "it took a minute")


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, zipfile.ZIP_DEFLATED
            out.writestr(info, data)


def overlapping_zip(path, count, size):
    """Many entries of the directory that all are the same bytes of the file."""
    zip_of(path, [("0000000", b"\0" * size)])
    raw = open(path, "rb").read()
    end = raw.rindex(b"PK\5\6")
    at = int.from_bytes(raw[end + 16:end + 20], "little")
    record = raw[at:end]
    records = b"".join(record.replace(b"0000000", b"%07d" % number) for number in range(count))
    tail = bytearray(raw[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = len(records).to_bytes(4, "little")
    write(path, raw[:at] + records + bytes(tail))


def hostile_tars():
    link = dict(type=tarfile.LNKTYPE)
    for name in ["..", "../../etc/passwd", "a/../../b"]:
        make_tar("x.tar", [member("fine", b"1"), member(name, b"1")])
        refused(f"a tar with {name}", "x.tar", [".."])
    for target in ["../outside", "a/../../x"]:
        make_tar("x.tar", [member("fine", b"1"), member("link", linkname=target, **link)])
        refused(f"a hard link to {target}", "x.tar", ["link"])
    make_tar("x.tar", [member("in", type=tarfile.SYMTYPE, linkname="../out"), member("in/file", b"through")])
    refused("a file through a link", "x.tar", ["in/file"])
    make_tar("x.tar", [member("x" * 300, b"1")])
    refused("a name of 300 bytes", "x.tar", ["xxx"])
    make_tar("x.tar", [member("a/" * 3000 + "b", b"1")])
    refused("a path of 6,000 bytes", "x.tar")
    make_tar("x.tar", [member(f"n{number:05}", linkname=f"n{number - 1:05}", **link) for number in range(20000, 1, -1)] +
             [member("n00001", b"the file")])
    begin = time.monotonic()
    trouble = converted("x.tar")
    expect(trouble is None and os.stat("ours/n20000").st_nlink == 20000, "a chain of 20,000 hard links backwards", trouble)
    expect(time.monotonic() - begin < 60, "the chain", "took a minute")
    make_tar("x.tar", [member("a", linkname="b", **link), member("b", linkname="a", **link)])
    refused("hard links in a circle", "x.tar")
    make_tar("x.tar", [member("a", linkname="late", **link), member("a", b"a file after all"), member("late", b"x")])
    trouble = converted("x.tar")
    expect(trouble is None and open("ours/a", "rb").read() == b"a file after all", "a late link whose name a file takes", trouble)
    # What pax headers may say.
    for key, value in [("size", "-5"), ("size", "9" * 30), ("size", "18446744073709551615"), ("path", ""), ("path", "../x"),
                       ("linkpath", ""), ("mtime", "9" * 40), ("mtime", "nonsense"), ("uid", "-1"),
                       ("GNU.sparse.major", "1"), ("GNU.sparse.map", "0,5,3,5,1,1"), ("GNU.sparse.size", "-1"),
                       ("SCHILY.xattr.user.a", "x" * 70000), ("hdrcharset", "nonsense")]:
        info, data = member("file", b"12345")
        info.pax_headers = {key: value}
        make_tar("x.tar", [(info, data)])
        done = run(ZNIPPY, "convert", "-f", "x.tar", "new.znippy")
        lines = done.stderr.count(b"\n")
        expect(done.returncode in (0, 1) and lines <= 1 + (done.returncode == 0), f"pax {key}={value[:20]}", (done.returncode, done.stderr))
        if done.returncode == 0:
            expect(run(ZNIPPY, "verify", "-q", "new.znippy").returncode == 0, f"pax {key}={value[:20]}", "no sound archive")
    # Holes of exbibytes in a kilobyte: a limit ends it before they are read.
    holes = tarfile.TarInfo("holes")
    holes.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes",
                         "GNU.sparse.realsize": str(1 << 50)}
    holes.size = 512
    make_tar("x.tar", [(holes, b"1\n%d\n0\n".ljust(512, b"\0") % (1 << 50))])
    refused_with("a hole of a pebibyte", ["--untrusted"], "x.tar", ["holes", "max-bytes"])
    make_tar("x.tar", [member(f"{number}", b"") for number in range(200)])
    refused_with("200 entries of 100", ["--max-entries", "100"], "x.tar", ["max-entries"])
    make_tar("x.tar", [member("d/" * 130 + "e", b"")])
    refused_with("130 directories", ["--untrusted"], "x.tar", ["max-depth"])
    import gzip
    with gzip.open("x.tar.gz", "wb", 9) as out:
        head, _ = member("zeros")
        head.size = 1 << 33
        out.write(head.tobuf())
        for _ in range(40):
            out.write(bytes(1 << 20))
    refused_with("a tar.gz of 8 GiB of zeros", ["--max-ratio", "1000"], "x.tar.gz", ["zeros", "max-ratio"])
    make_tar("small.tar", [member(f"d/{number}", noise(number * 50, number)) for number in range(25)] +
             [member("link", linkname="d/3", **link), member("sym", type=tarfile.SYMTYPE, linkname="d")])
    small = open("small.tar", "rb").read()
    for round in range(300):
        dice = random.Random(round)
        raw = bytearray(small)
        for _ in range(dice.randrange(1, 6)):
            raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        write("x.tar", bytes(raw[:dice.randrange(600, len(raw))]))
        done = run(ZNIPPY, "convert", "-f", "--untrusted", "x.tar", "new.znippy")
        good = done.returncode in (0, 1) and (done.returncode == 0 or done.stderr.rstrip().count(b"\n") == 0)
        expect(good, f"a damaged tar, round {round}", (done.returncode, done.stderr[-300:]))


def hostile_zips():
    for name in ["../x", "a/../../x", "a/.."]:
        zip_of("x.zip", [("fine", b"1"), (name, b"1")])
        refused(f"a zip with {name}", "x.zip", [".."])
    zip_of("x.zip", [("/abs", b"1")])
    expect(converted("x.zip") is None and os.path.exists("ours/abs"), "an absolute name in a zip")
    zip_of("x.zip", [("file", b"1"), ("file/below", b"1")])
    refused("an entry below a file in a zip", "x.zip", ["file/below"])
    overlapping_zip("x.zip", 60000, 10 << 20)
    refused_with("a zip whose entries overlap", ["--untrusted"], "x.zip", ["max-ratio"])
    zip_of("x.zip", [("zeros", b"\0" * (30 << 20))])
    refused_with("a zip of zeros", ["--max-bytes", "1000000"], "x.zip", ["zeros", "max-bytes"])
    raw = open("x.zip", "rb").read()
    end = raw.rindex(b"PK\5\6")
    at = int.from_bytes(raw[end + 16:end + 20], "little")
    for said in [5, 0]:  # fewer bytes than there are
        bad = bytearray(raw)
        bad[at + 24:at + 28] = said.to_bytes(4, "little")
        bad[22:26] = said.to_bytes(4, "little")
        write("x.zip", bytes(bad))
        refused_with(f"a zip that says {said} bytes of more", ["--max-bytes", "1000000"], "x.zip", ["zeros"])
    tail = bytearray(raw)
    tail[end + 8:end + 12] = b"\xff\xff\xff\xff"
    write("x.zip", bytes(tail))
    refused("a zip that says 65,535 entries of one", "x.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zip_of("x.zip", [("twice", b"first"), ("twice", b"second")])
    expect(converted("x.zip") is None and open("ours/twice", "rb").read() == b"second", "a name twice in a zip")
    zip_of("plain.zip", [(f"d/{number}", noise(500, number)) for number in range(20)])
    raw = open("plain.zip", "rb").read()
    for round in range(300):
        dice = random.Random(round)
        bad = bytearray(raw)
        for _ in range(dice.randrange(1, 6)):
            bad[dice.randrange(len(bad)) if dice.randrange(2) else dice.randrange(len(bad) * 3 // 4, len(bad))] ^= 1 << dice.randrange(8)
        write("x.zip", bytes(bad[:dice.randrange(len(bad) // 2, len(bad))] if dice.randrange(5) == 0 else bad))
        done = run(ZNIPPY, "convert", "-f", "--untrusted", "x.zip", "new.znippy")
        good = done.returncode in (0, 1) and (done.returncode == 0 or done.stderr.rstrip().count(b"\n") == 0)
        expect(good, f"a damaged zip, round {round}", (done.returncode, done.stderr[-300:]))


def there_and_back():
    """To tar: for three programs, with everything, the same bytes at each number of threads."""
    must(ZNIPPY, "pack", "-qf", "tree", "tree.znippy")
    tars = []
    for threads in ["1", "4"]:
        done = run(ZNIPPY, "convert", "-j", threads, "tree.znippy", "-")
        expect(done.returncode == 0 and done.stderr.startswith(b"tree digest "), "to tar", done.stderr)
        tars.append(done.stdout)
    expect(tars[0] == tars[1], "the bytes of the tar archive")
    write("back.tar", tars[0])
    expect(os.stat("back.tar").st_size < 20 << 20, "holes in the tar archive", os.stat("back.tar").st_size)
    gnu("back.tar", fresh("theirs"))
    compare("to GNU tar", described("tree"), described("theirs"))
    bsd("back.tar", fresh("theirs"))
    os.utime("theirs/old", ns=(-86400_000_000_001, -86400_000_000_001))
    compare("to bsdtar", described("tree", root=False), described("theirs", root=False))
    with tarfile.open("back.tar") as tar:
        names = {member.name.removeprefix("./") for member in tar}
    expect(len(names) == len(described("tree")), "to Python", f"{len(names)}")
    done = run(ZNIPPY, "convert", "-", "again.znippy", input=tars[0])
    digest = done.stdout
    done = run(ZNIPPY, "convert", "-", "-", input=tars[0])
    expect(done.stdout == open("again.znippy", "rb").read() and done.returncode == 0, "an archive on standard output", done.stderr)
    expect(b"tree digest" in digest and run(ZNIPPY, "diff", "--mtime", "tree.znippy", "again.znippy").returncode == 0, "there and back")
    must(ZNIPPY, "convert", "-f", "--profile", "v4", "tree.znippy", "four.znippy")
    must(ZNIPPY, "unpack", *UNPACK, "four.znippy", fresh("theirs"), "--force")
    compare("from version 4 to itself", described("tree"), described("theirs"))
    expect(run(ZNIPPY, "convert", "tree.znippy", "x.tar").returncode == 2, "a tar by name")
    # A reader that goes away ends it, quickly and with code 1.
    reader = subprocess.Popen([ZNIPPY, "convert", "tree.znippy", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader.stdout.read(1000)
    reader.stdout.close()
    expect(reader.wait(timeout=20) == 1, "a pipe that is closed")
    reader.stderr.close()
    full = run("sh", "-c", f"'{ZNIPPY}' convert tree.znippy - > /dev/full")
    expect(full.returncode == 1 and b"No space" in full.stderr, "a full disk", full.stderr)


def cancelled():
    for number in [signal.SIGINT, signal.SIGTERM]:
        job = subprocess.Popen([ZNIPPY, "convert", "-", "refused.znippy"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        job.stdin.write(open("back.tar", "rb").read()[:3 << 20])
        job.stdin.flush()
        time.sleep(0.3)
        job.send_signal(number)
        before = time.monotonic()
        code = job.wait(timeout=20)
        took = time.monotonic() - before
        job.stdin.close()
        left = [name for name in os.listdir(".") if "refused" in name]
        expect(code == 130 and left == [] and took < 5, "a signal while a pipe gives nothing", f"{code}, {left}, {took:.1f} s")
        job.stderr.close()


def attributes():
    """Extended attributes, access control lists and owners, by option."""
    os.mkdir("labels")
    write("labels/file", b"x")
    os.mkdir("labels/dir")
    try:
        os.setxattr("labels/file", "user.one", b"value\0with NUL")
        must("setfacl", "-m", "u:1234:rw,g:77:r", "labels/file")
        must("setfacl", "-d", "-m", "u:1234:rx", "labels/dir")
    except (OSError, RuntimeError) as error:
        print(f"skipped attributes: {error}")
        return
    if os.getuid() == 0:
        os.chown("labels/file", 1001, 1002)
    options = ["--acls", "--xattrs", "--xattrs-include=*"]
    must("tar", "--format=pax", *options, "-cf", "x.tar", "-C", "labels", ".")
    how = dict(convert=["--xattrs", "--set", "record-ids=1"], restore=["--xattrs", "all"] +
               (["--set", "restore-ids=1"] if os.getuid() == 0 else []))
    same("attributes of GNU tar", "x.tar", gnu, **how, xattrs=True, owners=True)
    expect("user.one" in os.listxattr("ours/file"), "they are there")
    must("bsdtar", "--format", "pax", "--acls", "--xattrs", "-cf", "x.tar", "-C", "labels", ".")
    same("attributes of bsdtar", "x.tar", lambda archive, directory: must("cp", "-a", "labels/.", directory), **how, xattrs=True, owners=True)
    done = run(ZNIPPY, "convert", "-q", "new.znippy", "-")
    write("back.tar", done.stdout)
    gnu("back.tar", fresh("theirs"))
    compare("attributes to GNU tar", described("labels", xattrs=True, owners=True), described("theirs", xattrs=True, owners=True))
    expect(converted("x.tar", unpack=["--xattrs", "all"]) is None and os.listxattr("ours/file") == [], "none without --xattrs")


def real_trees(trees):
    for tree in trees:
        copy = fresh("real")
        must("cp", "-a", f"{tree}/.", copy)
        must(ZNIPPY, "pack", "-qf", "--set", "record-ids=1", copy, "real.znippy")
        digest = [line for line in must(ZNIPPY, "info", "real.znippy").decode().splitlines() if line.startswith("tree digest")][0].split()[-1]
        for what, command in [("GNU tar", ["tar", "--format=pax", "-cf"]), ("GNU tar, zstd", ["tar", "--format=gnu", "--zstd", "-cf"]),
                              ("bsdtar", ["bsdtar", "--format", "pax", "-cf"])]:
            must(*command, "real.tar", "-C", copy, ".", env=dict(os.environ, LC_ALL="C.UTF-8"))
            done = run(ZNIPPY, "convert", "-f", "real.tar", "new.znippy")
            expect(done.stdout.decode().split()[-1:] == [digest], f"{tree} by {what}", done.stderr)
        with tarfile.open("real.tar", "w", format=tarfile.PAX_FORMAT) as out:
            out.add(copy, ".")
        done = run(ZNIPPY, "convert", "-f", "real.tar", "new.znippy")
        expect(done.stdout.decode().split()[-1:] == [digest], f"{tree} by Python", done.stderr)
        if os.path.exists("real.zip"):
            os.remove("real.zip")
        must("zip", "-qry", "../real.zip", ".", cwd=copy)
        same(f"{tree} by zip", "real.zip", unzip, times="seconds", root=False, links=False)
        done = run("sh", "-c", f"mkdir back && '{ZNIPPY}' convert -q real.znippy - | tar -xp -C back")
        expect(done.returncode == 0, f"{tree} to tar", done.stderr)
        compare(f"{tree} to tar", described(copy, owners=os.getuid() == 0), described("back", owners=os.getuid() == 0))
        shutil.rmtree("back")


def main():
    for program in ["tar", "bsdtar", "zip", "unzip"]:
        if not shutil.which(program):
            print(f"{program} is missing")
            return 77
    probe = run(ZNIPPY, "convert", "-", "x", input=b"x")
    if b"built without" in probe.stderr:
        print(probe.stderr.decode())
        return 77
    os.environ["LC_ALL"] = "C"
    os.umask(0o022)
    work = tempfile.mkdtemp(prefix="convert-")
    os.chdir(work)
    try:
        make_tree("tree")
        make_tree("plain", plain=True)
        shutil.copytree("plain", "zips", symlinks=True, ignore=lambda _, names: [name for name in names if "raw" in os.fsencode(name).decode("latin-1") or name == "fifo" or "\n" in name])
        os.chmod("zips/void", 0o755)  # unzip drops the sticky bit
        steps = [tar_formats, zips, odd_tars, damaged, hostile_tars, hostile_zips, there_and_back, cancelled, attributes, lambda: real_trees(sys.argv[2:])]
        for step in steps:
            step()
    finally:
        os.chdir("/")
        run("chmod", "-R", "u+rwx", work)
        shutil.rmtree(work, ignore_errors=True)
    print(f"{checks} checks, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
