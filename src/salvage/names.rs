//! Which entries there are, from the best of what was found: the index, copies of it in recovery records, segments that
//! no manifest lists, records behind blobs. What a better source has is not taken from a worse one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::hash::{Digest, hash};
use crate::format::index::{Segment, SegmentBuilder};
use crate::format::path;
use crate::format::recovery::{FileFact, Rows};
use crate::format::row::{Attributes, EntryKind, Location, Row};
use crate::format::schema;
use crate::progress::Reporter;
use crate::salvage::Index;
use crate::salvage::find::{Found, Set, Told, lost};

/// Where an entry's first row is.
#[derive(Clone, Copy)]
struct Place {
    segment: u32,
    row: u32,
}

/// A segment, and the one that goes on with its last entry.
struct Loaded {
    segment: Arc<Segment>,
    next: Option<u32>,
}

/// The entries, in order of path.
#[derive(Default)]
pub(super) struct Names {
    segments: Vec<Loaded>,
    entries: Vec<Place>,
    pub(super) index: Index,
    /// Entries that are lost with their names, as far as somebody has counted them.
    pub(super) lost: u64,
    /// Entries that are lost and have names.
    pub(super) failures: Vec<Error>,
}

impl Names {
    pub(super) fn gather(found: &Found, reporter: &mut Reporter) -> Result<Names> {
        let mut gathering = Gathering::default();
        gathering.set(&found.index);
        let mut index = match (&found.manifest, found.lost.is_empty()) {
            (Some(_), true) => Index::Whole,
            _ => Index::Partial,
        };
        if index != Index::Whole {
            reporter.tick(None)?;
            // Only entries that the manifest has room for, where there is one.
            gathering.bounds = found
                .manifest
                .as_ref()
                .map(|_| found.lost.iter().map(|part| (part.first_path.clone(), part.last_path.clone())).collect());
            if let Some(latest) = found.latest() {
                gathering.set(latest);
                index = Index::Recovered;
            } else {
                gathering.strays(&found.strays);
                gathering.learn(found.rows());
                for told in found.told.iter().rev() {
                    match told {
                        Told::Copy(set) => gathering.set(set),
                        Told::Rows(rows) => gathering.rows(rows, reporter)?,
                    }
                }
            }
        }
        let mut names = gathering.finish(index)?;
        if index == Index::Partial {
            let listed: u64 = found.manifest.iter().map(crate::format::manifest::Manifest::entry_count).sum();
            names.lost += listed.saturating_sub(names.len() as u64 + names.lost);
            if names.is_empty() {
                names.index = Index::Lost;
            }
            if listed > 0 && listed == names.len() as u64 {
                names.index = Index::Recovered;
            }
        }
        Ok(names)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().map(|loaded| &loaded.segment)
    }

    pub(super) fn segment(&self, number: u32) -> &Arc<Segment> {
        &self.segments[number as usize].segment
    }

    pub(super) fn row(&self, segment: u32, row: u32) -> Row<'_> {
        self.segments[segment as usize].segment.row(row as usize)
    }

    /// The entry with this path.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        let found = self
            .entries
            .binary_search_by(|place| self.segments[place.segment as usize].segment.path(place.row as usize).cmp(path));
        found.ok().map(|entry| entry as u32)
    }

    pub(super) fn path(&self, entry: u32) -> &[u8] {
        let place = self.entries[entry as usize];
        self.segments[place.segment as usize].segment.path(place.row as usize)
    }

    /// Bytes of a file.
    pub(super) fn size(&self, entry: u32) -> u64 {
        let place = self.entries[entry as usize];
        let row = self.segments[place.segment as usize].segment.row(place.row as usize);
        row.attributes.and_then(|attributes| attributes.file_size).unwrap_or(0)
    }

    /// The rows of an entry, each with the segment that it is in and its number there, as far as they belong together.
    pub(super) fn rows(&self, entry: u32) -> impl Iterator<Item = (u32, usize, Row<'_>)> {
        let place = self.entries[entry as usize];
        let (mut segment, mut row) = (Some(place.segment), place.row as usize);
        let mut before: Option<(u32, u64, u8)> = None;
        std::iter::from_fn(move || {
            loop {
                let number = segment?;
                let loaded = &self.segments[number as usize];
                if row >= loaded.segment.rows() {
                    (segment, row) = (loaded.next, 0);
                    continue;
                }
                let this = loaded.segment.row(row);
                let follows = match before {
                    None => true,
                    Some((seq, end, kind)) => {
                        this.kind == kind && this.offset >= end && seq.checked_add(1) == Some(this.chunk_seq)
                    }
                };
                if !follows {
                    segment = None;
                    return None;
                }
                before = Some((this.chunk_seq, this.offset + this.size, this.kind));
                row += 1;
                return Some((number, row - 1, this));
            }
        })
    }
}

