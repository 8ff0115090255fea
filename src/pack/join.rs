//! Adding an archive: its entries become entries of the new one, and its blobs are copied as they are.
//!
//! ```text
//! read       entries -> records, labels, columns
//! needed     which blobs have something in them that isn't there yet
//! take_over  those are copied; each file gets its slices
//! ```
//!
//! A blob that is there byte for byte is not copied again, nor is one all of whose slices are elsewhere in the new archive.
//! What is copied stays together: files keep to the blocks of their own archive, so that reading them stays as cheap.

use std::collections::HashMap;
use std::sync::Arc;

use crate::archive::{Archive, StructureWalk};
use crate::error::{Error, Result, Status, filled, push};
use crate::format::container::{HEAD_LEN, check_head};
use crate::format::hash::Digest;
use crate::format::row::{Attributes, EntryKind, Location, Row};
use crate::pack::append::columns_of;
use crate::pack::batch::Batch;
use crate::pack::carried::Values;
use crate::pack::donor::{Donor, is_decodable};
use crate::pack::entry::NewEntry;
use crate::pack::pipeline::Pipeline;
use crate::pack::scan::{RootRecord, Tree};
use crate::pack::sequence::{FileContent, Sequencer, Slice};
use crate::progress::Reporter;

/// The entries of an archive, before they are taken.
pub(super) struct Incoming {
    pub(super) tree: Tree,
    /// Further names of files -> the first one.
    pub(super) hardlinks: HashMap<u32, u32>,
    pub(super) values: Values,
    /// What is recorded of the archive's root.
    pub(super) root: Option<RootRecord>,
    /// Files and their bytes.
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Incoming {
    /// Reads the whole index.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` for what could not be kept, and those of a damaged or malformed index.
    pub(super) fn read(donor: &mut Donor, reporter: &mut Reporter) -> Result<Incoming> {
        let archive = donor.share();
        let archive = (*archive).as_ref();
        let mut head = [0; HEAD_LEN as usize];
        archive.read_range(0, &mut head).and_then(|()| check_head(&head))?;
        let values = Values::new(columns_of(archive, "add the archive")?);
        let mut sets = Sets::new(archive)?;
        let root_set = archive.root_xattr_id()?.map(|id| sets.get(id)).transpose()?;
        let root = RootRecord::of_archive(archive, root_set);
        let (tree, hardlinks) = (Tree::of_entries(), HashMap::new());
        let mut incoming = Incoming { tree, hardlinks, values, root, files: 0, bytes: 0 };
        let mut structure = StructureWalk::new();
        for number in 0..archive.manifest().segments.len() {
            reporter.tick(None)?;
            let segment = archive.load_segment(number)?;
            let (mut firsts, mut at) = (Vec::new(), 0usize);
            structure.segment(&segment, |walked| {
                let named = |error: Error| error.with_entry(walked.path);
                if let Some(location) = &walked.row.location {
                    donor.blob(location).map_err(named)?;
                }
                if let Some(attributes) = &walked.row.attributes {
                    push(&mut firsts, at)?;
                    incoming.entry(&walked.row, attributes, &mut sets).map_err(named)?;
                }
                at += 1;
                Ok(())
            })?;
            incoming.values.segment(&segment, &firsts)?;
            reporter.counters().add(segment.entries() as u64, 0);
        }
        Ok(incoming)
    }

    fn entry(&mut self, row: &Row<'_>, attributes: &Attributes<'_>, sets: &mut Sets<'_>) -> Result<()> {
        let kind = EntryKind::from_number(row.kind).ok_or_else(|| {
            let why = format!("can't add the archive: an entry's kind ({}) is not known to this version", row.kind);
            Error::refused(Status::Unsupported, "index.kind.unknown", why)
        })?;
        let target = attributes.link_target.unwrap_or_default();
        let size = attributes.file_size.unwrap_or(0);
        if kind == EntryKind::Hardlink {
            self.link(target)?;
        } else if kind == EntryKind::File {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(size);
        }
        let Attributes { mode, mtime_ns, uid, gid, rdev, .. } = *attributes;
        self.tree.push(&NewEntry { path: row.path, kind, mode, mtime_ns, uid, gid, rdev, target }, size)?;
        if let Some(id) = attributes.xattr_id {
            self.tree.set_xattrs(sets.get(id)?);
        }
        self.values.entry(attributes)
    }

    /// The next entry is a further name of the file `target`, which comes before it.
    fn link(&mut self, target: &[u8]) -> Result<()> {
        let Tree { names, records, .. } = &self.tree;
        let file = records.binary_search_by(|record| names.compare_with(record.name, target)).ok();
        let file = file.filter(|file| records[*file].kind == EntryKind::File).ok_or_else(other_link)?;
        let no_memory = |_| Error::new(Status::NoMemory, "can't allocate room for hard links");
        self.hardlinks.try_reserve(1).map_err(no_memory)?;
        self.hardlinks.insert(records.len() as u32, file as u32);
        Ok(())
    }
}

/// Sets of extended attributes of an archive, each copied once.
struct Sets<'a> {
    archive: &'a Archive,
    known: Vec<Option<Arc<[u8]>>>,
}

