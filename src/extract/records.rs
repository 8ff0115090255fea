//! The records of a plan: slices, and what they are parts of. Made to be small, since there is one a file or more.

use std::ops::Range;

use crate::extract::tree::Node;
use crate::format::hash::Digest;
use crate::format::row::{CODEC_STORED, Location};

/// The block of slices that have no bytes.
pub(super) const NO_BLOCK: u32 = u32::MAX;
/// Marks [`Slice::target`] as the number of a piece.
pub(super) const PIECE: u32 = 1 << 31;

/// A slice: bytes of a block, and where they go.
pub(super) struct Slice {
    pub(super) target: u32,
    /// The number of its block, or [`NO_BLOCK`].
    pub(super) block: u32,
    pub(super) block_offset: u32,
    pub(super) size: u32,
    /// BLAKE3 of its bytes.
    pub(super) checksum: Digest,
}

const _: () = assert!(size_of::<Slice>() == 48);

/// Where a slice goes.
pub(super) enum Target {
    /// It is the whole of the file with this number.
    File(u32),
    /// It is the piece with this number.
    Piece(u32),
}

impl Slice {
    /// Where it goes.
    pub(super) fn target(&self) -> Target {
        match self.target & PIECE {
            0 => Target::File(self.target),
            _ => Target::Piece(self.target & !PIECE),
        }
    }

    /// Where it lies in its decoded block.
    pub(super) fn range(&self) -> Range<usize> {
        self.block_offset as usize..self.block_offset as usize + self.size as usize
    }
}

/// A slice of a file that isn't one slice alone.
pub(super) struct Piece {
    /// The number of the big file.
    pub(super) big: u32,
    /// Where it starts in the file.
    pub(super) offset: u64,
}

/// A file that isn't one slice alone: it has several, or holes.
pub(super) struct Big {
    /// The number of the file.
    pub(super) file: u32,
    /// Bytes, holes included.
    pub(super) size: u64,
    /// Slices, one without bytes included.
    pub(super) slices: u32,
    pub(super) hash: Digest,
}

/// A blob of the archive.
pub(super) struct Block {
    pub(super) blob_offset: u64,
    pub(super) blob_size: u32,
    pub(super) block_size: u32,
    pub(super) codec: u8,
}

impl Block {
    /// Where it is, as readers want it.
    pub(super) fn location(&self) -> Location {
        Location {
            blob_offset: self.blob_offset,
            blob_size: u64::from(self.blob_size),
            block_offset: 0,
            block_size: u64::from(self.block_size),
            codec: self.codec,
        }
    }

    /// Bytes of buffers that decoding takes.
    pub(super) fn memory(&self) -> usize {
        let stored = if self.codec == CODEC_STORED { 0 } else { self.blob_size };
        self.block_size as usize + stored as usize
    }
}

/// A further name of a file.
#[derive(Clone, Copy)]
pub(super) struct Hardlink {
    /// The file record with its own name.
    pub(super) file: u32,
    /// The file that has the bytes.
    pub(super) of: u32,
    /// Its number in the archive.
    pub(super) entry: u64,
    pub(super) sharing: Sharing,
}

/// How a file comes to the bytes of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// The archive says that it is a further name.
    Name,
    /// It becomes a further name, because that was asked for.
    Twin { size: u64 },
    /// It shares blocks.
    Clone { size: u64 },
}

/// A symbolic link.
pub(super) struct Symlink {
    /// Its name.
    pub(super) node: Node,
    /// Its target, among the tree's bytes.
    pub(super) target: (u64, u32),
}
