//! Scan: names from a walk of the tree, then metadata through directory handles, in parallel.
//!
//! The walk gives names and kinds and nothing else is believed of it: sizes, times and link targets come from
//! calls relative to directory handles that were opened without following links.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat};
use walkdir::WalkDir;

use crate::beneath::{Access, DirectoryCache, Root, is_out_of_descriptors};
use crate::error::{Error, Result, Status, reserve};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::pack::entry::NewEntry;
use crate::pack::names::{Name, Names};
use crate::progress::{Phase, Reporter, UNKNOWN};
use crate::sync::{self, Mutex};

/// No modification time is recorded.
pub(super) const NO_MTIME: i64 = i64::MIN;
/// Directories that the walk over the names keeps open, and how many where there are few descriptors.
const WALKED_AT_ONCE: [usize; 2] = [16, 1];
/// No mode is recorded.
pub(super) const NO_MODE: u16 = u16::MAX;
const CHUNK: usize = 256;

/// An entry of the tree: 56 bytes.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) kind: EntryKind,
    /// Left out by option, or the archive that is being written.
    pub(super) skipped: bool,
    pub(super) mode: u16,
    pub(super) mtime_ns: i64,
    pub(super) size: u64,
    pub(super) inode: u64,
    /// Number in [`Tree::extras`] plus one; 0 where there is nothing extra.
    extra: u32,
}

/// What few entries have.
#[derive(Clone, Default)]
pub(super) struct Extra {
    pub(super) device: u64,
    pub(super) links: u64,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) rdev: Option<u64>,
    pub(super) target: Vec<u8>,
}

/// What the scan found, in order of path.
pub(super) struct Tree {
    /// The path of the tree, as the caller gave it.
    source: PathBuf,
    pub(super) names: Names,
    pub(super) records: Vec<Record>,
    extras: Vec<Extra>,
    /// Mode and modification time of the root itself.
    pub(super) root_mode: u32,
    pub(super) root_mtime_ns: i64,
    /// What was left out by option: path and reason.
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
            root_mode: 0,
            root_mtime_ns: NO_MTIME,
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

    /// What the record has beyond the ordinary.
    pub(super) fn extra(&self, record: &Record) -> Option<&Extra> {
        self.extras.get((record.extra as usize).checked_sub(1)?)
    }

    /// The path by which the caller finds the entry.
    pub(super) fn host_path(&self, record: &Record) -> PathBuf {
        host_path(&self.source, &self.names, record.name)
    }
}

fn host_path(source: &Path, names: &Names, name: Name) -> PathBuf {
    source.join(std::ffi::OsStr::from_bytes(&names.to_path(name)))
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

/// Walks the tree below `source`, of which `root` is the open directory.
pub(super) fn scan(
    source: &Path,
    root: &Root,
    excluded: &Excluded,
    options: &Options,
    threads: usize,
    reporter: &mut Reporter,
) -> Result<Tree> {
    reporter.begin(Phase::Scan, UNKNOWN, UNKNOWN)?;
    let root_stat =
        rustix::fs::fstat(root.fd()).map_err(|e| Error::os("can't look at the directory", e).with_path(source))?;
    let mut tree = Tree {
        source: source.to_owned(),
        names: Names::new(),
        records: Vec::new(),
        extras: Vec::new(),
        root_mode: root_stat.st_mode & 0o7777,
        root_mtime_ns: mtime(&root_stat),
        skipped: Vec::new(),
    };
    if excluded.directory == (root_stat.st_dev, root_stat.st_ino) {
        tree.root_mtime_ns = NO_MTIME;
    }
    let lenient = options.flag(Key::OnError);
    for (at, kept) in WALKED_AT_ONCE.into_iter().enumerate() {
        match walk(source, &mut tree, kept, lenient, reporter) {
            // Once more with as few as can be.
            Err(error) if is_out_of_descriptors(error.os_code()) && at + 1 < WALKED_AT_ONCE.len() => {
                (tree.names, tree.records, tree.skipped) = (Names::new(), Vec::new(), Vec::new());
            }
            result => {
                result?;
                break;
            }
        }
    }
    let names = std::mem::take(&mut tree.names);
    tree.records.sort_unstable_by(|a, b| names.compare(a.name, b.name));
    let surveyor = Surveyor {
        source,
        root,
        names: &names,
        excluded,
        root_device: root_stat.st_dev,
        record_ids: options.flag(Key::RecordIds),
        lenient,
        found: Mutex::default(),
        cancel: options.cancel(),
    };
    let chunks = tree.records.chunks_mut(CHUNK).enumerate();
    sync::for_each(
        threads,
        "znippy-scan",
        reporter,
        chunks,
        || Ok(DirectoryCache::new(threads)),
        |directories, (number, records)| surveyor.chunk(directories, number, records),
    )?;
    let mut found = surveyor.found.into_inner();
    found.extras.sort_by_key(|(record, _)| *record);
    for (record, extra) in found.extras {
        tree.extras.push(extra);
        tree.records[record].extra = tree.extras.len() as u32;
    }
    tree.skipped.append(&mut found.skipped);
    tree.names = names;
    Ok(tree)
}

fn walk(source: &Path, tree: &mut Tree, kept: usize, lenient: bool, reporter: &mut Reporter) -> Result<()> {
    let prefix = source.as_os_str().as_bytes().len();
    for found in WalkDir::new(source).min_depth(1).max_open(kept) {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => {
                let error = walk_error(&error);
                if !lenient || !error.is_about_its_object() {
                    return Err(error);
                }
                tree.skipped.push(error);
                continue;
            }
        };
        let full = entry.path().as_os_str().as_bytes();
        let relative = &full[prefix..];
        let relative = relative.strip_prefix(b"/").unwrap_or(relative);
        path::check(relative).map_err(|error| {
            let why = format!("can't be packed: {error}");
            Error::refused(Status::Limit, error.rule().unwrap_or("path"), why).with_path(entry.path())
        })?;
        reserve_record(&mut tree.records)?;
        tree.records.push(Record {
            name: tree.names.add(relative)?,
            kind: if entry.file_type().is_dir() { EntryKind::Directory } else { EntryKind::File },
            skipped: false,
            mode: 0,
            mtime_ns: NO_MTIME,
            size: 0,
            inode: 0,
            extra: 0,
        });
        if tree.records.len().is_multiple_of(1024) {
            reporter.counters().add(1024, 0);
            reporter.tick(Some(relative))?;
        }
    }
    Ok(())
}