impl<'a> Sets<'a> {
    fn new(archive: &'a Archive) -> Result<Sets<'a>> {
        Ok(Sets { archive, known: filled(None, archive.xattr_sets()?.len())? })
    }

    fn get(&mut self, id: u32) -> Result<Arc<[u8]>> {
        let encoded = self.archive.xattr_sets()?.encoded(id)?;
        Ok(Arc::clone(self.known[id as usize].get_or_insert_with(|| encoded.into())))
    }
}

/// Copies what is needed and gives each file of the batch, which has its number by now, its slices. Where `strict` says
/// so, everything is to be decoded and hashed. `bytes` are those of all files, for progress.
pub(super) fn take_over(
    donor: &mut Donor,
    batch: &Batch,
    bytes: u64,
    strict: bool,
    pipeline: &mut Pipeline,
    reporter: &mut Reporter,
) -> Result<()> {
    let needed = needed(donor, pipeline, reporter)?;
    let mut left = bytes;
    donor.copy(
        |blob| needed[blob],
        pipeline,
        reporter,
        |pipeline, reporter, decoded| {
            let some = decoded.min(left);
            left -= some;
            pipeline.count(0, some, reporter);
        },
    )?;
    pipeline.count(0, left, reporter);
    donor.adopting(pipeline)?;
    let mut file = File::default();
    let mut entries = 0;
    each_row(donor, reporter, |donor, row| {
        if let Some(attributes) = &row.attributes {
            file.end(batch, pipeline)?;
            file = File { record: entries, link: batch.plan.hardlinks.get(&entries).copied(), ..File::default() };
            file.is_file = row.kind == EntryKind::File as u8;
            file.hash = attributes.file_hash;
            entries += 1;
            if let Some(hash) = file.hash.filter(|_| strict && file.is_file) {
                donor.check_file(u64::from(file.record), attributes.file_size.unwrap_or(0), hash)?;
            }
        }
        let Some(at) = &row.location else { return Ok(()) };
        let slice = Slice { checksum: row.checksum, block: 0, start: at.block_offset as u32, len: row.size as u32 };
        if file.link.is_some() {
            return push(&mut file.seen, (row.offset, slice));
        }
        let known = pipeline.sequencer.slices.count();
        let number = place(&needed, &file, slice, at, donor, pipeline)?;
        if number < known {
            pipeline.sequencer.stats.duplicate_bytes += row.size;
        } else {
            file.fresh = true;
        }
        push(&mut file.slices, (row.offset, number))?;
        if strict && file.hash.is_some() {
            donor.check_slice(file.record, row, at)?;
        } else if strict {
            pipeline.sequencer.slices.rely_on(number)?;
        }
        Ok(())
    })?;
    file.end(batch, pipeline)?;
    donor.adopted(pipeline);
    Ok(())
}

/// By blob: whether it has something that isn't there yet. One that is there byte for byte counts too: it is found when it
/// is to be copied, and its slices need no proof.
fn needed(donor: &mut Donor, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<Vec<bool>> {
    let mut needed = filled(false, donor.table.len())?;
    each_row(donor, reporter, |donor, row| {
        let Some(at) = row.location.filter(|_| row.kind != EntryKind::Hardlink as u8) else { return Ok(()) };
        let blob = donor.blob(&at)?;
        if needed[blob] {
            return Ok(());
        }
        let sequencer = &pipeline.sequencer;
        let elsewhere = |number| u64::from(sequencer.slices.get(number).len) == row.size;
        needed[blob] = !is_decodable(at.codec)
            || !sequencer.slices.find(&row.checksum).is_some_and(elsewhere)
            || pipeline.block_of(&donor.table[blob], at.codec)?.is_some();
        Ok(())
    })?;
    Ok(needed)
}

/// The number of a slice: where it stands in its blob, or that of an equal one where the blob was not copied.
fn place(
    needed: &[bool],
    file: &File,
    slice: Slice,
    at: &Location,
    donor: &mut Donor,
    pipeline: &mut Pipeline,
) -> Result<u32> {
    let blob = donor.blob(at)?;
    let sequencer = &mut pipeline.sequencer;
    if !needed[blob] {
        let number = sequencer.slices.find(&slice.checksum).ok_or_else(changed)?;
        sequencer.slices.rely_on(number)?;
        return Ok(number);
    }
    let slice = Slice { block: donor.block(blob).ok_or_else(changed)?, ..slice };
    if is_decodable(at.codec) {
        sequencer.slices.adopt_in_place(slice, file.record)
    } else {
        sequencer.slices.adopt_unseen(slice)
    }
}

/// Calls `visit` with each row of an archive that was walked before.
fn each_row(
    donor: &mut Donor,
    reporter: &mut Reporter,
    mut visit: impl FnMut(&mut Donor, &Row<'_>) -> Result<()>,
) -> Result<()> {
    let archive = donor.share();
    let archive = (*archive).as_ref();
    for number in 0..archive.manifest().segments.len() {
        reporter.tick(None)?;
        let segment = archive.load_segment(number)?;
        (0..segment.rows()).try_for_each(|at| visit(donor, &segment.row(at)))?;
    }
    Ok(())
}

/// An entry on its way, row by row.
#[derive(Default)]
struct File {
    /// Its number in the archive, and among the records.
    record: u32,
    is_file: bool,
    slices: Vec<(u64, u32)>,
    /// Some of its bytes were not there before.
    fresh: bool,
    hash: Option<Digest>,
    /// For a further name of a file: the first one, and what this one's rows say.
    link: Option<u32>,
    seen: Vec<(u64, Slice)>,
}

impl File {
    /// After its last row.
    fn end(&mut self, batch: &Batch, pipeline: &mut Pipeline) -> Result<()> {
        let sequencer = &mut pipeline.sequencer;
        if let Some(first) = self.link {
            let records = &batch.tree.records;
            let same = records[first as usize].size == records[self.record as usize].size
                && self.is(sequencer.content(batch.first + first), sequencer);
            return if same { Ok(()) } else { Err(self.named(other_link(), batch)) };
        }
        if !self.is_file {
            return Ok(());
        }
        sequencer.stats.duplicate_files += u64::from(!self.fresh && !self.slices.is_empty());
        sequencer.settle(batch.first + self.record, &self.slices, self.hash)
    }

    /// Whether the rows say what is known of the file.
    fn is(&self, content: FileContent<'_>, sequencer: &Sequencer) -> bool {
        let same = |(offset, slice): &(u64, Slice), at: u64, other: &Slice| {
            (*offset, slice.len, slice.checksum) == (at, other.len, other.checksum)
        };
        match content {
            FileContent::Empty => self.seen.is_empty() && self.hash.is_none(),
            FileContent::One(slice) => {
                self.hash.is_none() && self.seen.len() == 1 && self.seen.iter().all(|seen| same(seen, 0, slice))
            }
            FileContent::Many(slices, hash) => {
                let mut both = self.seen.iter().zip(slices);
                self.hash == Some(hash)
                    && self.seen.len() == slices.len()
                    && both.all(|(seen, (offset, number))| same(seen, *offset, sequencer.slices.get(*number)))
            }
        }
    }

    fn named(&self, error: Error, batch: &Batch) -> Error {
        let mut path = Vec::new();
        batch.path(&batch.tree.records[self.record as usize], &mut path);
        error.with_entry(&path)
    }
}

fn other_link() -> Error {
    Error::corrupt("index.link.target", "the hard link's first name is missing or is another file")
}

fn changed() -> Error {
    Error::new(Status::Changed, "the archive changed while it was added")
}
