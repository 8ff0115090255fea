//! Finish: the index is made from metadata alone, then manifest, trailer and footer.

use std::cmp::Ordering;

use crate::error::{Error, Result, Status};
use crate::format::blobs;
use crate::format::codec::Compressor;
use crate::format::container::{FORMAT_VERSION, MAX_BLOCK, MAX_MANIFEST, SEGMENT_ALIGN, Trailer};
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::hash::{Digest, hash};
use crate::format::index::SegmentBuilder;
use crate::format::manifest::{Manifest, Part, SECTION_TYPE};
use crate::format::recovery::What;
use crate::format::row::{Attributes, CODEC_STORED, EntryKind, Location, Row};
use crate::format::schema::{self, Metadata, VERSION_KEY};
use crate::format::xattrs::ROOT_KEY;
use crate::format::{codec, hash as hashing};
use crate::options::{Key, OPTION_TABLE, Options};
use crate::pack::append::{Existing, OldEntries};
use crate::pack::claims::{Claim, Claims, put_behind};
use crate::pack::entries::Entries;
use crate::pack::links::Links;
use crate::pack::merge::{InOrder, Parents, Passing};
use crate::pack::output::Output;
use crate::pack::pipeline::Written;
use crate::pack::policy::Policy;
use crate::pack::recovery::Recorder;
use crate::pack::scan::{NO_MODE, NO_MTIME, Record, RootRecord, Tree};
use crate::pack::sequence::{FileContent, Sequencer, Slice};
use crate::pack::xattrs::XattrTable;
use crate::progress::Reporter;
use crate::stats::Stats;

/// Level of index segments: what higher ones save on hashes and numbers is not worth their time.
pub(super) const INDEX_LEVEL: i32 = 3;

/// What the finish starts from.
pub(super) struct Packed<'a> {
    /// All of them, closed.
    pub(super) entries: &'a Entries,
    pub(super) sequencer: &'a Sequencer,
    pub(super) written: &'a [Written],
    pub(super) claims: &'a Claims,
    /// The archive that is appended to.
    pub(super) existing: Option<&'a Existing>,
    /// What is recorded of the archive's root, where a tree was added there.
    pub(super) root: Option<&'a RootRecord>,
    /// Where recovery records are asked for.
    pub(super) recorder: Option<&'a mut Recorder>,
}

/// Writes everything behind the blobs and completes the statistics.
pub(super) fn finish(
    mut packed: Packed<'_>,
    mut stats: Stats,
    options: &Options,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<Stats> {
    let mut recorder = packed.recorder.take();
    let packed = &packed;
    let links = packed.entries.links()?;
    let xattrs = number_xattrs(packed, &links)?;
    let mut manifest = Manifest { metadata: metadata(packed.root, &xattrs, options), ..Manifest::default() };
    let mut records: Vec<blobs::Blob> = packed.written.iter().map(|written| written.blob).collect();
    let index = Index { packed, links: &links, xattrs: &xattrs, options };
    let old_columns = packed.existing.map_or(&[][..], Existing::columns);
    let (columns, places) = put_behind(old_columns, packed.claims.columns())?;
    if let Some(recorder) = &mut recorder {
        let mut copies = IndexWriter::new(&columns, &manifest.metadata, options, output)?;
        copies.recorder = Some(recorder);
        let segments = index.write(&places, copies, &mut stats.clone(), None)?.len() as u32;
        if let Some((content, sets)) = xattrs.content() {
            recorder.write(What::Xattrs, sets, content, output)?;
        }
        recorder.write(What::End, segments, &[], output)?;
        records.extend_from_slice(recorder.fillers());
        records.sort_unstable_by_key(|blob| blob.offset);
    }
    let payload_end = output.position();
    manifest.sections.push(write_blob_table(&records, output)?);
    let level = (!options.flag(Key::PlainIndex)).then_some(INDEX_LEVEL);
    manifest.sections.extend(xattrs.write(level, output)?);
    let writer = IndexWriter::new(&columns, &manifest.metadata, options, output)?;
    manifest.segments = index.write(&places, writer, &mut stats, Some(reporter))?;
    seal(&manifest, output)?;
    stats.bytes_out = output.position();
    stats.bytes_index = stats.bytes_out - (payload_end - crate::format::container::HEAD_LEN);
    Ok(stats)
}

/// Writes the manifest and what is behind it.
pub(super) fn seal(manifest: &Manifest, output: &mut Output) -> Result<()> {
    let stream = manifest.encode()?;
    if stream.len() as u64 > MAX_MANIFEST {
        let why =
            "the tree has too many entries, or too long names, for one archive: its manifest would be over 64 MiB";
        return Err(Error::new(Status::Limit, why));
    }
    let trailer = Trailer::seal(&stream, output.position());
    output.append(&stream)?;
    output.append(&trailer.encode())
}

/// What rows are made from.
struct Index<'a> {
    packed: &'a Packed<'a>,
    links: &'a Links<'a>,
    xattrs: &'a XattrTable,
    options: &'a Options,
}

