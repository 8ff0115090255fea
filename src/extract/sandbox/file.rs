//! Files of the destination: new ones, which go again unless they are kept, and those that were there before.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use blake3::hazmat::{ChainingValue, HasherExt};
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::extract::sandbox::Directory;
use crate::format::hash::Digest;

/// Which file a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extract) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of an open file.
    pub(in crate::extract) fn of_open(file: BorrowedFd<'_>) -> Result<Identity> {
        let status = rustix::fs::fstat(file).map_err(|errno| Error::os("can't look at the new file", errno))?;
        Ok(Identity::of(&status))
    }

    pub(super) fn of(status: &Stat) -> Identity {
        Identity { device: status.st_dev, inode: status.st_ino }
    }
}

/// Something new that is removed again unless it is kept.
pub(in crate::extract) struct Leftover<'d> {
    directory: &'d Directory,
    name: Cow<'d, [u8]>,
    armed: bool,
}

impl<'d> Leftover<'d> {
    /// Takes charge of a name that was just made.
    pub(in crate::extract) fn new(directory: &'d Directory, name: Cow<'d, [u8]>) -> Leftover<'d> {
        Leftover { directory, name, armed: true }
    }

    /// Lets it stand.
    pub(in crate::extract) fn keep(mut self) {
        self.armed = false;
    }
}

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.directory.remove(&self.name);
        }
    }
}

/// A file that was just created and is removed again unless it is kept.
pub(in crate::extract) struct NewFile<'d> {
    file: OwnedFd,
    leftover: Leftover<'d>,
}

impl<'d> NewFile<'d> {
    pub(super) fn new(file: OwnedFd, leftover: Leftover<'d>) -> NewFile<'d> {
        NewFile { file, leftover }
    }

    /// Which file this is.
    pub(in crate::extract) fn identity(&self) -> Result<Identity> {
        Identity::of_open(self.file.as_fd())
    }

    /// Lets it stand, and returns the descriptor.
    pub(in crate::extract) fn keep(self) -> OwnedFd {
        self.leftover.keep();
        self.file
    }
}

impl AsFd for NewFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

pub(super) fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => Identity::of(&one) == Identity::of(&other),
        _ => false,
    }
}

/// A file that was there before.
pub(in crate::extract) struct Existing(OwnedFd);

impl Existing {
    pub(super) fn new(file: OwnedFd) -> Existing {
        Existing(file)
    }

    /// Whether its bytes have this hash.
    pub(in crate::extract) fn has_hash(
        &self,
        size: u64,
        hash: &Digest,
        check: impl Fn() -> Result<()>,
    ) -> Result<bool> {
        match hash_file(self.0.as_fd(), size, check) {
            Err(error) if error.status() == Status::Changed => Ok(false),
            found => Ok(found? == *hash),
        }
    }
}

impl AsFd for Existing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// BLAKE3 of a file's first `size` bytes; `check` is asked once in a while whether to go on.
pub(in crate::extract) fn hash_file(file: BorrowedFd<'_>, size: u64, check: impl Fn() -> Result<()>) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    update(&mut hasher, file, 0, size, &mut Vec::new(), check)?;
    Ok(*hasher.finalize().as_bytes())
}

/// The chaining value of `len` bytes of a longer file, which are a subtree of its tree. `buffer` is one to use.
pub(in crate::extract) fn chaining_value(
    file: BorrowedFd<'_>,
    offset: u64,
    len: u64,
    buffer: &mut Vec<u8>,
    check: impl Fn() -> Result<()>,
) -> Result<ChainingValue> {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    update(&mut hasher, file, offset, len, buffer, check)?;
    Ok(hasher.finalize_non_root())
}

fn update(
    hasher: &mut blake3::Hasher,
    file: BorrowedFd<'_>,
    mut offset: u64,
    len: u64,
    buffer: &mut Vec<u8>,
    check: impl Fn() -> Result<()>,
) -> Result<()> {
    let end = offset + len;
    let piece = len.min(1 << 20) as usize;
    if buffer.len() < piece {
        *buffer = crate::error::zeroed(piece)?;
    }
    while offset < end {
        check()?;
        let most = (end - offset).min(buffer.len() as u64) as usize;
        match rustix::io::pread(file, &mut buffer[..most], offset) {
            Ok(0) => return Err(Error::new(Status::Changed, "the file was cut by somebody else")),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os("can't read the file", errno)),
        }
    }
    Ok(())
}

/// Writes all bytes at an offset.
pub(in crate::extract) fn write_at(file: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(Error::os("can't write the file", Errno::IO)),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os("can't write the file", errno)),
        }
    }
    Ok(())
}

/// Gives a file its size; what is not written then is a hole.
pub(in crate::extract) fn set_size(file: BorrowedFd<'_>, size: u64) -> Result<()> {
    crate::sys::ftruncate(file, size).map_err(|errno| Error::os("can't set the file's size", errno))
}
