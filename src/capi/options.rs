//! `znippy_options`: values, the progress function and the cancel token that calls work with.

use std::ffi::c_void;
use std::ptr;

use super::boundary::{guarded, shielded};
use super::callback::{self, UserData};
use super::cancel::znippy_cancel;
use super::error::znippy_error;
use super::handle::{Opaque, enter, find, give, take_back};
use super::pointer::{bytes, invalid, required};
use super::reader::{Call, znippy_reader};
use super::types::{znippy_filter_fn, znippy_log_fn, znippy_progress_fn, znippy_release_fn, znippy_status};
use crate::error::Result;
use crate::options::{Key, Options};
use crate::progress::CancelToken;
use crate::sync::{Mutex, MutexGuard};

/// Values that a call works with. A call takes a snapshot when it begins, so changes made later don't reach it.
/// NULL in place of options means defaults everywhere.
pub struct znippy_options(());

impl Opaque for znippy_options {
    /// The lock makes a host's unsynchronised setters harmless; it is never held while the host's code runs.
    type Inside = Mutex<Options>;
    const TAG: u32 = u32::from_be_bytes(*b"ZOpt");
}

/// What the options say now; defaults for null.
///
/// # Safety
/// `options` is null or readable.
pub(super) unsafe fn snapshot(options: *const znippy_options) -> Result<Options> {
    if options.is_null() {
        return Ok(Options::new());
    }
    // SAFETY: as promised by the caller.
    Ok(lock(&*unsafe { enter(options, "options") }?).clone())
}

pub(super) fn lock(options: &Mutex<Options>) -> MutexGuard<'_, Options> {
    options.lock()
}

/// Options with defaults everywhere; NULL without memory.
///
/// Ownership: the caller's, freed by znippy_options_free(). Threads: any. Errors: NULL.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_options_new() -> *mut znippy_options {
    shielded(ptr::null_mut(), || give(Mutex::new(Options::new())))
}

/// A copy, which shares the progress function, its user_data and the cancel token; NULL gives defaults.
///
/// Ownership: the caller's, freed by znippy_options_free(). Threads: any. Errors: NULL for what is not options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_clone(options: *const znippy_options) -> *mut znippy_options {
    // SAFETY: null or live as the header demands.
    let copy = || unsafe { snapshot(options) }.map_or(ptr::null_mut(), |options| give(Mutex::new(options)));
    shielded(ptr::null_mut(), copy)
}

/// Frees options; NULL is fine. Calls that began with them go on undisturbed.
///
/// Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_free(options: *mut znippy_options) {
    // SAFETY: the host gives up its only pointer.
    shielded((), || unsafe { drop(take_back(options)) });
}

/// Sets a number, a flag (0 or 1) or a choice.
///
/// Ownership: takes nothing. Threads: one at a time.
/// Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT out of bounds or for a bytes option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_i64(
    options: *mut znippy_options,
    key: u32,
    value: i64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or live as the header demands.
        let options = unsafe { enter(options, "options") }?;
        lock(&options).set(Key::from_number(key)?, value)?;
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Sets an option that takes bytes; data may be NULL where len is 0. An option that is a list gets a further
/// value each time, and loses all of them by an empty one.
///
/// Ownership: the bytes are copied. Threads: one at a time.
/// Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT for bytes or an option that don't fit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_bytes(
    options: *mut znippy_options,
    key: u32,
    data: *const c_void,
    len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or live, and readable for `len` bytes, as the header demands.
        let (options, value) = unsafe { (enter(options, "options")?, bytes(data, len, "data")?) };
        lock(&options).set_bytes(Key::from_number(key)?, value)?;
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Reads the value in force: what was set, or what the preset says, or the default. NULL options have defaults.
///
/// Ownership: takes nothing. Threads: any, but not while another sets something.
/// Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT for a bytes option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_get_i64(
    options: *const znippy_options,
    key: u32,
    value_out: *mut i64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or live as the header demands.
        let options = unsafe { snapshot(options) }?;
        let place = required(value_out, "value_out")?;
        let spec = Key::from_number(key)?.spec();
        if spec.kind.is_bytes() {
            return Err(invalid(format!("option {} holds bytes, not a number", spec.name)));
        }
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(options.get(spec.key)) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// The least and the greatest value of an option; of its length where it takes bytes.
///
/// Ownership: takes nothing. Threads: any. Errors: ZNIPPY_E_UNSUPPORTED for an unknown key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_option_bounds(key: u32, min_out: *mut i64, max_out: *mut i64) -> znippy_status {
    let body = || {
        let (min, max) = (required(min_out, "min_out")?, required(max_out, "max_out")?);
        let spec = Key::from_number(key)?.spec();
        // SAFETY: not null, and writable as the header demands.
        unsafe {
            min.write(spec.min);
            max.write(spec.max);
        }
        Ok(())
    };
    // SAFETY: null is allowed.
    unsafe { guarded(ptr::null_mut(), body) }
}

