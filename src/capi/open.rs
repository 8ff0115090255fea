//! The four ways to a `znippy_reader`.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use super::boundary::guarded;
use super::callback::Inside;
use super::error::znippy_error;
use super::options::{snapshot, znippy_options};
use super::pointer::{IntPtr, host_path, invalid, required};
use super::reader::{Reader, znippy_reader};
use super::source::{CallbackSource, HostMemory};
use super::types::{znippy_release_fn, znippy_source, znippy_status};
use crate::archive::{Archive, FileSource, MemorySource};
use crate::error::{Error, Result};
use crate::options::Options;

/// Opens an archive by path. Constant time: the tail is read and checked, the rest when it is used.
///
/// Ownership: *reader_out is the caller's, freed by znippy_reader_free(). Threads: any.
/// Errors: any of I/O, ZNIPPY_E_NOT_ARCHIVE, ZNIPPY_E_VERSION, ZNIPPY_E_CORRUPT, ZNIPPY_E_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_open(
    archive_path: *const c_char,
    options: *const znippy_options,
    reader_out: *mut *mut znippy_reader,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let path = unsafe { host_path(archive_path, "archive_path") }?;
        // SAFETY: as above.
        unsafe { open(options, reader_out, Arc::default(), |options| Archive::open(path, options)) }
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Opens an archive over an open file descriptor, which must allow reads at offsets; its position is not used.
///
/// Ownership: the descriptor is duplicated (close-on-exec) and stays the caller's. *reader_out is the caller's,
/// freed by znippy_reader_free(). Threads: any. Errors: those of znippy_reader_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_open_fd(
    fd: IntPtr,
    options: *const znippy_options,
    reader_out: *mut *mut znippy_reader,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        let open_file = |options: &Options| {
            let source = FileSource::from_file(duplicate(fd)?)?;
            Archive::open_source(Box::new(source), options)
        };
        // SAFETY: null or as the header demands.
        unsafe { open(options, reader_out, Arc::default(), open_file) }
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Opens an archive in memory, whose bytes must not change until they are released. Without release they must
/// outlive the reader.
///
/// Ownership: user_data is the library's when the call begins, whatever it returns; release, which may be NULL,
/// gives it back once, on failure before the call returns, else when the last reference to the reader is gone.
/// *reader_out is the caller's, freed by znippy_reader_free(). Threads: any.
/// Errors: those of znippy_reader_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_open_memory(
    data: *const c_void,
    len: usize,
    release: znippy_release_fn,
    user_data: *mut c_void,
    options: *const znippy_options,
    reader_out: *mut *mut znippy_reader,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let memory = Arc::new(unsafe { HostMemory::new(data, len, user_data, release) }?);
        let open_memory = |options: &Options| Archive::open_source(Box::new(MemorySource::new(memory)), options);
        // SAFETY: null or as the header demands.
        unsafe { open(options, reader_out, Arc::default(), open_memory) }
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Opens an archive through callbacks.
///
/// Ownership: the struct is copied. source->user_data is the library's when the call begins, whatever it
/// returns, save for a struct_size that is too small; source->release gives it back once, on failure before the
/// call returns, else when the last reference to the reader is gone. *reader_out is the caller's, freed by
/// znippy_reader_free(). Threads: any. Errors: those of znippy_reader_open(), and what read_at reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_open_source(
    source: *const znippy_source,
    options: *const znippy_options,
    reader_out: *mut *mut znippy_reader,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        let inside = Arc::<Inside>::default();
        // SAFETY: null or as the header demands.
        let source = unsafe { CallbackSource::new(source, Arc::clone(&inside)) }?;
        let open_source = |options: &Options| Archive::open_source(Box::new(source), options);
        // SAFETY: null or as the header demands.
        unsafe { open(options, reader_out, inside, open_source) }
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// What the four have in common.
///
/// # Safety
/// `options` is null or readable, `reader_out` null or writable.
unsafe fn open(
    options: *const znippy_options,
    reader_out: *mut *mut znippy_reader,
    inside: Arc<Inside>,
    make: impl FnOnce(&Options) -> Result<Archive>,
) -> Result<()> {
    let place = required(reader_out, "reader_out")?;
    // SAFETY: as promised by the caller.
    let options = unsafe { snapshot(options) }?;
    let reader = Reader::new(make(&options)?, inside).share();
    // SAFETY: not null, and writable as promised.
    unsafe { place.write(reader) };
    Ok(())
}

fn duplicate(fd: IntPtr) -> Result<File> {
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.ok_or_else(|| invalid("fd is not a file descriptor"))?;
    // SAFETY: not -1; borrowed for the one call that duplicates it, which reports a descriptor that isn't open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    // Not 0 to 2, which a host may have closed and others write to.
    let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|errno| Error::os("can't duplicate fd", errno))?;
    Ok(File::from(copy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_IO, ZNIPPY_OK};
    use std::os::fd::AsRawFd;
    use std::ptr::{dangling_mut, null, null_mut};
    use std::sync::atomic::{AtomicUsize, Ordering};

    unsafe extern "C" fn count(user_data: *mut c_void) {
        // SAFETY: the tests pass a pointer to a live counter.
        unsafe { (*user_data.cast::<AtomicUsize>()).fetch_add(1, Ordering::Relaxed) };
    }

    #[test]
    fn failed_opens_release_once_and_leave_the_result_alone() {
        let released = AtomicUsize::new(0);
        let user_data: *mut c_void = (&raw const released).cast_mut().cast();
        let bytes = b"this is not an archive";
        let mut reader = dangling_mut();
        // SAFETY: live bytes, places and counter.
        unsafe {
            for (data, place) in
                [(bytes.as_ptr(), &raw mut reader), (null(), &raw mut reader), (bytes.as_ptr(), null_mut())]
            {
                let before = released.load(Ordering::Relaxed);
                let status = znippy_reader_open_memory(
                    data.cast(),
                    bytes.len(),
                    Some(count),
                    user_data,
                    null(),
                    place,
                    null_mut(),
                );
                assert_ne!(status, ZNIPPY_OK);
                assert_eq!(released.load(Ordering::Relaxed), before + 1);
            }
        }
        assert_eq!(reader, dangling_mut());
    }

    #[test]
    fn descriptors_are_duplicated_with_close_on_exec() {
        let file = tempfile::tempfile().unwrap();
        let copy = duplicate(file.as_raw_fd() as IntPtr).unwrap();
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        assert!(rustix::io::fcntl_getfd(&copy).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn what_is_no_descriptor_is_refused() {
        let mut reader = null_mut();
        for (fd, expected) in
            [(-1, ZNIPPY_E_INVALID_ARGUMENT), (isize::MAX, ZNIPPY_E_INVALID_ARGUMENT), (999_999, ZNIPPY_E_IO)]
        {
            // SAFETY: the place is writable.
            assert_eq!(unsafe { znippy_reader_open_fd(fd, null(), &raw mut reader, null_mut()) }, expected, "{fd}");
        }
    }
}
