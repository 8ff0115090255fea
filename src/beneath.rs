//! The one walk beneath a root: directories are opened so that no symbolic link is ever followed and nothing above the
//! root is ever reached. Packing reads through it, extraction writes through it.
//!
//! `openat2` does the whole walk in the kernel; where it is missing or forbidden (old kernels, seccomp filters), the
//! walk is made component by component with `O_NOFOLLOW`. Handles are kept in a few places a thread and given up when
//! the process runs out of descriptors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const NO_LINK: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The kernel takes paths of less than 4,096 bytes in one call.
const LONGEST_CALL: usize = 4000;
/// Tries before somebody who keeps renaming directories makes the walk be done by hand.
const RENAME_TRIES: usize = 16;
/// Most handles that a thread keeps; files come in the order of their paths, so that more would hardly be hit.
const MOST_KEPT: usize = 16;
/// Descriptors that a thread has open at once at least: a directory, the next one on a walk, a file.
const LEAST_OF_THREAD: usize = 3;

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To reach what is in it (`O_PATH`).
    Handle,
    /// To list it, and to set its mode and times.
    Read,
}

impl Access {
    /// Flags for opening a directory that is named by one component.
    pub(crate) fn flags(self) -> OFlags {
        match self {
            Access::Handle => NO_LINK.union(OFlags::PATH),
            Access::Read => NO_LINK.union(OFlags::RDONLY),
        }
    }
}

/// A root directory.
pub(crate) struct Root {
    directory: OwnedFd,
    kernel_walks: AtomicBool,
}

impl Root {
    /// A root; any open directory will do.
    pub(crate) fn new(directory: OwnedFd) -> Root {
        Root { directory, kernel_walks: AtomicBool::new(true) }
    }

    /// Walks component by component from now on, as if the kernel had no `openat2`.
    #[cfg(test)]
    pub(crate) fn walk_by_hand(&self) {
        self.kernel_walks.store(false, Ordering::Relaxed);
    }

    /// The root itself.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens the directory at `path`, which keeps the rules of `format::path` or is empty for the root.
    ///
    /// # Errors
    /// `ELOOP`, `ENOTDIR` or `EXDEV` where a component is a symbolic link, no directory or leads outside.
    pub(crate) fn open(&self, path: &[u8], access: Access) -> rustix::io::Result<OwnedFd> {
        if path.is_empty() {
            return crate::sys::openat(&self.directory, c".", access.flags(), Mode::empty());
        }
        let mut from: Option<OwnedFd> = None;
        let mut rest = path;
        loop {
            let (now, later) = first_part(rest, self.kernel_walks.load(Ordering::Relaxed))?;
            let access = if later.is_empty() { access } else { Access::Handle };
            let start = from.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
            let next = match self.open_by_kernel(start, now, access) {
                Some(result) => result?,
                None => walk(start, now, access)?,
            };
            if later.is_empty() {
                return Ok(next);
            }
            (from, rest) = (Some(next), later);
        }
    }

    /// `None` where the walk has to be made by hand.
    fn open_by_kernel(
        &self,
        start: BorrowedFd<'_>,
        path: &[u8],
        access: Access,
    ) -> Option<rustix::io::Result<OwnedFd>> {
        for _ in 0..RENAME_TRIES {
            if !self.kernel_walks.load(Ordering::Relaxed) {
                return None;
            }
            match rustix::fs::openat2(start, path, access.flags(), Mode::empty(), BENEATH) {
                // EAGAIN: something was renamed during the walk.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Old kernels answer ENOSYS, seccomp filters EPERM.
                Err(Errno::NOSYS | Errno::PERM) => self.kernel_walks.store(false, Ordering::Relaxed),
                result => return Some(result),
            }
        }
        None
    }
}

/// What is opened in one go, and what is left.
fn first_part(path: &[u8], kernel_walks: bool) -> rustix::io::Result<(&[u8], &[u8])> {
    if !kernel_walks || path.len() <= LONGEST_CALL {
        return Ok((path, b""));
    }
    let cut = path[..LONGEST_CALL].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
    Ok((&path[..cut], &path[cut + 1..]))
}

fn walk(start: BorrowedFd<'_>, path: &[u8], access: Access) -> rustix::io::Result<OwnedFd> {
    let mut current: Option<OwnedFd> = None;
    let mut components = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = components.next() {
        component(name)?;
        let access = if components.peek().is_some() { Access::Handle } else { access };
        let parent = current.as_ref().map_or(start, AsFd::as_fd);
        current = Some(crate::sys::openat(parent, name, access.flags(), Mode::empty())?);
    }
    current.ok_or(Errno::INVAL)
}

/// Whether a name is one component, which leads nowhere else.
pub(crate) fn component(name: &[u8]) -> rustix::io::Result<()> {
    let unsafe_name = matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0);
    if unsafe_name { Err(Errno::INVAL) } else { Ok(()) }
}

/// A few open directories of one thread, the one used last in front.
pub(crate) struct DirectoryCache<T> {
    open: Vec<(u32, T)>,
    capacity: usize,
}

impl<T> DirectoryCache<T> {
    /// No directories; `threads` share what the process's limit of descriptors leaves.
    pub(crate) fn new(threads: usize) -> DirectoryCache<T> {
        let share = descriptors() / 2 / threads.max(1);
        let capacity = share.saturating_sub(LEAST_OF_THREAD - 1).clamp(1, MOST_KEPT);
        DirectoryCache { open: Vec::new(), capacity }
    }

