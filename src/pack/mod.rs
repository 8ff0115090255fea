//! A tree -> an archive.
//!
//! ```text
//! scan ─► plan ─► read + hash ─► dedup + group ─► probe + compress ─► write ─► finish
//! names    order    workers        sequence         workers             in order   index, manifest,
//! metadata units    into buffers   in plan order    one context each               trailer, sync, rename
//! ```

mod append;
mod base;
mod batch;
mod carried;
mod claims;
mod compress;
mod copy;
mod donor;
mod entries;
mod entry;
mod exchange;
mod file;
mod finish;
mod gather;
mod holes;
mod join;
mod links;
mod merge;
mod names;
mod output;
mod pipeline;
mod plan;
mod policy;
mod probe;
mod read;
mod recovery;
pub(crate) mod rewrite;
mod scan;
mod sequence;
mod writer;
mod xattrs;

pub use entry::NewEntry;
pub use output::Sink;
pub use writer::Writer;

use std::path::Path;

use crate::error::Result;
use crate::options::Options;
use crate::stats::Stats;

/// Packs the directory `source` into the file `archive`, which gets exactly that name.
///
/// The archive appears complete and synced, or not at all; an older one of the same name stays as it is until
/// then. What the archive holds depends on the tree, the options that are recorded, and the versions of this
/// library and of zstd; never on threads, memory, time or host. The archive itself is left out where it lies in
/// the tree, and the directory that it lies in then has no recorded modification time.
///
/// # Errors
/// The first failure, naming the path; `E_EXISTS` where the name is taken and `overwrite` is not set.
pub fn pack_directory(source: &Path, archive: &Path, options: &Options) -> Result<Stats> {
    let mut writer = Writer::create(archive, options)?;
    writer.add_sole_tree(source)?;
    writer.finish()
}
