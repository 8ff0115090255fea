//! Packing against a base archive: what the tree still has as it was is taken over, neither read nor compressed.
//!
//! A file counts as unchanged where path, size, modification time and mode are those of the base. A blob of the base
//! is copied where unchanged files use at least half of its block; those that use less of one are read and packed
//! like new ones, so that dead bytes don't pile up from base to base. Whatever is read is still looked for in the
//! blobs that were copied.

use crate::archive::{Archive, StructureWalk, WalkedRow};
use crate::error::{Error, Result, Status, reserve, zeroed};
use crate::format::blobs::Blob;
use crate::format::hash::{Digest, hash};
use crate::format::row::{Attributes, CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use crate::pack::batch::Batch;
use crate::pack::pipeline::{Pipeline, Written};
use crate::pack::scan::{NO_MTIME, Record, Tree};
use crate::progress::Reporter;

/// Files that were modified so shortly before packing are read: a change within one tick of a file system's clock
/// would not show.
const RECENT_NS: i64 = 2_000_000_000;

/// What is taken from the base.
pub(super) struct Reuse<'a> {
    archive: &'a Archive,
    table: Vec<Blob>,
    /// By blob: its codec, where it is copied.
    copied: Vec<Option<u8>>,
    /// By record: neither read nor compressed.
    pub(super) settled: Vec<bool>,
}

impl<'a> Reuse<'a> {
    /// Compares tree and base. Where `read_all` says so, blobs are taken over and all files read in spite of it.
    pub(super) fn survey(
        tree: &Tree,
        archive: &'a Archive,
        read_all: bool,
        reporter: &mut Reporter,
    ) -> Result<Reuse<'a>> {
        let table = archive.blob_records()?;
        let mut codecs: Vec<Option<u8>> = vec![None; table.len()];
        // Slices of unchanged files by blob, and blobs of unchanged files.
        let mut live: Vec<(u32, u32, u32)> = Vec::new();
        let mut uses: Vec<(u32, Option<u32>)> = Vec::new();
        let mut unknown: Vec<u32> = Vec::new();
        let recent = now_ns().saturating_sub(RECENT_NS);
        let mut unchanged = None;
        walk(tree, archive, reporter, |row, record| {
            if let Some(attributes) = &row.attributes {
                let same = |number: &u32| is_unchanged(&tree.records[*number as usize], row.kind, attributes, recent);
                unchanged = record.filter(same);
            }
            let Some(number) = unchanged else { return Ok(()) };
            let Some(at) = row.location else {
                reserve_some(&mut uses)?;
                uses.push((number, None));
                return Ok(());
            };
            let blob = blob_number(&table, &at)?;
            if at.codec != CODEC_STORED && at.codec != CODEC_ZSTD {
                unknown.push(number);
                return Ok(());
            }
            codecs[blob] = Some(at.codec);
            reserve_some(&mut uses)?;
            reserve_some(&mut live)?;
            uses.push((number, Some(blob as u32)));
            live.push((blob as u32, at.block_offset as u32, row.size as u32));
            Ok(())
        })?;
        live.sort_unstable();
        live.dedup();
        let mut bytes = vec![0u64; table.len()];
        for (blob, _, len) in live {
            bytes[blob as usize] += u64::from(len);
        }
        let is_worth_it = |blob: usize| bytes[blob] > 0 && bytes[blob] * 2 >= table[blob].decoded;
        let copied: Vec<Option<u8>> =
            codecs.iter().enumerate().map(|(blob, codec)| codec.filter(|_| is_worth_it(blob))).collect();
        let mut settled = Vec::new();
        if !read_all {
            reserve(&mut settled, tree.records.len())?;
            settled.resize(tree.records.len(), false);
            for (number, _) in &uses {
                settled[*number as usize] = true;
            }
            for (number, blob) in uses {
                settled[number as usize] &= blob.is_none_or(|blob| copied[blob as usize].is_some());
            }
            unknown.iter().for_each(|number| settled[*number as usize] = false);
        }
        Ok(Reuse { archive, table, copied, settled })
    }

    /// Copies the blobs, checking each, and tells the pipeline what is in them. The batch has its number by now.
    pub(super) fn take_over(&self, batch: &Batch, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<()> {
        let mut numbers: Vec<Option<u32>> = vec![None; self.table.len()];
        let mut stored = Vec::new();
        for (number, codec) in self.copied.iter().enumerate() {
            let (Some(codec), blob) = (*codec, &self.table[number]) else { continue };
            reporter.tick(None)?;
            if stored.len() < blob.stored as usize {
                stored = zeroed(blob.stored as usize)?;
            }
            let bytes = &mut stored[..blob.stored as usize];
            self.archive.read_range(blob.offset, bytes)?;
            if hash(bytes) != blob.hash {
                let why = format!("the blob at offset {} of the base archive is damaged", blob.offset);
                return Err(Error::refused(Status::Checksum, "blob.hash", why));
            }
            let offset = pipeline.output.position();
            pipeline.output.append(bytes)?;
            numbers[number] = Some(pipeline.adopt(Written { blob: Blob { offset, ..*blob }, codec }, true));
        }
        let mut content = Content::default();
        walk(&batch.tree, self.archive, reporter, |row, record| {
            if row.chunk_seq == 0 {
                content.settle(batch, pipeline)?;
                content.start(row, record.filter(|number| self.settled.get(*number as usize) == Some(&true)));
            }
            let Some(at) = row.location else { return Ok(()) };
            if let Some(block) = numbers[blob_number(&self.table, &at)?] {
                let slice = pipeline.sequencer.adopt(row.checksum, block, at.block_offset as u32, row.size as u32)?;
                content.slices.push((row.offset, slice));
            }
            Ok(())
        })?;
        content.settle(batch, pipeline)
    }
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
    archive: &Archive,
    reporter: &mut Reporter,
    mut visit: impl FnMut(&Row<'_>, Option<u32>) -> Result<()>,
) -> Result<()> {
    let mut structure = StructureWalk::new();
    let (mut next, mut path) = (0usize, Vec::new());
    for number in 0..archive.manifest().segments.len() {
        reporter.tick(None)?;
        structure.segment(&archive.load_segment(number)?, |walked: &WalkedRow<'_>| {
            while let Some(record) = tree.records.get(next) {
                if tree.names.path(record.name, &mut path) >= walked.path {
                    break;
                }
                next += 1;
            }
            let same = next < tree.records.len() && path == walked.path;
            visit(&walked.row, same.then_some(next as u32))
        })?;
    }
    Ok(())
}

/// Whether the base's entry of this path is, by its attributes, the file that stands there.
fn is_unchanged(record: &Record, kind: u8, attributes: &Attributes<'_>, recent: i64) -> bool {
    let has_bytes = EntryKind::from_number(kind).is_some_and(EntryKind::has_bytes);
    has_bytes
        && record.kind == EntryKind::File
        && !record.skipped
        && record.mtime_ns != NO_MTIME
        && record.mtime_ns < recent
        && attributes.mtime_ns == Some(record.mtime_ns)
        && attributes.file_size == Some(record.size)
        && attributes.mode == Some(u32::from(record.mode))
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
