//! An archive that another one takes blobs from, as they are: a base, or one that is added.
//!
//! What it says of its bytes is checked as far as the new archive would be worse for it. Stored bytes must have the
//! hash of the blob table, and a zstd blob must be a frame of the size of its block, before they are counted in; that needs
//! no decoding and finds all damage. Slices that stand for bytes from elsewhere are decoded and hashed at the end,
//! and so is everything where the option `base-check` asks for that.

use std::ops::Range;
use std::sync::Arc;

use crate::archive::{Archive, ContentCheck, Depth, SliceCheck};
use crate::error::{Error, Result, Status, filled, push, reserve, zeroed};
use crate::format::blobs::Blob;
use crate::format::codec::says_len;
use crate::format::hash::Digest;
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, Location, Row};
use crate::options::Options;
use crate::pack::output::Output;
use crate::pack::pipeline::{Pipeline, Written};
use crate::pack::sequence::{Relied, Slice};
use crate::progress::{Phase, Reporter};

/// Bytes that are read, hashed and written at a time.
const PIECE: usize = 1 << 20;

/// An archive and what was taken from it.
pub(super) struct Donor {
    /// What errors call it, such as `base archive`.
    what: &'static str,
    archive: Arc<dyn AsRef<Archive> + Send + Sync>,
    pub(super) table: Vec<Blob>,
    /// By blob: its codec, once a row of it was seen.
    codecs: Vec<Option<u8>>,
    /// By blob: its block in the new archive, once it is there.
    blocks: Vec<Option<u32>>,
    /// Numbers of the slices that come from here.
    slices: Vec<Range<u32>>,
    /// Files of several slices that are to be decoded and hashed whole.
    check: ContentCheck,
    last_blob: usize,
}

impl Donor {
    /// # Errors
    /// `E_UNSUPPORTED` for an archive of version 3; `doing` says what it is no good for.
    pub(super) fn new(
        archive: Arc<dyn AsRef<Archive> + Send + Sync>,
        what: &'static str,
        doing: &str,
    ) -> Result<Donor> {
        (*archive).as_ref().require_version_4(doing)?;
        let table = (*archive).as_ref().blob_records()?;
        let (codecs, blocks, check) =
            (filled(None, table.len())?, filled(None, table.len())?, ContentCheck::new(table.len())?);
        Ok(Donor { what, archive, table, codecs, blocks, slices: Vec::new(), check, last_blob: 0 })
    }

    /// The archive.
    pub(super) fn archive(&self) -> &Archive {
        (*self.archive).as_ref()
    }

    /// The same, for who changes what else there is meanwhile.
    pub(super) fn share(&self) -> Arc<dyn AsRef<Archive> + Send + Sync> {
        Arc::clone(&self.archive)
    }

    /// The blob that a slice says it is in: one of the table, with the same sizes and codec for all.
    pub(super) fn blob(&mut self, at: &Location) -> Result<usize> {
        let number = match self.table.get(self.last_blob) {
            Some(blob) if is_in(blob, at) => self.last_blob,
            _ => blob_number(&self.table, at)?,
        };
        if *self.codecs[number].get_or_insert(at.codec) != at.codec {
            return Err(contradiction());
        }
        self.last_blob = number;
        Ok(number)
    }

    /// The block of the new archive that a blob became.
    pub(super) fn block(&self, blob: usize) -> Option<u32> {
        self.blocks[blob]
    }

    /// Copies the blobs that are `wanted` and not there yet; `copied` gets their decoded bytes, one after the other.
    ///
    /// # Errors
    /// Those of writing, and `E_CHECKSUM` where one is damaged; the output is of no use then.
    pub(super) fn copy(
        &mut self,
        wanted: impl Fn(usize) -> bool,
        pipeline: &mut Pipeline,
        reporter: &mut Reporter,
        mut copied: impl FnMut(&mut Pipeline, &Reporter, u64),
    ) -> Result<()> {
        pipeline.catch_up(reporter)?;
        let mut buffer = Vec::new();
        for number in 0..self.table.len() {
            let (Some(codec), None, true) = (self.codecs[number], self.blocks[number], wanted(number)) else {
                continue;
            };
            let blob = self.table[number];
            self.blocks[number] = match pipeline.block_of(&blob, codec)? {
                Some(block) => Some(block),
                None => {
                    let offset = pipeline.output.position();
                    let archive = (*self.archive).as_ref();
                    copy_blob(archive, &blob, codec, &mut buffer, &mut pipeline.output, reporter)
                        .map_err(|error| self.named(error))?;
                    Some(pipeline.adopt(Written { blob: Blob { offset, ..blob }, codec })?)
                }
            };
            copied(pipeline, reporter, blob.decoded);
        }
        Ok(())
    }

    /// Slices that the sequencer adopts from here on come from here, up to [`Donor::adopted`].
    pub(super) fn adopting(&mut self, pipeline: &Pipeline) -> Result<()> {
        let number = pipeline.sequencer.slices.count();
        push(&mut self.slices, number..number)
    }

    /// See [`Donor::adopting`].
    pub(super) fn adopted(&mut self, pipeline: &Pipeline) {
        if let Some(range) = self.slices.last_mut() {
            range.end = pipeline.sequencer.slices.count();
        }
    }

    /// A file of several slices is to be decoded and hashed whole, which come next.
    pub(super) fn check_file(&mut self, entry: u64, size: u64, hash: Digest) -> Result<()> {
        self.check.begin_file(entry, size, hash)
    }

