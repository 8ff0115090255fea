//! An archive and a directory: the index and the tree are merged in order of path; files whose sizes are equal are
//! hashed in parallel, a batch at a time, so that only what differs is kept.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

use crate::archive::Archive;
use crate::archive::diff::archives::Entries;
use crate::archive::diff::sides::{Difference, Flags, Rules, Side};
use crate::archive::diff::walk::{Tree, Walk};
use crate::archive::filter::Filter;
use crate::error::{Result, reserve, zeroed};
use crate::format::hash::Digest;
use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::progress::{Phase, Reporter, UNKNOWN};
use crate::sync;

/// A batch ends with so many entries, or so many bytes to hash.
const BATCH_ENTRIES: usize = 4096;
const BATCH_BYTES: u64 = 1 << 30;
/// Bytes that a thread reads at a time.
const BUFFER: usize = 1 << 20;

/// See [`Archive::diff_directory`].
pub(super) fn diff(archive: &Archive, directory: &Path, options: &Options) -> Result<Vec<Difference>> {
    let filter = Filter::new(options)?;
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    reporter.begin(Phase::Compare, archive.entry_count(), UNKNOWN)?;
    let tree = Tree::open(directory)?;
    let mut comparison = Comparison {
        tree: &tree,
        options,
        rules: Rules::of_tree(options),
        // Size, time and mode are believed.
        by_time: options.get(Key::SkipUnchanged) == 1,
        threads: options.threads_within(options.threads(), 0, BUFFER)?,
        batch: Vec::new(),
        batch_bytes: 0,
        found: Vec::new(),
    };
    let (mut ours, mut theirs) = (Entries::new(archive, &filter), Walk::new(&tree, &filter)?);
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
        let asked = old.as_ref().or(new.as_ref());
        if asked.map_or(Ok(false), |side| side.is_taken(&path, &filter))? {
            comparison.add(path, old, new, &mut reporter)?;
        }
    }
    comparison.finish_batch(&mut reporter)?;
    reporter.end()?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    tree: &'a Tree,
    options: &'a Options,
    rules: Rules,
    by_time: bool,
    threads: usize,
    batch: Vec<Candidate>,
    batch_bytes: u64,
    found: Vec<Difference>,
}

/// What may be a difference.
struct Candidate {
    difference: Difference,
    /// The hash that the file should have, where that is to be found out.
    hash: Option<Digest>,
}

impl Comparison<'_> {
    fn add(&mut self, path: Vec<u8>, old: Option<Side>, new: Option<Side>, reporter: &mut Reporter) -> Result<()> {
        let candidate = match (old, new) {
            (Some(old), Some(new)) => self.compare(&path, old, new),
            // Extraction doesn't restore these, so a tree that was just restored lacks them.
            (Some(old), None) if is_left_out(&old) => None,
            (old, new) => Some(Candidate { difference: Difference::one_sided(&path, old, new), hash: None }),
        };
        let Some(candidate) = candidate else { return Ok(()) };
        if candidate.hash.is_some() {
            self.batch_bytes += candidate.difference.new.as_ref().map_or(0, |side| side.size);
        }
        self.batch.push(candidate);
        if self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES {
            self.finish_batch(reporter)?;
        }
        Ok(())
    }

    fn compare(&self, path: &[u8], old: Side, new: Side) -> Option<Candidate> {
        let mut flags = self.rules.compare(&old, &new);
        let mut hash = None;
        if !flags.has(Flags::KIND) && new.kind == EntryKind::File as u8 {
            if old.size != new.size {
                flags.set(Flags::BYTES, true);
            } else {
                let believed = self.by_time && !flags.has(Flags::MODE) && old.mtime_ns == new.mtime_ns;
                hash = if believed { None } else { old.hash };
            }
        }
        (!flags.is_empty() || hash.is_some())
            .then(|| Candidate { difference: Difference::changed(path, flags, old, new), hash })
    }

    /// Hashes the files of the batch and keeps what differs.
    fn finish_batch(&mut self, reporter: &mut Reporter) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let differs: Vec<AtomicBool> = batch.iter().map(|_| AtomicBool::new(false)).collect();
        let (tree, cancel, counters, stop) = (self.tree, self.options.cancel(), reporter.counters(), reporter.stop());
        let tasks =
            batch.iter().enumerate().filter(|(_, candidate)| candidate.hash.is_some()).map(|(number, _)| number);
        let buffer = || zeroed(BUFFER);
        sync::for_each(self.threads, "znippy-diff", reporter, tasks, buffer, |buffer, number| {
            stop.check()?;
            let Candidate { difference, hash } = &batch[number];
            let size = difference.new.as_ref().map_or(0, |side| side.size);
            let found = tree.hash(&difference.path, size, cancel, buffer)?;
            differs[number].store(found != *hash, Memory::Relaxed);
            counters.add(0, size);
            Ok(())
        })?;
        self.batch_bytes = 0;
        for (mut candidate, differs) in batch.into_iter().zip(differs) {
            candidate.difference.flags.set(Flags::BYTES, differs.into_inner());
            let equal = candidate.hash.is_some() && candidate.difference.flags.is_empty();
            if !equal {
                if self.found.len() == self.found.capacity() {
                    let room = self.found.len().max(64);
                    reserve(&mut self.found, room)?;
                }
                self.found.push(candidate.difference);
            }
        }
        Ok(())
    }
}

fn is_left_out(side: &Side) -> bool {
    let kind = EntryKind::from_number(side.kind);
    matches!(kind, Some(EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Socket))
}
