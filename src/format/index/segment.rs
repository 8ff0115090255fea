//! A segment in memory: decoded, checked, and read row by row.

use arrow::array::{
    Array, ArrowPrimitiveType, BinaryArray, FixedSizeBinaryArray, Int8Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray, UInt8Array, UInt32Array, UInt64Array,
};

use crate::error::{Error, Result};
use crate::format::arrow_stream::{decode_stream, typed};
use crate::format::container::MAX_SEGMENT_ROWS;
use crate::format::hash::Digest;
use crate::format::index::check::Expected;
use crate::format::row::{Attributes, Codecs, Location, Row};
use crate::format::{ipc_guard, path, schema};

/// A decoded and checked segment.
#[derive(Clone)]
pub struct Segment {
    pub(super) batch: RecordBatch,
    pub(super) relative_path: StringArray,
    chunk_seq: UInt32Array,
    fdata_offset: UInt64Array,
    uncompressed_size: UInt64Array,
    pub(super) blob_offset: UInt64Array,
    pub(super) blob_size: UInt64Array,
    checksum: FixedSizeBinaryArray,
    kind: UInt8Array,
    pub(super) block_offset: UInt64Array,
    pub(super) block_size: UInt64Array,
    pub(super) codec: UInt8Array,
    pub(super) mode: Option<UInt32Array>,
    pub(super) mtime_ns: Option<Int64Array>,
    pub(super) uid: Option<UInt32Array>,
    pub(super) gid: Option<UInt32Array>,
    pub(super) link_target: Option<BinaryArray>,
    pub(super) path_bytes: Option<BinaryArray>,
    pub(super) file_size: Option<UInt64Array>,
    pub(super) file_hash: Option<FixedSizeBinaryArray>,
    pub(super) xattr_id: Option<UInt32Array>,
    pub(super) rdev: Option<UInt64Array>,
    pub(super) pkg_type: Option<Int8Array>,
    pub(super) repo: Option<StringArray>,
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
