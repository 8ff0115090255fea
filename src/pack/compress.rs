//! Probe and compress: a block becomes a blob. One worker, one context.

use crate::error::Result;
use crate::format::codec::Compressor;
use crate::format::hash::{Digest, hash};
use crate::format::row::{CODEC_OPENZL, CODEC_STORED, CODEC_ZSTD};
use crate::format::v3::openzl;
use crate::options::{Layout, Profile};
use crate::pack::probe::{Trial, is_noise};
use crate::pack::sequence::{Block, BlockKind, StoredBlock};
use crate::progress::CancelToken;

/// A blob, or blobs with consecutive numbers that hold the bytes of one buffer, and the buffers that they came from.
pub(super) struct Packed {
    /// Of the first.
    pub(super) number: u32,
    /// The block's own buffer.
    pub(super) buffer: Vec<u8>,
    /// Bytes of the block, at the start of `buffer`.
    pub(super) len: usize,
    /// The frame, unless the bytes are stored; else unused.
    pub(super) frame: Vec<u8>,
    pub(super) codec: u8,
    /// Sizes and hashes of the blobs, in order.
    pub(super) blobs: Vec<(usize, Digest)>,
}

impl Packed {
    /// The blobs' bytes, one behind the other.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.codec == CODEC_STORED { &self.buffer[..self.len] } else { &self.frame }
    }
}

/// Compresses blocks. One a worker.
pub(super) struct Packer<'a> {
    compressor: Compressor,
    trial: Trial,
    profile: Profile,
    /// A frame before it is wrapped.
    inner: Vec<u8>,
    cancel: &'a CancelToken,
}

impl<'a> Packer<'a> {
    pub(super) fn new(layout: &Layout, cancel: &'a CancelToken) -> Result<Packer<'a>> {
        let compressor = Compressor::new(layout.level, layout.longest_block())?;
        Ok(Packer { compressor, trial: Trial::new()?, profile: layout.profile, inner: Vec::new(), cancel })
    }

    /// Makes the blob of a block; `frame` is a buffer to use.
    pub(super) fn pack(&mut self, block: Block, mut frame: Vec<u8>) -> Result<Packed> {
        let Block { number, buffer, len, kind } = block;
        let bytes = &buffer[..len];
        let mut codec = CODEC_STORED;
        frame.clear();
        let noise = match kind {
            BlockKind::Noise(stored) => {
                let blobs = hash_stored(bytes, &stored);
                return Ok(Packed { number, buffer, len, frame, codec, blobs });
            }
            BlockKind::Compressible => false,
            BlockKind::Unknown => is_noise(bytes, &mut self.trial)?,
        };
        if !noise {
            let compressed = self.compress(bytes, &mut frame)?;
            // Below a saving of 1 in 64, reading the bytes as they are is worth more.
            if frame.len() + (bytes.len() / 64).max(16) < bytes.len() {
                codec = compressed;
            }
        }
        let blob = if codec == CODEC_STORED { bytes } else { &frame };
        let blobs = vec![(blob.len(), hash(blob))];
        Ok(Packed { number, buffer, len, frame, codec, blobs })
    }

    /// Makes a frame, and says of what codec.
    fn compress(&mut self, bytes: &[u8], frame: &mut Vec<u8>) -> Result<u8> {
        match self.profile {
            Profile::Version4 => {
                self.compressor.compress(bytes, frame, self.cancel)?;
                Ok(CODEC_ZSTD)
            }
            Profile::Version3 => {
                self.compressor.compress(bytes, &mut self.inner, self.cancel)?;
                openzl::wrap(&self.inner, bytes, frame)?;
                Ok(CODEC_OPENZL)
            }
        }
    }
}

/// The hashes of blocks that are stored.
fn hash_stored(mut bytes: &[u8], stored: &[StoredBlock]) -> Vec<(usize, Digest)> {
    let mut next = |block: &StoredBlock| {
        let (blob, rest) = bytes.split_at(block.len);
        bytes = rest;
        (block.len, block.hash.unwrap_or_else(|| hash(blob)))
    };
    stored.iter().map(&mut next).collect()
}
