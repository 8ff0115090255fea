//! Handles of directories that a thread keeps open: few, so that many threads stay below the limit of descriptors.

use crate::error::Result;
use crate::extract::sandbox::{Directory, Root};
use crate::extract::tree::Tree;

/// Most handles that a thread keeps; files come in the order of their paths, so that more would hardly be hit.
const MOST: usize = 16;

/// The handles of one thread, the one used last in front.
pub(super) struct Handles {
    capacity: usize,
    open: Vec<(u32, Directory)>,
    path: Vec<u8>,
}

impl Handles {
    /// No handles; `threads` share what the process's limit leaves.
    pub(super) fn new(threads: usize) -> Handles {
        Handles { capacity: capacity(threads), open: Vec::new(), path: Vec::new() }
    }

    /// The handle of a directory.
    pub(super) fn get(&mut self, root: &Root, tree: &Tree, number: u32) -> Result<&Directory> {
        match self.open.iter().position(|(kept, _)| *kept == number) {
            Some(0) => {}
            Some(position) => self.open[..=position].rotate_right(1),
            None => {
                self.open.truncate(self.capacity - 1);
                let path = tree.directory_path(number, &mut self.path);
                let directory = match root.directory(path) {
                    // Other parts of the process take descriptors too: go on with as few as can be.
                    Err(error) if is_out_of_descriptors(error.os_code()) && !self.open.is_empty() => {
                        self.open.clear();
                        root.directory(path)
                    }
                    result => result,
                }?;
                self.open.insert(0, (number, directory));
            }
        }
        Ok(&self.open[0].1)
    }

    /// Closes all handles but the one used last; `false` where there are no others.
    pub(super) fn shrink(&mut self) -> bool {
        let more = self.open.len() > 1;
        self.open.truncate(1);
        more
    }
}

/// Whether an error number says that the process or the system has no descriptors left.
pub(super) fn is_out_of_descriptors(os_code: i32) -> bool {
    os_code == libc::EMFILE || os_code == libc::ENFILE
}

/// Handles for each of `threads`: half of the process's limit is left to files being written and to the host.
fn capacity(threads: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = usize::try_from(limit / 2).unwrap_or(usize::MAX) / threads.max(1);
    share.saturating_sub(1).clamp(1, MOST)
}
