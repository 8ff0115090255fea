//! The walk over the index that a plan is made in, and what it goes on without.

use crate::archive::filter::Filter;
use crate::archive::{Archive, StructureWalk, WalkedRow};
use crate::error::{Error, Result, Status, printable};
use crate::extract::failures::Failures;
use crate::extract::plan::{Open, Plan};
use crate::format::index::Segment;
use crate::format::manifest::Part;
use crate::options::FILTER_RULE;
use crate::progress::Reporter;
use crate::sync::{self, Ahead};

impl Plan {
    /// Calls `visit` for each row of the segments that the filter may want something of. A second thread loads them.
    pub(super) fn walk(
        &mut self,
        archive: &Archive,
        filter: &Filter,
        failures: &Failures,
        threads: usize,
        mut reporter: Option<&mut Reporter>,
        mut visit: impl FnMut(&mut Plan, &WalkedRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let segments = archive.manifest().segments.iter();
        let read = segments.enumerate().filter(|(_, part)| filter.reads(part)).map(|(number, _)| number).collect();
        sync::ahead(threads, "znippy-index", read, &|number| archive.load_segment(number), &mut |segments| {
            self.walk_segments(archive, segments, filter, failures, reporter.as_deref_mut(), &mut visit)
        })
    }

    fn walk_segments(
        &mut self,
        archive: &Archive,
        segments: &mut Ahead<'_, Segment>,
        filter: &Filter,
        failures: &Failures,
        mut reporter: Option<&mut Reporter>,
        visit: &mut dyn FnMut(&mut Plan, &WalkedRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut walk = StructureWalk::new();
        let mut expected = 0;
        for (number, part) in archive.manifest().segments.iter().enumerate() {
            // The slices of a big file may go on in a segment that holds nothing else of interest.
            let goes_on = number == expected && matches!(self.open, Open::Big);
            if !goes_on && !filter.reads(part) {
                continue;
            }
            if let Some(reporter) = &mut reporter {
                reporter.tick(None)?;
            }
            if number != expected {
                walk.skip_to(part.first_entry);
            }
            expected = number + 1;
            let segment = match segments.get(number) {
                Ok(segment) => segment,
                Err(error) => {
                    // On the second walk the loss was noted already.
                    if reporter.is_some() || !failures.keep_going() {
                        self.lose_segment(part, error, failures)?;
                    }
                    expected = number;
                    continue;
                }
            };
            walk.segment(&segment, |row| match visit(self, row) {
                Err(error) if is_of_later_version(&error) && failures.keep_going() => {
                    self.lose_entry(error.with_entry(row.path), failures)
                }
                result => result.map_err(|error| error.with_entry(row.path)),
            })?;
            if let Some(reporter) = &mut reporter {
                reporter.counters().add(segment.entries() as u64, 0);
            }
        }
        Ok(())
    }

    /// Calls `visit` for each row of one entry.
    pub(super) fn walk_entry(
        &mut self,
        archive: &Archive,
        index: u64,
        mut visit: impl FnMut(&mut Plan, &WalkedRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let segments = &archive.manifest().segments;
        let first = segments.partition_point(|part| part.first_entry + part.entries <= index);
        let Some(part) = segments.get(first) else {
            let why = format!("there is no entry {index}: the archive has {}", archive.entry_count());
            return Err(Error::new(Status::InvalidArgument, why));
        };
        let mut walk = StructureWalk::new();
        walk.skip_to(part.first_entry);
        for number in first..segments.len() {
            let mut goes_on = false;
            walk.segment(&*archive.segment(number)?, |row| {
                goes_on = row.entry == index;
                if goes_on { visit(self, row).map_err(|error| error.with_entry(row.path)) } else { Ok(()) }
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Goes on without a segment that can't be read.
    fn lose_segment(&mut self, part: &Part, error: Error, failures: &Failures) -> Result<()> {
        if !failures.keep_going() {
            return Err(error);
        }
        if let (Open::Big, Some(big)) = (self.open, self.bigs.last()) {
            let end = self.pieces.last().map_or(0, |piece| piece.offset)
                + self.slices.last().map_or(0, |slice| u64::from(slice.size));
            let goes_on = part.rows > part.entries && end < big.size;
            if goes_on {
                let why = "its further slices stand in an index segment that is damaged";
                let node = self.files[big.file as usize];
                self.lose_entry(self.tree.named(&node, Error::new(error.status(), why)), failures)?;
            }
        }
        self.open = Open::Unwanted;
        let last = printable(&part.last_path);
        let why = format!("{error}: this and all up to '{last}' are lost, {} entries", part.entries);
        failures.note(part.entries, Error::new(error.status(), why).with_entry(&part.first_path))
    }

    /// Takes back what there is of the entry that is being walked.
    fn lose_entry(&mut self, error: Error, failures: &Failures) -> Result<()> {
        if let Open::Big = self.open
            && let Some(big) = self.bigs.pop()
        {
            self.pieces.truncate(self.pieces.len() - big.slices as usize);
            self.slices.truncate(self.slices.len() - big.slices as usize);
        }
        self.open = Open::Unwanted;
        failures.note(1, error)
    }
}

/// Whether an entry is of a kind, or has a codec, that this version doesn't know.
fn is_of_later_version(error: &Error) -> bool {
    error.status() == Status::Unsupported && error.rule() != Some(FILTER_RULE)
}
