//! What all threads of one extraction share.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::extract::big::Unfinished;
use crate::extract::failures::Failures;
use crate::extract::metadata::Policy;
use crate::extract::plan::Plan;
use crate::extract::sandbox::{Directory, Identity, Root};
use crate::extract::settings::Settings;
use crate::progress::{CancelToken, Counters};
use crate::stats::Stats;
use crate::sync::{Mutex, MutexGuard};

/// One extraction.
pub(super) struct Job<'a> {
    pub(super) archive: &'a Archive,
    pub(super) plan: &'a Plan,
    pub(super) root: &'a Root,
    pub(super) settings: &'a Settings,
    pub(super) failures: &'a Failures,
    pub(super) policy: Policy,
    /// Whether files and links that exist are replaced.
    pub(super) replace: bool,
    pub(super) cancel: &'a CancelToken,
    pub(super) counters: Arc<Counters>,
    pub(super) threads: usize,
    pub(super) unfinished: Unfinished,
    /// Triggered when a failure has been reported: the other threads need not go on.
    pub(super) stop: CancelToken,
    /// What was done so far.
    pub(super) stats: Mutex<Stats>,
    /// Which files those are that others are made from, once they are there.
    pub(super) made: Mutex<HashMap<u32, Identity>>,
    /// Numbers of the files that others are made from, in order.
    pub(super) shared: Vec<u32>,
}

impl Job<'_> {
    /// Ends the work of a thread that need not go on.
    pub(super) fn check(&self) -> Result<()> {
        if self.stop.is_triggered() || self.cancel.is_triggered() { Err(cancelled()) } else { Ok(()) }
    }

    /// Gives what is complete under a temporary name its own. Returns whether something had that.
    pub(super) fn put(&self, directory: &Directory, temporary: &[u8], name: &[u8]) -> Result<bool> {
        if !self.replace {
            return directory.rename_new(temporary, name).map(|()| false);
        }
        let taken = directory.is_taken(name);
        directory.replace(temporary, name).map(|()| taken)
    }

    /// Notes which file that is, if others are made from it.
    pub(super) fn note_made(&self, number: u32, file: BorrowedFd<'_>) -> Result<()> {
        if self.shared.binary_search(&number).is_ok() {
            let identity = Identity::of_open(file)?;
            self.made.lock().insert(number, identity);
        }
        Ok(())
    }

    /// Which file this extraction made under that number; `None` where it made none.
    pub(super) fn identity(&self, number: u32) -> Option<Identity> {
        self.made.lock().get(&number).copied()
    }

    /// The counts, to add to.
    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock()
    }
}

/// What a cancelled extraction ends with.
pub(super) fn cancelled() -> Error {
    Error::new(Status::Cancelled, "cancelled; what was restored so far is whole and was left in place")
}
