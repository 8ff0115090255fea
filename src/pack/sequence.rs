//! Dedup and grouping, in plan order: what was read becomes slices and blocks.
//!
//! Runs on one thread and looks at hashes and numbers, never at timing, so that the layout is the same however
//! many readers there are. Bytes move only where duplicates or holes leave gaps in a buffer, and where windows of big
//! files come one by one and share blocks.

mod group;
mod slices;

use crate::error::{Error, Result, Status, push, reserve};
use crate::format::hash::{Digest, WindowMerger};
use crate::options::Layout;
use crate::pack::read::{Content, Piece, ReadUnit, WindowRead};
use crate::pack::recovery::{Ended, Log, Noted};
use crate::stats::Stats;

pub(super) use group::{Block, BlockKind, StoredBlock};
use group::{Kept, Pending};
pub(super) use slices::{Relied, Slice};
use slices::{Slices, UNNUMBERED};

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
    /// Whose they are, and bytes so far: for recovery records.
    entry: u32,
    len: u64,
    slices: Vec<(u64, u32)>,
    windows: WindowMerger,
    /// The hash of the whole, where one slice isn't the whole.
    hash: Option<Digest>,
    /// Some of its bytes were not there before.
    fresh: bool,
    /// It is left out.
    dropped: bool,
}

/// Slices of big files, beside the classes of small ones.
const BIG: usize = 2;

const EMPTY: u32 = u32::MAX;
const PARTS: u32 = 1 << 31;
/// Slices' numbers are below it, since those above say something else in [`Sequencer::contents`].
const MAX_SLICES: u32 = PARTS;

/// Turns units into slices and blocks.
pub(super) struct Sequencer {
    block_size: usize,
    /// The longest slice of a big file, where those share blocks.
    shared_slice: Option<usize>,
    pub(super) slices: Slices,
    /// For each entry: a slice, or `PARTS` and a number of `parts`, or `EMPTY`.
    contents: Vec<u32>,
    parts: Vec<Parts>,
    dropped: Vec<u32>,
    /// By class, and of big files.
    pending: [Option<Pending>; 3],
    blocks: u32,
    /// For recovery records.
    log: Option<Log>,
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

impl Sequencer {
    pub(super) fn new(layout: &Layout) -> Sequencer {
        Sequencer {
            block_size: layout.block_size,
            shared_slice: layout.shares_slices().then_some(layout.slice_size),
            slices: Slices::default(),
            contents: Vec::new(),
            parts: Vec::new(),
            dropped: Vec::new(),
            pending: [None, None, None],
            blocks: 0,
            log: None,
            stats: Stats::default(),
        }
    }

    /// Notes from now on what recovery records need.
    pub(super) fn keep_log(&mut self) {
        self.log = Some(Log::default());
    }

    /// What is to stand in the record of a block.
    pub(super) fn take_noted(&mut self, block: u32) -> Option<(Vec<Noted>, Vec<Ended>)> {
        self.log.as_mut().map(|log| log.take(block))
    }

    /// Makes room for the entries with the next `count` numbers.
    pub(super) fn expect_entries(&mut self, count: usize) -> Result<()> {
        if self.contents.capacity() - self.contents.len() < count {
            let more = count.max(self.contents.len() / 4);
            reserve(&mut self.contents, more)?;
        }
        self.contents.resize(self.contents.len() + count, EMPTY);
        Ok(())
    }

    /// A number for a file that comes in windows.
    pub(super) fn expect_windows(&mut self, entry: u32) -> Result<u32> {
        let number = self.parts.len() as u32;
        if number >= PARTS {
            return Err(Error::new(Status::Limit, "the archive has over two billion big files"));
        }
        self.contents[entry as usize] = PARTS | number;
        self.parts.push(Parts { entry, ..Parts::default() });
        Ok(number)
    }