    /// The next slice of that file.
    pub(super) fn check_slice(&mut self, entry: u32, row: &Row<'_>, at: &Location) -> Result<()> {
        let blob = self.check.blob_number(&self.table, at)? as u32;
        let (start, len) = (at.block_offset as u32, row.size as u32);
        self.check.file_slice(row.offset, SliceCheck { blob, start, len, entry, checksum: row.checksum })
    }

    /// Decodes and hashes the slices that the new archive rests on, and the files that are to be.
    pub(super) fn check(
        &mut self,
        relied: &[Relied],
        written: &[Written],
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let mut blobs = Vec::new();
        reserve(&mut blobs, self.blocks.len())?;
        blobs.extend(self.blocks.iter().enumerate().filter_map(|(blob, block)| Some(((*block)?, blob as u32))));
        blobs.sort_unstable();
        let blob = |block: u32| Some(blobs[blobs.binary_search_by_key(&block, |(block, _)| *block).ok()?].1);
        let from_here = |number: u32| self.slices.iter().any(|range| range.contains(&number));
        let mut relied = relied.iter().filter(|relied| from_here(relied.number)).peekable();
        if relied.peek().is_none() && self.check.is_empty() {
            return Ok(());
        }
        let archive = (*self.archive).as_ref();
        let checked = check_slices(&mut self.check, archive, &self.table, relied, blob, written, options, reporter);
        checked.map_err(|error| self.named(error))
    }

    /// An error of this archive: it says which one.
    pub(super) fn named(&self, error: Error) -> Error {
        if error.status() == Status::Cancelled {
            return error;
        }
        named(self.archive(), self.what, error)
    }
}

/// Copies a blob and checks it on the way.
///
/// # Errors
/// `E_CHECKSUM` where it is damaged: what was written of it is of no use then.
pub(super) fn copy_blob(
    archive: &Archive,
    blob: &Blob,
    codec: u8,
    buffer: &mut Vec<u8>,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<()> {
    let piece = blob.stored.min(PIECE as u64) as usize;
    if buffer.len() < piece {
        *buffer = zeroed(piece)?;
    }
    let mut hasher = blake3::Hasher::new();
    let mut done = 0;
    while done < blob.stored {
        reporter.tick(None)?;
        let bytes = &mut buffer[..(blob.stored - done).min(piece as u64) as usize];
        archive.read_range(blob.offset + done, bytes)?;
        if codec == CODEC_ZSTD && done == 0 && !says_len(bytes, blob.decoded) {
            let why = format!("the blob at offset {} is no zstd frame of the size that the index says", blob.offset);
            return Err(Error::corrupt("codec.frame", why));
        }
        hasher.update(bytes);
        output.append(bytes)?;
        done += bytes.len() as u64;
    }
    if *hasher.finalize().as_bytes() == blob.hash {
        return Ok(());
    }
    let why = format!("the blob at offset {} is damaged; nothing was changed", blob.offset);
    Err(Error::refused(Status::Checksum, "blob.hash", why))
}

/// Decodes and hashes slices that were adopted from an archive, and what `check` has beside them.
#[allow(clippy::too_many_arguments)]
pub(super) fn check_slices<'a>(
    check: &mut ContentCheck,
    archive: &Archive,
    table: &[Blob],
    relied: impl Iterator<Item = &'a Relied>,
    blob_of: impl Fn(u32) -> Option<u32>,
    written: &[Written],
    options: &Options,
    reporter: &mut Reporter,
) -> Result<()> {
    for Relied { slice, origin, .. } in relied {
        let Some(blob) = blob_of(slice.block) else { continue };
        let Blob { offset, stored, decoded, .. } = table[blob as usize];
        let at = Location {
            blob_offset: offset,
            blob_size: stored,
            block_offset: u64::from(slice.start),
            block_size: decoded,
            codec: written[slice.block as usize].codec,
        };
        check.blob_number(table, &at)?;
        let Slice { start, len, checksum, .. } = *slice;
        check.slice(SliceCheck { blob, start, len, entry: *origin, checksum })?;
    }
    let (entries, bytes) = check.close(table, Depth::Gathered)?;
    reporter.begin(Phase::Verify, entries, bytes)?;
    let largest = table.iter().map(|blob| blob.stored + blob.decoded).max().unwrap_or(0) as usize;
    let threads = options.threads_within(options.threads(), 0, largest.max(1 << 20))?;
    check.run(archive, table, Depth::Gathered, threads, reporter)
}

/// An error of an archive that is taken from: it says which one.
pub(super) fn named(archive: &Archive, what: &str, error: Error) -> Error {
    match archive.path() {
        Some(path) => error.within(&format!("the {what} {}", path.display())).with_path(path),
        None => error.within(&format!("the {what}")),
    }
}

/// The record of the blob that a slice lies in.
pub(super) fn blob_number(table: &[Blob], at: &Location) -> Result<usize> {
    let found = table.binary_search_by_key(&at.blob_offset, |blob| blob.offset).ok();
    found.filter(|number| is_in(&table[*number], at)).ok_or_else(contradiction)
}

/// Whether what a blob of this codec holds can be proven.
pub(super) fn is_decodable(codec: u8) -> bool {
    codec == CODEC_STORED || codec == CODEC_ZSTD
}

fn is_in(blob: &Blob, at: &Location) -> bool {
    (blob.offset, blob.stored, blob.decoded) == (at.blob_offset, at.blob_size, at.block_size)
}

fn contradiction() -> Error {
    Error::corrupt("blobs.match", "the entry's blob contradicts the blob table")
}
