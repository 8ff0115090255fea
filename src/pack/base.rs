//! Packing against a base archive: what the tree still has as it was is taken over, neither read nor compressed.
//!
//! A file counts as unchanged where path, size, modification time and mode are those of the base. A blob of the base
//! is copied where unchanged files use at least half of its block; those that use less of one are read and packed
//! like new ones, so that dead bytes don't pile up from base to base. Whatever is read is still looked for in the
//! blobs that were copied.
//!
//! What the base says of its blobs is checked before the new archive is finished: every slice that the new archive
//! rests on is decoded and hashed. By option its word is taken for files that are not read, never for bytes that were.

use std::sync::Arc;

use crate::archive::{Archive, ContentCheck, Depth, SliceCheck, StructureWalk, WalkedRow};
use crate::error::{Error, Result, Status, reserve, zeroed};
use crate::format::blobs::Blob;
use crate::format::hash::{Digest, hash};
use crate::format::row::{Attributes, CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use crate::options::{Key, Options};
use crate::pack::batch::Batch;
use crate::pack::pipeline::{Pipeline, Written};
use crate::pack::policy::Policy;
use crate::pack::scan::{NO_MTIME, Record, Tree};
use crate::pack::sequence::Slice;
use crate::progress::Reporter;

/// The coarsest clock of a file system (FAT): a change within one tick of the one before does not show.
const TICK_NS: i64 = 2_000_000_000;
/// Longer than packing takes, for file systems that don't say when a file was made.
const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// An archive that a writer takes from.
pub(super) struct Base {
    archive: Arc<dyn AsRef<Archive> + Send + Sync>,
    table: Vec<Blob>,
    /// By blob: its block in the new archive, once it is copied.
    blocks: Vec<Option<u32>>,
    /// Files of several slices that were not read: their hashes come from here.
    check: ContentCheck,
}

/// What is taken for a tree.
pub(super) struct Reuse {
    /// By blob: its codec, where it is copied.
    copied: Vec<Option<u8>>,
    /// By record: neither read nor compressed.
    pub(super) settled: Vec<bool>,
    /// What the base says of files that are not read is believed.
    trusting: bool,
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
        (*archive).as_ref().require_version_4("packing against a base")?;
        let table = (*archive).as_ref().blob_records()?;
        let (blocks, check) = (vec![None; table.len()], ContentCheck::new(table.len())?);
        Ok(Base { archive, table, blocks, check })
    }

    /// Compares the base with a tree whose paths begin with `prefix`. Where `read_all` says so, blobs are taken over and
    /// all files read in spite of it.
    pub(super) fn survey(
        &self,
        tree: &Tree,
        prefix: &[u8],
        read_all: bool,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<Reuse> {
        let (archive, table, policy) = ((*self.archive).as_ref(), &self.table, Policy::new(options));
        let mut codecs: Vec<Option<u8>> = vec![None; table.len()];
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
                let blob = blob_number(table, &at)?;
                if at.codec != CODEC_STORED && at.codec != CODEC_ZSTD {
                    unknown.push(record);
                    return Ok(());
                }
                codecs[blob] = Some(at.codec);
                used = Use { record, blob: blob as u32, start: at.block_offset as u32, len: row.size as u32 };
            }
            reserve_some(&mut uses)?;
            uses.push(used);
            Ok(())
        })?;
        let proven = began.time().saturating_sub(TICK_NS);
        uses.retain(|used| tree.records[used.record as usize].mtime_ns <= proven);
        let copied = worth_copying(table, codecs, &uses)?;
        let mut settled = Vec::new();
        if !read_all {
            reserve(&mut settled, tree.records.len())?;
            settled.resize(tree.records.len(), false);
            for used in &uses {
                settled[used.record as usize] = true;
            }
            for used in uses.iter().filter(|used| used.blob != NO_BLOB) {
                settled[used.record as usize] &= copied[used.blob as usize].is_some();
            }
            unknown.iter().for_each(|number| settled[*number as usize] = false);
        }
        Ok(Reuse { copied, settled, trusting: options.get(Key::BaseCheck) == 2 })
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
        pipeline.catch_up(reporter)?;
        let Base { archive, table, blocks, check } = self;
        let archive = (**archive).as_ref();
        let mut stored = Vec::new();
        for (number, codec) in reuse.copied.iter().enumerate() {
            let (Some(codec), None, blob) = (*codec, blocks[number], &table[number]) else { continue };
            reporter.tick(None)?;
            if stored.len() < blob.stored as usize {
                stored = zeroed(blob.stored as usize)?;
            }
            let bytes = &mut stored[..blob.stored as usize];
            archive.read_range(blob.offset, bytes)?;
            if hash(bytes) != blob.hash {
                let why = format!("the blob at offset {} is damaged", blob.offset);
                return Err(named(archive, "base archive", Error::refused(Status::Checksum, "blob.hash", why)));
            }
            let offset = pipeline.output.position();
            pipeline.output.append(bytes)?;
            blocks[number] = Some(pipeline.adopt(Written { blob: Blob { offset, ..*blob }, codec }));
        }
        let mut content = Content::default();
        walk(&batch.tree, batch.prefix(), archive, reporter, |walked, record| {
            let row = &walked.row;
            let entry = u32::try_from(walked.entry).unwrap_or(u32::MAX);
            if row.chunk_seq == 0 {
                content.settle(batch, pipeline)?;
                content.start(row, record.filter(|number| reuse.settled.get(*number as usize) == Some(&true)));
                if let Some((hash, record)) = content.hash.zip(content.record).filter(|_| !reuse.trusting) {
                    check.begin_file(walked.entry, batch.tree.records[record as usize].size, hash);
                }
            }
            let Some(at) = row.location else { return Ok(()) };
            let blob = blob_number(table, &at)?;
            let Some(block) = blocks[blob] else { return Ok(()) };
            let (start, len, checksum) = (at.block_offset as u32, row.size as u32, row.checksum);
            let slice = pipeline.sequencer.adopt(checksum, block, start, len, entry)?;
            if content.record.is_none() {
                return Ok(());
            }
            let Slice { block: its_block, start: its_start, len: its_len, .. } = *pipeline.sequencer.slice(slice);
            if its_len != len {
                let why = "two slices of different lengths have the same checksum";
                let error = Error::refused(Status::Checksum, "slice.hash", why).with_entry(walked.path);
                return Err(named(archive, "base archive", error));
            }
            content.slices.push((row.offset, slice));
            if reuse.trusting {
                return Ok(());
            }
            if content.hash.is_some() {
                check.blob_number(table, &at)?;
                check.file_slice(row.offset, SliceCheck { blob: blob as u32, start, len, entry, checksum });
            }
            // Of such a file the slices are checked with the whole, where they are its own.
            if content.hash.is_none() || (its_block, its_start) != (block, start) {
                pipeline.sequencer.rely_on(slice)?;
            }
            Ok(())
        })?;
        content.settle(batch, pipeline)
    }

    /// Checks everything that the new archive rests on: `slices`, and the files that were not read.
    pub(super) fn check(
        &mut self,
        slices: &[(Slice, u32)],
        written: &[Written],
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let blobs = self.blocks.iter().enumerate().filter_map(|(blob, block)| Some(((*block)?, blob as u32)));
        let mut blobs: Vec<(u32, u32)> = blobs.collect();
        blobs.sort_unstable();
        let blob = |block: u32| Some(blobs[blobs.binary_search_by_key(&block, |(block, _)| *block).ok()?].1);
        let archive = (*self.archive).as_ref();
        let checked = check_slices(&mut self.check, archive, &self.table, slices, blob, written, options, reporter);
        checked.map_err(|error| named(archive, "base archive", error))
    }
}

