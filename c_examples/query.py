#!/usr/bin/env python3
"""Asks the index of an archive three questions, each with DuckDB, Polars and pyarrow.

usage: query.py [--json] ARCHIVE

    largest files        the ten largest, largest first
    duplicate bytes      bytes of files whose contents stand in the archive under another name too, but once
    files by extension   number and bytes of the files of each extension

Files are regular files: of a group of hard links the first by name. Nothing is unpacked: the library hands its
index over through the Arrow C stream interface, without a copy. Engines that are not installed are left out;
pyarrow must be there.

The library is found as the linker finds it, or under the path in ZNIPPY_LIBRARY.
"""

import ctypes
import ctypes.util
import json
import os
import sys

import pyarrow
import pyarrow.compute as pc

# The part of a path's last component behind its last dot; none where the name begins with that dot.
EXTENSION = r"[^/]\.([^./]+)$"


class Index:
    """The index of an archive: anything that takes an Arrow stream takes it, as often as it likes."""

    def __init__(self, path):
        self._library = load_library()
        self._reader = ctypes.c_void_p()
        self._call("znippy_reader_open", os.fsencode(path), None, ctypes.byref(self._reader))

    def __arrow_c_stream__(self, requested_schema=None):
        """A PyCapsule with a fresh stream, as the Arrow PyCapsule interface wants it."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def reader(self):
        """The same as a pyarrow.RecordBatchReader."""
        stream = ctypes.create_string_buffer(5 * ctypes.sizeof(ctypes.c_void_p))  # struct ArrowArrayStream
        self._call("znippy_reader_export_index", self._reader, None, stream)
        # Moves the stream out of the buffer: pyarrow releases it, and until then it keeps the archive open.
        return pyarrow.RecordBatchReader._import_from_c(ctypes.addressof(stream))

    def close(self):
        """Gives the archive up; streams that were made before go on."""
        self._library.znippy_reader_free(self._reader)
        self._reader = ctypes.c_void_p()

    def _call(self, function, *arguments):
        error = ctypes.c_void_p()
        if getattr(self._library, function)(*arguments, ctypes.byref(error)) == 0:
            return
        message = self._library.znippy_error_message(error).decode("utf-8", "replace")
        self._library.znippy_error_free(error)
        raise OSError(message)


def load_library():
    """The library, with the types of the functions that are used here."""
    name = os.environ.get("ZNIPPY_LIBRARY") or ctypes.util.find_library("znippy") or "libznippy.so"
    library = ctypes.CDLL(name)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for function, result, arguments in (
        ("znippy_reader_open", ctypes.c_int32, (text, pointer, pointer, pointer)),
        ("znippy_reader_export_index", ctypes.c_int32, (pointer, pointer, pointer, pointer)),
        ("znippy_reader_free", None, (pointer,)),
        ("znippy_error_message", text, (pointer,)),
        ("znippy_error_free", None, (pointer,)),
    ):
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


def with_duckdb(index):
    """The answers in SQL."""
    import duckdb

    connection = duckdb.connect()
    connection.register("archive", index.reader())
    # A row is a slice; an entry's first one, number 0, has its size. Short files have no hash of their own,
    # since it equals that of their one slice.
    connection.execute("""
        CREATE TABLE files AS
        SELECT relative_path AS path, file_size AS size, coalesce(file_hash, checksum) AS hash
        FROM archive WHERE chunk_seq = 0 AND kind = 0""")
    largest = "SELECT path, size FROM files ORDER BY size DESC, path LIMIT 10"
    duplicates = """
        SELECT coalesce(sum(bytes), 0)::BIGINT
        FROM (SELECT (count(*) - 1) * any_value(size) AS bytes FROM files GROUP BY hash)"""
    extensions = f"""
        SELECT regexp_extract(path, '{EXTENSION}', 1) AS extension, count(*), sum(size)::BIGINT
        FROM files GROUP BY extension ORDER BY extension"""
    return {
        "largest": [list(row) for row in connection.execute(largest).fetchall()],
        "duplicate_bytes": connection.execute(duplicates).fetchall()[0][0],
        "extensions": [list(row) for row in connection.execute(extensions).fetchall()],
    }


def with_polars(index):
    """The answers with data frames."""
    import polars as pl

    files = (
        pl.DataFrame(index)
        .filter(pl.col("chunk_seq") == 0, pl.col("kind") == 0)
        .select(path="relative_path", size="file_size", hash=pl.coalesce("file_hash", "checksum"))
    )
    largest = files.sort("size", "path", descending=[True, False]).head(10).select("path", "size")
    groups = files.group_by("hash").agg(bytes=(pl.len() - 1) * pl.col("size").first())
    extensions = (
        files.group_by(extension=pl.col("path").str.extract(EXTENSION, 1).fill_null(""))
        .agg(files=pl.len(), bytes=pl.col("size").sum())
        .sort("extension")
    )
    return {
        "largest": [list(row) for row in largest.rows()],
        "duplicate_bytes": groups["bytes"].sum(),
        "extensions": [list(row) for row in extensions.rows()],
    }


def with_pyarrow(index):
    """The answers with pyarrow's own functions, batch by batch as far as that goes."""
    batches = []
    for batch in index.reader():
        batch = batch.filter((pc.field("chunk_seq") == 0) & (pc.field("kind") == 0))
        hashes = pc.coalesce(batch.column("file_hash"), batch.column("checksum"))
        columns = {"path": batch.column("relative_path"), "size": batch.column("file_size"), "hash": hashes}
        batches.append(pyarrow.record_batch(columns))
    if not batches:
        return {"largest": [], "duplicate_bytes": 0, "extensions": []}
    files = pyarrow.Table.from_batches(batches)
    largest = files.sort_by([("size", "descending"), ("path", "ascending")]).slice(0, 10)
    groups = files.group_by("hash").aggregate([("size", "sum"), ("size", "min")])
    duplicates = pc.sum(pc.subtract(groups["size_sum"], groups["size_min"])).as_py()
    found = pc.extract_regex(files["path"], "[^/]\\.(?P<extension>[^./]+)$")
    extension = pc.fill_null(pc.struct_field(found, "extension"), "")
    sums = files.append_column("extension", extension).group_by("extension")
    extensions = sums.aggregate([("size", "count"), ("size", "sum")]).sort_by("extension")
    return {
        "largest": [[row["path"], row["size"]] for row in largest.to_pylist()],
        "duplicate_bytes": duplicates or 0,
        "extensions": [[row["extension"], row["size_count"], row["size_sum"]] for row in extensions.to_pylist()],
    }


