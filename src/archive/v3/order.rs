//! The one order of all rows: by path, then by slice; and where segments begin.

use crate::error::{Error, Result, reserve};
use crate::format::container::MAX_SEGMENT_ROWS;
use crate::format::manifest::Part;
use crate::format::path::{self, MAX_PATH};
use crate::format::v3::columns::Rows;
use crate::format::v3::sections::{FsKind, FsMeta};

/// Bytes of names at which a segment ends.
const FULL_TEXT: usize = 8 << 20;
/// What a row takes beside its name, roughly.
const ROW: u64 = 160;
/// Marks a pick of the sections: a directory.
const DIRECTORY: u32 = 1 << 31;

/// A row: its batch, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    batch: u32,
    row: u32,
}

impl Pick {
    pub(super) fn new(batch: usize, row: usize) -> Pick {
        // A batch takes bytes of a bounded index, and so does a row.
        Pick { batch: narrow(batch), row: narrow(row) }
    }

    fn directory(batch: usize, row: usize) -> Pick {
        Pick { batch: narrow(batch) | DIRECTORY, row: narrow(row) }
    }

    pub(super) fn batch(self) -> usize {
        (self.batch & !DIRECTORY) as usize
    }

    pub(super) fn row(self) -> usize {
        self.row as usize
    }

    /// Whether it is a directory, which stands in `__znippy_fsmeta__`.
    pub(super) fn is_directory(self) -> bool {
        self.batch & DIRECTORY != 0
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Sorted rows.
pub(super) struct Order {
    picks: Vec<Pick>,
    /// Where segments begin, and the end.
    cuts: Vec<usize>,
}

impl Order {
    pub(super) fn new(rows: &[Rows], fsmeta: &[FsMeta]) -> Result<Order> {
        let directories =
            |records: &FsMeta| (0..records.len()).filter(|i| records.kind(*i) == FsKind::Directory).count();
        let counts = rows.iter().map(Rows::len).chain(fsmeta.iter().map(directories));
        let count = counts.fold(0, usize::saturating_add);
        let mut picks = Vec::new();
        reserve(&mut picks, count)?;
        for (batch, rows) in rows.iter().enumerate() {
            picks.extend((0..rows.len()).map(|row| Pick::new(batch, row)));
        }
        for (batch, records) in fsmeta.iter().enumerate() {
            let rows = (0..records.len()).filter(|i| records.kind(*i) == FsKind::Directory);
            picks.extend(rows.map(|row| Pick::directory(batch, row)));
        }
        let key = |pick: &Pick| key(*pick, rows, fsmeta);
        picks.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut pairs = picks.iter().zip(picks.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(one, next)| key(one) == key(next)) {
            let why = "two rows are the same slice of the same path, and nothing says which one counts";
            return Err(Error::corrupt("older.duplicate", why).with_entry(key(twice).0.as_bytes()));
        }
        Ok(Order { picks, cuts: Vec::new() })
    }

    /// Cuts the rows into segments, and says of each what a manifest does.
    pub(super) fn take_segments(&mut self, rows: &[Rows], fsmeta: &[FsMeta]) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut text, mut last) = (usize::MAX, None::<&str>);
        for (at, pick) in self.picks.iter().enumerate() {
            let path = key(*pick, rows, fsmeta).0;
            if path.len() > MAX_PATH {
                path::check(path.as_bytes())?;
            }
            let full = parts.last().is_none_or(|part| part.rows >= MAX_SEGMENT_ROWS as u64) || text >= FULL_TEXT;
            if full {
                self.cuts.push(at);
                let before = parts.last().map_or((Vec::new(), 0), |part| (part.last_path.clone(), part.end_entry()));
                parts.push(Part {
                    first_path: before.0.clone(),
                    last_path: before.0,
                    first_entry: before.1,
                    ..Part::default()
                });
                text = 0;
            }
            text = text.saturating_add(path.len());
            let Some(part) = parts.last_mut() else { continue };
            part.rows = part.rows.saturating_add(1);
            part.raw_len = part.raw_len.saturating_add(ROW).saturating_add(path.len() as u64);
            part.len = part.raw_len;
            if last != Some(path) {
                if part.entries == 0 {
                    part.first_path = path.as_bytes().to_vec();
                }
                part.last_path = path.as_bytes().to_vec();
                part.entries = part.entries.saturating_add(1);
                last = Some(path);
            }
        }
        self.cuts.push(self.picks.len());
        Ok(parts)
    }

    /// The rows of a segment, and where they begin in the whole order.
    pub(super) fn segment(&self, number: usize) -> Option<std::ops::Range<usize>> {
        Some(*self.cuts.get(number)?..*self.cuts.get(number.checked_add(1)?)?)
    }

    pub(super) fn picks(&self) -> &[Pick] {
        &self.picks
    }
}

/// What rows are sorted by. Of a directory and a file with one path, the check for duplicates tells.
fn key<'a>(pick: Pick, rows: &'a [Rows], fsmeta: &'a [FsMeta]) -> (&'a str, u32) {
    if pick.is_directory() {
        (fsmeta.get(pick.batch()).map_or("", |records| records.path(pick.row())), 0)
    } else {
        rows.get(pick.batch()).map_or(("", 0), |rows| rows.key(pick.row()))
    }
}