/// Installs the progress function in place of the one before; NULL removes it.
///
/// Ownership: user_data is the library's from here on, whatever happens. release, which may be NULL, gives it
/// back once: when the function is replaced or the last options and calls that share it are gone, or at once if
/// options or function is NULL. Threads: one at a time; calls that share options and run at the same time call
/// the function each in its own thread. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_progress(
    options: *mut znippy_options,
    function: znippy_progress_fn,
    user_data: *mut c_void,
    release: znippy_release_fn,
) {
    let user_data = UserData::new(user_data, release);
    shielded((), || {
        let new = callback::progress(function, user_data);
        // SAFETY: null or live as the header demands.
        let Ok(options) = (unsafe { enter(options, "options") }) else { return };
        let mut guard = lock(&options);
        let old = guard.progress();
        guard.set_progress(new);
        // The old function may be released here, which is the host's code.
        drop(guard);
        drop(old);
    });
}

/// Installs the log function in place of the one before; NULL removes it. It gets the messages of up to max_level.
///
/// Ownership: user_data is the library's from here on, and released as by znippy_options_set_progress(). Threads: one
/// at a time; calls that share options and run at the same time call the function each in its own thread.
/// Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_log(
    options: *mut znippy_options,
    max_level: i32,
    function: znippy_log_fn,
    user_data: *mut c_void,
    release: znippy_release_fn,
) {
    let user_data = UserData::new(user_data, release);
    shielded((), || {
        let new = callback::log(max_level, function, user_data);
        // SAFETY: null or live as the header demands.
        let Ok(options) = (unsafe { enter(options, "options") }) else { return };
        let mut guard = lock(&options);
        let old = guard.log_function();
        guard.set_log(new);
        // The old function may be released here, which is the host's code.
        drop(guard);
        drop(old);
    });
}

/// Installs the filter function in place of the one before; NULL removes it. Extraction and comparison ask it about each
/// entry that prefixes and globs leave: what it leaves out is not restored or compared, and no block is read for it.
/// A directory that is left out takes nothing with it: what is below it is asked about too, and where some of that is
/// taken, the directory is made for it.
///
/// Ownership: user_data is the library's from here on, and released as by znippy_options_set_progress(). Threads: one
/// at a time; calls that share options and run at the same time call the function each in its own thread. The reader
/// that a call is of answers ZNIPPY_E_BUSY from in there.
/// Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_filter(
    options: *mut znippy_options,
    function: znippy_filter_fn,
    user_data: *mut c_void,
    release: znippy_release_fn,
) {
    let user_data = UserData::new(user_data, release);
    shielded((), || {
        let new = callback::filter(function, user_data);
        // SAFETY: null or live as the header demands.
        let Ok(options) = (unsafe { enter(options, "options") }) else { return };
        let mut guard = lock(&options);
        let old = guard.filter();
        guard.set_filter(new);
        // The old function may be released here, which is the host's code.
        drop(guard);
        drop(old);
    });
}

/// Attaches a token in place of the one before; NULL detaches it.
///
/// Ownership: takes a reference of its own. Threads: one at a time. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_cancel(options: *mut znippy_options, cancel: *const znippy_cancel) {
    shielded((), || {
        // SAFETY: null or live as the header demands.
        let Ok(options) = (unsafe { enter(options, "options") }) else { return };
        let token = if cancel.is_null() {
            CancelToken::new()
        } else {
            // SAFETY: live as the header demands.
            let Ok(token) = (unsafe { find(cancel, "cancel") }) else { return };
            CancelToken::clone(token)
        };
        lock(&options).set_cancel(token);
    });
}

