//! Extended attributes of open files: the calls, for packing and for extraction.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// The kernel's own limits, of the list of names and of a value.
const MOST_BYTES: usize = 64 << 10;
/// Tries before somebody who keeps changing the attributes ends it.
const TRIES: usize = 8;

/// Names and values, in the order that the file system has.
pub(crate) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What the file has of what is `wanted`; nothing where the file system holds no attributes.
///
/// # Errors
/// `EAGAIN` where they keep changing.
pub(crate) fn read(file: BorrowedFd<'_>, wanted: impl Fn(&[u8]) -> bool) -> rustix::io::Result<Attributes> {
    let list = match with_buffer(|buffer| rustix::fs::flistxattr(file, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let mut attributes = Vec::new();
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty() && wanted(name)) {
        match with_buffer(|buffer| rustix::fs::fgetxattr(file, name, buffer)) {
            // It was taken away since the names were listed.
            Err(Errno::NODATA) => {}
            value => attributes.push((name.to_vec(), value?)),
        }
    }
    Ok(attributes)
}

/// Gives the file an attribute, in place of what it has under that name.
pub(crate) fn set(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty())
}

/// Takes an attribute away; it is all right if it is gone.
pub(crate) fn remove(file: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::fremovexattr(file, name) {
        Err(Errno::NODATA) => Ok(()),
        result => result,
    }
}

/// Most attributes are short, so that the stack will do.
fn with_buffer(mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 512];
    match read(&mut small) {
        Ok(len) => return Ok(small[..len].to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    for _ in 0..TRIES {
        let mut big = vec![0; MOST_BYTES];
        match read(&mut big) {
            Ok(len) => {
                big.truncate(len);
                big.shrink_to_fit();
                return Ok(big);
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::AGAIN)
}
