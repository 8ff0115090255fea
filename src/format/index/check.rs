//! What the rows of a segment must be, on their own and one behind the other.

use arrow::array::Array;

use crate::error::{Error, Result};
use crate::format::arrow_stream::typed;
use crate::format::codec;
use crate::format::container::{HEAD_LEN, MAX_BLOCK};
use crate::format::hash::{UNRECORDED, hash};
use crate::format::index::segment::Segment;
use crate::format::row::{Attributes, CODEC_STORED, Codecs, EntryKind, Row};
use crate::format::{in_memory, path, v3};

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

impl Segment {
    /// Checks all rows, and returns those on which entries start.
    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<Vec<u32>> {
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
