//! The new archive: blobs that kept entries have slices in, byte for byte, and rows that say where they are now.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::codec::Decompressor;
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::hash::{Digest, hash};
use crate::format::index::Segment;
use crate::format::row::{Attributes, EntryKind, Location, Row};
use crate::format::schema::{INDEX, Metadata, VERSION_KEY};
use crate::format::xattrs::{ROOT_KEY, XattrSets};
use crate::options::{Key, Options};
use crate::pack::rewrite::Rewriter;
use crate::progress::{LogLevel, Phase, Reporter};
use crate::salvage::find::Found;
use crate::salvage::names::Names;
use crate::salvage::prove::{Proof, read_block};
use crate::salvage::source::Damaged;
use crate::salvage::{Index, Report};

/// Below which blocks without a name are put.
const NAMELESS: &str = "lost+found";

/// What makes two blobs one: place, sizes, codec.
type BlobKey = (u64, u64, u64, u8);

fn key(at: &Location) -> BlobKey {
    (at.blob_offset, at.blob_size, at.block_size, at.codec)
}

/// The new archive.
pub(super) struct Writer(Option<Rewriter>);

/// A block that has no name.
struct Nameless {
    path: Vec<u8>,
    at: Location,
    checksum: Digest,
}

impl Writer {
    pub(super) fn create(archive: &Path, options: &Options) -> Result<Writer> {
        Ok(Writer(Some(Rewriter::create(archive, options)?)))
    }

    #[expect(clippy::too_many_arguments, reason = "each is one step's result")]
    pub(super) fn write(
        &mut self,
        source: &Damaged,
        found: &Found,
        names: &Names,
        proof: &Proof,
        report: &mut Report,
        options: &Options,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let Some(mut archive) = self.0.take() else { return Ok(()) };
        let kept: Vec<u32> = (0..names.len() as u32).filter(|entry| !proof.lost.contains_key(entry)).collect();
        reporter.begin(Phase::Finish, kept.len() as u64, source.size())?;
        let places = copy_blobs(source, names, &kept, &mut archive, reporter)?;
        let nameless = match names.index {
            Index::Lost | Index::Partial => copy_nameless(source, found, names, proof, &mut archive, report, reporter)?,
            Index::Whole | Index::Recovered => Vec::new(),
        };
        let sets = sets(found);
        let mut metadata: Metadata = found.metadata();
        metadata.insert(VERSION_KEY.into(), "4".into());
        metadata.entry(Key::Recovery.spec().name.into()).and_modify(|value| *value = "0".into());
        let root_id = metadata.get(ROOT_KEY).and_then(|id| id.parse().ok());
        if root_id.is_none_or(|id| sets.as_ref().is_none_or(|sets| sets.get(id).is_err())) {
            metadata.remove(ROOT_KEY);
        }
        let mut options = options.clone();
        if metadata.get(Key::PlainIndex.spec().name).is_some_and(|value| value == "1") {
            options.set(Key::PlainIndex, 1)?;
        }
        let columns = columns(names);
        let bytes = found.xattrs.as_ref().filter(|_| sets.is_some());
        let xattrs = bytes.map(|(bytes, count)| (&bytes[..], *count));
        let rows = Rows { names, proof, places, sets, columns: &columns, options: &options };
        report.bytes_out = archive.finish(metadata, &columns, xattrs, &options, |writer| {
            let mut nameless = nameless.into_iter().peekable();
            let mut heirs = HashMap::new();
            for entry in kept {
                while let Some(block) = nameless.next_if(|block| block.path.as_slice() < names.path(entry)) {
                    writer.push(&block.row(), [])?;
                }
                if entry.is_multiple_of(1024) {
                    reporter.tick(Some(names.path(entry)))?;
                }
                rows.entry(entry, &mut heirs, report, |row, values| writer.push(row, values))?;
                reporter.counters().add(1, 0);
            }
            for block in nameless {
                writer.push(&block.row(), [])?;
            }
            Ok(())
        })?;
        // The archive is there now: a stop that comes this late is not an error any more.
        let _ = reporter.end();
        Ok(())
    }
}

