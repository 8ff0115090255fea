//! The names of a plan in little memory: each name once, each directory as a parent and a name.
//!
//! Paths are added in the order of the index, so that everything below a directory comes in one run. A stack of
//! the entries that are a prefix of the last path therefore finds every parent, and no map of paths is needed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::format::row::{Attributes, EntryKind};
use crate::format::xattrs::{Attributes as Xattrs, XattrSets};

/// The directory that everything is restored into.
pub(super) const ROOT: u32 = 0;

const NO_MODE: u16 = 1 << 12;
const NO_MTIME: u16 = 1 << 13;
const NO_OWNER: u16 = u16::MAX;
const NOT_A_DIRECTORY: u32 = u32::MAX;

/// What is restored of an entry: its name, where it belongs, and its attributes.
#[derive(Clone, Copy)]
pub(super) struct Node {
    mtime_ns: i64,
    /// Number of the directory that it is in.
    pub(super) directory: u32,
    start: u32,
    start_high: u8,
    length: u8,
    /// Number of the pair of owner and group.
    owner: u16,
    /// The mode, and what is not recorded.
    bits: u16,
}

const _: () = assert!(size_of::<Node>() == 24);

impl Node {
    /// The recorded mode bits.
    pub(super) fn mode(&self) -> Option<u32> {
        (self.bits & NO_MODE == 0).then(|| u32::from(self.bits & 0o7777))
    }

    /// Where its name starts.
    fn start(&self) -> u64 {
        (u64::from(self.start_high) << 32) | u64::from(self.start)
    }

    /// The recorded modification time.
    pub(super) fn mtime_ns(&self) -> Option<i64> {
        (self.bits & NO_MTIME == 0).then_some(self.mtime_ns)
    }
}

/// Recorded user and group.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

/// An entry that is a prefix of the path that was added last.
struct Open {
    length: usize,
    /// Its number, or [`NOT_A_DIRECTORY`].
    directory: u32,
}

/// All names, and the directories that they are in.
pub(super) struct Tree {
    arena: Vec<u8>,
    /// Parents come before what is in them; [`ROOT`] is the first.
    directories: Vec<Node>,
    owners: Vec<Owner>,
    owner_numbers: HashMap<Owner, u16>,
    /// Numbers of sets of extended attributes, by where the entry's name starts, which no other entry's does.
    xattr_ids: Vec<(u64, u32)>,
    /// The sets, where they are restored.
    xattr_sets: Arc<XattrSets>,
    last_path: Vec<u8>,
    open: Vec<Open>,
    /// Directories above the last path that were not asked for: their attributes, should something below be.
    aside: Vec<(usize, Attributes<'static>)>,
}

impl Tree {
    /// A tree of the root alone.
    pub(super) fn new() -> Tree {
        let root = Node {
            mtime_ns: 0,
            directory: ROOT,
            start: 0,
            start_high: 0,
            length: 0,
            owner: NO_OWNER,
            bits: NO_MODE | NO_MTIME,
        };
        Tree {
            arena: Vec::new(),
            directories: vec![root],
            owners: Vec::new(),
            owner_numbers: HashMap::new(),
            xattr_ids: Vec::new(),
            xattr_sets: Arc::default(),
            last_path: Vec::new(),
            open: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// Notes a directory that is made only if something below it is added.
    pub(super) fn set_aside(&mut self, full: &[u8], attributes: &Attributes<'_>) {
        self.advance(full);
        // Links and labels, which borrow, don't matter to directories.
        let owned = Attributes {
            mode: attributes.mode,
            mtime_ns: attributes.mtime_ns,
            uid: attributes.uid,
            gid: attributes.gid,
            xattr_id: attributes.xattr_id,
            ..Attributes::default()
        };
        self.aside.push((full.len(), owned));
    }

    /// Forgets what was set aside: paths start anew.
    pub(super) fn forget_aside(&mut self) {
        self.aside.clear();
        self.last_path.clear();
    }

    /// Adds an entry, whose path is greater than all before; directories that have no entry are made up. Returns
    /// what to keep of it; a directory is kept here.
    pub(super) fn add(&mut self, full: &[u8], kind: EntryKind, attributes: &Attributes<'_>) -> Result<Node> {
        self.advance(full);
        let (parent, name) = path::split(full);
        let directory = self.parent(full, parent.len())?;
        let mut node = self.node(directory, name)?;
        self.describe(&mut node, attributes)?;
        let number = if kind == EntryKind::Directory { self.push_directory(node)? } else { NOT_A_DIRECTORY };
        self.open.push(Open { length: full.len(), directory: number });
        Ok(node)
    }

    /// Keeps bytes, such as a link's target, beside the names; see [`Tree::bytes`].
    pub(super) fn store(&mut self, bytes: &[u8]) -> Result<(u64, u32)> {
        let start = self.arena.len() as u64;
        // 40 bits are kept of where a name starts.
        if start >> 40 != 0 {
            return Err(Error::new(Status::Limit, "the names of the archive take more than a terabyte"));
        }
        self.arena.try_reserve(bytes.len()).map_err(|_| no_memory())?;
        self.arena.extend_from_slice(bytes);
        Ok((start, bytes.len() as u32))
    }

    /// Bytes that [`Tree::store`] kept.
    pub(super) fn bytes(&self, (start, length): (u64, u32)) -> &[u8] {
        &self.arena[start as usize..start as usize + length as usize]
    }

    /// Directories, the root included; parents come before what is in them.
    pub(super) fn directories(&self) -> &[Node] {
        &self.directories
    }

    /// An entry's name in its directory.
    pub(super) fn name(&self, node: &Node) -> &[u8] {
        self.bytes((node.start(), u32::from(node.length)))
    }

    /// An entry's recorded owner.
    pub(super) fn owner(&self, node: &Node) -> Owner {
        self.owners.get(usize::from(node.owner)).copied().unwrap_or_default()
    }

    /// Restores extended attributes from these sets.
    ///
    /// # Errors
    /// `E_CORRUPT` where an entry has a set that is not there.
    pub(super) fn set_xattrs(&mut self, sets: &Arc<XattrSets>) -> Result<()> {
        self.xattr_ids.iter().try_for_each(|(_, id)| sets.get(*id).map(|_| ()))?;
        self.xattr_sets = Arc::clone(sets);
        Ok(())
    }

    /// An entry's recorded extended attributes.
    pub(super) fn xattrs(&self, node: &Node) -> Xattrs<'_> {
        self.xattr_id(node).map(|id| self.xattr_set(id)).unwrap_or_default()
    }

    /// The number of an entry's set of extended attributes; equal sets of an archive have equal numbers.
    pub(super) fn xattr_id(&self, node: &Node) -> Option<u32> {
        let found = self.xattr_ids.binary_search_by_key(&node.start(), |(start, _)| *start);
        found.ok().map(|at| self.xattr_ids[at].1)
    }

    /// A set by its number; nothing where none are restored.
    pub(super) fn xattr_set(&self, id: u32) -> Xattrs<'_> {
        self.xattr_sets.get(id).unwrap_or_default()
    }

