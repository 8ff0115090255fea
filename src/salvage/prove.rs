//! Which entries are whole: each slice is decoded and hashed, and each file of several slices once more as a whole.

use std::collections::BTreeMap;
use std::collections::HashSet;

use crate::error::{Error, Result, Status, zeroed};
use crate::format::codec::Decompressor;
use crate::format::hash::{hash, hash_zeros};
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use crate::options::Options;
use crate::progress::{CancelToken, Phase, Reporter};
use crate::salvage::names::Names;
use crate::salvage::source::Damaged;
use crate::sync::{self, Mutex};

/// What was proven.
pub(super) struct Proof {
    /// Entries that are lost, and why.
    pub(super) lost: BTreeMap<u32, Error>,
    /// Blobs that entries have slices in, and those some of whose slices are wrong.
    pub(super) blobs: u64,
    pub(super) damaged: u64,
    /// Offsets of all blobs that entries have slices in, whole or not.
    pub(super) named: HashSet<u64>,
}

/// A slice to check.
struct Piece {
    at: Location,
    entry: u32,
    segment: u32,
    row: u32,
}

impl Piece {
    fn blob(&self) -> (u64, u64, u64, u8) {
        (self.at.blob_offset, self.at.blob_size, self.at.block_size, self.at.codec)
    }
}

pub(super) fn prove(source: &Damaged, names: &Names, options: &Options, reporter: &mut Reporter) -> Result<Proof> {
    let mut pieces = Vec::new();
    let (mut several, mut lost) = (Vec::new(), BTreeMap::new());
    for entry in 0..names.len() as u32 {
        if entry.is_multiple_of(1024) {
            reporter.tick(None)?;
        }
        let mut held = 0u64;
        for (segment, number, row) in names.rows(entry) {
            if row.attributes.is_some_and(|attributes| attributes.file_hash.is_some()) {
                several.push(entry);
            }
            if let Some(why) = unknown(&row) {
                lost.insert(entry, why.at(names.path(entry)));
            }
            let Some(at) = row.location else { continue };
            if pieces.len() == pieces.capacity() {
                let more = (pieces.len() / 2).max(4096);
                crate::error::reserve(&mut pieces, more)?;
            }
            held = held.saturating_add(row.size);
            pieces.push(Piece { at, entry, segment, row: number as u32 });
        }
    }
    pieces.sort_unstable_by_key(|piece| (piece.blob(), piece.at.block_offset, piece.entry));
    let named = pieces.iter().map(|piece| piece.at.blob_offset).collect();
    let blobs: Vec<&[Piece]> = pieces.chunk_by(|a, b| a.blob() == b.blob()).collect();
    let bytes = blobs.iter().map(|blob| blob[0].at.block_size).sum();
    reporter.begin(Phase::Verify, names.len() as u64, bytes)?;
    let largest = blobs.iter().map(|blob| blob[0].at.blob_size + blob[0].at.block_size).max().unwrap_or(0);
    let threads = options.threads_within(options.threads(), 0, (largest as usize).max(1 << 20))?;
    let (state, damaged) = (Mutex::new(lost), Mutex::new(0u64));
    let (count, checked) = (blobs.len() as u64, reporter.counters());
    let tools = || Tools::new(source);
    sync::for_each(threads, "znippy-salvage", reporter, blobs, tools, |tools, blob| {
        let failures = tools.check(blob, names)?;
        checked.add(0, blob[0].at.block_size);
        if !failures.is_empty() {
            *damaged.lock() += 1;
            let mut lost = state.lock();
            for (entry, error) in failures {
                lost.entry(entry).or_insert(error);
            }
        }
        Ok(())
    })?;
    several.retain(|entry| !state.lock().contains_key(entry));
    let stop = reporter.stop();
    sync::for_each(threads, "znippy-salvage", reporter, several, tools, |tools, entry| {
        if let Some(error) = tools.check_whole(names, entry, &stop)? {
            state.lock().insert(entry, error);
        }
        Ok(())
    })?;
    Ok(Proof { lost: state.into_inner(), blobs: count, damaged: damaged.into_inner(), named })
}

/// Why nothing can be said about a row.
fn unknown(row: &Row<'_>) -> Option<Error> {
    let what = if EntryKind::from_number(row.kind).is_none() {
        format!("its kind ({}) is not known to this version", row.kind)
    } else {
        let codec = row.location.map(|at| at.codec).filter(|codec| *codec != CODEC_STORED && *codec != CODEC_ZSTD)?;
        format!("its codec ({codec}) is not known to this version")
    };
    Some(Error::new(Status::Unsupported, what))
}

