//! Verification. `verify` checks every byte of the archive: head, padding, hashes of all parts and blobs, the
//! structure across segments, every slice and every whole-file hash. `verify_quick` checks all stored bytes
//! against their hashes and decodes no blob.

use std::time::Instant;

use crate::archive::Archive;
use crate::archive::check::{ContentCheck, Depth, SliceCheck};
use crate::archive::read::check_slice;
use crate::archive::structure::{StructureWalk, WalkedRow};
use crate::archive::xattrs::check_row;
use crate::error::{Error, Result, Status, push, zeroed};
use crate::format::blobs::{self, Blob};
use crate::format::container::{Trailer, check_head};
use crate::format::in_memory;
use crate::format::manifest::Part;
use crate::format::row::{EntryKind, Row};
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
        let Some(trailer) = self.trailer() else { return self.verify_version_3(options) };
        let started = Instant::now();
        let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
        reporter.begin(Phase::List, self.entry_count(), u64::MAX)?;
        self.check_frame(trailer)?;
        let table = self.blob_records()?;
        let xattrs = self.xattr_sets()?;
        let mut survey = Survey::new(&table)?;
        self.walk_structure(options, &mut reporter, |walked| {
            check_row(&walked.row, xattrs).and_then(|()| survey.row(&walked.row, walked.entry))
        })?;
        let Survey { mut check, links, mut stats, .. } = survey;
        stats.blocks = table.len() as u64;
        self.check_links(&links)?;
        let depth = if decode { Depth::All } else { Depth::Stored };
        let (entries, bytes) = check.close(&table, depth)?;
        reporter.begin(Phase::Verify, entries, bytes)?;
        let largest = table.iter().map(|blob| blob.stored.saturating_add(blob.decoded)).max().unwrap_or(0);
        let threads = options.threads_within(options.threads(), 0, in_memory(largest).max(1 << 20))?;
        check.run(self, &table, depth, threads, &mut reporter)?;
        reporter.end()?;
        stats.bytes_out = self.size();
        stats.bytes_index = self.info().index_size;
        stats.seconds = started.elapsed().as_secs_f64();
        Ok(stats)
    }

    /// Calls `visit` for each row of the index. A second thread loads its segments.
    fn walk_structure(
        &self,
        options: &Options,
        reporter: &mut Reporter,
        mut visit: impl FnMut(&WalkedRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let numbers: Vec<_> = (0..self.manifest().segments.len()).collect();
        let load = |number| self.load_segment(number);
        sync::ahead(options.threads(), "znippy-index", numbers.clone(), &load, &mut |segments| {
            let mut walk = StructureWalk::new();
            for number in &numbers {
                let segment = segments.get(*number)?;
                walk.segment(&segment, |walked| visit(walked).map_err(|error| error.with_entry(walked.path)))?;
                reporter.counters().add(segment.entries() as u64, 0);
                reporter.tick(None)?;
            }
            Ok(())
        })
    }

    /// Head and padding; everything else is under a hash.
    fn check_frame(&self, trailer: &Trailer) -> Result<()> {
        let mut head = [0; 16];
        self.read_range(0, &mut head)?;
        check_head(&head)?;
        let manifest = self.manifest();
        let mut end = manifest.payload_end();
        let parts = manifest.sections.iter().chain(&manifest.segments).map(|part| (part.offset, part.end()));
        for (start, next) in parts.chain([(trailer.manifest_offset, self.size())]) {
            let gap = start.saturating_sub(end);
            let mut padding = zeroed(in_memory(gap.min(4096)))?;
            self.read_range(end, &mut padding)?;
            if gap >= 64 || padding.iter().any(|byte| *byte != 0) {
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
        let mut piece = zeroed(in_memory(part.len.min(1 << 20)))?;
        let mut offset = part.offset;
        while offset < part.end() {
            let len = in_memory(part.end().saturating_sub(offset)).min(piece.len());
            let piece = piece.get_mut(..len).unwrap_or_default();
            self.read_range(offset, piece)?;
            hasher.update(piece);
            offset = offset.saturating_add(len as u64);
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

/// Limits of the format keep all of these below.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A hard link, to be compared with its first name.
struct Link {
    entry: u64,
    target: Vec<u8>,
}

/// What the index says, gathered in one walk.
struct Survey<'a> {
    table: &'a [Blob],
    check: ContentCheck,
    links: Vec<Link>,
    stats: Stats,
    in_big_file: bool,
}

impl<'a> Survey<'a> {
    fn new(table: &'a [Blob]) -> Result<Survey<'a>> {
        let check = ContentCheck::new(table.len())?;
        Ok(Survey { table, check, links: Vec::new(), stats: Stats::default(), in_big_file: false })
    }

    fn row(&mut self, row: &Row<'_>, entry: u64) -> Result<()> {
        if let Some(attributes) = &row.attributes {
            self.count(row);
            let size = attributes.file_size.unwrap_or(0);
            self.stats.bytes_in = self.stats.bytes_in.saturating_add(size);
            if row.kind == EntryKind::Hardlink as u8 {
                let target = attributes.link_target.unwrap_or_default().to_vec();
                push(&mut self.links, Link { entry, target })?;
            }
            self.in_big_file = attributes.file_hash.is_some();
            if let Some(hash) = attributes.file_hash {
                self.check.begin_file(entry, size, hash)?;
            } else if row.location.is_none() && EntryKind::from_number(row.kind).is_some_and(EntryKind::has_bytes) {
                check_slice(&[], &row.checksum)?;
            }
        }
        let Some(at) = row.location else { return Ok(()) };
        let blob = self.check.blob_number(self.table, &at)?;
        self.stats.slices = self.stats.slices.saturating_add(1);
        // Limits of the format: blocks of at most 64 MiB, and entries and blobs are counted in memory here.
        let slice = SliceCheck {
            blob: narrow(blob as u64),
            start: narrow(at.block_offset),
            len: narrow(row.size),
            entry: narrow(entry),
            checksum: row.checksum,
        };
        if self.in_big_file {
            return self.check.file_slice(row.offset, slice);
        }
        self.check.slice(slice)
    }

    fn count(&mut self, row: &Row<'_>) {
        let stats = &mut self.stats;
        stats.entries = stats.entries.saturating_add(1);
        let of_kind = match EntryKind::from_number(row.kind) {
            Some(EntryKind::File) => &mut stats.files,
            Some(EntryKind::Directory) => &mut stats.directories,
            Some(EntryKind::Symlink) => &mut stats.symlinks,
            Some(EntryKind::Hardlink) => &mut stats.hardlinks,
            _ => &mut stats.specials,
        };
        *of_kind = of_kind.saturating_add(1);
    }
}
