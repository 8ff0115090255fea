//! Archives of format version 3 behind the same handle. Their rows are sorted once, when the archive is opened; from
//! then on there are segments as in version 4, made when they are asked for, and all else works on those.
//!
//! ```text
//! open      footer -> manifest -> data parts and sections
//! order     the rows of all parts in order of path, and where segments begin
//! labels    columns of packages and metadata, as columns of the index
//! segment   rows of version 3 into a segment
//! verify    every slice
//! ```

mod labels;
mod open;
mod order;
mod segment;
mod verify;

pub(super) use open::{Index, is_version_3, without_footer};
