//! Index segments: rows into an Arrow IPC stream and back.
//!
//! A segment that was decoded has been checked whole: its stream by [`ipc_guard`], its arrays by arrow, and the
//! meaning of its rows here. What spans segments is checked by whoever walks them in order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeBinaryArray, Int8Array, Int64Array, PrimitiveArray,
    RecordBatch, StringArray, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::array::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Int8Builder, Int64Builder, StringBuilder, UInt8Builder,
    UInt32Builder, UInt64Builder,
};
use arrow::buffer::Buffer;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::SchemaRef;

use crate::error::{Error, Result, Status};
use crate::format::codec;
use crate::format::container::{HEAD_LEN, MAX_BLOCK, MAX_SEGMENT_ROWS};
use crate::format::extra::{ExtraBuilder, ExtraColumn, ExtraValue};
use crate::format::hash::{Digest, UNRECORDED, hash};
use crate::format::row::{Attributes, CODEC_STORED, Codecs, EntryKind, Location, Row};
use crate::format::{in_memory, ipc_guard, path, schema, v3};

/// Bytes of names, targets and additional columns at which a segment ends: names and targets of a single row are
/// less than 512 KiB, its additional columns less than 2 MiB as a rule, and the fixed numbers of 8,192 rows less than
/// 2 MiB, so that no segment comes near its limit of 64 MiB.
const FULL_TEXT: usize = 16 << 20;

/// Collects rows and makes the stream.
pub struct SegmentBuilder {
    relative_path: StringBuilder,
    chunk_seq: UInt32Builder,
    fdata_offset: UInt64Builder,
    compressed: BooleanBuilder,
    uncompressed_size: UInt64Builder,
    blob_offset: UInt64Builder,
    blob_size: UInt64Builder,
    checksum: FixedSizeBinaryBuilder,
    kind: UInt8Builder,
    block_offset: UInt64Builder,
    block_size: UInt64Builder,
    codec: UInt8Builder,
    mode: UInt32Builder,
    mtime_ns: Int64Builder,
    uid: UInt32Builder,
    gid: UInt32Builder,
    link_target: BinaryBuilder,
    path_bytes: BinaryBuilder,
    file_size: UInt64Builder,
    file_hash: FixedSizeBinaryBuilder,
    xattr_id: UInt32Builder,
    rdev: UInt64Builder,
    pkg_type: Int8Builder,
    repo: StringBuilder,
    extras: ExtraBuilder,
    rows: usize,
    text: usize,
}

impl Default for SegmentBuilder {
    fn default() -> SegmentBuilder {
        SegmentBuilder::new()
    }
}

impl SegmentBuilder {
    /// No rows.
    pub fn new() -> SegmentBuilder {
        SegmentBuilder {
            relative_path: StringBuilder::new(),
            chunk_seq: UInt32Builder::new(),
            fdata_offset: UInt64Builder::new(),
            compressed: BooleanBuilder::new(),
            uncompressed_size: UInt64Builder::new(),
            blob_offset: UInt64Builder::new(),
            blob_size: UInt64Builder::new(),
            checksum: FixedSizeBinaryBuilder::new(32),
            kind: UInt8Builder::new(),
            block_offset: UInt64Builder::new(),
            block_size: UInt64Builder::new(),
            codec: UInt8Builder::new(),
            mode: UInt32Builder::new(),
            mtime_ns: Int64Builder::new(),
            uid: UInt32Builder::new(),
            gid: UInt32Builder::new(),
            link_target: BinaryBuilder::new(),
            path_bytes: BinaryBuilder::new(),
            file_size: UInt64Builder::new(),
            file_hash: FixedSizeBinaryBuilder::new(32),
            xattr_id: UInt32Builder::new(),
            rdev: UInt64Builder::new(),
            pkg_type: Int8Builder::new(),
            repo: StringBuilder::new(),
            extras: ExtraBuilder::default(),
            rows: 0,
            text: 0,
        }
    }

