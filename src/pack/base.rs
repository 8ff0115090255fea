//! Packing against a base archive: what the tree still has as it was is taken over, neither read nor compressed.
//!
//! A file counts as unchanged where path, size, modification time and mode are those of the base. A blob of the base
//! is copied where unchanged files use at least half of its block; those that use less of one are read and packed
//! like new ones, so that dead bytes don't pile up from base to base. Whatever is read is still looked for in the
//! blobs that were copied.
//!
//! Of a file that is not read the base is asked what is in it, so its word counts there; that its blobs are not damaged
//! is checked as they are copied. Of bytes that were read its word is never taken: the slices that stand for them are
//! decoded and hashed before the new archive is finished. By option everything that is taken is.

use std::sync::Arc;

use crate::archive::{Archive, StructureWalk, WalkedRow};
use crate::error::{Error, Result, Status, filled, push, reserve};
use crate::format::blobs::Blob;
use crate::format::hash::Digest;
use crate::format::row::{Attributes, EntryKind, Row};
use crate::options::{Key, Options};
use crate::pack::batch::Batch;
use crate::pack::donor::{Donor, is_decodable};
use crate::pack::pipeline::{Pipeline, Written};
use crate::pack::policy::Policy;
use crate::pack::scan::{NO_MTIME, Record, Tree};
use crate::pack::sequence::Relied;
use crate::progress::Reporter;

/// The coarsest clock of a file system (FAT): a change within one tick of the one before does not show.
const TICK_NS: i64 = 2_000_000_000;
/// Longer than packing takes, for file systems that don't say when a file was made.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// The archive that a writer takes unchanged files from.
pub(super) struct Base(Donor);

/// What is taken for a tree.
pub(super) struct Reuse {
    /// By blob: whether it is copied.
    copied: Vec<bool>,
    /// By record: neither read nor compressed.
    pub(super) settled: Vec<bool>,
    /// What the base says of files that are not read is to be proven.
    strict: bool,
}

/// A slice of a file that counts as unchanged; `NO_BLOB` for a file that has none.
struct Use {
    record: u32,
    blob: u32,
    start: u32,
    len: u32,
}

const NO_BLOB: u32 = u32::MAX;

impl Base {
    pub(super) fn new(archive: Arc<dyn AsRef<Archive> + Send + Sync>) -> Result<Base> {
        Donor::new(archive, "base archive", "packing against a base").map(Base)
    }

