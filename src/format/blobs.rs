//! The blob table: what lies in the payload, blob by blob, with the hash of the stored bytes.
//!
//! ```text
//! 0   8 zero bytes, which make old readers stop
//! 8   records of 56 bytes: u64 offset | u64 stored size | u64 decoded size | BLAKE3 of the stored bytes (32)
//! ```
//!
//! A decoded size of 0 marks a filler: bytes between blobs that hold no block (reserved for recovery records).
//! Records are in order of offset; the first blob starts behind the head and each next one where the one
//! before it ends, so that the records tile the payload.

use crate::error::{Error, Result, reserve};
use crate::format::container::{HEAD_LEN, MAX_BLOCK, read_digest, read_u64};
use crate::format::hash::Digest;

/// Name of the section in the manifest.
pub const SECTION_NAME: &str = "__znippy4_blobs__";
const PREFIX: usize = 8;
const RECORD: usize = 56;

/// A record of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where it starts in the archive.
    pub offset: u64,
    /// Bytes as stored.
    pub stored: u64,
    /// Bytes when decoded; 0 for fillers, which no slice may refer to.
    pub decoded: u64,
    /// BLAKE3 of the stored bytes.
    pub hash: Digest,
}

/// The table's bytes.
pub fn encode(blobs: &[Blob]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(blobs.len().saturating_mul(RECORD).saturating_add(PREFIX));
    bytes.extend_from_slice(&[0; PREFIX]);
    for blob in blobs {
        bytes.extend_from_slice(&blob.offset.to_le_bytes());
        bytes.extend_from_slice(&blob.stored.to_le_bytes());
        bytes.extend_from_slice(&blob.decoded.to_le_bytes());
        bytes.extend_from_slice(&blob.hash);
    }
    bytes
}

/// Decodes and checks a table of `rows` records whose blobs must tile the payload up to `payload_end`.
pub fn decode(bytes: &[u8], rows: u64, payload_end: u64) -> Result<Vec<Blob>> {
    let refuse = |why: &str| Error::corrupt("blobs.table", format!("the blob table is malformed: {why}"));
    let records = bytes.strip_prefix(&[0; PREFIX]).ok_or_else(|| refuse("it does not start with 8 zero bytes"))?;
    if records.len() % RECORD != 0 || (records.len() / RECORD) as u64 != rows {
        return Err(refuse("its length contradicts the manifest"));
    }
    let mut end = HEAD_LEN;
    let mut blobs = Vec::new();
    reserve(&mut blobs, records.len() / RECORD)?;
    for record in records.chunks_exact(RECORD) {
        let blob = Blob {
            offset: read_u64(record, 0),
            stored: read_u64(record, 8),
            decoded: read_u64(record, 16),
            hash: read_digest(record, 24),
        };
        if blob.offset != end || blob.stored == 0 || blob.decoded > MAX_BLOCK {
            return Err(refuse("blobs overlap, leave gaps or have impossible sizes"));
        }
        end = end.checked_add(blob.stored).ok_or_else(|| refuse("a blob's end overflows"))?;
        blobs.push(blob);
    }
    if end != payload_end {
        return Err(refuse("the blobs do not fill the payload"));
    }
    Ok(blobs)
}
