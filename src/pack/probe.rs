//! Is it worth compressing? Extension and first bytes, then samples of the block itself.

use crate::error::{Result, reserve};
use crate::format::codec::Compressor;
use crate::progress::CancelToken;

/// Bytes of one sample, and how far samples are apart.
const SAMPLE: usize = 8 << 10;
const STRIDE: usize = 256 << 10;
/// Blocks below this are compressed without a trial.
const MIN_TRIAL: usize = 64 << 10;

/// Extensions of formats that are compressed inside. A hint only: it decides which files share blocks, and is
/// believed for storing where the first bytes agree.
const PACKED_EXTENSIONS: &[&str] = &[
    "7z", "aac", "apk", "avif", "br", "bz2", "cab", "crate", "deb", "docx", "ear", "flac", "gif", "gz", "heic", "jar",
    "jpeg", "jpg", "lz", "lz4", "lzma", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "odt", "ogg", "opus",
    "png", "pptx", "rar", "rpm", "sz", "tbz", "tgz", "txz", "war", "webm", "webp", "whl", "woff", "woff2", "xlsx",
    "xz", "zip", "znippy", "zst",
];

/// First bytes of such formats, at offset 0 unless it says otherwise.
const PACKED_MAGIC: &[(usize, &[u8])] = &[
    (0, b"PK\x03\x04"),
    (0, b"\x1f\x8b"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\0"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"LZIP"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"GIF8"),
    (8, b"WEBP"),
    (4, b"ftyp"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"wOF2"),
    (0, b"wOFF"),
    (0, b"\xed\xab\xee\xdb"),
    (0, b"\x89ZNPY"),
];

/// Whether the extension, in any case, is one of a compressed format.
pub(super) fn is_packed_extension(extension: &[u8]) -> bool {
    extension.len() <= 5
        && PACKED_EXTENSIONS.binary_search_by(|known| known.as_bytes().cmp(&extension.to_ascii_lowercase())).is_ok()
}

/// Whether the first bytes are those of a compressed format.
pub(super) fn is_packed_magic(start: &[u8]) -> bool {
    PACKED_MAGIC.iter().any(|(at, magic)| start.get(*at..).is_some_and(|bytes| bytes.starts_with(magic)))
}

/// Whether samples of the bytes, compressed together at the fastest level, say that they don't compress.
///
/// Samples are spread evenly, so that a file with a compressible part of some 256 KiB is not mistaken for noise.
pub(super) fn is_noise(bytes: &[u8], trial: &mut Trial) -> Result<bool> {
    trial.is_noise(bytes.len(), |at, sample| {
        sample.copy_from_slice(&bytes[at..at + sample.len()]);
        Ok(())
    })
}

/// What a trial needs; one a worker.
pub(super) struct Trial {
    compressor: Compressor,
    samples: Vec<u8>,
    target: Vec<u8>,
}

impl Trial {
    pub(super) fn new() -> Result<Trial> {
        Ok(Trial { compressor: Compressor::new(1, 1 << 20)?, samples: Vec::new(), target: Vec::new() })
    }

    /// The same of `len` bytes of which nothing but samples is at hand: `fill` is given the place of each and its buffer.
    pub(super) fn is_noise(
        &mut self,
        len: usize,
        mut fill: impl FnMut(usize, &mut [u8]) -> Result<()>,
    ) -> Result<bool> {
        if len < MIN_TRIAL {
            return Ok(false);
        }
        self.samples.clear();
        reserve(&mut self.samples, len.div_ceil(STRIDE) * SAMPLE)?;
        for stride in (0..len).step_by(STRIDE) {
            let stride_len = STRIDE.min(len - stride);
            let start = (stride_len / 2).saturating_sub(SAMPLE / 2);
            let from = self.samples.len();
            self.samples.resize(from + SAMPLE.min(stride_len - start), 0);
            fill(stride + start, &mut self.samples[from..])?;
        }
        self.compressor.compress(&self.samples, &mut self.target, &CancelToken::new())?;
        // Less than 2 % saved on samples is less than decoding is worth.
        Ok(self.target.len() + self.samples.len() / 50 >= self.samples.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_extensions_is_sorted_for_the_search() {
        assert!(PACKED_EXTENSIONS.is_sorted());
        assert!(is_packed_extension(b"JPG") && !is_packed_extension(b"txt") && !is_packed_extension(b""));
    }
}
