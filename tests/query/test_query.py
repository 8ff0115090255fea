"""The three questions of c_examples/query.py, answered by every engine, are what the tree itself says."""

import gzip
import hashlib
import io
import json
import os
import random
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
QUERY = ROOT / "c_examples" / "query.py"
sys.path.insert(0, str(QUERY.parent))
sys.dont_write_bytecode = True

import query  # noqa: E402

import duckdb  # noqa: E402
import polars  # noqa: E402
import pyarrow  # noqa: E402
import pyarrow.compute  # noqa: E402


def regular_files(tree):
    """Path and bytes of every regular file; of hard links the first by name, as the archive has it."""
    found, seen = [], set()
    names = [os.path.join(folder, name) for folder, _, files in os.walk(tree) for name in files]
    for name in sorted(names, key=os.fsencode):
        facts = os.lstat(name)
        if not stat.S_ISREG(facts.st_mode) or (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        found.append((os.path.relpath(name, tree), Path(name).read_bytes()))
    return found


def expected(tree):
    """The answers, from the files alone."""
    files = regular_files(tree)
    largest = sorted(((len(data), path) for path, data in files), key=lambda pair: (-pair[0], os.fsencode(pair[1])))
    copies = defaultdict(list)
    counts, sizes = Counter(), Counter()
    for path, data in files:
        copies[hashlib.sha256(data).digest()].append(len(data))
        extension = os.path.splitext(os.path.basename(path))[1].lstrip(".")
        counts[extension] += 1
        sizes[extension] += len(data)
    return {
        "largest": [[path, size] for size, path in largest[:10]],
        "duplicate_bytes": sum(size for group in copies.values() for size in group[1:]),
        "extensions": [[name, counts[name], sizes[name]] for name in sorted(counts, key=os.fsencode)],
    }


def make_tree(tree, files):
    """Sizes of all kinds, copies, hard and symbolic links, empty files, and names that ask for care."""
    chance = random.Random(files)
    kinds = ["c", "h", "txt", "tar.gz", "PNG", "ü", None]
    contents = [chance.randbytes(chance.randrange(3000)) for _ in range(files // 3 + 1)]
    for i in range(files):
        kind = chance.choice(kinds)
        folder = tree / f"dir.{i % 17}" / f"sub{i % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (f"file{i}" + (f".{kind}" if kind else ""))).write_bytes(chance.choice(contents))
    for name in (".hidden", ".hidden.conf", "ends-with-dot.", "no-extension", "line\nbreak.txt", "it's.sql", "empty.c"):
        (tree / name).write_bytes(b"" if name == "empty.c" else name.encode())
    # Of several slices, and so with a hash of their own.
    big = chance.randbytes(9 << 20)
    for name in ("big.bin", "copy-of-big.bin"):
        (tree / name).write_bytes(big)
    os.link(tree / "big.bin", tree / "linked.bin")
    os.symlink("big.bin", tree / "points.bin")


class Queries(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tree = Path(self.folder.name) / "tree"
        self.archive = Path(self.folder.name) / "tree.znippy"
        self.tree.mkdir()
        self.addCleanup(self.folder.cleanup)

    def pack(self, *options):
        command = [os.environ["ZNIPPY"], "pack", *options, str(self.tree), str(self.archive)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def check(self):
        wanted = expected(self.tree)
        found = query.answers(self.archive)
        self.assertEqual(sorted(found), ["duckdb", "polars", "pyarrow"])
        for engine, of_engine in found.items():
            with self.subTest(engine=engine):
                for question, answer in of_engine.items():
                    self.assertEqual(answer, wanted[question], question)
        return wanted

    def test_tree_of_one_segment(self):
        make_tree(self.tree, 500)
        self.pack()
        wanted = self.check()
        self.assertGreater(wanted["duplicate_bytes"], 9 << 20)
        self.assertGreater(len(wanted["extensions"]), 8)

    def test_tree_of_several_segments(self):
        make_tree(self.tree, 20000)
        self.pack()
        self.check()
        batches = list(query.Index(self.archive).reader())
        self.assertGreater(len(batches), 2)

    def test_sources_of_this_project(self):
        sources = ROOT / "src"
        self.tree.rmdir()
        self.tree.symlink_to(sources)
        self.tree = sources
        self.pack()
        self.check()

    def test_empty_tree(self):
        self.pack()
        self.assertEqual(self.check()["extensions"], [])

    def test_command(self):
        make_tree(self.tree, 30)
        self.pack()
        command = [sys.executable, str(QUERY), "--json", str(self.archive)]
        printed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for engine in ("duckdb", "polars", "pyarrow"):
            self.assertEqual(printed[engine], expected(self.tree))
        text = subprocess.run([sys.executable, str(QUERY), str(self.archive)], check=True, capture_output=True)
        self.assertEqual(text.stdout.count(b"big.bin"), 6)
        failed = subprocess.run([sys.executable, str(QUERY), str(self.tree)], capture_output=True)
        self.assertEqual(failed.returncode, 1)
        self.assertIn(b"not a regular file", failed.stderr)
        self.assertEqual(subprocess.run([sys.executable, str(QUERY)], capture_output=True).returncode, 2)

    def test_engines_take_the_index_itself(self):
        make_tree(self.tree, 60)
        self.pack()
        index = query.Index(self.archive)
        rows = pyarrow.table(index).num_rows
        self.assertEqual(polars.DataFrame(index).height, rows)
        for _ in range(2):  # each scan gets a stream of its own
            self.assertEqual(duckdb.sql("SELECT count(*) FROM index").fetchall(), [(rows,)])
        metadata = pyarrow.RecordBatchReader.from_stream(index).schema.metadata
        self.assertEqual(metadata[b"znippy_format_version"], b"4")

    def test_document_shows_what_works(self):
        make_tree(self.tree, 60)
        self.pack()
        text = (ROOT / "docs" / "QUERY.md").read_text()
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.assertEqual(len(blocks), 4)
        program = "\n".join(blocks).replace("project.znippy", str(self.archive)) + "\nassert rows == table.num_rows > 60\n"
        environment = {**os.environ, "PYTHONPATH": str(QUERY.parent)}
        shown = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
        self.assertIn(b"big.bin", shown.stdout)

    def test_streams_outlive_the_index_and_are_shared_by_threads(self):
        make_tree(self.tree, 9000)
        self.pack()
        index = query.Index(self.archive)
        total = pyarrow.table(index).num_rows
        streams = [index.reader() for _ in range(4)]
        index.close()
        rows = []
        threads = [threading.Thread(target=lambda s=stream: rows.append(s.read_all().num_rows)) for stream in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(rows, [total] * 4)

    def test_damage_is_an_error_of_the_stream(self):
        make_tree(self.tree, 9000)
        self.pack("--set", "plain-index=1")
        data = bytearray(self.archive.read_bytes())
        # The name of a file that stands in the index, and in no file.
        at = data.index(b"dir.16/sub1/file")
        data[at] ^= 1
        self.archive.write_bytes(data)
        with self.assertRaisesRegex(OSError, "an index segment is damaged"):
            query.Index(self.archive).reader().read_all()
        failed = subprocess.run([sys.executable, str(QUERY), str(self.archive)], capture_output=True)
        self.assertEqual(failed.returncode, 1)
        self.assertIn(b"an index segment is damaged", failed.stderr)
        self.assertNotIn(b"Traceback", failed.stderr)
        for engine, ask in query.ENGINES.items():
            with self.subTest(engine=engine), self.assertRaisesRegex(Exception, "an index segment is damaged"):
                ask(query.Index(self.archive))


def make_crate(path, name, version, manifest=None, directory=None):
    """A package of Rust source as cargo makes them: a gzipped tar file with one directory."""
    directory = directory or f"{name}-{version}"
    text = manifest or f'# made by cargo\n[package]\nedition = "2021"\nname = "{name}"\nversion = "{version}"\n'
    with tarfile.open(path, "w:gz") as crate:
        for inner, data in (("src/lib.rs", b"// " * 9000), ("Cargo.toml", text.encode()), ("README.md", b"x" * 600)):
            member = tarfile.TarInfo(f"{directory}/{inner}")
            member.size = len(data)
            crate.addfile(member, io.BytesIO(data))


@unittest.skipUnless(os.access(os.environ.get("PROVIDER_CRATE", ""), os.X_OK), "the example is not built (no zlib)")
class CratesByProvider(unittest.TestCase):
    """The columns of c_examples/provider_crate.c, through Arrow."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        tree = Path(self.folder.name) / "tree"
        (tree / "deep" / "below").mkdir(parents=True)
        self.wanted = []
        for i in range(300):
            name, version = f"crate_{i % 70}", f"{i // 70}.{i}.0-rc.{i}+build"
            path = tree / ("deep/below" if i % 2 else "deep") / f"{name}-{version}.crate"
            make_crate(path, name, version)
            self.wanted.append([name, version, str(path.relative_to(tree))])
        self.wanted.sort()
        # Nobody claims these: another name or version inside, no manifest, no tar, no gzip, a bomb, nothing.
        make_crate(tree / "other-1.0.0.crate", "another", "1.0.0")
        make_crate(tree / "older-1.0.1.crate", "older", "1.0.0", directory="older-1.0.1")
        make_crate(tree / "bare-1.0.0.crate", "bare", "1.0.0", manifest="[dependencies]\nname = \"bare\"\n")
        (tree / "text-1.0.0.crate").write_bytes(gzip.compress(b"text\n" * 500))
        (tree / "plain-1.0.0.crate").write_bytes(b"plain")
        (tree / "bomb-1.0.0.crate").write_bytes(gzip.compress(b"\1" * (3 << 20)))
        (tree / "cut-1.0.0.crate").write_bytes(gzip.compress(b"\1" * 3000)[:-20])
        (tree / "empty-1.0.0.crate").write_bytes(b"")
        (tree / ".crate").write_bytes(b"x")
        (tree / "notes.txt").write_text("crate_0")
        archive = Path(self.folder.name) / "crates.znippy"
        command = [os.environ["PROVIDER_CRATE"], str(tree), str(archive)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        self.index = query.Index(archive)
        self.addCleanup(self.index.close)

    def test_duckdb(self):
        index = self.index  # noqa: F841  DuckDB finds it by its name
        found = duckdb.sql("""
            SELECT crate_name, crate_version, relative_path FROM index WHERE pkg_type = 1 ORDER BY ALL""").fetchall()
        self.assertEqual([list(row) for row in found], self.wanted)
        rest = duckdb.sql("SELECT count(crate_name), count(crate_version), count(*) FROM index WHERE pkg_type IS NULL")
        self.assertEqual(rest.fetchall(), [(0, 0, 12)])

    def test_pyarrow_and_polars(self):
        names = ["crate_name", "crate_version", "relative_path"]
        table = pyarrow.table(self.index)
        self.assertEqual(table.schema.field("crate_name").type, pyarrow.string())
        claimed = table.filter(pyarrow.compute.equal(table["pkg_type"], 1)).select(names)
        self.assertEqual(sorted(list(row.values()) for row in claimed.to_pylist()), self.wanted)
        frame = polars.DataFrame(self.index).filter(polars.col("pkg_type") == 1).select(names)
        self.assertEqual(sorted(list(row) for row in frame.rows()), self.wanted)


if __name__ == "__main__":
    print(f"pyarrow {pyarrow.__version__}, duckdb {duckdb.__version__}, polars {polars.__version__}", flush=True)
    unittest.main()
