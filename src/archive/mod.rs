//! An archive, open for reading: immutable, shared by any number of threads.
//!
//! ```text
//! source      bytes at offsets: a file, memory, callbacks
//! open        tail -> trailer -> manifest; segments when they are touched
//! cache       decoded blocks and segments, bounded in bytes, one decoding at a time each
//! blocks      decoded blocks, in part where a part is enough
//! lookup      path -> entry -> rows
//! read        bytes of an entry at an offset
//! list        entries, owned
//! xattrs      extended attributes of entries
//! filter      which entries the options mean
//! batches     the index as Arrow record batches
//! structure   what spans segments: order, parents, slices that add up
//! check       blobs, slices and whole files against their hashes, by many workers
//! verify      everything
//! v3          archives of format version 3, as if they were of version 4
//! diff        what is different in another archive, or in a directory
//! ```

// As in `format`: what reads bytes of strangers can't panic.
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

mod batches;
mod blocks;
mod cache;
mod check;
mod diff;
pub(crate) mod filter;
mod list;
mod lookup;
mod open;
mod read;
mod source;
mod structure;
mod v3;
mod verify;
mod xattrs;

pub use batches::{IndexBatches, LEFT_OUT_KEY};
pub use check::{ContentCheck, Depth, SliceCheck};
pub use diff::{Difference, Flags, Side, What};
pub use list::{Entry, Listing};
pub use open::{Archive, Info};
pub use source::{FileSource, FileTimes, MemorySource, Source};
pub use structure::{StructureWalk, WalkedRow};