    /// No rows; these columns stand behind the fixed ones.
    ///
    /// # Errors
    /// `E_LIMIT` where the additional columns alone would take over 1 MiB a row.
    pub fn with_extras(columns: &[ExtraColumn]) -> Result<SegmentBuilder> {
        Ok(SegmentBuilder { extras: ExtraBuilder::new(columns)?, ..SegmentBuilder::new() })
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the segment must end here: by its rows, or by the length of its names and targets.
    pub fn is_full(&self) -> bool {
        self.rows >= MAX_SEGMENT_ROWS || self.text >= FULL_TEXT
    }

    /// Adds a row with nulls in the additional columns.
    pub fn push(&mut self, row: &Row<'_>) -> Result<()> {
        self.push_with(row, [])
    }

    /// Adds a row with values of additional columns, by their numbers; the others are null.
    pub fn push_with<'a>(
        &mut self,
        row: &Row<'_>,
        values: impl IntoIterator<Item = (usize, ExtraValue<'a>)>,
    ) -> Result<()> {
        let extras = self.extras.push(values)?;
        let shown = path::display(row.path);
        let target = row.attributes.and_then(|attributes| attributes.link_target).map_or(0, <[u8]>::len);
        let text = [extras, shown.len(), row.path.len(), target];
        self.text = text.into_iter().fold(self.text, usize::saturating_add);
        self.relative_path.append_value(shown);
        self.chunk_seq.append_value(row.chunk_seq);
        self.fdata_offset.append_value(row.offset);
        self.uncompressed_size.append_value(row.size);
        append_digest(&mut self.checksum, Some(&row.checksum))?;
        self.kind.append_value(row.kind);
        let location = row.location;
        self.compressed.append_value(location.is_some_and(|at| at.codec != CODEC_STORED));
        self.blob_offset.append_value(location.map_or(0, |at| at.blob_offset));
        self.blob_size.append_value(location.map_or(0, |at| at.blob_size));
        self.block_offset.append_option(location.map(|at| at.block_offset));
        self.block_size.append_option(location.map(|at| at.block_size));
        self.codec.append_value(location.map_or(CODEC_STORED, |at| at.codec));
        let first = row.attributes.is_some();
        let attributes = row.attributes.unwrap_or_default();
        self.mode.append_option(attributes.mode);
        self.mtime_ns.append_option(attributes.mtime_ns);
        self.uid.append_option(attributes.uid);
        self.gid.append_option(attributes.gid);
        self.link_target.append_option(attributes.link_target);
        let exact = first && std::str::from_utf8(row.path).is_err();
        self.path_bytes.append_option(exact.then_some(row.path));
        self.file_size.append_option(attributes.file_size);
        append_digest(&mut self.file_hash, attributes.file_hash.as_ref())?;
        self.xattr_id.append_option(attributes.xattr_id);
        self.rdev.append_option(attributes.rdev);
        self.pkg_type.append_option(attributes.pkg_type);
        self.repo.append_option(attributes.repo);
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// The stream, and no rows again. The schema is [`schema::index`] of the additional columns.
    pub fn finish(&mut self, schema: &SchemaRef) -> Result<Vec<u8>> {
        let columns = self.columns()?;
        encode_stream(schema, columns)
    }

    /// The batch, and no rows again.
    pub fn finish_batch(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let columns = self.columns()?;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| internal(&error))
    }

    fn columns(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.relative_path.finish()),
            Arc::new(self.chunk_seq.finish()),
            Arc::new(self.fdata_offset.finish()),
            Arc::new(self.compressed.finish()),
            Arc::new(self.uncompressed_size.finish()),
            Arc::new(self.blob_offset.finish()),
            Arc::new(self.blob_size.finish()),
            Arc::new(self.checksum.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.block_offset.finish()),
            Arc::new(self.block_size.finish()),
            Arc::new(self.codec.finish()),
            Arc::new(self.mode.finish()),
            Arc::new(self.mtime_ns.finish()),
            Arc::new(self.uid.finish()),
            Arc::new(self.gid.finish()),
            Arc::new(self.link_target.finish()),
            Arc::new(self.path_bytes.finish()),
            Arc::new(self.file_size.finish()),
            Arc::new(self.file_hash.finish()),
            Arc::new(self.xattr_id.finish()),
            Arc::new(self.rdev.finish()),
            Arc::new(self.pkg_type.finish()),
            Arc::new(self.repo.finish()),
        ];
        columns.append(&mut self.extras.finish()?);
        self.rows = 0;
        self.text = 0;
        Ok(columns)
    }
}

