//! Scan: what of a tree is packed, and what is recorded of it.
//!
//! ```text
//! walk     names, one directory at a time
//! filter   which of them are wanted: globs
//! ignore   which of them are not: ignore files;  pattern  one line of such a file
//! survey   kinds, sizes, modes, times, link targets: in parallel;  xattrs  extended attributes
//! ```
//!
//! Everything is looked at relative to directory handles that were opened without following links. What is left out
//! never gets a record, so that an archive of a part of a tree is the archive of a tree that has no more than that.

mod filter;
mod ignore;
mod pattern;
mod survey;
mod walk;
mod xattrs;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Stat;

use crate::archive::Archive;
use crate::beneath::Root;
use crate::error::{Error, Result, reserve};
use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::pack::entry::NewEntry;
use crate::pack::names::{Name, Names};
use crate::pack::policy::Policy;
pub(super) use crate::pack::scan::xattrs::XattrReader;
use crate::progress::{Phase, Reporter, UNKNOWN};

/// No mode is recorded.
pub(super) const NO_MODE: u16 = u16::MAX;
/// No modification time is recorded.
pub(super) const NO_MTIME: i64 = i64::MIN;

/// An entry of the tree: 56 bytes.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) kind: EntryKind,
    /// Left out by option, or the archive that is being written.
    pub(super) skipped: bool,
    /// Modes and times are as they stand in the tree: whoever reads the file compares them. [`Policy`] says what is
    /// recorded of them.
    pub(super) mode: u16,
    pub(super) mtime_ns: i64,
    pub(super) size: u64,
    pub(super) inode: u64,
    /// Number in [`Tree::extras`] plus one; 0 where there is nothing extra.
    extra: u32,
}

impl Record {
    /// Of which the walk knows no more than this.
    fn new(name: Name, is_directory: bool) -> Record {
        Record {
            name,
            kind: if is_directory { EntryKind::Directory } else { EntryKind::File },
            skipped: false,
            mode: 0,
            mtime_ns: NO_MTIME,
            size: 0,
            inode: 0,
            extra: 0,
        }
    }
}

/// What few entries have.
#[derive(Clone, Default)]
pub(super) struct Extra {
    pub(super) device: u64,
    /// Names of the file, where names of one file are recorded as such; else 0.
    pub(super) links: u64,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) rdev: Option<u64>,
    pub(super) target: Vec<u8>,
    /// The set of extended attributes, encoded; shared by all that have the same.
    pub(super) xattrs: Option<Arc<[u8]>>,
}

/// What is recorded of the packed directory itself.
#[derive(Clone)]
pub(super) struct RootRecord {
    pub(super) mode: u32,
    pub(super) mtime_ns: i64,
    pub(super) xattrs: Option<Arc<[u8]>>,
}

impl RootRecord {
    /// What an archive records of its root; its extended attributes are known from elsewhere.
    pub(super) fn of_archive(archive: &Archive, xattrs: Option<Arc<[u8]>>) -> Option<RootRecord> {
        let metadata = &archive.manifest().metadata;
        let mode = u32::from_str_radix(metadata.get("root_mode")?, 8).ok().filter(|mode| *mode <= 0o7777)?;
        let mtime = metadata.get("root_mtime_ns").and_then(|value| value.parse().ok());
        Some(RootRecord { mode, mtime_ns: mtime.unwrap_or(NO_MTIME), xattrs })
    }
}

/// What the scan found, in order of path.
pub(super) struct Tree {
    /// The path of the tree, as the caller gave it.
    source: PathBuf,
    pub(super) names: Names,
    pub(super) records: Vec<Record>,
    extras: Vec<Extra>,
    pub(super) root: RootRecord,
    /// What was left out and is counted: path and reason.
    pub(super) skipped: Vec<Error>,
}

impl Tree {
    /// No entries: for those that are added one by one, in any order.
    pub(super) fn of_entries() -> Tree {
        Tree {
            source: PathBuf::new(),
            names: Names::new(),
            records: Vec::new(),
            extras: Vec::new(),
            root: RootRecord { mode: 0, mtime_ns: NO_MTIME, xattrs: None },
            skipped: Vec::new(),
        }
    }

