//! Appending: an archive that is there already, its payload byte for byte, and its rows on their way into a new index.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat};

use crate::archive::{Archive, ContentCheck, FileSource, StructureWalk};
use crate::error::{Error, Result, Status, filled, push, reserve};
use crate::format::blobs::{self, Blob};
use crate::format::container::HEAD_LEN;
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::index::Segment;
use crate::format::row::{Attributes, CODEC_STORED, EntryKind, Row};
use crate::format::schema::INDEX;
use crate::format::xattrs::{self, missing_set};
use crate::options::{Key, OPTION_TABLE, Options};
use crate::pack::donor::{blob_number, check_slices, copy_blob, is_decodable, named};
use crate::pack::pipeline::{Pipeline, Written};
use crate::pack::scan::RootRecord;
use crate::pack::sequence::Relied;
use crate::progress::Reporter;

/// An archive that is appended to.
pub(super) struct Existing {
    archive: Archive,
    file: File,
    table: Vec<Blob>,
    /// Columns that this version doesn't know, of all segments.
    columns: Vec<ExtraColumn>,
    kept: Kept,
    /// Slices that the sequencer adopted from here.
    slices: u32,
}

/// What of the archive is kept, and where. All of it, unless it is compacted.
#[derive(Default)]
struct Kept {
    /// Numbers of blobs, in order.
    blobs: Vec<u32>,
    /// By blob: where it starts in the new archive.
    offsets: Vec<Option<u64>>,
    /// Sets of extended attributes, encoded, in the order of their new numbers.
    sets: Vec<Arc<[u8]>>,
    /// By set: its new number.
    set_numbers: Vec<Option<u32>>,
}

