//! Panics on demand, for tests of what happens then (tests/panic/run.sh). Compiled with the feature `test-hooks` alone.

use std::sync::atomic::{AtomicI32, Ordering};

/// Where the next panic is to be; 0 is nowhere.
static PLACE: AtomicI32 = AtomicI32::new(0);

/// Behind the boundary of the next function that is called.
pub(crate) const BOUNDARY: i32 = 1;
/// In the next handle that a call enters.
pub(crate) const HANDLE: i32 = 2;
/// In the next job of a worker.
pub(crate) const WORKER: i32 = 3;

/// Panics, once, if this is the place that was asked for.
#[allow(clippy::panic)]
pub(crate) fn here(place: i32) {
    if PLACE.compare_exchange(place, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        panic!("forced by a test");
    }
}

/// Asks for a panic at a place, or for none; 1 where one was asked for before and has not happened.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn znippy_test_panic(place: i32) -> i32 {
    i32::from(PLACE.swap(place, Ordering::Relaxed) != 0)
}
