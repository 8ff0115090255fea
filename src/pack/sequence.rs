//! Dedup and grouping, in plan order: what was read becomes slices and blocks.
//!
//! Runs on one thread and looks at hashes and numbers, never at timing, so that the layout is the same however
//! many readers there are. Bytes move only where duplicates or holes leave gaps in a buffer.

use hashbrown::HashTable;

use crate::error::{Error, Result, Status, reserve};
use blake3::hazmat::ChainingValue;

use crate::format::hash::{Digest, WindowMerger};
use crate::options::Layout;
use crate::pack::plan::{Class, Plan, Unit};
use crate::pack::read::{Content, Piece, ReadUnit};
use crate::pack::scan::Tree;
use crate::stats::Stats;

/// Where bytes are, once: 44 bytes.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    pub(super) checksum: Digest,
    pub(super) block: u32,
    pub(super) start: u32,
    pub(super) len: u32,
}

/// What a file consists of.
pub(super) enum FileContent<'a> {
    /// No bytes, and no holes.
    Empty,
    /// One slice is the whole file.
    One(&'a Slice),
    /// Slices at offsets, holes between them, and the hash of the whole.
    Many(&'a [(u64, u32)], Digest),
}

#[derive(Default)]
struct Parts {
    slices: Vec<(u64, u32)>,
    windows: WindowMerger,
    hash: Option<Digest>,
    /// Some of its bytes were not there before.
    fresh: bool,
}

/// A block on its way to a worker.
pub(super) struct Block {
    pub(super) number: u32,
    /// Holds the block's bytes at its start.
    pub(super) buffer: Vec<u8>,
    pub(super) len: usize,
    /// Known not to compress.
    pub(super) noise: bool,
}

/// A buffer that more small files may join.
struct Pending {
    buffer: Vec<u8>,
    len: usize,
    slices: Vec<u32>,
}

const EMPTY: u32 = u32::MAX;
const PARTS: u32 = 1 << 31;
/// A block that is not numbered yet.
const UNNUMBERED: u32 = u32::MAX;

/// Turns units into slices and blocks.
pub(super) struct Sequencer<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    slices: Vec<Slice>,
    by_checksum: HashTable<u32>,
    /// For each record: a slice, or `PARTS` and a number of `parts`, or `EMPTY`.
    contents: Vec<u32>,
    parts: Vec<Parts>,
    dropped: Vec<u32>,
    pending: Option<Pending>,
    class: Class,
    blocks: u32,
    pub(super) stats: Stats,
}

