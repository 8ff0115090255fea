//! Looks at every byte of the damaged file, for what its manifest doesn't tell of: recovery records, the blob table,
//! segments, and at last bare zstd frames.

use std::cell::Cell;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::error::Result;
use crate::format::blobs::Blob;
use crate::format::container::{HEAD_LEN, MAX_BLOCK, SEGMENT_ALIGN, read_digest, read_u32, read_u64};
use crate::format::index::Segment;
use crate::format::manifest::Manifest;
use crate::format::recovery::{self, BlobFact, Rows, What};
use crate::format::row::CODEC_ZSTD;
use crate::format::{codec, ipc_guard};
use crate::progress::Reporter;
use crate::salvage::find::{Found, FoundBlob, Set, Told, decoded, of_table, whole};
use crate::salvage::source::Damaged;

/// Bytes that are searched at a time.
const WINDOW: usize = 4 << 20;
/// Bytes that windows share, so that nothing is cut by their border.
const OVERLAP: usize = 64;
/// Bytes of a zstd frame that are read at first, to see how long it is; and so on by this factor.
const FIRST_GUESS: u64 = 256 << 10;
const NEXT_GUESS: u64 = 16;

/// Most offsets at which a frame seems to begin that are looked at.
const MAX_FRAMES: usize = 8 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const ARROW_START: [u8; 4] = [0xFF; 4];
/// Where a blob table begins: 8 zero bytes and the offset of the first blob.
const TABLE_START: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0];

