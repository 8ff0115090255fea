//! What was read: pieces of a buffer, and whose they are.

use blake3::hazmat::ChainingValue;

use crate::error::Error;
use crate::format::hash::Digest;
use crate::pack::claims::Found;
use crate::pack::plan::Class;

/// A slice in a buffer.
#[derive(Clone, Copy, Debug)]
pub(in crate::pack) struct Piece {
    /// Where it starts in the buffer, and its bytes.
    pub(in crate::pack) start: usize,
    pub(in crate::pack) len: usize,
    /// Where it starts in its file.
    pub(in crate::pack) offset: u64,
    pub(in crate::pack) checksum: Digest,
}

/// A small file that was read.
pub(in crate::pack) struct SmallFile {
    /// Number of the entry.
    pub(in crate::pack) entry: u32,
    /// Its pieces are those up to this number of [`ReadUnit::pieces`], from where the file before ends.
    pub(in crate::pack) pieces_end: usize,
    /// The hash of the whole, where not one piece is the whole.
    pub(in crate::pack) whole: Option<Digest>,
}

/// A window of a big file that was read, or was not: then it has no pieces, and no chaining value.
pub(in crate::pack) struct WindowRead {
    /// The sequencer's number for the file.
    pub(in crate::pack) part: u32,
    pub(in crate::pack) len: usize,
    /// Its pieces are those up to this number of [`ReadUnit::pieces`], from where the window before ends.
    pub(in crate::pack) pieces_end: usize,
    /// The window's chaining value, where its file has several windows or may have.
    pub(in crate::pack) value: Option<ChainingValue>,
    /// The hash of the whole, where the file has one window, or may have, and not one piece is the whole.
    pub(in crate::pack) whole: Option<Digest>,
    /// The bytes don't compress.
    pub(in crate::pack) noise: bool,
    /// How many windows the file has, where this is known to be the last.
    pub(in crate::pack) last_of: Option<u32>,
}

/// What was read: files, or windows.
pub(in crate::pack) enum Content {
    Small {
        class: Class,
        /// Bytes of all files, also of those that are left out.
        bytes: usize,
        files: Vec<SmallFile>,
        /// Whether the bytes don't compress, where that was looked at.
        noise: Option<bool>,
    },
    Windows(Vec<WindowRead>),
    /// Nothing but what metadata providers found.
    Found,
}

/// A unit that was read; its buffer goes along.
pub(in crate::pack) struct ReadUnit {
    pub(in crate::pack) pieces: Vec<Piece>,
    pub(in crate::pack) content: Content,
    /// Entries that are left out, by option.
    pub(in crate::pack) skipped: Vec<(u32, Error)>,
    /// What metadata providers found, by entry.
    pub(in crate::pack) found: Vec<(u32, Found)>,
}
