//! `znippy_cancel`: stops jobs from outside.

use super::boundary::{shielded, shielded_in_signals};
use super::handle::{Opaque, find, give, take_back};
use crate::progress::CancelToken;

/// Stops the calls whose options have it. Any thread may trigger and query it at any time.
pub struct znippy_cancel(());

impl Opaque for znippy_cancel {
    type Inside = CancelToken;
    const TAG: u32 = u32::from_be_bytes(*b"ZCan");
}

/// A token that is not triggered; NULL without memory.
///
/// Ownership: the caller's, freed by znippy_cancel_free(). Threads: any. Errors: NULL.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_cancel_new() -> *mut znippy_cancel {
    shielded(std::ptr::null_mut(), || give(CancelToken::new()))
}

/// Stops every running and later call that has the token, within 100 ms as a rule; they return
/// ZNIPPY_E_CANCELLED and leave nothing behind. There is no way back. NULL is fine.
///
/// Ownership: takes nothing. Threads: any, and signal handlers: it is one atomic store. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_cancel_trigger(cancel: *const znippy_cancel) {
    if !cancel.is_null() {
        // SAFETY: live as the header demands. A wrong handle would allocate for a message that nobody reads,
        // in a signal handler too; that is the host's mistake, not a right one's cost.
        shielded_in_signals(|| unsafe { find(cancel, "cancel") }.map_or((), |token| token.trigger()));
    }
}

/// 1 once triggered, else 0; 0 for NULL.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_cancel_is_triggered(cancel: *const znippy_cancel) -> i32 {
    // SAFETY: live as the header demands.
    shielded(0, || unsafe { find(cancel, "cancel") }.map_or(0, |token| i32::from(token.is_triggered())))
}

/// Drops the caller's reference; options that have the token keep theirs. NULL is fine.
///
/// Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_cancel_free(cancel: *mut znippy_cancel) {
    // SAFETY: the host gives up its only pointer.
    shielded((), || unsafe { drop(take_back(cancel)) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{
        options::snapshot, znippy_options_clone, znippy_options_free, znippy_options_new, znippy_options_set_cancel,
    };
    use std::ptr::{null, null_mut};

    #[test]
    fn options_keep_the_token_when_its_handle_is_gone() {
        // SAFETY: each handle is freed once.
        unsafe {
            let cancel = znippy_cancel_new();
            let options = znippy_options_new();
            znippy_options_set_cancel(options, cancel);
            let copy = znippy_options_clone(options);
            assert_eq!(znippy_cancel_is_triggered(cancel), 0);
            znippy_cancel_trigger(cancel);
            assert_eq!(znippy_cancel_is_triggered(cancel), 1);
            znippy_cancel_free(cancel);
            assert!(snapshot(options).unwrap().cancel().is_triggered());
            assert!(snapshot(copy).unwrap().cancel().is_triggered());
            znippy_options_set_cancel(options, null());
            assert!(!snapshot(options).unwrap().cancel().is_triggered());
            znippy_options_free(options);
            znippy_options_free(copy);
        }
    }

    #[test]
    fn null_is_fine() {
        // SAFETY: null is what is tested.
        unsafe {
            znippy_cancel_trigger(null());
            assert_eq!(znippy_cancel_is_triggered(null()), 0);
            znippy_cancel_free(null_mut());
        }
    }
}