    /// A block that is there already, of which nothing is read; its number.
    pub(super) fn adopt_block(&mut self) -> u32 {
        self.blocks += 1;
        self.blocks - 1
    }

    /// A file that consists of slices that were adopted: at offsets, with the hash of the whole where one isn't the whole.
    pub(super) fn settle(&mut self, entry: u32, slices: &[(u64, u32)], hash: Option<Digest>) -> Result<()> {
        self.contents[entry as usize] = match (slices, hash) {
            ([], None) => EMPTY,
            ([(0, slice)], None) => *slice,
            _ => {
                let number = self.parts.len() as u32;
                if number >= PARTS {
                    return Err(Error::new(Status::Limit, "the archive has over two billion big files"));
                }
                let mut held = Vec::new();
                reserve(&mut held, slices.len())?;
                held.extend_from_slice(slices);
                push(&mut self.parts, Parts { slices: held, hash, ..Parts::default() })?;
                PARTS | number
            }
        };
        Ok(())
    }

    /// Takes up the next unit.
    pub(super) fn unit(&mut self, mut buffer: Vec<u8>, read: ReadUnit) -> Result<Sequenced> {
        let mut out = Sequenced::default();
        for (entry, error) in read.skipped {
            // Each window of a big file fails on its own; one report is enough.
            let parts = self.contents[entry as usize] & PARTS != 0 && self.contents[entry as usize] != EMPTY;
            let part = parts.then(|| (self.contents[entry as usize] & !PARTS) as usize);
            if part.is_none_or(|part| !std::mem::replace(&mut self.parts[part].dropped, true)) {
                self.dropped.push(entry);
                out.skipped.push(error);
            }
        }
        match read.content {
            Content::Small { class, bytes, files, noise } => {
                let mut from = 0;
                let mut kept = Kept::default();
                out.entries += files.len() as u64;
                for file in files {
                    let pieces = &read.pieces[from..file.pieces_end];
                    from = file.pieces_end;
                    self.small_file(file.entry, pieces, file.whole, &mut kept, &mut buffer)?;
                }
                out.bytes += (bytes - kept.len) as u64;
                self.group(class as usize, buffer, kept, noise, &mut out);
            }
            Content::Windows(windows) => {
                let (mut from, mut kept, mut noise) = (0, Kept::default(), true);
                for window in windows {
                    let pieces = &read.pieces[from..window.pieces_end];
                    from = window.pieces_end;
                    let before = kept.len;
                    self.window(&window, pieces, &mut kept, &mut buffer, &mut out)?;
                    noise &= window.noise || kept.len == before;
                }
                if self.shared_slice.is_some() && !noise {
                    self.group(BIG, buffer, kept, Some(false), &mut out);
                } else {
                    self.emit(buffer, kept, Some(noise), &mut out);
                }
            }
            Content::Found => {}
        }
        Ok(out)
    }

    fn window(
        &mut self,
        window: &WindowRead,
        pieces: &[Piece],
        kept: &mut Kept,
        buffer: &mut [u8],
        out: &mut Sequenced,
    ) -> Result<()> {
        let (part, before) = (window.part as usize, kept.len);
        for piece in pieces {
            let slice = self.place(piece, kept, buffer)?;
            let Parts { slices, entry, .. } = &mut self.parts[part];
            let (entry, seq, offset) = (*entry, slices.len() as u32, piece.offset);
            slices.push((offset, slice));
            self.log.iter_mut().for_each(|log| log.slice(Noted { entry, seq, offset, slice }));
        }
        let bytes: usize = pieces.iter().map(|piece| piece.len).sum();
        let fresh = kept.len - before;
        self.stats.duplicate_bytes += (bytes - fresh) as u64;
        let parts = &mut self.parts[part];
        parts.fresh |= fresh > 0;
        parts.len += window.len as u64;
        parts.hash = window.whole;
        if let Some(value) = window.value {
            parts.windows.push(value);
        }
        out.bytes += (window.len - fresh) as u64;
        if let Some(windows) = window.last_of {
            self.end_windows(window.part, windows, out);
        }
        Ok(())
    }

