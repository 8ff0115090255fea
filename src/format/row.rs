//! A row of the index: one slice of one file, or an entry without bytes.

use rustix::fs::FileType;

use crate::error::{Error, Result, Status};
use crate::format::hash::Digest;

/// What an entry is. The numbers are those of the column `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file.
    File = 0,
    /// A directory.
    Directory = 1,
    /// A symbolic link.
    Symlink = 2,
    /// A further name of a file that stands in the archive under another name.
    Hardlink = 3,
    /// A FIFO.
    Fifo = 4,
    /// A character device.
    CharDevice = 5,
    /// A block device.
    BlockDevice = 6,
    /// A socket.
    Socket = 7,
}

impl EntryKind {
    /// The kind with this number; `None` for kinds of later versions.
    pub fn from_number(number: u8) -> Option<EntryKind> {
        use EntryKind::*;
        [File, Directory, Symlink, Hardlink, Fifo, CharDevice, BlockDevice, Socket].get(usize::from(number)).copied()
    }

    /// The kind of what has this mode on disk; a further name of a file is a file there.
    pub fn of_mode(mode: u32) -> EntryKind {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Socket => EntryKind::Socket,
            _ => EntryKind::File,
        }
    }

    /// Whether entries of this kind have file bytes.
    pub fn has_bytes(self) -> bool {
        matches!(self, EntryKind::File | EntryKind::Hardlink)
    }

    /// Whether entries of this kind have a link target.
    pub fn has_target(self) -> bool {
        matches!(self, EntryKind::Symlink | EntryKind::Hardlink)
    }
}

/// Codec of a blob: the block's bytes as they are.
pub const CODEC_STORED: u8 = 0;
/// Codec of a blob: one zstd frame (RFC 8878).
pub const CODEC_ZSTD: u8 = 1;
/// Codec of a blob of version 3: one frame of OpenZL. Reserved in version 4.
pub const CODEC_OPENZL: u8 = 2;
/// Stands for blobs of version 3 that are deltas against other entries. Not a codec of version 4.
pub const CODEC_DELTA: u8 = 255;

/// What codecs the blobs of an archive have, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codecs {
    /// Those of version 3.
    Version3,
    /// Those of version 4.
    Version4,
}

impl Codecs {
    /// Refuses codecs that can't be decoded.
    pub fn check(self, codec: u8) -> Result<()> {
        let why = match (self, codec) {
            (_, CODEC_STORED | CODEC_ZSTD) | (Codecs::Version3, CODEC_OPENZL) => return Ok(()),
            (Codecs::Version3, CODEC_DELTA) => {
                return Err(Error::refused(
                    Status::Unsupported,
                    "older.delta",
                    "the entry is stored as a delta against another one, which this library doesn't decode; unpack it \
                     with the znippy that packed it",
                ));
            }
            _ => format!("the entry's codec ({codec}) is not known to this version"),
        };
        Err(Error::refused(Status::Unsupported, "index.codec.unknown", why))
    }
}

/// Where the bytes of a slice are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where the blob starts in the archive.
    pub blob_offset: u64,
    /// Bytes of the blob.
    pub blob_size: u64,
    /// Where the slice starts in the decoded block.
    pub block_offset: u64,
    /// Bytes of the decoded block.
    pub block_size: u64,
    /// How the block is encoded; unknown numbers are possible.
    pub codec: u8,
}

/// What stands on an entry's first row only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// The low 12 mode bits.
    pub mode: Option<u32>,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: Option<i64>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Target of a symbolic link; for a hard link the first path of its group.
    pub link_target: Option<&'a [u8]>,
    /// Logical size of a file, holes included.
    pub file_size: Option<u64>,
    /// BLAKE3 of the whole file; `None` where one slice covers it, whose checksum it then is.
    pub file_hash: Option<Digest>,
    /// Row of the xattr section.
    pub xattr_id: Option<u32>,
    /// Device number.
    pub rdev: Option<u64>,
    /// Package type, where a provider claimed the file.
    pub pkg_type: Option<i8>,
    /// Label.
    pub repo: Option<&'a str>,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The exact path.
    pub path: &'a [u8],
    /// Number of the slice in its file, from 0.
    pub chunk_seq: u32,
    /// Where the slice starts in its file.
    pub offset: u64,
    /// Bytes of the slice.
    pub size: u64,
    /// BLAKE3 of the slice's bytes; zeros for kinds without bytes.
    pub checksum: Digest,
    /// Number of the kind; see [`EntryKind::from_number`].
    pub kind: u8,
    /// Where the bytes are; `None` where there are none.
    pub location: Option<Location>,
    /// On the first row of an entry.
    pub attributes: Option<Attributes<'a>>,
}
