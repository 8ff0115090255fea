//! Bytes of an entry at an offset. Only the slices that a request touches are read, and each is checked whole.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::cache::{Block, Key, Value};
use crate::archive::lookup::{Place, file_hash};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::codec::Decompressor;
use crate::format::hash::{Digest, UNRECORDED, hash};
use crate::format::in_memory;
use crate::format::row::{CODEC_OPENZL, CODEC_STORED, CODEC_ZSTD, Codecs, EntryKind, Location, Row};
use crate::sync::Mutex;

impl Archive {
    /// Reads from `offset` of an entry; returns the bytes read, fewer than asked for only at the entry's end.
    ///
    /// # Errors
    /// `E_CHECKSUM` or `E_CORRUPT` naming the entry where its bytes are damaged, `E_INVALID_ARGUMENT` for
    /// entries without bytes, `E_UNSUPPORTED` for kinds and codecs of later versions.
    pub fn read_at(&self, index: u64, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let place = self.place(index)?;
        let named = |error: Error| error.with_entry(place.first_row().path);
        let size = readable_size(&place).map_err(named)?;
        let len = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        if len > 0 {
            self.fill(&place, offset, buffer.get_mut(..len).unwrap_or_default()).map_err(named)?;
        }
        Ok(len)
    }

    /// The first run of bytes at or after `offset` that is no hole; it is empty, at the entry's end, where there is none.
    ///
    /// # Errors
    /// As for [`Archive::read_at`], save that no block is read.
    pub fn find_data(&self, index: u64, offset: u64) -> Result<Range<u64>> {
        let place = self.place(index)?;
        let named = |error: Error| error.with_entry(place.first_row().path);
        let size = readable_size(&place).map_err(named)?;
        let mut run = size..size;
        self.visit_rows(&place, offset, |row| {
            let end = row.offset.saturating_add(row.size).min(size);
            if row.size == 0 || end <= offset {
                return Ok(true);
            }
            if run.is_empty() {
                run = row.offset.max(offset)..end;
                return Ok(true);
            }
            let goes_on = row.offset <= run.end;
            run.end = if goes_on { end.max(run.end) } else { run.end };
            Ok(goes_on)
        })
        .map_err(named)?;
        Ok(run)
    }

    /// A whole entry. Entries of more than `limit` bytes are refused with `E_LIMIT`.
    pub fn read(&self, index: u64, limit: u64) -> Result<Vec<u8>> {
        let place = self.place(index)?;
        let named = |error: Error| error.with_entry(place.first_row().path);
        let size = readable_size(&place).map_err(named)?;
        if size > limit {
            let why = format!("the entry has {size} bytes, the limit is {limit}; read it in pieces or raise the limit");
            return Err(named(Error::new(Status::Limit, why)));
        }
        let mut bytes = zeroed(usize::try_from(size).map_err(|_| named(Error::new(Status::Limit, "too big")))?)?;
        if !bytes.is_empty() {
            self.fill(&place, 0, &mut bytes).map_err(named)?;
        }
        // Of one slice, the checksum was checked; of several, each was, and the whole is checked here.
        let recorded = place.first_row().attributes.and_then(|attributes| attributes.file_hash);
        if let Some(recorded) = recorded.filter(|hash| *hash != UNRECORDED) {
            check_file_hash(&hash(&bytes), &recorded).map_err(named)?;
        }
        Ok(bytes)
    }

    /// Checks every slice of one entry, and the hash of the whole.
    pub fn verify_entry(&self, index: u64) -> Result<()> {
        let place = self.place(index)?;
        let row = place.first_row();
        let attributes = row.attributes.unwrap_or_default();
        if !EntryKind::from_number(row.kind).is_some_and(EntryKind::has_bytes) {
            return Ok(());
        }
        let named = |error: Error| error.with_entry(row.path);
        let size = attributes.file_size.unwrap_or(0);
        let mut hasher = blake3::Hasher::new();
        let mut buffer = zeroed(in_memory(size.min(4 << 20)))?;
        let mut offset = 0u64;
        while offset < size {
            let len = in_memory(size.saturating_sub(offset)).min(buffer.len());
            let piece = buffer.get_mut(..len).unwrap_or_default();
            self.fill(&place, offset, piece).map_err(named)?;
            hasher.update(piece);
            offset = offset.saturating_add(len as u64);
        }
        let recorded = file_hash(&row, &attributes);
        recorded.map_or(Ok(()), |recorded| check_file_hash(hasher.finalize().as_bytes(), &recorded)).map_err(named)
    }

