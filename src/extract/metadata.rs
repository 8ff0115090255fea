//! Modes, times, owners and extended attributes: through open descriptors; for symbolic links, which can't be opened, by name in the
//! directory's handle without following.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::extract::tree::{Node, Owner, Tree};
use crate::extract::xattrs::Restored;
use crate::format::xattrs::Attributes as Xattrs;
use crate::options::{Key, Options};

/// The mode of new files that have none recorded; the process's mask applies.
pub(super) const DEFAULT_FILE_MODE: u32 = 0o666;
/// The mode of new directories that have none recorded; the process's mask applies.
pub(super) const DEFAULT_DIRECTORY_MODE: u32 = 0o777;

/// What is restored.
#[derive(Clone, Copy)]
pub(super) struct Policy {
    ids: bool,
    /// The mode bits that may be set.
    mode_mask: u32,
    xattrs: Restored,
}

impl Policy {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Policy {
        let setuid = options.flag(Key::RestoreSetuid) && !options.flag(Key::Untrusted);
        let mode_mask = if setuid { 0o7777 } else { 0o777 };
        Policy { ids: options.flag(Key::RestoreIds), mode_mask, xattrs: Restored::new(options) }
    }

    /// Reads the archive's extended attributes, where they are restored.
    ///
    /// # Errors
    /// `E_CORRUPT` where they are damaged, or an entry has a set that is not there.
    pub(super) fn load_xattrs(self, archive: &Archive, tree: &mut Tree) -> Result<()> {
        if self.restores_xattrs() { tree.set_xattrs(archive.xattr_sets()?) } else { Ok(()) }
    }

    /// Whether files get neither owners nor extended attributes.
    pub(super) fn sets_modes_and_times_alone(self) -> bool {
        !self.ids && !self.restores_xattrs()
    }

    /// Sets what is recorded on an open file or directory.
    pub(super) fn apply(self, file: BorrowedFd<'_>, node: &Node, tree: &Tree) -> Result<()> {
        if let Some((user, group)) = self.owner(tree.owner(node)) {
            rustix::fs::fchown(file, user, group).map_err(|errno| Error::os("can't set the owner", errno))?;
        }
        // After the owner: a change of owner takes set-user-id bits and capabilities away. Before the mode, which may
        // forbid it, and which says what an access control list has for the group.
        self.apply_xattrs(file, node.mode(), tree.xattrs(node))?;
        self.apply_mode_and_time(file, node.mode(), node.mtime_ns())
    }

    /// Makes a file's extended attributes those of its entry. `mode` is what it gets afterwards.
    pub(super) fn apply_xattrs(self, file: BorrowedFd<'_>, mode: Option<u32>, recorded: Xattrs<'_>) -> Result<()> {
        match self.xattrs.apply(file, recorded.clone()) {
            // A file that was there before may forbid its owner to write.
            Err(refused) if refused.errno == Errno::ACCESS && mode.is_some() => {
                rustix::fs::fchmod(file, Mode::RWXU).map_err(|errno| Error::os("can't set the mode", errno))?;
                Ok(self.xattrs.apply(file, recorded)?)
            }
            result => Ok(result?),
        }
    }

    /// Whether extended attributes are restored.
    pub(super) fn restores_xattrs(self) -> bool {
        self.xattrs != Restored::Nothing
    }

    /// Whether extended attributes are restored, and a file has not those of its entry.
    pub(super) fn lacks_xattrs(self, file: Option<impl AsFd>, node: &Node, tree: &Tree) -> bool {
        self.restores_xattrs() && !file.is_some_and(|file| self.xattrs.matches(file.as_fd(), tree.xattrs(node)))
    }

    /// The same for the root, whose attributes stand in the manifest.
    pub(super) fn apply_mode_and_time(
        self,
        file: BorrowedFd<'_>,
        mode: Option<u32>,
        mtime_ns: Option<i64>,
    ) -> Result<()> {
        if let Some(mode) = mode {
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode & self.mode_mask))
                .map_err(|errno| Error::os("can't set the mode", errno))?;
        }
        self.apply_time(file, mtime_ns)
    }

    /// Sets the time on an open file or directory.
    pub(super) fn apply_time(self, file: BorrowedFd<'_>, mtime_ns: Option<i64>) -> Result<()> {
        match mtime_ns {
            Some(mtime_ns) => rustix::fs::futimens(file, &times(mtime_ns)).map_err(time_error),
            None => Ok(()),
        }
    }

    /// Sets what is recorded on a symbolic link.
    pub(super) fn apply_to_link(self, directory: impl AsFd, name: &[u8], node: &Node, tree: &Tree) -> Result<()> {
        if let Some((user, group)) = self.owner(tree.owner(node)) {
            rustix::fs::chownat(&directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| Error::os("can't set the link's owner", errno))?;
        }
        match node.mtime_ns() {
            Some(mtime_ns) => {
                rustix::fs::utimensat(&directory, name, &times(mtime_ns), AtFlags::SYMLINK_NOFOLLOW).map_err(time_error)
            }
            None => Ok(()),
        }
    }

    fn owner(self, owner: Owner) -> Option<(Option<Uid>, Option<Gid>)> {
        let (user, group) = self.owner_ids(owner);
        (user.is_some() || group.is_some()).then(|| (user.map(Uid::from_raw), group.map(Gid::from_raw)))
    }

    /// The numbers of user and group that are restored.
    pub(super) fn owner_ids(self, owner: Owner) -> (Option<u32>, Option<u32>) {
        if !self.ids {
            return (None, None);
        }
        // The largest number means "leave as it is" to the system.
        (owner.user.filter(|id| *id != u32::MAX), owner.group.filter(|id| *id != u32::MAX))
    }

    /// The mode bits that are restored of these.
    pub(super) fn allowed(self, mode: u32) -> u32 {
        mode & self.mode_mask
    }
}

fn times(mtime_ns: i64) -> Timestamps {
    const SECOND: i64 = 1_000_000_000;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime_ns.div_euclid(SECOND), tv_nsec: mtime_ns.rem_euclid(SECOND) as _ },
    }
}

fn time_error(errno: Errno) -> Error {
    Error::os("can't set the modification time", errno)
}
