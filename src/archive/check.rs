//! Checks of content, by many workers: blobs against the blob table, slices and whole files against their hashes.
//!
//! Verification checks all that an archive holds this way; packing what it takes over from another archive.

use std::ops::Range;
use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::read::{check_file_hash, check_slice};
use blake3::hazmat::HasherExt;

use crate::error::{Error, Result, Status, filled, push, zeroed};
use crate::format::blobs::Blob;
use crate::format::codec::Decompressor;
use crate::format::hash::{Digest, Part, hash, hash_zeros, merge_parts};
use crate::format::in_memory;
use crate::format::row::{CODEC_STORED, Codecs, Location};
use crate::progress::{CancelToken, Counters, Reporter};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, Mutex};

/// A slice to check: 48 bytes.
pub struct SliceCheck {
    /// Its blob, by number in the blob table.
    pub blob: u32,
    /// Where it starts in the decoded block.
    pub start: u32,
    /// Its bytes.
    pub len: u32,
    /// Number of the entry that errors name.
    pub entry: u32,
    /// What its bytes must hash to.
    pub checksum: Digest,
}

/// A file of several slices, whose whole hash is checked too: merged from those of its slices.
struct FileCheck {
    entry: u64,
    size: u64,
    hash: Digest,
    /// With their offsets in the file, in order.
    slices: Vec<(u64, SliceCheck)>,
}

/// How far a file of several slices is.
struct Progress {
    slices_left: AtomicUsize,
    /// Chaining values of the slices that were checked, where they are subtrees of the file's hash.
    parts: Mutex<Vec<Part>>,
}

/// What is to be checked, gathered row by row, then done by [`ContentCheck::run`].
pub struct ContentCheck {
    slices: Vec<SliceCheck>,
    files: Vec<FileCheck>,
    /// By blob, once a slice of it was seen.
    codecs: Vec<Option<u8>>,
    last_blob: usize,
}

/// Which blobs are looked at, and how closely.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The stored bytes of all.
    Stored,
    /// The stored bytes of all, and what was gathered.
    All,
    /// What was gathered, and the blobs that hold it.
    Gathered,
}

enum Task {
    /// A blob, and the range of `ContentCheck::slices` that lie in it.
    Blob { number: usize, from: usize, to: usize },
    /// A run of slices of the file of this number, in one blob.
    File { number: usize, from: usize, to: usize },
}

impl ContentCheck {
    /// Nothing gathered yet, of an archive of so many blobs.
    pub fn new(blobs: usize) -> Result<ContentCheck> {
        Ok(ContentCheck { slices: Vec::new(), files: Vec::new(), codecs: filled(None, blobs)?, last_blob: 0 })
    }

    /// The blob that a slice says it is in: it must be one of the table, with the same sizes and codec for all.
    pub fn blob_number(&mut self, table: &[Blob], at: &Location) -> Result<usize> {
        let matches = |number: &usize| table.get(*number).is_some_and(|blob| blob.offset == at.blob_offset);
        let number = Some(self.last_blob)
            .filter(matches)
            .or_else(|| table.binary_search_by_key(&at.blob_offset, |blob| blob.offset).ok());
        let found = number.and_then(|number| Some((number, table.get(number)?, self.codecs.get_mut(number)?)));
        let same = found.filter(|(_, blob, known)| {
            blob.stored == at.blob_size && blob.decoded == at.block_size && known.is_none_or(|known| known == at.codec)
        });
        let (number, _, known) =
            same.ok_or_else(|| Error::corrupt("blobs.match", "the entry's blob contradicts the blob table"))?;
        Codecs::Version4.check(at.codec)?;
        *known = Some(at.codec);
        self.last_blob = number;
        Ok(number)
    }

    /// Takes a slice, in any order.
    pub fn slice(&mut self, slice: SliceCheck) -> Result<()> {
        push(&mut self.slices, slice)
    }

    /// Begins a file of several slices, which come next, each at its offset.
    pub fn begin_file(&mut self, entry: u64, size: u64, hash: Digest) -> Result<()> {
        push(&mut self.files, FileCheck { entry, size, hash, slices: Vec::new() })
    }

    /// Takes the next slice of the file that was begun last.
    pub fn file_slice(&mut self, offset: u64, slice: SliceCheck) -> Result<()> {
        self.files.last_mut().map_or(Ok(()), |file| push(&mut file.slices, (offset, slice)))
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.files.is_empty()
    }

    /// After the last slice: puts them in order, and counts the files and bytes that there are to check, for progress.
    pub fn close(&mut self, table: &[Blob], depth: Depth) -> Result<(u64, u64)> {
        self.slices.sort_unstable_by_key(|slice| (slice.blob, slice.start));
        Ok(self.tasks(table.len(), depth)?.iter().fold((0, 0), |(entries, bytes), task| {
            let (more_entries, more_bytes) = self.work_of(table, task);
            (u64::saturating_add(entries, more_entries), u64::saturating_add(bytes, more_bytes))
        }))
    }

