//! `znippy_error`: why a call failed, owned by the host.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::boundary::{caught, shielded};
use super::callback::terminated;
use super::constants::{ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_NO_MEMORY, ZNIPPY_OK};
use super::handle::{Handle, Opaque, find, give, take_back};
use super::types::znippy_status;
use crate::error::{Error, Result};

/// Why a call failed. Made by failing calls, owned by the caller, immutable: any number of threads may read it.
pub struct znippy_error(());

impl Opaque for znippy_error {
    type Inside = Report;
    const TAG: u32 = u32::from_be_bytes(*b"ZErr");
}

/// One of the failures that an error lists: read like an error, and owned by that one.
struct Failure;

impl Opaque for Failure {
    type Inside = Report;
    const TAG: u32 = u32::from_be_bytes(*b"ZErF");
}

/// An error as C reads it.
pub(super) struct Report {
    status: znippy_status,
    os_code: i32,
    message: Cow<'static, CStr>,
    /// NUL-terminated.
    path: Option<Vec<u8>>,
    rule: Option<CString>,
    failures: Vec<Handle<Report>>,
}

/// Stands for errors for which there is no memory, so it is made without any and never freed.
static OUT_OF_MEMORY: Handle<Report> = Handle::new(
    znippy_error::TAG,
    Report {
        status: ZNIPPY_E_NO_MEMORY,
        os_code: 0,
        message: Cow::Borrowed(c"out of memory, also for a better message"),
        path: None,
        rule: None,
        failures: Vec::new(),
    },
);

/// Ends a call: stores the error or null, and returns the status.
///
/// # Safety
/// `err` is null or writable.
pub(super) unsafe fn report(err: *mut *mut znippy_error, result: Result<()>) -> znippy_status {
    let (status, object) = match result {
        Ok(()) => (ZNIPPY_OK, ptr::null_mut()),
        Err(error) if err.is_null() => (error.status() as i32, ptr::null_mut()),
        Err(error) => {
            let object = caught(|| object(&error)).ok().flatten();
            (error.status() as i32, object.unwrap_or((&raw const OUT_OF_MEMORY).cast_mut().cast()))
        }
    };
    if !err.is_null() {
        // SAFETY: not null, and writable as promised.
        unsafe { err.write(object) }
    }
    status
}

/// The error as an object; `None` where there is no memory for it.
fn object(error: &Error) -> Option<*mut znippy_error> {
    // Asks for more than all strings below take together, so that they don't fail, which would end the process.
    let mut probe: Vec<u8> = Vec::new();
    probe
        .try_reserve(error.failures().iter().try_fold(room(error)?, |sum, failure| sum.checked_add(room(failure)?))?)
        .ok()?;
    drop(probe);
    Some(give(Report {
        failures: error.failures().iter().map(|failure| Handle::new(Failure::TAG, describe(failure))).collect(),
        ..describe(error)
    }))
}

/// More bytes than an error's strings take.
fn room(error: &Error) -> Option<usize> {
    let path = error.path().map_or(0, <[u8]>::len).checked_mul(16)?;
    error.message().len().checked_mul(4)?.checked_add(path)?.checked_add(1024)
}

fn describe(error: &Error) -> Report {
    let message = error.to_string().replace('\0', "\\0");
    Report {
        status: error.status() as i32,
        os_code: error.os_code(),
        message: Cow::Owned(CString::new(message).unwrap_or_default()),
        path: error.path().and_then(terminated),
        rule: error.rule().and_then(|rule| CString::new(rule).ok()),
        failures: Vec::new(),
    }
}

/// Reads something from an error; `none` for null, `wrong` for what isn't an error.
///
/// # Safety
/// `error` is null or readable for `'a`.
unsafe fn read<'a, T>(error: *const znippy_error, none: T, wrong: T, from: impl FnOnce(&'a Report) -> T) -> T {
    if error.is_null() {
        return none;
    }
    // SAFETY: as promised by the caller; both kinds are the same behind their tags.
    match unsafe { find(error, "error").or_else(|_| find(error.cast::<Failure>(), "error")) } {
        Ok(report) => from(report),
        Err(_) => wrong,
    }
}

