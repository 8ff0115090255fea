//! What of an archive is there and whole: by its manifest, and where that doesn't tell all, by a search.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::format::blobs::{self, Blob};
use crate::format::codec::Decompressor;
use crate::format::container::{self, FOOTER_LEN, HEAD_LEN, MAX_BLOCK, TRAILER_LEN, Trailer};
use crate::format::hash::hash;
use crate::format::index::{Expected, Segment};
use crate::format::manifest::{Manifest, Part};
use crate::format::recovery::{BlobFact, Rows};
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, Codecs};
use crate::format::xattrs;
use crate::progress::Reporter;
use crate::salvage::search::Search;
use crate::salvage::source::Damaged;

/// A blob, and whether a hash of it is known.
#[derive(Clone, Copy)]
pub(super) struct FoundBlob {
    pub(super) fact: BlobFact,
    pub(super) hashed: bool,
}

/// Segments that belong together, by their numbers.
#[derive(Default)]
pub(super) struct Set {
    pub(super) segments: BTreeMap<u32, Arc<Segment>>,
    /// How many there are in all, where that is known.
    pub(super) count: Option<u32>,
}

impl Set {
    pub(super) fn is_complete(&self) -> bool {
        self.count.is_some_and(|count| self.segments.len() == count as usize)
    }
}

/// What recovery records tell.
pub(super) enum Told {
    /// Those behind blobs, up to the next copy of the index.
    Rows(Vec<Rows>),
    /// A copy of the index.
    Copy(Set),
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) manifest: Option<Manifest>,
    /// Segments that the manifest lists, as far as they are whole.
    pub(super) index: Set,
    /// Those that aren't.
    pub(super) lost: Vec<Part>,
    /// What recovery records tell, in the order in which they stand: each append has added to it.
    pub(super) told: Vec<Told>,
    /// Segments that no manifest lists.
    pub(super) strays: Vec<Arc<Segment>>,
    /// The section of extended attributes, decoded, and how many sets it has.
    pub(super) xattrs: Option<(Vec<u8>, u64)>,
    pub(super) xattrs_lost: bool,
    /// Blobs, in order of offset.
    pub(super) blobs: Vec<FoundBlob>,
    /// Recovery records that are whole.
    pub(super) records: u64,
}

impl Found {
    pub(super) fn look(source: &Damaged, reporter: &mut Reporter) -> Result<Found> {
        let mut found = Found { manifest: manifest(source)?, ..Found::default() };
        if let Some(manifest) = found.manifest.take() {
            found.by_manifest(source, &manifest, reporter)?;
            found.manifest = Some(manifest);
        }
        let whole = found.manifest.is_some() && found.lost.is_empty() && !found.xattrs_lost;
        if !whole {
            Search::new(source).run(&mut found, reporter)?;
        }
        Ok(found)
    }

    /// Copies of the index, the latest first.
    pub(super) fn copies(&self) -> impl Iterator<Item = &Set> {
        self.told.iter().rev().filter_map(|told| match told {
            Told::Copy(set) => Some(set),
            Told::Rows(_) => None,
        })
    }

    /// The copy of the index behind everything else that recovery records tell, if all of it is there.
    pub(super) fn latest(&self) -> Option<&Set> {
        match self.told.last() {
            Some(Told::Copy(set)) if set.is_complete() => Some(set),
            _ => None,
        }
    }

