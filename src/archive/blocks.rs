//! Decoded blocks, for whoever reads entries: from the cache, in part where a part is enough.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::cache::{Block, Key, Value};
use crate::error::{Error, Result, Status, reserve};
use crate::format::codec::Decompressor;
use crate::format::in_memory;
use crate::format::row::Location;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering;

impl Archive {
    /// A block of which at least the first `needed` bytes are decoded.
    ///
    /// Who reads one file out of an archive needs a part of its block, half of it on average. Who comes back for more
    /// than that part gets the whole, and so decodes a block at most twice, however many files are read. Who goes on
    /// from there, to a block right behind, will want all of that too, and decodes it once. Damage behind what is
    /// needed is of no concern.
    pub(super) fn decoded(&self, at: &Location, needed: usize) -> Result<Arc<Block>> {
        let (key, len) = (Key::Block(at.blob_offset), in_memory(at.block_size));
        if let Some(Value::Bytes(block)) = self.cache.peek(key) {
            return Ok(block);
        }
        if self.is_read_on(at)
            && let Ok(block) = self.cached(key, || self.decode(at, len))
        {
            self.note_whole(at);
            return Ok(block);
        }
        let start = self.cached(Key::Start(at.blob_offset), || self.decode(at, needed))?;
        if start.bytes.len() >= needed || start.blob.is_empty() {
            return Ok(start);
        }
        let whole = self.cached(key, || {
            let mut bytes = self.cache.buffer(len)?;
            with_decompressor(|decompressor| decompressor.decompress_into(&start.blob, len, &mut bytes))?;
            Ok(Block::whole(bytes))
        });
        match whole {
            Ok(block) => {
                self.note_whole(at);
                Ok(block)
            }
            Err(_) => Ok(Arc::new(self.decode(at, needed)?)),
        }
    }

    /// Whether a block follows the one that was decoded as a whole last, with no more than a block's length between
    /// them: blobs of files that are stored as they are stand among the others.
    fn is_read_on(&self, at: &Location) -> bool {
        let end = self.read_on_from.load(Ordering::Relaxed);
        end != 0 && at.blob_offset.checked_sub(end).is_some_and(|between| between <= at.block_size)
    }

    fn note_whole(&self, at: &Location) {
        self.read_on_from.store(at.blob_offset.saturating_add(at.blob_size), Ordering::Relaxed);
    }

    /// A block, or its start with its blob.
    fn decode(&self, at: &Location, needed: usize) -> Result<Block> {
        let mut blob = self.cache.buffer(in_memory(at.blob_size))?;
        let mut room = self.cache.buffer(in_memory(at.block_size))?;
        with_decompressor(|decompressor| self.read_block(at, needed, decompressor, &mut blob, &mut room))?;
        if room.len() as u64 == at.block_size {
            self.cache.give_back(blob);
            return Ok(Block::whole(room));
        }
        // What was not decoded must not take memory that the cache doesn't count.
        let mut bytes = Vec::new();
        reserve(&mut bytes, room.len())?;
        bytes.extend_from_slice(&room);
        self.cache.give_back(room);
        Ok(Block { blob, ..Block::whole(bytes) })
    }

    pub(super) fn cached(&self, key: Key, load: impl FnOnce() -> Result<Block>) -> Result<Arc<Block>> {
        match self.cache.get(key, || Ok(Value::Bytes(Arc::new(load()?))))? {
            Value::Bytes(block) => Ok(block),
            Value::Segment(_) => Err(Error::new(Status::Panic, "the cache holds something else")),
        }
    }
}

impl Block {
    pub(super) fn whole(bytes: Vec<u8>) -> Block {
        Block { bytes, blob: Vec::new(), checked: Mutex::new(HashSet::new()) }
    }
}

/// Lends the thread's context, which is freed with the thread.
fn with_decompressor<T>(work: impl FnOnce(&mut Decompressor) -> Result<T>) -> Result<T> {
    thread_local! {
        static CONTEXT: RefCell<Option<Decompressor>> = const { RefCell::new(None) };
    }
    let mut decompressor = match CONTEXT.with(|context| context.borrow_mut().take()) {
        Some(decompressor) => decompressor,
        None => Decompressor::new()?,
    };
    let result = work(&mut decompressor);
    CONTEXT.with(|context| *context.borrow_mut() = Some(decompressor));
    result
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::options::{Key as Option, Options};

    fn text(number: u32) -> Vec<u8> {
        (0..4000u32).flat_map(|line| format!("{}\n", line.wrapping_mul(number * 77 + 13)).into_bytes()).collect()
    }

    /// 200 files of text that share blocks.
    fn text_files(dir: &Path) -> PathBuf {
        let (tree, path) = (dir.join("tree"), dir.join("a.znippy"));
        std::fs::create_dir(&tree).unwrap();
        for number in 0..200u32 {
            std::fs::write(tree.join(format!("{number:03}.txt")), text(number)).unwrap();
        }
        let mut options = Options::new();
        options.set(Option::Threads, 1).unwrap();
        crate::pack::pack_directory(&tree, &path, &options).unwrap();
        path
    }

    #[test]
    fn a_part_of_a_block_takes_no_more_memory_than_the_cache_counts() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::open(&text_files(dir.path()), &Options::new()).unwrap();
        let at = archive.place(0).unwrap().first_row().location.unwrap();
        let start = archive.decoded(&at, 1000).unwrap();
        assert!(start.bytes.len() >= 1000 && (start.bytes.len() as u64) < at.block_size / 2);
        assert_eq!(start.bytes.capacity(), start.bytes.len());
        let whole = archive.decoded(&at, at.block_size as usize).unwrap();
        assert_eq!(whole.bytes.len() as u64, at.block_size);
        assert_eq!(whole.bytes[..start.bytes.len()], start.bytes);
    }

    #[test]
    fn damage_behind_what_is_read_does_not_matter_in_whatever_order_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = text_files(dir.path());
        let (mut bytes, archive) = (std::fs::read(&path).unwrap(), Archive::open(&path, &Options::new()).unwrap());
        let place = |number| archive.place(number).unwrap().first_row().location.unwrap();
        // Of every block, what the last quarter of the blob says.
        let mut damaged = std::collections::BTreeSet::new();
        for number in 0..200 {
            let at = place(number);
            if damaged.insert(at.blob_offset) {
                let from = (at.blob_offset + at.blob_size * 3 / 4) as usize;
                bytes[from..from + 64].fill(0);
            }
        }
        assert!(damaged.len() > 1);
        let good: Vec<u64> =
            (0..200).filter(|number| place(*number).block_offset < place(*number).block_size / 2).collect();
        std::fs::write(&path, bytes).unwrap();
        for order in [good.clone(), good.iter().rev().copied().collect()] {
            let damaged = Archive::open(&path, &Options::new()).unwrap();
            for number in order {
                assert!(damaged.read(number, u64::MAX).unwrap() == text(number as u32), "{number}");
            }
        }
    }
}
