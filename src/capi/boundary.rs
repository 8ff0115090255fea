//! Where panics end. Every exported function runs inside [`guarded`] or [`shielded`], but for those that can't panic.
//!
//! A caught panic becomes `E_PANIC` with its text and place. The place is known to the panic hook alone, so a
//! hook is installed by the first call that can run the library proper: it notes the place for calls from C,
//! is silent for them and for the library's own threads, and passes everything else on. In a C program nothing
//! else exists, since the library brings its own copy of the Rust runtime; in a Rust program the host's hook
//! goes on working. The rest of the crate never touches hooks.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::error::{self, znippy_error};
use super::types::znippy_status;
use crate::error::{Error, Result, Status};

/// How the names of all threads begin that the library starts.
const THREAD_PREFIX: &str = "znippy-";

thread_local! {
    /// Calls from C on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic below such a call happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the body of a function that reports through a status and `err`.
///
/// # Safety
/// `err` is null or writable.
pub(super) unsafe fn guarded(err: *mut *mut znippy_error, body: impl FnOnce() -> Result<()>) -> znippy_status {
    install_hook();
    let result = caught(body).and_then(|result| result);
    // SAFETY: as promised by the caller.
    unsafe { error::report(err, result) }
}

/// Runs the body of a function that can't report; `otherwise` is what it returns after a panic.
pub(super) fn shielded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    install_hook();
    caught(body).unwrap_or(otherwise)
}

/// The same for what may stand in signal handlers: it touches no thread-local storage, which a loaded library may have to
/// allocate. A panic would be told by the hook, so the body has to be one in which there is none.
pub(super) fn shielded_in_signals(body: impl FnOnce()) {
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| drop(sentence_of(payload)));
}

/// The body's value, or the panic as an error. State that a panic left half-changed is behind a poisoned handle
/// then, which is why asserting unwind safety is right.
pub(super) fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    let body = || {
        #[cfg(feature = "test-hooks")]
        crate::test_hooks::here(crate::test_hooks::BOUNDARY);
        body()
    };
    DEPTH.with(|depth| depth.set(depth.get().saturating_add(1)));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    outcome.map_err(|payload| {
        let place = PLACE.with(|place| place.take()).unwrap_or_else(|| "an unknown place".to_owned());
        let sentence = sentence_of(payload);
        Error::new(Status::Panic, format!("internal defect at {place}: {sentence}; free the handle and report it"))
    })
}

fn sentence_of(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            // Dropping a value of an unknown type could panic again, this time outside any catch.
            std::mem::forget(payload);
            "a panic without a message".to_owned()
        }
    }
}

fn install_hook() {
    static ONCE: Once = Once::new();
    // While a Rust host unwinds, the hook can't be exchanged; a later call will do it.
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.try_with(|depth| depth.get() > 0).unwrap_or(false) {
                let place = info.location().map(|location| format!("{}:{}", location.file(), location.line()));
                PLACE.with(|note| note.replace(place));
            } else if !std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_PREFIX)) {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{ZNIPPY_E_PANIC, ZNIPPY_OK, znippy_error_free, znippy_error_message};
    use std::ffi::CStr;
    use std::ptr::null_mut;

    #[test]
    fn panic_becomes_an_error_with_text_and_place() {
        let mut err = null_mut();
        // SAFETY: `err` is writable, and the message is read before the error is freed.
        unsafe {
            assert_eq!(guarded(&raw mut err, || panic!("lost {}", "count")), ZNIPPY_E_PANIC);
            let message = CStr::from_ptr(znippy_error_message(err)).to_str().unwrap();
            assert!(message.contains("lost count") && message.contains("boundary.rs:"), "{message}");
            znippy_error_free(err);
        }
    }

    #[test]
    fn success_stores_null_and_failure_needs_no_place() {
        let mut err = std::ptr::dangling_mut();
        // SAFETY: `err` is writable or null.
        unsafe {
            assert_eq!(guarded(&raw mut err, || Ok(())), ZNIPPY_OK);
            assert!(err.is_null());
            assert_eq!(guarded(null_mut(), || panic!("nobody listens")), ZNIPPY_E_PANIC);
        }
    }

    #[test]
    fn panic_inside_a_nested_call_stays_there() {
        // SAFETY: null is allowed.
        let status = unsafe {
            guarded(null_mut(), || {
                assert_eq!(guarded(null_mut(), || panic!("inner")), ZNIPPY_E_PANIC);
                Ok(())
            })
        };
        assert_eq!(status, ZNIPPY_OK);
    }

    #[test]
    fn functions_without_status_return_their_default() {
        assert_eq!(shielded(7, || panic!("quiet")), 7);
    }
}