impl Index<'_> {
    /// Writes the rows of all entries. The columns of providers are at `places`.
    fn write(
        &self,
        places: &[usize],
        mut writer: IndexWriter<'_>,
        stats: &mut Stats,
        mut reporter: Option<&mut Reporter>,
    ) -> Result<Vec<Part>> {
        let Index { packed, links, xattrs, options } = *self;
        let dropped = packed.sequencer.dropped();
        let policy = Policy::new(options);
        let mut old = packed.existing.map(|existing| (OldEntries::new(existing), existing));
        writer.parents = old.as_ref().map(|_| Parents::default());
        let mut in_order = InOrder::new(packed.entries.batches())?;
        while let Some(Passing { batch, record, number, path }) = in_order.next() {
            let file = links.file(batch, number);
            let gone = packed.entries.is_gone(number);
            if record.skipped || gone || dropped.binary_search(&file).is_ok() {
                stats.skipped += u64::from(!record.skipped && !gone);
                continue;
            }
            if let Some((old, existing)) = &mut old {
                pass_old(old, existing, Some((path, record.kind)), options, &mut writer, stats)?;
            }
            let (first, repo) = (links.first(file), &*batch.repo);
            let target = (first != number && record.kind.has_bytes()).then(|| links.path(first));
            // All names of a file are one inode, so its size, mode and times are those of the name that was read.
            let batch = if file == number { batch } else { links.batch(file) };
            let record = &batch.tree.records[(file - batch.first) as usize];
            let target = target.as_deref();
            let claim = packed.claims.get(file);
            let tree = &batch.tree;
            let entry = Entry { tree, packed, xattrs, policy, record, path, target, repo, claim, places };
            entry.write(file, &mut writer, stats)?;
            let Some(reporter) = &mut reporter else { continue };
            reporter.counters().add(1, 0);
            if number.is_multiple_of(1024) {
                reporter.tick(Some(path))?;
            }
        }
        if let Some((old, existing)) = &mut old {
            pass_old(old, existing, None, options, &mut writer, stats)?;
        }
        writer.end()
    }
}

/// Passes the entries of the old archive that come before the next new one, and decides about one with its path.
fn pass_old(
    old: &mut OldEntries<'_>,
    existing: &Existing,
    next: Option<(&[u8], EntryKind)>,
    options: &Options,
    writer: &mut IndexWriter<'_>,
    stats: &mut Stats,
) -> Result<()> {
    while let Some((path, kind)) = old.peek()? {
        match next.map(|(next, _)| path.cmp(next)) {
            Some(Ordering::Greater) => return Ok(()),
            Some(Ordering::Equal) => {
                let both_directories =
                    kind == EntryKind::Directory as u8 && next.is_some_and(|(_, new)| new == EntryKind::Directory);
                if !both_directories && options.get(Key::DuplicatePaths) != 1 {
                    let why = "the archive has an entry with this path already";
                    return Err(Error::new(Status::Exists, why).with_entry(path));
                }
                return old.skip();
            }
            Some(Ordering::Less) | None => {}
        }
        let (mut stored, mut kind) = (true, None);
        old.take(|row, values| {
            if let Some(attributes) = &row.attributes {
                kind = EntryKind::from_number(row.kind);
                count(kind, stats);
                stats.bytes_in += attributes.file_size.unwrap_or(0);
                stats.bytes_holes += attributes.file_size.unwrap_or(0);
            }
            stats.bytes_holes -= row.size;
            stats.slices += u64::from(row.location.is_some());
            stored &= row.location.is_none_or(|at| at.codec == CODEC_STORED);
            writer.push(&existing.placed(row)?, values)
        })?;
        if kind == Some(EntryKind::File) {
            if stored { stats.files_stored += 1 } else { stats.files_compressed += 1 }
        }
    }
    Ok(())
}