fn append_digest(builder: &mut FixedSizeBinaryBuilder, digest: Option<&Digest>) -> Result<()> {
    match digest {
        Some(digest) => builder.append_value(digest).map_err(|error| internal(&error)),
        None => {
            builder.append_null();
            Ok(())
        }
    }
}

/// One Arrow IPC stream of one batch: 64-byte alignment, metadata version 5, end marker.
pub fn encode_stream(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<Vec<u8>> {
    let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| internal(&error))?;
    let options = IpcWriteOptions::try_new(64, false, arrow::ipc::MetadataVersion::V5);
    let mut stream = Vec::new();
    options
        .and_then(|options| StreamWriter::try_new_with_options(&mut stream, schema, options))
        .and_then(|mut writer| writer.write(&batch).and_then(|()| writer.finish()))
        .map_err(|error| internal(&error))?;
    Ok(stream)
}

/// The one batch of a stream that [`ipc_guard::check`] let through.
///
/// Without arrow's decoder of whole streams, which brings code for all that dictionaries can hold: a tenth of the library.
pub fn decode_stream(stream: Vec<u8>) -> Result<RecordBatch> {
    let malformed = |error: arrow_schema::ArrowError| {
        Error::corrupt("index.arrow", format!("an index stream is malformed: {error}"))
    };
    let buffer = Buffer::from_vec(stream);
    let parts = ipc_guard::parts(&buffer)?;
    let schema = Arc::new(arrow::ipc::convert::try_fb_to_schema(parts.schema).map_err(malformed)?);
    let body = buffer.slice_with_length(parts.body.start, parts.body.len());
    read_record_batch(&body, parts.batch, schema, &HashMap::new(), None, &parts.version).map_err(malformed)
}

fn internal(error: &arrow_schema::ArrowError) -> Error {
    Error::new(Status::Limit, format!("can't build the index: {error}"))
}

/// What a segment must agree with: its manifest row and the layout of the archive.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Rows.
    pub rows: usize,
    /// Entries, that is rows with `chunk_seq` 0.
    pub entries: usize,
    /// Lower bound of the paths.
    pub first_path: &'a [u8],
    /// Upper bound of the paths.
    pub last_path: &'a [u8],
    /// Blobs end before this offset.
    pub payload_end: u64,
    /// Whose rules the rows keep.
    pub codecs: Codecs,
}

/// A decoded and checked segment.
#[derive(Clone)]
pub struct Segment {
    batch: RecordBatch,
    relative_path: StringArray,
    chunk_seq: UInt32Array,
    fdata_offset: UInt64Array,
    uncompressed_size: UInt64Array,
    blob_offset: UInt64Array,
    blob_size: UInt64Array,
    checksum: FixedSizeBinaryArray,
    kind: UInt8Array,
    block_offset: UInt64Array,
    block_size: UInt64Array,
    codec: UInt8Array,
    mode: Option<UInt32Array>,
    mtime_ns: Option<Int64Array>,
    uid: Option<UInt32Array>,
    gid: Option<UInt32Array>,
    link_target: Option<BinaryArray>,
    path_bytes: Option<BinaryArray>,
    file_size: Option<UInt64Array>,
    file_hash: Option<FixedSizeBinaryArray>,
    xattr_id: Option<UInt32Array>,
    rdev: Option<UInt64Array>,
    pkg_type: Option<Int8Array>,
    repo: Option<StringArray>,
    /// Rows on which entries start.
    first_rows: Vec<u32>,
    bytes: usize,
}

impl Segment {
    /// Decodes and checks a segment.
    pub fn decode(stream: Vec<u8>, expected: &Expected<'_>) -> Result<Segment> {
        ipc_guard::check(&stream, &schema::INDEX, Some(expected.rows))?;
        let mut segment = Segment::of_stream(stream)?;
        segment.first_rows = segment.check(expected)?;
        Ok(segment)
    }

