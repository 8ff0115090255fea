//! Recovery records: what the index says, a second time, in between the blobs. `docs/FORMAT.md`, section 4.5.
//!
//! A record is one zstd skippable frame and a filler of the blob table, so that no reader needs to know it. It says
//! where it stands and ends with a hash over itself: found anywhere in a damaged archive, it can be believed, and a
//! record of an archive that is packed in this one can't be mistaken for one of this.

use crate::error::{Error, Result, reserve, zeroed};
use crate::format::codec::{Compressor, Decompressor};
use crate::format::container::{MAX_BLOCK, read_digest, read_u32, read_u64};
use crate::format::hash::{Digest, hash};
use crate::format::in_memory;
use crate::format::path::MAX_PATH;
use crate::progress::CancelToken;

/// The first four bytes: one of the sixteen numbers that zstd (RFC 8878, section 3.1.2) sets aside for skippable frames.
pub const FRAME_MAGIC: [u8; 4] = [0x5A, 0x2A, 0x4D, 0x18];
/// What tells a record from other skippable frames; it stands behind the frame's magic and length.
pub const MAGIC: &[u8; 8] = b"ZNPYREC4";
/// Where [`MAGIC`] stands in a record.
pub const MAGIC_AT: usize = 8;
/// Bytes before the content.
pub const HEADER: usize = 40;
/// Bytes behind the content: the hash.
pub const END: usize = 32;
/// Most bytes of a record.
pub const MAX_RECORD: u64 = MAX_BLOCK + (HEADER + END) as u64;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum What {
    /// A blob, and slices and files that are known since the record before.
    Rows = 1,
    /// A segment of the index.
    Segment = 2,
    /// The section of extended attributes.
    Xattrs = 3,
    /// The last record: how many segments there are.
    End = 4,
}

/// A record, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it holds.
    pub what: What,
    /// Number of the segment, of sets of extended attributes, or of segments in all.
    pub number: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// The bytes of a record that is to stand at `offset`.
///
/// # Errors
/// `E_NO_MEMORY`, or `E_LIMIT` where the content is over 64 MiB.
pub fn encode(
    what: What,
    number: u32,
    content: &[u8],
    offset: u64,
    compressor: Option<&mut Compressor>,
) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    if let Some(compressor) = compressor.filter(|_| !content.is_empty()) {
        compressor.compress(content, &mut frame, &CancelToken::new())?;
    }
    let is_frame = !frame.is_empty() && frame.len() < content.len();
    let (stored, raw) = if is_frame { (&frame[..], content.len() as u64) } else { (content, 0) };
    if content.len() as u64 > MAX_BLOCK {
        return Err(Error::new(crate::error::Status::Limit, "a recovery record would be over 64 MiB"));
    }
    let mut record = Vec::new();
    // At most 64 MiB and a little.
    let len = stored.len().saturating_add(HEADER + END);
    reserve(&mut record, len)?;
    record.extend_from_slice(&FRAME_MAGIC);
    record.extend_from_slice(&u32::try_from(len.saturating_sub(8)).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&offset.to_le_bytes());
    record.extend_from_slice(&(what as u32).to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&raw.to_le_bytes());
    record.extend_from_slice(stored);
    let sum = hash(&record);
    record.extend_from_slice(&sum);
    Ok(record)
}

/// Bytes of the record that begins with this header at `offset`; `None` where none can.
pub fn length(header: &[u8], offset: u64) -> Option<u64> {
    let fits = header.len() >= HEADER
        && header.starts_with(&FRAME_MAGIC)
        && header.get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(MAGIC))
        && read_u64(header, 16) == offset;
    let len = u64::from(read_u32(header, 4)).saturating_add(8);
    (fits && len >= (HEADER + END) as u64 && len <= MAX_RECORD).then_some(len)
}

