//! Everything that was added: batches with consecutive numbers, which paths are taken, and what links to what.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::pack::batch::Batch;
use crate::pack::entry::NewEntry;
use crate::pack::links::Links;
use crate::pack::scan::Tree;

/// What was added so far.
pub(super) struct Entries {
    numbered: Numbered,
    paths: Paths,
    links: HashMap<u32, u32>,
    /// Replaced by entries that were added later.
    gone: HashSet<u32>,
    /// The label of what is added next.
    repo: Arc<str>,
}

/// Batches, and the one that entries are still added to.
#[derive(Default)]
struct Numbered {
    batches: Vec<Arc<Batch>>,
    open: Option<Batch>,
    next: u32,
}

/// Which paths are taken. Nothing is looked up here as long as there is one tree and nothing else.
struct Paths {
    hasher: RandomState,
    /// Numbers by their path.
    taken: HashTable<u32>,
    /// Directories that hold something, whether they have an entry or not: the first half of the BLAKE3 of each path.
    holders: HashSet<[u8; 16]>,
    /// The directory that the last entry was added to: it and all above are known as holders.
    last: Option<Vec<u8>>,
    /// So many batches are known here.
    batches: usize,
}

impl Entries {
    /// None yet; what is added next gets this label.
    pub(super) fn new(repo: &str) -> Entries {
        let paths = Paths {
            hasher: RandomState::new(),
            taken: HashTable::new(),
            holders: HashSet::new(),
            last: None,
            batches: 0,
        };
        let (links, gone) = (HashMap::new(), HashSet::new());
        Entries { numbered: Numbered::default(), paths, links, gone, repo: repo.into() }
    }

    /// What is added from here on gets this label.
    pub(super) fn set_repo(&mut self, repo: &str) {
        if *self.repo != *repo {
            self.numbered.close();
            self.repo = repo.into();
        }
    }

    /// Nothing more is added.
    pub(super) fn close(&mut self) {
        self.numbered.close();
    }

    /// All batches that are closed, in the order of their numbers.
    pub(super) fn batches(&self) -> &[Arc<Batch>] {
        &self.numbered.batches
    }

    /// How many numbers are given.
    pub(super) fn count(&self) -> u32 {
        self.numbered.next
    }

    /// Whether the entry was replaced by a later one.
    pub(super) fn is_gone(&self, number: u32) -> bool {
        !self.gone.is_empty() && self.gone.contains(&number)
    }

