//! Probe and compress: a block becomes a blob. One worker, one context.

use crate::error::Result;
use crate::format::codec::Compressor;
use crate::format::hash::{Digest, hash};
use crate::format::row::{CODEC_OPENZL, CODEC_STORED, CODEC_ZSTD};
use crate::format::v3::openzl;
use crate::options::{Layout, Profile};
use crate::pack::probe::{Trial, is_noise};
use crate::pack::sequence::Block;
use crate::progress::CancelToken;

/// A blob, and the buffers that it came from.
pub(super) struct Blob {
    pub(super) number: u32,
    /// The block's own buffer.
    pub(super) buffer: Vec<u8>,
    /// Bytes of the block, at the start of `buffer`.
    pub(super) len: usize,
    /// The frame where the codec is zstd; else unused.
    pub(super) frame: Vec<u8>,
    pub(super) codec: u8,
    pub(super) hash: Digest,
}

impl Blob {
    /// The stored bytes.
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
        let compressor = Compressor::new(layout.level)?;
        Ok(Packer { compressor, trial: Trial::new()?, profile: layout.profile, inner: Vec::new(), cancel })
    }

    /// Makes the blob of a block; `frame` is a buffer to use.
    pub(super) fn pack(&mut self, block: Block, mut frame: Vec<u8>) -> Result<Blob> {
        let bytes = &block.buffer[..block.len];
        let mut codec = CODEC_STORED;
        frame.clear();
        if !block.noise && !is_noise(bytes, &mut self.trial)? {
            let compressed = self.compress(bytes, &mut frame)?;
            // Below a saving of 1 in 64, reading the bytes as they are is worth more.
            if frame.len() + (bytes.len() / 64).max(16) < bytes.len() {
                codec = compressed;
            }
        }
        let hash = hash(if codec == CODEC_STORED { bytes } else { &frame });
        Ok(Blob { number: block.number, len: block.len, buffer: block.buffer, frame, codec, hash })
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
