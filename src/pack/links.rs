//! Names of one file: which of them is the first in order of path, and so the file itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::Result;
use crate::pack::batch::Batch;

/// Which entries share the bytes of which.
pub(super) struct Links<'a> {
    batches: &'a [Arc<Batch>],
    /// Names that were added as links: number of the link -> number of the file.
    added: &'a HashMap<u32, u32>,
    /// File -> the name that comes first, where that isn't the file's own.
    firsts: HashMap<u32, u32>,
}

impl<'a> Links<'a> {
    pub(super) fn new(
        batches: &'a [Arc<Batch>],
        added: &'a HashMap<u32, u32>,
        gone: &HashSet<u32>,
    ) -> Result<Links<'a>> {
        let mut links = Links { batches, added, firsts: HashMap::new() };
        // The first name of a file in a tree is the one that the plan took for the file.
        if added.is_empty() && gone.is_empty() {
            return Ok(links);
        }
        let mut groups: HashMap<u32, Vec<u32>> = HashMap::new();
        for batch in batches {
            for (link, file) in &batch.plan.hardlinks {
                groups.entry(batch.first + file).or_default().push(batch.first + link);
            }
        }
        for (link, file) in added {
            groups.entry(*file).or_default().push(*link);
        }
        for (file, mut names) in groups {
            names.push(file);
            let first = names.into_iter().filter(|name| !gone.contains(name)).min_by_key(|name| links.path(*name));
            if let Some(first) = first.filter(|first| *first != file) {
                links.firsts.insert(file, first);
            }
        }
        Ok(links)
    }

    /// The file whose bytes an entry of a batch has: its own number, unless it is a link.
    pub(super) fn file(&self, batch: &Batch, number: u32) -> u32 {
        match batch.plan.hardlinks.get(&(number - batch.first)) {
            Some(first) => batch.first + first,
            None => self.added.get(&number).copied().unwrap_or(number),
        }
    }

    /// The name under which the file stands in the archive as a file.
    pub(super) fn first(&self, file: u32) -> u32 {
        self.firsts.get(&file).copied().unwrap_or(file)
    }

    /// The batch of an entry.
    pub(super) fn batch(&self, number: u32) -> &'a Batch {
        &self.batches[self.batches.partition_point(|batch| batch.first <= number) - 1]
    }

    /// The path of an entry.
    pub(super) fn path(&self, number: u32) -> Vec<u8> {
        let (batch, mut path) = (self.batch(number), Vec::new());
        batch.path(&batch.tree.records[(number - batch.first) as usize], &mut path);
        path
    }
}
