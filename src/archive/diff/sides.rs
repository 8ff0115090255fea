//! An entry as it is compared, and what of it counts.

use crate::archive::filter::Filter;
use crate::archive::lookup::file_hash;
use crate::archive::{Archive, WalkedRow};
use crate::error::{Result, reserve};
use crate::format::hash::Digest;
use crate::format::row::{Attributes, EntryKind};
use crate::options::{Candidate, Key, Options};

/// How two sides differ in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum What {
    /// Only the second has it.
    Added = 1,
    /// Only the first has it.
    Removed = 2,
    /// Both have it, and not the same.
    Changed = 3,
}

/// What of an entry differs, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The bytes of a file.
    pub const BYTES: Flags = Flags(1);
    /// The mode.
    pub const MODE: Flags = Flags(2);
    /// The modification time.
    pub const MTIME: Flags = Flags(4);
    /// The target of a symbolic link, or the number of a device.
    pub const TARGET: Flags = Flags(8);
    /// The kind; then nothing else is compared.
    pub const KIND: Flags = Flags(16);
    /// User or group.
    pub const OWNER: Flags = Flags(32);
    /// Extended attributes.
    pub const XATTR: Flags = Flags(64);

    /// Adds a bit where it applies.
    pub fn set(&mut self, flag: Flags, applies: bool) {
        if applies {
            self.0 |= flag.0;
        }
    }

    /// Whether a bit is set.
    pub fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    /// Whether nothing differs.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// An entry on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Its number in the archive; `u64::MAX` in a directory.
    pub index: u64,
    /// Number of its kind.
    pub kind: u8,
    /// Logical size in bytes.
    pub size: u64,
    /// The low 12 mode bits, where they are recorded.
    pub mode: Option<u32>,
    /// Modification time in nanoseconds since the epoch, where it is recorded.
    pub mtime_ns: Option<i64>,
    /// User id, where it is recorded.
    pub uid: Option<u32>,
    /// Group id, where it is recorded.
    pub gid: Option<u32>,
    /// Device number.
    pub rdev: Option<u64>,
    /// Target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// BLAKE3 of a file's bytes, where it is known.
    pub hash: Option<Digest>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which side has the entry.
    pub what: What,
    /// What differs, where both have it.
    pub flags: Flags,
    /// The path in the archive.
    pub path: Vec<u8>,
    /// The entry on the first side.
    pub old: Option<Side>,
    /// The entry on the second side.
    pub new: Option<Side>,
}

impl Difference {
    /// An entry that one side alone has.
    pub(super) fn one_sided(path: &[u8], old: Option<Side>, new: Option<Side>) -> Difference {
        let what = if old.is_some() { What::Removed } else { What::Added };
        Difference { what, flags: Flags::default(), path: path.to_vec(), old, new }
    }

    /// An entry that both have.
    pub(super) fn changed(path: &[u8], flags: Flags, old: Side, new: Side) -> Difference {
        Difference { what: What::Changed, flags, path: path.to_vec(), old: Some(old), new: Some(new) }
    }
}

/// Adds a difference to those that were found.
pub(super) fn push(found: &mut Vec<Difference>, difference: Difference) -> Result<()> {
    if found.len() == found.capacity() {
        reserve(found, found.len().max(64))?;
    }
    found.push(difference);
    Ok(())
}

impl Archive {
    /// BLAKE3 of the bytes of an entry of this archive; `None` for kinds without bytes.
    pub(super) fn hash_of(&self, side: &Side) -> Result<Option<Digest>> {
        let has_bytes = EntryKind::from_number(side.kind).is_some_and(EntryKind::has_bytes);
        match side.hash {
            None if has_bytes => self.read_hash(side.index).map(Some),
            hash => Ok(hash),
        }
    }
}

impl Side {
    /// The entry of a row, which is its first.
    pub(super) fn of_row(row: &WalkedRow<'_>) -> Side {
        let attributes = row.row.attributes.unwrap_or_default();
        let kind = EntryKind::from_number(row.row.kind);
        let has_bytes = kind.is_some_and(EntryKind::has_bytes);
        Side {
            index: row.entry,
            kind: row.row.kind,
            size: attributes.file_size.unwrap_or(0),
            mode: attributes.mode,
            mtime_ns: attributes.mtime_ns,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: attributes.rdev,
            target: attributes.link_target.filter(|_| kind != Some(EntryKind::Hardlink)).map(<[u8]>::to_vec),
            // Kinds of later versions are compared by what stands on their first row.
            hash: if has_bytes || kind.is_none() { file_hash(&row.row, &attributes) } else { None },
        }
    }

    /// Asks the host's function about the entry.
    pub(super) fn is_taken(&self, path: &[u8], filter: &Filter) -> Result<bool> {
        filter.takes(&Candidate {
            index: self.index,
            path,
            kind: self.kind,
            size: self.size,
            attributes: Attributes {
                mode: self.mode,
                mtime_ns: self.mtime_ns,
                uid: self.uid,
                gid: self.gid,
                rdev: self.rdev,
                link_target: self.target.as_deref(),
                ..Attributes::default()
            },
            hash: self.hash,
        })
    }

    /// The kind that counts: a hard link is a file.
    pub(super) fn plain_kind(&self) -> u8 {
        if self.kind == EntryKind::Hardlink as u8 { EntryKind::File as u8 } else { self.kind }
    }
}

/// What counts as a difference.
pub(super) struct Rules {
    mode_mask: u32,
    mtime: bool,
    owner: bool,
}

impl Rules {
    /// For two archives.
    pub(super) fn of_archives(options: &Options) -> Rules {
        Rules { mode_mask: 0o7777, mtime: options.flag(Key::DiffMtime), owner: options.flag(Key::RestoreIds) }
    }

    /// For an archive and a tree: mode bits that extraction would not restore don't count.
    pub(super) fn of_tree(options: &Options) -> Rules {
        let mode_mask = if options.flag(Key::RestoreSetuid) { 0o7777 } else { 0o777 };
        Rules { mode_mask, ..Rules::of_archives(options) }
    }

    /// What differs but for the bytes of files.
    pub(super) fn compare(&self, old: &Side, new: &Side) -> Flags {
        let mut flags = Flags::default();
        if old.plain_kind() != new.plain_kind() {
            return Flags::KIND;
        }
        flags.set(Flags::MODE, differ(old.mode, new.mode, |mode| mode & self.mode_mask));
        flags.set(Flags::MTIME, self.mtime && differ(old.mtime_ns, new.mtime_ns, |time| time));
        flags.set(Flags::TARGET, old.target != new.target || differ(old.rdev, new.rdev, |number| number));
        let owner = differ(old.uid, new.uid, |id| id) || differ(old.gid, new.gid, |id| id);
        flags.set(Flags::OWNER, self.owner && owner);
        flags
    }
}

/// What is recorded on one side alone can't be compared.
fn differ<T: Copy, U: PartialEq>(old: Option<T>, new: Option<T>, of: impl Fn(T) -> U) -> bool {
    matches!((old, new), (Some(old), Some(new)) if of(old) != of(new))
}