/// Copies the blobs of the entries, each once, in the order in which they stand; where they are now.
fn copy_blobs(
    source: &Damaged,
    names: &Names,
    kept: &[u32],
    archive: &mut Rewriter,
    reporter: &mut Reporter,
) -> Result<HashMap<BlobKey, u64>> {
    let mut blobs: BTreeMap<BlobKey, u64> = BTreeMap::new();
    for entry in kept {
        blobs.extend(names.rows(*entry).filter_map(|(_, _, row)| row.location).map(|at| (key(&at), 0)));
    }
    for ((offset, stored, decoded, _), place) in &mut blobs {
        reporter.tick(None)?;
        let mut bytes = crate::error::zeroed(*stored as usize)?;
        source.read_somehow(*offset, &mut bytes)?;
        *place = archive.blob(&bytes, *decoded)?;
        reporter.counters().add(0, *stored);
    }
    Ok(blobs.into_iter().collect())
}

/// Copies the blobs that no entry has slices in and that are whole, and gives their blocks names.
fn copy_nameless(
    source: &Damaged,
    found: &Found,
    names: &Names,
    proof: &Proof,
    archive: &mut Rewriter,
    report: &mut Report,
    reporter: &mut Reporter,
) -> Result<Vec<Nameless>> {
    let directory = free_name(names);
    let (mut nameless, mut decompressor) = (Vec::new(), Decompressor::new()?);
    let (mut stored, mut block) = (Vec::new(), Vec::new());
    for (number, blob) in found.blobs.iter().enumerate().filter(|(_, blob)| !proof.named.contains(&blob.fact.offset)) {
        reporter.tick(None)?;
        let fact = &blob.fact;
        let mut at = Location {
            blob_offset: fact.offset,
            blob_size: fact.stored,
            block_offset: 0,
            block_size: fact.decoded,
            codec: fact.codec,
        };
        report.blobs += 1;
        let read = read_block(source, &at, &mut decompressor, &mut stored, &mut block);
        match read {
            Ok(()) if !blob.hashed || hash(&stored) == fact.hash => {}
            Err(error) if !error.is_about_its_object() => return Err(error),
            _ => {
                report.blobs_damaged += 1;
                continue;
            }
        }
        at.blob_offset = archive.blob(&stored, fact.decoded)?;
        let name = if blob.hashed { "" } else { "unchecked-" };
        let path = format!("{directory}/{name}{number:08}").into_bytes();
        nameless.push(Nameless { path, at, checksum: hash(&block) });
        report.blocks_nameless += 1;
        report.blocks_unchecked += u64::from(!blob.hashed);
        report.bytes_kept = report.bytes_kept.saturating_add(fact.decoded);
    }
    nameless.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(nameless)
}

/// A name that no entry has or lies below.
fn free_name(names: &Names) -> String {
    let taken = |name: &str| {
        (0..names.len() as u32).any(|entry| {
            let rest = names.path(entry).strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    };
    let mut candidates = std::iter::once(NAMELESS.to_owned()).chain((1..).map(|number| format!("{NAMELESS}-{number}")));
    candidates.find(|name| !taken(name)).unwrap_or_default()
}

impl Nameless {
    fn row(&self) -> Row<'_> {
        let size = self.at.block_size;
        let attributes = Attributes { mode: Some(0o600), file_size: Some(size), ..Attributes::default() };
        Row {
            path: &self.path,
            chunk_seq: 0,
            offset: 0,
            size,
            checksum: self.checksum,
            kind: EntryKind::File as u8,
            location: Some(self.at),
            attributes: Some(attributes),
        }
    }
}

/// The sets of extended attributes, if they are whole.
fn sets(found: &Found) -> Option<XattrSets> {
    found.xattrs.as_ref().and_then(|(bytes, count)| XattrSets::decode(bytes.clone(), *count).ok())
}

/// Columns that this version doesn't know, of all segments together.
fn columns(names: &Names) -> Vec<ExtraColumn> {
    let mut columns: Vec<ExtraColumn> = Vec::new();
    for segment in names.segments() {
        for field in segment.batch().schema().fields() {
            let known = INDEX.iter().any(|column| column.name == field.name())
                || columns.iter().any(|column| column.name == *field.name());
            if !known {
                columns.push(ExtraColumn { name: field.name().clone(), data_type: field.data_type().clone() });
            }
        }
    }
    columns
}

/// Makes the new rows.
struct Rows<'a> {
    names: &'a Names,
    proof: &'a Proof,
    places: HashMap<BlobKey, u64>,
    sets: Option<XattrSets>,
    columns: &'a [ExtraColumn],
    options: &'a Options,
}