fn reserve_record(records: &mut Vec<Record>) -> Result<()> {
    if records.len() == records.capacity() {
        // Grows by a quarter: doubling would hold twice what a million entries need.
        reserve(records, (records.len() / 4).max(1024))?;
    }
    Ok(())
}

fn walk_error(error: &walkdir::Error) -> Error {
    let made = match error.io_error() {
        Some(io) => Error::io("can't read the directory", io),
        None => Error::new(Status::Io, format!("can't walk the tree: {error}")),
    };
    match error.path() {
        Some(path) => made.with_path(path),
        None => made,
    }
}

#[derive(Default)]
struct Found {
    extras: Vec<(usize, Extra)>,
    skipped: Vec<Error>,
}

struct Surveyor<'a> {
    source: &'a Path,
    root: &'a Root,
    names: &'a Names,
    excluded: &'a Excluded,
    root_device: u64,
    record_ids: bool,
    lenient: bool,
    found: Mutex<Found>,
    cancel: &'a crate::progress::CancelToken,
}

impl Surveyor<'_> {
    fn chunk(&self, directories: &mut DirectoryCache<OwnedFd>, number: usize, records: &mut [Record]) -> Result<()> {
        self.cancel.check()?;
        let mut found = Found::default();
        for (i, record) in records.iter_mut().enumerate() {
            match self.survey(directories, record) {
                Ok(None) => {}
                Ok(Some(extra)) => found.extras.push((number * CHUNK + i, extra)),
                Err(error) => {
                    let error = error.with_path(host_path(self.source, self.names, record.name));
                    if !self.lenient || !error.is_about_its_object() {
                        return Err(error);
                    }
                    record.skipped = true;
                    found.skipped.push(error);
                }
            }
        }
        if !found.extras.is_empty() || !found.skipped.is_empty() {
            let mut all = self.found.lock();
            all.extras.append(&mut found.extras);
            all.skipped.append(&mut found.skipped);
        }
        Ok(())
    }

    fn survey(&self, directories: &mut DirectoryCache<OwnedFd>, record: &mut Record) -> Result<Option<Extra>> {
        let number = record.name.directory;
        let directory = directories
            .get(number, || self.root.open(self.names.directory(number), Access::Handle))
            .map_err(|e| Error::os("can't open its directory", e))?
            .as_fd();
        let name = self.names.name(record.name);
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| Error::os("can't look at it", e))?;
        let walked_as_directory = record.kind == EntryKind::Directory;
        record.kind = EntryKind::of_mode(stat.st_mode);
        if (record.kind == EntryKind::Directory) != walked_as_directory {
            return Err(Error::new(Status::Changed, "it was replaced while the tree was being walked"));
        }
        record.mode = (stat.st_mode & 0o7777) as u16;
        record.mtime_ns = mtime(&stat);
        record.inode = stat.st_ino;
        if record.kind == EntryKind::File {
            record.size = stat.st_size as u64;
        }
        let identity = (stat.st_dev, stat.st_ino);
        if identity == self.excluded.temporary || self.is_older_archive(directory, name)? {
            record.skipped = true;
            return Ok(None);
        }
        if self.excluded.directory == identity {
            record.mtime_ns = NO_MTIME;
        }
        self.extra(directory, name, record.kind, &stat)
    }

    fn is_older_archive(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
        if name != self.excluded.name {
            return Ok(false);
        }
        let stat = rustix::fs::fstat(directory).map_err(|e| Error::os("can't look at its directory", e))?;
        Ok((stat.st_dev, stat.st_ino) == self.excluded.directory)
    }

    fn extra(&self, directory: BorrowedFd<'_>, name: &[u8], kind: EntryKind, stat: &Stat) -> Result<Option<Extra>> {
        let special = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let linked = kind == EntryKind::File && stat.st_nlink > 1;
        let ordinary = !special && !linked && kind != EntryKind::Symlink && stat.st_dev == self.root_device;
        if ordinary && !self.record_ids {
            return Ok(None);
        }
        let target = match kind {
            EntryKind::Symlink => rustix::fs::readlinkat(directory, name, Vec::new())
                .map_err(|e| Error::os("can't read the link", e))?
                .into_bytes(),
            _ => Vec::new(),
        };
        Ok(Some(Extra {
            device: stat.st_dev,
            links: if linked { stat.st_nlink } else { 0 },
            uid: self.record_ids.then_some(stat.st_uid),
            gid: self.record_ids.then_some(stat.st_gid),
            rdev: special.then_some(stat.st_rdev),
            target,
        }))
    }
}

/// Nanoseconds since the epoch; none for times that 64 bits of them don't reach (before 1677, after 2262).
pub(super) fn mtime(stat: &Stat) -> i64 {
    let seconds = stat.st_mtime;
    seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(stat.st_mtime_nsec as i64)).unwrap_or(NO_MTIME)
}
