//! The manifest: one row a segment or section. It is the sparse directory of the index.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Int8Array, StringArray, UInt64Array};

use crate::error::{Error, Result, Status};
use crate::format::arrow_stream::{decode_stream, encode_stream, typed};
use crate::format::container::{HEAD_LEN, MAX_BLOCK, MAX_SEGMENT_ROWS, SEGMENT_ALIGN};
use crate::format::hash::Digest;
use crate::format::path::MAX_PATH;
use crate::format::schema::{self, Metadata, VERSION_KEY};
use crate::format::{blobs, ipc_guard, xattrs};

/// `pkg_type` of sections that are not index segments.
pub const SECTION_TYPE: i8 = -128;

/// A row of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Package type of the whole segment, else 0; -128 for private sections.
    pub pkg_type: i8,
    /// Label of the whole segment, else empty.
    pub repo: String,
    /// Empty for index segments; the reserved name of a private section.
    pub module_name: String,
    /// Where its bytes start.
    pub offset: u64,
    /// Bytes as stored.
    pub len: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes when decoded; 0 where they are stored as they are, else they are one zstd frame.
    pub raw_len: u64,
    /// Lower bound of the paths of entries that start in it, greater than all paths before. Where none starts,
    /// this and `last_path` repeat the `last_path` of the segment before.
    pub first_path: Vec<u8>,
    /// Upper bound of the paths of entries that start in it, less than all paths after.
    pub last_path: Vec<u8>,
    /// Entries before it.
    pub first_entry: u64,
    /// Entries that start in it.
    pub entries: u64,
    /// BLAKE3 of the stored bytes.
    pub hash: Digest,
}

impl Part {
    /// Whether it is an index segment.
    pub fn is_segment(&self) -> bool {
        self.pkg_type != SECTION_TYPE
    }

    /// The end of its bytes.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// The number of the first entry behind it.
    pub fn end_entry(&self) -> u64 {
        self.first_entry.saturating_add(self.entries)
    }
}

/// The manifest, decoded and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Facts about the archive.
    pub metadata: Metadata,
    /// Private sections.
    pub sections: Vec<Part>,
    /// Index segments in order.
    pub segments: Vec<Part>,
}