/// Decodes and hashes slices that were adopted from an archive, and what `check` has beside them.
#[allow(clippy::too_many_arguments)]
pub(super) fn check_slices(
    check: &mut ContentCheck,
    archive: &Archive,
    table: &[Blob],
    slices: &[(Slice, u32)],
    blob_of: impl Fn(u32) -> Option<u32>,
    written: &[Written],
    options: &Options,
    reporter: &mut Reporter,
) -> Result<()> {
    for (slice, entry) in slices {
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
        check.slice(SliceCheck { blob, start, len, entry: *entry, checksum })?;
    }
    check.close(table, Depth::Gathered);
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

/// By blob: its codec, where files that count as unchanged use at least half of its block.
fn worth_copying(table: &[Blob], codecs: Vec<Option<u8>>, uses: &[Use]) -> Result<Vec<Option<u8>>> {
    let mut live: Vec<(u32, u32, u32)> = Vec::new();
    reserve(&mut live, uses.len())?;
    live.extend(uses.iter().filter(|used| used.blob != NO_BLOB).map(|used| (used.blob, used.start, used.len)));
    live.sort_unstable();
    live.dedup();
    let mut bytes = vec![0u64; table.len()];
    for (blob, _, len) in live {
        bytes[blob as usize] += u64::from(len);
    }
    let is_worth_it = |blob: usize| bytes[blob] > 0 && bytes[blob] * 2 >= table[blob].decoded;
    Ok(codecs.into_iter().enumerate().map(|(blob, codec)| codec.filter(|_| is_worth_it(blob))).collect())
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

/// The record of the blob that a slice lies in.
pub(super) fn blob_number(table: &[Blob], at: &Location) -> Result<usize> {
    let found = table.binary_search_by_key(&at.blob_offset, |blob| blob.offset).ok();
    found
        .filter(|number| table[*number].stored == at.blob_size && table[*number].decoded == at.block_size)
        .ok_or_else(|| Error::corrupt("blobs.match", "the entry's blob contradicts the blob table"))
}

fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(i64::MAX)
}

fn reserve_some<T>(vec: &mut Vec<T>) -> Result<()> {
    if vec.len() == vec.capacity() { reserve(vec, (vec.len() / 4).max(1024)) } else { Ok(()) }
}
