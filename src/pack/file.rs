//! Bytes of a file of a tree, and whether it is still what the scan saw.
//!
//! A file must be, after it was read, what the scan saw: same inode, size and modification time. Otherwise it
//! changed meanwhile, which is an error, or a skip by option; never a padded or cut file.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::beneath::{Access, DirectoryCache, is_out_of_descriptors};
use crate::error::{Error, Result, Status};
use crate::pack::batch::{Batch, Handles};
use crate::pack::holes;
use crate::pack::scan::{Record, mtime};

/// How files are opened. `NONBLOCK`: if a FIFO has taken the file's place since the scan, opening it must not wait for a writer.
pub(super) const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A tree, and the directories that this worker has open in it.
pub(super) struct OpenTree<'a> {
    pub(super) batch: &'a Batch,
    pub(super) handles: Option<&'a mut Handles>,
}

impl OpenTree<'_> {
    /// A part of a file.
    pub(super) fn fill(&mut self, record: &Record, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let names = &self.batch.tree.names;
        let Some(Handles { root, directories }) = &mut self.handles else {
            return Err(Error::new(Status::Panic, "a tree is read after its end"));
        };
        let mut fill = |directories: &mut DirectoryCache<OwnedFd>| {
            let number = record.name.directory;
            let directory = directories
                .get(number, || root.open(names.directory(number), Access::Handle))
                .map_err(|e| vanished("can't open its directory", e))?;
            read_checked(directory.as_fd(), names.name(record.name), record, offset, bytes)
        };
        match fill(directories) {
            // Other parts of the process take descriptors too: try again with fewer handles.
            Err(error) if is_out_of_descriptors(error.os_code()) && directories.shrink() => fill(directories),
            result => result,
        }
    }
}

/// Opens, reads and checks one file, or a part of it.
fn read_checked(directory: BorrowedFd<'_>, name: &[u8], record: &Record, offset: u64, bytes: &mut [u8]) -> Result<()> {
    let file =
        crate::sys::openat(directory, name, FLAGS, Mode::empty()).map_err(|e| vanished("can't open the file", e))?;
    let mut stat = None;
    if bytes.len() >= holes::MIN_HOLE {
        stat = Some(rustix::fs::fstat(&file).map_err(|e| Error::os("can't look at the file", e))?);
    }
    let sparse = stat.is_some_and(|stat| (stat.st_blocks as u64) * 512 < record.size);
    let filled = if sparse { fill_sparse(&file, offset, bytes) } else { fill(&file, offset, bytes) };
    let filled = filled.map_err(|e| Error::os("can't read the file", e))?;
    let grown = bytes.is_empty() && {
        let read = rustix::io::pread(&file, &mut [0; 1], 0).map_err(|e| Error::os("can't read the file", e))?;
        read > 0
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| Error::os("can't look at the file", e))?;
    let same = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_ino == record.inode
        && stat.st_size as u64 == record.size
        && mtime(&stat) == record.mtime_ns;
    if same && filled && !grown {
        return Ok(());
    }
    let why = "the file changed while it was being packed; pack again when nothing writes to it";
    Err(Error::new(Status::Changed, why))
}

/// Fills the buffer; `false` where the file ends before.
pub(super) fn fill(file: &impl std::os::fd::AsFd, offset: u64, bytes: &mut [u8]) -> Result<bool, Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => return Ok(false),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The same for a file that has holes: they are not read, which matters where they are most of it.
fn fill_sparse(file: &impl std::os::fd::AsFd, offset: u64, bytes: &mut [u8]) -> Result<bool, Errno> {
    let end = offset + bytes.len() as u64;
    let mut at = offset;
    while at < end {
        let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data.min(end),
            // Nothing but a hole from here to the end of the file.
            Err(Errno::NXIO) => end,
            // The file system doesn't say: read everything.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return fill(file, offset, bytes),
            Err(error) => return Err(error),
        };
        bytes[(at - offset) as usize..(data - offset) as usize].fill(0);
        if data == end {
            break;
        }
        let hole = rustix::fs::seek(file, SeekFrom::Hole(data))?.min(end);
        if !fill(file, data, &mut bytes[(data - offset) as usize..(hole - offset) as usize])? {
            return Ok(false);
        }
        at = hole;
    }
    Ok(true)
}

/// What the scan saw is gone, or something else has taken its place.
fn vanished(action: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => {
            let why = format!("{action}: it vanished or was replaced while it was being packed");
            Error::new(Status::Changed, why)
        }
        errno => Error::os(action, errno),
    }
}