impl Existing {
    /// Opens the archive.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` for what the new archive could not keep.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Existing> {
        let named = |error: Error| error.with_path(path);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = crate::sys::open(path, flags, Mode::empty())
            .map_err(|errno| named(Error::os("can't open the archive", errno)))?;
        let file = File::from(file);
        let copy = file.try_clone().map_err(|error| named(Error::io("can't open the archive", &error)))?;
        let source = FileSource::from_file(copy).map(|source| source.named(path));
        let archive = source.and_then(|source| Archive::open_source(Box::new(source), options));
        let archive = archive.map_err(named)?;
        archive.require_version_4("appending").map_err(named)?;
        let mut head = [0; HEAD_LEN as usize];
        archive.read_range(0, &mut head).and_then(|()| crate::format::container::check_head(&head)).map_err(named)?;
        let columns = columns_of(&archive, "append").map_err(named)?;
        let table = archive.blob_records().map_err(named)?;
        Ok(Existing { archive, file, table, columns, kept: Kept::default(), slices: 0 })
    }

    /// Columns that this version doesn't know.
    pub(super) fn columns(&self) -> &[ExtraColumn] {
        &self.columns
    }

    /// Facts that the archive has about itself.
    pub(super) fn root(&self) -> Option<RootRecord> {
        let id = self.archive.root_xattr_id().ok()?;
        let xattrs = id.and_then(|id| self.kept.sets.get((*self.kept.set_numbers.get(id as usize)?)? as usize));
        RootRecord::of_archive(&self.archive, xattrs.map(Arc::clone))
    }

    /// Sets of extended attributes that are kept, encoded, in the order of their numbers.
    pub(super) fn xattr_sets(&self) -> &[Arc<[u8]>] {
        &self.kept.sets
    }

    /// Options for adding to this archive: what decides the layout is as the archive records it, where it isn't set.
    pub(super) fn options(&self, options: &Options) -> Options {
        let mut inherited = options.clone();
        if options.is_set(Key::Preset) {
            return inherited;
        }
        for spec in OPTION_TABLE.iter().filter(|spec| spec.recorded && !options.is_set(spec.key)) {
            let recorded = self.archive.manifest().metadata.get(spec.name).and_then(|value| value.parse().ok());
            // A value that this version doesn't allow is as good as none.
            let _ = recorded.map(|value| inherited.set(spec.key, value).map(drop));
        }
        inherited
    }

    /// Refuses where something else stands in the archive's place by now, such as what another one has appended.
    pub(super) fn check_unchanged(&self, now: &Stat) -> Result<()> {
        let then = rustix::fs::fstat(&self.file).map_err(|errno| Error::os("can't look at the archive", errno))?;
        if (then.st_dev, then.st_ino, then.st_size) == (now.st_dev, now.st_ino, now.st_size) {
            return Ok(());
        }
        Err(Error::new(Status::Changed, "the archive was replaced while it was appended to; append again"))
    }

    /// Refuses a path that the archive has, save that of a directory for another one.
    pub(super) fn check_path(&self, path: &[u8], kind: EntryKind) -> Result<()> {
        let Some(index) = self.archive.find(path)? else { return Ok(()) };
        let old = self.archive.list(index, 1)?.get(0).map(|entry| entry.kind);
        if kind == EntryKind::Directory && old == Some(EntryKind::Directory as u8) {
            return Ok(());
        }
        let why = "the archive has an entry with this path; choose another path or ask for it to be replaced";
        Err(Error::refused(Status::Exists, "entry.duplicate", why).with_entry(path))
    }

    /// Copies the payload and tells the pipeline what is in it. To `compact` is to leave out what no entry uses.
    pub(super) fn take_over(&mut self, compact: bool, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<()> {
        self.keep(compact, reporter)?;
        if self.kept.blobs.len() == self.table.len() {
            let end = self.archive.manifest().payload_end();
            pipeline.output.clone_from_file(&self.file, end, reporter)?;
            reserve(&mut self.kept.offsets, self.table.len())?;
            self.kept.offsets.extend(self.table.iter().map(|blob| Some(blob.offset)));
        } else {
            self.copy_kept(pipeline, reporter)?;
        }
        let mut codecs = filled(CODEC_STORED, self.table.len())?;
        let mut structure = StructureWalk::new();
        for number in 0..self.archive.manifest().segments.len() {
            reporter.tick(None)?;
            structure.segment(&self.archive.load_segment(number)?, |walked| {
                let Some(at) = walked.row.location else { return Ok(()) };
                let blob = blob_number(&self.table, &at)?;
                codecs[blob] = at.codec;
                // Nothing new is looked for in what can't be decoded.
                if is_decodable(at.codec) {
                    let block = self.kept.blobs.binary_search(&(blob as u32)).map_err(|_| moved())? as u32;
                    let (start, len) = (at.block_offset as u32, walked.row.size as u32);
                    let entry = u32::try_from(walked.entry).unwrap_or(u32::MAX);
                    pipeline.sequencer.slices.adopt(walked.row.checksum, block, start, len, entry)?;
                }
                Ok(())
            })?;
        }
        self.slices = pipeline.sequencer.slices.count();
        for number in &self.kept.blobs {
            let number = *number as usize;
            let offset = self.kept.offsets[number].ok_or_else(moved)?;
            pipeline.adopt(Written { blob: Blob { offset, ..self.table[number] }, codec: codecs[number] })?;
        }
        Ok(())
    }

    /// Decides what is kept: blobs, and sets of extended attributes.
    fn keep(&mut self, compact: bool, reporter: &mut Reporter) -> Result<()> {
        let sets = Arc::clone(self.archive.xattr_sets()?);
        let (mut blobs, mut numbers) = (filled(!compact, self.table.len())?, filled(None, sets.len())?);
        let mut kept = Vec::new();
        let mut keep_set = |id: u32| -> Result<()> {
            let set = sets.encoded(id)?;
            if numbers[id as usize].is_none() {
                numbers[id as usize] = Some(kept.len() as u32);
                push(&mut kept, set.into())?;
            }
            Ok(())
        };
        if compact {
            self.archive.root_xattr_id()?.map_or(Ok(()), &mut keep_set)?;
            let mut structure = StructureWalk::new();
            for number in 0..self.archive.manifest().segments.len() {
                reporter.tick(None)?;
                structure.segment(&self.archive.load_segment(number)?, |walked| {
                    if let Some(at) = walked.row.location {
                        blobs[blob_number(&self.table, &at)?] = true;
                    }
                    let id = walked.row.attributes.and_then(|attributes| attributes.xattr_id);
                    id.map_or(Ok(()), &mut keep_set).map_err(|error| error.with_entry(walked.path))
                })?;
            }
        } else {
            (0..sets.len() as u32).try_for_each(keep_set)?;
        }
        let mut kept_blobs = Vec::new();
        reserve(&mut kept_blobs, blobs.iter().filter(|kept| **kept).count())?;
        kept_blobs.extend(blobs.iter().enumerate().filter(|(_, kept)| **kept).map(|(number, _)| number as u32));
        self.kept = Kept { blobs: kept_blobs, offsets: Vec::new(), sets: kept, set_numbers: numbers };
        Ok(())
    }

    /// Copies the blobs that are kept, each after its stored bytes were checked.
    fn copy_kept(&mut self, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<()> {
        pipeline.output.take_mode_of(&self.file)?;
        pipeline.output.append(&crate::format::container::head())?;
        self.kept.offsets = filled(None, self.table.len())?;
        let mut buffer = Vec::new();
        for number in &self.kept.blobs {
            let blob = &self.table[*number as usize];
            self.kept.offsets[*number as usize] = Some(pipeline.output.position());
            // Its codec isn't known yet; the stored bytes are what they were in any case.
            copy_blob(&self.archive, blob, CODEC_STORED, &mut buffer, &mut pipeline.output, reporter)?;
        }
        Ok(())
    }

    /// A row as it stands in the new archive.
    pub(super) fn placed<'r>(&self, row: &Row<'r>) -> Result<Row<'r>> {
        let mut row = Row { ..*row };
        if let Some(at) = &mut row.location {
            at.blob_offset = self.kept.offsets[blob_number(&self.table, at)?].ok_or_else(moved)?;
        }
        if let Some(attributes) = &mut row.attributes
            && let Some(id) = attributes.xattr_id
        {
            let number = self.kept.set_numbers.get(id as usize).copied().flatten();
            attributes.xattr_id = Some(number.ok_or_else(|| missing_set(id).with_entry(row.path))?);
        }
        Ok(row)
    }

    /// Checks slices that stand for new bytes: they must be what the index says.
    pub(super) fn check(
        &self,
        relied: &[Relied],
        written: &[Written],
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let mut check = ContentCheck::new(self.table.len())?;
        let blob = |block: u32| self.kept.blobs.get(block as usize).copied();
        // Later ones come from elsewhere.
        let relied = relied.iter().filter(|relied| relied.number < self.slices);
        let checked = check_slices(&mut check, &self.archive, &self.table, relied, blob, written, options, reporter);
        checked.map_err(|error| named(&self.archive, "archive, to which nothing can be appended", error))
    }
}