/// Decodes a record that stands at `offset`; `None` where it is none, is damaged, or holds something unknown.
///
/// # Errors
/// `E_NO_MEMORY`.
pub fn decode(bytes: &[u8], offset: u64) -> Result<Option<Record>> {
    let (Some(len), Some((before, sum))) = (length(bytes, offset), bytes.split_last_chunk::<END>()) else {
        return Ok(None);
    };
    if len != bytes.len() as u64 || hash(before) != *sum {
        return Ok(None);
    }
    let what = match read_u32(bytes, 24) {
        1 => What::Rows,
        2 => What::Segment,
        3 => What::Xattrs,
        4 => What::End,
        _ => return Ok(None),
    };
    let (stored, raw) = (before.get(HEADER..).unwrap_or_default(), read_u64(bytes, 32));
    let content = match raw {
        0 => stored.to_vec(),
        raw if raw > MAX_BLOCK => return Ok(None),
        raw => {
            let mut content = zeroed(in_memory(raw))?;
            match Decompressor::new()?.decompress(stored, &mut content) {
                Ok(()) => content,
                Err(_) => return Ok(None),
            }
        }
    };
    Ok(Some(Record { what, number: read_u32(bytes, 28), content }))
}

/// The blob that stands before a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobFact {
    /// Where it starts.
    pub offset: u64,
    /// Bytes as stored.
    pub stored: u64,
    /// Bytes of its block.
    pub decoded: u64,
    /// How it is encoded.
    pub codec: u8,
    /// BLAKE3 of the stored bytes.
    pub hash: Digest,
}

/// A slice of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceFact {
    /// Position of the file's path in the record.
    pub path: u32,
    /// Number of the slice in its file.
    pub seq: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// Where it starts in the block of the record's blob; `None` for bytes that stand in another blob: the slice there
    /// has the same checksum and size.
    pub start: Option<u32>,
    /// BLAKE3 of the bytes.
    pub checksum: Digest,
}

/// A file all of whose slices are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Position of its path in the record.
    pub path: u32,
    /// How many slices it has.
    pub slices: u32,
    /// Its size, holes included.
    pub size: u64,
    /// Mode bits.
    pub mode: Option<u32>,
    /// Modification time.
    pub mtime_ns: Option<i64>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// BLAKE3 of the whole, where one slice isn't the whole.
    pub hash: Option<Digest>,
}

/// The content of a record of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The blob before the record.
    pub blob: BlobFact,
    /// Exact paths.
    pub paths: Vec<Vec<u8>>,
    /// Slices.
    pub slices: Vec<SliceFact>,
    /// Files.
    pub files: Vec<FileFact>,
}

const SLICE: usize = 56;
const FILE: usize = 76;
const NO_START: u32 = u32::MAX;
const HAS_MODE: u32 = 1;
const HAS_MTIME: u32 = 2;
const HAS_UID: u32 = 4;
const HAS_GID: u32 = 8;
const HAS_HASH: u32 = 16;

