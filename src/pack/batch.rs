//! What goes into the archive: runs of entries, numbered in the order in which they were added.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::beneath::{DirectoryCache, Root};
use crate::error::{Error, Result, Status, reserve};
use crate::pack::plan::Plan;
use crate::pack::scan::{Record, Tree};
use crate::sync::{Mutex, MutexGuard};

/// Entries with consecutive numbers: those of a tree, or those that were added one by one.
pub(super) struct Batch {
    /// Number of the first entry. The others follow in the order of [`Tree::records`].
    pub(super) first: u32,
    /// What stands before all paths, with a slash at its end where it isn't empty.
    prefix: Vec<u8>,
    pub(super) tree: Tree,
    pub(super) plan: Plan,
    /// The sequencer's number for the first of [`Plan::big`].
    pub(super) first_part: u32,
    /// The label of all entries; empty for none.
    pub(super) repo: Arc<str>,
    /// By worker; none once everything is read, and where there is nothing to read.
    handles: Vec<Mutex<Option<Handles>>>,
    is_tree: bool,
}

/// Directories of a tree that a worker has open.
pub(super) struct Handles {
    pub(super) root: Arc<Root>,
    pub(super) directories: DirectoryCache<OwnedFd>,
}

impl Batch {
    /// A tree that `workers` are to read below `root`. The paths of its entries begin with `prefix`.
    pub(super) fn of_tree(tree: Tree, plan: Plan, prefix: &[u8], root: Root, workers: usize) -> Batch {
        let root = Arc::new(root);
        let handles = || Handles { root: Arc::clone(&root), directories: DirectoryCache::new(workers) };
        let mut prefix = prefix.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let handles = (0..workers).map(|_| Mutex::new(Some(handles()))).collect();
        Batch { first: 0, prefix, tree, plan, first_part: 0, repo: "".into(), handles, is_tree: true }
    }

    /// The entries of an archive, of which nothing is read.
    pub(super) fn of_archive(tree: Tree, hardlinks: HashMap<u32, u32>, prefix: &[u8]) -> Batch {
        let mut prefix = prefix.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let plan = Plan::of_links(hardlinks);
        Batch { first: 0, prefix, tree, plan, first_part: 0, repo: "".into(), handles: Vec::new(), is_tree: true }
    }

    /// Entries that are added one by one, from this number on.
    pub(super) fn of_entries(first: u32, repo: &Arc<str>) -> Batch {
        let (tree, plan, repo) = (Tree::of_entries(), Plan::default(), Arc::clone(repo));
        Batch { first, prefix: Vec::new(), tree, plan, first_part: 0, repo, handles: Vec::new(), is_tree: false }
    }

    /// Whether it is a tree or the entries of an archive, whose records are in order of path.
    pub(super) fn is_tree(&self) -> bool {
        self.is_tree
    }

    /// What stands before all paths.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The directories of a worker, which nobody else uses.
    pub(super) fn handles(&self, worker: usize) -> Result<MutexGuard<'_, Option<Handles>>> {
        let closed = || Error::new(Status::Panic, "a tree is read after its end");
        self.handles.get(worker).map(Mutex::lock).ok_or_else(closed)
    }

    /// Closes the root and all directories: everything is read.
    pub(super) fn close(&self) {
        for handles in &self.handles {
            handles.lock().take();
        }
    }

    /// Numbers of the records in order of path; none where they are in this order.
    pub(super) fn order(&self) -> Result<Option<Vec<u32>>> {
        if self.is_tree {
            return Ok(None);
        }
        let (names, records) = (&self.tree.names, &self.tree.records);
        let mut order = Vec::new();
        reserve(&mut order, records.len())?;
        order.extend(0..records.len() as u32);
        order.sort_unstable_by(|a, b| names.compare(records[*a as usize].name, records[*b as usize].name));
        Ok(Some(order))
    }

    /// The exact path in the archive, written into `buffer`.
    pub(super) fn path(&self, record: &Record, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.prefix);
        self.tree.names.append_path(record.name, buffer);
    }
}