fn moved() -> Error {
    Error::new(Status::Changed, "the archive changed while it was appended to")
}

/// The columns that this version doesn't know, of all segments together.
///
/// # Errors
/// `E_UNSUPPORTED` where the archive has something that could not be kept; `doing` says what can't be done with it.
pub(super) fn columns_of(archive: &Archive, doing: &str) -> Result<Vec<ExtraColumn>> {
    let known = [blobs::SECTION_NAME, xattrs::SECTION_NAME];
    let mut sections = archive.manifest().sections.iter();
    if let Some(section) = sections.find(|part| known.iter().all(|known| part.module_name != *known)) {
        let why = format!("can't {doing}: this version can't keep the archive's section {}", section.module_name);
        return Err(Error::new(Status::Unsupported, why));
    }
    let schema = archive.index_schema()?;
    if let Some(left_out) = schema.metadata().get(crate::archive::LEFT_OUT_KEY) {
        let why = format!("can't {doing}: the columns {left_out} of the index have not one type, or no name in C");
        return Err(Error::new(Status::Unsupported, why));
    }
    let unknown = schema.fields().iter().filter(|field| INDEX.iter().all(|column| column.name != field.name()));
    let mut columns = Vec::new();
    for field in unknown {
        push(&mut columns, ExtraColumn { name: field.name().clone(), data_type: field.data_type().clone() })?;
    }
    Ok(columns)
}

/// The entries of the archive in order, with all of their rows.
pub(super) struct OldEntries<'a> {
    existing: &'a Existing,
    /// The next segment to load.
    next: usize,
    loaded: Option<Loaded>,
    row: usize,
    /// The exact path of the entry that is passed.
    path: Vec<u8>,
    /// First names of files that are gone: which of their hard links has become the file.
    heirs: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

