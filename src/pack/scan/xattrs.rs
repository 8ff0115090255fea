//! Extended attributes of files and directories, each distinct set once in memory.
//!
//! Those of symbolic links, FIFOs, devices and sockets are not recorded: links have neither attributes of users nor
//! access control lists, and the others can't be opened without side effects.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::format::row::EntryKind;
use crate::format::xattrs::SetBuilder;
use crate::sync::Mutex;
use crate::xattr;

/// Reads sets, from any thread.
#[derive(Default)]
pub(in crate::pack) struct XattrReader(Mutex<HashSet<Arc<[u8]>>>);

impl XattrReader {
    /// The set of an open file or directory, encoded; `None` where it has no attributes.
    pub(in crate::pack) fn read(&self, file: BorrowedFd<'_>) -> Result<Option<Arc<[u8]>>> {
        let attributes = xattr::read(file, |_| true).map_err(|errno| match errno {
            Errno::AGAIN => Error::new(Status::Changed, "its extended attributes keep changing"),
            errno => Error::os("can't read its extended attributes", errno),
        })?;
        let mut set = SetBuilder::default();
        for (name, value) in &attributes {
            set.add(name, value)?;
        }
        let Some(set) = set.finish() else { return Ok(None) };
        let mut known = self.0.lock();
        if let Some(same) = known.get(&*set) {
            return Ok(Some(Arc::clone(same)));
        }
        let set: Arc<[u8]> = set.into();
        known.insert(Arc::clone(&set));
        Ok(Some(set))
    }

    /// The same for a name of which the status is known.
    pub(super) fn read_at(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        kind: EntryKind,
        stat: &Stat,
    ) -> Result<Option<Arc<[u8]>>> {
        let flags = match kind {
            EntryKind::File => OFlags::NONBLOCK | OFlags::NOCTTY,
            EntryKind::Directory => OFlags::DIRECTORY,
            _ => return Ok(None),
        };
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno| Error::os("can't open it to read its extended attributes", errno);
        let file = crate::sys::openat(directory, name, flags, Mode::empty()).map_err(failed)?;
        let opened = rustix::fs::fstat(&file).map_err(failed)?;
        if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
            return Err(Error::new(Status::Changed, "it was replaced while the tree was being scanned"));
        }
        self.read(file.as_fd())
    }
}