/// Packing takes files from this archive that are in it as they are in the tree, in place of the archive before; NULL
/// takes it away. Blobs are copied; what is unchanged is neither read nor compressed, and the new archive needs the old
/// one no more. A file is unchanged where path, size, modification time and mode are, and it was not modified just
/// before the base was packed. The stored bytes of what is taken are checked, so that no damage passes; what the base
/// says of them is believed. ZNIPPY_OPT_BASE_CHECK 1 has the bytes of all files compared too, and 2, for bases of
/// strangers, has all that is taken decoded and hashed. With a provider all files are read.
///
/// Ownership: takes a reference of its own. Threads: one at a time. Errors: ZNIPPY_E_INVALID_ARGUMENT for what is no reader,
/// ZNIPPY_E_BUSY from a callback of the reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_set_base(
    options: *mut znippy_options,
    base: *const znippy_reader,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or live as the header demands.
        let options = unsafe { enter(options, "options") }?;
        let base = if base.is_null() {
            None
        } else {
            // SAFETY: not null, and live as the header demands.
            Some(unsafe { Call::begin(base) }?.share_archive())
        };
        let old = {
            let mut guard = lock(&options);
            let old = guard.base();
            guard.set_base(base);
            old
        };
        // The last reference may be this one, whose release is the host's code.
        drop(old);
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{
        ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_UNSUPPORTED, ZNIPPY_LOG_WARNING, ZNIPPY_OK, ZNIPPY_OPT_LEVEL,
        ZNIPPY_OPT_PRESET, ZNIPPY_OPT_REPO, znippy_error_message, znippy_progress,
    };
    use crate::options::OPTION_TABLE;
    use crate::progress::LogLevel;
    use std::ffi::{CStr, c_char};
    use std::ptr::{null, null_mut};
    use std::sync::atomic::{AtomicUsize, Ordering};

    unsafe extern "C" fn go_on(_: *mut c_void, _: *const znippy_progress) -> i32 {
        0
    }

    unsafe extern "C" fn count(user_data: *mut c_void) {
        // SAFETY: the tests pass a pointer to a live counter.
        unsafe { (*user_data.cast::<AtomicUsize>()).fetch_add(1, Ordering::Relaxed) };
    }

    #[test]
    fn numbers_are_set_checked_and_read_back() {
        // SAFETY: live handles and places.
        unsafe {
            let options = znippy_options_new();
            let get = |options| {
                let mut value = 0;
                assert_eq!(znippy_options_get_i64(options, ZNIPPY_OPT_LEVEL, &raw mut value, null_mut()), ZNIPPY_OK);
                value
            };
            assert_eq!(get(null()), get(options));
            assert_eq!(znippy_options_set_i64(options, ZNIPPY_OPT_PRESET, 2, null_mut()), ZNIPPY_OK);
            assert_eq!(get(options), 9);
            assert_eq!(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 7, null_mut()), ZNIPPY_OK);
            let copy = znippy_options_clone(options);
            assert_eq!(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 8, null_mut()), ZNIPPY_OK);
            assert_eq!((get(options), get(copy)), (8, 7));

            let mut err = null_mut();
            let status = znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 99, &raw mut err);
            assert_eq!(status, ZNIPPY_E_INVALID_ARGUMENT);
            assert!(CStr::from_ptr(znippy_error_message(err)).to_str().unwrap().contains("level"));
            super::super::znippy_error_free(err);
            assert_eq!(znippy_options_set_i64(options, 9999, 1, null_mut()), ZNIPPY_E_UNSUPPORTED);
            let mut value = 0;
            let status = znippy_options_get_i64(options, ZNIPPY_OPT_REPO, &raw mut value, null_mut());
            assert_eq!(status, ZNIPPY_E_INVALID_ARGUMENT);
            znippy_options_free(options);
            znippy_options_free(copy);
        }
    }

    #[test]
    fn bytes_reach_the_options() {
        // SAFETY: live handles and places.
        unsafe {
            let options = znippy_options_new();
            let set = |data: &[u8]| {
                znippy_options_set_bytes(options, ZNIPPY_OPT_REPO, data.as_ptr().cast(), data.len(), null_mut())
            };
            assert_eq!(set(b"stable"), ZNIPPY_OK);
            assert_eq!(snapshot(options).unwrap().repo(), "stable");
            assert_eq!(set(b"\xFF"), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_options_set_bytes(options, ZNIPPY_OPT_REPO, null(), 0, null_mut()), ZNIPPY_OK);
            assert_eq!(snapshot(options).unwrap().repo(), "");
            znippy_options_free(options);
        }
    }

    #[test]
    fn bounds_are_those_of_the_table() {
        let (mut min, mut max) = (0, 0);
        // SAFETY: the places are writable.
        unsafe {
            for spec in OPTION_TABLE {
                assert_eq!(znippy_option_bounds(spec.key as u32, &raw mut min, &raw mut max), ZNIPPY_OK);
                assert_eq!((min, max), (spec.min, spec.max));
            }
            assert_eq!(znippy_option_bounds(0, &raw mut min, &raw mut max), ZNIPPY_E_UNSUPPORTED);
        }
    }

    unsafe extern "C" fn heard(user_data: *mut c_void, level: i32, message: *const c_char, len: usize) {
        // SAFETY: the tests pass a pointer to a live counter, the library a terminated message.
        unsafe {
            assert_eq!(CStr::from_ptr(message).count_bytes(), len);
            (*user_data.cast::<AtomicUsize>()).fetch_add(level as usize * 100, Ordering::Relaxed);
        }
    }

    #[test]
    fn log_gets_messages_up_to_its_level_and_its_user_data_is_released_once() {
        let counter = AtomicUsize::new(0);
        let user_data = (&raw const counter).cast_mut().cast();
        // SAFETY: live handles; the counter outlives them.
        unsafe {
            let options = znippy_options_new();
            znippy_options_set_log(options, ZNIPPY_LOG_WARNING, Some(heard), user_data, Some(count));
            let shared = snapshot(options).unwrap();
            shared.log(LogLevel::Info, "too much");
            shared.log(LogLevel::Warning, "what matters");
            assert_eq!(counter.load(Ordering::Relaxed), 200);
            drop(shared);
            znippy_options_set_log(options, ZNIPPY_LOG_WARNING, None, null_mut(), None);
            assert_eq!(counter.load(Ordering::Relaxed), 201, "removed");
            znippy_options_set_log(null_mut(), ZNIPPY_LOG_WARNING, Some(heard), user_data, Some(count));
            assert_eq!(counter.load(Ordering::Relaxed), 202, "no options");
            znippy_options_set_log(options, ZNIPPY_LOG_WARNING, Some(heard), user_data, Some(count));
            znippy_options_free(options);
            assert_eq!(counter.load(Ordering::Relaxed), 203, "freed");
        }
    }

    #[test]
    fn user_data_is_released_exactly_once() {
        let released = AtomicUsize::new(0);
        let user_data = (&raw const released).cast_mut().cast();
        let count_now = || released.load(Ordering::Relaxed);
        // SAFETY: live handles; the counter outlives them.
        unsafe {
            let options = znippy_options_new();
            znippy_options_set_progress(options, Some(go_on), user_data, Some(count));
            let copy = znippy_options_clone(options);
            znippy_options_set_progress(options, None, null_mut(), None);
            assert_eq!(count_now(), 0, "the copy shares it");
            znippy_options_free(copy);
            assert_eq!(count_now(), 1);
            znippy_options_set_progress(options, Some(go_on), user_data, Some(count));
            znippy_options_set_progress(options, Some(go_on), user_data, Some(count));
            assert_eq!(count_now(), 2, "replaced");
            znippy_options_free(options);
            assert_eq!(count_now(), 3, "freed");
            znippy_options_set_progress(null_mut(), Some(go_on), user_data, Some(count));
            assert_eq!(count_now(), 4, "no options");
            let cancel = super::super::znippy_cancel_new();
            znippy_options_set_progress(cancel.cast(), Some(go_on), user_data, Some(count));
            assert_eq!(count_now(), 5, "not options");
            super::super::znippy_cancel_free(cancel);
        }
    }
}