struct Tools<'a> {
    source: &'a Damaged,
    decompressor: Decompressor,
    stored: Vec<u8>,
    block: Vec<u8>,
    /// The blob whose block is in `block`.
    loaded: Option<(u64, u64, u64, u8)>,
}

impl<'a> Tools<'a> {
    fn new(source: &'a Damaged) -> Result<Tools<'a>> {
        let (decompressor, stored, block) = (Decompressor::new()?, Vec::new(), Vec::new());
        Ok(Tools { source, decompressor, stored, block, loaded: None })
    }

    /// Entries that a blob's damage costs.
    fn check(&mut self, blob: &[Piece], names: &Names) -> Result<Vec<(u32, Error)>> {
        let fault = |error: Error, piece: &Piece| (piece.entry, error.at(names.path(piece.entry)));
        if let Err(error) = self.load(&blob[0].at) {
            let error = blame(error)?;
            return Ok(blob.iter().map(|piece| fault(error.clone(), piece)).collect());
        }
        let mut failures = Vec::new();
        for piece in blob {
            let row = names.row(piece.segment, piece.row);
            if self.slice(&row, &piece.at).is_none_or(|bytes| hash(bytes) != row.checksum) {
                failures.push(fault(damaged(), piece));
            }
        }
        Ok(failures)
    }

    /// What is wrong with a file of several slices.
    fn check_whole(&mut self, names: &Names, entry: u32, stop: &CancelToken) -> Result<Option<Error>> {
        let (mut hasher, mut offset) = (blake3::Hasher::new(), 0);
        let (mut size, mut recorded) = (0, None);
        for (_, _, row) in names.rows(entry) {
            if let Some(attributes) = row.attributes {
                size = attributes.file_size.unwrap_or(0);
                recorded = attributes.file_hash;
            }
            let Some(at) = row.location else { continue };
            hash_zeros(&mut hasher, row.offset.saturating_sub(offset), stop)?;
            if let Err(error) = self.load(&at) {
                return Ok(Some(blame(error)?.at(names.path(entry))));
            }
            match self.slice(&row, &at) {
                Some(bytes) => hasher.update(bytes),
                None => return Ok(Some(damaged().with_entry(names.path(entry)))),
            };
            offset = row.offset + row.size;
            if offset > size {
                return Ok(Some(damaged().with_entry(names.path(entry))));
            }
        }
        hash_zeros(&mut hasher, size - offset, stop)?;
        let same = recorded.is_none_or(|recorded| *hasher.finalize().as_bytes() == recorded);
        let why = "its slices are not those of the whole file: some are missing";
        Ok((!same).then(|| Error::refused(Status::Checksum, "file.hash", why).with_entry(names.path(entry))))
    }

    fn load(&mut self, at: &Location) -> Result<()> {
        let key = (at.blob_offset, at.blob_size, at.block_size, at.codec);
        if self.loaded == Some(key) {
            return Ok(());
        }
        self.loaded = None;
        read_block(self.source, at, &mut self.decompressor, &mut self.stored, &mut self.block)?;
        self.loaded = Some(key);
        Ok(())
    }

    fn slice(&self, row: &Row<'_>, at: &Location) -> Option<&[u8]> {
        let start = at.block_offset as usize;
        self.block.get(start..start.checked_add(row.size as usize)?)
    }
}

/// Reads a blob into `stored` and decodes it into `block`.
pub(super) fn read_block(
    source: &Damaged,
    at: &Location,
    decompressor: &mut Decompressor,
    stored: &mut Vec<u8>,
    block: &mut Vec<u8>,
) -> Result<()> {
    *stored = zeroed(at.blob_size as usize)?;
    match at.codec {
        CODEC_STORED => {
            // Slices that lie where it can be read are whole.
            source.read_somehow(at.blob_offset, stored)?;
            block.clear();
            crate::error::reserve(block, stored.len())?;
            block.extend_from_slice(stored);
            Ok(())
        }
        CODEC_ZSTD => {
            source.read(at.blob_offset, stored)?;
            decompressor.decompress_into(stored, at.block_size as usize, block)
        }
        codec => Err(Error::new(Status::Unsupported, format!("its codec ({codec}) is not known to this version"))),
    }
}

fn damaged() -> Error {
    Error::refused(Status::Checksum, "slice.hash", "its bytes are damaged")
}

/// The error, where the archive is to blame.
fn blame(error: Error) -> Result<Error> {
    if error.is_about_its_object() { Ok(error) } else { Err(error) }
}
