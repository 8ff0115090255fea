//! Directories below a root, opened so that no symbolic link is ever followed and nothing above the root is
//! ever reached: `openat2` does the whole walk in the kernel; where it is missing or forbidden (old kernels,
//! seccomp filters), the walk is made component by component with `O_NOFOLLOW`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A root directory.
pub(crate) struct Root {
    directory: OwnedFd,
    kernel_walk: AtomicBool,
}

const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Tries before somebody who keeps renaming directories makes the walk be done by hand.
const RENAME_TRIES: usize = 16;

impl Root {
    /// A root; any open directory will do.
    pub(crate) fn new(directory: OwnedFd) -> Root {
        Root { directory, kernel_walk: AtomicBool::new(true) }
    }

    /// Walks component by component from now on, as if the kernel had no `openat2`.
    #[cfg(test)]
    pub(crate) fn without_kernel_walk(self) -> Root {
        self.kernel_walk.store(false, Ordering::Relaxed);
        self
    }

    /// The root itself.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens the directory at `path`, which keeps the rules of `format::path` or is empty for the root.
    ///
    /// # Errors
    /// `ELOOP` or `ENOTDIR` where a component is a symbolic link or no directory.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return rustix::fs::openat(&self.directory, c".", FLAGS, Mode::empty());
        }
        if self.kernel_walk.load(Ordering::Relaxed) && path.len() < 4000 {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            for _ in 0..RENAME_TRIES {
                match rustix::fs::openat2(&self.directory, path, FLAGS, Mode::empty(), resolve) {
                    // EAGAIN: something was renamed during the walk; after some tries the walk is made by hand.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // Old kernels answer ENOSYS, seccomp filters EPERM.
                    Err(Errno::NOSYS | Errno::PERM) => {
                        self.kernel_walk.store(false, Ordering::Relaxed);
                        break;
                    }
                    result => return result,
                }
            }
        }
        let mut current: Option<OwnedFd> = None;
        for component in path.split(|byte| *byte == b'/') {
            if matches!(component, b"" | b"." | b"..") {
                return Err(Errno::INVAL);
            }
            let parent = current.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
            current = Some(rustix::fs::openat(parent, component, FLAGS, Mode::empty())?);
        }
        current.ok_or(Errno::INVAL)
    }
}

/// A few open directories, the least recently used closed first. One a thread.
pub(crate) struct DirectoryCache {
    entries: Vec<(u32, OwnedFd)>,
    capacity: usize,
}

impl DirectoryCache {
    /// Keeps up to `capacity` directories open; at least one.
    pub(crate) fn new(capacity: usize) -> DirectoryCache {
        DirectoryCache { entries: Vec::new(), capacity: capacity.max(1) }
    }

    /// The directory with this number, opened by `open` if it isn't.
    pub(crate) fn get<E>(
        &mut self,
        number: u32,
        open: impl FnOnce() -> Result<OwnedFd, E>,
    ) -> Result<BorrowedFd<'_>, E> {
        match self.entries.iter().rposition(|(held, _)| *held == number) {
            Some(at) if at + 1 == self.entries.len() => {}
            Some(at) => {
                let entry = self.entries.remove(at);
                self.entries.push(entry);
            }
            None => {
                if self.entries.len() == self.capacity {
                    self.entries.remove(0);
                }
                self.entries.push((number, open()?));
            }
        }
        // The entry asked for has just been put, or found, at the end.
        let last = self.entries.len() - 1;
        Ok(self.entries[last].1.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_neither_by_the_kernel_nor_by_hand() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir_all(dir.path().join("root/a/b")).expect("mkdir");
        std::fs::create_dir_all(dir.path().join("out/b")).expect("mkdir");
        symlink("../out", dir.path().join("root/link")).expect("symlink");
        symlink("a", dir.path().join("root/inside")).expect("symlink");
        for by_hand in [false, true] {
            let mut root = Root::new(std::fs::File::open(dir.path().join("root")).expect("open").into());
            if by_hand {
                root = root.without_kernel_walk();
            }
            assert!(root.open_directory(b"a/b").is_ok());
            assert!(root.open_directory(b"").is_ok());
            for bad in [&b"link"[..], b"link/b", b"inside/b", b"..", b"a/../a", b"/etc"] {
                // `a/../a` stays inside, so the kernel allows it; names with dots never get this far.
                if bad != b"a/../a" || by_hand {
                    assert!(root.open_directory(bad).is_err(), "{bad:?} by hand {by_hand}");
                }
            }
        }
    }
}
