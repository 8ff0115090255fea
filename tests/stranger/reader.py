"""A reader of znippy archives, written from docs/FORMAT.md alone.

It shares no code with the library: pyarrow reads the Arrow streams, zstandard the frames, blake3 the hashes.
The section numbers in the comments are those of docs/FORMAT.md.

    python reader.py list|verify|digest ARCHIVE
    python reader.py cat ARCHIVE PATH
"""

import bisect
import collections
import os
import struct
import sys

import pyarrow as pa
import zstandard
from blake3 import blake3

MIB = 1 << 20
U64_MAX = (1 << 64) - 1
HEAD = bytes.fromhex("895A4E50590D0A1A") + struct.pack("<II", 4, 0)
TRAILER_MAGIC = b"ZNPYTR04"
FOOTER_MAGIC = b"ZNPYMIDX"
BLOBS = "__znippy4_blobs__"
XATTRS = "__znippy4_xattrs__"
MAX_PART = 64 * MIB
MAX_BLOCK = 64 * MIB
MAX_ROWS = 8192
MAX_BOUND = 65535
ZEROS_32 = bytes(32)
EMPTY_HASH = blake3(b"").digest()

FILE, DIRECTORY, SYMLINK, HARD_LINK, FIFO, CHAR_DEVICE, BLOCK_DEVICE, SOCKET = range(8)
KINDS = {
    FILE: "file", DIRECTORY: "directory", SYMLINK: "symlink", HARD_LINK: "hard link",
    FIFO: "fifo", CHAR_DEVICE: "char device", BLOCK_DEVICE: "block device", SOCKET: "socket",
}
STORED, ZSTD = 0, 1


class FormatError(Exception):
    """The archive breaks a rule of docs/FORMAT.md."""


class Unsupported(FormatError):
    """The archive may be sound, but needs a newer reader."""


def check(condition, what, *args):
    if not condition:
        raise FormatError(what % args if args else what)


def hash_of(data):
    return blake3(data).digest()


# --- zstd frames (4.1) -----------------------------------------------------------------------------------------------


