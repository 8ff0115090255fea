//! What is different: between two archives, from their indexes alone, or between an archive and a directory.
//!
//! ```text
//! sides      an entry as it is compared, and what counts
//! merge      two sequences in order of path become one of pairs
//! archives   two indexes; no block is read
//! directory  an index and a directory; files of equal size are hashed in parallel
//! walk       a directory in the order of the index, without following links
//! ```

mod archives;
mod directory;
mod merge;
mod sides;
mod walk;

pub use sides::{Difference, Flags, Side, What};

use std::path::Path;

use crate::archive::Archive;
use crate::error::Result;
use crate::options::Options;

impl Archive {
    /// What `other` has more, less and different than this archive, in order of path. Hard links are the files that
    /// they are names of; level, layout and order don't matter.
    ///
    /// # Errors
    /// What reading the indexes meets, and what the filter function reports.
    pub fn diff(&self, other: &Archive, options: &Options) -> Result<Vec<Difference>> {
        archives::diff(self, other, options)
    }

    /// What the tree at `directory` has more, less and different than this archive, in order of path: what extraction
    /// doesn't restore by these options, such as set-user-id bits, is no difference.
    ///
    /// # Errors
    /// What reading the index and the tree meets, and what the filter function reports.
    pub fn diff_directory(&self, directory: &Path, options: &Options) -> Result<Vec<Difference>> {
        directory::diff(self, directory, options)
    }
}