    /// Compares the base with a tree whose paths begin with `prefix`. Where `read_all` says so, blobs are taken over and
    /// all files read in spite of it.
    pub(super) fn survey(
        &mut self,
        tree: &Tree,
        prefix: &[u8],
        read_all: bool,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<Reuse> {
        let (archive, policy) = (self.0.share(), Policy::new(options));
        let archive = (*archive).as_ref();
        let mut uses: Vec<Use> = Vec::new();
        let mut unknown: Vec<u32> = Vec::new();
        let mut began = Began::new(archive);
        let mut unchanged = None;
        walk(tree, prefix, archive, reporter, |walked, record| {
            let row = &walked.row;
            if let Some(attributes) = &row.attributes {
                began.saw(attributes.mtime_ns);
                let same = |number: &u32| is_unchanged(&tree.records[*number as usize], row.kind, attributes, policy);
                unchanged = record.filter(same);
            }
            let Some(record) = unchanged else { return Ok(()) };
            let mut used = Use { record, blob: NO_BLOB, start: 0, len: 0 };
            if let Some(at) = row.location {
                let blob = self.0.blob(&at)?;
                if !is_decodable(at.codec) {
                    return push(&mut unknown, record);
                }
                used = Use { record, blob: blob as u32, start: at.block_offset as u32, len: row.size as u32 };
            }
            push(&mut uses, used)
        })?;
        let proven = began.time().saturating_sub(TICK_NS);
        uses.retain(|used| tree.records[used.record as usize].mtime_ns <= proven);
        let copied = worth_copying(&self.0.table, &uses)?;
        let mut settled = Vec::new();
        if !read_all {
            settled = filled(false, tree.records.len())?;
            for used in &uses {
                settled[used.record as usize] = true;
            }
            for used in uses.iter().filter(|used| used.blob != NO_BLOB) {
                settled[used.record as usize] &= copied[used.blob as usize];
            }
            unknown.iter().for_each(|number| settled[*number as usize] = false);
        }
        Ok(Reuse { copied, settled, strict: options.get(Key::BaseCheck) == 2 })
    }

    /// Copies the blobs, checking the stored bytes of each, and tells the pipeline what is said to be in them. The batch
    /// has its number by now.
    pub(super) fn take_over(
        &mut self,
        reuse: &Reuse,
        batch: &Batch,
        pipeline: &mut Pipeline,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let donor = &mut self.0;
        donor.copy(|blob| reuse.copied[blob], pipeline, reporter, |_, _, _| {})?;
        donor.adopting(pipeline)?;
        let mut content = Content::default();
        let archive = donor.share();
        walk(&batch.tree, batch.prefix(), (*archive).as_ref(), reporter, |walked, record| {
            let row = &walked.row;
            let entry = u32::try_from(walked.entry).unwrap_or(u32::MAX);
            if row.chunk_seq == 0 {
                content.settle(batch, pipeline)?;
                content.start(row, record.filter(|number| reuse.settled.get(*number as usize) == Some(&true)));
                if let Some((hash, record)) = content.hash.zip(content.record).filter(|_| reuse.strict) {
                    donor.check_file(walked.entry, batch.tree.records[record as usize].size, hash)?;
                }
            }
            let Some(at) = row.location.filter(|at| is_decodable(at.codec)) else { return Ok(()) };
            let blob = donor.blob(&at)?;
            let Some(block) = donor.block(blob) else { return Ok(()) };
            let (start, len) = (at.block_offset as u32, row.size as u32);
            let slice = pipeline.sequencer.slices.adopt(row.checksum, block, start, len, entry)?;
            if content.record.is_none() {
                return Ok(());
            }
            let known = *pipeline.sequencer.slices.get(slice);
            if known.len != len {
                let why = "two slices of different lengths have the same checksum";
                let error = Error::refused(Status::Checksum, "slice.hash", why).with_entry(walked.path);
                return Err(donor.named(error));
            }
            push(&mut content.slices, (row.offset, slice))?;
            if reuse.strict && content.hash.is_some() {
                donor.check_slice(entry, row, &at)?;
            }
            // Of a file of several slices they are checked with the whole, where they are its own.
            let is_own = (known.block, known.start) == (block, start);
            if !is_own || (reuse.strict && content.hash.is_none()) {
                pipeline.sequencer.slices.rely_on(slice)?;
            }
            Ok(())
        })?;
        donor.adopted(pipeline);
        content.settle(batch, pipeline)
    }

    /// Checks what the new archive rests on, and the files that are to be checked whole.
    pub(super) fn check(
        &mut self,
        relied: &[Relied],
        written: &[Written],
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<()> {
        self.0.check(relied, written, options, reporter)
    }
}

/// By blob: whether files that count as unchanged use at least half of its block.
fn worth_copying(table: &[Blob], uses: &[Use]) -> Result<Vec<bool>> {
    let mut live: Vec<(u32, u32, u32)> = Vec::new();
    reserve(&mut live, uses.len())?;
    live.extend(uses.iter().filter(|used| used.blob != NO_BLOB).map(|used| (used.blob, used.start, used.len)));
    live.sort_unstable();
    live.dedup();
    let mut bytes = filled(0u64, table.len())?;
    for (blob, _, len) in live {
        bytes[blob as usize] += u64::from(len);
    }
    let mut worth = filled(false, table.len())?;
    for (blob, worth) in worth.iter_mut().enumerate() {
        *worth = bytes[blob] > 0 && bytes[blob] * 2 >= table[blob].decoded;
    }
    Ok(worth)
}

/// What a settled file consists of, gathered row by row.
#[derive(Default)]
struct Content {
    record: Option<u32>,
    slices: Vec<(u64, u32)>,
    hash: Option<Digest>,
}

impl Content {
    fn start(&mut self, row: &Row<'_>, record: Option<u32>) {
        self.record = record;
        self.slices.clear();
        self.hash = row.attributes.and_then(|attributes| attributes.file_hash);
    }

    fn settle(&mut self, batch: &Batch, pipeline: &mut Pipeline) -> Result<()> {
        let Some(number) = self.record.take() else { return Ok(()) };
        pipeline.sequencer.settle(batch.first + number, &self.slices, self.hash)
    }
}

/// Calls `visit` with each row of the archive and the record that has the path of its entry.
fn walk(
    tree: &Tree,
    prefix: &[u8],
    archive: &Archive,
    reporter: &mut Reporter,
    mut visit: impl FnMut(&WalkedRow<'_>, Option<u32>) -> Result<()>,
) -> Result<()> {
    let mut structure = StructureWalk::new();
    let (mut next, mut path) = (0usize, Vec::new());
    for number in 0..archive.manifest().segments.len() {
        reporter.tick(None)?;
        structure.segment(&archive.load_segment(number)?, |walked: &WalkedRow<'_>| {
            while let Some(record) = tree.records.get(next) {
                path.clear();
                path.extend_from_slice(prefix);
                tree.names.append_path(record.name, &mut path);
                if path.as_slice() >= walked.path {
                    break;
                }
                next += 1;
            }
            let same = next < tree.records.len() && path == walked.path;
            visit(walked, same.then_some(next as u32))
        })?;
    }
    Ok(())
}

/// Whether the base's entry of this path is, by its attributes, the file that stands there.
fn is_unchanged(record: &Record, kind: u8, attributes: &Attributes<'_>, policy: Policy) -> bool {
    let has_bytes = EntryKind::from_number(kind).is_some_and(EntryKind::has_bytes);
    has_bytes
        && record.kind == EntryKind::File
        && !record.skipped
        && record.mtime_ns != NO_MTIME
        && policy.tells_by_mtime(record.mtime_ns)
        && attributes.mtime_ns == Some(record.mtime_ns)
        && attributes.file_size == Some(record.size)
        && attributes.mode == Some(policy.mode(record.kind, u32::from(record.mode)))
}

/// A time before which packing the base did not begin to read files.
///
/// A file that was changed again after it was read, within one tick of its file system's clock, has the size and time
/// that the base has, and other bytes. So a file proves by its time that it is unchanged only where that is a tick
/// before the reading began. An archive says nothing of when it was made, for then it would not be the same bytes twice.
/// But its file was made before anything was read. Where there is no file, or it doesn't tell, the times of the entries
/// do: the scan of a tree saw them all before it was read.
struct Began {
    born: Option<i64>,
    /// Packing had ended by then.
    end: i64,
    /// Of the times that entries have, the latest that can be true.
    newest: i64,
}

impl Began {
    fn new(archive: &Archive) -> Began {
        let (times, now) = (archive.file_times(), now_ns());
        // A copy that kept the time at which packing ended was made after that.
        let born = times.and_then(|times| times.born.filter(|born| *born <= times.modified));
        Began { born, end: times.map_or(now, |times| times.modified.min(now)), newest: i64::MIN }
    }

    fn saw(&mut self, mtime_ns: Option<i64>) {
        self.newest = self.newest.max(mtime_ns.filter(|mtime| *mtime <= self.end).unwrap_or(i64::MIN));
    }

    fn time(&self) -> i64 {
        self.born.map_or(self.newest.max(self.end.saturating_sub(DAY_NS)), |born| born.min(self.end))
    }
}

fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(i64::MAX)
}