fn count(kind: Option<EntryKind>, stats: &mut Stats) {
    stats.entries += 1;
    match kind {
        Some(EntryKind::File) => stats.files += 1,
        Some(EntryKind::Directory) => stats.directories += 1,
        Some(EntryKind::Symlink) => stats.symlinks += 1,
        Some(EntryKind::Hardlink) => stats.hardlinks += 1,
        _ => stats.specials += 1,
    }
}

/// Numbers the sets of extended attributes: the root's first, the others in order of path.
fn number_xattrs(packed: &Packed<'_>, links: &Links<'_>) -> Result<XattrTable> {
    let mut table = XattrTable::default();
    packed.existing.map_or(&[][..], Existing::xattr_sets).iter().try_for_each(|set| table.push(set))?;
    packed.root.and_then(|root| root.xattrs.as_ref()).map_or(Ok(()), |set| table.add(set))?;
    let (batches, dropped) = (packed.entries.batches(), packed.sequencer.dropped());
    if !batches.iter().any(|batch| batch.tree.has_xattrs()) {
        return Ok(table);
    }
    let mut in_order = InOrder::new(batches)?;
    while let Some(Passing { batch, record, number, path }) = in_order.next() {
        let file = links.file(batch, number);
        if record.skipped || packed.entries.is_gone(number) || dropped.binary_search(&file).is_ok() {
            continue;
        }
        let batch = if file == number { batch } else { links.batch(file) };
        let extra = batch.tree.extra(&batch.tree.records[(file - batch.first) as usize]);
        if let Some(set) = extra.and_then(|extra| extra.xattrs.as_ref()) {
            table.add(set).map_err(|error| error.with_entry(path))?;
        }
    }
    Ok(table)
}

fn metadata(root: Option<&RootRecord>, xattrs: &XattrTable, options: &Options) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert(VERSION_KEY.into(), FORMAT_VERSION.to_string());
    metadata.insert("zstd_version".into(), codec::version().into());
    if let Some(root) = root {
        metadata.insert("root_mode".into(), format!("{:o}", root.mode));
        if root.mtime_ns != NO_MTIME {
            metadata.insert("root_mtime_ns".into(), root.mtime_ns.to_string());
        }
        if let Some(id) = root.xattrs.as_ref().and_then(|set| xattrs.number(set)) {
            metadata.insert(ROOT_KEY.into(), id.to_string());
        }
    }
    for spec in OPTION_TABLE.iter().filter(|spec| spec.recorded) {
        metadata.insert(spec.name.into(), options.get(spec.key).to_string());
    }
    metadata
}

/// Writes the blob table: the records of all blobs and fillers, in order of offset.
pub(super) fn write_blob_table(records: &[blobs::Blob], output: &mut Output) -> Result<Part> {
    let bytes = blobs::encode(records);
    let part = Part {
        pkg_type: SECTION_TYPE,
        module_name: blobs::SECTION_NAME.into(),
        offset: output.position(),
        len: bytes.len() as u64,
        rows: records.len() as u64,
        hash: hash(&bytes),
        ..Part::default()
    };
    output.append(&bytes)?;
    Ok(part)
}

/// Cuts rows into segments and writes them.
pub(crate) struct IndexWriter<'a> {
    output: &'a mut Output,
    /// Where segments go into recovery records.
    recorder: Option<&'a mut Recorder>,
    schema: arrow_schema::SchemaRef,
    compressor: Option<Compressor>,
    frame: Vec<u8>,
    builder: SegmentBuilder,
    labels: Labels,
    /// Where entries come from several places.
    parents: Option<Parents>,
    part: Part,
    parts: Vec<Part>,
}