#[derive(Default)]
struct Gathering {
    segments: Vec<Loaded>,
    by_path: BTreeMap<Vec<u8>, Place>,
    /// Entries whose last rows may be missing: only where nobody else has them.
    doubtful: Vec<(Vec<u8>, Place)>,
    /// Where entries may lie that are missing so far.
    bounds: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    failures: BTreeMap<Vec<u8>, Error>,
    /// Where slices are that recovery records know.
    places: HashMap<(Digest, u32), Location>,
}

impl Gathering {
    /// Takes up where slices are: bytes of one record's file may stand behind another's.
    fn learn<'r>(&mut self, records: impl Iterator<Item = &'r Rows>) {
        for record in records {
            let blob = &record.blob;
            for slice in &record.slices {
                let Some(start) = slice.start else { continue };
                let at = Location {
                    blob_offset: blob.offset,
                    blob_size: blob.stored,
                    block_offset: u64::from(start),
                    block_size: blob.decoded,
                    codec: blob.codec,
                };
                self.places.insert((slice.checksum, slice.size), at);
            }
        }
    }

    fn set(&mut self, set: &Set) {
        let base = self.segments.len() as u32;
        let places: HashMap<u32, u32> =
            set.segments.keys().enumerate().map(|(at, number)| (*number, base + at as u32)).collect();
        for (number, segment) in &set.segments {
            let next = places.get(&(number + 1)).copied();
            let is_last = set.count == Some(number + 1);
            self.segment(segment, next, next.is_some() || is_last);
        }
    }

    /// Segments that follow each other on disk: their order is that of their paths.
    fn strays(&mut self, strays: &[Arc<Segment>]) {
        let base = self.segments.len() as u32;
        for (at, segment) in strays.iter().enumerate() {
            let next = (at + 1 < strays.len()).then_some(base + at as u32 + 1);
            self.segment(segment, next, next.is_some());
        }
    }

    fn segment(&mut self, segment: &Arc<Segment>, next: Option<u32>, certain: bool) {
        let number = self.segments.len() as u32;
        for entry in 0..segment.entries() {
            let row = segment.first_row(entry);
            let (path, place) = (segment.path(row).to_vec(), Place { segment: number, row: row as u32 });
            let is_known = self.by_path.contains_key(&path);
            let fits =
                |bounds: &Vec<(Vec<u8>, Vec<u8>)>| bounds.iter().any(|(first, last)| *first <= path && path <= *last);
            if is_known || !self.bounds.as_ref().is_none_or(fits) {
                continue;
            }
            let cut = !certain && entry + 1 == segment.entries();
            let several = segment.row(row).attributes.is_some_and(|attributes| attributes.file_hash.is_some());
            if cut && several { self.doubtful.push((path, place)) } else { _ = self.by_path.insert(path, place) }
        }
        self.segments.push(Loaded { segment: Arc::clone(segment), next });
    }

    /// Files of which recovery records behind blobs know all slices.
    fn rows(&mut self, records: &[Rows], reporter: &mut Reporter) -> Result<()> {
        let mut files: BTreeMap<&[u8], Pieces<'_>> = BTreeMap::new();
        for record in records {
            for slice in &record.slices {
                let pieces = files.entry(&record.paths[slice.path as usize]).or_default();
                // A path that was added again begins anew.
                if slice.seq == 0 && pieces.slices.contains_key(&0) {
                    *pieces = Pieces::default();
                }
                pieces.slices.insert(slice.seq, (slice.offset, slice.size, slice.checksum));
            }
            for file in &record.files {
                files.entry(&record.paths[file.path as usize]).or_default().file = Some(file);
            }
        }
        let schema = schema::index(&[], &schema::Metadata::new());
        let mut builder = SegmentBuilder::new();
        let mut set = Set::default();
        let mut finish = |builder: &mut SegmentBuilder| -> Result<()> {
            let stream = builder.finish(&schema)?;
            if let Ok(segment) = Segment::decode_alone(stream, u64::MAX) {
                set.segments.insert(set.segments.len() as u32, Arc::new(segment));
            }
            Ok(())
        };
        for (path, pieces) in files {
            reporter.tick(None)?;
            if self.by_path.contains_key(path) || path::check(path).is_err() {
                continue;
            }
            match pieces.rows(path, &self.places) {
                Some(rows) => {
                    for row in &rows {
                        builder.push(row)?;
                        if builder.is_full() {
                            finish(&mut builder)?;
                        }
                    }
                }
                None => {
                    let why = "not all of its slices are known: the archive was cut, or recovery records are damaged";
                    self.failures.insert(path.to_vec(), lost(why, path));
                }
            }
        }
        if !builder.is_empty() {
            finish(&mut builder)?;
        }
        set.count = Some(set.segments.len() as u32);
        self.set(&set);
        Ok(())
    }

    fn finish(mut self, index: Index) -> Result<Names> {
        for (path, place) in std::mem::take(&mut self.doubtful) {
            self.by_path.entry(path).or_insert(place);
        }
        self.failures.retain(|path, _| !self.by_path.contains_key(path));
        let mut names = Names { index, ..Names::default() };
        crate::error::reserve(&mut names.entries, self.by_path.len())?;
        // Prefixes of the last path that are entries and not directories.
        let mut blocking: Vec<Vec<u8>> = Vec::new();
        for (path, place) in &self.by_path {
            blocking.retain(|above| path.starts_with(above));
            if blocking.iter().any(|above| path.get(above.len()) == Some(&b'/')) {
                let why = "it lies below an entry that is not a directory";
                self.failures.insert(path.clone(), lost(why, path));
                continue;
            }
            let kind = self.segments[place.segment as usize].segment.row(place.row as usize).kind;
            if kind != EntryKind::Directory as u8 {
                blocking.push(path.clone());
            }
            names.entries.push(*place);
        }
        names.lost = self.failures.len() as u64;
        names.failures = self.failures.into_values().collect();
        names.segments = self.segments;
        Ok(names)
    }
}