    /// Writes an entry's whole path into `buffer`.
    pub(super) fn path<'a>(&self, node: &Node, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        // From the end to the start, then turned around: no list of ancestors is needed.
        buffer.clear();
        buffer.extend(self.name(node).iter().rev());
        let mut directory = node.directory;
        while directory != ROOT {
            let parent = &self.directories[directory as usize];
            buffer.push(b'/');
            buffer.extend(self.name(parent).iter().rev());
            directory = parent.directory;
        }
        buffer.reverse();
        buffer
    }

    /// The same for a directory's number; the root's path is empty.
    pub(super) fn directory_path<'a>(&self, number: u32, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        self.path(&self.directories[number as usize], buffer)
    }

    /// Names the entry that an error is about.
    pub(super) fn named(&self, node: &Node, error: Error) -> Error {
        error.with_entry(self.path(node, &mut Vec::new()))
    }

    /// Goes on to a path; what is not above it is done with.
    fn advance(&mut self, full: &[u8]) {
        let common = self.last_path.iter().zip(full).take_while(|(a, b)| a == b).count();
        while self.open.last().is_some_and(|open| open.length > common) {
            self.open.pop();
        }
        while self.aside.last().is_some_and(|(length, _)| *length > common) {
            self.aside.pop();
        }
        self.last_path.truncate(common);
        self.last_path.extend_from_slice(&full[common..]);
    }

    /// The number of the directory whose path is the first `length` bytes of `full`.
    fn parent(&mut self, full: &[u8], length: usize) -> Result<u32> {
        if length == 0 {
            return Ok(ROOT);
        }
        if let Some(number) = self.open_directory(length)? {
            return Ok(number);
        }
        // It has no entry. What is open and longer would lie in it, so there is no such thing, and new
        // directories go on top of the stack.
        let mut parent = ROOT;
        let mut start = 0;
        for end in (0..=length).filter(|&at| at == length || full[at] == b'/') {
            parent = match self.open_directory(end)? {
                Some(number) => number,
                None => {
                    let mut node = self.node(parent, &full[start..end])?;
                    if let Ok(at) = self.aside.binary_search_by_key(&end, |(length, _)| *length) {
                        let attributes = self.aside[at].1;
                        self.describe(&mut node, &attributes)?;
                    }
                    let number = self.push_directory(node)?;
                    self.open.push(Open { length: end, directory: number });
                    number
                }
            };
            start = end + 1;
        }
        Ok(parent)
    }

    fn open_directory(&self, length: usize) -> Result<Option<u32>> {
        let Ok(found) = self.open.binary_search_by_key(&length, |open| open.length) else { return Ok(None) };
        match self.open[found].directory {
            NOT_A_DIRECTORY => {
                Err(Error::corrupt("index.parent", "the entry lies below something that is not a directory"))
            }
            number => Ok(Some(number)),
        }
    }

    fn node(&mut self, directory: u32, name: &[u8]) -> Result<Node> {
        let length = u8::try_from(name.len()).map_err(|_| Error::corrupt("path.component.length", "a long name"))?;
        let (start, _) = self.store(name)?;
        Ok(Node {
            mtime_ns: 0,
            directory,
            start: start as u32,
            start_high: (start >> 32) as u8,
            length,
            owner: NO_OWNER,
            bits: NO_MODE | NO_MTIME,
        })
    }

    fn describe(&mut self, node: &mut Node, attributes: &Attributes<'_>) -> Result<()> {
        node.bits = match attributes.mode {
            Some(mode) => (mode & 0o7777) as u16,
            None => NO_MODE,
        };
        match attributes.mtime_ns {
            Some(mtime_ns) => node.mtime_ns = mtime_ns,
            None => node.bits |= NO_MTIME,
        }
        node.owner = self.owner_number(attributes)?;
        // Names are stored one behind the other, so that these are in order.
        attributes.xattr_id.map_or(Ok(()), |id| push(&mut self.xattr_ids, (node.start(), id)))
    }

    fn push_directory(&mut self, node: Node) -> Result<u32> {
        let number = self.directories.len() as u32;
        if number == NOT_A_DIRECTORY {
            return Err(Error::new(Status::Limit, "the archive has more than 4,294,967,294 directories"));
        }
        self.directories.try_reserve(1).map_err(|_| no_memory())?;
        self.directories.push(node);
        Ok(number)
    }

    fn owner_number(&mut self, attributes: &Attributes<'_>) -> Result<u16> {
        let owner = Owner { user: attributes.uid, group: attributes.gid };
        if owner == Owner::default() {
            return Ok(NO_OWNER);
        }
        if let Some(number) = self.owner_numbers.get(&owner) {
            return Ok(*number);
        }
        let number = u16::try_from(self.owners.len()).ok().filter(|number| *number != NO_OWNER);
        let number = number.ok_or_else(|| Error::new(Status::Limit, "the entries have more than 65,535 owners"))?;
        self.owners.push(owner);
        self.owner_numbers.insert(owner, number);
        Ok(number)
    }
}

