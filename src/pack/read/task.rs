//! What is to be read.

use std::sync::Arc;

use crate::pack::batch::Batch;
use crate::pack::plan::{Class, Unit};

/// What a worker reads, or only hashes, in one go.
pub(in crate::pack) enum Task {
    /// A unit of a tree, to be read into the buffer.
    Tree(Arc<Batch>, Unit),
    /// Small files whose bytes are in the buffer, one behind the other.
    Gathered(Gathered),
    /// A window of a big file whose bytes are in the buffer.
    Window(BufferedWindow),
    /// A big file that was added on its own, for metadata providers; no buffer is filled.
    Offer(Offered),
    /// A big file of a tree, by the number of its record, for metadata providers; no buffer is filled.
    OfferRecord(Arc<Batch>, u32),
}

/// Small files that were added one by one.
pub(in crate::pack) struct Gathered {
    pub(in crate::pack) class: Class,
    pub(in crate::pack) bytes: usize,
    /// Number of each file, and where its bytes end in the buffer.
    pub(in crate::pack) files: Vec<(u32, usize)>,
    /// The path of each, where there are metadata providers.
    pub(in crate::pack) paths: Vec<Box<[u8]>>,
}

/// A file with all of its bytes.
pub(in crate::pack) struct Offered {
    pub(in crate::pack) entry: u32,
    pub(in crate::pack) path: Box<[u8]>,
    pub(in crate::pack) bytes: Vec<u8>,
}

/// A window of a big file that was added on its own.
#[derive(Clone, Copy)]
pub(in crate::pack) struct BufferedWindow {
    /// The sequencer's number for it.
    pub(in crate::pack) part: u32,
    pub(in crate::pack) offset: u64,
    pub(in crate::pack) len: usize,
    /// The extension is one of a compressed format.
    pub(in crate::pack) packed: bool,
    /// Whether the file has other windows; `None` where that isn't known yet.
    pub(in crate::pack) several: Option<bool>,
    /// How many windows the file has, where this is known to be the last.
    pub(in crate::pack) last_of: Option<u32>,
}
