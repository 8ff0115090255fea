//! Head, trailer and footer.
//!
//! ```text
//! 0        head, 16 bytes:    89 5A 4E 50 59 0D 0A 1A | u32 version | u32 zero
//! 16       blobs | sections | index segments | manifest
//! end-72   trailer, 56 bytes: "ZNPYTR04" | u32 incompatible | u32 compatible | u64 manifest length | hash (32)
//! end-16   footer, 16 bytes:  "ZNPYMIDX" | u64 manifest offset
//! ```
//!
//! All integers are little endian. The hash is BLAKE3(manifest ‖ the trailer's first 24 bytes ‖ manifest
//! offset); it is the *archive digest*.

use crate::error::{Error, Result, Status};
use crate::format::hash::Digest;

/// The version of the format that is written.
pub const FORMAT_VERSION: u32 = 4;
/// Bytes of the head; the first blob starts here.
pub const HEAD_LEN: u64 = 16;
/// Bytes of the trailer.
pub const TRAILER_LEN: u64 = 56;
/// Bytes of the footer.
pub const FOOTER_LEN: u64 = 16;
/// What is read from the end of an archive in one go: holds footer, trailer and, as a rule, the manifest.
pub const TAIL_READ: u64 = 64 << 10;
/// Index segments start on multiples of this.
pub const SEGMENT_ALIGN: u64 = 64;
/// Most bytes of a block, decoded, and of an index segment, decoded.
pub const MAX_BLOCK: u64 = 64 << 20;
/// Most bytes of a manifest.
pub const MAX_MANIFEST: u64 = 64 << 20;
/// Most rows of an index segment.
pub const MAX_SEGMENT_ROWS: usize = 8192;

/// Incompatible features that this version understands: none are defined yet.
const KNOWN_INCOMPATIBLE: u32 = 0;

const HEAD_MAGIC: [u8; 8] = [0x89, b'Z', b'N', b'P', b'Y', 0x0D, 0x0A, 0x1A];
const TRAILER_MAGIC: &[u8; 8] = b"ZNPYTR04";
const FOOTER_MAGIC: &[u8; 8] = b"ZNPYMIDX";

/// The first 16 bytes of every version 4 archive.
pub fn head() -> [u8; 16] {
    join(HEAD_MAGIC, u64::from(FORMAT_VERSION))
}

/// The footer.
pub fn footer(manifest_offset: u64) -> [u8; 16] {
    join(*FOOTER_MAGIC, manifest_offset)
}

fn join(magic: [u8; 8], number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let parts = magic.into_iter().chain(number.to_le_bytes());
    bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
    bytes
}

/// The bytes that `bytes` end with: those of the trailer, where there is room for one, and those of the footer.
fn ends(bytes: &[u8]) -> Option<(Option<&[u8; 56]>, &[u8; 16])> {
    let (before, footer) = bytes.split_last_chunk()?;
    Some((before.last_chunk(), footer))
}

/// The offset in the footer, where the tail of a file has one but no trailer: what versions before 4 wrote.
pub fn footer_alone(tail: &[u8]) -> Option<u64> {
    let (trailer, footer) = ends(tail)?;
    let alone = footer.starts_with(FOOTER_MAGIC) && !trailer.is_some_and(|trailer| trailer.starts_with(TRAILER_MAGIC));
    alone.then(|| read_u64(footer, 8))
}

/// Checks the first 16 bytes.
pub fn check_head(bytes: &[u8]) -> Result<()> {
    if bytes == head() { Ok(()) } else { Err(Error::corrupt("head.bytes", "the first 16 bytes are damaged")) }
}

/// Where the manifest is, and what seals it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Features that a reader must know, or refuse.
    pub incompatible: u32,
    /// Features that a reader may ignore.
    pub compatible: u32,
    /// Where the manifest starts.
    pub manifest_offset: u64,
    /// Bytes of the manifest.
    pub manifest_len: u64,
    /// The archive digest.
    pub digest: Digest,
}

impl Trailer {
    /// A trailer for this manifest at this offset.
    pub fn seal(manifest: &[u8], manifest_offset: u64) -> Trailer {
        let mut trailer = Trailer {
            incompatible: 0,
            compatible: 0,
            manifest_offset,
            manifest_len: manifest.len() as u64,
            digest: [0; 32],
        };
        trailer.digest = trailer.digest_of(manifest);
        trailer
    }