impl Manifest {
    /// The stream.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let parts = || self.sections.iter().chain(&self.segments);
        let numbers =
            |field: fn(&Part) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(parts().map(field))) };
        let hashes = FixedSizeBinaryArray::try_from_iter(parts().map(|part| part.hash))
            .map_err(|error| Error::new(Status::Limit, format!("can't build the manifest: {error}")))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int8Array::from_iter_values(parts().map(|part| part.pkg_type))),
            Arc::new(StringArray::from_iter_values(parts().map(|part| &part.repo))),
            Arc::new(StringArray::from_iter_values(parts().map(|part| &part.module_name))),
            numbers(|part| part.offset),
            numbers(|part| part.len),
            numbers(|part| part.rows),
            numbers(|part| part.raw_len),
            Arc::new(BinaryArray::from_iter_values(parts().map(|part| &part.first_path))),
            Arc::new(BinaryArray::from_iter_values(parts().map(|part| &part.last_path))),
            numbers(|part| part.first_entry),
            numbers(|part| part.entries),
            Arc::new(hashes),
        ];
        encode_stream(&schema::arrow(&schema::MANIFEST, &self.metadata), columns)
    }

    /// Decodes and checks a manifest that starts at `offset` in its archive.
    pub fn decode(stream: &[u8], offset: u64) -> Result<Manifest> {
        ipc_guard::check(stream, &schema::MANIFEST, None)?;
        let batch = decode_stream(stream.to_vec())?;
        let pkg_type: Int8Array = typed(&batch, "pkg_type")?;
        let repo: StringArray = typed(&batch, "repo")?;
        let module_name: StringArray = typed(&batch, "module_name")?;
        let index_offset: UInt64Array = typed(&batch, "index_offset")?;
        let index_len: UInt64Array = typed(&batch, "index_len")?;
        let row_count: UInt64Array = typed(&batch, "row_count")?;
        let index_raw_len: UInt64Array = typed(&batch, "index_raw_len")?;
        let first_path: BinaryArray = typed(&batch, "first_path")?;
        let last_path: BinaryArray = typed(&batch, "last_path")?;
        let first_entry: UInt64Array = typed(&batch, "first_entry")?;
        let entry_count: UInt64Array = typed(&batch, "entry_count")?;
        let index_hash: FixedSizeBinaryArray = typed(&batch, "index_hash")?;
        let mut manifest = Manifest::default();
        for i in 0..batch.num_rows() {
            let part = Part {
                pkg_type: pkg_type.value(i),
                repo: repo.value(i).to_owned(),
                module_name: module_name.value(i).to_owned(),
                offset: index_offset.value(i),
                len: index_len.value(i),
                rows: row_count.value(i),
                raw_len: index_raw_len.value(i),
                first_path: first_path.value(i).to_owned(),
                last_path: last_path.value(i).to_owned(),
                first_entry: first_entry.value(i),
                entries: entry_count.value(i),
                hash: index_hash.value(i).try_into().unwrap_or_default(),
            };
            if part.is_segment() { manifest.segments.push(part) } else { manifest.sections.push(part) }
        }
        let schema = batch.schema();
        manifest.metadata = schema.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        manifest.check(offset)?;
        Ok(manifest)
    }

    /// The blob table's part.
    pub fn blob_table(&self) -> Option<&Part> {
        self.section(blobs::SECTION_NAME)
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Part> {
        self.sections.iter().find(|part| part.module_name == name)
    }

    /// Where the payload ends: where the first section or segment begins.
    pub fn payload_end(&self) -> u64 {
        self.sections.iter().chain(&self.segments).map(|part| part.offset).min().unwrap_or(HEAD_LEN)
    }

    /// Entries of the archive.
    pub fn entry_count(&self) -> u64 {
        self.segments.last().map_or(0, Part::end_entry)
    }

    fn check(&self, manifest_offset: u64) -> Result<()> {
        if self.metadata.get(VERSION_KEY).map(String::as_str) != Some("4") {
            return Err(Error::refused(Status::Version, "manifest.version", "the archive's format version is not 4"));
        }
        let mut end = self.payload_end();
        for part in self.sections.iter().chain(&self.segments) {
            let part_end = part.offset.checked_add(part.len).ok_or_else(|| refuse("a part's end overflows"))?;
            let gap = if part.is_segment() { SEGMENT_ALIGN - 1 } else { 0 };
            if part.offset < end || part.offset.saturating_sub(end) > gap || part_end > manifest_offset || part.len == 0
            {
                return Err(refuse("parts overlap, leave gaps, are empty or lie outside the file"));
            }
            if part.raw_len > MAX_BLOCK || part.first_path.len().max(part.last_path.len()) > MAX_PATH {
                return Err(refuse("a part is over 64 MiB decoded, or a bound is longer than a path"));
            }
            end = part_end;
        }
        if manifest_offset != end {
            return Err(refuse("there is a gap before the manifest"));
        }
        let tables = self.sections.iter().filter(|part| part.module_name == blobs::SECTION_NAME).count();
        let first = self.sections.first().filter(|part| part.module_name == blobs::SECTION_NAME && part.raw_len == 0);
        let sized =
            |part: &&Part| Some(part.len) == part.rows.checked_mul(56).and_then(|records| records.checked_add(8));
        if tables != 1 || first.filter(sized).is_none() || self.payload_end() < HEAD_LEN {
            return Err(refuse("the blob table is not there once, first and plain"));
        }
        let mut xattrs = self.sections.iter().filter(|part| part.module_name == xattrs::SECTION_NAME);
        if xattrs.next().is_some_and(|part| part.len > xattrs::MAX_SECTION) || xattrs.next().is_some() {
            return Err(refuse("there are two sections of extended attributes, or one of over 64 MiB"));
        }
        let mut entries = 0u64;
        let mut last_path: Option<&[u8]> = None;
        for part in &self.segments {
            if !part.module_name.is_empty() || part.offset % SEGMENT_ALIGN != 0 {
                return Err(refuse("an index segment has a name or is not aligned"));
            }
            if part.rows == 0 || part.rows > MAX_SEGMENT_ROWS as u64 || part.entries > part.rows {
                return Err(refuse("an index segment has no rows, or too many"));
            }
            if part.raw_len.max(part.len) > MAX_BLOCK {
                return Err(refuse("an index segment is over 64 MiB"));
            }
            if part.first_entry != entries {
                return Err(refuse("the numbers of entries do not add up"));
            }
            entries = entries.checked_add(part.entries).ok_or_else(|| refuse("too many entries"))?;
            if part.entries > 0 {
                if last_path.is_some_and(|last| last >= &part.first_path[..]) || part.first_path > part.last_path {
                    return Err(refuse("index segments are not in order"));
                }
                last_path = Some(&part.last_path);
            } else if last_path != Some(&part.last_path) || part.first_path != part.last_path {
                return Err(refuse("a segment in which no entry starts does not repeat the bound before it"));
            }
        }
        Ok(())
    }
}

fn refuse(why: &str) -> Error {
    Error::corrupt("manifest.parts", format!("the manifest is malformed: {why}"))
}
