//! OpenZL frames as znippy 0.7 to 0.10 write them; others are for OpenZL itself, where it is built in.
//!
//! ```text
//! 0     u32 0xD7B1A5C0 + frame version
//! 4     u8 3: a checksum of the content and one of the frame follow
//! 5     u8 1: one input, bytes
//! 6     varint content size + 1
//!       u8 checksum of the header
//!       stored:  u8 1 (no decoder) | u8 1 (one stream) | varint size | the bytes
//!       zstd:    u8 2 (one decoder) | u8 1 (one stream) | u8 0 | u8 22 (zstd) | 4 zero bytes | varint size
//!                | u8 1 | a zstd frame without its magic, which with the byte before it has that size
//! end-9 u32 checksum of the content | u32 checksum of the frame | u8 0
//! ```
//!
//! Found on all frames of archives that were written by 0.7.2 (frame version 27) and 0.10.1 (25). Other frames take the
//! feature `openzl`. The checksums are the low bytes of XXH3 (64 bits): of the header before it, of the content, and
//! of the frame from behind the header up to the checksum of the content. Readers don't look at them: slices have BLAKE3.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result, Status};

const MAGIC: u32 = 0xD7B1_A5C0;
const VERSIONS: std::ops::RangeInclusive<u32> = 8..=27;
/// That of 0.10, the older of the two that were looked at.
const WRITTEN_VERSION: u32 = 25;
const BOTH_CHECKSUMS: u8 = 3;
const ZSTD: u8 = 22;
/// Both checksums, and the zero byte that ends the last part.
const END: usize = 9;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The bytes.
    Stored(&'a [u8]),
    /// A zstd frame without its magic.
    Zstd(&'a [u8]),
    /// What OpenZL alone can decode.
    Other,
}

/// Finds the content of a frame that decodes to `size` bytes.
///
/// # Errors
/// `E_CORRUPT` for what is no frame, or one of another size.
pub fn parse(frame: &[u8], size: u64) -> Result<Content<'_>> {
    let mut rest = frame;
    let version = take(&mut rest, 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    if !version.and_then(|version| version.checked_sub(MAGIC)).is_some_and(|version| VERSIONS.contains(&version)) {
        return Err(Error::corrupt("openzl.frame", "a compressed blob is not a frame of OpenZL"));
    }
    match plain(rest) {
        None => Ok(Content::Other),
        Some((said, _)) if said != size => Err(other_size()),
        Some((_, Content::Stored(bytes))) if bytes.len() as u64 != size => Err(other_size()),
        Some((_, content)) => Ok(content),
    }
}

/// Decodes a frame of any shape, which must fill `target`, with OpenZL itself.
///
/// # Errors
/// `E_UNSUPPORTED` where that isn't built in, `E_CORRUPT` for damaged frames and those of another size.
#[cfg(feature = "openzl")]
pub fn decode_other(frame: &[u8], target: &mut [u8]) -> Result<()> {
    crate::sys::openzl::decompress(frame, target).map_err(|number| match number {
        0 => other_size(),
        number => Error::corrupt("openzl.frame", format!("OpenZL can't decode a frame (its error {number})")),
    })
}

/// Decodes a frame of any shape, which must fill `target`, with OpenZL itself.
///
/// # Errors
/// `E_UNSUPPORTED` where that isn't built in, `E_CORRUPT` for damaged frames and those of another size.
#[cfg(not(feature = "openzl"))]
pub fn decode_other(_frame: &[u8], _target: &mut [u8]) -> Result<()> {
    let why = "the entry is compressed with OpenZL in a way that zstd alone can't decode; it takes a library that is built \
               with the feature openzl";
    Err(Error::refused(Status::Unsupported, "openzl.shape", why))
}

/// Makes a frame of a zstd frame with its magic, which is that of `bytes`.
pub fn wrap(zstd: &[u8], bytes: &[u8], frame: &mut Vec<u8>) -> Result<()> {
    let magicless = zstd.get(4..).ok_or_else(|| Error::new(Status::Panic, "a zstd frame without a magic"))?;
    frame.clear();
    crate::error::reserve(frame, magicless.len().saturating_add(48))?;
    frame.extend_from_slice(&(MAGIC + WRITTEN_VERSION).to_le_bytes());
    frame.extend_from_slice(&[BOTH_CHECKSUMS, 1]);
    put_varint((bytes.len() as u64).saturating_add(1), frame);
    let [sum, ..] = xxh3_64(frame).to_le_bytes();
    frame.push(sum);
    let start = frame.len();
    frame.extend_from_slice(&[2, 1, 0, ZSTD, 0, 0, 0, 0]);
    put_varint((magicless.len() as u64).saturating_add(1), frame);
    frame.push(1);
    frame.extend_from_slice(magicless);
    frame.extend_from_slice(&sum_32(bytes));
    let sum = sum_32(frame.get(start..).unwrap_or_default());
    frame.extend_from_slice(&sum);
    frame.push(0);
    Ok(())
}

/// The low half of the hash, as it is written.
fn sum_32(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 && low < 0x80 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn other_size() -> Error {
    Error::corrupt("openzl.size", "a frame of OpenZL does not hold as many bytes as the index says")
}

/// The size that a frame of one of the two shapes says, and its content; `None` for other shapes.
fn plain(mut rest: &[u8]) -> Option<(u64, Content<'_>)> {
    let rest = &mut rest;
    if take(rest, 2)? != [BOTH_CHECKSUMS, 1] {
        return None;
    }
    let size = varint(rest)?.checked_sub(1)?;
    take(rest, 1)?;
    let content = match take(rest, 2)? {
        [1, 1] => {
            let len = varint(rest)?;
            Content::Stored(take(rest, usize::try_from(len).ok()?)?)
        }
        [2, 1] => {
            if take(rest, 6)? != [0, ZSTD, 0, 0, 0, 0] {
                return None;
            }
            let len = varint(rest)?;
            let (one, stream) = take(rest, usize::try_from(len).ok()?)?.split_first()?;
            if *one != 1 {
                return None;
            }
            Content::Zstd(stream)
        }
        _ => return None,
    };
    (rest.len() == END && rest.last() == Some(&0)).then_some((size, content))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        let part = u64::from(byte & 0x7F);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "hello\n" as 0.7.2 wrote it.
    const HELLO: &[u8] = &[
        0xDB, 0xA5, 0xB1, 0xD7, 3, 1, 7, 0x3B, 1, 1, 6, b'h', b'e', b'l', b'l', b'o', b'\n', 0x2A, 0x46, 0xA2, 0xAB,
        0xC1, 0xAC, 0x31, 0xEB, 0,
    ];

    #[test]
    fn a_stored_frame_is_its_bytes() {
        assert_eq!(parse(HELLO, 6).unwrap(), Content::Stored(b"hello\n"));
        assert_eq!(parse(HELLO, 5).unwrap_err().rule(), Some("openzl.size"));
    }

    #[test]
    fn what_is_not_one_of_the_two_shapes_is_said_to_need_openzl_and_what_is_no_frame_is_damage() {
        for (at, byte) in [(4, 0), (5, 2), (8, 3), (9, 2), (25, 1)] {
            let mut other = HELLO.to_vec();
            other[at] = byte;
            assert_eq!(parse(&other, 6).unwrap(), Content::Other, "{at}");
            let error = decode_other(&other, &mut [0; 6]).unwrap_err();
            let is_damage = cfg!(feature = "openzl") && error.status() == Status::Corrupt;
            assert!(is_damage || (error.status(), error.rule()) == (Status::Unsupported, Some("openzl.shape")), "{at}");
            assert!(error.message().contains("OpenZL"));
        }
        for len in 0..4 {
            assert_eq!(parse(&HELLO[..len], 6).unwrap_err().status(), Status::Corrupt);
        }
        for len in 4..HELLO.len() {
            assert_eq!(parse(&HELLO[..len], 6).unwrap(), Content::Other);
            assert!(decode_other(&HELLO[..len], &mut [0; 6]).is_err());
        }
        assert_eq!(parse(&[0x28, 0xB5, 0x2F, 0xFD, 0, 0], 6).unwrap_err().status(), Status::Corrupt);
    }

    #[test]
    fn what_is_made_is_one_of_the_shapes() {
        let bytes: Vec<u8> = (0..30_000u32).flat_map(|i| (i / 9).to_le_bytes()).collect();
        let (mut zstd, mut frame) = (Vec::new(), Vec::new());
        let mut compressor = crate::format::codec::Compressor::new(3, 1 << 20).unwrap();
        compressor.compress(&bytes, &mut zstd, &crate::progress::CancelToken::new()).unwrap();
        wrap(&zstd, &bytes, &mut frame).unwrap();
        assert_eq!(parse(&frame, bytes.len() as u64).unwrap(), Content::Zstd(&zstd[4..]));
        let mut decoded = vec![0; bytes.len()];
        let mut decompressor = crate::format::codec::Decompressor::new().unwrap();
        decompressor.decompress_magicless(&zstd[4..], &mut decoded).unwrap();
        assert!(decoded == bytes);
        // The same context goes on with ordinary frames.
        decompressor.decompress(&zstd, &mut decoded).unwrap();
        assert!(decoded == bytes);
    }

    #[test]
    fn checksums_are_those_of_frames_that_openzl_made() {
        assert_eq!(xxh3_64(&HELLO[..7]) as u8, HELLO[7]);
        assert_eq!((xxh3_64(b"hello\n") as u32).to_le_bytes(), HELLO[17..21]);
        assert_eq!((xxh3_64(&HELLO[8..21]) as u32).to_le_bytes(), HELLO[21..25]);
    }

    #[test]
    fn numbers_of_over_64_bits_are_none() {
        for bytes in [&[0xFF; 10][..], &[0xFF; 20], &[0x80; 11], &[0xFF, 0xFF]] {
            assert_eq!(varint(&mut &bytes[..]), None);
        }
        assert_eq!(varint(&mut &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1][..]), Some(u64::MAX));
    }
}