impl<'a> IndexWriter<'a> {
    pub(super) fn new(
        extras: &[ExtraColumn],
        metadata: &Metadata,
        options: &Options,
        output: &'a mut Output,
    ) -> Result<IndexWriter<'a>> {
        let plain = options.flag(Key::PlainIndex);
        Ok(IndexWriter {
            output,
            recorder: None,
            schema: schema::index(extras, metadata),
            compressor: if plain { None } else { Some(Compressor::new(INDEX_LEVEL)?) },
            frame: Vec::new(),
            builder: SegmentBuilder::with_extras(extras)?,
            labels: Labels::default(),
            parents: None,
            part: Part::default(),
            parts: Vec::new(),
        })
    }

    /// The next row, with values of additional columns by their numbers.
    pub(crate) fn push<'v>(
        &mut self,
        row: &Row<'_>,
        values: impl IntoIterator<Item = (usize, ExtraValue<'v>)>,
    ) -> Result<()> {
        self.labels.row(row);
        if row.chunk_seq == 0 {
            if let Some(parents) = &mut self.parents {
                parents.pass(row.path, row.kind == EntryKind::Directory as u8)?;
            }
            if self.part.entries == 0 {
                self.part.first_path = row.path.to_vec();
            }
            self.part.entries += 1;
            self.part.last_path.clear();
            self.part.last_path.extend_from_slice(row.path);
        }
        self.builder.push_with(row, values)?;
        if self.builder.is_full() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let mut part = std::mem::take(&mut self.part);
        (part.pkg_type, part.repo) = self.labels.end_segment();
        part.rows = self.builder.len() as u64;
        if let Some(last) = self.parts.last() {
            part.first_entry = last.first_entry + last.entries;
            if part.entries == 0 {
                part.first_path.clone_from(&last.last_path);
                part.last_path.clone_from(&last.last_path);
            }
        }
        let stream = self.builder.finish(&self.schema)?;
        if stream.len() as u64 > MAX_BLOCK {
            return Err(Error::new(Status::Limit, "a segment of the index would be over 64 MiB"));
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.write(What::Segment, self.parts.len() as u32, &stream, self.output)?;
            self.parts.push(part);
            return Ok(());
        }
        let padding = self.output.position().next_multiple_of(SEGMENT_ALIGN) - self.output.position();
        self.output.append(&[0; SEGMENT_ALIGN as usize][..padding as usize])?;
        part.offset = self.output.position();
        let stored = match &mut self.compressor {
            Some(compressor) => {
                compressor.compress(&stream, &mut self.frame, &crate::progress::CancelToken::new())?;
                part.raw_len = stream.len() as u64;
                &self.frame
            }
            None => &stream,
        };
        part.len = stored.len() as u64;
        part.hash = hashing::hash(stored);
        self.output.append(stored)?;
        self.parts.push(part);
        Ok(())
    }

    /// After the last row: the segments.
    pub(super) fn end(mut self) -> Result<Vec<Part>> {
        if !self.builder.is_empty() {
            self.write()?;
        }
        Ok(self.parts)
    }
}

/// Whether all entries with rows in a segment have the same `pkg_type`, or the same `repo`.
#[derive(Default)]
struct Labels {
    /// Those of the entry that the last row belongs to; 0 and empty for null.
    entry: (i8, String),
    /// Those of all rows of the segment so far; `None` once they differ.
    pkg_type: Option<i8>,
    repo: Option<String>,
    rows: usize,
}

impl Labels {
    fn row(&mut self, row: &Row<'_>) {
        if let Some(attributes) = &row.attributes {
            self.entry.0 = attributes.pkg_type.unwrap_or(0);
            self.entry.1.clear();
            self.entry.1.push_str(attributes.repo.unwrap_or_default());
        }
        if self.rows == 0 {
            (self.pkg_type, self.repo) = (Some(self.entry.0), Some(self.entry.1.clone()));
        }
        self.rows += 1;
        if self.pkg_type != Some(self.entry.0) {
            self.pkg_type = None;
        }
        if self.repo.as_ref().is_some_and(|repo| *repo != self.entry.1) {
            self.repo = None;
        }
    }

    /// What the segment's row in the manifest says. The last entry may go on in the next segment.
    fn end_segment(&mut self) -> (i8, String) {
        self.rows = 0;
        (self.pkg_type.take().unwrap_or(0), self.repo.take().unwrap_or_default())
    }
}

/// One entry on its way into the index.
struct Entry<'a> {
    tree: &'a Tree,
    packed: &'a Packed<'a>,
    xattrs: &'a XattrTable,
    policy: Policy,
    record: &'a Record,
    path: &'a [u8],
    /// For a hard link: the first path of its group.
    target: Option<&'a [u8]>,
    repo: &'a str,
    /// What a metadata provider found in it.
    claim: Option<Claim<'a>>,
    /// Where the columns of providers are.
    places: &'a [usize],
}

