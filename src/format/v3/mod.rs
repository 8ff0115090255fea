//! Format version 3: what znippy 0.7 to 0.10 write. The facts stand in `docs/INTEROP.md`.
//!
//! ```text
//! manifest    where the index is: data parts, and sections with reserved names
//! stream      Arrow IPC streams of several batches, guarded before arrow sees them
//! columns     the rows of a data part, by the names of its columns
//! sections    modes and directories, metadata, which slices are deltas
//! openzl      the two frames of OpenZL that need nothing but zstd
//! ```

pub mod columns;
pub mod manifest;
pub mod openzl;
pub mod sections;
pub mod stream;

/// The version, as it stands in the metadata of schemas.
pub const VERSION: &str = "3";
/// Most bytes of a slice. The format sets no limit; this bounds what a small archive can make a reader allocate.
pub const MAX_SLICE: u64 = 1 << 30;
/// Most bytes of the index: all parts and sections that are read, none of which is compressed.
pub const MAX_INDEX: u64 = 4 << 30;
