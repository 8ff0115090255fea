//! Two archives: their indexes are merged in order of path, a segment of each in memory at a time. No block is read.

use crate::archive::diff::merge::{Sorted, merge};
use crate::archive::diff::sides::{Difference, Flags, Rules, Side, push};
use crate::archive::filter::Filter;
use crate::archive::{Archive, StructureWalk};
use crate::error::Result;
use crate::options::Options;
use crate::progress::{Phase, Reporter, UNKNOWN};

/// See [`Archive::diff`].
pub(super) fn diff(old: &Archive, new: &Archive, options: &Options) -> Result<Vec<Difference>> {
    let filter = Filter::new(options)?;
    let rules = Rules::of_archives(options);
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let total = old.entry_count().saturating_add(new.entry_count());
    reporter.begin(Phase::Compare, total, UNKNOWN)?;
    let (mut found, before, after) = (Vec::new(), old, new);
    merge(Entries::new(old, &filter), Entries::new(new, &filter), &filter, &mut reporter, |path, old, new, _| {
        let difference = match (old, new) {
            (Some(old), Some(new)) => {
                let mut flags = rules.compare(&old, &new);
                if !flags.has(Flags::KIND) {
                    flags.set(Flags::BYTES, bytes_differ((before, &old), (after, &new))?);
                }
                if flags.is_empty() {
                    return Ok(());
                }
                Difference::changed(&path, flags, old, new)
            }
            (old, new) => Difference::one_sided(&path, old, new),
        };
        push(&mut found, difference)
    })?;
    reporter.end()?;
    Ok(found)
}

/// Whether two entries of one kind have other bytes. Version 3 has no hash of a file of several slices; it is read.
fn bytes_differ(old: (&Archive, &Side), new: (&Archive, &Side)) -> Result<bool> {
    if old.1.size != new.1.size {
        return Ok(true);
    }
    Ok(old.0.hash_of(old.1)? != new.0.hash_of(new.1)?)
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
}

impl Sorted for Entries<'_> {
    fn peek(&mut self, reporter: &mut Reporter) -> Result<Option<&(Vec<u8>, Side)>> {
        while self.loaded.is_empty() {
            let Some(part) = self.archive.manifest().segments.get(self.next) else { return Ok(None) };
            reporter.tick(None)?;
            self.next = self.next.saturating_add(1);
            if self.filter.reads(part) {
                let segment = self.archive.load_segment(self.next.saturating_sub(1))?;
                self.walk.segment(&segment, |row| {
                    if row.row.chunk_seq == 0 && self.filter.wants(row.path) {
                        self.loaded.push((row.path.to_vec(), Side::of_row(row)));
                    }
                    Ok(())
                })?;
            } else {
                self.walk.skip_to(part.end_entry());
            }
            self.loaded.reverse();
            reporter.counters().add(part.entries, 0);
        }
        Ok(self.loaded.last())
    }

    fn take(&mut self) -> Option<(Vec<u8>, Side)> {
        self.loaded.pop()
    }
}