    /// BLAKE3 of a whole entry with bytes: the recorded one, or, where version 3 has none, made by reading it.
    pub(super) fn whole_hash(&self, index: u64, row: &Row<'_>) -> Result<Digest> {
        let attributes = row.attributes.unwrap_or_default();
        match file_hash(row, &attributes) {
            Some(recorded) => Ok(recorded),
            None => self.read_hash(index),
        }
    }

    /// BLAKE3 of a whole entry with bytes, made by reading it.
    pub(super) fn read_hash(&self, index: u64) -> Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        self.read_pieces(index, |piece| {
            hasher.update(piece);
        })?;
        Ok(*hasher.finalize().as_bytes())
    }

    /// All bytes of an entry, a piece at a time.
    fn read_pieces(&self, index: u64, mut take: impl FnMut(&[u8])) -> Result<()> {
        let mut buffer = zeroed(4 << 20)?;
        let mut offset = 0u64;
        loop {
            let len = self.read_at(index, offset, &mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            take(buffer.get(..len).unwrap_or_default());
            offset = offset.saturating_add(len as u64);
        }
    }

    /// Fills the buffer, which lies inside the entry: bytes of slices, zeros where there are none.
    fn fill(&self, place: &Place, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        let mut filled = offset;
        // Takes off the buffer what goes from `filled` up to `to`.
        let mut rest = buffer;
        let mut take = |filled: u64, to: u64| {
            let len = in_memory(to.saturating_sub(filled)).min(rest.len());
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(len);
            rest = behind;
            part
        };
        self.visit_rows(place, offset, |row| {
            let row_end = row.offset.saturating_add(row.size);
            if row_end <= filled || row.size == 0 {
                return Ok(row.offset < end);
            }
            if row.offset >= end {
                return Ok(false);
            }
            let start = row.offset.max(filled);
            take(filled, start).fill(0);
            let stop = row_end.min(end);
            self.copy_slice(row, start.saturating_sub(row.offset), take(start, stop))?;
            filled = stop;
            Ok(filled < end)
        })?;
        take(filled, end).fill(0);
        Ok(())
    }

    /// Copies a part of a slice after checking the whole of it.
    fn copy_slice(&self, row: &Row<'_>, skip: u64, part: &mut [u8]) -> Result<()> {
        let Some(at) = row.location else {
            return Err(Error::corrupt("index.block", "the slice has no place"));
        };
        match at.codec {
            CODEC_STORED => {
                let start = at.blob_offset.saturating_add(at.block_offset);
                if part.len() as u64 == row.size {
                    self.read_range(start, part)?;
                    return check_slice(part, &row.checksum);
                }
                let slice = self.cached(Key::Slice(start, row.size), || {
                    let mut slice = zeroed(in_memory(row.size))?;
                    self.read_range(start, &mut slice)?;
                    Ok(Block::whole(slice))
                })?;
                copy_checked(&slice, 0, row, skip, part)
            }
            CODEC_ZSTD => {
                let block = self.decoded(&at, in_memory(at.block_offset.saturating_add(row.size)))?;
                copy_checked(&block, at.block_offset, row, skip, part)
            }
            CODEC_OPENZL if self.codecs() == Codecs::Version3 => {
                let block = self.decoded(&at, in_memory(at.block_size))?;
                if block.bytes.len() as u64 != at.block_size {
                    return Err(Error::corrupt("index.block", "two slices disagree about their block"));
                }
                copy_checked(&block, at.block_offset, row, skip, part)
            }
            codec => Err(self.unsupported_codec(codec)),
        }
    }

    /// A block of which at least the first `needed` bytes are decoded.
    ///
    /// Who reads one file out of an archive needs a part of its block, half of it on average. Who comes back for more
    /// than that part gets the whole, and so decodes a block at most twice, however many files are read.
    fn decoded(&self, at: &Location, needed: usize) -> Result<Arc<Block>> {
        let whole = Key::Block(at.blob_offset);
        if let Some(Value::Bytes(block)) = self.cache.peek(whole) {
            return Ok(block);
        }
        let start = self.cached(Key::Start(at.blob_offset), || self.decode_start(at, needed))?;
        if start.bytes.len() >= needed || start.blob.is_empty() {
            return Ok(start);
        }
        self.cached(whole, || {
            let (len, mut bytes) = (in_memory(at.block_size), Vec::new());
            with_decompressor(|decompressor| decompressor.decompress_into(&start.blob, len, &mut bytes))?;
            Ok(Block::whole(bytes))
        })
    }

    fn decode_start(&self, at: &Location, needed: usize) -> Result<Block> {
        let (mut blob, mut bytes) = (Vec::new(), Vec::new());
        with_decompressor(|decompressor| self.read_block(at, needed, decompressor, &mut blob, &mut bytes))?;
        if bytes.len() as u64 == at.block_size {
            blob = Vec::new();
        } else {
            // What was not decoded must not take memory that the cache doesn't count.
            bytes.shrink_to_fit();
        }
        Ok(Block { blob, ..Block::whole(bytes) })
    }

    fn cached(&self, key: Key, load: impl FnOnce() -> Result<Block>) -> Result<Arc<Block>> {
        match self.cache.get(key, || Ok(Value::Bytes(Arc::new(load()?))))? {
            Value::Bytes(block) => Ok(block),
            Value::Segment(_) => Err(Error::new(Status::Panic, "the cache holds something else")),
        }
    }
}