    /// Who shares whose bytes.
    pub(super) fn links(&self) -> Result<Links<'_>> {
        Links::new(&self.numbered.batches, &self.links, &self.gone)
    }

    /// Whether an entry may have this path. The number of the entry that has it, and is to be replaced.
    ///
    /// # Errors
    /// `E_EXISTS` where the path is taken and may not be; `E_INVALID_ARGUMENT` below what is not a directory, or where
    /// other entries are below what would be none.
    pub(super) fn check(&mut self, path: &[u8], kind: EntryKind, replace: bool) -> Result<Option<u32>> {
        self.learn();
        let taken = self.check_itself(path, kind, replace)?;
        let (directory, _) = path::split(path);
        if self.paths.last.as_deref() != Some(directory) {
            for above in path::ancestors(path) {
                self.check_above(above).map_err(|error| error.with_entry(path))?;
            }
        }
        Ok(taken)
    }

    /// The same for a tree below `prefix`, whose own entry was checked: the numbers of what it replaces.
    pub(super) fn check_tree(&mut self, tree: &Tree, prefix: &[u8], replace: bool) -> Result<HashSet<u32>> {
        let first = self.numbered.next == 0;
        if first && prefix.is_empty() {
            return Ok(HashSet::new());
        }
        self.learn();
        let mut replaced = HashSet::new();
        let mut full = prefix.to_vec();
        if !prefix.is_empty() {
            full.push(b'/');
        }
        let start = full.len();
        for record in tree.records.iter().filter(|record| !record.skipped) {
            full.truncate(start);
            tree.names.append_path(record.name, &mut full);
            // The prefix and the path in the tree keep the rules; together they may be too long, or too deep.
            path::check(&full)?;
            if !first {
                replaced.extend(self.check_itself(&full, record.kind, replace)?);
            }
        }
        if first {
            return Ok(replaced);
        }
        // A directory of the tree need not have an entry in it.
        for directory in tree.names.directories().filter(|directory| !directory.is_empty()) {
            full.truncate(start);
            full.extend_from_slice(directory);
            for above in path::ancestors(&full).chain([&full[..]]) {
                if self.find(above).is_some_and(|number| !replaced.contains(&number)) {
                    self.check_above(above).map_err(|error| error.with_entry(&full))?;
                }
            }
        }
        Ok(replaced)
    }

    /// Adds an entry whose path was checked; its number.
    pub(super) fn push(&mut self, entry: &NewEntry<'_>, size: u64) -> Result<u32> {
        let number = self.numbered.next;
        let next = number.checked_add(1).ok_or_else(too_many)?;
        let open = self.numbered.open.get_or_insert_with(|| Batch::of_entries(number, &self.repo));
        open.tree.push(entry, size)?;
        self.numbered.next = next;
        Ok(number)
    }

    /// The file's size, which was not known before all of it was read.
    pub(super) fn set_size(&mut self, number: u32, size: u64) {
        if let Some(open) = &mut self.numbered.open {
            open.tree.records[(number - open.first) as usize].size = size;
        }
    }

    /// Gives the entry that was added last its extended attributes.
    pub(super) fn set_xattrs(&mut self, set: Arc<[u8]>) {
        if let Some(open) = &mut self.numbered.open {
            open.tree.set_xattrs(set);
        }
    }

    /// An entry of the open batch is left out: not all of it could be read.
    pub(super) fn leave_out(&mut self, number: u32) {
        if let Some(open) = &mut self.numbered.open {
            open.tree.records[(number - open.first) as usize].skipped = true;
        }
    }

    /// Takes the path of an entry that was added, from the one that had it.
    pub(super) fn settle(&mut self, number: u32, path: &[u8], replaced: Option<u32>) {
        self.gone.extend(replaced);
        self.paths.insert(&self.numbered, number, path);
        let (directory, _) = path::split(path);
        if self.paths.last.as_deref() != Some(directory) {
            self.paths.last = Some(directory.to_vec());
        }
    }

    /// Adds a tree that was checked. It gets its numbers.
    pub(super) fn push_tree(&mut self, mut batch: Batch, replaced: HashSet<u32>) -> Result<Arc<Batch>> {
        self.numbered.close();
        batch.first = self.numbered.next;
        batch.repo = Arc::clone(&self.repo);
        let count = u32::try_from(batch.tree.records.len()).map_err(|_| too_many())?;
        self.numbered.next = self.numbered.next.checked_add(count).ok_or_else(too_many)?;
        self.gone.extend(replaced);
        let batch = Arc::new(batch);
        self.numbered.batches.push(Arc::clone(&batch));
        Ok(batch)
    }

    /// The number of the file that a hard link to `target` shares.
    pub(super) fn link_target(&mut self, entry: &NewEntry<'_>) -> Result<u32> {
        self.learn();
        let refused = |why: &str| {
            let why = format!("the target of a hard link, {}, {why}", crate::error::printable(entry.target));
            Error::new(Status::InvalidArgument, why).with_entry(entry.path)
        };
        let number = self.find(entry.target).ok_or_else(|| refused("is no entry; add the file first"))?;
        let (batch, at) = self.numbered.locate(number);
        if !batch.tree.records[at].kind.has_bytes() {
            return Err(refused("is not a file"));
        }
        if let Some(file) = self.links.get(&number) {
            return Ok(*file);
        }
        Ok(batch.plan.hardlinks.get(&(number - batch.first)).map_or(number, |first| batch.first + first))
    }

    /// Makes an entry a further name of a file.
    pub(super) fn link(&mut self, number: u32, file: u32) {
        self.links.insert(number, file);
    }

    fn check_itself(&self, path: &[u8], kind: EntryKind, replace: bool) -> Result<Option<u32>> {
        let taken = self.find(path);
        // What both are is a directory, with the attributes that come last.
        let both_directories = |number| kind == EntryKind::Directory && self.kind(number) == kind;
        if taken.is_some_and(|number| !replace && !both_directories(number)) {
            let why = "was added already; choose another path or ask for it to be replaced";
            return Err(Error::refused(Status::Exists, "entry.duplicate", why).with_entry(path));
        }
        if kind != EntryKind::Directory && self.paths.holders.contains(&holder(path)) {
            let why = "other entries were added below it, so that it can only be a directory";
            return Err(Error::refused(Status::InvalidArgument, "entry.above", why).with_entry(path));
        }
        Ok(taken)
    }

    fn check_above(&self, directory: &[u8]) -> Result<()> {
        let Some(number) = self.find(directory) else { return Ok(()) };
        if self.kind(number) == EntryKind::Directory {
            return Ok(());
        }
        let why = format!("lies below {}, which was added and is not a directory", crate::error::printable(directory));
        Err(Error::refused(Status::InvalidArgument, "entry.below", why))
    }

    fn kind(&self, number: u32) -> EntryKind {
        let (batch, at) = self.numbered.locate(number);
        batch.tree.records[at].kind
    }

    fn find(&self, path: &[u8]) -> Option<u32> {
        let hash = self.paths.hasher.hash_one(path);
        self.paths.taken.find(hash, |number| self.numbered.is_path(*number, path)).copied()
    }

    /// Takes up the paths of trees that were added since the last look.
    fn learn(&mut self) {
        let mut path = Vec::new();
        while let Some(batch) = self.numbered.batches.get(self.paths.batches).map(Arc::clone) {
            self.paths.batches += 1;
            if batch.is_tree() {
                for (at, record) in batch.tree.records.iter().enumerate().filter(|(_, record)| !record.skipped) {
                    batch.path(record, &mut path);
                    self.paths.insert(&self.numbered, batch.first + at as u32, &path);
                }
            }
        }
    }
}