    /// The same for a segment of which no manifest says what it must agree with.
    pub fn decode_alone(stream: Vec<u8>, payload_end: u64) -> Result<Segment> {
        ipc_guard::check(&stream, &schema::INDEX, None)?;
        let mut segment = Segment::of_stream(stream)?;
        let rows = segment.rows();
        if rows == 0 || rows > MAX_SEGMENT_ROWS {
            return Err(Error::corrupt("index.entries", "a segment has no rows, or too many"));
        }
        let entries = segment.chunk_seq.values().iter().filter(|seq| **seq == 0).count();
        let highest = [0xFF; path::MAX_PATH + 1];
        let codecs = Codecs::Version4;
        let expected = Expected { rows, entries, first_path: &[], last_path: &highest, payload_end, codecs };
        segment.first_rows = segment.check(&expected)?;
        Ok(segment)
    }

    fn of_stream(stream: Vec<u8>) -> Result<Segment> {
        let bytes = stream.len();
        Segment::unchecked(decode_stream(stream)?, bytes)
    }

    /// Checks a batch with the columns of a segment, which takes so many bytes in memory.
    pub fn of_batch(batch: RecordBatch, bytes: usize, expected: &Expected<'_>) -> Result<Segment> {
        let mut segment = Segment::unchecked(batch, bytes)?;
        segment.first_rows = segment.check(expected)?;
        Ok(segment)
    }

    fn unchecked(batch: RecordBatch, bytes: usize) -> Result<Segment> {
        Ok(Segment {
            relative_path: typed(&batch, "relative_path")?,
            chunk_seq: typed(&batch, "chunk_seq")?,
            fdata_offset: typed(&batch, "fdata_offset")?,
            uncompressed_size: typed(&batch, "uncompressed_size")?,
            blob_offset: typed(&batch, "blob_offset")?,
            blob_size: typed(&batch, "blob_size")?,
            checksum: typed(&batch, "checksum")?,
            kind: typed(&batch, "kind")?,
            block_offset: typed(&batch, "block_offset")?,
            block_size: typed(&batch, "block_size")?,
            codec: typed(&batch, "codec")?,
            mode: sparse(&batch, "mode")?,
            mtime_ns: sparse(&batch, "mtime_ns")?,
            uid: sparse(&batch, "uid")?,
            gid: sparse(&batch, "gid")?,
            link_target: sparse(&batch, "link_target")?,
            path_bytes: sparse(&batch, "path_bytes")?,
            file_size: sparse(&batch, "file_size")?,
            file_hash: sparse(&batch, "file_hash")?,
            xattr_id: sparse(&batch, "xattr_id")?,
            rdev: sparse(&batch, "rdev")?,
            pkg_type: sparse(&batch, "pkg_type")?,
            repo: sparse(&batch, "repo")?,
            first_rows: Vec::new(),
            bytes,
            batch,
        })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Entries.
    pub fn entries(&self) -> usize {
        self.first_rows.len()
    }

    /// Bytes that it takes in memory.
    pub fn memory(&self) -> usize {
        self.bytes.saturating_add(size_of_val(&self.first_rows[..]))
    }

    /// The row on which the entry with this number within the segment starts.
    pub fn first_row(&self, entry: usize) -> usize {
        self.first_rows.get(entry).map_or(self.rows(), |row| *row as usize)
    }

    /// The rows of an entry that are in this segment.
    pub fn entry_rows(&self, entry: usize) -> std::ops::Range<usize> {
        self.first_row(entry)..self.first_row(entry.saturating_add(1))
    }

    /// Rows at the start that belong to an entry of the segment before.
    pub fn leading_rows(&self) -> usize {
        self.first_rows.first().map_or(self.rows(), |row| *row as usize)
    }

    /// Where the slice of a row ends in its file.
    pub fn slice_end(&self, row: usize) -> u64 {
        self.fdata_offset.value(row).saturating_add(self.uncompressed_size.value(row))
    }

    /// The exact path of a row.
    pub fn path(&self, row: usize) -> &[u8] {
        match &self.path_bytes {
            Some(exact) if exact.is_valid(row) => exact.value(row),
            _ => self.relative_path.value(row).as_bytes(),
        }
    }

    /// The link target of a row, where it has one.
    pub fn link_target(&self, row: usize) -> Option<&[u8]> {
        self.link_target.as_ref().filter(|targets| targets.is_valid(row)).map(|targets| targets.value(row))
    }

    /// The number of the first entry whose path is not less than `path`.
    pub fn lower_bound(&self, path: &[u8]) -> usize {
        self.first_rows.partition_point(|row| self.path(*row as usize) < path)
    }

    /// The batch, unknown columns included.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// A row. A slice beyond an entry's first has the path of `relative_path`, which is escaped where the name is
    /// not UTF-8; the exact path stands on the first.
    pub fn row(&self, i: usize) -> Row<'_> {
        let location = self.block_size.is_valid(i).then(|| Location {
            blob_offset: self.blob_offset.value(i),
            blob_size: self.blob_size.value(i),
            block_offset: self.block_offset.value(i),
            block_size: self.block_size.value(i),
            codec: self.codec.value(i),
        });
        let attributes = (self.chunk_seq.value(i) == 0).then(|| Attributes {
            mode: value(&self.mode, i),
            mtime_ns: value(&self.mtime_ns, i),
            uid: value(&self.uid, i),
            gid: value(&self.gid, i),
            link_target: self.link_target(i),
            file_size: value(&self.file_size, i),
            file_hash: self.file_hash.as_ref().filter(|hashes| hashes.is_valid(i)).map(|hashes| digest(hashes, i)),
            xattr_id: value(&self.xattr_id, i),
            rdev: value(&self.rdev, i),
            pkg_type: value(&self.pkg_type, i),
            repo: self.repo.as_ref().filter(|labels| labels.is_valid(i)).map(|labels| labels.value(i)),
        });
        Row {
            path: self.path(i),
            chunk_seq: self.chunk_seq.value(i),
            offset: self.fdata_offset.value(i),
            size: self.uncompressed_size.value(i),
            checksum: digest(&self.checksum, i),
            kind: self.kind.value(i),
            location,
            attributes,
        }
    }

