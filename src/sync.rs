//! Threads and channels, in one place.
//!
//! Every thread of the library is made here: named, with an explicit stack, with all signals blocked so that
//! the host's handlers never run on it, and scoped, so that it is joined before the call that made it returns.

pub use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
/// A value that is made by the first who asks while the others wait. Not the standard library's, see [`Mutex`].
pub use once_cell::sync::OnceCell;

#[cfg(feature = "tsan")]
use parking_lot as locks;
#[cfg(not(feature = "tsan"))]
use std::sync as locks;

use crate::error::{Error, Result, Status};
use crate::progress::Reporter;
use crate::sys;

/// Stack of a worker. The deepest user is zstd, which keeps its state on the heap.
const STACK_BYTES: usize = 1 << 20;

/// A lock that a panic doesn't poison: what is behind it must make sense at each step.
///
/// ThreadSanitizer can't look into the standard library, which comes compiled: what its locks order looks like a race.
/// For scripts/tsan.sh there is the feature `tsan`, with locks that are compiled here.
#[derive(Debug, Default)]
pub struct Mutex<T>(locks::Mutex<T>);

/// Opens its lock when it is dropped.
pub type MutexGuard<'a, T> = locks::MutexGuard<'a, T>;

#[cfg(not(feature = "tsan"))]
impl<T> Mutex<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(locks::PoisonError::into_inner)
    }

    /// What was behind it.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(locks::PoisonError::into_inner)
    }
}

#[cfg(feature = "tsan")]
impl<T> Mutex<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// What was behind it.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T> Mutex<T> {
    /// An open lock.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(locks::Mutex::new(value))
    }
}

/// A scope in which workers live.
pub type Scope<'scope, 'env> = std::thread::Scope<'scope, 'env>;

/// Starts up to `wanted` workers; at least one, or it is an error. A system that refuses more threads gets fewer.
///
/// # Errors
/// The operating system's error where not even one thread could be made.
pub fn spawn_workers<'scope, 'env, F>(
    scope: &'scope Scope<'scope, 'env>,
    wanted: usize,
    name: &str,
    mut make: impl FnMut() -> F,
) -> Result<usize>
where
    F: FnOnce() + Send + 'scope,
{
    // New threads inherit the mask, so it is set around the spawning: no signal can slip in between.
    let mask = sys::block_all_signals();
    let mut started = 0;
    let mut failure = None;
    for _ in 0..wanted.max(1) {
        let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        match builder.spawn_scoped(scope, make()) {
            Ok(_) => started += 1,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    sys::restore_signals(&mask);
    match (started, failure) {
        (0, Some(error)) => Err(Error::io("can't start a thread", &error)),
        _ => Ok(started),
    }
}

/// Runs `work` on every task with up to `threads` workers, each with a state of its own, while the calling thread
/// reports progress. The first error stops all; every worker is joined before this returns.
pub fn for_each<T: Send, S>(
    threads: usize,
    name: &str,
    reporter: &mut Reporter,
    tasks: impl IntoIterator<Item = T>,
    make_state: impl Fn() -> Result<S> + Sync,
    work: impl Fn(&mut S, T) -> Result<()> + Sync,
) -> Result<()> {
    let (task_sender, task_receiver) = unbounded();
    let mut left = 0usize;
    for task in tasks {
        left += 1;
        // The receiver is alive, so nothing can fail here.
        let _ = task_sender.send(task);
    }
    drop(task_sender);
    let (done_sender, done_receiver) = unbounded::<Result<()>>();
    std::thread::scope(|scope| {
        let tasks_here = &task_receiver;
        let (make_state, work) = (&make_state, &work);
        spawn_workers(scope, threads.min(left), name, || {
            let (tasks, done) = (task_receiver.clone(), done_sender.clone());
            move || {
                let failure = catch(|| {
                    let mut state = make_state()?;
                    while let Ok(task) = tasks.recv() {
                        work(&mut state, task)?;
                        if done.send(Ok(())).is_err() {
                            break;
                        }
                    }
                    Ok(())
                });
                if failure.is_err() {
                    let _ = done.send(failure);
                }
            }
        })?;
        drop(done_sender);
        let result = (|| {
            while left > 0 {
                match done_receiver.recv_timeout(reporter.patience()) {
                    Ok(result) => {
                        result?;
                        left -= 1;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::new(Status::Panic, "all workers ended before the work did"));
                    }
                }
                reporter.tick(None)?;
            }
            Ok(())
        })();
        if result.is_err() {
            reporter.stop().trigger();
        }
        // Workers that are still busy find no further task and nobody listening.
        while result.is_err() && tasks_here.try_recv().is_ok() {}
        drop(done_receiver);
        result
    })
}

/// Runs `job` and turns a panic into `E_PANIC`, so that a defect in a worker ends in an error of the call.
pub fn catch<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::new(Status::Panic, format!("an internal defect was caught: {text}")))
    })
}
