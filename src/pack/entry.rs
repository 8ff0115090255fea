//! An entry as it is given to a writer.

use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::pack::scan::NO_MTIME;

/// Most bytes of a link's target.
const MAX_TARGET: usize = 65_535;

/// What is recorded of an entry that is added on its own. What is `None` is not recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// The path in the archive.
    pub path: &'a [u8],
    /// What the entry is.
    pub kind: EntryKind,
    /// The low 12 mode bits.
    pub mode: Option<u32>,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: Option<i64>,
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Device number: devices have one, others don't.
    pub rdev: Option<u64>,
    /// Target of a symbolic link; for a hard link, the path of a file that was added before. Empty for others.
    pub target: &'a [u8],
}

impl<'a> NewEntry<'a> {
    /// A file of which nothing but the path is recorded.
    pub fn file(path: &'a [u8]) -> NewEntry<'a> {
        NewEntry::new(path, EntryKind::File)
    }

    /// An entry of any kind of which nothing but the path is recorded yet.
    pub fn new(path: &'a [u8], kind: EntryKind) -> NewEntry<'a> {
        NewEntry { path, kind, mode: None, mtime_ns: None, uid: None, gid: None, rdev: None, target: &[] }
    }

    /// Whether the format can record this.
    pub(super) fn check(&self) -> Result<()> {
        path::check(self.path).map_err(|error| error.with_entry(self.path))?;
        let device = matches!(self.kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let wrong = if self.mode.is_some_and(|mode| mode > 0o7777) {
            "its mode has more than the low 12 bits"
        } else if self.mtime_ns == Some(NO_MTIME) {
            "its modification time is the one number that can't be recorded"
        } else if device != self.rdev.is_some() {
            "a device needs its device number, and nothing else has one"
        } else if self.kind.has_target() == self.target.is_empty() {
            "a link needs a target, and nothing else has one"
        } else if self.target.len() > MAX_TARGET || self.target.contains(&0) {
            "its target is longer than 65,535 bytes or contains a NUL byte"
        } else {
            return Ok(());
        };
        Err(Error::new(Status::InvalidArgument, wrong).with_entry(self.path))
    }
}