/// Room for one more element, growing as vectors do, so that the archive's size ends in an error at worst.
pub(super) fn push<T>(vec: &mut Vec<T>, value: T) -> Result<()> {
    vec.try_reserve(1).map_err(|_| no_memory())?;
    vec.push(value);
    Ok(())
}

fn no_memory() -> Error {
    Error::new(Status::NoMemory, "out of memory for the names and places of the entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_were_set_aside_are_made_with_their_attributes_where_something_is_below() {
        let mut tree = Tree::new();
        let attributes = Attributes { mode: Some(0o711), ..Attributes::default() };
        tree.set_aside(b"a", &attributes);
        add(&mut tree, "a-b", EntryKind::File).unwrap();
        tree.set_aside(b"a/b", &attributes);
        tree.set_aside(b"a/c", &attributes);
        add(&mut tree, "a/c/d", EntryKind::File).unwrap();
        let modes: Vec<_> = tree.directories().iter().map(|node| (tree.name(node).to_vec(), node.mode())).collect();
        assert_eq!(modes, [(b"".to_vec(), None), (b"a".to_vec(), Some(0o711)), (b"c".to_vec(), Some(0o711))]);
    }

    fn add(tree: &mut Tree, path: &str, kind: EntryKind) -> Result<Node> {
        let attributes = Attributes { mode: Some(0o640), mtime_ns: Some(-7), ..Attributes::default() };
        tree.add(path.as_bytes(), kind, &attributes)
    }

    #[test]
    fn paths_come_back_and_each_directory_stands_once() {
        use EntryKind::{Directory, File};
        let paths = [
            ("a", Directory),
            ("a-b", Directory),
            ("a-b-c", File),
            ("a-b/x", File),
            ("a/b/c/d", File),
            ("a/b/c/e", File),
            ("a/b/cc", File),
            ("a/z", Directory),
            ("a/z/f", File),
            ("b/c", File),
        ];
        let mut tree = Tree::new();
        for (path, kind) in paths {
            let node = add(&mut tree, path, kind).unwrap();
            assert_eq!(tree.path(&node, &mut Vec::new()), path.as_bytes());
            assert_eq!((node.mode(), node.mtime_ns()), (Some(0o640), Some(-7)));
        }
        let directories: Vec<String> = (0..tree.directories().len() as u32)
            .map(|number| String::from_utf8(tree.directory_path(number, &mut Vec::new()).to_vec()).unwrap())
            .collect();
        assert_eq!(directories, ["", "a", "a-b", "a/b", "a/b/c", "a/z", "b"]);
        assert_eq!(tree.directories()[3].mode(), None, "a directory without an entry has no recorded mode");
    }

    #[test]
    fn an_entry_below_a_file_is_refused_whatever_stands_between() {
        let mut tree = Tree::new();
        add(&mut tree, "a", EntryKind::File).unwrap();
        add(&mut tree, "a-b", EntryKind::File).unwrap();
        let error = add(&mut tree, "a/b/c", EntryKind::File).map(|_| ()).unwrap_err();
        assert_eq!(error.rule(), Some("index.parent"));
    }
}
