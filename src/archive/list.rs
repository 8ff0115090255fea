//! Entries, owned: a listing pins the segments that its entries are in, so that their paths live as long as it.

use std::sync::Arc;

use crate::archive::Archive;
use crate::archive::lookup::file_hash;
use crate::error::{Error, Result, Status};
use crate::format::hash::{Digest, UNRECORDED};
use crate::format::in_memory;
use crate::format::index::Segment;
use crate::format::row::{Attributes, EntryKind, Row};

/// A run of entries.
pub struct Listing {
    /// Segments in order, each with the number of its first entry; the last ones may hold no entry of the listing
    /// and only go on with the rows of one.
    segments: Vec<(u64, Arc<Segment>)>,
    first: u64,
    count: usize,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its number in the archive.
    pub index: u64,
    /// Its exact path.
    pub path: &'a [u8],
    /// Number of its kind; see [`EntryKind::from_number`].
    pub kind: u8,
    /// Mode, times, ids, link target and the like.
    pub attributes: Attributes<'a>,
    /// Logical size in bytes, holes included.
    pub size: u64,
    /// Its share of the stored bytes of its blobs, rounded down.
    pub stored_size: u64,
    /// Slices with bytes.
    pub slices: u32,
    /// BLAKE3 of its whole bytes, for kinds that have some.
    pub hash: Option<Digest>,
    /// Whether some of its bytes have no recorded checksum, as may be in version 3.
    pub unverified: bool,
}

impl Archive {
    /// Up to `count` entries from number `first` on; fewer at the end of the archive.
    pub fn list(&self, first: u64, count: usize) -> Result<Listing> {
        let total = self.entry_count();
        if first > total {
            let why = format!("there is no entry {first}: the archive has {total}");
            return Err(Error::new(Status::InvalidArgument, why));
        }
        let count = in_memory(total.saturating_sub(first)).min(count);
        let mut listing = Listing { segments: Vec::new(), first, count };
        if count == 0 {
            return Ok(listing);
        }
        let parts = &self.manifest().segments;
        let mut number = parts.partition_point(|part| part.end_entry() <= first);
        let end = first.saturating_add(count as u64);
        // Segments until the last entry is in, and until its rows end: the next segment begins with an entry.
        while let Some(part) = parts.get(number) {
            let segment = self.segment(number)?;
            if part.first_entry >= end && segment.leading_rows() == 0 {
                break;
            }
            let done = part.first_entry >= end && segment.leading_rows() < segment.rows();
            listing.segments.push((part.first_entry, segment));
            if done || (part.end_entry() > end) {
                break;
            }
            number = number.saturating_add(1);
        }
        Ok(listing)
    }
}

impl Listing {
    /// Entries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of the entry at a position, the place of its segment in the listing, and its number there.
    fn place(&self, position: usize) -> Option<(u64, usize, usize)> {
        if position >= self.count {
            return None;
        }
        let index = self.first.saturating_add(position as u64);
        let at =
            self.segments.partition_point(|(first, segment)| first.saturating_add(segment.entries() as u64) <= index);
        let (first, _) = self.segments.get(at)?;
        Some((index, at, in_memory(index.saturating_sub(*first))))
    }

    /// Path and link target of the entry at a position: what is cheap to get of many.
    pub fn names(&self, position: usize) -> Option<(&[u8], Option<&[u8]>)> {
        let (_, at, local) = self.place(position)?;
        let (_, segment) = self.segments.get(at)?;
        let row = segment.first_row(local);
        Some((segment.path(row), segment.link_target(row)))
    }

    /// An entry by its position in the listing.
    pub fn get(&self, position: usize) -> Option<Entry<'_>> {
        let (index, at, local) = self.place(position)?;
        let (_, segment) = self.segments.get(at)?;
        let range = segment.entry_rows(local);
        let row = segment.row(range.start);
        let attributes = row.attributes.unwrap_or_default();
        let mut shares = Shares::default();
        shares.add(&row);
        range.clone().skip(1).for_each(|i| shares.add(&segment.row(i)));
        if range.end == segment.rows() {
            self.add_continuation(at.saturating_add(1), &mut shares);
        }
        let has_bytes = EntryKind::from_number(row.kind).is_some_and(EntryKind::has_bytes);
        Some(Entry {
            index,
            path: row.path,
            kind: row.kind,
            attributes,
            size: attributes.file_size.unwrap_or(0),
            stored_size: shares.stored,
            slices: shares.slices,
            hash: if has_bytes { file_hash(&row, &attributes) } else { None },
            unverified: shares.unverified,
        })
    }

    fn add_continuation(&self, from: usize, shares: &mut Shares) {
        for (_, segment) in self.segments.iter().skip(from) {
            let leading = segment.leading_rows();
            (0..leading).for_each(|i| shares.add(&segment.row(i)));
            if leading < segment.rows() {
                return;
            }
        }
    }
}

#[derive(Default)]
struct Shares {
    stored: u64,
    slices: u32,
    unverified: bool,
}

impl Shares {
    fn add(&mut self, row: &Row<'_>) {
        if let Some(at) = row.location {
            // Blocks have at most 64 MiB, so that this is the rule; codecs of later versions may have bigger blobs.
            let share = match at.blob_size.checked_mul(row.size) {
                Some(product) => product.checked_div(at.block_size).unwrap_or(product),
                None => {
                    let product = u128::from(at.blob_size).saturating_mul(u128::from(row.size));
                    let share = product.checked_div(u128::from(at.block_size)).unwrap_or(product);
                    u64::try_from(share).unwrap_or(u64::MAX)
                }
            };
            self.stored = self.stored.saturating_add(share);
            self.slices = self.slices.saturating_add(1);
        }
        self.unverified |= row.checksum == UNRECORDED && row.kind == EntryKind::File as u8;
    }
}