/// The status that the failing call returned; ZNIPPY_OK for NULL.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_status(error: *const znippy_error) -> znippy_status {
    // SAFETY: readable as the header demands.
    shielded(ZNIPPY_E_INVALID_ARGUMENT, || unsafe {
        read(error, ZNIPPY_OK, ZNIPPY_E_INVALID_ARGUMENT, |report| report.status)
    })
}

/// What happened, as UTF-8 text for people, with the path and the causes; never NULL.
///
/// Ownership: lives as long as the error. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_message(error: *const znippy_error) -> *const c_char {
    let wrong = c"not an error object, or one that was freed before".as_ptr();
    // SAFETY: readable as the header demands.
    shielded(wrong, || unsafe { read(error, c"done".as_ptr(), wrong, |report| report.message.as_ptr()) })
}

/// The operating system's error number (errno), or 0.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_os_code(error: *const znippy_error) -> i32 {
    // SAFETY: readable as the header demands.
    shielded(0, || unsafe { read(error, 0, 0, |report| report.os_code) })
}

/// The path or entry that the error is about, byte for byte and NUL-terminated, or NULL. Its length without the
/// NUL goes to *len_out, which may be NULL, and is 0 where there is no path.
///
/// Ownership: lives as long as the error. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_path(error: *const znippy_error, len_out: *mut usize) -> *const c_char {
    // SAFETY: readable as the header demands.
    let path = shielded(None, || unsafe { read(error, None, None, |report| report.path.as_deref()) });
    if !len_out.is_null() {
        // SAFETY: not null, and writable as the header demands.
        unsafe { len_out.write(path.map_or(0, |path| path.len().saturating_sub(1))) }
    }
    path.map_or(ptr::null(), |path| path.as_ptr().cast())
}

/// The stable name of the check that refused something, such as "path.dotdot", or NULL.
///
/// Ownership: lives as long as the error. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_rule(error: *const znippy_error) -> *const c_char {
    let rule = |report: &Report| report.rule.as_ref().map_or(ptr::null(), |rule| rule.as_ptr());
    // SAFETY: readable as the header demands.
    shielded(ptr::null(), || unsafe { read(error, ptr::null(), ptr::null(), rule) })
}

/// How many failures the error lists: those of a call that ended with ZNIPPY_E_PARTIAL, of which the first 10,000 are
/// kept (znippy_stats.failed counts all). 0 for every other error and for NULL.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_failure_count(error: *const znippy_error) -> usize {
    // SAFETY: readable as the header demands.
    shielded(0, || unsafe { read(error, 0, 0, |report| report.failures.len()) })
}

/// One of the failures that an error lists, from 0: an error like others, with an entry's path as a rule; NULL beyond
/// the last one.
///
/// Ownership: borrowed from the error and gone with it; znippy_error_free() does nothing to it. Threads: any.
/// Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_failure(error: *const znippy_error, position: usize) -> *const znippy_error {
    let at =
        |report: &Report| report.failures.get(position).map_or(ptr::null(), |failure| (&raw const *failure).cast());
    // SAFETY: readable as the header demands.
    shielded(ptr::null(), || unsafe { read(error, ptr::null(), ptr::null(), at) })
}

