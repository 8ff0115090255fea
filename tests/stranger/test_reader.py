"""Packs trees with the command-line tool and reads the archives with reader.py, which knows docs/FORMAT.md only.

ZNIPPY names the tool; without it, build/bin/znippy of the source tree is taken.
"""

import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import reader  # noqa: E402  the path must be set first

TOOL = os.environ.get("ZNIPPY") or os.path.join(ROOT, "build", "bin", "znippy")
MIB = 1 << 20
RUNS = {
    "default": [],
    "plain-index": ["--set", "plain-index=1"],
    "preset small": ["--preset", "small"],
    "level 1": ["-l", "1"],
    "block-size 64 KiB": ["--set", "block-size=65536"],
    "slice-size 64 KiB": ["--set", "slice-size=65536", "--set", "small-file=65536"],
    "no small files": ["--set", "small-file=0", "--set", "plain-index=1"],
    "order, no-skip": ["--set", "order=1", "--set", "no-skip=1"],
    "record-ids": ["--set", "record-ids=1"],
    "recovery": ["--set", "recovery=1", "--set", "block-size=65536"],
}

passed = failed = 0


def check(condition, what, detail=""):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print("FAILED: %s%s" % (what, ": %s" % detail if detail != "" else ""))
    return condition


def refuses(action, what):
    """`action` must end in a FormatError; any other exception is a bug of the reader."""
    try:
        action()
    except reader.FormatError:
        return check(True, what)
    except Exception as error:  # noqa: BLE001
        return check(False, what, "%s: %s" % (type(error).__name__, error))
    return check(False, what, "accepted")


# --- trees -----------------------------------------------------------------------------------------------------------


class Tree:
    def __init__(self, root, seed):
        self.root, self.random, self.made = os.fsencode(root), random.Random(seed), []
        os.mkdir(self.root)

    def at(self, path):
        return os.path.join(self.root, path)

    def directory(self, path, mode=0o755):
        os.mkdir(self.at(path))
        self.made.append((path, mode))

    def file(self, path, data=b"", mode=0o644):
        with open(self.at(path), "wb") as out:
            out.write(data)
        self.made.append((path, mode))

    def sparse(self, path, size, pieces):
        with open(self.at(path), "wb") as out:
            os.truncate(out.fileno(), size)
            for offset, data in pieces:
                os.pwrite(out.fileno(), data, offset)
        self.made.append((path, 0o644))

    def symlink(self, path, target):
        os.symlink(target, self.at(path))
        self.made.append((path, None))

    def special(self, path, make, mode=0o640):
        """What the system or the rights may not allow."""
        try:
            make(self.at(path))
        except (OSError, AttributeError) as error:
            print("left out: %r: %s" % (path, error))
            return
        self.made.append((path, mode))

    def finish(self):
        """Modes and times; the deepest paths first, since a new name changes its directory's time."""
        for path, mode in sorted(self.made, key=lambda item: -item[0].count(b"/")):
            if mode is not None:
                os.chmod(self.at(path), mode)
            nanoseconds = self.random.randrange(-10**18, 2 * 10**18)
            os.utime(self.at(path), ns=(nanoseconds, nanoseconds), follow_symlinks=False)
        os.chmod(self.root, 0o750)
        os.utime(self.root, ns=(1600000000123456789, 1600000000123456789))


def socket_at(path):
    before = os.getcwd()
    os.chdir(os.path.dirname(path))                                 # the name of a socket is 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(os.path.basename(path))
    finally:
        os.chdir(before)