impl Block {
    fn whole(bytes: Vec<u8>) -> Block {
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

fn copy_checked(block: &Block, start: u64, row: &Row<'_>, skip: u64, part: &mut [u8]) -> Result<()> {
    let range = usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(row.size)).ok());
    let slice = range.and_then(|(from, to)| block.bytes.get(from..to));
    let slice = slice.ok_or_else(|| Error::corrupt("index.block", "two slices disagree about their block"))?;
    let key = (start, row.size, row.checksum);
    let known = block.checked.lock().contains(&key);
    if !known {
        check_slice(slice, &row.checksum)?;
        block.checked.lock().insert(key);
    }
    let skip = in_memory(skip);
    let wanted = slice.get(skip..skip.saturating_add(part.len()));
    part.copy_from_slice(
        wanted.ok_or_else(|| Error::corrupt("index.block", "the slice is shorter than what is read"))?,
    );
    Ok(())
}

/// Of version 3, what has no checksum passes; in version 4 that can't be.
pub(super) fn check_slice(bytes: &[u8], checksum: &Digest) -> Result<()> {
    if *checksum == UNRECORDED || hash(bytes) == *checksum {
        Ok(())
    } else {
        Err(Error::refused(Status::Checksum, "slice.hash", "the entry's bytes are damaged"))
    }
}

pub(super) fn check_file_hash(found: &Digest, recorded: &Digest) -> Result<()> {
    if found == recorded {
        Ok(())
    } else {
        Err(Error::refused(Status::Checksum, "file.hash", "the entry's bytes do not match the hash of the whole file"))
    }
}

fn readable_size(place: &Place) -> Result<u64> {
    let row = place.first_row();
    let kind = EntryKind::from_number(row.kind).ok_or_else(|| {
        Error::refused(
            Status::Unsupported,
            "index.kind.unknown",
            format!("the entry's kind ({}) is not known to this version", row.kind),
        )
    })?;
    if !kind.has_bytes() {
        let what = match kind {
            EntryKind::Directory => "a directory",
            EntryKind::Symlink => "a symbolic link",
            _ => "a special file",
        };
        return Err(Error::new(Status::InvalidArgument, format!("the entry is {what} and has no bytes to read")));
    }
    Ok(row.attributes.and_then(|attributes| attributes.file_size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Key as Option, Options};

    #[test]
    fn a_part_of_a_block_takes_no_more_memory_than_the_cache_counts() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        for number in 0..200u32 {
            let text: String = (0..2000u32).map(|line| format!("{}\n", line.wrapping_mul(number * 77 + 13))).collect();
            std::fs::write(tree.join(format!("{number:03}.txt")), text).unwrap();
        }
        let (path, mut options) = (dir.path().join("a.znippy"), Options::new());
        options.set(Option::Threads, 1).unwrap();
        crate::pack::pack_directory(&tree, &path, &options).unwrap();
        let archive = Archive::open(&path, &options).unwrap();
        let at = archive.place(0).unwrap().first_row().location.unwrap();
        let start = archive.decoded(&at, 1000).unwrap();
        assert!(start.bytes.len() >= 1000 && (start.bytes.len() as u64) < at.block_size / 2);
        assert_eq!(start.bytes.capacity(), start.bytes.len());
        let whole = archive.decoded(&at, at.block_size as usize).unwrap();
        assert_eq!(whole.bytes.len() as u64, at.block_size);
        assert_eq!(whole.bytes[..start.bytes.len()], start.bytes);
    }
}
