//! Bytes of the damaged file.

use std::path::Path;

use crate::archive::{FileSource, Source};
use crate::error::{Error, Result, zeroed};

/// What can't be read is asked for again in pieces of this size.
const SECTOR: usize = 4096;

/// The damaged file.
pub(super) struct Damaged(FileSource);

impl Damaged {
    pub(super) fn open(path: &Path) -> Result<Damaged> {
        FileSource::open(path).map(Damaged)
    }

    pub(super) fn size(&self) -> u64 {
        self.0.size()
    }

    /// Fills the buffer. What lies beyond the end, or on bad sectors, is an error about the archive.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size()) {
            return Err(Error::corrupt("source.short", "the archive ends before"));
        }
        self.0.read_exact_at(offset, buffer)
    }

    /// These bytes, if they are all there.
    ///
    /// # Errors
    /// What is no fault of the archive: memory, descriptors, a cancel.
    pub(super) fn bytes(&self, offset: u64, len: u64) -> Result<Option<Vec<u8>>> {
        if offset.checked_add(len).is_none_or(|end| end > self.size()) {
            return Ok(None);
        }
        let Ok(len) = usize::try_from(len) else { return Ok(None) };
        let mut bytes = zeroed(len)?;
        match self.read(offset, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.is_about_its_object() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fills the buffer; zeros stand for what can't be read.
    pub(super) fn read_somehow(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let there = self.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        let (buffer, beyond) = buffer.split_at_mut(there);
        beyond.fill(0);
        match self.read(offset, buffer) {
            Err(error) if error.is_about_its_object() => {}
            result => return result,
        }
        for (number, piece) in buffer.chunks_mut(SECTOR).enumerate() {
            match self.read(offset + (number * SECTOR) as u64, piece) {
                Err(error) if error.is_about_its_object() => piece.fill(0),
                result => result?,
            }
        }
        Ok(())
    }
}
