//! Bytes of an entry at an offset. Only the slices that a request touches are read, and each is checked whole.

use std::ops::Range;

use crate::archive::Archive;
use crate::archive::cache::{Block, Key};
use crate::archive::lookup::{Place, file_hash};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::hash::{Digest, UNRECORDED, hash};
use crate::format::in_memory;
use crate::format::row::{CODEC_OPENZL, CODEC_STORED, CODEC_ZSTD, Codecs, EntryKind, Row};

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