    /// Recovery records behind blobs.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Rows> {
        self.told.iter().flat_map(|told| match told {
            Told::Rows(rows) => &rows[..],
            Told::Copy(_) => &[],
        })
    }

    /// Metadata of the archive, from the manifest or from any segment.
    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        if let Some(manifest) = &self.manifest {
            return manifest.metadata.clone();
        }
        let copies = self.copies().flat_map(|set| set.segments.values());
        match copies.chain(&self.strays).next() {
            Some(segment) => {
                let schema = segment.batch().schema();
                schema.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            }
            None => BTreeMap::new(),
        }
    }

    fn by_manifest(&mut self, source: &Damaged, manifest: &Manifest, reporter: &mut Reporter) -> Result<()> {
        let payload_end = manifest.payload_end();
        self.index.count = Some(manifest.segments.len() as u32);
        for (number, part) in manifest.segments.iter().enumerate() {
            reporter.tick(None)?;
            let expected = Expected {
                rows: part.rows as usize,
                entries: part.entries as usize,
                first_path: &part.first_path,
                last_path: &part.last_path,
                payload_end,
                codecs: Codecs::Version4,
            };
            let stream = content(source, part)?;
            match stream.map(|stream| whole(Segment::decode(stream, &expected))).transpose()?.flatten() {
                Some(segment) => {
                    self.index.segments.insert(number as u32, Arc::new(segment));
                }
                None => self.lost.push(part.clone()),
            }
        }
        if let Some(part) = manifest.section(xattrs::SECTION_NAME) {
            self.xattrs = content(source, part)?.map(|content| (content, part.rows));
            self.xattrs_lost = self.xattrs.is_none();
        }
        if let Some(part) = manifest.blob_table()
            && let Some(table) = content(source, part)?
            && let Some(table) = whole(blobs::decode(&table, part.rows, payload_end))?
        {
            self.blobs = table.iter().filter_map(of_table).collect();
        }
        Ok(())
    }
}

/// The manifest, if it is whole.
fn manifest(source: &Damaged) -> Result<Option<Manifest>> {
    let ends = (TRAILER_LEN + FOOTER_LEN).min(source.size());
    let Some(tail) = source.bytes(source.size() - ends, ends)? else { return Ok(None) };
    let trailer = match Trailer::decode(&tail, source.size()) {
        Ok(trailer) => trailer,
        // The first bytes are those of version 4 alone: so the trailer is damaged.
        Err(error) if error.rule() == Some("trailer.magic") && begins_as_version_4(source)? => return Ok(None),
        // Of another version, and not damaged as far as that can be told.
        Err(error) if error.status() == Status::Version => return Err(error),
        Err(error) => return whole(Err(error)),
    };
    let Some(bytes) = source.bytes(trailer.manifest_offset, trailer.manifest_len)? else { return Ok(None) };
    if trailer.check(&bytes).is_err() {
        return Ok(None);
    }
    match Manifest::decode(&bytes, trailer.manifest_offset) {
        Err(error) if error.status() == Status::Version => Err(error),
        result => whole(result),
    }
}

fn begins_as_version_4(source: &Damaged) -> Result<bool> {
    let head = container::head();
    let found = if source.size() < HEAD_LEN { None } else { source.bytes(0, HEAD_LEN)? };
    Ok(found.is_some_and(|found| found == head))
}

/// The content of a part, if its hash is right.
fn content(source: &Damaged, part: &Part) -> Result<Option<Vec<u8>>> {
    let Some(stored) = source.bytes(part.offset, part.len)? else { return Ok(None) };
    if hash(&stored) != part.hash {
        return Ok(None);
    }
    if part.raw_len == 0 { Ok(Some(stored)) } else { decoded(&stored, part.raw_len) }
}

pub(super) fn decoded(frame: &[u8], len: u64) -> Result<Option<Vec<u8>>> {
    if len > MAX_BLOCK {
        return Ok(None);
    }
    let mut bytes = crate::error::zeroed(len as usize)?;
    whole(Decompressor::new()?.decompress(frame, &mut bytes)).map(|done| done.map(|()| bytes))
}

/// `None` for what is malformed; what is no fault of the archive stays an error.
pub(super) fn whole<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_about_its_object() || error.status() == Status::Limit => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn of_table(blob: &Blob) -> Option<FoundBlob> {
    // Below a saving of a few bytes a block is stored, so that only stored blobs are as long as their blocks.
    let codec = if blob.stored == blob.decoded { CODEC_STORED } else { CODEC_ZSTD };
    let Blob { offset, stored, decoded, hash } = *blob;
    (decoded > 0).then_some(FoundBlob { fact: BlobFact { offset, stored, decoded, codec, hash }, hashed: true })
}

/// An error that says why an entry is lost.
pub(super) fn lost(why: &str, path: &[u8]) -> Error {
    Error::refused(Status::Corrupt, "salvage.lost", why).with_entry(path)
}
