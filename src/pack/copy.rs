//! Bytes from one file to another: shared where the file system can, copied inside the kernel where that can.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use crate::error::{Error, Result, zeroed};
use crate::progress::Reporter;

/// Bytes that are copied between two looks at whether the job was cancelled.
const STEP: usize = 16 << 20;

/// Makes the first `len` bytes of `to`, which is empty, those of `from`, which has at least as many.
pub(super) fn clone_or_copy(from: &File, to: BorrowedFd<'_>, len: u64, reporter: &mut Reporter) -> Result<()> {
    let failed = |errno| Error::os("can't copy the archive", errno);
    // The whole file is cloned, since a range would have to end on a block of the file system; then it is cut.
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => return crate::sys::ftruncate(to, len).map_err(failed),
        // Another file system, or one that can't: there are many ways to say so.
        Err(_) => crate::sys::ftruncate(to, 0).map_err(failed)?,
    }
    let mut done = 0;
    while done < len {
        reporter.tick(None)?;
        let step = (len - done).min(STEP as u64) as usize;
        let (mut from_at, mut to_at) = (done, done);
        match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), step) {
            Ok(0) => return Err(Error::corrupt("source.short", "the archive was cut short while it was copied")),
            Ok(copied) => done += copied as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::IO) => {
                return copy(from, to, done, len, reporter);
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

fn copy(from: &File, to: BorrowedFd<'_>, mut done: u64, len: u64, reporter: &mut Reporter) -> Result<()> {
    let mut buffer = zeroed((len - done).min(1 << 20) as usize)?;
    while done < len {
        reporter.tick(None)?;
        let step = (len - done).min(buffer.len() as u64) as usize;
        from.read_exact_at(&mut buffer[..step], done).map_err(|error| Error::io("can't read the archive", &error))?;
        let mut written = 0;
        while written < step {
            match rustix::io::pwrite(to, &buffer[written..step], done + written as u64) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::os("can't write the archive", errno)),
            }
        }
        done += step as u64;
    }
    Ok(())
}