    /// Checks what was gathered of `archive`, whose blob table this is.
    ///
    /// # Errors
    /// The first damage that is found, naming the entry where it is in one.
    pub fn run(
        &self,
        archive: &Archive,
        table: &[Blob],
        depth: Depth,
        threads: usize,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let tasks = self.tasks(table.len(), depth)?;
        let mut files = Vec::new();
        for file in &self.files {
            let slices_left = AtomicUsize::new(file.slices.len());
            push(&mut files, Progress { slices_left, parts: Mutex::default() })?;
        }
        let job = Job { archive, table, check: self, files, stop: reporter.stop(), counters: reporter.counters() };
        sync::for_each(threads, "znippy-verify", reporter, tasks, Tools::new, |tools, task| job.run(tools, &task))
    }

    fn tasks(&self, blobs: usize, depth: Depth) -> Result<Vec<Task>> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut in_files = filled(false, blobs)?;
        if depth != Depth::Stored {
            for (number, file) in self.files.iter().enumerate() {
                if file.slices.is_empty() {
                    push(&mut tasks, Task::File { number, from: 0, to: 0 })?;
                }
                let mut from = 0usize;
                for run in file.slices.chunk_by(|(_, one), (_, next)| one.blob == next.blob) {
                    // Whoever checks a slice of a big file checks its blob.
                    let blob = run.first().and_then(|(_, slice)| in_files.get_mut(slice.blob as usize));
                    blob.into_iter().for_each(|in_file| *in_file = true);
                    let to = from.saturating_add(run.len());
                    push(&mut tasks, Task::File { number, from, to })?;
                    from = to;
                }
            }
        }
        let mut from = 0;
        for (number, in_file) in in_files.iter().enumerate() {
            let rest = self.slices.get(from..).unwrap_or_default();
            let to = rest.partition_point(|slice| slice.blob as usize <= number).saturating_add(from);
            if from < to || (!in_file && depth != Depth::Gathered) {
                push(&mut tasks, Task::Blob { number, from, to: if depth == Depth::Stored { from } else { to } })?;
            }
            from = to;
        }
        Ok(tasks)
    }

    fn work_of(&self, table: &[Blob], task: &Task) -> (u64, u64) {
        match *task {
            Task::Blob { number, from, to } => {
                (to.saturating_sub(from) as u64, table.get(number).map_or(0, |blob| blob.decoded))
            }
            Task::File { number, from, to } => {
                let slices = self.files.get(number).map_or(&[][..], |file| &file.slices);
                let run = slices.get(from..to).unwrap_or_default();
                let bytes = run.iter().fold(0, |sum: u64, (_, slice)| sum.saturating_add(slice.len.into()));
                (u64::from(to == slices.len()), bytes)
            }
        }
    }
}

struct Tools {
    decompressor: Decompressor,
    stored: Vec<u8>,
    block: Vec<u8>,
    /// The blob whose bytes `block` has.
    loaded: Option<usize>,
}

impl Tools {
    fn new() -> Result<Tools> {
        Ok(Tools { decompressor: Decompressor::new()?, stored: Vec::new(), block: Vec::new(), loaded: None })
    }
}

struct Job<'a> {
    archive: &'a Archive,
    table: &'a [Blob],
    check: &'a ContentCheck,
    /// Of each of [`ContentCheck::files`].
    files: Vec<Progress>,
    /// Another worker has failed, or the caller has stopped the job.
    stop: CancelToken,
    counters: Arc<Counters>,
}

