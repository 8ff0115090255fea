//! Rows of version 3 into a segment, which is then checked as any other.

use std::sync::Arc;

use crate::archive::v3::open::Index;
use crate::archive::v3::order::Pick;
use crate::error::{Error, Result, Status};
use crate::format::hash::UNRECORDED;
use crate::format::in_memory;
use crate::format::index::{Expected, Segment, SegmentBuilder};
use crate::format::manifest::Part;
use crate::format::row::{Attributes, CODEC_DELTA, CODEC_OPENZL, CODEC_STORED, Codecs, EntryKind, Location, Row};
use crate::format::schema;
use crate::format::v3::MAX_SLICE;
use crate::format::v3::columns::RawRow;

impl Index {
    /// Makes segment `number`; `part` says of it what the manifest does.
    pub(in crate::archive) fn segment(&self, number: usize, part: &Part) -> Result<Segment> {
        let range = self.order.segment(number);
        let range = range.ok_or_else(|| Error::new(Status::InvalidArgument, "there is no such index segment"))?;
        let mut builder = SegmentBuilder::with_extras(self.labels.columns())?;
        for at in range {
            self.push(&mut builder, at)?;
        }
        let schema = schema::index(self.labels.columns(), &schema::Metadata::new());
        let batch = builder.finish_batch(&schema)?;
        let bytes = batch.get_array_memory_size();
        let expected = Expected {
            rows: in_memory(part.rows),
            entries: in_memory(part.entries),
            first_path: &part.first_path,
            last_path: &part.last_path,
            payload_end: self.payload_end,
            codecs: Codecs::Version3,
        };
        Segment::of_batch(batch, bytes, &expected)
    }

    fn push(&self, builder: &mut SegmentBuilder, at: usize) -> Result<()> {
        let pick = *self.order.picks().get(at).ok_or_else(no_row)?;
        if pick.is_directory() {
            let records = self.fsmeta.get(pick.batch()).ok_or_else(no_row)?;
            let mode = records.mode(pick.row());
            return builder.push(&directory(records.path(pick.row()).as_bytes(), mode));
        }
        let raw = self.raw(pick).ok_or_else(no_row)?;
        let named = |error: Error| error.with_entry(raw.path.as_bytes());
        let first = raw.chunk_seq == 0;
        if !first {
            self.check_follows(at, &raw).map_err(named)?;
        }
        let attributes = if first { Some(self.attributes(at, pick, &raw).map_err(named)?) } else { None };
        let location = self.location(&raw).map_err(named)?;
        let row = Row {
            path: raw.path.as_bytes(),
            chunk_seq: raw.chunk_seq,
            offset: raw.offset,
            size: raw.size,
            checksum: raw.checksum,
            kind: EntryKind::File as u8,
            location,
            attributes,
        };
        builder.push_with(&row, self.labels.values(self.rows.get(pick.batch()).ok_or_else(no_row)?, pick.row(), first))
    }

    fn raw(&self, pick: Pick) -> Option<RawRow<'_>> {
        Some(self.rows.get(pick.batch())?.get(pick.row()))
    }

    /// In version 3 slices are the whole file. Without this check, one that is missing would read as zeros.
    fn check_follows(&self, at: usize, raw: &RawRow<'_>) -> Result<()> {
        let before =
            at.checked_sub(1).and_then(|before| self.order.picks().get(before)).filter(|pick| !pick.is_directory());
        let follows = before.and_then(|pick| self.raw(*pick)).is_some_and(|before| {
            before.path == raw.path
                && before.chunk_seq.checked_add(1) == Some(raw.chunk_seq)
                && before.offset.checked_add(before.size) == Some(raw.offset)
        });
        if follows {
            Ok(())
        } else {
            Err(Error::corrupt("older.slices", "a slice of the file is missing, or slices overlap"))
        }
    }

    fn attributes(&self, at: usize, pick: Pick, raw: &RawRow<'_>) -> Result<Attributes<'_>> {
        if raw.offset != 0 {
            return Err(Error::corrupt("older.slices", "the file's first slice doesn't start at 0"));
        }
        let later = self.order.picks().iter().skip(at.saturating_add(1)).filter(|pick| !pick.is_directory());
        let later = later.map_while(|pick| self.raw(*pick));
        let (mut size, mut slices) = (raw.size, 1u64);
        for next in later.take_while(|next| next.path == raw.path) {
            size = size
                .checked_add(next.size)
                .ok_or_else(|| Error::corrupt("older.slices", "the file's size overflows"))?;
            slices = slices.saturating_add(1);
        }
        let part = self.part_of.get(pick.batch()).and_then(|number| self.parts.get(*number)).ok_or_else(no_row)?;
        let of_part = Some(part.pkg_type).filter(|number| *number != 0);
        let of_row = self.rows.get(pick.batch()).is_some_and(|rows| rows.has_pkg_type());
        Ok(Attributes {
            mode: self.mode(raw.path),
            file_size: Some(size),
            file_hash: (slices > 1).then_some(UNRECORDED),
            pkg_type: if of_row { raw.pkg_type } else { of_part },
            repo: Some(part.repo.as_str()).filter(|repo| !repo.is_empty()),
            ..Attributes::default()
        })
    }

    fn mode(&self, path: &str) -> Option<u32> {
        let path_of = |pick: &Pick| self.fsmeta.get(pick.batch()).map_or("", |records| records.path(pick.row()));
        match self.modes.binary_search_by(|pick| path_of(pick).cmp(path)) {
            Ok(at) => self.modes.get(at).and_then(|pick| self.fsmeta.get(pick.batch())?.mode(pick.row())),
            Err(_) => self.default_mode,
        }
    }

    fn location(&self, raw: &RawRow<'_>) -> Result<Option<Location>> {
        if raw.size > MAX_SLICE {
            let why = format!("a slice has {} bytes; slices of over 1 GiB are not read", raw.size);
            return Err(Error::refused(Status::Limit, "older.slice_size", why));
        }
        let key = (raw.path.as_bytes(), raw.chunk_seq);
        let is_delta = self.deltas.binary_search_by(|(path, seq)| (path.as_slice(), *seq).cmp(&key)).is_ok();
        if raw.size == 0 && !is_delta {
            // 0.7 has a frame of no bytes there, later ones have nothing.
            return Ok(None);
        }
        let codec = match raw.compressed {
            _ if is_delta => CODEC_DELTA,
            true => CODEC_OPENZL,
            false => CODEC_STORED,
        };
        Ok(Some(Location {
            blob_offset: raw.blob_offset,
            blob_size: raw.blob_size,
            block_offset: 0,
            block_size: raw.size,
            codec,
        }))
    }
}

fn directory(path: &[u8], mode: Option<u32>) -> Row<'_> {
    Row {
        path,
        chunk_seq: 0,
        offset: 0,
        size: 0,
        checksum: [0; 32],
        kind: EntryKind::Directory as u8,
        location: None,
        attributes: Some(Attributes { mode, ..Attributes::default() }),
    }
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Index>>();
};

fn no_row() -> Error {
    Error::new(Status::Panic, "the order names a row that is not there")
}
