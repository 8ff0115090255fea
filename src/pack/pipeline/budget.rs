//! How many threads and buffers fit the memory limit.

use crate::beneath::threads_within_descriptors;
use crate::error::{Error, Result, Status};
use crate::format::codec;
use crate::options::{Key, Layout, Options};

/// Threads, and buffers for units and blocks in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) threads: usize,
    pub(super) buffers: usize,
}

impl Budget {
    pub(super) const NONE: Budget = Budget { threads: 0, buffers: 0 };
}

/// Threads and buffers within the memory limit. The limit lowers threads and never changes the bytes.
pub(super) fn budget(
    options: &Options,
    layout: &Layout,
    longest: usize,
    parked: usize,
    assembled: usize,
) -> Result<Budget> {
    let wanted = threads_within_descriptors(options.threads());
    let limit = usize::try_from(options.get(Key::MemoryLimit)).unwrap_or(usize::MAX);
    // Two buffers a thread, so that one fills while the other drains; some are kept by the sequencer, one moves.
    let full = |threads: usize| Budget { threads, buffers: 2 * threads + 1 + parked };
    if limit == 0 {
        return Ok(full(wanted));
    }
    let cost = |budget: &Budget| {
        // Of the files that are put together all but the first and the last have all of their windows in buffers.
        let together = if assembled > 0 { longest } else { 0 };
        let buffers = budget.buffers * (longest + codec::bound(longest) + together);
        budget.threads * codec::context_bytes(layout.level, layout.longest_block()) + buffers + assembled
    };
    let least = Budget { threads: 1, buffers: 2 + parked };
    let candidates = (1..=wanted).rev().map(full).chain([least]);
    candidates.into_iter().find(|budget| cost(budget) <= limit).ok_or_else(|| {
        let why = format!(
            "a memory limit of {limit} bytes is too low for these block sizes and level: {} are needed",
            cost(&least)
        );
        Error::new(Status::Limit, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_providers_want_whole_are_within_the_memory_limit() {
        let mut options = Options::new();
        options.set(Key::Threads, 8).unwrap().set(Key::MemoryLimit, 400 << 20).unwrap();
        let (layout, longest) = (options.layout(), 4 << 20);
        let plain = budget(&options, &layout, longest, 1, 0).unwrap();
        let with = budget(&options, &layout, longest, 1, 128 << 20).unwrap();
        assert!(with.threads < plain.threads && plain.threads == 8, "{plain:?} {with:?}");
        // Two files of the longest kind at the ends, and as much between them as there are buffers.
        let together = (128 << 20) + with.buffers * longest;
        let rest = with.buffers * (longest + codec::bound(longest)) + with.threads * codec::context_bytes(3, longest);
        assert!(together + rest <= 400 << 20);
        options.set(Key::MemoryLimit, 100 << 20).unwrap();
        assert_eq!(budget(&options, &layout, longest, 1, 128 << 20).unwrap_err().status(), Status::Limit);
        budget(&options, &layout, longest, 1, 0).unwrap();
    }
}
