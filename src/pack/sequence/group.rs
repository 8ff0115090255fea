//! Blocks: full buffers, and what is put together from others.

use super::slices::UNNUMBERED;
use super::{BIG, Sequenced, Sequencer};
use crate::format::hash::Digest;

/// A block on its way to a worker.
pub(in crate::pack) struct Block {
    pub(in crate::pack) number: u32,
    /// Holds the block's bytes at its start.
    pub(in crate::pack) buffer: Vec<u8>,
    pub(in crate::pack) len: usize,
    pub(in crate::pack) kind: BlockKind,
}

/// What is known of a block before it is compressed.
pub(in crate::pack) enum BlockKind {
    /// Nothing.
    Unknown,
    /// It compresses.
    Compressible,
    /// It doesn't, and is stored as these blocks, which have consecutive numbers: most of them are one slice, whose
    /// checksum is the blob's hash, so that no byte is hashed twice.
    Noise(Vec<StoredBlock>),
}

/// A block that is stored as it is.
pub(in crate::pack) struct StoredBlock {
    pub(in crate::pack) len: usize,
    /// The hash of its bytes, where it is one slice.
    pub(in crate::pack) hash: Option<Digest>,
}

/// Slices of noise share a block until it has so many bytes.
const STORED_TOGETHER: usize = 64 << 10;

/// A buffer that more of its kind may join.
pub(super) struct Pending {
    buffer: Vec<u8>,
    kept: Kept,
    noise: Option<bool>,
}

/// What stays in a buffer.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) len: usize,
    pub(super) slices: Vec<u32>,
}

impl Sequencer {
    /// A full buffer is a block; what duplicates have left of others, and slices that share blocks, are put together.
    pub(super) fn group(
        &mut self,
        class: usize,
        buffer: Vec<u8>,
        kept: Kept,
        noise: Option<bool>,
        out: &mut Sequenced,
    ) {
        if let Some(pending) = &mut self.pending[class] {
            if pending.kept.len + kept.len <= self.block_size {
                let start = pending.kept.len;
                pending.buffer[start..start + kept.len].copy_from_slice(&buffer[..kept.len]);
                for number in kept.slices {
                    self.slices.get_mut(number).start += start as u32;
                    pending.kept.slices.push(number);
                }
                pending.kept.len += kept.len;
                if pending.noise != noise && kept.len > 0 {
                    pending.noise = None;
                }
                out.buffers.push(buffer);
                return;
            }
            self.flush_class(class, out);
        }
        let more = if class == BIG { self.shared_slice.unwrap_or(self.block_size) } else { kept.len + 1 };
        if kept.len + more <= self.block_size && kept.len > 0 {
            self.pending[class] = Some(Pending { buffer, kept, noise });
        } else {
            self.emit(buffer, kept, noise, out);
        }
    }

    pub(super) fn flush_class(&mut self, class: usize, out: &mut Sequenced) {
        if let Some(Pending { buffer, kept, noise }) = self.pending[class].take() {
            self.emit(buffer, kept, noise, out);
        }
    }

    pub(super) fn emit(&mut self, buffer: Vec<u8>, kept: Kept, noise: Option<bool>, out: &mut Sequenced) {
        if kept.len == 0 {
            out.buffers.push(buffer);
            return;
        }
        let number = self.blocks;
        let kind = match noise {
            Some(true) => BlockKind::Noise(self.number_stored(&kept)),
            known => {
                self.number_block(&kept.slices, 0);
                if known.is_some() { BlockKind::Compressible } else { BlockKind::Unknown }
            }
        };
        out.blocks.push(Block { number, buffer, len: kept.len, kind });
    }

    /// Cuts what doesn't compress into blocks.
    fn number_stored(&mut self, kept: &Kept) -> Vec<StoredBlock> {
        let mut stored = Vec::new();
        let (mut from, mut start, mut end) = (0, 0, 0);
        for (at, &number) in kept.slices.iter().enumerate() {
            let slice = *self.slices.get(number);
            end += slice.len as usize;
            if end - start >= STORED_TOGETHER || at + 1 == kept.slices.len() {
                self.number_block(&kept.slices[from..=at], start as u32);
                stored.push(StoredBlock { len: end - start, hash: (from == at).then_some(slice.checksum) });
                (from, start) = (at + 1, end);
            }
        }
        stored
    }

    /// The next block is these slices, which stand from `start` on in their buffer.
    fn number_block(&mut self, slices: &[u32], start: u32) {
        for number in slices {
            let slice = self.slices.get_mut(*number);
            slice.block = self.blocks;
            slice.start -= start;
        }
        if let Some(log) = &mut self.log {
            log.attach(self.blocks, |slice| self.slices.get(slice).block != UNNUMBERED);
        }
        self.blocks += 1;
    }
}
