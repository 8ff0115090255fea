//! A directory in the order in which an index would have it: by the bytes of whole paths, so that what is below `a`
//! comes after `a-b`. No link is followed, and a directory at a time is listed.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::archive::diff::merge::Sorted;
use crate::archive::diff::sides::Side;
use crate::archive::filter::Filter;
use crate::beneath::{Access, DirectoryCache, Root};
use crate::error::{Error, Result};
use crate::format::hash::Digest;
use crate::format::path;
use crate::format::row::EntryKind;
use crate::progress::{CancelToken, Reporter, UNKNOWN};

/// A tree that is compared.
pub(super) struct Tree {
    root: Root,
}

/// What a file of the tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nobody looked.
    NotRead,
    /// Bytes with this BLAKE3.
    Hash(Digest),
    /// It has become another file, or has another length, since its name was met.
    Changing,
    /// Its name went since then.
    Gone,
}

/// Whether a name that was there is not, or its directory.
fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

/// Something in a directory that is still to come, as it sorts: with a slash at its end it is what lies below a name.
type Pending = Vec<u8>;

/// Names of a tree that globs and prefixes mean, in order.
pub(super) struct Walk<'a> {
    tree: &'a Tree,
    filter: &'a Filter,
    /// Directories on the way down: their paths, and what is to come in each, the first last.
    levels: Vec<(Vec<u8>, Vec<Pending>)>,
    handles: DirectoryCache<OwnedFd>,
    /// Directories listed so far, for their numbers.
    listed: u32,
    numbers: Vec<u32>,
    next: Option<(Vec<u8>, Side)>,
}

impl Tree {
    /// Opens a directory; the caller's own path may lead through links.
    pub(super) fn open(directory: &Path) -> Result<Tree> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = crate::sys::open(directory, flags, Mode::empty())
            .map_err(|errno| Error::os("can't open the directory", errno).with_path(directory))?;
        Ok(Tree { root: Root::new(handle) })
    }

    /// What a file that had `size` bytes holds now.
    pub(super) fn content(&self, path: &[u8], size: u64, cancel: &CancelToken, buffer: &mut [u8]) -> Result<Content> {
        let failed = |errno| Error::os("can't read the file", errno).with_entry(path);
        let file = match self.open_file(path) {
            Err(errno) if is_gone(errno) => return Ok(Content::Gone),
            file => file.map_err(failed)?,
        };
        let status = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile || status.st_size.cast_unsigned() != size {
            return Ok(Content::Changing);
        }
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < size {
            cancel.check()?;
            match rustix::io::pread(&file, &mut *buffer, offset) {
                Ok(0) => return Ok(Content::Changing),
                Ok(read) => {
                    hasher.update(buffer.get(..read).unwrap_or_default());
                    offset = offset.saturating_add(read as u64);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(if offset == size { Content::Hash(*hasher.finalize().as_bytes()) } else { Content::Changing })
    }

    fn open_file(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let (parent, name) = path::split(path);
        let directory = self.root.open(parent, Access::Handle)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        crate::sys::openat(&directory, name, flags, Mode::empty())
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Pending>> {
        let failed = |errno| Error::os("can't list the directory", errno).with_entry(path);
        let mut names = Vec::new();
        let readable = match self.root.open(path, Access::Read) {
            // Below the root: it went since its name was met.
            Err(errno) if is_gone(errno) && !path.is_empty() => return Ok(names),
            readable => readable.map_err(failed)?,
        };
        let mut entries = rustix::fs::Dir::new(readable).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            names.push(name.to_vec());
            if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                names.push([name, b"/"].concat());
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }
}

impl<'a> Walk<'a> {
    /// From the start.
    pub(super) fn new(tree: &'a Tree, filter: &'a Filter) -> Result<Walk<'a>> {
        let levels = vec![(Vec::new(), tree.list(b"")?)];
        let handles = DirectoryCache::new(1);
        Ok(Walk { tree, filter, levels, handles, listed: 0, numbers: vec![0], next: None })
    }

    fn is_directory(&mut self, full: &[u8]) -> Result<bool> {
        let status = self.status(full)?;
        Ok(status.is_some_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Directory))
    }

    /// `None` where the name went meanwhile.
    fn status(&mut self, full: &[u8]) -> Result<Option<Stat>> {
        let name = path::split(full).1;
        let status =
            self.handle(full).and_then(|directory| rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW));
        match status {
            Ok(status) => Ok(Some(status)),
            Err(errno) if is_gone(errno) => Ok(None),
            Err(errno) => Err(Error::os("can't look at it", errno).with_entry(full)),
        }
    }

    /// A handle of the directory that a path is in, which is the one that is being walked.
    fn handle(&mut self, full: &[u8]) -> rustix::io::Result<&OwnedFd> {
        let number = self.numbers.last().copied().unwrap_or(0);
        let (parent, _) = path::split(full);
        let tree = self.tree;
        self.handles.get(number, || tree.root.open(parent, Access::Handle))
    }

    fn side(&mut self, full: &[u8]) -> Result<Option<Side>> {
        let Some(status) = self.status(full)? else { return Ok(None) };
        let kind = EntryKind::of_mode(status.st_mode);
        let target = if kind == EntryKind::Symlink {
            let name = path::split(full).1;
            let target = self.handle(full).and_then(|directory| rustix::fs::readlinkat(directory, name, Vec::new()));
            match target {
                // The second: it has become something else.
                Err(errno) if is_gone(errno) || errno == Errno::INVAL => return Ok(None),
                Err(errno) => return Err(Error::os("can't read the link", errno).with_entry(full)),
                Ok(target) => Some(target.into_bytes()),
            }
        } else {
            None
        };
        let is_device = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        Ok(Some(Side {
            index: UNKNOWN,
            kind: kind as u8,
            size: if kind == EntryKind::File { status.st_size.cast_unsigned() } else { 0 },
            mode: (kind != EntryKind::Symlink).then_some(status.st_mode & 0o7777),
            mtime_ns: Some(
                status.st_mtime.saturating_mul(1_000_000_000).saturating_add(status.st_mtime_nsec.cast_signed()),
            ),
            uid: Some(status.st_uid),
            gid: Some(status.st_gid),
            rdev: is_device.then_some(status.st_rdev),
            target,
            hash: None,
        }))
    }
}

impl Sorted for Walk<'_> {
    fn peek(&mut self, reporter: &mut Reporter) -> Result<Option<&(Vec<u8>, Side)>> {
        while self.next.is_none() {
            let Some((directory, pending)) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = pending.pop() else {
                self.levels.pop();
                self.numbers.pop();
                continue;
            };
            reporter.tick(None)?;
            let (name, below) = match name.strip_suffix(b"/") {
                Some(name) => (name, true),
                None => (name.as_slice(), false),
            };
            let full = if directory.is_empty() { name.to_vec() } else { [directory.as_slice(), b"/", name].concat() };
            if below {
                if self.filter.reaches_into(&full) && self.is_directory(&full)? {
                    self.listed = self.listed.saturating_add(1);
                    self.numbers.push(self.listed);
                    let pending = self.tree.list(&full)?;
                    self.levels.push((full, pending));
                }
            } else if self.filter.wants(&full) {
                self.next = self.side(&full)?.map(|side| (full, side));
            }
        }
        Ok(self.next.as_ref())
    }

    fn take(&mut self) -> Option<(Vec<u8>, Side)> {
        self.next.take()
    }
}