impl Rows<'_> {
    /// The rows of an entry. A hard link whose first name is lost is the file now, and the next ones are links to it.
    fn entry(
        &self,
        entry: u32,
        heirs: &mut HashMap<Vec<u8>, Vec<u8>>,
        report: &mut Report,
        mut push: impl FnMut(&Row<'_>, &mut dyn Iterator<Item = (usize, ExtraValue<'_>)>) -> Result<()>,
    ) -> Result<()> {
        let path = self.names.path(entry);
        let mut link: Option<Option<Vec<u8>>> = None;
        for (segment, number, row) in self.names.rows(entry) {
            let mut attributes = row.attributes;
            if let Some(attributes) = &mut attributes {
                if row.kind == EntryKind::Hardlink as u8 {
                    let target = attributes.link_target.unwrap_or_default();
                    link = Some(self.target(entry, &row, target, heirs));
                }
                if let Some(id) = attributes.xattr_id
                    && self.sets.as_ref().is_none_or(|sets| sets.get(id).is_err())
                {
                    attributes.xattr_id = None;
                    report.xattrs_lost += 1;
                    let shown = crate::error::printable(path);
                    self.options.log(LogLevel::Warning, &format!("lost extended attributes of {shown}"));
                }
                report.entries_kept += 1;
                report.bytes_kept = report.bytes_kept.saturating_add(attributes.file_size.unwrap_or(0));
                self.options.log(LogLevel::Info, &format!("kept {}", crate::error::printable(path)));
            }
            let kind = match &link {
                Some(None) => EntryKind::File as u8,
                _ => row.kind,
            };
            if let (Some(link), Some(attributes)) = (&link, &mut attributes) {
                attributes.link_target = link.as_deref();
            }
            let location = match row.location {
                Some(at) => {
                    let blob_offset = self.places.get(&key(&at)).copied();
                    let missing = || Error::new(crate::error::Status::Panic, "a blob was not copied");
                    Some(Location { blob_offset: blob_offset.ok_or_else(missing)?, ..at })
                }
                None => None,
            };
            let row = Row { path, kind, location, attributes, ..row };
            let segment = self.names.segment(segment);
            push(&row, &mut values(segment, number, self.columns))?;
        }
        Ok(())
    }

    /// What a hard link links to now; `None` where it is the file.
    fn target(
        &self,
        entry: u32,
        row: &Row<'_>,
        target: &[u8],
        heirs: &mut HashMap<Vec<u8>, Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let facts = |row: &Row<'_>| {
            let attributes = row.attributes.unwrap_or_default();
            (attributes.file_size, attributes.file_hash.unwrap_or(row.checksum))
        };
        let first = self.names.find(target).filter(|first| *first != entry && !self.proof.lost.contains_key(first));
        let same = first
            .and_then(|first| self.names.rows(first).next())
            .is_some_and(|(_, _, first)| first.kind == EntryKind::File as u8 && facts(&first) == facts(row));
        if same {
            return Some(target.to_vec());
        }
        match heirs.get(target) {
            Some(heir) => Some(heir.clone()),
            None => {
                heirs.insert(target.to_vec(), self.names.path(entry).to_vec());
                None
            }
        }
    }
}

/// What stands in a row's columns that this version doesn't know.
fn values<'a>(
    segment: &'a Arc<Segment>,
    row: usize,
    columns: &'a [ExtraColumn],
) -> impl Iterator<Item = (usize, ExtraValue<'a>)> {
    columns.iter().enumerate().filter_map(move |(number, column)| {
        let values = segment.batch().column_by_name(&column.name)?;
        (*values.data_type() == column.data_type).then_some((number, ExtraValue::Of(values, row)))
    })
}
