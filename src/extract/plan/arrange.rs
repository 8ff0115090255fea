//! The plan as a whole: slices by block, blocks in the order of the archive, tasks, sums.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::extract::plan::{Plan, file_number};
use crate::extract::records::{Block, NO_BLOCK, Slice, Target};

impl Plan {
    /// Forgets blocks that no slice is in any more.
    pub(in crate::extract) fn drop_unused_blocks(&mut self) {
        let mut used = vec![false; self.blocks.len()];
        for slice in self.slices.iter().filter(|slice| slice.block != NO_BLOCK) {
            used[slice.block as usize] = true;
        }
        let mut new_numbers = vec![0; used.len()];
        let mut next = 0;
        for (new, used) in new_numbers.iter_mut().zip(&used) {
            *new = next;
            next += u32::from(*used);
        }
        for slice in self.slices.iter_mut().filter(|slice| slice.block != NO_BLOCK) {
            slice.block = new_numbers[slice.block as usize];
        }
        let mut flags = used.iter();
        self.blocks.retain(|_| flags.next().copied().unwrap_or(true));
    }

    /// Numbers of the files that others are made from, in order.
    pub(in crate::extract) fn shared_files(&self) -> Vec<u32> {
        let mut shared: Vec<u32> = self.hardlinks.iter().map(|link| link.of).collect();
        shared.sort_unstable();
        shared.dedup();
        shared
    }

    /// Bytes of buffers that a thread needs at most.
    pub(in crate::extract) fn block_memory(&self) -> usize {
        self.blocks.iter().map(Block::memory).max().unwrap_or(0)
    }

    /// Bytes of all files that are written, holes left out.
    pub(in crate::extract) fn bytes(&self) -> u64 {
        self.slices.iter().map(|slice| u64::from(slice.size)).sum()
    }

    /// Bytes of holes.
    pub(in crate::extract) fn holes(&self) -> u64 {
        let piece = |slice: &&Slice| matches!(slice.target(), Target::Piece(_));
        let whole = self.bigs.iter().fold(0u64, |sum, big| sum.saturating_add(big.size));
        whole.saturating_sub(self.slices.iter().filter(piece).map(|slice| u64::from(slice.size)).sum())
    }

    /// Tasks: runs of slices, which are whole blocks up to `bytes` of them. The last `shared` blocks, and what is in
    /// no block, are cut into parts of at most `slices`, each of which decodes its block again, so that all threads
    /// have something to do until the end.
    pub(in crate::extract) fn tasks(&self, bytes: u64, slices: usize, shared: usize) -> Vec<Range<usize>> {
        let mut tasks = Vec::new();
        let first_shared = self.blocks.len().saturating_sub(shared) as u32;
        let (mut start, mut decoded) = (0, 0);
        for at in 0..self.slices.len() {
            let block = self.slices[at].block;
            let first_of_block = at == start || block != self.slices[at - 1].block;
            let long = at - start >= slices && (first_of_block || block >= first_shared);
            if at > start && (long || (first_of_block && decoded >= bytes)) {
                tasks.push(start..at);
                (start, decoded) = (at, 0);
            }
            if first_of_block || at == start {
                decoded += self.blocks.get(block as usize).map_or(0, |block| u64::from(block.block_size));
            }
        }
        if start < self.slices.len() {
            tasks.push(start..self.slices.len());
        }
        tasks
    }

    /// Puts blocks into the order of the archive and slices into that of the blocks.
    pub(super) fn group(&mut self) -> Result<()> {
        self.block_numbers = HashMap::new();
        let mut order: Vec<u32> = (0..self.blocks.len() as u32).collect();
        order.sort_unstable_by_key(|number| self.blocks[*number as usize].blob_offset);
        let mut new_numbers = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            new_numbers[*old as usize] = new as u32;
        }
        self.blocks.sort_unstable_by_key(|block| block.blob_offset);
        for pair in self.blocks.windows(2) {
            if pair[0].blob_offset + u64::from(pair[0].blob_size) > pair[1].blob_offset {
                return Err(Error::corrupt("index.blob.overlap", "blobs of the archive overlap"));
            }
        }
        for slice in &mut self.slices {
            if slice.block != NO_BLOCK {
                slice.block = new_numbers[slice.block as usize];
            }
        }
        let (pieces, bigs) = (&self.pieces, &self.bigs);
        self.slices.sort_unstable_by_key(|slice| (slice.block, file_number(slice, pieces, bigs), slice.target));
        Ok(())
    }
}