def oddities(tree):
    """One of everything, small."""
    tree.directory(b"dir")
    tree.directory(b"dir/empty", 0o700)
    tree.directory(b"dir/deep")
    tree.directory(b"dir/deep/er", 0o1777)
    tree.directory(b"dir-ectory")                                   # comes before dir/..., since - is less than /
    tree.file(b"dir-ectory/x", b"x")
    tree.file(b"dir/deep/er/file", b"deep\n")
    tree.file(b"dir.txt", b"between dir- and dir/ in byte order\n")
    tree.file(b"empty")
    tree.file(b"dir/empty file", mode=0o600)
    for mode in (0o400, 0o444, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
        tree.file(b"mode-%04o" % mode, b"%o" % mode, mode)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        tree.file(b"mode-0000", b"nothing", 0)
    tree.file("größe-日本-🙂".encode(), b"utf-8")
    tree.file(b"back\\slash", b"1")
    tree.file(b"line\nfeed and \x01", b"2")
    tree.file(b" ", b"3")
    tree.file(b"n" * 255, b"4")
    tree.file(b"\\xff", b"the escape of the next name")
    for name in (b"\xff", b"a\\\xff", b"\xc3", b"\xc3\x28", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                 "ü".encode() + b"\xfe" + "é".encode(), b"\xc0\x80"):
        tree.special(name, lambda path: open(path, "xb").close())
    tree.special(b"dir/\xe9", os.mkdir, 0o750)
    tree.special(b"dir/\xe9/latin-1 \xe4", lambda path: os.symlink(b"\xff\xfe", path), None)
    tree.symlink(b"link", b"empty")
    tree.symlink(b"link-dangling", b"no/such/target")
    tree.symlink(b"link-to-dir", b"dir/deep")
    tree.symlink(b"link-absolute", b"/nonexistent/\xff")
    tree.symlink(b"link-loop", b"link-loop")
    tree.file(b"hard-b", b"a file with three names\n")
    for name in (b"hard-a", b"dir/hard-c"):
        tree.special(name, lambda path: os.link(tree.at(b"hard-b"), path))
    tree.file(b"hard-empty-1")
    tree.special(b"hard-empty-2", lambda path: os.link(tree.at(b"hard-empty-1"), path))
    tree.special(b"fifo", os.mkfifo)
    tree.special(b"socket", socket_at)
    tree.special(b"char-device", lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)))
    tree.special(b"block-device", lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(259, 0x12345)))


