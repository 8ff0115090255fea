//! Handles of directories of the destination that a thread keeps open.

use crate::beneath::DirectoryCache;
use crate::error::Result;
use crate::extract::sandbox::{Directory, Root, directory_error};
use crate::extract::tree::{ROOT, Tree};

/// The handles of one thread.
pub(super) struct Handles {
    open: DirectoryCache<Directory>,
    path: Vec<u8>,
}

impl Handles {
    /// No handles; `threads` share what the process's limit leaves.
    pub(super) fn new(threads: usize) -> Handles {
        Handles { open: DirectoryCache::new(threads), path: Vec::new() }
    }

    /// The handle of a directory.
    pub(super) fn get(&mut self, root: &Root, tree: &Tree, number: u32) -> Result<&Directory> {
        let node = &tree.directories()[number as usize];
        let (path, parent) = (&mut self.path, (number != ROOT).then_some(node.directory));
        let opened = self.open.get_from(number, parent, |parent| match parent {
            Some(parent) => parent.open_directory(tree.name(node)),
            None => root.try_directory(tree.path(node, path)),
        });
        opened.map_err(|errno| directory_error(errno).with_entry(tree.path(node, &mut Vec::new())))
    }

    /// Closes all handles but the one used last; `false` where there are no others.
    pub(super) fn shrink(&mut self) -> bool {
        self.open.shrink()
    }
}