    fn check(&self, expected: &Expected<'_>) -> Result<Vec<u32>> {
        let mut first_rows = Vec::with_capacity(expected.entries.min(self.rows()));
        let compressed: arrow::array::BooleanArray = typed(&self.batch, "compressed")?;
        let mut entry: Option<(&[u8], Option<u64>)> = None;
        let mut previous: Option<Before> = None;
        for i in 0..self.rows() {
            let row = self.row(i);
            let named = |error: Error| error.with_entry(row.path);
            if self.block_offset.is_valid(i) != self.block_size.is_valid(i) {
                return Err(named(Error::corrupt("index.block", "half of the slice's place in its block is missing")));
            }
            if row.location.is_none()
                && (self.blob_offset.value(i) | self.blob_size.value(i) | u64::from(self.codec.value(i))) != 0
            {
                return Err(named(Error::corrupt("index.blob", "a row without bytes refers to a blob")));
            }
            check_row(&row, compressed.value(i), expected).map_err(named)?;
            if let Some(attributes) = &row.attributes {
                self.check_name(i, entry.map_or(&[], |(path, _)| path)).map_err(named)?;
                if row.path < expected.first_path || row.path > expected.last_path {
                    return Err(named(Error::corrupt("index.bounds", "the entry lies outside its segment's bounds")));
                }
                if entry.is_some_and(|(before, _)| before >= row.path) {
                    return Err(named(Error::corrupt(
                        "index.order",
                        "the paths are not in order, or one is there twice",
                    )));
                }
                entry = Some((row.path, attributes.file_size));
                first_rows.push(u32::try_from(i).unwrap_or(u32::MAX));
            } else {
                let exact = self.path_bytes.as_ref().is_some_and(|exact| exact.is_valid(i));
                if exact || self.has_attributes(i) {
                    return Err(named(Error::corrupt("index.attributes", "a later slice carries attributes")));
                }
                if let Some(previous) = &previous {
                    let same_name =
                        i > 0 && self.relative_path.value(i.saturating_sub(1)) == self.relative_path.value(i);
                    check_follows(previous, &row, entry.and_then(|(_, size)| size), same_name).map_err(named)?;
                }
            }
            previous = Some(Before::new(&row));
        }
        if first_rows.len() != expected.entries {
            return Err(Error::corrupt(
                "index.entries",
                "a segment has another number of entries than its manifest row",
            ));
        }
        Ok(first_rows)
    }