    /// Adds an entry that was checked.
    pub(super) fn push(&mut self, entry: &NewEntry<'_>, size: u64) -> Result<()> {
        reserve_record(&mut self.records)?;
        let mut record = Record {
            name: self.names.add(entry.path)?,
            kind: entry.kind,
            skipped: false,
            mode: entry.mode.and_then(|mode| u16::try_from(mode).ok()).unwrap_or(NO_MODE),
            mtime_ns: entry.mtime_ns.unwrap_or(NO_MTIME),
            size,
            inode: 0,
            extra: 0,
        };
        let target = if entry.kind == EntryKind::Symlink { entry.target.to_vec() } else { Vec::new() };
        let extra = Extra { uid: entry.uid, gid: entry.gid, rdev: entry.rdev, target, ..Extra::default() };
        if entry.uid.is_some() || entry.gid.is_some() || entry.rdev.is_some() || !extra.target.is_empty() {
            self.extras.push(extra);
            record.extra = self.extras.len() as u32;
        }
        self.records.push(record);
        Ok(())
    }

    /// Gives the last entry that was added its extended attributes.
    pub(super) fn set_xattrs(&mut self, set: Arc<[u8]>) {
        let Some(record) = self.records.last_mut() else { return };
        if record.extra == 0 {
            self.extras.push(Extra::default());
            record.extra = self.extras.len() as u32;
        }
        if let Some(extra) = self.extras.last_mut() {
            extra.xattrs = Some(set);
        }
    }

    /// What the record has beyond the ordinary.
    pub(super) fn extra(&self, record: &Record) -> Option<&Extra> {
        self.extras.get((record.extra as usize).checked_sub(1)?)
    }

    /// Whether anything in it has extended attributes that are recorded.
    pub(super) fn has_xattrs(&self) -> bool {
        self.extras.iter().any(|extra| extra.xattrs.is_some())
    }

    /// The path by which the caller finds the entry.
    pub(super) fn host_path(&self, record: &Record) -> PathBuf {
        host_path(&self.source, &self.names.to_path(record.name))
    }
}

fn host_path(source: &Path, path: &[u8]) -> PathBuf {
    // Joining an empty path would add a slash.
    if path.is_empty() { source.to_owned() } else { source.join(std::ffi::OsStr::from_bytes(path)) }
}

/// What is never packed: the archive itself.
pub(super) struct Excluded {
    /// Device and inode of the file that is being written, whatever its name is.
    pub(super) temporary: (u64, u64),
    /// Device and inode of the directory that it is in: packing changes its modification time, so none is recorded.
    pub(super) directory: (u64, u64),
    /// The name that it will have there. What has that name now is an older archive; other names of the same file
    /// are files like any other.
    pub(super) name: Vec<u8>,
}

/// Looks at the tree below `source`, of which `root` is the open directory.
pub(super) fn scan(
    source: &Path,
    root: &Root,
    excluded: &Excluded,
    options: &Options,
    threads: usize,
    reporter: &mut Reporter,
) -> Result<Tree> {
    reporter.begin(Phase::Scan, UNKNOWN, UNKNOWN)?;
    let named = |error: Error| error.with_path(source);
    let root_stat = rustix::fs::fstat(root.fd()).map_err(|e| named(Error::os("can't look at the directory", e)))?;
    let xattrs = options.flag(Key::Xattrs).then(XattrReader::default);
    let policy = Policy::new(options);
    let own_mtime =
        if excluded.directory == (root_stat.st_dev, root_stat.st_ino) { NO_MTIME } else { mtime(&root_stat) };
    let mut tree = Tree {
        source: source.to_owned(),
        names: Names::new(),
        records: Vec::new(),
        extras: Vec::new(),
        root: RootRecord {
            mode: policy.mode(EntryKind::Directory, root_stat.st_mode & 0o7777),
            mtime_ns: policy.mtime(own_mtime),
            xattrs: xattrs.as_ref().map_or(Ok(None), |reader| reader.read(root.fd()).map_err(named))?,
        },
        skipped: Vec::new(),
    };
    walk::walk(&mut tree, root, root_stat.st_dev, options, reporter)?;
    let names = &tree.names;
    tree.records.sort_unstable_by(|a, b| names.compare(a.name, b.name));
    let place = survey::Place { root, device: root_stat.st_dev, excluded, xattrs };
    survey::survey(&mut tree, &place, options, threads, reporter)?;
    Ok(tree)
}

/// Nanoseconds since the epoch; none for times that 64 bits of them don't reach (before 1677, after 2262).
pub(super) fn mtime(stat: &Stat) -> i64 {
    let seconds = stat.st_mtime;
    seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(stat.st_mtime_nsec as i64)).unwrap_or(NO_MTIME)
}

fn reserve_record(records: &mut Vec<Record>) -> Result<()> {
    if records.len() == records.capacity() {
        // Grows by a quarter: doubling would hold twice what a million entries need.
        reserve(records, (records.len() / 4).max(1024))?;
    }
    Ok(())
}
