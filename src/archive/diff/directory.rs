//! An archive and a directory: the index and the tree are merged in order of path; files whose sizes are equal are
//! hashed in parallel, a batch at a time, so that only what differs is kept.

use std::path::Path;

use crate::archive::Archive;
use crate::archive::diff::archives::Entries;
use crate::archive::diff::merge::merge;
use crate::archive::diff::sides::{Difference, Flags, Rules, Side, What, push};
use crate::archive::diff::walk::{Content, Tree, Walk};
use crate::archive::filter::Filter;
use crate::error::{Result, zeroed};
use crate::format::hash::Digest;
use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::progress::{Phase, Reporter, UNKNOWN};
use crate::sync::{self, Mutex};

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
        archive,
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
    let (ours, theirs) = (Entries::new(archive, &filter), Walk::new(&tree, &filter)?);
    merge(ours, theirs, &filter, &mut reporter, |path, old, new, reporter| comparison.add(path, old, new, reporter))?;
    comparison.finish_batch(&mut reporter)?;
    reporter.end()?;
    Ok(comparison.found)
}

struct Comparison<'a> {
    archive: &'a Archive,
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
            (Some(old), Some(new)) => self.compare(&path, old, new)?,
            // Extraction doesn't restore these, so a tree that was just restored lacks them.
            (Some(old), None) if is_left_out(&old) => None,
            (old, new) => Some(Candidate { difference: Difference::one_sided(&path, old, new), hash: None }),
        };
        let Some(candidate) = candidate else { return Ok(()) };
        if candidate.hash.is_some() {
            let more = candidate.difference.new.as_ref().map_or(0, |side| side.size);
            self.batch_bytes = self.batch_bytes.saturating_add(more);
        }
        self.batch.push(candidate);
        if self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES {
            self.finish_batch(reporter)?;
        }
        Ok(())
    }

    fn compare(&self, path: &[u8], old: Side, new: Side) -> Result<Option<Candidate>> {
        let mut flags = self.rules.compare(&old, &new);
        let mut hash = None;
        if !flags.has(Flags::KIND) && new.kind == EntryKind::File as u8 {
            if old.size != new.size {
                flags.set(Flags::BYTES, true);
            } else {
                let believed = self.by_time && !flags.has(Flags::MODE) && old.mtime_ns == new.mtime_ns;
                hash = if believed { None } else { self.archive.hash_of(&old)? };
            }
        }
        Ok((!flags.is_empty() || hash.is_some())
            .then(|| Candidate { difference: Difference::changed(path, flags, old, new), hash }))
    }

    /// Hashes the files of the batch and keeps what differs.
    fn finish_batch(&mut self, reporter: &mut Reporter) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let contents: Vec<Mutex<Content>> = batch.iter().map(|_| Mutex::new(Content::NotRead)).collect();
        let (tree, cancel, counters, stop) = (self.tree, self.options.cancel(), reporter.counters(), reporter.stop());
        let tasks = batch.iter().zip(&contents).filter(|(candidate, _)| candidate.hash.is_some());
        let buffer = || zeroed(BUFFER);
        sync::for_each(self.threads, "znippy-diff", reporter, tasks, buffer, |buffer, (candidate, content)| {
            stop.check()?;
            let difference = &candidate.difference;
            let size = difference.new.as_ref().map_or(0, |side| side.size);
            *content.lock() = tree.content(&difference.path, size, cancel, buffer)?;
            counters.add(0, size);
            Ok(())
        })?;
        self.batch_bytes = 0;
        for (Candidate { mut difference, hash }, content) in batch.into_iter().zip(contents) {
            match (content.into_inner(), hash) {
                // It went while the tree was compared.
                (Content::Gone, _) => {
                    difference = Difference::one_sided(&difference.path, difference.old.take(), None);
                }
                (Content::Hash(found), Some(wanted)) => difference.flags.set(Flags::BYTES, found != wanted),
                (Content::Changing, _) => difference.flags.set(Flags::BYTES, true),
                (Content::Hash(_) | Content::NotRead, _) => {}
            }
            if difference.what != What::Changed || !difference.flags.is_empty() {
                push(&mut self.found, difference)?;
            }
        }
        Ok(())
    }
}

fn is_left_out(side: &Side) -> bool {
    let kind = EntryKind::from_number(side.kind);
    matches!(kind, Some(EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Socket))
}