    fn check_name(&self, i: usize, before: &[u8]) -> Result<()> {
        path::check_after(before, self.path(i))?;
        if let Some(exact) = self.path_bytes.as_ref().filter(|exact| exact.is_valid(i)) {
            let exact = exact.value(i);
            if std::str::from_utf8(exact).is_ok() || path::display(exact) != self.relative_path.value(i) {
                return Err(Error::corrupt("index.escape", "the exact name and its escape contradict each other"));
            }
        }
        Ok(())
    }

    fn has_attributes(&self, i: usize) -> bool {
        fn set(column: &Option<impl Array>, i: usize) -> bool {
            column.as_ref().is_some_and(|column| column.is_valid(i))
        }
        let numbers = set(&self.mode, i) || set(&self.mtime_ns, i) || set(&self.uid, i) || set(&self.gid, i);
        let file = set(&self.link_target, i) || set(&self.file_size, i) || set(&self.file_hash, i);
        let others = set(&self.xattr_id, i) || set(&self.rdev, i) || set(&self.pkg_type, i) || set(&self.repo, i);
        numbers || file || others
    }
}

/// What a row must be on its own.
fn check_row(row: &Row<'_>, compressed: bool, expected: &Expected<'_>) -> Result<()> {
    let refuse = |rule, why: &str| Err(Error::corrupt(rule, why.to_owned()));
    let (max_block, payload_start) = match expected.codecs {
        Codecs::Version3 => (v3::MAX_SLICE, 0),
        Codecs::Version4 => (MAX_BLOCK, HEAD_LEN),
    };
    match row.location {
        Some(at) => {
            let in_block = at.block_offset.checked_add(row.size).is_some_and(|end| end <= at.block_size);
            if row.size == 0 || !in_block || at.block_size > max_block {
                return refuse("index.block", "the slice lies outside its block, or the block is over 64 MiB");
            }
            // What this version can't decode anyway may have any size in version 3.
            let bounded = expected.codecs == Codecs::Version4 || expected.codecs.check(at.codec).is_ok();
            if bounded && at.blob_size > codec::bound(in_memory(at.block_size)) as u64 {
                return refuse("index.blob", "the slice's blob is bigger than its block can become");
            }
            if expected.codecs == Codecs::Version4 && row.checksum == UNRECORDED {
                return refuse("index.checksum", "the slice has no checksum");
            }
            let in_payload = at.blob_offset.checked_add(at.blob_size).is_some_and(|end| end <= expected.payload_end);
            if at.blob_offset < payload_start || at.blob_size == 0 || !in_payload {
                return refuse("index.blob", "the slice's blob lies outside the payload");
            }
            if compressed != (at.codec != CODEC_STORED) || (at.codec == CODEC_STORED && at.blob_size != at.block_size) {
                return refuse("index.codec", "the slice's codec contradicts its sizes");
            }
        }
        None if row.size != 0 || row.offset != 0 || row.chunk_seq != 0 || compressed => {
            return refuse("index.block", "a row without a block has bytes, an offset or a codec");
        }
        None => {}
    }
    let Some(end) = row.offset.checked_add(row.size) else {
        return refuse("index.offset", "the slice's end overflows");
    };
    match (row.attributes, EntryKind::from_number(row.kind)) {
        (Some(attributes), Some(kind)) => {
            check_entry(row, &attributes, kind, end, expected.codecs)?;
            if expected.codecs == Codecs::Version4 && attributes.file_hash == Some(UNRECORDED) {
                return refuse("index.hash", "the hash of the whole file is missing");
            }
            Ok(())
        }
        // Kinds of later versions, which keep rules of their own, and later slices.
        _ => Ok(()),
    }
}

