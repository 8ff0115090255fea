//! What spans segments: one order over all of them, no path twice, no entry below something that is not a
//! directory, slices that go on across a border. `verify` and extraction walk this before they trust the whole.

use crate::error::{Error, Result};
use crate::format::index::Segment;
use crate::format::row::{EntryKind, Row};

/// A row, and whose it is.
pub struct WalkedRow<'a> {
    /// The row; its path is escaped on later slices of names that are not UTF-8, so use `path`.
    pub row: Row<'a>,
    /// The exact path of its entry.
    pub path: &'a [u8],
    /// The entry's number in the archive.
    pub entry: u64,
}

/// Walks segments in order.
#[derive(Default)]
pub struct StructureWalk {
    entries: u64,
    /// The entry that the last row belonged to.
    path: Vec<u8>,
    escaped: Vec<u8>,
    kind: u8,
    last_seq: u32,
    end: u64,
    size: u64,
    /// Whether the last row had bytes: only then may another slice follow.
    had_bytes: bool,
    /// Lengths of the prefixes of `path` that are entries and not directories, in ascending order.
    blocking: Vec<u16>,
    /// Segments were left out: rows up to the next first one belong to an entry that was not walked.
    jumped: bool,
}

impl StructureWalk {
    /// Nothing walked yet.
    pub fn new() -> StructureWalk {
        StructureWalk::default()
    }

    /// Leaves out segments: the next one's first entry has this number. What those hold is not checked, but what
    /// follows still has to come after what was walked before.
    pub fn skip_to(&mut self, first_entry: u64) {
        self.entries = first_entry;
        self.jumped = true;
    }

    /// Walks the next segment and calls `visit` for each row, after checking it.
    pub fn segment(&mut self, segment: &Segment, mut visit: impl FnMut(&WalkedRow<'_>) -> Result<()>) -> Result<()> {
        for i in 0..segment.rows() {
            let row = segment.row(i);
            if self.jumped && row.chunk_seq != 0 {
                continue;
            }
            self.jumped = false;
            if row.chunk_seq == 0 {
                self.start(&row).map_err(|error| error.with_entry(row.path))?;
            } else {
                self.go_on(&row).map_err(|error| error.with_entry(&self.path))?;
            }
            visit(&WalkedRow { row, path: &self.path, entry: self.entries.saturating_sub(1) })?;
        }
        Ok(())
    }

    fn start(&mut self, row: &Row<'_>) -> Result<()> {
        if self.entries > 0 && self.path.as_slice() >= row.path {
            return Err(Error::corrupt("index.order", "the paths are not in order, or one is there twice"));
        }
        // Between `a` and `a/b` stand only paths that start with `a`, such as `a-b`: what the next path doesn't
        // start with is done with.
        let before = &self.path;
        self.blocking.retain(|length| row.path.get(..usize::from(*length)) == before.get(..usize::from(*length)));
        let above = if self.blocking.is_empty() { &[][..] } else { row.path };
        let slashes = above.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            if u16::try_from(at).is_ok_and(|at| self.blocking.binary_search(&at).is_ok()) {
                return Err(Error::corrupt("index.parent", "the entry lies below something that is not a directory"));
            }
        }
        if EntryKind::from_number(row.kind) != Some(EntryKind::Directory) {
            // Paths are at most 65,535 bytes.
            self.blocking.push(u16::try_from(row.path.len()).unwrap_or(u16::MAX));
        }
        self.entries = self.entries.saturating_add(1);
        self.path.clear();
        self.path.extend_from_slice(row.path);
        self.escaped.clear();
        self.escaped.extend_from_slice(crate::format::path::display(row.path).as_bytes());
        self.kind = row.kind;
        self.had_bytes = row.location.is_some();
        self.last_seq = 0;
        self.end = row.offset.saturating_add(row.size);
        self.size = row.attributes.and_then(|attributes| attributes.file_size).unwrap_or(0);
        Ok(())
    }

    fn go_on(&mut self, row: &Row<'_>) -> Result<()> {
        let follows = self.entries > 0
            && self.had_bytes
            && row.path == self.escaped.as_slice()
            && row.kind == self.kind
            && Some(row.chunk_seq) == self.last_seq.checked_add(1)
            && row.offset >= self.end
            && row.offset.saturating_add(row.size) <= self.size;
        if !follows {
            return Err(Error::corrupt("index.slice", "the slices of a file are not in order or exceed its size"));
        }
        self.last_seq = row.chunk_seq;
        self.end = row.offset.saturating_add(row.size);
        Ok(())
    }
}