def text(generator, size):
    words = [b"payload", b"manifest", b"segment", b"slice", b"block", b"%d" % generator.randrange(10**6), b"\n"]
    return b" ".join(generator.choices(words, k=size // 5))[:size].ljust(size, b".")


def small_tree(root):
    """Everything in some hundred KiB, for damage."""
    tree = Tree(root, 1)
    oddities(tree)
    tree.file(b"text", text(tree.random, 300000))
    tree.file(b"random", tree.random.randbytes(70000))
    tree.file(b"twin-1", b"the same bytes\n" * 9)
    tree.file(b"twin-2", b"the same bytes\n" * 9)
    tree.sparse(b"sparse", 1 * MIB, [(0, b"start"), (300000, text(tree.random, 100000))])
    tree.finish()


def big_tree(root):
    tree = Tree(root, 2)
    oddities(tree)
    # So many entries that a segment ends within the slices of the files behind them, where slices are small.
    tree.directory(b"a-many")
    for i in range(7880):
        if i % 500 == 0:
            tree.directory(b"a-many/%02d" % (i // 500))
        size = tree.random.choice((0, 1, 7, 100, 100, 1000, 3000))
        data = b"twins" * (size // 5) if i % 10 == 0 else tree.random.randbytes(size // 2) + bytes(size - size // 2)
        tree.file(b"a-many/%02d/f%04d.%s" % (i // 500, i, (b"c", b"h", b"txt")[i % 3]), data)
    tree.directory(b"y-many")
    for i in range(400):
        tree.file(b"y-many/%03d" % i, b"%d" % i)
    tree.file(b"b-big-random", tree.random.randbytes(9 * MIB))
    tree.file(b"b-big-text", text(tree.random, 10 * MIB))
    tree.special(b"z-hard-big", lambda path: os.link(tree.at(b"b-big-text"), path))
    tree.file(b"big-twin", b"".join(open(tree.at(b"b-big-random"), "rb").readlines()))
    tree.file(b"just-4-MiB", text(tree.random, 4 * MIB))
    tree.file(b"4-MiB-and-1", text(tree.random, 4 * MIB + 1))
    tree.file(b"all-zeros", bytes(5 * MIB))
    tree.file(b"packed.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + tree.random.randbytes(200000))
    tree.sparse(b"sparse", 12 * MIB, [(0, text(tree.random, 100000)), (5 * MIB, tree.random.randbytes(MIB + 1))])
    tree.sparse(b"sparse-start", 6 * MIB, [(5 * MIB, text(tree.random, MIB))])
    tree.sparse(b"sparse-small", 700000, [(200000, b"x" * 5000), (500000, b"y" * 5000)])
    tree.special(b"sparse-z-hard", lambda path: os.link(tree.at(b"sparse"), path))
    tree.sparse(b"hole", 64 * MIB, [])
    tree.sparse(b"hole-small", 10000, [])
    tree.finish()


def has_hole(path):
    """Whether the file system tells of a hole in the file."""
    with open(path, "rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE) < os.fstat(file.fileno()).st_size


KIND_OF = {
    stat.S_IFREG: reader.FILE, stat.S_IFDIR: reader.DIRECTORY, stat.S_IFLNK: reader.SYMLINK, stat.S_IFIFO: reader.FIFO,
    stat.S_IFCHR: reader.CHAR_DEVICE, stat.S_IFBLK: reader.BLOCK_DEVICE, stat.S_IFSOCK: reader.SOCKET,
}


def scan(root):
    """{path: (kind, stat, target)} of a tree, by lstat."""
    root, found = os.fsencode(root), {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            full = os.path.join(directory, name)
            found[os.path.relpath(full, root)] = os.lstat(full)
    tree, names = {}, {}
    for path in sorted(found):
        status = found[path]
        kind, target = KIND_OF[stat.S_IFMT(status.st_mode)], None
        if kind == reader.SYMLINK:
            target = os.readlink(os.path.join(root, path))
        elif kind == reader.FILE and status.st_nlink > 1:
            first = names.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                kind, target = reader.HARD_LINK, first
        tree[path] = kind, status, target
    return tree


# --- comparing -------------------------------------------------------------------------------------------------------


def pack(source, archive, options):
    """Packs by the tool; the last thing it prints may be anything."""
    done = subprocess.run([TOOL, "pack", source, archive, *options], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    return check(done.returncode == 0, "pack %s" % " ".join(options),
                 done.stderr.decode("utf-8", "replace")[-2000:])


def compare(name, archive, root, ids=False):
    """Every entry of the archive against the tree."""
    tree = scan(root)
    wrong = {key: [] for key in ("kind", "mode", "mtime", "target", "size", "bytes", "rdev", "ids")}
    entries = list(archive.entries())
    paths = [path for path, _ in entries]
    check(paths == sorted(tree), "%s: paths" % name, sorted(set(paths) ^ set(tree))[:5])
    check(archive.entry_count == len(tree), "%s: number of entries" % name)
    for path, rows in entries:
        if path not in tree:
            continue
        kind, status, target = tree[path]
        row, symlink = rows[0], kind == reader.SYMLINK
        if row.kind != kind:
            wrong["kind"].append((path, row.kind, kind))
            continue
        if row.mode != (None if symlink else stat.S_IMODE(status.st_mode)):
            wrong["mode"].append((path, row.mode))
        if row.mtime_ns != status.st_mtime_ns:
            wrong["mtime"].append((path, row.mtime_ns, status.st_mtime_ns))
        if row.link_target != target:
            wrong["target"].append((path, row.link_target, target))
        if (row.uid, row.gid) != ((status.st_uid, status.st_gid) if ids else (None, None)):
            wrong["ids"].append((path, row.uid, row.gid))
        if kind in (reader.CHAR_DEVICE, reader.BLOCK_DEVICE) and row.rdev != device_number(status.st_rdev):
            wrong["rdev"].append((path, row.rdev))
        if kind in (reader.FILE, reader.HARD_LINK):
            if row.file_size != status.st_size:
                wrong["size"].append((path, row.file_size, status.st_size))
            elif not same_bytes(archive, rows, os.path.join(os.fsencode(root), path)):
                wrong["bytes"].append(path)
    for key, values in wrong.items():
        check(not values, "%s: %s" % (name, key), values[:3])
    status = os.stat(root)
    check(archive.metadata.get("root_mode") == "%o" % stat.S_IMODE(status.st_mode), "%s: root_mode" % name)
    check(archive.metadata.get("root_mtime_ns") == "%d" % status.st_mtime_ns, "%s: root_mtime_ns" % name)
    return tree, entries


def device_number(number):
    """The number of section 6.3."""
    a, b = os.major(number), os.minor(number)
    return (b & 0xff) | (a & 0xfff) << 8 | (b & 0xffffff00) << 12 | (a & 0xfffff000) << 32


def same_bytes(archive, rows, path):
    with open(path, "rb") as file:
        for piece in archive.pieces(rows):
            if file.read(len(piece)) != piece:
                return False
        return file.read(1) == b""


def content_of(archive):
    """All that the archive says, for comparing it with what a damaged copy says."""
    return [(path, rows, archive.read_rows(rows) if rows[0].kind in (reader.FILE, reader.HARD_LINK) else None)
            for path, rows in archive.entries()]


def tool_digest(archive):
    """The tree digest as `znippy info --json` prints it; None where it prints none."""
    done = subprocess.run([TOOL, "info", "--json", archive], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        return find_digest(json.loads(done.stdout))
    except ValueError:
        return None


def find_digest(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if re.fullmatch(r"tree[-_ ]?digest", key, re.IGNORECASE) and isinstance(inner, str):
                return inner.lower()
        value = list(value.values())
    if isinstance(value, list):
        return next(filter(None, map(find_digest, value)), None)
    return None


# --- the tests -------------------------------------------------------------------------------------------------------


def test_example():
    """The fixture against the tables that FORMAT.md prints of it."""
    with open(os.path.join(ROOT, "docs", "FORMAT.md"), encoding="utf-8") as file:
        document = file.read()
    hashes = dict(re.findall(r"^\| ([^|]+) \| `([0-9a-f]{64})` \|$", document, re.MULTILINE))
    with reader.Archive(os.path.join(ROOT, "tests", "fixtures", "format-4-example.znippy")) as archive:
        check(archive.verify() == 5, "example: verify")
        check(archive.archive_digest.hex() == hashes.get("archive digest"), "example: archive digest")
        check(archive.tree_digest().hex() == hashes.get("tree digest"), "example: tree digest")
        check(archive.blob_table()[0][3].hex() == hashes.get("BLAKE3 of blob 0"), "example: hash of blob 0")
        for path, data in ((b"d/hello.txt", b"hello\n"), (b"d/world.txt", b"world\n"), (b"empty", b"")):
            check(archive.read_file(path) == data, "example: %r" % path)
            check(archive.find(path)[0].checksum.hex() == hashes.get("checksum of `%s`" % path.decode()),
                  "example: checksum of %r" % path)
    for path, escaped in ((b"a\\\xff", "a\\\\\\xff"), (b"\xff", "\\xff"), (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
                          ("ü".encode() + b"\xe2\x82", "ü\\xe2\\x82")):
        check(reader.escape(path) == escaped, "escape of %r" % path)


def test_empty(work):
    source, archive = os.path.join(work, "nothing"), os.path.join(work, "nothing.znippy")
    os.mkdir(source)
    if not pack(source, archive, []):
        return
    with reader.Archive(archive) as opened:
        check(opened.verify() == 0, "empty directory: verify")
        check(not opened.segments and opened.payload_end == 16, "empty directory: no segments and no payload")
        check(opened.tree_digest() == reader.hash_of(b"znippy tree digest 1\n"), "empty directory: tree digest")


def test_big(work):
    root = os.path.join(work, "big")
    big_tree(root)
    digests, spanning = {}, 0
    for number, (name, options) in enumerate(RUNS.items()):
        path = os.path.join(work, "big-%d.znippy" % number)
        if not pack(root, path, options):
            continue
        with reader.Archive(path) as archive:
            try:
                check(archive.verify() == archive.entry_count, "%s: verify" % name)
                tree, entries = compare(name, archive, root, ids="record-ids=1" in options)
            except reader.FormatError as error:
                check(False, "%s: reads" % name, error)
                continue
            digests[name] = archive.tree_digest()
            check(all((part.index_raw_len == 0) == ("plain-index=1" in options) for part in archive.segments),
                  "%s: plain segments where wanted" % name)
            check(len(archive.segments) > 1, "%s: several segments" % name)
            spanning += sum(archive.segment(i)[0].chunk_seq > 0 for i in range(len(archive.segments)))
            codecs = {row.codec for _, rows in entries for row in rows if row.uncompressed_size}
            check(codecs == {reader.STORED, reader.ZSTD}, "%s: stored and zstd blocks" % name, codecs)
            everything = dict(entries)
            for sparse in (b"sparse", b"sparse-start", b"hole"):
                stored = sum(row.uncompressed_size for row in everything[sparse])
                if has_hole(os.path.join(os.fsencode(root), sparse)):
                    check(stored < tree[sparse][1].st_size, "%s: %r has a hole" % (name, sparse))
            places = {(row.blob_offset, row.block_offset) for row in everything[b"b-big-random"]}
            check(places == {(row.blob_offset, row.block_offset) for row in everything[b"big-twin"]},
                  "%s: a duplicate has no bytes of its own" % name)
            generator = random.Random(number)
            for _ in range(20):
                file = generator.choice([b"b-big-text", b"b-big-random", b"sparse", b"packed.gz", b"dir.txt", b"hole"])
                offset, length = generator.randrange(tree[file][1].st_size), generator.randrange(300000)
                with open(os.path.join(os.fsencode(root), file), "rb") as source:
                    source.seek(offset)
                    wanted = source.read(length)
                check(archive.read_range(file, offset, length) == wanted, "%s: a part of %r" % (name, file))
            finds = list(everything) if number == 5 else generator.sample(list(everything), 300)
            check(all(archive.find(file) == everything[file] for file in sorted(finds)), "%s: find" % name)
            missing = 0
            for file in (b"", b"nothing", b"a-many/00/f0000.c/x", b"\xff\xff\xff", b"a-many/00/f0000"):
                try:
                    archive.find(file)
                except KeyError:
                    missing += 1
            check(missing == 5, "%s: paths that are not there" % name)
        check(tool_digest(path) == digests[name].hex(), "%s: the tool's tree digest" % name)
    check(len(set(digests.values())) == 1, "all tree digests are equal", len(set(digests.values())))
    check(spanning > 0, "an entry goes on in the next segment in one of the runs")
    shutil.rmtree(root)


def test_fragments(work):
    """A file of so many pieces that a whole segment holds nothing but its later rows (6.6, 7.2)."""
    root, path = os.path.join(work, "fragments"), os.path.join(work, "fragments.znippy")
    tree, count, stride = Tree(root, 3), 17000, 128 * 1024
    tree.sparse(b"a-probe", MIB, [])
    if not has_hole(tree.at(b"a-probe")):
        print("left out: the file system has no holes")
        return
    tree.sparse(b"b-pieces", (count + 1) * stride, [(i * stride, (b"%d " % i).ljust(4096, b"z")) for i in range(count)])
    tree.file(b"c", b"behind")
    tree.finish()
    if not pack(root, path, ["-l", "1"]):
        return
    with reader.Archive(path) as archive:
        check(archive.verify() == 3, "fragments: verify")
        compare("fragments", archive, root)
        check(any(part.entry_count == 0 for part in archive.segments), "fragments: a segment in which no entry starts")
        check(archive.read_file(b"c") == b"behind", "fragments: the file behind")
        check(archive.read_range(b"b-pieces", 9000 * stride - 3, 10) == bytes(3) + b"9000 zz", "fragments: a part")
        check(archive.read_range(b"b-pieces", count * stride, 10) == bytes(10), "fragments: the hole at the end")
    shutil.rmtree(root)


def test_damage(work):
    """A flipped bit anywhere is found: every byte is a constant or under a hash (8.1)."""
    root = os.path.join(work, "small")
    small_tree(root)
    generator, label = random.Random(300), "label of the packer"
    for number, (options, flips) in enumerate((([], 100), (["--set", "plain-index=1"], 100),
                                               (["--preset", "random", "--set", "repo=" + label], 100))):
        path = os.path.join(work, "small-%d.znippy" % number)
        if not pack(root, path, options):
            continue
        name = "small tree %s" % " ".join(options)
        with open(path, "rb") as file:
            data = bytearray(file.read())
        archive = reader.Archive(data)
        check(archive.verify() == archive.entry_count, "%s: verify" % name)
        compare(name, archive, root)
        repos = {rows[0].repo for _, rows in archive.entries()}
        check(repos == {label if number == 2 else None}, "%s: repo" % name, repos)
        content = content_of(archive)
        places = [generator.randrange(len(data)) for _ in range(flips)]
        # Places that chance hardly hits: head, blob table, padding, trailer, footer.
        places += [*range(16), *range(len(data) - 72, len(data)), *range(archive.payload_end, archive.payload_end + 12)]
        places += [at for offset, length in archive.gaps for at in range(offset, offset + length)]
        for at in places:
            bit = 1 << generator.randrange(8)
            data[at] ^= bit
            refuses(lambda: reader.Archive(data).verify(), "%s: damage at %d" % (name, at))
            try:                                                    # reading alone: right or refused, never wrong
                check(content_of(reader.Archive(data)) == content, "%s: read with damage at %d" % (name, at))
            except reader.FormatError:
                check(True, "refused")
            data[at] ^= bit
        lengths = [0, 1, 15, 16, 71, 72, 87, 88, len(data) - 1] + [generator.randrange(len(data)) for _ in range(20)]
        for length in lengths:
            refuses(lambda: reader.Archive(bytes(data[:length])).verify(), "%s: cut at %d" % (name, length))
        for more in (b"\0", bytes(64), bytes(data)):
            # Something behind the footer, or in front of the head: found at the latest by verify.
            if more != bytes(data):
                refuses(lambda: reader.Archive(bytes(data) + more).verify(), "%s: more behind the end" % name)
            refuses(lambda: reader.Archive(more + bytes(data)).verify(), "%s: more before the start" % name)
    shutil.rmtree(root)


def main():
    if not os.access(TOOL, os.X_OK):
        print("no tool at %s" % TOOL)
        return 2
    with tempfile.TemporaryDirectory(prefix="znippy-stranger-") as work:
        test_example()
        test_empty(work)
        test_damage(work)
        test_fragments(work)
        test_big(work)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