/// What an entry's first row must be.
fn check_entry(row: &Row<'_>, attributes: &Attributes<'_>, kind: EntryKind, end: u64, codecs: Codecs) -> Result<()> {
    let refuse = |rule, why: &str| Err(Error::corrupt(rule, why.to_owned()));
    if attributes.mode.is_some_and(|mode| mode > 0o7777) {
        return refuse("index.mode", "the mode has more than 12 bits");
    }
    if kind.has_target() != attributes.link_target.is_some() {
        return refuse("index.link", "a link has no target, or something else has one");
    }
    if attributes.link_target.is_some_and(|to| to.is_empty() || to.len() > path::MAX_PATH || to.contains(&0)) {
        return refuse("index.link", "a link's target is empty, too long or contains a NUL byte");
    }
    if !kind.has_bytes() {
        let bare = row.size == 0 && attributes.file_size.is_none() && attributes.file_hash.is_none();
        let zeros = row.checksum == [0; 32];
        return if bare && zeros { Ok(()) } else { refuse("index.kind", "an entry of a kind without bytes has some") };
    }
    let Some(size) = attributes.file_size.filter(|size| end <= *size && *size <= i64::MAX as u64) else {
        return refuse("index.size", "the file's size is missing or contradicts its slices");
    };
    // Where version 3 has no checksum, nothing says that the file was empty.
    let may_be_missing = codecs == Codecs::Version3 && row.checksum == UNRECORDED;
    if row.location.is_none() && row.checksum != hash(&[]) && !may_be_missing {
        return refuse("index.checksum", "a file's row without bytes has a checksum that is not that of no bytes");
    }
    let whole = row.offset == 0 && row.size == size;
    if whole == attributes.file_hash.is_none() {
        Ok(())
    } else {
        refuse("index.hash", "the hash of a file of several slices is missing, or that of a file of one is there")
    }
}

/// What a row must know of the one before it.
struct Before {
    kind: u8,
    has_bytes: bool,
    chunk_seq: u32,
    end: u64,
}

impl Before {
    fn new(row: &Row<'_>) -> Before {
        let end = row.offset.saturating_add(row.size);
        Before { kind: row.kind, has_bytes: row.location.is_some(), chunk_seq: row.chunk_seq, end }
    }
}

/// What a later slice must be after the row before it. `size` is its file's, where that is known in this segment.
fn check_follows(previous: &Before, row: &Row<'_>, size: Option<u64>, same_name: bool) -> Result<()> {
    let has_bytes = EntryKind::from_number(row.kind).is_none_or(EntryKind::has_bytes);
    let follows = same_name
        && has_bytes
        && row.kind == previous.kind
        && previous.has_bytes
        && previous.chunk_seq.checked_add(1) == Some(row.chunk_seq)
        && previous.end <= row.offset
        && size.is_none_or(|size| row.offset.saturating_add(row.size) <= size);
    if follows {
        Ok(())
    } else {
        Err(Error::corrupt("index.slice", "the slices of a file are not in order or exceed its size"))
    }
}

fn value<T: ArrowPrimitiveType>(array: &Option<PrimitiveArray<T>>, i: usize) -> Option<T::Native> {
    array.as_ref().filter(|array| array.is_valid(i)).map(|array| array.value(i))
}

fn digest(array: &FixedSizeBinaryArray, i: usize) -> Digest {
    array.value(i).try_into().unwrap_or_default()
}

/// The same for a column most of which may be null; `None` where all of it is, which is then known once for all rows.
fn sparse<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<Option<T>> {
    let column: T = typed(batch, name)?;
    Ok((column.null_count() < column.len()).then_some(column))
}

/// A column with its type; the guard has checked that it is there.
pub fn typed<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_any().downcast_ref::<T>())
        .cloned()
        .ok_or_else(|| Error::corrupt("index.column", format!("the column {name} is missing or has the wrong type")))
}
