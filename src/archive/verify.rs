//! Verification. `verify` checks every byte of the archive: head, padding, hashes of all parts and blobs, the
//! structure across segments, every slice and every whole-file hash. `verify_quick` checks all stored bytes
//! against their hashes and decodes no blob.

use std::time::Instant;

use crate::archive::read::{check_file_hash, check_slice};
use crate::archive::structure::StructureWalk;
use crate::archive::{Archive, open};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::blobs::{self, Blob};
use crate::format::codec::Decompressor;
use crate::format::container::{HEAD_LEN, check_head};
use crate::format::hash::{Digest, hash};
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use crate::options::Options;
use crate::progress::{Phase, Reporter};
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
        let mut survey = Survey::new(&table);
        let mut walk = StructureWalk::new();
        for number in 0..self.manifest().segments.len() {
            let segment = self.load_segment(number)?;
            walk.segment(&segment, |walked| {
                survey.row(&walked.row, walked.entry).map_err(|error| error.with_entry(walked.path))
            })?;
            reporter.counters().add(segment.entries() as u64, 0);
            reporter.tick(None)?;
        }
        let plan = survey.finish();
        let mut stats = plan.stats;
        reporter.begin(Phase::Verify, stats.entries, table.iter().map(|blob| blob.decoded).sum())?;
        let largest = table.iter().map(|blob| blob.stored + blob.decoded).max().unwrap_or(0) as usize;
        let threads = options.threads_within(options.threads(), 0, largest.max(1 << 20))?;
        let job = Job { archive: self, table: &table, plan: &plan, decode, reporter_counters: reporter.counters() };
        let tasks = plan.tasks(&table, decode);
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
            self.read_part(part)?;
        }
        Ok(())
    }

    fn blob_records(&self) -> Result<Vec<Blob>> {
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

struct Plan {
    slices: Vec<Slice>,
    big_files: Vec<BigFile>,
    codecs: Vec<u8>,
    stats: Stats,
}

const NO_CODEC: u8 = u8::MAX;

impl<'a> Survey<'a> {
    fn new(table: &'a [Blob]) -> Survey<'a> {
        let plan = Plan { slices: Vec::new(), big_files: Vec::new(), codecs: Vec::new(), stats: Stats::default() };
        Survey { table, plan, in_big_file: false, last_blob: 0, codecs: vec![NO_CODEC; table.len()] }
    }

    fn row(&mut self, row: &Row<'_>, entry: u64) -> Result<()> {
        if let Some(attributes) = &row.attributes {
            self.count(row);
            let size = attributes.file_size.unwrap_or(0);
            self.plan.stats.bytes_in += size;
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
        let mut tasks: Vec<Task> =
            if decode { (0..self.big_files.len()).map(Task::BigFile).collect() } else { Vec::new() };
        let mut from = 0;
        for number in 0..table.len() {
            let to = from + self.slices[from..].partition_point(|slice| slice.blob as usize <= number);
            tasks.push(Task::Blob { number, from, to: if decode { to } else { from } });
            from = to;
        }
        tasks
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
    decode: bool,
    reporter_counters: std::sync::Arc<crate::progress::Counters>,
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
                let decoded = if self.decode { self.table[number].decoded } else { self.table[number].stored };
                self.reporter_counters.add(slices.len() as u64, decoded);
                Ok(())
            }
            Task::BigFile(number) => self.big_file(tools, &self.plan.big_files[number]),
        }
    }

    fn big_file(&self, tools: &mut Tools, file: &BigFile) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        let mut loaded = None;
        for (start, slice) in &file.slices {
            hash_zeros(&mut hasher, start - offset);
            if loaded != Some(slice.blob) {
                self.load(tools, slice.blob as usize, true).map_err(|error| self.name(error, Some(slice)))?;
                loaded = Some(slice.blob);
            }
            self.check(tools, slice)?;
            hasher.update(&tools.block[slice.start as usize..(slice.start + slice.len) as usize]);
            offset = start + u64::from(slice.len);
        }
        hash_zeros(&mut hasher, file.size - offset);
        self.reporter_counters.add(1, 0);
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

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while count > 0 {
        let part = count.min(ZEROS.len() as u64) as usize;
        hasher.update(&ZEROS[..part]);
        count -= part as u64;
    }
}
