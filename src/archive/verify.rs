//! Verification. `verify` checks every byte of the archive: head, padding, hashes of all parts and blobs, the
//! structure across segments, every slice and every whole-file hash. `verify_quick` checks all stored bytes
//! against their hashes and decodes no blob.

use std::sync::Arc;
use std::time::Instant;

use crate::archive::read::{check_file_hash, check_slice};
use crate::archive::structure::StructureWalk;
use crate::archive::xattrs::check_row;
use crate::archive::{Archive, open};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::blobs::{self, Blob};
use crate::format::codec::Decompressor;
use crate::format::container::{HEAD_LEN, check_head};
use crate::format::hash::{Digest, hash};
use crate::format::manifest::Part;
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use crate::options::Options;
use crate::progress::{CancelToken, Counters, Phase, Reporter};
use crate::stats::Stats;
use crate::sync;

impl Archive {
    /// Checks everything there is to check.
    ///
    /// # Errors
    /// The first damage found, naming the entry where it is in an entry.
    pub fn verify(&self, options: &Options) -> Result<Stats> {
        self.run_verify(options, true)
    }

    /// Checks the hashes of all stored bytes and the structure of the index, and decodes no blob.
    pub fn verify_quick(&self, options: &Options) -> Result<Stats> {
        self.run_verify(options, false)
    }

    fn run_verify(&self, options: &Options, decode: bool) -> Result<Stats> {
        let started = Instant::now();
        let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
        reporter.begin(Phase::List, self.entry_count(), u64::MAX)?;
        self.check_frame()?;
        let table = self.blob_records()?;
        let xattrs = self.xattr_sets()?;
        let mut survey = Survey::new(&table);
        let mut walk = StructureWalk::new();
        for number in 0..self.manifest().segments.len() {
            let segment = self.load_segment(number)?;
            walk.segment(&segment, |walked| {
                let checked = check_row(&walked.row, xattrs).and_then(|()| survey.row(&walked.row, walked.entry));
                checked.map_err(|error| error.with_entry(walked.path))
            })?;
            reporter.counters().add(segment.entries() as u64, 0);
            reporter.tick(None)?;
        }
        let plan = survey.finish();
        self.check_links(&plan.links)?;
        let mut stats = plan.stats;
        let tasks = plan.tasks(&table, decode);
        let (entries, bytes) = plan.work(&table, &tasks);
        reporter.begin(Phase::Verify, entries, bytes)?;
        let largest = table.iter().map(|blob| blob.stored + blob.decoded).max().unwrap_or(0) as usize;
        let threads = options.threads_within(options.threads(), 0, largest.max(1 << 20))?;
        let job =
            Job { archive: self, table: &table, plan: &plan, stop: reporter.stop(), counters: reporter.counters() };
        sync::for_each(threads, "znippy-verify", &mut reporter, tasks, Tools::new, |tools, task| {
            job.run(tools, &task)
        })?;
        reporter.end()?;
        stats.bytes_out = self.size();
        stats.bytes_index = self.size() - (self.manifest().payload_end() - HEAD_LEN);
        stats.seconds = started.elapsed().as_secs_f64();
        Ok(stats)
    }

    /// Head and padding; everything else is under a hash.
    fn check_frame(&self) -> Result<()> {
        let mut head = [0; HEAD_LEN as usize];
        self.read_range(0, &mut head)?;
        check_head(&head)?;
        let manifest = self.manifest();
        let mut end = manifest.payload_end();
        let parts = manifest.sections.iter().chain(&manifest.segments).map(|part| (part.offset, part.end()));
        for (start, next) in parts.chain([(self.trailer().manifest_offset, self.size())]) {
            let mut padding = zeroed((start - end).min(4096) as usize)?;
            self.read_range(end, &mut padding)?;
            if start - end >= 64 || padding.iter().any(|byte| *byte != 0) {
                return Err(Error::corrupt("padding", format!("the padding at offset {end} is damaged")));
            }
            end = next;
        }
        for part in manifest.sections.iter().filter(|part| part.module_name != blobs::SECTION_NAME) {
            self.check_section(part)?;
        }
        Ok(())
    }

    /// The hash of a section that this version doesn't know: in pieces, since nothing bounds its length.
    fn check_section(&self, part: &Part) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut piece = zeroed(part.len.min(1 << 20) as usize)?;
        let mut offset = part.offset;
        while offset < part.end() {
            let len = (part.end() - offset).min(piece.len() as u64) as usize;
            self.read_range(offset, &mut piece[..len])?;
            hasher.update(&piece[..len]);
            offset += len as u64;
        }
        if *hasher.finalize().as_bytes() == part.hash {
            Ok(())
        } else {
            Err(Error::refused(Status::Checksum, "part.hash", format!("{} is damaged", part.module_name)))
        }
    }

    /// A hard link must be what its first name is: it may be extracted as a link, or on its own.
    fn check_links(&self, links: &[Link]) -> Result<()> {
        for link in links {
            let entry = self.list(link.entry, 1)?;
            let Some(entry) = entry.get(0) else { continue };
            let first = match self.find(&link.target)? {
                Some(index) => self.list(index, 1)?,
                None => self.list(link.entry, 0)?,
            };
            let same = first.get(0).is_some_and(|first| {
                first.kind == EntryKind::File as u8 && first.size == entry.size && first.hash == entry.hash
            });
            if !same {
                let why = "the hard link's first name is missing or is another file";
                return Err(Error::corrupt("index.link.target", why).with_entry(entry.path));
            }
        }
        Ok(())
    }

    /// The blob table, checked against the manifest.
    pub fn blob_records(&self) -> Result<Vec<Blob>> {
        let manifest = self.manifest();
        let part = manifest.blob_table().ok_or_else(|| Error::corrupt("blobs.table", "the blob table is missing"))?;
        blobs::decode(&self.read_part(part)?, part.rows, manifest.payload_end())
    }
}