    /// After the last window of a file.
    pub(super) fn end_windows(&mut self, part: u32, windows: u32, out: &mut Sequenced) {
        let parts = &mut self.parts[part as usize];
        let values = std::mem::take(&mut parts.windows);
        let mut complete = true;
        if windows > 1 {
            // A file that was left out has fewer values than windows.
            complete = values.count() == u64::from(windows);
            parts.hash = if complete { values.finish() } else { None };
        }
        complete &= !parts.dropped;
        let (entry, slices) = (parts.entry, parts.slices.len() as u32);
        let ended = Ended { entry, slices, size: Some(parts.len), hash: parts.hash };
        self.log.iter_mut().filter(|_| complete).for_each(|log| log.file(ended));
        if !parts.fresh && !parts.slices.is_empty() {
            self.stats.duplicate_files += 1;
        }
        out.entries += 1;
    }

    /// What comes next shares no block with what came before.
    pub(super) fn flush(&mut self, out: &mut Sequenced) {
        for class in 0..self.pending.len() {
            self.flush_class(class, out);
        }
    }

    /// What the file with this number consists of.
    pub(super) fn content(&self, entry: u32) -> FileContent<'_> {
        match self.contents[entry as usize] {
            EMPTY => FileContent::Empty,
            parts if parts & PARTS != 0 => {
                let parts = &self.parts[(parts & !PARTS) as usize];
                match (&parts.slices[..], parts.hash) {
                    ([(0, slice)], None) => FileContent::One(self.slices.get(*slice)),
                    (slices, hash) => FileContent::Many(slices, hash.unwrap_or_default()),
                }
            }
            slice => FileContent::One(self.slices.get(slice)),
        }
    }

    /// Entries that are left out because reading them failed, in order, once [`Sequencer::end`] was called.
    pub(super) fn dropped(&self) -> &[u32] {
        &self.dropped
    }

    /// After the last unit: nothing more is looked for.
    pub(super) fn end(&mut self) {
        self.slices.end();
        self.dropped.sort_unstable();
        self.dropped.dedup();
    }

    fn small_file(
        &mut self,
        entry: u32,
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
        self.contents[entry as usize] = content;
        self.note_small(entry, content, whole);
        if bytes > 0 && kept.len == before {
            self.stats.duplicate_files += 1;
        }
        self.stats.duplicate_bytes += (bytes - (kept.len - before)) as u64;
        Ok(())
    }

    fn note_small(&mut self, entry: u32, content: u32, hash: Option<Digest>) {
        let Some(log) = &mut self.log else { return };
        let one = [(0, content)];
        let slices = match content {
            EMPTY => &[][..],
            parts if parts & PARTS != 0 => &self.parts[(parts & !PARTS) as usize].slices,
            _ => &one,
        };
        for (seq, &(offset, slice)) in slices.iter().enumerate() {
            log.slice(Noted { entry, seq: seq as u32, offset, slice });
        }
        log.file(Ended { entry, slices: slices.len() as u32, size: None, hash });
    }

    /// The slice with a piece's bytes: one that is there already, or a new one behind what the buffer keeps.
    fn place(&mut self, piece: &Piece, kept: &mut Kept, buffer: &mut [u8]) -> Result<u32> {
        if let Some(number) = self.slices.find(&piece.checksum) {
            self.slices.rely_on(number)?;
            return Ok(number);
        }
        if piece.start != kept.len {
            buffer.copy_within(piece.start..piece.start + piece.len, kept.len);
        }
        let (start, len) = (kept.len as u32, piece.len as u32);
        let number = self.slices.insert(Slice { checksum: piece.checksum, block: UNNUMBERED, start, len })?;
        kept.slices.push(number);
        kept.len += piece.len;
        Ok(number)
    }
}
