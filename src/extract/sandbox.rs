//! The only code that opens, creates or removes anything in the destination.
//!
//! Everything is relative to a handle of the root directory; directories below it are opened by the walk of
//! `beneath`, which follows nothing. Names are created in the directory's handle, as single components, and never
//! followed. A name that could lead elsewhere is refused here even though none gets past the index.

mod file;

pub(super) use file::{Existing, Identity, Leftover, NewFile, chaining_value, hash_file, set_size, write_at};

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat, StatxFlags};
use rustix::io::Errno;

use crate::beneath::{self, Access, component};
use crate::error::{Error, Result, Status};

const NEW_FILE: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The destination.
pub(super) struct Root {
    walk: beneath::Root,
    /// Whether it was made, or was empty: what is in it then all comes from the archive.
    own: bool,
    /// What nobody can guess before it is seen: part of temporary names.
    nonce: u64,
}

impl Root {
    /// Opens the destination, and makes it first where it doesn't exist.
    pub(super) fn open(destination: &Path) -> Result<Root> {
        let made = match rustix::fs::mkdirat(CWD, destination, Mode::from_raw_mode(0o777)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::os("can't make the destination", errno).with_path(destination)),
        };
        // The caller's own path may lead through links; below it none is followed.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = crate::sys::open(destination, flags, Mode::empty()).map_err(|errno| {
            let action = if errno == Errno::NOTDIR { "the destination is not a directory" } else { "can't open it" };
            Error::os(action, errno).with_path(destination)
        })?;
        let nonce = RandomState::new().hash_one(destination);
        let mut root = Root { walk: beneath::Root::new(handle), own: made, nonce };
        // One that can't be listed can be filled all the same.
        root.own = made || root.is_empty().unwrap_or(false);
        Ok(root)
    }

    /// Opens a directory if it exists; nothing is made.
    pub(super) fn existing(directory: &Path) -> Result<Option<Root>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = match crate::sys::open(directory, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            handle => handle.map_err(|errno| Error::os("can't open the directory", errno).with_path(directory))?,
        };
        let nonce = RandomState::new().hash_one(directory);
        let mut root = Root { walk: beneath::Root::new(handle), own: false, nonce };
        root.own = root.is_empty().unwrap_or(false);
        Ok(Some(root))
    }

    /// Does without `openat2` from now on.
    #[cfg(test)]
    pub(super) fn walk_by_hand(&self) {
        self.walk.walk_by_hand();
    }

    /// Whether everything in the destination comes from this extraction.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// Whether new files may inherit an access control list, as far as can be told.
    pub(super) fn has_default_acl(&self) -> bool {
        let Ok(readable) = self.walk.open(b"", Access::Read) else { return true };
        let found = rustix::fs::fgetxattr(readable, c"system.posix_acl_default", &mut [0u8; 0]);
        !matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP))
    }

    /// A handle of a directory below the root, by the path in the archive; the root's own path is empty.
    pub(super) fn directory(&self, path: &[u8]) -> Result<Directory> {
        self.try_directory(path).map_err(|errno| directory_error(errno).with_entry(path))
    }

    /// The same with the system's own error.
    pub(super) fn try_directory(&self, path: &[u8]) -> rustix::io::Result<Directory> {
        self.walk.open(path, Access::Handle).map(Directory)
    }

    /// The same, open for reading, so that its mode and times can be set.
    pub(super) fn readable_directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.walk.open(path, Access::Read).map_err(|errno| directory_error(errno).with_entry(path))
    }

    /// A name that nobody can guess, for something that is not yet what the archive says.
    pub(super) fn temporary_name(&self, number: u64) -> Vec<u8> {
        format!(".znippy-{:016x}-{number:x}", self.nonce).into_bytes()
    }

    /// The names in a directory, and whether each is a directory as far as the listing tells.
    pub(super) fn names(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, bool)>> {
        let mut names = Vec::new();
        self.visit_names(path, |name, is_directory| names.push((name.to_vec(), is_directory)))?;
        Ok(names)
    }

    /// The same, name by name.
    pub(super) fn visit_names(&self, path: &[u8], mut visit: impl FnMut(&[u8], bool)) -> Result<()> {
        let readable = self.readable_directory(path)?;
        let failed = |errno| Error::os("can't list the directory", errno).with_entry(path);
        let mut entries = rustix::fs::Dir::new(readable).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                visit(name, entry.file_type() == FileType::Directory);
            }
        }
        Ok(())
    }

    /// What is mounted where a directory is: a file system, or a part of one, also of the root's own.
    pub(super) fn mount(&self, path: &[u8]) -> Result<Mount> {
        let directory = self.directory(path)?;
        let failed = |errno| Error::os("can't look at the directory", errno).with_entry(path);
        let device = rustix::fs::fstat(&directory).map_err(failed)?.st_dev;
        // Kernels before 5.8 don't number mounts; then two mounts of one file system look the same.
        let number = rustix::fs::statx(&directory, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .ok()
            .filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0)
            .map(|found| found.stx_mnt_id);
        Ok(Mount { device, number })
    }

    fn is_empty(&self) -> rustix::io::Result<bool> {
        let readable = self.walk.open(b"", Access::Read)?;
        let mut entries = rustix::fs::Dir::new(readable)?;
        while let Some(entry) = entries.read() {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What tells mounts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    device: u64,
    number: Option<u64>,
}

fn checked(name: &[u8]) -> Result<()> {
    component(name)
        .map_err(|_| Error::refused(Status::UnsafePath, "sandbox.name", "the name is not a single component"))
}

pub(super) fn directory_error(errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Error::refused(
            Status::UnsafePath,
            "sandbox.directory",
            "a symbolic link or a file stands where a directory is needed; it is not followed",
        ),
        errno => Error::os("can't open the directory", errno),
    }
}

