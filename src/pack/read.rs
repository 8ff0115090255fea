//! Read and hash: a worker fills a buffer with the files of one unit and hashes each while it is in the cache.

mod task;
mod unit;

use std::ops::Range;

use crate::error::{Error, Result, zeroed};
use crate::format::hash::{hash, window_value};
use crate::options::{Layout, Profile};
use crate::pack::batch::Batch;
use crate::pack::claims::{Claimer, PartOfFile, Rows};
use crate::pack::file::OpenTree;
use crate::pack::holes;
use crate::pack::plan::{Class, Unit, Window};
use crate::pack::probe::{self, Trial};
use crate::pack::scan::Record;
use crate::progress::CancelToken;

pub(super) use task::{BufferedWindow, Gathered, Offered, Task};
pub(super) use unit::{Content, Piece, ReadUnit, SmallFile, WindowRead};

/// Slices of big files that are stored are at most this long, so that a read at an offset need not check more.
const STORED_SLICE: usize = 1 << 20;

/// Reads units. One a worker.
pub(super) struct Reader<'a> {
    worker: usize,
    no_skip: bool,
    /// A window is one slice, whatever is in it.
    one_slice: bool,
    /// Slices are cut alike whether they compress or not: whether they do is asked of several together.
    cut_alike: bool,
    lenient: bool,
    claimer: &'a Claimer,
    cancel: &'a CancelToken,
    trial: Trial,
    rows: Rows,
    /// The path of the file that is offered to providers.
    path: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        worker: usize,
        layout: &Layout,
        lenient: bool,
        claimer: &'a Claimer,
        cancel: &'a CancelToken,
    ) -> Result<Reader<'a>> {
        let (trial, rows) = (Trial::new()?, claimer.rows());
        let (no_skip, one_slice) = (layout.no_skip, layout.profile == Profile::Version3);
        let cut_alike = layout.shares_slices();
        Ok(Reader { worker, no_skip, one_slice, cut_alike, lenient, claimer, cancel, trial, rows, path: Vec::new() })
    }

    /// Fills `buffer`, which is at least as long as the unit, and hashes what is in it.
    pub(super) fn read(&mut self, task: &Task, buffer: &mut [u8]) -> Result<ReadUnit> {
        match task {
            Task::Tree(batch, unit) => {
                let mut handles = batch.handles(self.worker)?;
                let tree = OpenTree { batch, handles: handles.as_mut() };
                match unit {
                    Unit::Small { from, to, bytes, class } => {
                        self.read_small(tree, *from as usize..*to as usize, *bytes, *class, buffer)
                    }
                    Unit::Windows(windows) => self.read_windows(tree, windows, buffer),
                }
            }
            Task::Gathered(gathered) => self.hash_small(gathered, buffer),
            Task::Window(window) => {
                let (bytes, mut pieces) = (&buffer[..window.len], Vec::new());
                let noise = self.is_noise(window.packed && window.offset == 0, bytes)?;
                let read = self.hash_window(window, noise, bytes, 0, &mut pieces);
                let content = Content::Windows(vec![read]);
                Ok(ReadUnit { pieces, content, skipped: Vec::new(), found: Vec::new() })
            }
            Task::Offer(offered) => self.offer(offered),
            Task::OfferRecord(batch, record) => {
                let mut handles = batch.handles(self.worker)?;
                self.offer_record(OpenTree { batch, handles: handles.as_mut() }, *record)
            }
        }
    }

    fn read_small(
        &mut self,
        mut tree: OpenTree<'_>,
        range: Range<usize>,
        bytes: usize,
        class: Class,
        buffer: &mut [u8],
    ) -> Result<ReadUnit> {
        let mut files = Vec::with_capacity(range.len());
        let mut pieces = Vec::with_capacity(range.len());
        let (mut skipped, mut found) = (Vec::new(), Vec::new());
        let mut at = 0;
        for &number in &tree.batch.plan.small[range] {
            self.cancel.check()?;
            let record = &tree.batch.tree.records[number as usize];
            let entry = tree.batch.first + number;
            let len = record.size as usize;
            if let Err(error) = tree.fill(record, 0, &mut buffer[at..at + len]) {
                skipped.push((entry, self.left_out(error, tree.batch, record)?));
                continue;
            }
            let file = &buffer[at..at + len];
            files.push(small_file(entry, at, file, &mut pieces));
            if !self.claimer.is_idle() {
                tree.batch.path(record, &mut self.path);
                // A failure in here is a provider's and ends the job, whatever is to be done with files.
                let offered = self.claimer.offer(&mut self.rows, &self.path, file);
                let claimed = offered.map_err(|error| error.with_path(tree.batch.tree.host_path(record)))?;
                found.extend(claimed.map(|values| (entry, values)));
            }
            at += len;
        }
        let noise = self.are_noise(class, &buffer[..at])?;
        Ok(ReadUnit { pieces, content: Content::Small { class, bytes, files, noise }, skipped, found })
    }

    fn hash_small(&mut self, gathered: &Gathered, buffer: &[u8]) -> Result<ReadUnit> {
        let mut files = Vec::with_capacity(gathered.files.len());
        let mut pieces = Vec::with_capacity(gathered.files.len());
        let mut found = Vec::new();
        let mut at = 0;
        for (number, &(entry, end)) in gathered.files.iter().enumerate() {
            self.cancel.check()?;
            files.push(small_file(entry, at, &buffer[at..end], &mut pieces));
            if let Some(path) = gathered.paths.get(number) {
                let offered = self.claimer.offer(&mut self.rows, path, &buffer[at..end]);
                found.extend(offered.map_err(|error| error.with_entry(path))?.map(|values| (entry, values)));
            }
            at = end;
        }
        let noise = self.are_noise(gathered.class, &buffer[..at])?;
        let content = Content::Small { class: gathered.class, bytes: gathered.bytes, files, noise };
        Ok(ReadUnit { pieces, content, skipped: Vec::new(), found })
    }

    fn offer(&mut self, offered: &Offered) -> Result<ReadUnit> {
        self.cancel.check()?;
        let found = self.claimer.offer(&mut self.rows, &offered.path, &offered.bytes);
        let found = found.map_err(|error| error.with_entry(&offered.path))?;
        let found = found.map(|values| (offered.entry, values)).into_iter().collect();
        Ok(ReadUnit { pieces: Vec::new(), content: Content::Found, skipped: Vec::new(), found })
    }

    fn read_windows(&mut self, mut tree: OpenTree<'_>, windows: &[Window], buffer: &mut [u8]) -> Result<ReadUnit> {
        let mut unit = ReadUnit { pieces: Vec::new(), content: Content::Found, skipped: Vec::new(), found: Vec::new() };
        let mut read = Vec::with_capacity(windows.len());
        let mut at = 0;
        for of_file in windows.chunk_by(|a, b| a.big == b.big) {
            self.cancel.check()?;
            at += self.read_file_windows(&mut tree, of_file, &mut buffer[at..], at, &mut unit, &mut read)?;
        }
        unit.content = Content::Windows(read);
        Ok(unit)
    }

    /// Windows of one file that follow one another, `at` bytes into the unit's buffer; how many bytes they have.
    fn read_file_windows(
        &mut self,
        tree: &mut OpenTree<'_>,
        windows: &[Window],
        buffer: &mut [u8],
        at: usize,
        unit: &mut ReadUnit,
        read: &mut Vec<WindowRead>,
    ) -> Result<usize> {
        let (batch, first) = (tree.batch, windows[0]);
        let (record, file) = (&batch.tree.records[first.record as usize], &batch.plan.big[first.big as usize]);
        let (entry, part, parts) = (batch.first + first.record, batch.first_part + first.big, first.windows);
        // A file that is read in turns is offered to providers on its own.
        let assembled = !self.claimer.is_idle() && !file.in_turns;
        let len = windows.iter().map(|window| window.len).sum();
        if let Err(error) = tree.fill(record, first.offset, &mut buffer[..len]) {
            unit.skipped.push((entry, self.left_out(error, batch, record)?));
            if assembled {
                self.claimer.abandon(entry, parts);
            }
            let pieces_end = unit.pieces.len();
            read.extend(windows.iter().map(|window| left_out(part, window, pieces_end)));
            return Ok(0);
        }
        // They are asked together whether they compress, so that a few samples don't decide.
        let packed = first.number == 0 && file.packed;
        let noise = self.is_noise(packed, &buffer[..len])?;
        let mut from = 0;
        for window in windows {
            let bytes = &buffer[from..from + window.len];
            let (offset, several, last_of) = (window.offset, Some(parts > 1), window.last_of());
            let window = BufferedWindow { part, offset, len: bytes.len(), packed, several, last_of };
            read.push(self.hash_window(&window, noise, bytes, at + from, &mut unit.pieces));
            from += bytes.len();
            if assembled {
                batch.path(record, &mut self.path);
                let part = PartOfFile { file: entry, parts, offset, bytes, size: record.size };
                let offered = self.claimer.part(&mut self.rows, &self.path, &part);
                let claimed = offered.map_err(|error| error.with_path(batch.tree.host_path(record)))?;
                unit.found.extend(claimed.map(|values| (entry, values)));
            }
        }
        Ok(len)
    }

    /// Reads a file of a tree as a whole, for metadata providers alone.
    fn offer_record(&mut self, mut tree: OpenTree<'_>, number: u32) -> Result<ReadUnit> {
        self.cancel.check()?;
        let mut unit = ReadUnit { pieces: Vec::new(), content: Content::Found, skipped: Vec::new(), found: Vec::new() };
        let batch = tree.batch;
        let (record, entry) = (&batch.tree.records[number as usize], batch.first + number);
        batch.path(record, &mut self.path);
        let named = |error: Error| error.with_path(batch.tree.host_path(record));
        let Some(first) = self.claimer.wanted(0, &self.path, record.size).map_err(named)? else { return Ok(unit) };
        let mut bytes = zeroed(record.size as usize)?;
        match tree.fill(record, 0, &mut bytes) {
            Ok(()) => {
                let claimed = self.claimer.ask(first, &mut self.rows, &self.path, &bytes).map_err(named)?;
                unit.found.extend(claimed.map(|values| (entry, values)));
            }
            Err(error) => unit.skipped.push((entry, self.left_out(error, batch, record)?)),
        }
        Ok(unit)
    }

    /// Why a file is left out; the error itself where that isn't asked for.
    fn left_out(&self, error: Error, batch: &Batch, record: &Record) -> Result<Error> {
        let error = error.with_path(batch.tree.host_path(record));
        if self.lenient && error.is_about_its_object() { Ok(error) } else { Err(error) }
    }

    /// Hashes a window that stands `at` bytes into its buffer.
    fn hash_window(
        &self,
        window: &BufferedWindow,
        noise: bool,
        bytes: &[u8],
        at: usize,
        pieces: &mut Vec<Piece>,
    ) -> WindowRead {
        let before = pieces.len();
        let cut = (noise || self.cut_alike) && !self.one_slice;
        let longest = if cut { STORED_SLICE } else { bytes.len() };
        let for_each = if self.one_slice { whole } else { holes::for_each_data };
        for_each(bytes, &mut |start, len| {
            for from in (start..start + len).step_by(longest) {
                let len = longest.min(start + len - from);
                let checksum = hash(&bytes[from..from + len]);
                pieces.push(Piece { start: at + from, len, offset: window.offset + from as u64, checksum });
            }
        });
        let one = matches!(&pieces[before..], [piece] if piece.len == bytes.len());
        let value = (window.several != Some(false)).then(|| window_value(bytes, window.offset));
        let whole = (window.several != Some(true) && !one).then(|| hash(bytes));
        let (part, len, last_of) = (window.part, window.len, window.last_of);
        WindowRead { part, len, pieces_end: pieces.len(), value, whole, noise, last_of }
    }

    /// Whether small files don't compress. Only of those whose extensions say so it is asked before they are put into
    /// blocks, since those that don't are blocks of their own.
    fn are_noise(&mut self, class: Class, bytes: &[u8]) -> Result<Option<bool>> {
        let asked = class == Class::Packed && !self.one_slice;
        asked.then(|| probe::is_noise(bytes, &mut self.trial)).transpose()
    }

    /// Extension and first bytes are believed together; samples decide about everything else.
    fn is_noise(&mut self, packed: bool, bytes: &[u8]) -> Result<bool> {
        if packed && !self.no_skip && probe::is_packed_magic(bytes) {
            return Ok(true);
        }
        probe::is_noise(bytes, &mut self.trial)
    }
}

/// A window of which nothing was read.
fn left_out(part: u32, window: &Window, pieces_end: usize) -> WindowRead {
    let (len, last_of) = (window.len, window.last_of());
    WindowRead { part, len, pieces_end, value: None, whole: None, noise: false, last_of }
}

/// No holes.
fn whole(bytes: &[u8], data: &mut dyn FnMut(usize, usize)) {
    if !bytes.is_empty() {
        data(0, bytes.len());
    }
}

/// The pieces of a small file that is in memory, `at` bytes into its buffer.
///
/// Every small file passes here once, whole; every big one passes [`Reader::hash_window`] window by window.
fn small_file(entry: u32, at: usize, bytes: &[u8], pieces: &mut Vec<Piece>) -> SmallFile {
    let before = pieces.len();
    holes::for_each_data(bytes, &mut |start, len| {
        let checksum = hash(&bytes[start..start + len]);
        pieces.push(Piece { start: at + start, len, offset: start as u64, checksum });
    });
    let one = bytes.is_empty() || pieces.get(before).is_some_and(|piece| piece.len == bytes.len());
    let whole = if one { None } else { Some(hash(bytes)) };
    SmallFile { entry, pieces_end: pieces.len(), whole }
}