/// What a unit gives: blocks that are complete now, and buffers that are free again.
#[derive(Default)]
pub(super) struct Sequenced {
    pub(super) blocks: Vec<Block>,
    pub(super) buffers: Vec<Vec<u8>>,
    pub(super) skipped: Vec<Error>,
    /// Files and bytes that are dealt with: holes and duplicates count here, blocks when they are written.
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl<'a> Sequencer<'a> {
    pub(super) fn new(tree: &'a Tree, plan: &'a Plan, layout: &'a Layout) -> Result<Sequencer<'a>> {
        let mut contents = Vec::new();
        reserve(&mut contents, tree.records.len())?;
        contents.resize(tree.records.len(), EMPTY);
        let mut parts: Vec<Parts> = Vec::new();
        for file in &plan.big {
            contents[file.record as usize] = PARTS | parts.len() as u32;
            parts.push(Parts::default());
        }
        Ok(Sequencer {
            plan,
            layout,
            slices: Vec::new(),
            by_checksum: HashTable::new(),
            contents,
            parts,
            dropped: Vec::new(),
            pending: None,
            class: Class::Ordinary,
            blocks: 0,
            stats: Stats::default(),
        })
    }

    /// Takes up the next unit in plan order.
    pub(super) fn unit(&mut self, unit: &Unit, mut buffer: Vec<u8>, read: ReadUnit) -> Result<Sequenced> {
        let mut out = Sequenced::default();
        for (record, error) in read.skipped {
            // Each window of a big file fails on its own; one report is enough.
            if self.dropped.last() != Some(&record) {
                self.dropped.push(record);
                out.skipped.push(error);
            }
        }
        match (unit, read.content) {
            (Unit::Small { class, bytes, .. }, Content::Small(files)) => {
                if *class != self.class {
                    self.flush(&mut out);
                    self.class = *class;
                }
                let mut from = 0;
                let mut kept = Kept::default();
                out.entries += files.len() as u64;
                for file in files {
                    let pieces = &read.pieces[from..file.pieces_end];
                    from = file.pieces_end;
                    self.small_file(file.record, pieces, file.whole, &mut kept, &mut buffer)?;
                }
                out.bytes += (*bytes - kept.len) as u64;
                self.group(buffer, kept, &mut out);
            }
            (Unit::Window { big, number, len, .. }, Content::Window { value, whole, noise }) => {
                self.flush(&mut out);
                let mut kept = Kept::default();
                for piece in &read.pieces {
                    let slice = self.place(piece, &mut kept, &mut buffer)?;
                    self.parts[*big as usize].slices.push((piece.offset, slice));
                }
                let bytes: usize = read.pieces.iter().map(|piece| piece.len).sum();
                self.stats.duplicate_bytes += (bytes - kept.len) as u64;
                self.parts[*big as usize].fresh |= kept.len > 0;
                out.entries += u64::from(self.end_window(*big, *number, value, whole));
                out.bytes += (*len - kept.len) as u64;
                self.emit(buffer, kept, noise, &mut out);
            }
            _ => return Err(Error::new(Status::Panic, "a unit came back as another kind")),
        }
        Ok(out)
    }

    /// After the last unit.
    pub(super) fn end(&mut self) -> Sequenced {
        let mut out = Sequenced::default();
        self.flush(&mut out);
        out
    }

    /// What the file with this record number consists of; `None` where it was left out.
    pub(super) fn content(&self, record: u32) -> FileContent<'_> {
        match self.contents[record as usize] {
            EMPTY => FileContent::Empty,
            parts if parts & PARTS != 0 => {
                let parts = &self.parts[(parts & !PARTS) as usize];
                match (&parts.slices[..], parts.hash) {
                    ([(0, slice)], None) => FileContent::One(&self.slices[*slice as usize]),
                    (slices, hash) => FileContent::Many(slices, hash.unwrap_or_default()),
                }
            }
            slice => FileContent::One(&self.slices[slice as usize]),
        }
    }

    /// A slice by its number.
    pub(super) fn slice(&self, number: u32) -> &Slice {
        &self.slices[number as usize]
    }

    /// Records that are left out because reading them failed, in order.
    pub(super) fn take_dropped(&mut self) -> Vec<u32> {
        let mut dropped = std::mem::take(&mut self.dropped);
        dropped.sort_unstable();
        dropped.dedup();
        dropped
    }

    fn small_file(
        &mut self,
        record: u32,
        pieces: &[Piece],
        whole: Option<Digest>,
        kept: &mut Kept,
        buffer: &mut [u8],
    ) -> Result<()> {
        let before = kept.len;
        let bytes: usize = pieces.iter().map(|piece| piece.len).sum();
        let content = match (pieces, whole) {
            ([], None) => EMPTY,
            ([piece], None) => self.place(piece, kept, buffer)?,
            (pieces, hash) => {
                let mut parts = Parts { hash, ..Parts::default() };
                for piece in pieces {
                    parts.slices.push((piece.offset, self.place(piece, kept, buffer)?));
                }
                self.parts.push(parts);
                PARTS | (self.parts.len() - 1) as u32
            }
        };
        self.contents[record as usize] = content;
        if bytes > 0 && kept.len == before {
            self.stats.duplicate_files += 1;
        }
        self.stats.duplicate_bytes += (bytes - (kept.len - before)) as u64;
        Ok(())
    }

    /// The slice with a piece's bytes: one that is there already, or a new one behind what the buffer keeps.
    fn place(&mut self, piece: &Piece, kept: &mut Kept, buffer: &mut [u8]) -> Result<u32> {
        let key = u64::from_le_bytes(piece.checksum[..8].try_into().unwrap_or_default());
        let slices = &self.slices;
        let same = |number: &u32| slices[*number as usize].checksum == piece.checksum;
        if let Some(number) = self.by_checksum.find(key, same) {
            return Ok(*number);
        }
        if piece.start != kept.len {
            buffer.copy_within(piece.start..piece.start + piece.len, kept.len);
        }
        if self.slices.len() == self.slices.capacity() {
            let more = (self.slices.len() / 4).max(1024);
            reserve(&mut self.slices, more)?;
        }
        let number = self.slices.len() as u32;
        if number >= PARTS {
            return Err(Error::new(Status::Limit, "the tree has over two billion slices"));
        }
        self.slices.push(Slice {
            checksum: piece.checksum,
            block: UNNUMBERED,
            start: kept.len as u32,
            len: piece.len as u32,
        });
        let slices = &self.slices;
        self.by_checksum.insert_unique(key, number, |number| {
            let checksum = &slices[*number as usize].checksum;
            u64::from_le_bytes(checksum[..8].try_into().unwrap_or_default())
        });
        kept.slices.push(number);
        kept.len += piece.len;
        Ok(number)
    }

    /// Small files: a full buffer is a block; what duplicates have left of others is put together.
    fn group(&mut self, buffer: Vec<u8>, kept: Kept, out: &mut Sequenced) {
        if let Some(pending) = &mut self.pending {
            if pending.len + kept.len <= self.layout.block_size {
                pending.buffer[pending.len..pending.len + kept.len].copy_from_slice(&buffer[..kept.len]);
                for number in kept.slices {
                    self.slices[number as usize].start += pending.len as u32;
                    pending.slices.push(number);
                }
                pending.len += kept.len;
                out.buffers.push(buffer);
                return;
            }
            self.flush(out);
        }
        if kept.len * 2 < self.layout.block_size && kept.len > 0 {
            self.pending = Some(Pending { buffer, len: kept.len, slices: kept.slices });
        } else {
            self.emit(buffer, kept, false, out);
        }
    }

    fn flush(&mut self, out: &mut Sequenced) {
        if let Some(pending) = self.pending.take() {
            self.emit(pending.buffer, Kept { len: pending.len, slices: pending.slices }, false, out);
        }
    }

    fn emit(&mut self, buffer: Vec<u8>, kept: Kept, noise: bool, out: &mut Sequenced) {
        if kept.len == 0 {
            out.buffers.push(buffer);
            return;
        }
        for number in &kept.slices {
            self.slices[*number as usize].block = self.blocks;
        }
        out.blocks.push(Block { number: self.blocks, buffer, len: kept.len, noise });
        self.blocks += 1;
    }

    /// Whether this was the file's last window.
    fn end_window(&mut self, big: u32, number: u32, value: Option<ChainingValue>, whole: Option<Digest>) -> bool {
        let file = self.plan.big[big as usize];
        let parts = &mut self.parts[big as usize];
        if let Some(value) = value {
            parts.windows.push(value);
        }
        if number + 1 < file.windows {
            return false;
        }
        let windows = std::mem::take(&mut parts.windows);
        // A file that was left out has fewer values than windows.
        let complete = windows.count() == u64::from(file.windows);
        parts.hash = if complete { windows.finish() } else { whole };
        if !parts.fresh && !parts.slices.is_empty() {
            self.stats.duplicate_files += 1;
        }
        true
    }
}

/// What stays in a buffer.
#[derive(Default)]
struct Kept {
    len: usize,
    slices: Vec<u32>,
}