impl Entry<'_> {
    fn write(&self, file: u32, writer: &mut IndexWriter<'_>, stats: &mut Stats) -> Result<()> {
        let record = self.record;
        let kind = if self.target.is_some() { EntryKind::Hardlink } else { record.kind };
        count(Some(kind), stats);
        let mut attributes = self.attributes(kind);
        if !kind.has_bytes() {
            return writer.push(&self.row(kind, 0, 0, None, [0; 32], Some(attributes)), []);
        }
        stats.bytes_in += record.size;
        match self.packed.sequencer.content(file) {
            FileContent::Empty => {
                writer.push(&self.row(kind, 0, 0, None, hash(&[]), Some(attributes)), self.values())?;
                stats.files_stored += u64::from(kind == EntryKind::File);
            }
            FileContent::One(slice) => {
                stats.slices += 1;
                self.count_codec(kind, &[slice], stats);
                writer.push(&self.row(kind, 0, 0, Some(slice), slice.checksum, Some(attributes)), self.values())?;
            }
            FileContent::Many(slices, whole) => {
                attributes.file_hash = Some(whole);
                stats.slices += slices.len() as u64;
                let all: Vec<&Slice> = slices.iter().map(|(_, number)| self.packed.sequencer.slice(*number)).collect();
                self.count_codec(kind, &all, stats);
                let held: u64 = all.iter().map(|slice| u64::from(slice.len)).sum();
                stats.bytes_holes += record.size - held;
                if slices.is_empty() {
                    writer.push(&self.row(kind, 0, 0, None, hash(&[]), Some(attributes)), self.values())?;
                }
                for (seq, ((offset, _), slice)) in slices.iter().zip(all).enumerate() {
                    let seq = u32::try_from(seq).map_err(|_| {
                        Error::new(Status::Limit, "the file has over four billion slices").with_entry(self.path)
                    })?;
                    let attributes = (seq == 0).then_some(attributes);
                    let values = self.values().take(if seq == 0 { usize::MAX } else { 0 });
                    writer.push(&self.row(kind, seq, *offset, Some(slice), slice.checksum, attributes), values)?;
                }
            }
        }
        Ok(())
    }

    fn values(&self) -> impl Iterator<Item = (usize, ExtraValue<'_>)> {
        self.claim.iter().flat_map(Claim::values).map(|(column, value)| (self.places[column], value))
    }

    fn row<'b>(
        &'b self,
        kind: EntryKind,
        chunk_seq: u32,
        offset: u64,
        slice: Option<&Slice>,
        checksum: Digest,
        attributes: Option<Attributes<'b>>,
    ) -> Row<'b> {
        let location = slice.map(|slice| {
            let written = &self.packed.written[slice.block as usize];
            Location {
                blob_offset: written.blob.offset,
                blob_size: written.blob.stored,
                block_offset: u64::from(slice.start),
                block_size: written.blob.decoded,
                codec: written.codec,
            }
        });
        let size = slice.map_or(0, |slice| u64::from(slice.len));
        Row { path: self.path, chunk_seq, offset, size, checksum, kind: kind as u8, location, attributes }
    }

    fn attributes(&self, kind: EntryKind) -> Attributes<'_> {
        let record = self.record;
        let extra = self.tree.extra(record);
        Attributes {
            // The mode of a symbolic link means nothing and differs between systems.
            mode: (kind != EntryKind::Symlink && record.mode != NO_MODE)
                .then(|| self.policy.mode(record.kind, u32::from(record.mode))),
            mtime_ns: Some(self.policy.mtime(record.mtime_ns)).filter(|mtime| *mtime != NO_MTIME),
            uid: extra.and_then(|extra| extra.uid),
            gid: extra.and_then(|extra| extra.gid),
            link_target: match kind {
                EntryKind::Symlink => extra.map(|extra| extra.target.as_slice()),
                _ => self.target,
            },
            file_size: kind.has_bytes().then_some(record.size),
            xattr_id: extra.and_then(|extra| extra.xattrs.as_ref()).and_then(|set| self.xattrs.number(set)),
            rdev: extra.and_then(|extra| extra.rdev),
            pkg_type: self.claim.as_ref().map(|claim| claim.pkg_type),
            repo: (!self.repo.is_empty()).then_some(self.repo),
            ..Attributes::default()
        }
    }

    fn count_codec(&self, kind: EntryKind, slices: &[&Slice], stats: &mut Stats) {
        if kind != EntryKind::File {
            return;
        }
        let stored =
            |slice: &&Slice| self.packed.written[slice.block as usize].codec == crate::format::row::CODEC_STORED;
        if slices.iter().all(stored) { stats.files_stored += 1 } else { stats.files_compressed += 1 }
    }
}