/// A slice to check: 48 bytes.
struct Slice {
    blob: u32,
    start: u32,
    len: u32,
    entry: u32,
    checksum: Digest,
}

/// A file of several slices, whose whole hash is checked too: by one worker, in order.
struct BigFile {
    entry: u64,
    size: u64,
    hash: Digest,
    slices: Vec<(u64, Slice)>,
}

/// What the index says, gathered in one walk.
struct Survey<'a> {
    table: &'a [Blob],
    plan: Plan,
    in_big_file: bool,
    last_blob: usize,
    codecs: Vec<u8>,
}

/// A hard link, to be compared with its first name.
struct Link {
    entry: u64,
    target: Vec<u8>,
}

struct Plan {
    slices: Vec<Slice>,
    big_files: Vec<BigFile>,
    links: Vec<Link>,
    codecs: Vec<u8>,
    stats: Stats,
}

const NO_CODEC: u8 = u8::MAX;

impl<'a> Survey<'a> {
    fn new(table: &'a [Blob]) -> Survey<'a> {
        let plan = Plan {
            slices: Vec::new(),
            big_files: Vec::new(),
            links: Vec::new(),
            codecs: Vec::new(),
            stats: Stats::default(),
        };
        Survey { table, plan, in_big_file: false, last_blob: 0, codecs: vec![NO_CODEC; table.len()] }
    }

    fn row(&mut self, row: &Row<'_>, entry: u64) -> Result<()> {
        if let Some(attributes) = &row.attributes {
            self.count(row);
            let size = attributes.file_size.unwrap_or(0);
            self.plan.stats.bytes_in = self.plan.stats.bytes_in.saturating_add(size);
            if row.kind == EntryKind::Hardlink as u8 {
                let target = attributes.link_target.unwrap_or_default().to_vec();
                self.plan.links.push(Link { entry, target });
            }
            self.in_big_file = attributes.file_hash.is_some();
            if let Some(hash) = attributes.file_hash {
                self.plan.big_files.push(BigFile { entry, size, hash, slices: Vec::new() });
            } else if row.location.is_none() && EntryKind::from_number(row.kind).is_some_and(EntryKind::has_bytes) {
                check_slice(&[], &row.checksum)?;
            }
        }
        let Some(at) = row.location else { return Ok(()) };
        let blob = self.blob_number(&at)?;
        self.plan.stats.slices += 1;
        // Limits of the format: blocks of at most 64 MiB, and entries and blobs are counted in memory here.
        let slice = Slice {
            blob: blob as u32,
            start: at.block_offset as u32,
            len: row.size as u32,
            entry: u32::try_from(entry).unwrap_or(u32::MAX),
            checksum: row.checksum,
        };
        match self.plan.big_files.last_mut().filter(|_| self.in_big_file) {
            Some(file) => file.slices.push((row.offset, slice)),
            None => self.plan.slices.push(slice),
        }
        Ok(())
    }

    /// The blob that a slice says it is in must be one of the table, with the same sizes and codec for all.
    fn blob_number(&mut self, at: &Location) -> Result<usize> {
        let matches = |number: &usize| self.table.get(*number).is_some_and(|blob| blob.offset == at.blob_offset);
        let number = Some(self.last_blob)
            .filter(matches)
            .or_else(|| self.table.binary_search_by_key(&at.blob_offset, |blob| blob.offset).ok());
        let same = number.filter(|number| {
            let blob = &self.table[*number];
            let known = self.codecs[*number];
            blob.stored == at.blob_size && blob.decoded == at.block_size && (known == NO_CODEC || known == at.codec)
        });
        let number =
            same.ok_or_else(|| Error::corrupt("blobs.match", "the entry's blob contradicts the blob table"))?;
        if at.codec != CODEC_STORED && at.codec != CODEC_ZSTD {
            return Err(open::unsupported_codec(at.codec));
        }
        self.codecs[number] = at.codec;
        self.last_blob = number;
        Ok(number)
    }

    fn count(&mut self, row: &Row<'_>) {
        let stats = &mut self.plan.stats;
        stats.entries += 1;
        match EntryKind::from_number(row.kind) {
            Some(EntryKind::File) => stats.files += 1,
            Some(EntryKind::Directory) => stats.directories += 1,
            Some(EntryKind::Symlink) => stats.symlinks += 1,
            Some(EntryKind::Hardlink) => stats.hardlinks += 1,
            _ => stats.specials += 1,
        }
    }

    fn finish(self) -> Plan {
        let mut plan = self.plan;
        plan.codecs = self.codecs;
        plan.slices.sort_unstable_by_key(|slice| (slice.blob, slice.start));
        plan.stats.blocks = self.table.len() as u64;
        plan
    }
}

enum Task {
    /// A blob, and the range of `Plan::slices` that lie in it.
    Blob { number: usize, from: usize, to: usize },
    /// A file of several slices by its number in the plan.
    BigFile(usize),
}

impl Plan {
    fn tasks(&self, table: &[Blob], decode: bool) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut in_big_files = vec![false; table.len()];
        if decode {
            // Whoever reads a big file reads all of its blobs.
            self.big_files
                .iter()
                .flat_map(|file| &file.slices)
                .for_each(|(_, slice)| in_big_files[slice.blob as usize] = true);
            tasks.extend((0..self.big_files.len()).map(Task::BigFile));
        }
        let mut from = 0;
        for (number, in_big_file) in in_big_files.iter().enumerate() {
            let to = from + self.slices[from..].partition_point(|slice| slice.blob as usize <= number);
            if !in_big_file || from < to {
                tasks.push(Task::Blob { number, from, to: if decode { to } else { from } });
            }
            from = to;
        }
        tasks
    }