impl Job<'_> {
    fn run(&self, tools: &mut Tools, task: &Task) -> Result<()> {
        match *task {
            Task::Blob { number, from, to } => {
                let slices = self.check.slices.get(from..to).unwrap_or_default();
                self.load(tools, number, !slices.is_empty()).map_err(|error| self.name(error, slices.first()))?;
                for slice in slices {
                    self.check(tools, slice)?;
                }
            }
            Task::File { number, from, to } => self.file(tools, number, from..to)?,
        }
        let (entries, bytes) = self.check.work_of(self.table, task);
        self.counters.add(entries, bytes);
        Ok(())
    }

    /// Checks some slices of a file, all in one blob; whoever checks the last ones checks the hash of the whole.
    fn file(&self, tools: &mut Tools, number: usize, run: Range<usize>) -> Result<()> {
        let Some((file, progress)) = self.check.files.get(number).zip(self.files.get(number)) else { return Ok(()) };
        let slices = file.slices.get(run).unwrap_or_default();
        if let Some((_, first)) = slices.first() {
            self.load(tools, first.blob as usize, true).map_err(|error| self.name(error, Some(first)))?;
        }
        for (offset, slice) in slices {
            if let Some(part) = Part::new(self.check(tools, slice)?, *offset) {
                push(&mut progress.parts.lock(), part)?;
            }
        }
        if progress.slices_left.fetch_sub(slices.len(), Ordering::AcqRel) > slices.len() {
            return Ok(());
        }
        let mut parts = std::mem::take(&mut *progress.parts.lock());
        parts.sort_unstable_by_key(|part| part.offset);
        let value = |offset, len| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset);
            self.hash_range(tools, file, offset..u64::saturating_add(offset, len), &mut hasher)?;
            Ok(hasher.finalize_non_root())
        };
        let found = match merge_parts(&parts, file.size, value)? {
            Some(hash) => hash,
            None => {
                let mut hasher = blake3::Hasher::new();
                self.hash_range(tools, file, 0..file.size, &mut hasher)?;
                *hasher.finalize().as_bytes()
            }
        };
        check_file_hash(&found, &file.hash).map_err(|error| self.name_entry(error, file.entry))
    }

    /// Hashes a range of a file, holes as zeros. Its slices were checked; their blobs are read again.
    fn hash_range(
        &self,
        tools: &mut Tools,
        file: &FileCheck,
        range: Range<u64>,
        hasher: &mut blake3::Hasher,
    ) -> Result<()> {
        let mut at = range.start;
        let first = file.slices.partition_point(|(start, slice)| start.saturating_add(slice.len.into()) <= range.start);
        for (start, slice) in file.slices.iter().skip(first).take_while(|(start, _)| *start < range.end) {
            self.stop.check()?;
            self.load(tools, slice.blob as usize, true).map_err(|error| self.name(error, Some(slice)))?;
            let (from, to) = (at.max(*start), range.end.min(start.saturating_add(slice.len.into())));
            hash_zeros(hasher, from.saturating_sub(at), &self.stop)?;
            let bytes = tools.block.get(range_of(slice)).unwrap_or_default();
            let wanted = in_memory(from.saturating_sub(*start))..in_memory(to.saturating_sub(*start));
            hasher.update(bytes.get(wanted).unwrap_or_default());
            at = to;
        }
        hash_zeros(hasher, range.end.saturating_sub(at), &self.stop)
    }

    /// Reads a blob, checks its stored bytes and, where `decode` says so, decodes it, unless it is the one that was decoded
    /// last: an index may ask for the same block again and again.
    fn load(&self, tools: &mut Tools, number: usize, decode: bool) -> Result<()> {
        if decode && tools.loaded == Some(number) {
            return Ok(());
        }
        let missing = || Error::new(Status::Panic, "there is no blob of this number");
        let blob = self.table.get(number).ok_or_else(missing)?;
        let stored_len = in_memory(blob.stored);
        if tools.stored.len() < stored_len {
            tools.stored = zeroed(stored_len)?;
        }
        let stored = tools.stored.get_mut(..stored_len).unwrap_or_default();
        self.archive.read_range(blob.offset, stored)?;
        if hash(stored) != blob.hash {
            let why = format!("the blob at offset {} is damaged", blob.offset);
            return Err(Error::refused(Status::Checksum, "blob.hash", why));
        }
        if !decode {
            return Ok(());
        }
        tools.loaded = None;
        let decoded_len = in_memory(blob.decoded);
        if self.check.codecs.get(number) == Some(&Some(CODEC_STORED)) {
            tools.block.clear();
            crate::error::reserve(&mut tools.block, decoded_len)?;
            tools.block.extend_from_slice(stored);
        } else {
            tools.decompressor.decompress_into(stored, decoded_len, &mut tools.block)?;
        }
        tools.loaded = Some(number);
        Ok(())
    }

    /// The bytes of a slice, which match its checksum.
    fn check<'t>(&self, tools: &'t Tools, slice: &SliceCheck) -> Result<&'t [u8]> {
        let bytes = tools.block.get(range_of(slice));
        let bytes = bytes.ok_or_else(|| Error::corrupt("index.block", "the slice lies outside its block"));
        bytes
            .and_then(|bytes| check_slice(bytes, &slice.checksum).map(|()| bytes))
            .map_err(|error| self.name(error, Some(slice)))
    }

    fn name(&self, error: Error, slice: Option<&SliceCheck>) -> Error {
        match slice {
            Some(slice) => self.name_entry(error, u64::from(slice.entry)),
            None => error,
        }
    }

    fn name_entry(&self, error: Error, entry: u64) -> Error {
        match self.archive.list(entry, 1) {
            Ok(listing) => match listing.get(0) {
                Some(entry) => error.with_entry(entry.path),
                None => error,
            },
            Err(_) => error,
        }
    }
}

/// Where a slice lies in its decoded block.
fn range_of(slice: &SliceCheck) -> Range<usize> {
    let start = slice.start as usize;
    start..start.saturating_add(slice.len as usize)
}
