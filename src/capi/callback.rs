//! The host's user data, its progress function, and who is inside a callback.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use super::listing::{describe, strings};
use super::pointer::size_of_struct;
use super::types::{
    znippy_entry_info, znippy_filter_fn, znippy_log_fn, znippy_progress, znippy_progress_fn, znippy_release_fn,
};
use crate::archive::Entry;
use crate::error::{Error, Result, Status};
use crate::options::{Candidate, FILTER_RULE, FilterFn};
use crate::progress::{LogFn, LogLevel, Progress, ProgressFn};
use crate::sync::Mutex;

/// The host's pointer. It is the library's from the moment a call begins; dropping it gives it back, once.
pub(super) struct UserData {
    pointer: *mut c_void,
    release: znippy_release_fn,
}

// SAFETY: the library only hands the pointer back to the host's own functions, and the header tells the host on
// which threads those run.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// Takes over the pointer.
    pub(super) fn new(pointer: *mut c_void, release: znippy_release_fn) -> UserData {
        UserData { pointer, release }
    }

    /// The pointer, for the host's functions.
    pub(super) fn get(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            // SAFETY: the host's function and the host's pointer; `take` and drop make it once.
            unsafe { release(self.pointer) }
        }
    }
}

/// The host's progress function as the library wants it; `None` where there is none, which releases `user_data`.
pub(super) fn progress(function: znippy_progress_fn, user_data: UserData) -> Option<ProgressFn> {
    let function = function?;
    Some(Arc::new(move |report: &Progress<'_>| {
        // No report is worth a failure: without memory for the path it goes out without one.
        let path = report.path.and_then(terminated).unwrap_or_default();
        let report = znippy_progress {
            struct_size: size_of_struct::<znippy_progress>(),
            phase: report.phase as u32,
            entries_done: report.entries_done,
            entries_total: report.entries_total,
            bytes_done: report.bytes_done,
            bytes_total: report.bytes_total,
            path: if path.is_empty() { std::ptr::null() } else { path.as_ptr().cast::<c_char>() },
            path_len: path.len().saturating_sub(1),
        };
        // SAFETY: the host's function and pointer; the report and its path live until it returns.
        unsafe { function(user_data.get(), &raw const report) == 0 }
    }))
}

/// The host's log function as the library wants it; `None` where there is none, which releases `user_data`.
pub(super) fn log(max_level: i32, function: znippy_log_fn, user_data: UserData) -> Option<LogFn> {
    let function = function?;
    Some(Arc::new(move |level: LogLevel, message: &str| {
        let level = level as i32;
        if level > max_level {
            return;
        }
        // No message is worth a failure: without memory there is none.
        let Some(text) = terminated(message.as_bytes()) else { return };
        // SAFETY: the host's function and pointer; the text lives until it returns.
        unsafe { function(user_data.get(), level, text.as_ptr().cast::<c_char>(), text.len().saturating_sub(1)) }
    }))
}

/// The host's filter function as the library wants it; `None` where there is none, which releases `user_data`.
pub(super) fn filter(function: znippy_filter_fn, user_data: UserData) -> Option<FilterFn> {
    let function = function?;
    Some(Arc::new(move |candidate: &Candidate<'_>| {
        let &Candidate { index, path, kind, size, attributes, hash } = candidate;
        let entry = Entry { index, path, kind, attributes, size, stored_size: 0, slices: 0, hash, unverified: false };
        let text = strings(path, attributes.link_target)?;
        let mut info = describe(&entry, &text);
        info.struct_size = size_of_struct::<znippy_entry_info>();
        // SAFETY: the host's function and pointer; the struct and its strings live until it returns.
        match unsafe { function(user_data.get(), &raw const info) } {
            answer if answer >= 0 => Ok(answer != 0),
            number => {
                let status = Status::from_number(number).unwrap_or(Status::Callback);
                Err(Error::refused(status, FILTER_RULE, format!("the filter function reported {number}")))
            }
        }
    }))
}

/// A copy of the bytes with a NUL at the end; `None` without memory.
pub(super) fn terminated(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len().checked_add(1)?).ok()?;
    copy.extend_from_slice(bytes);
    copy.push(0);
    Some(copy)
}

