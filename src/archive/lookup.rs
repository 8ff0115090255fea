//! From a path to an entry and from an entry to its rows: a binary search in the manifest, one in a segment.

use std::ops::Range;
use std::sync::Arc;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::format::digest::TreeDigest;
use crate::format::hash::{Digest, UNRECORDED};
use crate::format::in_memory;
use crate::format::index::Segment;
use crate::format::path;
use crate::format::row::{Attributes, EntryKind, Row};

/// Where an entry's first row is.
pub(super) struct Place {
    /// The segment that it starts in.
    pub(super) segment: Arc<Segment>,
    /// That segment's number.
    pub(super) number: usize,
    /// The entry's number within the segment.
    pub(super) local: usize,
}

impl Place {
    /// The entry's first row.
    pub(super) fn first_row(&self) -> Row<'_> {
        self.segment.row(self.segment.first_row(self.local))
    }
}

impl Archive {
    /// The number of the entry with exactly this path.
    pub fn find(&self, path: &[u8]) -> Result<Option<u64>> {
        if path.is_empty() {
            return Ok(None);
        }
        let segments = &self.manifest().segments;
        let number = segments.partition_point(|part| part.last_path.as_slice() < path);
        // Segments in which no entry starts repeat the bound of the one before, so the first one is the right one.
        let Some(part) = segments.get(number).filter(|part| part.first_path.as_slice() <= path) else {
            return Ok(None);
        };
        let segment = self.segment(number)?;
        let local = segment.lower_bound(path);
        let found = local < segment.entries() && segment.path(segment.first_row(local)) == path;
        Ok(found.then_some(part.first_entry.saturating_add(local as u64)))
    }

    /// The numbers of the entry `prefix`, if there is one, and of everything below it: paths that are `prefix` or
    /// start with `prefix/`. The empty prefix is everything. A trailing slash leaves the entry itself out.
    ///
    /// Paths such as `prefix-x` sort between `prefix` and `prefix/`; where there are some, the entry itself is
    /// left out, so that the range is contiguous.
    pub fn find_prefix(&self, prefix: &[u8]) -> Result<Range<u64>> {
        if prefix.is_empty() {
            return Ok(0..self.entry_count());
        }
        let directory = prefix.strip_suffix(b"/").unwrap_or(prefix);
        path::check(directory).map_err(|error| Error::new(Status::InvalidArgument, error.to_string()))?;
        let mut below = directory.to_vec();
        below.push(b'/');
        let start = self.lower_bound(&below)?;
        below.pop();
        // The byte after the slash: the least path that is not below the prefix.
        below.push(b'0');
        let end = self.lower_bound(&below)?;
        let itself = if prefix.ends_with(b"/") { None } else { self.find(directory)? };
        Ok(match itself {
            Some(index) if start == end => index..index.saturating_add(1),
            Some(index) if index.saturating_add(1) == start => index..end,
            _ => start..end,
        })
    }

    /// The tree digest: one walk over the index, nothing is decoded but segments. Files of version 3 that have no hash
    /// as a whole are read.
    pub fn tree_digest(&self) -> Result<Digest> {
        let mut digest = TreeDigest::new();
        for (number, part) in self.manifest().segments.iter().enumerate() {
            let segment = self.load_segment(number)?;
            for local in 0..segment.entries() {
                let row = segment.row(segment.first_row(local));
                let attributes = row.attributes.unwrap_or_default();
                let has_bytes = EntryKind::from_number(row.kind).is_some_and(EntryKind::has_bytes);
                let file_hash = if has_bytes {
                    self.whole_hash(part.first_entry.saturating_add(local as u64), &row)?
                } else {
                    row.checksum
                };
                digest.add(row.path, row.kind, attributes.mode, attributes.link_target, &file_hash);
            }
        }
        Ok(digest.finish())
    }

    /// The number of the first entry whose path is not less than `path`.
    fn lower_bound(&self, path: &[u8]) -> Result<u64> {
        let segments = &self.manifest().segments;
        let number = segments.partition_point(|part| part.last_path.as_slice() < path);
        let mut from = segments.iter().enumerate().skip(number);
        let Some((number, part)) = from.find(|(_, part)| part.entries > 0) else {
            return Ok(self.entry_count());
        };
        if path <= part.first_path.as_slice() {
            return Ok(part.first_entry);
        }
        let local = self.segment(number)?.lower_bound(path);
        Ok(part.first_entry.saturating_add(local as u64))
    }

    /// Where an entry's rows start.
    pub(super) fn place(&self, index: u64) -> Result<Place> {
        let segments = &self.manifest().segments;
        let number = segments.partition_point(|part| part.end_entry() <= index);
        let Some(part) = segments.get(number) else {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("there is no entry {index}: the archive has {}", self.entry_count()),
            ));
        };
        let segment = self.segment(number)?;
        Ok(Place { segment, number, local: in_memory(index.saturating_sub(part.first_entry)) })
    }

    /// Calls `visit` with an entry's rows in order, from the first that ends behind `offset`, those in later
    /// segments included, until it returns `false`. Rows are found by bisection, in segments and across them.
    pub(super) fn visit_rows(
        &self,
        place: &Place,
        offset: u64,
        mut visit: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let range = place.segment.entry_rows(place.local);
        let goes_on = range.end == place.segment.rows();
        if !visit_range(&place.segment, range, offset, &mut visit)? || !goes_on {
            return Ok(());
        }
        let parts = &self.manifest().segments;
        // Segments in which no entry starts are rows of this entry throughout; one more may begin with its last rows.
        let mut from = place.number.saturating_add(1);
        let whole = parts.iter().skip(from).take_while(|part| part.entries == 0).count();
        let end = from.saturating_add(whole);
        let mut to = end;
        while from < to {
            let middle = from.midpoint(to);
            let segment = self.segment(middle)?;
            let last = segment.row(segment.rows().saturating_sub(1));
            if last.offset.saturating_add(last.size) <= offset { from = middle.saturating_add(1) } else { to = middle }
        }
        for number in from..end.saturating_add(1).min(parts.len()) {
            let segment = self.segment(number)?;
            if !visit_range(&segment, 0..segment.leading_rows(), offset, &mut visit)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn visit_range(
    segment: &Segment,
    range: Range<usize>,
    offset: u64,
    visit: &mut impl FnMut(&Row<'_>) -> Result<bool>,
) -> Result<bool> {
    let (mut from, mut to) = (range.start, range.end);
    while from < to {
        let middle = from.midpoint(to);
        if segment.slice_end(middle) <= offset { from = middle.saturating_add(1) } else { to = middle }
    }
    for i in from..range.end {
        if !visit(&segment.row(i))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The hash of an entry's whole bytes, from its first row; `None` where version 3 has none.
pub(crate) fn file_hash(row: &Row<'_>, attributes: &Attributes<'_>) -> Option<Digest> {
    Some(attributes.file_hash.unwrap_or(row.checksum)).filter(|hash| *hash != UNRECORDED)
}
