//! The section of extended attributes: each distinct set once, numbered in the order in which entries first have them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::format::codec::Compressor;
use crate::format::hash::hash;
use crate::format::manifest::{Part, SECTION_TYPE};
use crate::format::xattrs::{MAX_SECTION, SECTION_NAME};
use crate::pack::output::Output;
use crate::progress::CancelToken;

/// Sets in the making of an archive.
#[derive(Default)]
pub(super) struct XattrTable {
    numbers: HashMap<Arc<[u8]>, u32>,
    count: u32,
    bytes: Vec<u8>,
}

impl XattrTable {
    /// Gives a set its number, unless it has one.
    pub(super) fn add(&mut self, set: &Arc<[u8]>) -> Result<()> {
        if self.numbers.contains_key(set) {
            return Ok(());
        }
        self.push(set)
    }

    /// Gives a set of an archive that is appended to the next number, also where an equal one has another.
    pub(super) fn push(&mut self, set: &Arc<[u8]>) -> Result<()> {
        if (self.bytes.len() + set.len()) as u64 > MAX_SECTION {
            let why = "the extended attributes take over 64 MiB; pack without them, or the tree in parts";
            return Err(Error::new(Status::Limit, why));
        }
        let more = set.len().max(self.bytes.len() / 2);
        crate::error::reserve(&mut self.bytes, more)?;
        self.bytes.extend_from_slice(set);
        self.numbers.entry(Arc::clone(set)).or_insert(self.count);
        // A set has bytes, and all of them have 64 MiB.
        self.count += 1;
        Ok(())
    }

    /// The number of a set that was added.
    pub(super) fn number(&self, set: &Arc<[u8]>) -> Option<u32> {
        self.numbers.get(set).copied()
    }

    /// The section's content and the number of sets, if there are any.
    pub(super) fn content(&self) -> Option<(&[u8], u32)> {
        (self.count > 0).then_some((&self.bytes, self.count))
    }

    /// Writes the section, if there are sets; as a zstd frame where `level` is given and saves something.
    pub(super) fn write(&self, level: Option<i32>, output: &mut Output) -> Result<Option<Part>> {
        self.content().map(|(bytes, sets)| write_section(bytes, u64::from(sets), level, output)).transpose()
    }
}

/// Writes the section with this content.
pub(super) fn write_section(bytes: &[u8], sets: u64, level: Option<i32>, output: &mut Output) -> Result<Part> {
    let mut frame = Vec::new();
    if let Some(level) = level {
        Compressor::new(level, bytes.len())?.compress(bytes, &mut frame, &CancelToken::new())?;
    }
    let is_frame = !frame.is_empty() && frame.len() < bytes.len();
    let stored = if is_frame { &frame } else { bytes };
    let part = Part {
        pkg_type: SECTION_TYPE,
        module_name: SECTION_NAME.into(),
        offset: output.position(),
        len: stored.len() as u64,
        rows: sets,
        raw_len: if is_frame { bytes.len() as u64 } else { 0 },
        hash: hash(stored),
        ..Part::default()
    };
    output.append(stored)?;
    Ok(part)
}
