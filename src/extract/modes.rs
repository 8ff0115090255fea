//! How new files get their modes.
//!
//! A file that is created with its mode needs no further call for it, one in six of those that a small file takes. The
//! process's mask stands in the way: it belongs to the host, and changing it would touch files that others create at
//! the same time. So each worker thread gets a mask of its own, where the system allows that.

use std::cell::RefCell;
use std::os::fd::AsFd;

use rustix::fs::Mode;

use crate::error::{Error, Result};
use crate::extract::job::Job;
use crate::extract::metadata::{DEFAULT_FILE_MODE, Policy};
use crate::extract::tree::Node;
use crate::sys;

/// Until a new file has a recorded mode, nobody else reads it.
const UNFINISHED: u32 = 0o600;

/// The modes of one thread's new files.
pub(super) struct Modes {
    /// The process's mask, where this thread has one of its own that hides nothing.
    hidden_by_process: Option<u32>,
    /// Modes that this thread's new files were seen to have. File systems may know fewer, or have their own.
    seen: RefCell<Vec<u32>>,
    /// Whether files may have their modes from the start.
    from_the_start: bool,
}

/// How one file is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Creation {
    /// What it is created with.
    pub(super) mode: u32,
    /// Whether that is the recorded mode.
    is_final: bool,
}

impl Modes {
    /// Of a thread that shares the process's mask.
    pub(super) fn shared() -> Modes {
        Modes { hidden_by_process: None, seen: RefCell::default(), from_the_start: false }
    }

    /// Gives the calling thread a mask of its own. For threads that end with the job.
    pub(super) fn of_worker(job: &Job<'_>) -> Modes {
        // What comes after the mode, or must come before it, is not there; and no access control list of the
        // destination is inherited, which would say what the modes are.
        let plain = job.policy.sets_modes_and_times_alone() && job.root.is_own() && !job.root.has_default_acl();
        let hidden_by_process = if plain { sys::take_umask_away() } else { None };
        Modes { hidden_by_process, seen: RefCell::default(), from_the_start: plain && hidden_by_process.is_some() }
    }

    /// How to create a file.
    pub(super) fn creation(&self, policy: Policy, node: &Node) -> Creation {
        match node.mode().map(|mode| policy.allowed(mode)) {
            // Writing takes set-user-id bits away.
            Some(mode) if self.from_the_start && mode & 0o7000 == 0 => Creation { mode, is_final: true },
            Some(_) => Creation { mode: UNFINISHED, is_final: false },
            None => Creation { mode: DEFAULT_FILE_MODE & !self.hidden_by_process.unwrap_or(0), is_final: false },
        }
    }

    /// Whether a new file has its mode already, or has none.
    ///
    /// # Errors
    /// The operating system's error where the file can't be looked at.
    pub(super) fn has_its_mode(&self, file: impl AsFd, creation: Creation) -> Result<bool> {
        if !creation.is_final || self.seen.borrow().contains(&creation.mode) {
            return Ok(creation.is_final);
        }
        let status = rustix::fs::fstat(file).map_err(|errno| Error::os("can't look at the new file", errno))?;
        let has = Mode::from_raw_mode(status.st_mode).as_raw_mode() == creation.mode;
        if has {
            self.seen.borrow_mut().push(creation.mode);
        }
        Ok(has)
    }
}