    /// The directory with this number, opened by `open` if it isn't.
    pub(crate) fn get(
        &mut self,
        number: u32,
        mut open: impl FnMut() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<&T> {
        self.get_from(number, None, |_| open())
    }

    /// The same; `open` is given the directory `near`, if that is open: a step from there is shorter than the way
    /// from the root.
    pub(crate) fn get_from(
        &mut self,
        number: u32,
        near: Option<u32>,
        mut open: impl FnMut(Option<&T>) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<&T> {
        match self.open.iter().position(|(kept, _)| *kept == number) {
            Some(0) => {}
            Some(position) => self.open[..=position].rotate_right(1),
            None => {
                let near = self.open.iter().find(|(kept, _)| Some(*kept) == near).map(|(_, directory)| directory);
                let opened = match open(near) {
                    // Other parts of the process take descriptors too: go on with as few as can be.
                    Err(errno) if is_out_of_descriptors(errno.raw_os_error()) && !self.open.is_empty() => {
                        self.open.clear();
                        open(None)
                    }
                    result => result,
                }?;
                self.open.truncate(self.capacity - 1);
                self.open.insert(0, (number, opened));
            }
        }
        // The one asked for has just been put, or found, in front.
        Ok(&self.open[0].1)
    }

    /// Closes all but the one used last; `false` where there are no others.
    pub(crate) fn shrink(&mut self) -> bool {
        let more = self.open.len() > 1;
        self.open.truncate(1);
        more
    }
}

/// Whether an error number says that the process or the system has no descriptors left.
pub(crate) fn is_out_of_descriptors(os_code: i32) -> bool {
    os_code == libc::EMFILE || os_code == libc::ENFILE
}

/// As many of `wanted` threads as may have descriptors: half of the process's limit is left to the host.
pub(crate) fn threads_within_descriptors(wanted: usize) -> usize {
    wanted.min(descriptors() / 2 / LEAST_OF_THREAD).max(1)
}

fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn open(directory: &std::path::Path, by_hand: bool) -> Root {
        let root = Root::new(std::fs::File::open(directory).expect("open").into());
        if by_hand {
            root.walk_by_hand();
        }
        root
    }

    #[test]
    fn links_are_followed_neither_by_the_kernel_nor_by_hand() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir_all(dir.path().join("root/a/b")).expect("mkdir");
        std::fs::create_dir_all(dir.path().join("out/b")).expect("mkdir");
        symlink("../out", dir.path().join("root/link")).expect("symlink");
        symlink("a", dir.path().join("root/inside")).expect("symlink");
        for by_hand in [false, true] {
            let root = open(&dir.path().join("root"), by_hand);
            for access in [Access::Handle, Access::Read] {
                assert!(root.open(b"a/b", access).is_ok());
                assert!(root.open(b"", access).is_ok());
                for bad in [&b"link"[..], b"link/b", b"inside/b", b"..", b"a/../a", b"/etc"] {
                    // `a/../a` stays inside, so the kernel allows it; names with dots never get this far.
                    if bad != b"a/../a" || by_hand {
                        assert!(root.open(bad, access).is_err(), "{bad:?} by hand {by_hand}");
                    }
                }
            }
        }
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_are_opened_in_parts() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = open(dir.path(), true);
        let (mut path, name) = (Vec::new(), "d".repeat(200));
        for _ in 0..50 {
            let parent = root.open(&path, Access::Handle).expect("parent");
            rustix::fs::mkdirat(parent, name.as_str(), Mode::from_raw_mode(0o700)).expect("mkdir");
            path.extend_from_slice(if path.is_empty() { b"" } else { b"/" });
            path.extend_from_slice(name.as_bytes());
        }
        for by_hand in [false, true] {
            assert!(open(dir.path(), by_hand).open(&path, Access::Read).is_ok(), "by hand {by_hand}");
        }
        // Nothing else can remove a path of this length by name.
        for _ in 0..50 {
            let (parent, name) = crate::format::path::split(&path);
            let parent_fd = root.open(parent, Access::Handle).expect("parent");
            rustix::fs::unlinkat(parent_fd, name, rustix::fs::AtFlags::REMOVEDIR).expect("rmdir");
            path.truncate(parent.len());
        }
    }

    #[test]
    fn a_cache_keeps_what_was_used_last_and_gives_all_up_when_descriptors_run_out() {
        let mut cache = DirectoryCache { open: Vec::new(), capacity: 2 };
        for (number, opened) in [(1, true), (2, true), (1, false), (3, true), (1, false), (2, true)] {
            let mut asked = false;
            let value = *cache
                .get(number, || {
                    asked = true;
                    Ok(number)
                })
                .expect("open");
            assert_eq!((value, asked), (number, opened));
        }
        let mut tries = 0;
        let found = cache.get_from(9, Some(1), |near| {
            tries += 1;
            assert_eq!(near.copied(), (tries == 1).then_some(1));
            if tries == 1 { Err(Errno::MFILE) } else { Ok(9) }
        });
        assert_eq!((found.copied(), tries, cache.open.len()), (Ok(9), 2, 1));
        assert!(!cache.shrink());
    }
}
