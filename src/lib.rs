//! libznippy packs a directory into one archive on all cores and reads it back at any point.
//!
//! The map, in the order in which data flows; dependencies point from later to earlier lines of
//! `capi -> salvage -> (pack, extract, archive) -> format -> (error, options, progress)`.
//!
//! ```text
//! pack      a tree or entries -> an archive: scan, plan, read, dedup, compress, write, finish
//! archive   an archive -> anything: open, look up, read, list, verify
//! extract   an archive -> a tree
//! salvage   a damaged archive -> a new one of what is whole
//! format    the bytes on disk and nothing else
//! capi      the C interface: checks pointers, converts, calls, converts back
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate self as znippy;

#[forbid(unsafe_code)]
pub mod archive;
#[forbid(unsafe_code)]
mod beneath;
pub mod capi;
pub mod error;
#[forbid(unsafe_code)]
pub mod extract;
#[forbid(unsafe_code)]
pub mod format;
#[forbid(unsafe_code)]
mod globs;
#[forbid(unsafe_code)]
pub mod options;
#[forbid(unsafe_code)]
pub mod pack;
#[forbid(unsafe_code)]
pub mod progress;
#[forbid(unsafe_code)]
pub mod provider;
#[forbid(unsafe_code)]
pub mod salvage;
#[forbid(unsafe_code)]
pub mod stats;
#[forbid(unsafe_code)]
pub mod sync;
mod sys;
#[cfg(feature = "test-hooks")]
mod test_hooks;
#[forbid(unsafe_code)]
mod xattr;