impl Numbered {
    fn close(&mut self) {
        if let Some(batch) = self.open.take() {
            self.batches.push(Arc::new(batch));
        }
    }

    /// The batch of an entry, and the entry's place in it.
    fn locate(&self, number: u32) -> (&Batch, usize) {
        let batch = match &self.open {
            Some(open) if open.first <= number => open,
            _ => &self.batches[self.batches.partition_point(|batch| batch.first <= number) - 1],
        };
        (batch, (number - batch.first) as usize)
    }

    fn is_path(&self, number: u32, path: &[u8]) -> bool {
        let (batch, at) = self.locate(number);
        path.strip_prefix(batch.prefix()).is_some_and(|rest| batch.tree.names.is(batch.tree.records[at].name, rest))
    }
}

impl Paths {
    /// Takes a path, from the entry that had it if there is one.
    fn insert(&mut self, numbered: &Numbered, number: u32, path: &[u8]) {
        let Paths { hasher, taken, .. } = self;
        let hash = hasher.hash_one(path);
        match taken.find_mut(hash, |other| *other != number && numbered.is_path(*other, path)) {
            Some(place) => *place = number,
            None => {
                taken.insert_unique(hash, number, |number| {
                    let (batch, at) = numbered.locate(*number);
                    let mut buffer = Vec::new();
                    batch.path(&batch.tree.records[at], &mut buffer);
                    hasher.hash_one(&buffer[..])
                });
            }
        }
        if self.last.as_deref() == Some(path::split(path).0) {
            return;
        }
        for above in path::ancestors(path) {
            if !self.holders.insert(holder(above)) {
                break;
            }
        }
    }
}

fn holder(path: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&crate::format::hash::hash(path)[..16]);
    half
}

fn too_many() -> Error {
    Error::new(Status::Limit, "the archive would have over four billion entries")
}