struct Loaded {
    segment: Segment,
    /// For each of [`Existing::columns`]: its position in the segment's batch.
    columns: Vec<Option<usize>>,
}

impl<'a> OldEntries<'a> {
    pub(super) fn new(existing: &'a Existing) -> OldEntries<'a> {
        OldEntries { existing, next: 0, loaded: None, row: 0, path: Vec::new(), heirs: HashMap::new() }
    }

    /// Path and kind of the next entry.
    pub(super) fn peek(&mut self) -> Result<Option<(&[u8], u8)>> {
        let there = self.load()?;
        let loaded = self.loaded.as_ref().filter(|_| there);
        Ok(loaded.map(|loaded| (loaded.segment.path(self.row), loaded.segment.row(self.row).kind)))
    }

    /// Passes the rows of the next entry, with the values of columns that this version doesn't know.
    pub(super) fn take(
        &mut self,
        mut visit: impl FnMut(&Row<'_>, &mut dyn Iterator<Item = (usize, ExtraValue<'_>)>) -> Result<()>,
    ) -> Result<()> {
        let (mut kind, mut target) = (None, None);
        while self.load()? {
            let Some(loaded) = &self.loaded else { break };
            let row = loaded.segment.row(self.row);
            if row.chunk_seq == 0 {
                if kind.is_some() {
                    break;
                }
                self.path.clear();
                self.path.extend_from_slice(row.path);
                kind = Some(row.kind);
                let heir = row.attributes.and_then(|attributes| attributes.link_target);
                if let Some(heir) = heir.filter(|_| row.kind == EntryKind::Hardlink as u8)
                    && let Some(heir) = self.heirs.get_mut(heir)
                {
                    match heir {
                        Some(heir) => target = Some(heir.clone()),
                        None => {
                            kind = Some(EntryKind::File as u8);
                            *heir = Some(self.path.clone());
                        }
                    }
                }
            }
            let is_file = kind == Some(EntryKind::File as u8);
            let attributes = row.attributes.map(|attributes| Attributes {
                link_target: if is_file { None } else { target.as_deref().or(attributes.link_target) },
                ..attributes
            });
            let row = Row { path: &self.path, kind: kind.unwrap_or(row.kind), attributes, ..row };
            let (columns, batch, at) = (loaded.columns.iter().enumerate(), loaded.segment.batch(), self.row);
            let mut values =
                columns.filter_map(|(number, place)| Some((number, ExtraValue::Of(batch.column((*place)?), at))));
            visit(&row, &mut values)?;
            self.row += 1;
        }
        Ok(())
    }

    /// Leaves the next entry out. The first of its hard links takes its place.
    pub(super) fn skip(&mut self) -> Result<()> {
        let mut first = true;
        while self.load()? {
            let Some(loaded) = &self.loaded else { break };
            let row = loaded.segment.row(self.row);
            if row.chunk_seq == 0 {
                if !first {
                    break;
                }
                first = false;
                if row.kind == EntryKind::File as u8 {
                    let no_memory = |_| Error::new(Status::NoMemory, "can't allocate room for replaced files");
                    self.heirs.try_reserve(1).map_err(no_memory)?;
                    self.heirs.insert(row.path.to_vec(), None);
                }
            }
            self.row += 1;
        }
        Ok(())
    }

    /// Whether there is another row; its segment is loaded then.
    fn load(&mut self) -> Result<bool> {
        while self.loaded.as_ref().is_none_or(|loaded| self.row >= loaded.segment.rows()) {
            if self.next == self.existing.archive.manifest().segments.len() {
                return Ok(false);
            }
            let segment = self.existing.archive.load_segment(self.next)?;
            let schema = segment.batch().schema();
            let place = |column: &ExtraColumn| schema.fields().iter().position(|field| *field.name() == column.name);
            let columns = self.existing.columns.iter().map(place).collect();
            self.loaded = Some(Loaded { segment, columns });
            (self.next, self.row) = (self.next + 1, 0);
        }
        Ok(true)
    }
}
