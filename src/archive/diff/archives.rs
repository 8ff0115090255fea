//! Two archives: their indexes are merged in order of path, a segment of each in memory at a time. No block is read.

use std::cmp::Ordering;

use crate::archive::diff::sides::{Difference, Flags, Rules, Side};
use crate::archive::filter::Filter;
use crate::archive::{Archive, StructureWalk};
use crate::error::{Result, reserve};
use crate::options::Options;
use crate::progress::{Phase, Reporter, UNKNOWN};

/// See [`Archive::diff`].
pub(super) fn diff(old: &Archive, new: &Archive, options: &Options) -> Result<Vec<Difference>> {
    let filter = Filter::new(options)?;
    let rules = Rules::of_archives(options);
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let total = old.entry_count().saturating_add(new.entry_count());
    reporter.begin(Phase::Compare, total, UNKNOWN)?;
    let (mut ours, mut theirs) = (Entries::new(old, &filter), Entries::new(new, &filter));
    let mut found = Vec::new();
    loop {
        let order = match (ours.peek(&mut reporter)?, theirs.peek(&mut reporter)?) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let (path, old, new) = match order {
            Ordering::Less => ours.take().map(|(path, old)| (path, Some(old), None)),
            Ordering::Greater => theirs.take().map(|(path, new)| (path, None, Some(new))),
            Ordering::Equal => theirs.take().and_then(|(path, new)| Some((path, Some(ours.take()?.1), Some(new)))),
        }
        .unwrap_or_default();
        // A path is asked about once: as it was, if it was.
        let asked = old.as_ref().or(new.as_ref());
        if !asked.map_or(Ok(false), |side| side.is_taken(&path, &filter))? {
            continue;
        }
        let difference = match (old, new) {
            (Some(old), Some(new)) => {
                let mut flags = rules.compare(&old, &new);
                flags.set(Flags::BYTES, !flags.has(Flags::KIND) && old.hash != new.hash);
                if flags.is_empty() {
                    continue;
                }
                Difference::changed(&path, flags, old, new)
            }
            (old, new) => Difference::one_sided(&path, old, new),
        };
        if found.len() == found.capacity() {
            let room = found.len().max(64);
            reserve(&mut found, room)?;
        }
        found.push(difference);
    }
    reporter.end()?;
    Ok(found)
}

/// Entries of an archive that globs and prefixes mean, in order.
pub(super) struct Entries<'a> {
    archive: &'a Archive,
    filter: &'a Filter,
    walk: StructureWalk,
    /// The next segment to load.
    next: usize,
    /// What is left of the last one, the first entry last.
    loaded: Vec<(Vec<u8>, Side)>,
}

impl<'a> Entries<'a> {
    /// From the start.
    pub(super) fn new(archive: &'a Archive, filter: &'a Filter) -> Entries<'a> {
        Entries { archive, filter, walk: StructureWalk::new(), next: 0, loaded: Vec::new() }
    }

    /// The next entry.
    pub(super) fn peek(&mut self, reporter: &mut Reporter) -> Result<Option<&(Vec<u8>, Side)>> {
        while self.loaded.is_empty() {
            let Some(part) = self.archive.manifest().segments.get(self.next) else { return Ok(None) };
            reporter.tick(None)?;
            self.next += 1;
            if self.filter.reads(part) {
                let segment = self.archive.load_segment(self.next - 1)?;
                self.walk.segment(&segment, |row| {
                    if row.row.chunk_seq == 0 && self.filter.wants(row.path) {
                        self.loaded.push((row.path.to_vec(), Side::of_row(row)));
                    }
                    Ok(())
                })?;
            } else {
                self.walk.skip_to(part.first_entry + part.entries);
            }
            self.loaded.reverse();
            reporter.counters().add(part.entries, 0);
        }
        Ok(self.loaded.last())
    }

    /// Takes what [`Entries::peek`] showed.
    pub(super) fn take(&mut self) -> Option<(Vec<u8>, Side)> {
        self.loaded.pop()
    }
}