    /// Trailer and footer as they stand at the end of the archive.
    pub fn encode(&self) -> Vec<u8> {
        [&self.fields()[..], &self.digest, &footer(self.manifest_offset)].concat()
    }

    /// Reads trailer and footer from the end of an archive of `archive_len` bytes; `tail` is its last bytes.
    ///
    /// # Errors
    /// `E_NOT_ARCHIVE` where there is no footer, `E_VERSION` for other versions, `E_UNSUPPORTED` for unknown
    /// incompatible features, `E_CORRUPT` where the offsets contradict the length.
    pub fn decode(tail: &[u8], archive_len: u64) -> Result<Trailer> {
        let Some((trailer, footer)) = ends(tail).filter(|(_, footer)| footer.starts_with(FOOTER_MAGIC)) else {
            return Err(Error::refused(
                Status::NotArchive,
                "footer.magic",
                "not a znippy archive, or its end is missing; was it copied or written to the end?",
            ));
        };
        let manifest_offset = read_u64(footer, 8);
        let Some(trailer) = trailer.filter(|trailer| trailer.starts_with(TRAILER_MAGIC)) else {
            return Err(Error::refused(
                Status::Version,
                "trailer.magic",
                "a znippy archive of another version than 4, or its trailer is damaged",
            ));
        };
        let decoded = Trailer {
            incompatible: read_u32(trailer, 8),
            compatible: read_u32(trailer, 12),
            manifest_offset,
            manifest_len: read_u64(trailer, 16),
            digest: read_digest(trailer, 24),
        };
        let unknown = decoded.incompatible & !KNOWN_INCOMPATIBLE;
        if unknown != 0 {
            return Err(Error::refused(
                Status::Unsupported,
                "trailer.features",
                format!("the archive uses features ({unknown:#x}) that this version of the library doesn't know"),
            ));
        }
        let end =
            manifest_offset.checked_add(decoded.manifest_len).and_then(|end| end.checked_add(TRAILER_LEN + FOOTER_LEN));
        if manifest_offset < HEAD_LEN || end != Some(archive_len) {
            return Err(Error::corrupt("trailer.range", "the manifest's place contradicts the archive's length"));
        }
        if decoded.manifest_len > MAX_MANIFEST {
            return Err(Error::refused(Status::Limit, "manifest.size", "the manifest is over 64 MiB"));
        }
        Ok(decoded)
    }

    /// Checks the hash over the manifest and these fields.
    pub fn check(&self, manifest: &[u8]) -> Result<()> {
        if self.digest_of(manifest) == self.digest {
            Ok(())
        } else {
            Err(Error::refused(Status::Checksum, "trailer.hash", "the manifest or the trailer is damaged"))
        }
    }

    fn fields(&self) -> [u8; 24] {
        let mut fields = [0; 24];
        let features = self.incompatible.to_le_bytes().into_iter().chain(self.compatible.to_le_bytes());
        let parts = TRAILER_MAGIC.iter().copied().chain(features).chain(self.manifest_len.to_le_bytes());
        fields.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        fields
    }

    fn digest_of(&self, manifest: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(manifest).update(&self.fields()).update(&self.manifest_offset.to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// The `u32` at `at`, or 0 past the end.
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
}

/// The `u64` at `at`, or 0 past the end.
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes)
}

/// The digest at `at`, or zeros past the end.
pub fn read_digest(bytes: &[u8], at: usize) -> Digest {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_trailer_and_footer_is_refused() {
        let manifest = vec![7; 1000];
        let trailer = Trailer::seal(&manifest, 16);
        let sealed = [&manifest[..], &trailer.encode()].concat();
        let len = 16 + sealed.len() as u64;
        assert_eq!(Trailer::decode(&sealed, len).expect("intact"), trailer);
        for bit in manifest.len() * 8..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let result = Trailer::decode(&flipped, len).and_then(|trailer| trailer.check(&manifest));
            assert!(result.is_err(), "bit {bit}");
        }
    }
}