/// The error for a directory that would have to make room for something else.
pub(super) fn directory_in_the_way() -> Error {
    Error::os("a directory stands where a file is needed", Errno::EXIST)
}

fn creation_error(what: &str, errno: Errno) -> Error {
    match errno {
        Errno::EXIST | Errno::ISDIR | Errno::NOTEMPTY => Error::os(&format!("{what}: the name is taken"), Errno::EXIST),
        errno => Error::os(what, errno),
    }
}

/// A handle of a directory of the destination.
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory in this one.
    pub(super) fn open_directory(&self, name: &[u8]) -> rustix::io::Result<Directory> {
        component(name)?;
        crate::sys::openat(&self.0, name, Access::Handle.flags(), Mode::empty()).map(Directory)
    }

    /// Makes a directory; where one is there already, its mode comes back. A link to a directory is not one.
    pub(super) fn make_directory(&self, name: &[u8], mode: u32) -> Result<Option<u32>> {
        checked(name)?;
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode)) {
            Ok(()) => Ok(None),
            Err(Errno::EXIST) => match self.status(name) {
                Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => {
                    Ok(Some(status.st_mode & 0o7777))
                }
                _ => Err(directory_error(Errno::NOTDIR)),
            },
            Err(errno) => Err(Error::os("can't make the directory", errno)),
        }
    }

    /// The same for a directory that is probably there: looking costs less than making what exists.
    pub(super) fn make_missing_directory(&self, name: &[u8], mode: u32) -> Result<Option<u32>> {
        checked(name)?;
        match self.status(name) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => {
                Ok(Some(status.st_mode & 0o7777))
            }
            _ => self.make_directory(name, mode),
        }
    }

    /// Makes a new file under a name that nothing has. It is removed again unless it is kept.
    pub(super) fn create<'d>(&'d self, name: Cow<'d, [u8]>, mode: u32) -> Result<NewFile<'d>> {
        checked(&name)?;
        let file = crate::sys::openat(&self.0, &*name, NEW_FILE, Mode::from_raw_mode(mode))
            .map_err(|errno| creation_error("can't create the file", errno))?;
        Ok(NewFile::new(file, Leftover::new(self, name)))
    }

    /// Opens a file that this extraction made, for writing and reading; `identity` is what [`NewFile::identity`] said.
    pub(super) fn reopen(&self, name: &[u8], identity: Identity) -> Result<OwnedFd> {
        checked(name)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |errno| Error::os("can't open the unfinished file again", errno);
        let file = crate::sys::openat(&self.0, name, flags, Mode::empty()).map_err(failed)?;
        if Identity::of(&rustix::fs::fstat(&file).map_err(failed)?) != identity {
            return Err(Error::refused(Status::UnsafePath, "sandbox.swapped", "the unfinished file was replaced"));
        }
        Ok(file)
    }

    /// Opens a file that this extraction made for reading; `None` where that can't be done, or where the name has
    /// become another file's.
    pub(super) fn reopen_to_read(&self, name: &[u8], identity: Identity) -> Option<OwnedFd> {
        component(name).ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = crate::sys::openat(&self.0, name, flags, Mode::empty()).ok()?;
        (Identity::of_open(file.as_fd()).ok()? == identity).then_some(file)
    }

    /// Whether a name is that file's.
    pub(super) fn is(&self, name: &[u8], identity: Identity) -> bool {
        self.status(name).is_ok_and(|status| Identity::of(&status) == identity)
    }

    /// Makes a symbolic link.
    pub(super) fn symlink(&self, target: &[u8], name: &[u8]) -> Result<()> {
        checked(name)?;
        rustix::fs::symlinkat(target, &self.0, name).map_err(|errno| creation_error("can't make the link", errno))
    }

    /// Makes a FIFO and opens it.
    pub(super) fn fifo(&self, name: &[u8]) -> Result<OwnedFd> {
        checked(name)?;
        let failed = |errno| creation_error("can't make the FIFO", errno);
        rustix::fs::mknodat(&self.0, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0).map_err(failed)?;
        let leftover = Leftover::new(self, Cow::Borrowed(name));
        // For reading and writing: neither end then waits for the other.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fifo = crate::sys::openat(&self.0, name, flags, Mode::empty()).map_err(failed)?;
        let status = rustix::fs::fstat(&fifo).map_err(failed)?;
        leftover.keep();
        if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
            return Err(Error::refused(Status::UnsafePath, "sandbox.swapped", "the new FIFO was replaced"));
        }
        Ok(fifo)
    }

    /// Gives a file of this extraction a further name. Links are not followed.
    pub(super) fn link(&self, name: &[u8], of: &Directory, of_name: &[u8]) -> rustix::io::Result<()> {
        component(name)?;
        component(of_name)?;
        rustix::fs::linkat(&of.0, of_name, &self.0, name, AtFlags::empty())
    }

    /// Gives what stands under `from` the name `to`, in the place of whatever file or link has that.
    pub(super) fn replace(&self, from: &[u8], to: &[u8]) -> Result<()> {
        checked(to)?;
        rustix::fs::renameat(&self.0, from, &self.0, to).map_err(|errno| match errno {
            Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => directory_in_the_way(),
            errno => Error::os("can't rename the finished file", errno),
        })
    }

    /// Gives what stands under `from` the name `to` if nothing has that.
    pub(super) fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<()> {
        checked(to)?;
        let failed = |errno| creation_error("can't rename the finished file", errno);
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag; a second name and the removal of the first come to the same.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                rustix::fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()).map_err(failed)?;
                self.remove(from);
                Ok(())
            }
            result => result.map_err(failed),
        }
    }

    /// Whether something has this name.
    pub(super) fn is_taken(&self, name: &[u8]) -> bool {
        self.status(name).is_ok()
    }

    /// Removes an unfinished file. That it can't be removed is no further error: there is one already.
    pub(super) fn remove(&self, name: &[u8]) {
        if component(name).is_ok() {
            let _ = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
        }
    }

    /// Removes a file or link, or an empty directory.
    pub(super) fn delete(&self, name: &[u8], directory: bool) -> rustix::io::Result<()> {
        component(name)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&self.0, name, flags)
    }

    /// Opens a regular file for reading, and for changes of its attributes.
    pub(super) fn open_existing(&self, name: &[u8]) -> Option<Existing> {
        component(name).ok()?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = crate::sys::openat(&self.0, name, flags, Mode::empty()).ok()?;
        let status = rustix::fs::fstat(&file).ok()?;
        (FileType::from_raw_mode(status.st_mode) == FileType::RegularFile).then(|| Existing::new(file))
    }

    /// The target of a symbolic link.
    pub(super) fn read_link(&self, name: &[u8]) -> Option<Vec<u8>> {
        component(name).ok()?;
        rustix::fs::readlinkat(&self.0, name, Vec::new()).ok().map(std::ffi::CString::into_bytes)
    }

    /// Gives the owner of a directory all rights to it, through a descriptor of it.
    pub(super) fn open_up(&self, name: &[u8], mode: u32) -> Result<()> {
        checked(name)?;
        let failed = |errno| Error::os("can't make the directory writable", errno);
        let mode = Mode::from_raw_mode((mode & 0o7777) | 0o700);
        let handle = crate::sys::openat(&self.0, name, Access::Handle.flags(), Mode::empty()).map_err(failed)?;
        match crate::sys::openat(&self.0, name, Access::Read.flags(), Mode::empty()) {
            Ok(readable) if file::same(&handle, &readable) => rustix::fs::fchmod(&readable, mode).map_err(failed),
            Ok(_) => Err(Error::refused(Status::UnsafePath, "sandbox.swapped", "the directory was replaced")),
            // It can't be opened for reading either; the handle's own name in /proc is no link that could change.
            Err(_) => {
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
                rustix::fs::chmod(path, mode).map_err(failed)
            }
        }
    }

    /// Looks at a name; links are not followed.
    pub(super) fn status(&self, name: &[u8]) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
