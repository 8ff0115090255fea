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
    /// needed is of no concern: of a damaged block all that stands before the damage is decoded, once.
    pub(super) fn decoded(&self, at: &Location, needed: usize) -> Result<Arc<Block>> {
        let (whole, start) = (Key::Block(at.blob_offset), Key::Start(at.blob_offset));
        if let Some(Value::Bytes(block)) = self.cache.peek(whole) {
            return Ok(block);
        }
        if self.is_read_on(at) {
            match self.cached(whole, || self.decode(whole, at, in_memory(at.block_size))) {
                Ok(block) => {
                    self.note_whole(at);
                    return Ok(block);
                }
                Err(error) if !is_damage(&error) => return Err(error),
                Err(_) => self.read_on_from.store(0, Ordering::Relaxed),
            }
        }
        let block = self.cached(start, || self.decode(start, at, needed))?;
        if block.bytes.len() >= needed {
            return Ok(block);
        }
        if block.blob.is_empty() {
            return if block.is_cut { Err(damaged()) } else { Ok(block) };
        }
        match self.cached(whole, || self.decode_blob(whole, at, &block.blob)) {
            Ok(block) => {
                self.note_whole(at);
                Ok(block)
            }
            Err(error) if is_damage(&error) => {
                self.cache.forget(start);
                let most = self.cached(start, || self.decode_most(start, at, &block.blob))?;
                if most.bytes.len() >= needed { Ok(most) } else { Err(error) }
            }
            Err(error) => Err(error),
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
    fn decode(&self, key: Key, at: &Location, needed: usize) -> Result<Block> {
        // The block first: what goes for it may leave its buffer.
        let mut room = self.cache.buffer(key, in_memory(at.block_size))?;
        let mut blob = self.cache.buffer(key, in_memory(at.blob_size))?;
        with_decompressor(|decompressor| self.read_block(at, needed, decompressor, &mut blob, &mut room))?;
        if room.len() as u64 == at.block_size {
            self.cache.give_back(blob);
            return Ok(Block::whole(room));
        }
        Ok(Block { blob, ..self.copied(room)? })
    }

    /// The whole block.
    fn decode_blob(&self, key: Key, at: &Location, blob: &[u8]) -> Result<Block> {
        let len = in_memory(at.block_size);
        let mut room = self.cache.buffer(key, len)?;
        with_decompressor(|decompressor| decompressor.decompress_into(blob, len, &mut room))?;
        Ok(Block::whole(room))
    }

    /// What stands before the damage.
    fn decode_most(&self, key: Key, at: &Location, blob: &[u8]) -> Result<Block> {
        let len = in_memory(at.block_size);
        let mut room = self.cache.buffer(key, len)?;
        with_decompressor(|decompressor| decompressor.decompress_as_far_as_it_goes(blob, len, &mut room))?;
        Ok(Block { is_cut: true, ..self.copied(room)? })
    }

    /// What was not decoded must not take memory that the cache doesn't count.
    fn copied(&self, room: Vec<u8>) -> Result<Block> {
        let mut bytes = Vec::new();
        reserve(&mut bytes, room.len())?;
        bytes.extend_from_slice(&room);
        self.cache.give_back(room);
        Ok(Block::whole(bytes))
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
        Block { bytes, blob: Vec::new(), is_cut: false, checked: Mutex::new(HashSet::new()) }
    }
}

/// Whether decoding failed for what the blob holds, and not for want of the blob or of memory.
fn is_damage(error: &Error) -> bool {
    error.rule().is_some_and(|rule| rule.starts_with("codec."))
}

fn damaged() -> Error {
    Error::corrupt("codec.data", "a block does not decode as far as the entry's bytes")
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

    /// Counts reads, and fails them where it is told to.
    struct Watched {
        bytes: Vec<u8>,
        reads: std::sync::Arc<std::sync::atomic::AtomicUsize>,
        fails: bool,
    }

    impl crate::archive::source::Source for Watched {
        fn size(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
            // The index and what stands behind it is read when the archive is opened.
            let is_payload = offset < 1 << 20;
            if is_payload {
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
            if is_payload && self.fails {
                return Err(Error::new(Status::Io, "the line is dead"));
            }
            buffer.copy_from_slice(&self.bytes[offset as usize..offset as usize + buffer.len()]);
            Ok(())
        }
    }

    #[test]
    fn a_damaged_block_is_read_once_and_what_stands_before_the_damage_decoded_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = text_files(dir.path());
        let (mut bytes, archive) = (std::fs::read(&path).unwrap(), Archive::open(&path, &Options::new()).unwrap());
        let place = |number| archive.place(number).unwrap().first_row().location.unwrap();
        let first = place(0);
        let of_block: Vec<u64> = (0..200).filter(|number| place(*number).blob_offset == first.blob_offset).collect();
        // Where it is not only other bytes that come out.
        let blob = first.blob_offset as usize..(first.blob_offset + first.blob_size) as usize;
        let decodes = |bytes: &[u8]| {
            let mut room = Vec::new();
            Decompressor::new().unwrap().decompress_into(&bytes[blob.clone()], first.block_size as usize, &mut room)
        };
        let from = blob.start + blob.len() * 3 / 4;
        let sound_bytes = bytes.clone();
        for at in (from..).step_by(64) {
            bytes.copy_from_slice(&sound_bytes);
            bytes[at..at + 64].fill(0);
            if decodes(&bytes).is_err_and(|error| error.rule() == Some("codec.data")) {
                break;
            }
        }
        let reads = std::sync::Arc::default();
        let watched = Watched { bytes: bytes.clone(), reads: std::sync::Arc::clone(&reads), fails: false };
        let damaged = Archive::open_source(Box::new(watched), &Options::new()).unwrap();
        let (mut sound, mut lost) = (0, 0);
        for number in &of_block {
            match damaged.read(*number, u64::MAX) {
                Ok(found) if lost == 0 && found == text(*number as u32) => sound += 1,
                Ok(_) => panic!("{number}: other bytes, or some behind the damage"),
                Err(error) => {
                    assert_eq!(error.rule(), Some("codec.data"));
                    lost += 1;
                }
            }
        }
        assert!(sound > of_block.len() / 2 && lost > 0, "{sound} sound, {lost} lost");
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_source_that_fails_is_not_asked_again_for_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(text_files(dir.path())).unwrap();
        let reads = std::sync::Arc::default();
        let watched = Watched { bytes, reads: std::sync::Arc::clone(&reads), fails: true };
        let archive = Archive::open_source(Box::new(watched), &Options::new()).unwrap();
        // Also where all of the block would be wanted.
        let at = archive.place(0).unwrap().first_row().location.unwrap();
        archive.read_on_from.store(at.blob_offset, Ordering::Relaxed);
        assert_eq!(archive.read(0, u64::MAX).unwrap_err().status(), Status::Io);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }
}
