//! Threads and channels, in one place.
//!
//! Every thread of the library is made here: named, with an explicit stack, with all signals blocked so that
//! the host's handlers never run on it. Most are scoped, so that they are joined before the call that made them
//! returns; those of a handle ([`Workers`]) are joined before the handle is gone.
//!
//! All that threads wait for each other by comes from here, so that the feature `schedules` can put in its place what
//! scripts/campaign-schedules.sh decides the order of.

mod ahead;
#[cfg(not(feature = "schedules"))]
mod queues;
#[cfg(feature = "schedules")]
pub mod schedules;

pub use ahead::{Ahead, ahead};
#[cfg(not(feature = "schedules"))]
pub use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
/// A value that is made by the first who asks while the others wait. Not the standard library's, see [`Mutex`].
#[cfg(not(feature = "schedules"))]
pub use once_cell::sync::OnceCell;
#[cfg(not(feature = "schedules"))]
pub use queues::Two;
#[cfg(feature = "schedules")]
pub use schedules::{OnceCell, Receiver, RecvTimeoutError, Sender, Two, atomic, unbounded};
#[cfg(not(feature = "schedules"))]
pub use std::sync::atomic;

#[cfg(feature = "tsan")]
use parking_lot as locks;
#[cfg(feature = "schedules")]
use schedules::{locks, thread};
#[cfg(not(any(feature = "tsan", feature = "schedules")))]
use std::sync as locks;
#[cfg(not(feature = "schedules"))]
use std::thread;

use self::atomic::{AtomicUsize, Ordering};
use crate::error::{Error, Result, Status};
use crate::progress::Reporter;
use crate::sys;

/// What came from one of two queues.
pub enum Either<A, B> {
    /// From the first.
    First(A),
    /// From the second.
    Second(B),
}

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

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(locks::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(locks::TryLockError::WouldBlock) => None,
        }
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

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
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
pub type Scope<'scope, 'env> = thread::Scope<'scope, 'env>;

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
    let started = start_threads(wanted, name, |builder| spawn_scoped(builder, scope, make()))?;
    Ok(started.len())
}

#[cfg(not(feature = "schedules"))]
fn spawn_scoped<'scope, F: FnOnce() + Send + 'scope>(
    builder: thread::Builder,
    scope: &'scope Scope<'scope, '_>,
    work: F,
) -> std::io::Result<()> {
    builder.spawn_scoped(scope, work).map(drop)
}

#[cfg(feature = "schedules")]
fn spawn_scoped<'scope, F: FnOnce() + Send + 'scope>(
    _: thread::Builder,
    scope: &'scope Scope<'scope, '_>,
    work: F,
) -> std::io::Result<()> {
    scope.spawn(work);
    Ok(())
}

/// Threads that outlive the call that starts them: those of a handle. Dropping them waits until they have ended, so
/// whatever tells them to end must be done before.
#[derive(Default)]
pub struct Workers(Vec<thread::JoinHandle<()>>);

impl Workers {
    /// Starts up to `wanted` workers; at least one, or it is an error. A system that refuses more threads gets fewer.
    ///
    /// # Errors
    /// The operating system's error where not even one thread could be made.
    pub fn start<F>(wanted: usize, name: &str, mut make: impl FnMut(usize) -> F) -> Result<Workers>
    where
        F: FnOnce() + Send + 'static,
    {
        let mut number = 0;
        let threads = start_threads(wanted, name, |builder| {
            number += 1;
            builder.spawn(make(number - 1))
        })?;
        Ok(Workers(threads))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // Workers catch their panics and send them, so there is nothing to learn here.
            let _ = thread.join();
        }
    }
}

fn start_threads<T>(
    wanted: usize,
    name: &str,
    mut start: impl FnMut(thread::Builder) -> std::io::Result<T>,
) -> Result<Vec<T>> {
    // New threads inherit the mask, so it is set around the spawning: no signal can slip in between.
    let mask = sys::block_all_signals();
    let mut started = Vec::new();
    let mut failure = None;
    for _ in 0..wanted.max(1) {
        match start(thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES)) {
            Ok(thread) => started.push(thread),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    sys::restore_signals(&mask);
    match failure {
        Some(error) if started.is_empty() => Err(Error::io("can't start a thread", &error)),
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
    let tasks: Vec<Mutex<Option<T>>> = tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
    for_each_number(threads, name, reporter, tasks.len(), &|next| {
        let mut state = make_state()?;
        while let Some(number) = next() {
            // Every number comes once.
            let task = tasks[number].lock().take();
            task.map_or(Ok(()), |task| work(&mut state, task))?;
        }
        Ok(())
    })
}

/// What a worker does with the numbers that it is given.
type Work<'a> = dyn Fn(&mut dyn FnMut() -> Option<usize>) -> Result<()> + Sync + 'a;

/// The part of [`for_each`] that is the same for all tasks, once in the library: channels of each type would be 15 KB
/// of code each.
fn for_each_number(threads: usize, name: &str, reporter: &mut Reporter, count: usize, work: &Work<'_>) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (done_sender, done_receiver) = unbounded::<Result<()>>();
    thread::scope(|scope| {
        let next = &next;
        spawn_workers(scope, threads.min(count), name, || {
            let done = done_sender.clone();
            move || {
                let mut begun = false;
                let failure = catch(|| {
                    work(&mut || {
                        if std::mem::replace(&mut begun, true) && done.send(Ok(())).is_err() {
                            return None;
                        }
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count)
                    })
                });
                if failure.is_err() {
                    let _ = done.send(failure);
                }
            }
        })?;
        drop(done_sender);
        let mut left = count;
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
            // Workers that are still busy find no further task.
            next.store(count, Ordering::Relaxed);
        }
        // The scope would wait for them too, but ThreadSanitizer doesn't see that.
        while done_receiver.recv().is_ok() {}
        result
    })
}

/// Runs `job` and turns a panic into `E_PANIC`, so that a defect in a worker ends in an error of the call.
pub fn catch<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    let job = || {
        #[cfg(feature = "test-hooks")]
        crate::test_hooks::here(crate::test_hooks::WORKER);
        job()
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::new(Status::Panic, format!("an internal defect was caught: {text}")))
    })
}