/// What records know of a file.
#[derive(Default)]
struct Pieces<'a> {
    slices: BTreeMap<u32, (u64, u32, Digest)>,
    file: Option<&'a FileFact>,
}

impl Pieces<'_> {
    /// Its rows, if all of them are known.
    fn rows<'p>(&self, path: &'p [u8], places: &HashMap<(Digest, u32), Location>) -> Option<Vec<Row<'p>>> {
        let file = self.file?;
        if self.slices.len() != file.slices as usize || self.slices.keys().zip(0..).any(|(seq, number)| *seq != number)
        {
            return None;
        }
        let attributes = Attributes {
            mode: file.mode.filter(|mode| *mode <= 0o7777),
            mtime_ns: file.mtime_ns,
            uid: file.uid,
            gid: file.gid,
            file_size: Some(file.size),
            file_hash: file.hash,
            ..Attributes::default()
        };
        let kind = EntryKind::File as u8;
        if self.slices.is_empty() {
            let attributes = Some(attributes);
            let checksum = hash(&[]);
            return Some(vec![Row {
                path,
                chunk_seq: 0,
                offset: 0,
                size: 0,
                checksum,
                kind,
                location: None,
                attributes,
            }]);
        }
        let rows = self.slices.iter().map(|(seq, (offset, size, checksum))| {
            let location = Some(*places.get(&(*checksum, *size))?);
            let attributes = (*seq == 0).then_some(attributes);
            let (offset, size, checksum) = (*offset, u64::from(*size), *checksum);
            Some(Row { path, chunk_seq: *seq, offset, size, checksum, kind, location, attributes })
        });
        rows.collect()
    }
}
