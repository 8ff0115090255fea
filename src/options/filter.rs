//! The host's say about single entries.

use std::sync::Arc;

use crate::error::Result;
use crate::format::hash::Digest;
use crate::format::row::Attributes;

/// An entry, as a filter function is told of it before anything is done with it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its number in the archive; `u64::MAX` for what is in none, or in none yet.
    pub index: u64,
    /// Its path in the archive, or the one that it would have there.
    pub path: &'a [u8],
    /// Number of its kind.
    pub kind: u8,
    /// Logical size in bytes, holes included.
    pub size: u64,
    /// Mode, times, ids, link target and the like, as far as they are known.
    pub attributes: Attributes<'a>,
    /// BLAKE3 of its whole bytes, where it is known.
    pub hash: Option<Digest>,
}

/// The rule in errors that a filter function reported. They end a job in any case, also one that goes on after failures.
pub const FILTER_RULE: &str = "filter.function";

/// Whether a job takes an entry. Called on the thread that made the call, once an entry, in order of path; an error ends
/// the job.
pub type FilterFn = Arc<dyn Fn(&Candidate<'_>) -> Result<bool> + Send + Sync>;
