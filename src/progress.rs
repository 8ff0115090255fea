//! How far a job is, and how it is stopped.
//!
//! Progress is reported on the thread that made the call and nowhere else: stages count into [`Counters`],
//! and the calling thread, which waits for them anyway, turns the counts into calls of the host's function.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A total that is not known (yet).
pub const UNKNOWN: u64 = u64::MAX;

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Names are collected.
    Scan = 1,
    /// Files are read, compressed and written.
    Pack = 2,
    /// The index is written, the archive synced and renamed.
    Finish = 3,
    /// The index is read.
    List = 4,
    /// Entries are restored.
    Extract = 5,
    /// Bytes are checked against their hashes.
    Verify = 6,
    /// Archives and trees are compared.
    Compare = 7,
}

/// One report.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What the job is doing.
    pub phase: Phase,
    /// Entries dealt with in this phase.
    pub entries_done: u64,
    /// Entries of this phase, or [`UNKNOWN`].
    pub entries_total: u64,
    /// Original bytes dealt with in this phase.
    pub bytes_done: u64,
    /// Original bytes of this phase, or [`UNKNOWN`].
    pub bytes_total: u64,
    /// An entry that is being dealt with, if one can be named.
    pub path: Option<&'a [u8]>,
}

/// The host's progress function; `false` stops the job with `E_CANCELLED`.
pub type ProgressFn = Arc<dyn Fn(&Progress<'_>) -> bool + Send + Sync>;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// Something was lost or left out, and the job goes on.
    Warning = 2,
    /// What a user may want to know.
    Info = 3,
}

/// The host's log function: called on the calling thread with a message that names the path.
pub type LogFn = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// Stops jobs from any thread, and from signal handlers: triggering is one atomic store.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not triggered.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Stops every job that has this token. There is no way back.
    pub fn trigger(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// `E_CANCELLED` once triggered.
    pub fn check(&self) -> Result<()> {
        if self.is_triggered() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// What the stages of a job count, from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries dealt with.
    pub entries: AtomicU64,
    /// Original bytes dealt with.
    pub bytes: AtomicU64,
}

impl Counters {
    /// Adds to both counts.
    pub fn add(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.entries.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}

/// Turns counts into calls of the host's function, on the calling thread, at most once an interval.
pub struct Reporter {
    function: Option<ProgressFn>,
    cancel: CancelToken,
    stop: CancelToken,
    interval: Duration,
    last: Option<Instant>,
    phase: Phase,
    totals: (u64, u64),
    counters: Arc<Counters>,
}

impl Reporter {
    /// A reporter for one job.
    pub fn new(function: Option<ProgressFn>, cancel: CancelToken, interval: Duration) -> Reporter {
        Reporter {
            function,
            cancel,
            stop: CancelToken::new(),
            interval,
            last: None,
            phase: Phase::Scan,
            totals: (UNKNOWN, UNKNOWN),
            counters: Arc::new(Counters::default()),
        }
    }

    /// The counts that stages add to.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Triggered when the job has failed or was stopped, for workers that are busy with something long.
    pub fn stop(&self) -> CancelToken {
        self.stop.clone()
    }

    /// How long a waiting caller may sleep before it should call [`Reporter::tick`] again.
    pub fn patience(&self) -> Duration {
        self.interval.clamp(Duration::from_millis(1), Duration::from_millis(20))
    }

    /// Begins a phase: counts start at 0, and the start is reported.
    pub fn begin(&mut self, phase: Phase, entries_total: u64, bytes_total: u64) -> Result<()> {
        self.resume(phase, (entries_total, bytes_total), (0, 0))
    }

    /// Begins a phase, or goes on with one, in which so many entries and bytes are dealt with already.
    pub fn resume(&mut self, phase: Phase, totals: (u64, u64), done: (u64, u64)) -> Result<()> {
        self.phase = phase;
        self.totals = totals;
        self.counters.reset();
        self.counters.add(done.0, done.1);
        self.report(None)
    }

    /// Reports if the interval is over; ends the job once it is cancelled.
    pub fn tick(&mut self, path: Option<&[u8]>) -> Result<()> {
        self.cancel.check()?;
        if self.function.is_none() || self.last.is_some_and(|last| last.elapsed() < self.interval) {
            return Ok(());
        }
        self.report(path)
    }

    /// Reports the end of a phase.
    pub fn end(&mut self) -> Result<()> {
        self.report(None)
    }

    fn report(&mut self, path: Option<&[u8]>) -> Result<()> {
        self.cancel.check()?;
        let Some(function) = &self.function else { return Ok(()) };
        self.last = Some(Instant::now());
        let go_on = function(&Progress {
            phase: self.phase,
            entries_done: self.counters.entries.load(Ordering::Relaxed),
            entries_total: self.totals.0,
            bytes_done: self.counters.bytes.load(Ordering::Relaxed),
            bytes_total: self.totals.1,
            path,
        });
        if go_on { self.cancel.check() } else { Err(Error::cancelled()) }
    }
}