impl Rows {
    /// The content.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [self.blob.offset, self.blob.stored, self.blob.decoded, u64::from(self.blob.codec)] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.blob.hash);
        for count in [self.paths.len(), self.slices.len(), self.files.len()] {
            bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        for path in &self.paths {
            bytes.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend_from_slice(path);
        }
        for slice in &self.slices {
            bytes.extend_from_slice(&slice.path.to_le_bytes());
            bytes.extend_from_slice(&slice.seq.to_le_bytes());
            bytes.extend_from_slice(&slice.offset.to_le_bytes());
            bytes.extend_from_slice(&slice.size.to_le_bytes());
            bytes.extend_from_slice(&slice.start.unwrap_or(NO_START).to_le_bytes());
            bytes.extend_from_slice(&slice.checksum);
        }
        for file in &self.files {
            let flag = |there: bool, flag: u32| if there { flag } else { 0 };
            let flags = flag(file.mode.is_some(), HAS_MODE)
                | flag(file.mtime_ns.is_some(), HAS_MTIME)
                | flag(file.uid.is_some(), HAS_UID)
                | flag(file.gid.is_some(), HAS_GID)
                | flag(file.hash.is_some(), HAS_HASH);
            bytes.extend_from_slice(&file.path.to_le_bytes());
            bytes.extend_from_slice(&file.slices.to_le_bytes());
            bytes.extend_from_slice(&file.size.to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            bytes.extend_from_slice(&file.mode.unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(&file.mtime_ns.unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(&file.uid.unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(&file.gid.unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(&file.hash.unwrap_or_default());
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes
    }

    /// Decodes a content; `None` where it is malformed.
    pub fn decode(bytes: &[u8]) -> Option<Rows> {
        let blob = BlobFact {
            offset: read_u64(bytes, 0),
            stored: read_u64(bytes, 8),
            decoded: read_u64(bytes, 16),
            codec: u8::try_from(read_u64(bytes, 24)).ok()?,
            hash: read_digest(bytes, 32),
        };
        let [paths, slices, files] = [64, 68, 72].map(|at| read_u32(bytes, at) as usize);
        let mut rest = bytes.get(76..)?;
        let mut rows = Rows { blob, ..Rows::default() };
        for _ in 0..paths {
            let (len, behind) = rest.split_first_chunk()?;
            let (path, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            rows.paths.push(path.to_vec());
            rest = behind;
        }
        let (slices, rest) = rest.split_at_checked(slices.checked_mul(SLICE)?)?;
        if rest.len() != files.checked_mul(FILE)? {
            return None;
        }
        for slice in slices.chunks_exact(SLICE) {
            let start = read_u32(slice, 20);
            rows.slices.push(SliceFact {
                path: read_u32(slice, 0),
                seq: read_u32(slice, 4),
                offset: read_u64(slice, 8),
                size: read_u32(slice, 16),
                start: (start != NO_START).then_some(start),
                checksum: read_digest(slice, 24),
            });
        }
        for file in rest.chunks_exact(FILE) {
            let flags = read_u32(file, 16);
            let has = |flag: u32| flags & flag != 0;
            rows.files.push(FileFact {
                path: read_u32(file, 0),
                slices: read_u32(file, 4),
                size: read_u64(file, 8),
                mode: has(HAS_MODE).then(|| read_u32(file, 20)),
                mtime_ns: has(HAS_MTIME).then(|| read_u64(file, 24).cast_signed()),
                uid: has(HAS_UID).then(|| read_u32(file, 32)),
                gid: has(HAS_GID).then(|| read_u32(file, 36)),
                hash: has(HAS_HASH).then(|| read_digest(file, 40)),
            });
        }
        let known = |path: u32| (path as usize) < rows.paths.len();
        let sound = rows.slices.iter().all(|slice| known(slice.path) && slice.size > 0)
            && rows.files.iter().all(|file| known(file.path))
            && rows.paths.iter().all(|path| path.len() <= MAX_PATH);
        sound.then_some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_rows() -> Rows {
        Rows {
            blob: BlobFact { offset: 16, stored: 9, decoded: 20, codec: 1, hash: [3; 32] },
            paths: vec![b"a".to_vec(), b"b/\xff".to_vec()],
            slices: vec![
                SliceFact { path: 1, seq: 4, offset: 77, size: 20, start: Some(0), checksum: [8; 32] },
                SliceFact { path: 0, seq: 0, offset: 0, size: 3, start: None, checksum: [9; 32] },
            ],
            files: vec![FileFact {
                path: 1,
                slices: 5,
                size: 97,
                mode: Some(0o644),
                mtime_ns: Some(-5),
                uid: None,
                gid: Some(0),
                hash: Some([7; 32]),
            }],
        }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = some_rows();
        let bytes = rows.encode();
        assert_eq!(Rows::decode(&bytes), Some(rows));
        for len in 0..bytes.len() {
            assert_eq!(Rows::decode(&bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn a_record_is_found_where_it_stands_and_nowhere_else_and_only_whole() {
        let content = some_rows().encode().repeat(30);
        for compressed in [false, true] {
            let mut compressor = Compressor::new(3, 1 << 20).expect("zstd");
            let record = encode(What::Rows, 7, &content, 500, compressed.then_some(&mut compressor)).expect("record");
            let expected = Record { what: What::Rows, number: 7, content: content.clone() };
            assert_eq!(decode(&record, 500).expect("memory"), Some(expected));
            assert_eq!(decode(&record, 501).expect("memory"), None);
            assert_eq!(length(&record, 500), Some(record.len() as u64));
            for at in 0..record.len() {
                let mut flipped = record.clone();
                flipped[at] ^= 0x10;
                assert_eq!(decode(&flipped, 500).expect("memory"), None, "byte {at}");
            }
        }
    }
}