ENGINES = {"duckdb": with_duckdb, "polars": with_polars, "pyarrow": with_pyarrow}


def answers(path):
    """The answers of each engine that is installed."""
    index = Index(path)
    found = {}
    try:
        for engine, ask in ENGINES.items():
            try:
                found[engine] = ask(index)
            except ModuleNotFoundError as error:
                print(f"query.py: without {engine}: {error}", file=sys.stderr)
            except Exception as error:  # the engines' own errors, which have nothing in common
                raise OSError(f"{engine}: {error}") from error
    finally:
        index.close()
    return found


def show(engine, found):
    """Prints the answers of one engine."""
    print(f"== {engine}")
    print("largest files")
    for path, size in found["largest"]:
        print(f"{size:>16,}  {path}")
    print(f"duplicate bytes\n{found['duplicate_bytes']:>16,}")
    print("files by extension")
    for extension, count, size in found["extensions"]:
        print(f"{size:>16,}  in {count:>9,}  {extension or '(none)'}")


def main(arguments):
    """The command."""
    as_json = arguments[:1] == ["--json"]
    paths = arguments[as_json:]
    if len(paths) != 1 or paths[0].startswith("-"):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    try:
        found = answers(paths[0])
    except OSError as error:
        print(f"query.py: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for engine, of_engine in found.items():
            show(engine, of_engine)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