def zstd_decode(frame, size):
    check(frame[:4] == b"\x28\xb5\x2f\xfd", "a frame does not begin with zstd's magic")
    try:
        parameters = zstandard.get_frame_parameters(frame)
        check(parameters.content_size == size, "a frame's content size is not %d", size)
        check(parameters.dict_id == 0, "a frame wants a dictionary")
        decoded = zstandard.ZstdDecompressor(max_window_size=0).decompress(
            frame, max_output_size=size, read_across_frames=False, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError("zstd: %s" % error) from error
    check(len(decoded) == size, "a frame holds %d bytes, not %d", len(decoded), size)
    return decoded


# --- Arrow streams (5) -----------------------------------------------------------------------------------------------


class Table:
    """A flatbuffers table; every access is checked against the buffer."""

    def __init__(self, data, position):
        self.data, self.position = data, position
        self.vtable = position - self.number("<i", position)
        self.vtable_size = self.number("<H", self.vtable)

    def number(self, form, at):
        check(0 <= at and at + struct.calcsize(form) <= len(self.data), "flatbuffers: out of bounds")
        return struct.unpack_from(form, self.data, at)[0]

    def at(self, slot):
        entry = 4 + 2 * slot
        if entry + 2 > self.vtable_size:
            return None
        offset = self.number("<H", self.vtable + entry)
        return self.position + offset if offset else None

    def scalar(self, slot, form, default=0):
        at = self.at(slot)
        return default if at is None else self.number(form, at)

    def target(self, slot):
        at = self.at(slot)
        return None if at is None else at + self.number("<I", at)

    def table(self, slot):
        at = self.target(slot)
        return None if at is None else Table(self.data, at)

    def vector(self, slot, size):
        """Position and length of a vector of elements of `size` bytes."""
        at = self.target(slot)
        if at is None:
            return 0, 0
        length = self.number("<I", at)
        check(at + 4 + length * size <= len(self.data), "flatbuffers: a vector out of bounds")
        return at + 4, length

    def tables(self, slot):
        at, length = self.vector(slot, 4)
        return [Table(self.data, at + 4 * i + self.number("<I", at + 4 * i)) for i in range(length)]

    def text(self, slot):
        at, length = self.vector(slot, 1)
        return bytes(self.data[at:at + length])


def message(stream, at):
    """The flatbuffer of the message at `at`, and where its body starts."""
    check(at + 8 <= len(stream), "a stream ends early")
    marker, n = struct.unpack_from("<II", stream, at)
    check(marker == 0xFFFFFFFF, "a message without its marker")
    check(n > 0 and n % 8 == 0, "a message's metadata is %d bytes", n)
    check(at + 8 + n <= len(stream), "a message passes the end of its stream")
    data = stream[at + 8:at + 8 + n]
    check(len(data) >= 4, "a message is too short")
    table = Table(data, struct.unpack_from("<I", data)[0])
    check(table.scalar(0, "<h") in (3, 4), "metadata version is neither V4 nor V5")
    return table, at + 8 + n


def walk(stream):
    """Checks a stream by the rules of section 5 before pyarrow sees it."""
    head, at = message(stream, 0)
    check(head.scalar(1, "<B") == 1, "the first message is no Schema")
    check(head.scalar(3, "<q") == 0, "the Schema message has a body")
    schema = head.table(2)
    check(schema is not None and schema.scalar(0, "<h") == 0, "not little endian")
    fields = schema.tables(1)
    check(0 < len(fields) <= 4096, "%d fields", len(fields))
    names = [field.text(0) for field in fields]
    check(len(set(names)) == len(names), "a column is there twice")
    for field in fields:
        check(field.table(4) is None, "a dictionary")
        check(field.vector(5, 4)[1] == 0, "a nested type")
    keys = [pair.text(0) for pair in schema.tables(2)]
    check(all(a < b for a, b in zip(keys, keys[1:])), "metadata keys are not unique and ascending")

    batch_message, body = message(stream, at)
    check(batch_message.scalar(1, "<B") == 3, "the second message is no RecordBatch")
    body_length = batch_message.scalar(3, "<q")
    check(body_length >= 0 and body_length % 8 == 0, "bodyLength is %d", body_length)
    check(body + body_length + 8 == len(stream), "a stream's length is wrong")
    check(bytes(stream[-8:]) == b"\xff\xff\xff\xff\0\0\0\0", "no end marker")
    batch = batch_message.table(2)
    check(batch is not None, "a RecordBatch message without its batch")
    check(batch.table(3) is None, "body compression")
    check(batch.vector(4, 8)[1] == 0, "variadic buffers")
    rows = batch.scalar(0, "<q")
    check(1 <= rows, "a batch without rows")

    at, count = batch.vector(1, 16)
    check(count == len(fields), "%d nodes for %d columns", count, len(fields))
    nodes = [struct.unpack_from("<qq", batch.data, at + 16 * i) for i in range(count)]
    at, count = batch.vector(2, 16)
    buffers = [struct.unpack_from("<qq", batch.data, at + 16 * i) for i in range(count)]
    end = 0
    for offset, length in buffers:
        check(offset % 8 == 0 and length >= 0, "a buffer at %d", offset)
        check(end <= offset and offset + length <= body_length, "a buffer out of order or out of the body")
        end = offset + length

    todo = collections.deque(buffers)
    for field, name, (length, nulls) in zip(fields, names, nodes):
        check(length == rows and 0 <= nulls <= rows, "the node of %r", name)
        check(nulls == 0 or field.scalar(1, "<B") != 0, "nulls in %r, which may not be null", name)
        wanted = buffers_of(field)
        check(len(todo) >= 1 + len(wanted), "too few buffers")
        offset, length = todo.popleft()
        if nulls or length:
            check(length >= (rows + 7) // 8, "the validity buffer of %r is too short", name)
            bits = int.from_bytes(stream[body + offset:body + offset + (rows + 7) // 8], "little")
            bits &= (1 << rows) - 1
            check(rows - bits.bit_count() == nulls, "the null count of %r is wrong", name)
        parts = [todo.popleft() for _ in wanted]
        if len(wanted) == 1:
            check(parts[0][1] >= (rows * wanted[0] + 7) // 8, "the data buffer of %r is too short", name)
        else:
            width = wanted[0]
            check(parts[0][1] >= (rows + 1) * width, "the offsets of %r are too short", name)
            offsets = struct.unpack_from("<%d%s" % (rows + 1, "i" if width == 4 else "q"), stream, body + parts[0][0])
            check(offsets[0] >= 0 and offsets[-1] <= parts[1][1], "the offsets of %r leave its data", name)
            check(all(a <= b for a, b in zip(offsets, offsets[1:])), "the offsets of %r fall", name)
    check(not todo, "too many buffers")


def buffers_of(field):
    """Rule 5: [bits of a value] of a fixed-size type, or [bytes of an offset, 0] of a type with offsets."""
    kind, type_ = field.scalar(2, "<B"), field.table(3)
    check(type_ is not None, "a field without a type")
    if kind == 6:                                                   # Bool
        return [1]
    if kind == 2:                                                   # Int: bitWidth
        bits = type_.scalar(0, "<i")
        check(bits in (8, 16, 32, 64), "an integer of %d bits", bits)
        return [bits]
    if kind == 3:                                                   # FloatingPoint: precision
        precision = type_.scalar(0, "<h")
        check(precision in (1, 2), "a float of precision %d", precision)
        return [32 * precision]
    if kind == 15:                                                  # FixedSizeBinary: byteWidth
        width = type_.scalar(0, "<i")
        check(1 <= width <= 65536, "a FixedSizeBinary(%d)", width)
        return [8 * width]
    if kind in (4, 5):                                              # Binary, Utf8
        return [4, 0]
    if kind in (19, 20):                                            # LargeBinary, LargeUtf8
        return [8, 0]
    raise FormatError("an Arrow type that is not allowed: %d" % kind)


def arrow_stream(stream, columns):
    """The columns that are asked for, as lists; the metadata; the schema; the number of rows."""
    walk(stream)
    try:
        reader = pa.ipc.open_stream(pa.py_buffer(stream))
        batch = reader.read_next_batch()
        batch.validate(full=True)                                   # rule 8 among others
    except (pa.ArrowException, OSError) as error:
        raise FormatError("Arrow: %s" % error) from error
    schema = batch.schema
    lists = {}
    for name, type_, nullable in columns:
        index = schema.get_field_index(name)
        check(index >= 0, "the column %s is missing", name)
        field = schema.field(index)
        check(field.type == type_, "the column %s has the type %s", name, field.type)
        check(nullable or not field.nullable, "the column %s may be null", name)
        lists[name] = batch.column(index).to_pylist()
    try:
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    except UnicodeDecodeError as error:
        raise FormatError("metadata is not UTF-8") from error
    return lists, metadata, schema, batch.num_rows


HASH = pa.binary(32)

MANIFEST_COLUMNS = [
    ("pkg_type", pa.int8(), False), ("repo", pa.utf8(), False), ("module_name", pa.utf8(), False),
    ("index_offset", pa.uint64(), False), ("index_len", pa.uint64(), False), ("row_count", pa.uint64(), False),
    ("index_raw_len", pa.uint64(), False), ("first_path", pa.binary(), False), ("last_path", pa.binary(), False),
    ("first_entry", pa.uint64(), False), ("entry_count", pa.uint64(), False), ("index_hash", HASH, False),
]

INDEX_COLUMNS = [
    ("relative_path", pa.utf8(), False), ("chunk_seq", pa.uint32(), False), ("fdata_offset", pa.uint64(), False),
    ("compressed", pa.bool_(), False), ("uncompressed_size", pa.uint64(), False), ("blob_offset", pa.uint64(), False),
    ("blob_size", pa.uint64(), False), ("checksum", HASH, False), ("kind", pa.uint8(), False),
    ("block_offset", pa.uint64(), True), ("block_size", pa.uint64(), True), ("codec", pa.uint8(), False),
    ("mode", pa.uint32(), True), ("mtime_ns", pa.int64(), True), ("uid", pa.uint32(), True),
    ("gid", pa.uint32(), True), ("link_target", pa.binary(), True), ("path_bytes", pa.binary(), True),
    ("file_size", pa.uint64(), True), ("file_hash", HASH, True), ("xattr_id", pa.uint32(), True),
    ("rdev", pa.uint64(), True), ("pkg_type", pa.int8(), True), ("repo", pa.utf8(), True),
]

FIRST_ROW_COLUMNS = [name for name, _, _ in INDEX_COLUMNS[12:]]

Part = collections.namedtuple("Part", [name for name, _, _ in MANIFEST_COLUMNS])
Row = collections.namedtuple("Row", [name for name, _, _ in INDEX_COLUMNS])


def tuples(type_, lists):
    return [type_(*values) for values in zip(*(lists[name] for name in type_._fields))]


# --- names (6.7) -----------------------------------------------------------------------------------------------------


def is_utf8(path):
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def escape(path):
    """`relative_path` of a path that is not UTF-8."""
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def check_path(path):
    check(1 <= len(path) <= 65535, "a path of %d bytes", len(path))
    check(b"\0" not in path, "a NUL byte in %r", path)
    components = path.split(b"/")
    check(len(components) <= 1024, "a path of %d components", len(components))
    for component in components:
        check(1 <= len(component) <= 255 and component not in (b".", b".."), "the path %r", path)


def path_of(row):
    """The exact path of a first row."""
    return row.path_bytes if row.path_bytes is not None else row.relative_path.encode("utf-8")


# --- rows (6.2 to 6.4) -----------------------------------------------------------------------------------------------


def check_row(row, payload_end):
    """What holds of a row on its own."""
    check(row.compressed == (row.codec != 0), "`compressed` does not fit the codec")
    if row.uncompressed_size:
        check(row.block_offset is not None and row.block_size is not None, "a row with bytes and no place")
        check(1 <= row.block_size <= MAX_BLOCK, "a block of %d bytes", row.block_size)
        check(row.block_offset + row.uncompressed_size <= row.block_size, "a slice passes its block")
        check(row.blob_size >= 1 and row.blob_offset >= 16, "a blob out of the payload")
        check(row.blob_offset + row.blob_size <= payload_end, "a blob out of the payload")
        check(row.codec != STORED or row.blob_size == row.block_size, "a stored blob of another size than its block")
        check(row.fdata_offset + row.uncompressed_size <= U64_MAX, "a slice passes 2^64")
    else:
        check(row.block_offset is None and row.block_size is None, "a row without bytes has a place")
        check(row.fdata_offset == row.blob_offset == row.blob_size == row.codec == 0, "a row without bytes has a place")

    if row.chunk_seq:
        check(row.uncompressed_size, "a later row without bytes")
        for name in FIRST_ROW_COLUMNS:
            check(getattr(row, name) is None, "%s on a later row", name)
        check(row.kind not in KINDS or row.kind in (FILE, HARD_LINK), "a later row of kind %d", row.kind)
        return

    path = path_of(row)
    check_path(path)
    if row.path_bytes is not None:
        check(not is_utf8(path), "path_bytes of %r, which is UTF-8", path)
        check(row.relative_path == escape(path), "the escape of %r is %r", path, row.relative_path)
    check(row.mode is None or row.mode <= 0o7777, "a mode of %s", row.mode)
    if row.kind not in KINDS:
        return
    if row.kind in (SYMLINK, HARD_LINK):
        check(row.link_target is not None, "a link without a target")
        check(1 <= len(row.link_target) <= 65535 and b"\0" not in row.link_target, "a link's target")
    else:
        check(row.link_target is None, "a target on what is no link")
    check((row.rdev is not None) == (row.kind in (CHAR_DEVICE, BLOCK_DEVICE)), "rdev on kind %d", row.kind)
    if row.kind in (FILE, HARD_LINK):
        check(row.file_size is not None and row.file_size < 1 << 63, "a file's size")
        whole = row.fdata_offset == 0 and row.uncompressed_size == row.file_size
        check((row.file_hash is None) == whole, "file_hash of %r", path)
        check(row.uncompressed_size or row.checksum == EMPTY_HASH, "the checksum of no bytes")
    else:
        check(row.uncompressed_size == 0, "bytes on kind %d", row.kind)
        check(row.file_size is None and row.file_hash is None, "size or hash on kind %d", row.kind)
        check(row.checksum == ZEROS_32, "a checksum on kind %d", row.kind)


def check_next(first, before, row):
    """What holds of a later row and the row before it; `first` is their entry's first row."""
    check(row.chunk_seq == before.chunk_seq + 1, "chunk_seq goes from %d to %d", before.chunk_seq, row.chunk_seq)
    check(row.relative_path == first.relative_path, "a later row of %r at %r", first.relative_path, row.relative_path)
    check(row.kind == first.kind, "a later row of another kind")
    check(before.uncompressed_size, "a row behind one without bytes")
    check(before.fdata_offset + before.uncompressed_size <= row.fdata_offset, "slices overlap or fall")
    if first.kind in KINDS:
        check(row.fdata_offset + row.uncompressed_size <= first.file_size, "a slice passes its file")


def check_first_size(row):
    if row.kind in (FILE, HARD_LINK):
        check(row.fdata_offset + row.uncompressed_size <= row.file_size, "a slice passes its file")


class Archive:
    def __init__(self, source):
        """`source`: a path, or the archive's bytes."""
        self.file = None
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.data, self.size = memoryview(source), len(source)
        else:
            self.file = open(source, "rb")
            self.size = os.fstat(self.file.fileno()).st_size
        self.blocks = collections.OrderedDict()                     # blob_offset -> (blob_size, block), a few of them
        self.segment_cache = collections.OrderedDict()
        self.blob_reads = 0
        self.open()

    def close(self):
        if self.file:
            self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, offset, length):
        check(0 <= offset and 0 <= length and offset + length <= self.size, "a read out of the archive")
        if self.file is None:
            return bytes(self.data[offset:offset + length])
        data = os.pread(self.file.fileno(), length, offset)
        while len(data) < length:
            more = os.pread(self.file.fileno(), length - len(data), offset + len(data))
            check(more, "the archive ends early")
            data += more
        return data

    # --- opening (3, 7, 9.1)

    def open(self):
        check(self.size >= 88, "an archive of %d bytes", self.size)
        trailer, footer = self.read(self.size - 72, 56), self.read(self.size - 16, 16)
        check(footer[:8] == FOOTER_MAGIC, "not an archive: no footer")
        check(trailer[:8] == TRAILER_MAGIC, "another version: no trailer")
        incompatible, _compatible, length = struct.unpack_from("<IIQ", trailer, 8)
        start, = struct.unpack_from("<Q", footer, 8)
        if incompatible:
            raise Unsupported("incompatible features %#x" % incompatible)
        check(start >= 16 and start + length + 72 == self.size, "the manifest's place")
        check(length <= MAX_PART, "a manifest of %d bytes", length)
        manifest = self.read(start, length)
        self.archive_digest = trailer[24:]
        check(hash_of(manifest + trailer[:24] + footer[8:]) == self.archive_digest, "the hash of the trailer")

        lists, self.metadata, _, _ = arrow_stream(manifest, MANIFEST_COLUMNS)
        version = self.metadata.get("znippy_format_version")
        check(version == "4", "znippy_format_version is %r", version)
        parts = tuples(Part, lists)
        self.sections = [part for part in parts if part.pkg_type == -128]
        self.segments = [part for part in parts if part.pkg_type != -128]
        check(parts == self.sections + self.segments, "a section behind a segment")
        self.check_manifest(start)

    def check_manifest(self, manifest):
        check(self.sections and self.sections[0].module_name == BLOBS, "the blob table is not the first part")
        check([part.module_name for part in self.sections].count(BLOBS) == 1, "two blob tables")
        table = self.sections[0]
        check(table.index_raw_len == 0, "the blob table is compressed")
        check(table.index_len == 8 + 56 * table.row_count, "the blob table's length")
        self.payload_end = table.index_offset
        check(self.payload_end >= 16, "the blob table's place")
        end = self.payload_end
        for part in self.sections:
            check(part.index_offset == end, "a section does not start where the part before ends")
            check(part.index_len >= 1, "an empty section")
            check(part.first_path == part.last_path == b"" and part.repo == "", "a section with bounds or repo")
            check(part.first_entry == part.entry_count == 0, "a section with entries")
            end += part.index_len
        self.gaps = []
        entries, last = 0, None
        for part in self.segments:
            start = (end + 63) // 64 * 64
            check(part.index_offset == start, "a segment's place")
            self.gaps.append((end, start - end))
            check(1 <= part.index_len <= MAX_PART and part.index_raw_len <= MAX_PART, "a segment's size")
            check(1 <= part.row_count <= MAX_ROWS, "a segment of %d rows", part.row_count)
            check(part.module_name == "", "a segment with a name")
            check(part.first_entry == entries, "first_entry")
            check(part.entry_count <= part.row_count, "entry_count")
            check(len(part.first_path) <= MAX_BOUND and len(part.last_path) <= MAX_BOUND, "a bound's length")
            if part.entry_count:
                check(last is None or last < part.first_path, "bounds out of order")
                check(part.first_path <= part.last_path, "bounds out of order")
            else:
                check(last is not None, "the first segment starts no entry")
                check(part.first_path == part.last_path == last, "the bounds of a segment that starts no entry")
            last = part.last_path
            entries += part.entry_count
            end = start + part.index_len
        check(end == manifest, "the manifest does not start where the last part ends")
        self.entry_count = entries
        self.last_paths = [part.last_path for part in self.segments]

    def part(self, part):
        stored = self.read(part.index_offset, part.index_len)
        check(hash_of(stored) == part.index_hash, "the hash of a part")
        return stored if part.index_raw_len == 0 else zstd_decode(stored, part.index_raw_len)

    def segment(self, number):
        """The rows of a segment."""
        if number in self.segment_cache:
            self.segment_cache.move_to_end(number)
            return self.segment_cache[number]
        part = self.segments[number]
        lists, metadata, _, count = arrow_stream(self.part(part), INDEX_COLUMNS)
        check(metadata == self.metadata, "a segment's metadata is not the manifest's")
        check(count == part.row_count, "row_count")
        rows = tuples(Row, lists)
        # Columns of metadata providers are null on later rows (6.2); nothing else is known of them.
        first = before = None
        entries, path = 0, None
        for row in rows:
            check_row(row, self.payload_end)
            if row.chunk_seq == 0:
                check_first_size(row)
                check(path is None or path < path_of(row), "paths out of order")
                path = path_of(row)
                check(part.first_path <= path <= part.last_path, "%r is out of its segment's bounds", path)
                entries += 1
                first = row
            elif first is not None:
                check_next(first, before, row)
            elif before is not None:                                # rows of an entry of a segment before
                check(row.chunk_seq == before.chunk_seq + 1, "chunk_seq")
                check((row.relative_path, row.kind) == (before.relative_path, before.kind), "a later row's path")
                check(before.fdata_offset + before.uncompressed_size <= row.fdata_offset, "slices overlap or fall")
            before = row
        check(entries == part.entry_count, "entry_count")
        self.segment_cache[number] = rows
        while len(self.segment_cache) > 4:
            self.segment_cache.popitem(last=False)
        return rows

    # --- entries

    def entries(self):
        """(path, rows) of every entry, in order; `rows` are all rows of the entry."""
        rows = []
        for number in range(len(self.segments)):
            for row in self.segment(number):
                if row.chunk_seq == 0:
                    if rows:
                        yield path_of(rows[0]), rows
                    rows = [row]
                else:
                    check(rows, "the archive begins with a later row")
                    check_next(rows[0], rows[-1], row)
                    rows.append(row)
        if rows:
            yield path_of(rows[0]), rows

    def find(self, wanted):
        """The rows of the entry `wanted`, by binary search in the manifest and in one segment."""
        number = bisect.bisect_left(self.last_paths, wanted)
        if number == len(self.segments):
            raise KeyError(wanted)
        rows = self.segment(number)
        firsts = [i for i, row in enumerate(rows) if row.chunk_seq == 0]
        place = bisect.bisect_left(firsts, wanted, key=lambda i: path_of(rows[i]))
        if place == len(firsts) or path_of(rows[firsts[place]]) != wanted:
            raise KeyError(wanted)
        found = [rows[firsts[place]]]
        i = firsts[place] + 1
        while True:
            while i < len(rows):
                if rows[i].chunk_seq == 0:
                    return found
                check_next(found[0], found[-1], rows[i])
                found.append(rows[i])
                i += 1
            number, i = number + 1, 0
            if number == len(self.segments):
                return found
            rows = self.segment(number)

    # --- bytes (4.1, 6.4)

    def block(self, row):
        key = row.blob_offset, row.blob_size, row.block_size
        if key in self.blocks:
            self.blocks.move_to_end(key)
            return self.blocks[key]
        self.blob_reads += 1
        block = zstd_decode(self.read(row.blob_offset, row.blob_size), row.block_size)
        self.blocks[key] = block
        while len(self.blocks) > 8:
            self.blocks.popitem(last=False)
        return block

    def slice(self, row):
        if row.codec == STORED:
            data = self.read(row.blob_offset + row.block_offset, row.uncompressed_size)
        elif row.codec == ZSTD:
            data = self.block(row)[row.block_offset:row.block_offset + row.uncompressed_size]
        else:
            raise Unsupported("codec %d" % row.codec)
        check(hash_of(data) == row.checksum, "the checksum of a slice of %r", row.relative_path)
        return data

    def pieces(self, rows):
        """The bytes of a file, piece by piece, holes as zeros."""
        if rows[0].kind not in (FILE, HARD_LINK):
            raise Unsupported("%r is no file" % rows[0].relative_path)
        at = 0
        for row in rows:
            if row.uncompressed_size:
                yield from zeros(row.fdata_offset - at)
                yield self.slice(row)
                at = row.fdata_offset + row.uncompressed_size
        yield from zeros(rows[0].file_size - at)

    def read_rows(self, rows):
        data = b"".join(self.pieces(rows))
        check(len(data) == rows[0].file_size, "a file's size")
        check(rows[0].file_hash is None or hash_of(data) == rows[0].file_hash, "file_hash")
        return data

    def read_file(self, path):
        return self.read_rows(self.find(path))

    def read_range(self, path, offset, length):
        rows = self.find(path)
        end = min(offset + length, rows[0].file_size)
        data = bytearray(max(0, end - offset))
        for row in rows:
            start, stop = max(offset, row.fdata_offset), min(end, row.fdata_offset + row.uncompressed_size)
            if start < stop:
                data[start - offset:stop - offset] = self.slice(row)[start - row.fdata_offset:stop - row.fdata_offset]
        return bytes(data)

    # --- the whole archive (8, 9.2)

    def tree_digest(self):
        hasher = blake3(b"znippy tree digest 1\n")
        for path, rows in self.entries():
            row = rows[0]
            target = row.link_target if row.kind == SYMLINK else b""
            content = ZEROS_32
            if row.kind in (FILE, HARD_LINK):
                content = row.file_hash if row.file_hash is not None else row.checksum
            hasher.update(struct.pack("<I", len(path)) + path)
            hasher.update(struct.pack("<BI", FILE if row.kind == HARD_LINK else row.kind,
                                      0xFFFFFFFF if row.mode is None else row.mode))
            hasher.update(struct.pack("<I", len(target)) + target + content)
        return hasher.digest()

    def blob_table(self):
        data = self.part(self.sections[0])
        check(data[:8] == bytes(8), "the blob table does not begin with zeros")
        return [struct.unpack_from("<QQQ32s", data, 8 + 56 * i) for i in range(self.sections[0].row_count)]

    def xattr_sets(self):
        """The sets of extended attributes (4.3): a list of lists of names and values."""
        sections = [part for part in self.sections if part.module_name == XATTRS]
        check(len(sections) <= 1, "two sections of extended attributes")
        if not sections:
            return []
        check(sections[0].index_len <= MAX_PART and sections[0].index_raw_len <= MAX_PART, "the size of the xattrs")
        data, at, sets = self.part(sections[0]), 0, []

        def take(length):
            nonlocal at
            check(at + length <= len(data), "the xattrs end early")
            at += length
            return data[at - length:at]

        for _ in range(sections[0].row_count):
            count, = struct.unpack("<H", take(2))
            check(count >= 1, "a set without attributes")
            attributes = []
            for _ in range(count):
                name = take(take(1)[0])
                check(name and b"\0" not in name, "the name of an attribute: %r", name)
                check(not attributes or attributes[-1][0] < name, "names of attributes out of order")
                length, = struct.unpack("<I", take(4))
                check(length <= 65536, "the value of an attribute: %d bytes", length)
                attributes.append((name, take(length)))
            sets.append(attributes)
        check(at == len(data), "something behind the last set")
        return sets

    def verify(self):
        """Checks everything; returns the number of entries."""
        check(self.read(0, 16) == HEAD, "the head")
        for offset, length in self.gaps:
            check(self.read(offset, length) == bytes(length), "padding is not zero")
        end, blobs = 16, {}
        for offset, stored, decoded, digest in self.blob_table():
            check(offset == end and stored >= 1 and decoded <= MAX_BLOCK, "a record of the blob table")
            check(offset + stored <= self.payload_end, "a blob passes the payload")
            check(hash_of(self.read(offset, stored)) == digest, "the hash of a blob")
            if decoded > 0:  # else a filler
                blobs[offset] = stored, decoded
            end += stored
        check(end == self.payload_end, "the last blob does not end where the payload ends")
        for part in self.sections[1:]:
            self.part(part)
        self.check_segment_values()
        sets = len(self.xattr_sets())
        check(int(self.metadata.get("root_xattr_id", -1)) < sets, "root_xattr_id names no set")

        not_directories, firsts, codecs = set(), {}, {}
        before, count = None, 0
        for path, rows in self.entries():
            first = rows[0]
            check(before is None or before < path, "paths out of order")
            before, count = path, count + 1
            slash = path.find(b"/")
            while slash >= 0:
                check(path[:slash] not in not_directories, "%r is below what is not a directory", path)
                slash = path.find(b"/", slash + 1)
            check(first.xattr_id is None or first.xattr_id < sets, "xattr_id of %r names no set", path)
            if first.kind != DIRECTORY:
                not_directories.add(path)
            for row in rows:
                if row.uncompressed_size:
                    check(blobs.get(row.blob_offset) == (row.blob_size, row.block_size), "a row names no blob")
                    check(codecs.setdefault(row.blob_offset, row.codec) == row.codec, "two codecs of one blob")
            if first.kind in (FILE, HARD_LINK):
                hasher = blake3()
                for piece in self.pieces(rows):
                    hasher.update(piece)
                whole = first.checksum if first.file_hash is None else first.file_hash
                check(hasher.digest() == whole, "the hash of %r", path)
            if first.kind == FILE:
                firsts[path] = [group_row(row) for row in rows]
            elif first.kind == HARD_LINK:
                check(first.link_target in firsts, "%r is a link to no first name", path)
                check(firsts[first.link_target] == [group_row(row) for row in rows],
                      "%r differs from its first name", path)
        check(count == self.entry_count, "the number of entries")
        return count

    def check_segment_values(self):
        """The manifest's `pkg_type` and `repo` of a segment (7.1); all segments have one schema (6.1)."""
        schema = last = None
        for number, part in enumerate(self.segments):
            stream = self.part(part)
            own = pa.ipc.open_stream(pa.py_buffer(stream)).schema
            check(schema is None or schema.equals(own, check_metadata=True), "segments of two schemas")
            schema = own
            rows = self.segment(number)
            firsts = [row for row in rows if row.chunk_seq == 0]
            there = ([last] if rows[0].chunk_seq and last else []) + firsts   # entries with rows in the segment
            last = firsts[-1] if firsts else last
            for name, none in (("pkg_type", 0), ("repo", "")):
                values = {getattr(row, name) for row in there}
                only = values.pop() if len(values) == 1 else None
                check(getattr(part, name) == (none if only is None else only), "a segment's %s", name)


def group_row(row):
    """What the names of one file have in common (6.5)."""
    return row._replace(relative_path="", path_bytes=None, kind=FILE, link_target=None)


def zeros(length):
    piece = bytes(MIB)
    while length > 0:
        yield piece if length >= MIB else bytes(length)
        length -= MIB


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.stderr.write(__doc__)
        return 2
    with Archive(arguments[1]) as archive:
        if arguments[0] == "list":
            for path, rows in archive.entries():
                row = rows[0]
                mode = "-" if row.mode is None else "%04o" % row.mode
                print(KINDS.get(row.kind, "kind %d" % row.kind), mode, row.file_size, row.mtime_ns, len(rows), path,
                      row.link_target or "", sep="\t")
        elif arguments[0] == "verify":
            print("%d entries, sound" % archive.verify())
        elif arguments[0] == "digest":
            print("archive", archive.archive_digest.hex())
            print("tree   ", archive.tree_digest().hex())
        elif arguments[0] == "cat" and len(arguments) == 3:
            sys.stdout.buffer.write(archive.read_file(os.fsencode(arguments[2])))
        else:
            sys.stderr.write(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
