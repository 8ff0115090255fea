//! Finish: the index is made from metadata alone, then manifest, trailer and footer.

mod encoder;
mod entry;
mod segments;

pub(crate) use segments::IndexWriter;

use entry::Entry;

use std::cmp::Ordering;

use crate::error::{Error, Result, Status};
use crate::format::blobs;
use crate::format::codec;
use crate::format::container::{FORMAT_VERSION, MAX_MANIFEST, Trailer};
use crate::format::hash::hash;
use crate::format::manifest::{Manifest, Part, SECTION_TYPE};
use crate::format::recovery::What;
use crate::format::row::{CODEC_STORED, EntryKind};
use crate::format::schema::{Metadata, VERSION_KEY};
use crate::format::xattrs::ROOT_KEY;
use crate::options::{Key, OPTION_TABLE, Options};
use crate::pack::append::{Existing, OldEntries};
use crate::pack::carried::Carried;
use crate::pack::claims::{Claims, put_behind};
use crate::pack::entries::Entries;
use crate::pack::links::Links;
use crate::pack::merge::{InOrder, Parents, Passing};
use crate::pack::output::Output;
use crate::pack::pipeline::Written;
use crate::pack::policy::Policy;
use crate::pack::recovery::Recorder;
use crate::pack::scan::{NO_MTIME, RootRecord};
use crate::pack::sequence::Sequencer;
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
    /// What entries of archives that were added brought along.
    pub(super) carried: &'a Carried,
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
    let (columns, carried) = put_behind(old_columns, packed.carried.columns())?;
    let (columns, claimed) = put_behind(&columns, packed.claims.columns())?;
    let places = Places { carried, claimed };
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

/// Where in the index the columns are that come from elsewhere.
struct Places {
    /// Those of archives that were added.
    carried: Vec<usize>,
    /// Those of providers.
    claimed: Vec<usize>,
}

/// What rows are made from.
struct Index<'a> {
    packed: &'a Packed<'a>,
    links: &'a Links<'a>,
    xattrs: &'a XattrTable,
    options: &'a Options,
}

impl Index<'_> {
    /// Writes the rows of all entries.
    fn write(
        &self,
        places: &Places,
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
            let (claim, (pkg_type, label)) = (packed.claims.get(file), packed.carried.label(number));
            let (tree, repo) = (&batch.tree, if label.is_empty() { repo } else { label });
            let pkg_type = claim.as_ref().map_or(pkg_type, |claim| Some(claim.pkg_type));
            let labels = (pkg_type, repo);
            let entry = Entry { tree, packed, xattrs, policy, record, number, path, target, labels, claim, places };
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