/// Looks at every byte.
pub(super) struct Search<'a> {
    source: &'a Damaged,
    /// Offsets at which something may begin.
    records: Vec<u64>,
    tables: Vec<u64>,
    segments: Vec<u64>,
    frames: Vec<u64>,
    /// Bytes that may still be read and decoded to see what begins at an offset.
    budget: Cell<u64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(source: &'a Damaged) -> Search<'a> {
        // Whoever makes a file in which something seems to begin everywhere gets an end all the same.
        let budget = Cell::new(source.size().saturating_mul(16).saturating_add(4 << 30));
        let (records, tables, segments, frames) = Default::default();
        Search { source, records, tables, segments, frames, budget }
    }

    pub(super) fn run(mut self, found: &mut Found, reporter: &mut Reporter) -> Result<()> {
        self.scan(reporter)?;
        self.take_records(found, reporter)?;
        let mut payload_end = found.manifest.as_ref().map(Manifest::payload_end);
        if found.manifest.is_none() {
            payload_end = self.take_table(found, reporter)?;
        }
        if found.blobs.is_empty() {
            let known = found.rows().map(|rows| FoundBlob { fact: rows.blob, hashed: true });
            found.blobs = known.filter(|blob| blob.fact.decoded > 0 && blob.fact.decoded <= MAX_BLOCK).collect();
            found.blobs.sort_unstable_by_key(|blob| blob.fact.offset);
        }
        if found.manifest.is_none() && found.latest().is_none() {
            self.take_segments(found, payload_end, reporter)?;
        }
        if found.blobs.is_empty() && found.manifest.is_none() {
            self.take_frames(found, reporter)?;
        }
        Ok(())
    }

    /// Notes all offsets at which something may begin.
    fn scan(&mut self, reporter: &mut Reporter) -> Result<()> {
        let (record, table) = (Finder::new(recovery::MAGIC), Finder::new(&TABLE_START));
        let (zstd, arrow) = (Finder::new(&ZSTD_MAGIC), Finder::new(&ARROW_START));
        let size = self.source.size();
        let mut window = crate::error::zeroed(WINDOW.min(size as usize))?;
        let mut start = 0;
        while start < size {
            reporter.tick(None)?;
            let len = (size - start).min(window.len() as u64) as usize;
            let bytes = &mut window[..len];
            self.source.read_somehow(start, bytes)?;
            let last = start + len as u64 == size;
            // What begins in the bytes that the next window has too is found there.
            let limit = if last { len } else { len - OVERLAP };
            let at = |offset: usize| start + offset as u64;
            let before = |offset: &usize| *offset < limit;
            let records = record
                .find_iter(bytes)
                .filter(before)
                .filter_map(|found| at(found).checked_sub(recovery::MAGIC_AT as u64));
            self.records.extend(records);
            self.tables.extend(table.find_iter(bytes).filter(before).map(at));
            let aligned = |offset: &u64| offset.is_multiple_of(SEGMENT_ALIGN);
            self.segments.extend(arrow.find_iter(bytes).filter(before).map(at).filter(aligned));
            for offset in zstd.find_iter(bytes).filter(before).map(at) {
                if self.frames.len() < MAX_FRAMES {
                    self.frames.push(offset);
                }
                if aligned(&offset) {
                    self.segments.push(offset);
                }
            }
            reporter.counters().add(0, limit as u64);
            start += limit as u64;
        }
        self.segments.sort_unstable();
        Ok(())
    }

    fn take_records(&mut self, found: &mut Found, reporter: &mut Reporter) -> Result<()> {
        let (mut set, mut rows) = (Set::default(), Vec::new());
        for offset in std::mem::take(&mut self.records) {
            reporter.tick(None)?;
            let Some(header) = self.bytes(offset, recovery::HEADER as u64)? else { continue };
            let Some(len) = recovery::length(&header, offset) else { continue };
            let Some(bytes) = self.bytes(offset, len)? else { continue };
            let Some(record) = recovery::decode(&bytes, offset)? else { continue };
            found.records += 1;
            match record.what {
                What::Rows => {
                    put_set(found, &mut set);
                    rows.extend(Rows::decode(&record.content).filter(|rows| fits(&rows.blob, offset)));
                }
                What::Segment => {
                    put_rows(found, &mut rows);
                    if set.segments.contains_key(&record.number) || record.number == 0 {
                        put_set(found, &mut set);
                    }
                    if let Some(segment) = whole(Segment::decode_alone(record.content, offset))? {
                        set.segments.insert(record.number, Arc::new(segment));
                    }
                }
                What::Xattrs if found.xattrs.is_none() || found.manifest.is_none() => {
                    found.xattrs = Some((record.content, u64::from(record.number)));
                }
                What::Xattrs => {}
                What::End => {
                    put_rows(found, &mut rows);
                    set.count = Some(record.number);
                    put_set(found, &mut set);
                }
            }
        }
        put_rows(found, &mut rows);
        put_set(found, &mut set);
        found.xattrs_lost &= found.xattrs.is_none();
        Ok(())
    }

    /// The blob table, which fits nowhere but where it stands; the end of the payload where it is found.
    fn take_table(&self, found: &mut Found, reporter: &mut Reporter) -> Result<Option<u64>> {
        for &offset in self.tables.iter().rev() {
            reporter.tick(None)?;
            let (mut at, mut end) = (offset + 8, HEAD_LEN);
            let mut table = Vec::new();
            while end < offset {
                let Some(record) = self.bytes(at, 56)? else { break };
                let blob = Blob {
                    offset: read_u64(&record, 0),
                    stored: read_u64(&record, 8),
                    decoded: read_u64(&record, 16),
                    hash: read_digest(&record, 24),
                };
                if blob.offset != end || blob.stored == 0 || blob.decoded > MAX_BLOCK {
                    break;
                }
                end = end.saturating_add(blob.stored);
                at += 56;
                table.push(blob);
            }
            if end == offset {
                found.blobs = table.iter().filter_map(of_table).collect();
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// Segments that no manifest lists, behind the payload where its end is known.
    fn take_segments(&self, found: &mut Found, payload_end: Option<u64>, reporter: &mut Reporter) -> Result<()> {
        let mut from = payload_end.unwrap_or(0);
        for &offset in &self.segments {
            reporter.tick(None)?;
            if offset < from {
                continue;
            }
            let Some(start) = self.bytes(offset, 4)? else { continue };
            let (stream, len) = if start == ARROW_START {
                match self.arrow_stream(offset)? {
                    Some(stream) => {
                        let len = stream.len() as u64;
                        (stream, len)
                    }
                    None => continue,
                }
            } else {
                match self.frame(offset)? {
                    Some(frame) if frame.0.starts_with(&ARROW_START) => frame,
                    _ => continue,
                }
            };
            let end = payload_end.unwrap_or(offset);
            if let Some(segment) = whole(Segment::decode_alone(stream, end))? {
                found.strays.push(Arc::new(segment));
                from = offset + len;
            }
        }
        Ok(())
    }

    /// Blocks of which nothing is known but that they decode.
    fn take_frames(&self, found: &mut Found, reporter: &mut Reporter) -> Result<()> {
        let mut from = HEAD_LEN;
        for &offset in &self.frames {
            reporter.tick(None)?;
            if offset < from {
                continue;
            }
            let Some((block, stored)) = self.frame(offset)? else { continue };
            if block.starts_with(&ARROW_START) {
                continue;
            }
            let fact = BlobFact { offset, stored, decoded: block.len() as u64, codec: CODEC_ZSTD, hash: [0; 32] };
            found.blobs.push(FoundBlob { fact, hashed: false });
            from = offset + stored;
        }
        Ok(())
    }

    /// The zstd frame at an offset, decoded, and how long it is, if it is one such as archives have.
    fn frame(&self, offset: u64) -> Result<Option<(Vec<u8>, u64)>> {
        let rest = self.source.size() - offset;
        let Some(header) = self.bytes(offset, rest.min(18))? else { return Ok(None) };
        let Some(len) = codec::block_len(&header).filter(|len| *len > 0 && *len <= MAX_BLOCK) else { return Ok(None) };
        let most = rest.min(codec::bound(len as usize) as u64);
        let mut guess = FIRST_GUESS.min(most);
        loop {
            let Some(mut bytes) = self.bytes(offset, guess)? else { return Ok(None) };
            if let Some(stored) = codec::frame_len(&bytes) {
                bytes.truncate(stored);
                self.spend(len);
                return Ok(decoded(&bytes, len)?.map(|block| (block, stored as u64)));
            }
            if guess == most {
                return Ok(None);
            }
            guess = (guess * NEXT_GUESS).min(most);
        }
    }

    /// The Arrow stream at an offset.
    fn arrow_stream(&self, offset: u64) -> Result<Option<Vec<u8>>> {
        let most = (self.source.size() - offset).min(MAX_BLOCK);
        let mut guess = FIRST_GUESS.min(most);
        loop {
            let Some(mut bytes) = self.bytes(offset, guess)? else { return Ok(None) };
            if let Ok(len) = ipc_guard::stream_len(&bytes) {
                bytes.truncate(len);
                return Ok(Some(bytes));
            }
            // The first message is the schema: what doesn't begin with one is no stream, however much is read.
            if guess == most || u64::from(read_u32(&bytes, 4)) > guess {
                return Ok(None);
            }
            guess = (guess * NEXT_GUESS).min(most);
        }
    }

    fn bytes(&self, offset: u64, len: u64) -> Result<Option<Vec<u8>>> {
        if self.budget.get() == 0 {
            return Ok(None);
        }
        self.spend(len);
        self.source.bytes(offset, len)
    }

    fn spend(&self, bytes: u64) {
        self.budget.set(self.budget.get().saturating_sub(bytes));
    }
}

/// Whether a record of rows at `offset` is about a blob before it.
fn fits(blob: &BlobFact, offset: u64) -> bool {
    let end = blob.offset.checked_add(blob.stored);
    blob.offset >= HEAD_LEN && end == Some(offset) && blob.decoded > 0 && blob.decoded <= MAX_BLOCK
}

fn put_rows(found: &mut Found, rows: &mut Vec<Rows>) {
    if !rows.is_empty() {
        found.told.push(Told::Rows(std::mem::take(rows)));
    }
}

fn put_set(found: &mut Found, set: &mut Set) {
    let set = std::mem::take(set);
    if !set.segments.is_empty() || set.count == Some(0) {
        found.told.push(Told::Copy(set));
    }
}
