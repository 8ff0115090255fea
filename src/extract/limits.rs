//! How much an archive may be, and what archives from strangers must keep to: checked before the first write.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::archive::WalkedRow;
use crate::error::{Error, Result, Status, printable};
use crate::extract::untrusted;
use crate::format::row::EntryKind;
use crate::options::{Key, Options};

/// Limits of archives from strangers where the options set none.
mod untrusted_default {
    pub(super) const BYTES: u64 = 64 << 30;
    pub(super) const ENTRIES: u64 = 1_000_000;
    pub(super) const RATIO: u64 = 1000;
    pub(super) const DEPTH: u64 = 128;
    pub(super) const INDEX: u64 = 512 << 20;
}

/// The decoded index of any archive may have so many bytes, and so many for each byte of the archive where that is
/// more: ten times of what the emptiest tree needs.
const LEAST_INDEX: u64 = 1 << 30;
const INDEX_RATIO: u64 = 64;

/// The limits of one extraction; `u64::MAX` stands for none.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    untrusted: bool,
    bytes: u64,
    entries: u64,
    ratio: u64,
    depth: u64,
    index: u64,
}

impl Limits {
    /// Whether the archive is a stranger's.
    pub(super) fn are_of_untrusted(&self) -> bool {
        self.untrusted
    }

    /// What the options say.
    pub(super) fn new(options: &Options) -> Limits {
        let untrusted = options.flag(Key::Untrusted);
        let limit = |key, default| match options.get(key) {
            0 if untrusted && !options.is_set(key) => default,
            0 => u64::MAX,
            limit => limit.unsigned_abs(),
        };
        Limits {
            untrusted,
            bytes: limit(Key::MaxBytes, untrusted_default::BYTES),
            entries: limit(Key::MaxEntries, untrusted_default::ENTRIES),
            ratio: limit(Key::MaxRatio, untrusted_default::RATIO),
            depth: limit(Key::MaxDepth, untrusted_default::DEPTH),
            index: limit(Key::MaxIndex, untrusted_default::INDEX),
        }
    }

    /// Checks the bytes of the decoded index, of which the manifest knows before anything of it is read.
    pub(super) fn check_index(&self, bytes: u64, archive: u64) -> Result<()> {
        let bounded = LEAST_INDEX.max(archive.saturating_mul(INDEX_RATIO));
        let limit = if self.index == u64::MAX { bounded } else { self.index };
        if bytes <= limit {
            return Ok(());
        }
        let why =
            format!("the index has {bytes} bytes when decoded, the limit is {limit}; raise max-index if you trust it");
        Err(Error::refused(Status::Limit, "limit.index", why))
    }
}

/// Watches over the entries of a plan.
pub(super) struct Guard {
    limits: Limits,
    bytes: u64,
    /// Hashes of directory and folded name.
    names: HashSet<u64>,
    hasher: RandomState,
}

impl Guard {
    /// Nothing seen yet.
    pub(super) fn new(limits: Limits) -> Guard {
        Guard { limits, bytes: 0, names: HashSet::new(), hasher: RandomState::new() }
    }

    /// Looks at an entry before it becomes part of the plan; `path` is the one that it is restored under.
    pub(super) fn admit(&mut self, path: &[u8], kind: EntryKind, row: &WalkedRow<'_>) -> Result<()> {
        let depth = 1 + path.iter().filter(|byte| **byte == b'/').count() as u64;
        if depth > self.limits.depth {
            let why = format!(
                "the path has {depth} components, the limit is {}; raise max-depth if you trust it",
                self.limits.depth
            );
            return Err(Error::refused(Status::Limit, "limit.depth", why));
        }
        let attributes = row.row.attributes.unwrap_or_default();
        if self.limits.untrusted {
            untrusted::check_name(path)?;
            untrusted::check_kind(kind)?;
            if kind == EntryKind::Symlink {
                untrusted::check_target(path, attributes.link_target.unwrap_or_default())?;
            }
        }
        // Hard links count too: where none can be made, they become files.
        self.bytes = self.bytes.saturating_add(attributes.file_size.unwrap_or(0));
        if self.bytes > self.limits.bytes {
            let why = format!(
                "up to here the files have {} bytes, the limit is {}; raise max-bytes if you trust the archive",
                self.bytes, self.limits.bytes
            );
            return Err(Error::refused(Status::Limit, "limit.bytes", why));
        }
        Ok(())
    }

    /// Looks at how many entries there are by now, directories that have none of their own included.
    pub(super) fn check_count(&self, count: u64) -> Result<()> {
        if count <= self.limits.entries {
            return Ok(());
        }
        let why = format!(
            "the archive has more than {} entries and directories; raise max-entries if you trust it",
            self.limits.entries
        );
        Err(Error::refused(Status::Limit, "limit.entries", why))
    }

    /// Whether a name may be one that its directory has already, on a file system that folds names.
    pub(super) fn may_collide(&mut self, directory: u32, name: &[u8]) -> bool {
        self.limits.untrusted && !self.names.insert(self.hasher.hash_one((directory, untrusted::folded(name))))
    }

    /// Looks at the whole: what is decoded and written in proportion to the archive.
    pub(super) fn check_ratio(&self, decoded: u64, archive: u64) -> Result<()> {
        let bytes = self.bytes.max(decoded);
        if bytes <= self.limits.ratio.saturating_mul(archive) {
            return Ok(());
        }
        let why = format!(
            "the archive of {archive} bytes unpacks to {bytes}, more than {} times as many; raise max-ratio if you trust it",
            self.limits.ratio
        );
        Err(Error::refused(Status::Limit, "limit.ratio", why))
    }
}

/// The refusal of a name that another one of its directory is equal to on some file systems.
pub(super) fn collision(other: &[u8]) -> Error {
    let why = format!("its name is the same as '{}' on file systems that fold names", printable(other));
    Error::refused(Status::UnsafePath, "untrusted.collision", why)
}