/// Frees an error and the failures that it lists; NULL is fine.
///
/// Ownership: takes the error. Threads: any, once. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_error_free(error: *mut znippy_error) {
    if ptr::eq(error.cast::<Handle<Report>>(), &raw const OUT_OF_MEMORY) {
        return;
    }
    // SAFETY: the host gives up its only pointer.
    shielded((), || unsafe { drop(take_back(error)) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{ZNIPPY_E_CORRUPT, ZNIPPY_E_NOT_FOUND};
    use crate::error::Status;

    /// Reports an error and hands the object to `check`.
    fn with_object(error: Error, check: impl FnOnce(*mut znippy_error, znippy_status)) {
        let mut object = ptr::null_mut();
        // SAFETY: `object` is writable, and freed once.
        unsafe {
            let status = report(&raw mut object, Err(error));
            check(object, status);
            znippy_error_free(object);
        }
    }

    #[test]
    fn object_tells_all_that_the_error_knows() {
        let error = Error::corrupt("path.dotdot", "bad\0name").with_entry(b"a/\xFF/..");
        with_object(error, |object, status| {
            let mut len = 99;
            // SAFETY: the object is live.
            unsafe {
                assert_eq!(status, ZNIPPY_E_CORRUPT);
                assert_eq!(znippy_error_status(object), ZNIPPY_E_CORRUPT);
                assert_eq!(CStr::from_ptr(znippy_error_message(object)), c"a/\\xff/..: bad\\0name");
                assert_eq!(CStr::from_ptr(znippy_error_path(object, &raw mut len)), c"a/\xFF/..");
                assert_eq!(len, 6);
                assert_eq!(CStr::from_ptr(znippy_error_rule(object)), c"path.dotdot");
                assert_eq!(znippy_error_os_code(object), 0);
            }
        });
    }

    #[test]
    fn missing_parts_and_missing_objects_read_as_nothing() {
        with_object(Error::os("can't open", rustix::io::Errno::NOENT), |object, status| {
            let mut len = 99;
            // SAFETY: the object is live, or null.
            unsafe {
                assert_eq!(status, ZNIPPY_E_NOT_FOUND);
                assert_eq!(znippy_error_os_code(object), libc::ENOENT);
                assert!(znippy_error_path(object, &raw mut len).is_null());
                assert_eq!(len, 0);
                assert!(znippy_error_path(object, ptr::null_mut()).is_null());
                assert!(znippy_error_rule(object).is_null());
                assert_eq!(znippy_error_status(ptr::null()), ZNIPPY_OK);
                assert_eq!(CStr::from_ptr(znippy_error_message(ptr::null())), c"done");
                assert!(znippy_error_rule(ptr::null()).is_null());
                znippy_error_free(ptr::null_mut());
            }
        });
    }

    #[test]
    fn failures_are_read_like_errors_and_belong_to_theirs() {
        let failures = vec![Error::new(Status::Checksum, "wrong").with_entry(b"a"), Error::new(Status::Io, "torn")];
        with_object(Error::new(Status::Partial, "some failed").with_failures(failures), |object, _| {
            // SAFETY: the object is live, and so are its failures.
            unsafe {
                assert_eq!(znippy_error_failure_count(object), 2);
                let (first, second) = (znippy_error_failure(object, 0), znippy_error_failure(object, 1));
                assert_eq!(znippy_error_status(first), Status::Checksum as i32);
                assert_eq!(CStr::from_ptr(znippy_error_message(first)), c"a: wrong");
                assert_eq!(CStr::from_ptr(znippy_error_path(first, ptr::null_mut())), c"a");
                assert_eq!(znippy_error_failure_count(first), 0);
                znippy_error_free(second.cast_mut());
                assert_eq!(CStr::from_ptr(znippy_error_message(second)), c"torn");
                assert!(znippy_error_failure(object, 2).is_null());
                assert_eq!(znippy_error_failure_count(ptr::null()), 0);
                assert!(znippy_error_failure(ptr::null(), 0).is_null());
            }
        });
    }

    #[test]
    fn static_object_survives_being_freed() {
        let object: *mut znippy_error = (&raw const OUT_OF_MEMORY).cast_mut().cast();
        // SAFETY: the object is static.
        unsafe {
            znippy_error_free(object);
            assert_eq!(znippy_error_status(object), Status::NoMemory as i32);
            assert!(!CStr::from_ptr(znippy_error_message(object)).is_empty());
        }
    }
}
