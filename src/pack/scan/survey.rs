//! The survey: what each name stands for, in parallel, relative to directory handles.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Stat};

use crate::beneath::{Access, DirectoryCache, Root};
use crate::error::{Error, Result, Status};
use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::pack::scan::xattrs::XattrReader;
use crate::pack::scan::{Excluded, Extra, NO_MTIME, Record, Tree, host_path, mtime};
use crate::progress::{CancelToken, Reporter};
use crate::sync::{self, Mutex};

/// Records that a thread looks at in one go.
const CHUNK: usize = 256;

/// What the survey looks at, and with what.
pub(super) struct Place<'a> {
    pub(super) root: &'a Root,
    /// The root's device.
    pub(super) device: u64,
    pub(super) excluded: &'a Excluded,
    /// Where extended attributes are recorded.
    pub(super) xattrs: Option<XattrReader>,
}

/// Completes the tree's records, which are in order of path.
pub(super) fn survey(
    tree: &mut Tree,
    place: &Place<'_>,
    options: &Options,
    threads: usize,
    reporter: &mut Reporter,
) -> Result<()> {
    let mut records = std::mem::take(&mut tree.records);
    let surveyor = Surveyor {
        tree: &*tree,
        place,
        record_ids: options.flag(Key::RecordIds),
        keep_links: options.get(Key::HardLinks) == 0,
        most_bytes: u64::try_from(options.get(Key::MaxFileSize)).ok().filter(|most| *most > 0),
        lenient: options.flag(Key::OnError),
        found: Mutex::default(),
        cancel: options.cancel(),
    };
    sync::for_each(
        threads,
        "znippy-scan",
        reporter,
        records.chunks_mut(CHUNK).enumerate(),
        || Ok(DirectoryCache::new(threads)),
        |directories, (number, records)| surveyor.chunk(directories, number, records),
    )?;
    let mut found = surveyor.found.into_inner();
    found.extras.sort_by_key(|(record, _)| *record);
    for (record, extra) in found.extras {
        tree.extras.push(extra);
        records[record].extra = tree.extras.len() as u32;
    }
    // In order of path, like everything else that is told of the tree.
    found.skipped.sort_by_key(|(record, _)| *record);
    tree.skipped.extend(found.skipped.into_iter().map(|(_, error)| error));
    tree.records = records;
    Ok(())
}

/// What was found, with the numbers of the records.
#[derive(Default)]
struct Found {
    extras: Vec<(usize, Extra)>,
    skipped: Vec<(usize, Error)>,
}

struct Surveyor<'a> {
    tree: &'a Tree,
    place: &'a Place<'a>,
    record_ids: bool,
    /// Names of one file are recorded as such.
    keep_links: bool,
    /// Files of more bytes are left out.
    most_bytes: Option<u64>,
    lenient: bool,
    found: Mutex<Found>,
    cancel: &'a CancelToken,
}

impl Surveyor<'_> {
    fn chunk(&self, directories: &mut DirectoryCache<OwnedFd>, number: usize, records: &mut [Record]) -> Result<()> {
        self.cancel.check()?;
        let mut found = Found::default();
        for (i, record) in records.iter_mut().enumerate() {
            let number = number * CHUNK + i;
            match self.survey(directories, record) {
                Ok(None) => {}
                Ok(Some(extra)) => found.extras.push((number, extra)),
                Err(error) => {
                    if !self.lenient || !error.is_about_its_object() {
                        return Err(self.named(record, error));
                    }
                    record.skipped = true;
                    found.skipped.push((number, self.named(record, error)));
                }
            }
            if let Some(most) = self.most_bytes.filter(|most| record.size > *most && !record.skipped) {
                record.skipped = true;
                let why = format!("it has {} bytes and max-file-size is {most}", record.size);
                found.skipped.push((number, self.named(record, Error::new(Status::Limit, why))));
            }
        }
        if !found.extras.is_empty() || !found.skipped.is_empty() {
            let mut all = self.found.lock();
            all.extras.append(&mut found.extras);
            all.skipped.append(&mut found.skipped);
        }
        Ok(())
    }

    fn named(&self, record: &Record, error: Error) -> Error {
        error.with_path(host_path(&self.tree.source, &self.tree.names.to_path(record.name)))
    }

    fn survey(&self, directories: &mut DirectoryCache<OwnedFd>, record: &mut Record) -> Result<Option<Extra>> {
        let (number, names) = (record.name.directory, &self.tree.names);
        let directory = directories
            .get(number, || self.place.root.open(names.directory(number), Access::Handle))
            .map_err(|e| Error::os("can't open its directory", e))?
            .as_fd();
        let name = names.name(record.name);
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
        if identity == self.place.excluded.temporary || self.is_older_archive(directory, name)? {
            record.skipped = true;
            return Ok(None);
        }
        if self.place.excluded.directory == identity {
            record.mtime_ns = NO_MTIME;
        }
        self.extra(directory, name, record.kind, &stat)
    }

    fn is_older_archive(&self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
        if name != self.place.excluded.name {
            return Ok(false);
        }
        let stat = rustix::fs::fstat(directory).map_err(|e| Error::os("can't look at its directory", e))?;
        Ok((stat.st_dev, stat.st_ino) == self.place.excluded.directory)
    }

    fn extra(&self, directory: BorrowedFd<'_>, name: &[u8], kind: EntryKind, stat: &Stat) -> Result<Option<Extra>> {
        let special = matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let linked = self.keep_links && kind == EntryKind::File && stat.st_nlink > 1;
        let ordinary = !special && !linked && kind != EntryKind::Symlink && stat.st_dev == self.place.device;
        let xattrs = match &self.place.xattrs {
            Some(reader) => reader.read_at(directory, name, kind, stat)?,
            None => None,
        };
        if ordinary && !self.record_ids && xattrs.is_none() {
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
            xattrs,
        }))
    }
}
