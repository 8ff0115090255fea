//! Checks of content, by many workers: blobs against the blob table, slices and whole files against their hashes.
//!
//! Verification checks all that an archive holds this way; packing what it takes over from another archive.

use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::read::{check_file_hash, check_slice};
use crate::error::{Error, Result, Status, filled, push, zeroed};
use crate::format::blobs::Blob;
use crate::format::codec::Decompressor;
use crate::format::hash::{Digest, hash, hash_zeros};
use crate::format::row::{CODEC_STORED, Codecs, Location};
use crate::progress::{CancelToken, Counters, Reporter};
use crate::sync;

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

/// A file of several slices, whose whole hash is checked too: by one worker, in order.
struct FileCheck {
    entry: u64,
    size: u64,
    hash: Digest,
    slices: Vec<(u64, SliceCheck)>,
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
    /// A file of several slices by its number.
    File(usize),
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
        let same = number.filter(|number| {
            let blob = &table[*number];
            let known = self.codecs[*number];
            blob.stored == at.blob_size && blob.decoded == at.block_size && known.is_none_or(|known| known == at.codec)
        });
        let number =
            same.ok_or_else(|| Error::corrupt("blobs.match", "the entry's blob contradicts the blob table"))?;
        Codecs::Version4.check(at.codec)?;
        self.codecs[number] = Some(at.codec);
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
            (entries + more_entries, bytes + more_bytes)
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
        let job = Job { archive, table, check: self, stop: reporter.stop(), counters: reporter.counters() };
        sync::for_each(threads, "znippy-verify", reporter, tasks, Tools::new, |tools, task| job.run(tools, &task))
    }

    fn tasks(&self, blobs: usize, depth: Depth) -> Result<Vec<Task>> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut in_files = filled(false, blobs)?;
        if depth != Depth::Stored {
            // Whoever reads a big file reads all of its blobs.
            let slices = self.files.iter().flat_map(|file| &file.slices);
            slices.for_each(|(_, slice)| in_files[slice.blob as usize] = true);
            (0..self.files.len()).try_for_each(|file| push(&mut tasks, Task::File(file)))?;
        }
        let mut from = 0;
        for (number, in_file) in in_files.iter().enumerate() {
            let to = from + self.slices[from..].partition_point(|slice| slice.blob as usize <= number);
            if from < to || (!in_file && depth != Depth::Gathered) {
                push(&mut tasks, Task::Blob { number, from, to: if depth == Depth::Stored { from } else { to } })?;
            }
            from = to;
        }
        Ok(tasks)
    }

    fn work_of(&self, table: &[Blob], task: &Task) -> (u64, u64) {
        match *task {
            Task::Blob { number, from, to } => ((to - from) as u64, table[number].decoded),
            Task::File(number) => (1, self.files[number].slices.iter().map(|(_, slice)| u64::from(slice.len)).sum()),
        }
    }
}

struct Tools {
    decompressor: Decompressor,
    stored: Vec<u8>,
    block: Vec<u8>,
}

impl Tools {
    fn new() -> Result<Tools> {
        Ok(Tools { decompressor: Decompressor::new()?, stored: Vec::new(), block: Vec::new() })
    }
}

struct Job<'a> {
    archive: &'a Archive,
    table: &'a [Blob],
    check: &'a ContentCheck,
    /// Another worker has failed, or the caller has stopped the job.
    stop: CancelToken,
    counters: Arc<Counters>,
}

impl Job<'_> {
    fn run(&self, tools: &mut Tools, task: &Task) -> Result<()> {
        match *task {
            Task::Blob { number, from, to } => {
                let slices = &self.check.slices[from..to];
                self.load(tools, number, !slices.is_empty()).map_err(|error| self.name(error, slices.first()))?;
                for slice in slices {
                    self.check(tools, slice)?;
                }
            }
            Task::File(number) => self.file(tools, &self.check.files[number])?,
        }
        let (entries, bytes) = self.check.work_of(self.table, task);
        self.counters.add(entries, bytes);
        Ok(())
    }

    fn file(&self, tools: &mut Tools, file: &FileCheck) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        let mut loaded = None;
        for (start, slice) in &file.slices {
            hash_zeros(&mut hasher, start - offset, &self.stop)?;
            self.stop.check()?;
            if loaded != Some(slice.blob) {
                self.load(tools, slice.blob as usize, true).map_err(|error| self.name(error, Some(slice)))?;
                loaded = Some(slice.blob);
            }
            self.check(tools, slice)?;
            hasher.update(&tools.block[slice.start as usize..(slice.start + slice.len) as usize]);
            offset = start + u64::from(slice.len);
        }
        hash_zeros(&mut hasher, file.size - offset, &self.stop)?;
        check_file_hash(hasher.finalize().as_bytes(), &file.hash).map_err(|error| self.name_entry(error, file.entry))
    }

    /// Reads a blob, checks its stored bytes and, where `decode` says so, decodes it.
    fn load(&self, tools: &mut Tools, number: usize, decode: bool) -> Result<()> {
        let blob = &self.table[number];
        let stored_len = blob.stored as usize;
        if tools.stored.len() < stored_len {
            tools.stored = zeroed(stored_len)?;
        }
        let stored = &mut tools.stored[..stored_len];
        self.archive.read_range(blob.offset, stored)?;
        if hash(stored) != blob.hash {
            let why = format!("the blob at offset {} is damaged", blob.offset);
            return Err(Error::refused(Status::Checksum, "blob.hash", why));
        }
        if !decode {
            return Ok(());
        }
        tools.block.clear();
        crate::error::reserve(&mut tools.block, blob.decoded as usize)?;
        if self.check.codecs[number] == Some(CODEC_STORED) {
            tools.block.extend_from_slice(stored);
            return Ok(());
        }
        tools.block.resize(blob.decoded as usize, 0);
        tools.decompressor.decompress(stored, &mut tools.block)
    }

    fn check(&self, tools: &Tools, slice: &SliceCheck) -> Result<()> {
        let range = slice.start as usize..slice.start as usize + slice.len as usize;
        let bytes =
            tools.block.get(range).ok_or_else(|| Error::corrupt("index.block", "the slice lies outside its block"));
        bytes.and_then(|bytes| check_slice(bytes, &slice.checksum)).map_err(|error| self.name(error, Some(slice)))
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