/// The threads that are inside callbacks of one handle, so that a call of that handle from in there can be
/// refused instead of waiting for itself.
#[derive(Default)]
pub(super) struct Inside {
    count: AtomicUsize,
    threads: Mutex<Vec<ThreadId>>,
}

/// While it lives, its thread is inside a callback.
pub(super) struct Visit<'a>(&'a Inside);

impl Inside {
    /// Notes that this thread enters a callback.
    pub(super) fn visit(&self) -> Visit<'_> {
        self.threads.lock().push(thread::current().id());
        self.count.fetch_add(1, Ordering::Relaxed);
        Visit(self)
    }

    /// `E_BUSY` inside a callback. The count spares all others the lock: a thread sees its own increment.
    pub(super) fn check(&self, argument: &str) -> Result<()> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let threads = self.threads.lock();
        if !threads.contains(&thread::current().id()) {
            return Ok(());
        }
        Err(Error::new(Status::Busy, format!("{argument} is called from one of its own callbacks")))
    }

    /// The same log function, noting who is inside.
    pub(super) fn watch_log(inside: &Arc<Inside>, function: LogFn) -> LogFn {
        let inside = Arc::clone(inside);
        Arc::new(move |level, message: &str| {
            let _visit = inside.visit();
            function(level, message);
        })
    }

    /// The same filter function, noting who is inside.
    pub(super) fn watch_filter(inside: &Arc<Inside>, function: FilterFn) -> FilterFn {
        let inside = Arc::clone(inside);
        Arc::new(move |candidate: &Candidate<'_>| {
            let _visit = inside.visit();
            function(candidate)
        })
    }

    /// The same progress function, noting who is inside.
    pub(super) fn watch(inside: &Arc<Inside>, function: ProgressFn) -> ProgressFn {
        let inside = Arc::clone(inside);
        Arc::new(move |report: &Progress<'_>| {
            let _visit = inside.visit();
            function(report)
        })
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut threads = self.0.threads.lock();
        let current = thread::current().id();
        if let Some(position) = threads.iter().position(|id| *id == current) {
            threads.swap_remove(position);
        }
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Phase, UNKNOWN};
    use std::ffi::CStr;

    unsafe extern "C" fn count(user_data: *mut c_void) {
        // SAFETY: the tests pass a pointer to a live counter.
        unsafe { (*user_data.cast::<AtomicUsize>()).fetch_add(1, Ordering::Relaxed) };
    }

    unsafe extern "C" fn stop_at_b(_: *mut c_void, progress: *const znippy_progress) -> i32 {
        // SAFETY: the library passes a live report with a terminated path or none.
        unsafe {
            let report = &*progress;
            if report.path.is_null() {
                return 0;
            }
            let path = CStr::from_ptr(report.path);
            assert_eq!(path.count_bytes(), report.path_len);
            i32::from(path == c"b")
        }
    }

    fn report(path: Option<&[u8]>) -> Progress<'_> {
        Progress {
            phase: Phase::Pack,
            entries_done: 1,
            entries_total: UNKNOWN,
            bytes_done: 2,
            bytes_total: UNKNOWN,
            path,
        }
    }

    #[test]
    fn progress_passes_paths_and_stops_on_request() {
        let released = AtomicUsize::new(0);
        let user_data = || UserData::new((&raw const released).cast_mut().cast(), Some(count));
        let function = progress(Some(stop_at_b), user_data()).unwrap();
        assert!(function(&report(None)));
        assert!(function(&report(Some(b"a"))));
        assert!(!function(&report(Some(b"b"))));
        let shared = Arc::clone(&function);
        drop(function);
        assert_eq!(released.load(Ordering::Relaxed), 0);
        drop(shared);
        assert_eq!(released.load(Ordering::Relaxed), 1);
        assert!(progress(None, user_data()).is_none());
        assert_eq!(released.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn only_the_thread_inside_is_refused() {
        let inside = Arc::new(Inside::default());
        let watched = Inside::watch(&inside, {
            let inside = Arc::clone(&inside);
            Arc::new(move |_: &Progress<'_>| {
                assert_eq!(inside.check("reader").unwrap_err().status(), Status::Busy);
                thread::scope(|scope| scope.spawn(|| inside.check("reader")).join().unwrap()).unwrap();
                true
            })
        });
        assert!(watched(&report(None)));
        inside.check("reader").unwrap();
    }
}
