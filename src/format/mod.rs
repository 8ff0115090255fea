//! The bytes on disk and nothing else. `docs/FORMAT.md` is the specification; the constants stand here.
//!
//! ```text
//! container   head, trailer, footer: where everything is, and the hash over it
//! manifest    one Arrow IPC stream: a row a segment or section
//! index       segments: one Arrow IPC stream each, one row a slice: building, checking, reading them
//! arrow_stream an Arrow IPC stream of one batch
//! extra       columns behind the fixed ones
//! interleave  rows of several arrays as one
//! blobs       the blob table: a record a blob
//! xattrs      sets of extended attributes
//! recovery    the index a second time, in between the blobs
//! ipc_guard   the walk over an Arrow stream before arrow sees it
//! schema      the columns, once, for writing, reading and guarding
//! path        rules for names; the escape for names that are not UTF-8
//! codec       zstd, one context a thread
//! hash        BLAKE3 of slices and files
//! digest      the tree digest
//! v3          the format of znippy 0.7 to 0.10
//! ```

// What parses bytes of strangers can't panic: nothing is indexed, added or narrowed unchecked here.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

pub mod arrow_stream;
pub mod blobs;
pub mod codec;
pub mod container;
pub mod digest;
pub mod extra;
pub mod hash;
pub mod index;
mod interleave;
pub mod ipc_guard;
pub mod manifest;
pub mod path;
pub mod portable;
pub mod recovery;
pub mod row;
pub mod schema;
pub mod v3;
pub mod xattrs;

/// A number of bytes as what memory is counted by. Where that is narrower, more than there can be: what is asked for so much
/// fails.
#[inline]
pub(crate) fn in_memory(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
