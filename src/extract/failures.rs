//! What could not be restored, where the rest is to be restored all the same.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};
use std::collections::HashSet;

use crate::error::{Error, Result, Status};

/// Most failures that are kept; all are counted.
const MOST_KEPT: usize = 10_000;

/// Failures of one extraction, from any thread.
pub(super) struct Failures {
    keep_going: bool,
    any: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    errors: Vec<Error>,
    count: u64,
    /// Numbers of the files that failed.
    files: HashSet<u32>,
}

impl Failures {
    /// None yet. Without `keep_going` the first one ends the job.
    pub(super) fn new(keep_going: bool) -> Failures {
        Failures { keep_going, any: AtomicBool::new(false), inner: Mutex::new(Inner::default()) }
    }

    /// Whether the job goes on after failures.
    pub(super) fn keep_going(&self) -> bool {
        self.keep_going
    }

    /// Whether something failed.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Notes a failure that `entries` are lost by. The error comes back where the job can't go on.
    pub(super) fn note(&self, entries: u64, error: Error) -> Result<()> {
        self.check(error).map(|error| self.add(entries, error))
    }

    /// The same for a file; a file fails once.
    pub(super) fn note_file(&self, file: u32, error: Error) -> Result<()> {
        let error = self.check(error)?;
        if self.lock().files.insert(file) {
            self.add(1, error);
        }
        Ok(())
    }

    /// Whether this file failed.
    pub(super) fn has_file(&self, file: u32) -> bool {
        self.any() && self.lock().files.contains(&file)
    }

    /// How many entries failed, and the errors.
    pub(super) fn take(self) -> (u64, Vec<Error>) {
        let inner = self.inner.into_inner();
        (inner.count, inner.errors)
    }

    /// What is wrong with the whole and not with an entry ends the job in any case.
    fn check(&self, error: Error) -> Result<Error> {
        let of_the_whole =
            !error.is_about_its_object() || matches!(error.status(), Status::NoSpace | Status::InvalidArgument);
        if self.keep_going && !of_the_whole { Ok(error) } else { Err(error) }
    }

    fn add(&self, entries: u64, error: Error) {
        let mut inner = self.lock();
        inner.count += entries;
        if inner.errors.len() < MOST_KEPT {
            inner.errors.push(error);
        }
        self.any.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}
