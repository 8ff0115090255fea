//! Threads and channels, in one place.
//!
//! Every thread of the library is made here: named, with an explicit stack, with all signals blocked so that
//! the host's handlers never run on it, and scoped, so that it is joined before the call that made it returns.

pub use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::error::{Error, Result};
use crate::sys;

/// Stack of a worker. The deepest user is zstd, which keeps its state on the heap.
const STACK_BYTES: usize = 1 << 20;

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
