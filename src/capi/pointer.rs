//! Arguments from C: checked once, here, and named in the error when they are wrong.

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use super::types::Sized32;
use crate::error::{Error, Result, Status};

/// `intptr_t`. The header generator, which doesn't see this file, would make `ptrdiff_t` of Rust's own name.
pub(super) type IntPtr = isize;

/// The error for an argument that is wrong.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Status::InvalidArgument, message)
}

/// A host path: not null, not empty.
///
/// # Safety
/// `path` is null or NUL-terminated and unchanged for `'a`.
pub(super) unsafe fn host_path<'a>(path: *const c_char, argument: &str) -> Result<&'a Path> {
    if path.is_null() {
        return Err(invalid(format!("{argument} is NULL")));
    }
    // SAFETY: not null, and NUL-terminated as promised.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if path.is_empty() {
        return Err(invalid(format!("{argument} is empty")));
    }
    Ok(Path::new(OsStr::from_bytes(path)))
}

/// Bytes with a length; null is fine where there are none.
///
/// # Safety
/// `data` is null or readable for `len` bytes, which don't change for `'a`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: usize, argument: &str) -> Result<&'a [u8]> {
    check_extent(data.is_null(), len, argument)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, of a length that fits an allocation, and readable as promised.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Room for bytes; null is fine where `len` is 0.
///
/// # Safety
/// `data` is null or writable for `len` bytes, which nobody else touches for `'a`.
pub(super) unsafe fn room<'a>(data: *mut c_void, len: usize, argument: &str) -> Result<&'a mut [u8]> {
    check_extent(data.is_null(), len, argument)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, of a length that fits an allocation, and ours as promised.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

/// No object is larger than `isize::MAX`; a larger length is a negative number gone astray.
fn check_extent(is_null: bool, len: usize, argument: &str) -> Result<()> {
    if is_null && len != 0 {
        return Err(invalid(format!("{argument} is NULL")));
    }
    if isize::try_from(len).is_err() {
        return Err(invalid(format!("{argument} has an impossible length, {len}")));
    }
    Ok(())
}

/// A place for a result that must not be null.
pub(super) fn required<T>(place: *mut T, argument: &str) -> Result<NonNull<T>> {
    NonNull::new(place).ok_or_else(|| invalid(format!("{argument} is NULL")))
}

/// A public struct of the host that a result goes into.
pub(super) struct Out<T> {
    place: NonNull<T>,
    len: usize,
}

impl<T: Sized32> Out<T> {
    /// Checks the struct's size before anything is done.
    ///
    /// # Safety
    /// `place` is null, or its first four bytes are set and as many bytes as they say are writable until the
    /// end of the call.
    pub(super) unsafe fn required(place: *mut T, argument: &str) -> Result<Out<T>> {
        let place = required(place, argument)?;
        // SAFETY: not null, and the size field is set.
        let len = unsafe { struct_size(place.as_ptr(), argument) }?;
        Ok(Out { place, len })
    }

    /// The same where the host may not want the result.
    ///
    /// # Safety
    /// As for [`Out::required`].
    pub(super) unsafe fn optional(place: *mut T, argument: &str) -> Result<Option<Out<T>>> {
        // SAFETY: as promised by the caller.
        if place.is_null() { Ok(None) } else { unsafe { Out::required(place, argument) }.map(Some) }
    }

    /// Writes as much as both sides know; the size field and what lies beyond stay as they are.
    pub(super) fn write(self, value: &T) {
        let len = self.len.min(size_of::<T>()).saturating_sub(size_of::<u32>());
        let from = (&raw const *value).cast::<u8>();
        let to = self.place.as_ptr().cast::<u8>();
        // SAFETY: both have `struct_size` bytes, which is at least the four that are left out; a `Sized32` has
        // no padding, so all of its bytes are initialised; the host's struct is not ours.
        unsafe { std::ptr::copy_nonoverlapping(from.add(size_of::<u32>()), to.add(size_of::<u32>()), len) }
    }
}

/// The size of a struct as its first field says it.
pub(super) fn size_of_struct<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

/// The size that the host gave its struct; sizes below that of version 0.1 are refused.
///
/// # Safety
/// The first four bytes of `place` are readable.
pub(super) unsafe fn struct_size<T: Sized32>(place: *const T, argument: &str) -> Result<usize> {
    // SAFETY: as promised by the caller.
    let len = unsafe { place.cast::<u32>().read_unaligned() } as usize;
    if len < T::MINIMUM {
        return Err(invalid(format!(
            "{argument}->struct_size is {len}, but at least {}: set it to sizeof(*{argument}) before the call",
            T::MINIMUM
        )));
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::znippy_archive_info;
    use std::ptr::null_mut;

    fn info(struct_size: u32, format_version: u32) -> znippy_archive_info {
        znippy_archive_info {
            struct_size,
            format_version,
            archive_size: 1,
            entries: 2,
            segments: 3,
            blobs: 4,
            payload_size: 5,
            index_size: 6,
            archive_digest: [9; 32],
        }
    }

    #[test]
    fn out_struct_gets_what_both_sides_know() {
        // A host of a later version: its struct has eight more bytes, which are not ours to touch.
        let mut place = [0xEEu8; size_of::<znippy_archive_info>() + 8];
        let size = place.len() as u32;
        place[..4].copy_from_slice(&size.to_ne_bytes());
        let before = place;
        // SAFETY: the array is as large as its size field says.
        let out = unsafe { Out::<znippy_archive_info>::required(place.as_mut_ptr().cast(), "info_out") }.unwrap();
        out.write(&info(0, 4));
        assert_eq!(place[..4], before[..4]);
        assert_eq!(place[4..8], 4u32.to_ne_bytes());
        assert_eq!(place[before.len() - 40..before.len() - 8], [9; 32]);
        assert_eq!(place[before.len() - 8..], [0xEE; 8]);
    }

    #[test]
    fn short_struct_is_refused_and_the_frozen_size_accepted() {
        let minimum = <znippy_archive_info as Sized32>::MINIMUM as u32;
        for (size, fine) in [(0, false), (4, false), (minimum - 1, false), (minimum, true), (minimum + 1, true)] {
            let mut place = info(size, 1);
            // SAFETY: the struct is live; nothing is written.
            assert_eq!(unsafe { Out::required(&raw mut place, "info_out") }.is_ok(), fine, "{size}");
        }
    }

    #[test]
    fn null_is_named_and_lengths_are_checked() {
        let message = required::<u8>(null_mut(), "index_out").unwrap_err().to_string();
        assert_eq!(message, "index_out is NULL");
        // SAFETY: null and impossible lengths are what is tested; nothing is read.
        unsafe {
            assert!(bytes(null_mut(), 0, "path").unwrap().is_empty());
            assert!(bytes(null_mut(), 1, "path").is_err());
            assert!(bytes((&raw const message).cast(), usize::MAX, "path").is_err());
            assert!(room(null_mut(), 1, "buffer").is_err());
            assert!(host_path(null_mut(), "src_dir").is_err());
            assert!(host_path(c"".as_ptr(), "src_dir").is_err());
        }
    }
}