    /// Files and bytes that the tasks deal with, for progress.
    fn work(&self, table: &[Blob], tasks: &[Task]) -> (u64, u64) {
        tasks.iter().fold((0, 0), |(entries, bytes), task| {
            let (more_entries, more_bytes) = self.work_of(table, task);
            (entries + more_entries, bytes + more_bytes)
        })
    }

    fn work_of(&self, table: &[Blob], task: &Task) -> (u64, u64) {
        match *task {
            Task::Blob { number, from, to } => ((to - from) as u64, table[number].decoded),
            Task::BigFile(number) => {
                (1, self.big_files[number].slices.iter().map(|(_, slice)| u64::from(slice.len)).sum())
            }
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
    plan: &'a Plan,
    /// Another worker has failed, or the caller has stopped the job.
    stop: CancelToken,
    counters: Arc<Counters>,
}

impl Job<'_> {
    fn run(&self, tools: &mut Tools, task: &Task) -> Result<()> {
        match *task {
            Task::Blob { number, from, to } => {
                let slices = &self.plan.slices[from..to];
                self.load(tools, number, !slices.is_empty()).map_err(|error| self.name(error, slices.first()))?;
                for slice in slices {
                    self.check(tools, slice)?;
                }
            }
            Task::BigFile(number) => self.big_file(tools, &self.plan.big_files[number])?,
        }
        let (entries, bytes) = self.plan.work_of(self.table, task);
        self.counters.add(entries, bytes);
        Ok(())
    }

    fn big_file(&self, tools: &mut Tools, file: &BigFile) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        let mut loaded = None;
        for (start, slice) in &file.slices {
            self.hash_zeros(&mut hasher, start - offset)?;
            self.stop.check()?;
            if loaded != Some(slice.blob) {
                self.load(tools, slice.blob as usize, true).map_err(|error| self.name(error, Some(slice)))?;
                loaded = Some(slice.blob);
            }
            self.check(tools, slice)?;
            hasher.update(&tools.block[slice.start as usize..(slice.start + slice.len) as usize]);
            offset = start + u64::from(slice.len);
        }
        self.hash_zeros(&mut hasher, file.size - offset)?;
        check_file_hash(hasher.finalize().as_bytes(), &file.hash).map_err(|error| self.name_entry(error, file.entry))
    }

    /// Holes are hashed as what they read as. That takes as long as reading them would, so stopping is looked at.
    fn hash_zeros(&self, hasher: &mut blake3::Hasher, mut count: u64) -> Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        while count > 0 {
            self.stop.check()?;
            let part = count.min(ZEROS.len() as u64) as usize;
            hasher.update(&ZEROS[..part]);
            count -= part as u64;
        }
        Ok(())
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
        if self.plan.codecs[number] == CODEC_STORED {
            tools.block.extend_from_slice(stored);
            return Ok(());
        }
        tools.block.resize(blob.decoded as usize, 0);
        tools.decompressor.decompress(stored, &mut tools.block)
    }

    fn check(&self, tools: &Tools, slice: &Slice) -> Result<()> {
        let range = slice.start as usize..slice.start as usize + slice.len as usize;
        let bytes =
            tools.block.get(range).ok_or_else(|| Error::corrupt("index.block", "the slice lies outside its block"));
        bytes.and_then(|bytes| check_slice(bytes, &slice.checksum)).map_err(|error| self.name(error, Some(slice)))
    }

    fn name(&self, error: Error, slice: Option<&Slice>) -> Error {
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
