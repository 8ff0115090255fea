//! The walk: names and whether they are directories, one directory at a time. A directory that is left out is not
//! opened.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;

use crate::beneath::{Access, Root};
use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::options::{Key, Options};
use crate::pack::scan::filter::{Filter, Verdict};
use crate::pack::scan::ignore::{IgnoreFiles, Rules};
use crate::pack::scan::{Record, Tree, host_path, reserve_record};
use crate::progress::Reporter;

/// Bytes of names that are asked of a directory in one go.
const NAMES_AT_ONCE: usize = 32 << 10;
/// Between so many names the caller is told how far things are.
const BETWEEN_REPORTS: u64 = 1024;

/// Fills the tree's names and records, in no order. `device` is the root's.
pub(super) fn walk(
    tree: &mut Tree,
    root: &Root,
    device: u64,
    options: &Options,
    reporter: &mut Reporter,
) -> Result<()> {
    let mut walk = Walk {
        tree,
        root,
        filter: Filter::new(options)?,
        ignore_files: IgnoreFiles::new(options),
        device: options.flag(Key::OneFileSystem).then_some(device),
        pending: vec![Pending { path: Vec::new(), rules: None, above: None }],
        candidates: Vec::new(),
        seen: 0,
    };
    let lenient = options.flag(Key::OnError);
    let mut names = Vec::with_capacity(NAMES_AT_ONCE);
    while let Some(directory) = walk.pending.pop() {
        if let Err(error) = walk.directory(&directory, &mut names, reporter) {
            let error = error.with_path(host_path(&walk.tree.source, &directory.path));
            if !lenient || !error.is_about_its_object() {
                return Err(error);
            }
            walk.tree.skipped.push(error);
        }
    }
    walk.drop_candidates();
    Ok(())
}

/// A directory that is still to be walked.
struct Pending {
    path: Vec<u8>,
    /// What ignore files above it say.
    rules: Option<Arc<Rules>>,
    /// The candidate that it is, or that it lies in.
    above: Option<u32>,
}

/// A directory that no filter asks for: it is packed if something below it is.
struct Candidate {
    record: usize,
    above: Option<u32>,
    needed: bool,
}

struct Walk<'a> {
    tree: &'a mut Tree,
    root: &'a Root,
    filter: Filter,
    ignore_files: IgnoreFiles,
    /// The one device to stay on.
    device: Option<u64>,
    pending: Vec<Pending>,
    candidates: Vec<Candidate>,
    seen: u64,
}

impl Walk<'_> {
    fn directory(&mut self, pending: &Pending, names: &mut Vec<u8>, reporter: &mut Reporter) -> Result<()> {
        let cant_read = |e| Error::os("can't read the directory", e);
        let directory = self.root.open(&pending.path, Access::Read).map_err(cant_read)?;
        let rules = self.ignore_files.enter(directory.as_fd(), &pending.path, &pending.rules)?;
        let mut full = pending.path.clone();
        if !full.is_empty() {
            full.push(b'/');
        }
        let prefix = full.len();
        let mut entries = RawDir::new(directory.as_fd(), names.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(cant_read)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            full.truncate(prefix);
            full.extend_from_slice(name);
            self.seen += 1;
            if self.seen.is_multiple_of(BETWEEN_REPORTS) {
                reporter.counters().add(BETWEEN_REPORTS, 0);
                reporter.tick(Some(&full))?;
            }
            self.entry(directory.as_fd(), entry.file_type(), &full, prefix, &rules, pending.above)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: BorrowedFd<'_>,
        kind: FileType,
        full: &[u8],
        prefix: usize,
        rules: &Option<Arc<Rules>>,
        above: Option<u32>,
    ) -> Result<()> {
        let name = &full[prefix..];
        let is_directory = match kind {
            FileType::Unknown => match status(directory, name) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                // It went meanwhile; the survey says so.
                Err(_) => false,
            },
            kind => kind == FileType::Directory,
        };
        let verdict = self.filter.verdict(full, is_directory);
        if verdict == Verdict::Out || rules.as_ref().is_some_and(|rules| rules.ignore(full, is_directory)) {
            return Ok(());
        }
        path::check(full).map_err(|error| {
            let why = format!("can't be packed: {error}");
            Error::refused(Status::Limit, error.rule().unwrap_or("path"), why)
                .with_path(host_path(&self.tree.source, full))
        })?;
        reserve_record(&mut self.tree.records)?;
        let record = self.tree.records.len();
        self.tree.records.push(Record::new(self.tree.names.add(full)?, is_directory));
        let mut below = None;
        if verdict == Verdict::OnTheWay {
            below = Some(self.candidates.len() as u32);
            self.candidates.push(Candidate { record, above, needed: false });
        } else {
            self.need(above);
        }
        if is_directory && self.may_enter(directory, name) {
            self.pending.push(Pending { path: full.to_vec(), rules: rules.clone(), above: below });
        }
        Ok(())
    }

    fn may_enter(&self, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        // What can't be looked at is reported when it is opened.
        self.device.is_none_or(|device| status(directory, name).map_or(true, |stat| stat.st_dev == device))
    }

    /// Marks a candidate, and those that it lies in.
    fn need(&mut self, mut candidate: Option<u32>) {
        while let Some(number) = candidate {
            let candidate_there = &mut self.candidates[number as usize];
            if std::mem::replace(&mut candidate_there.needed, true) {
                return;
            }
            candidate = candidate_there.above;
        }
    }

    /// Takes the candidates out that nothing needs.
    fn drop_candidates(&mut self) {
        // Candidates were made in the order of their records.
        let mut dropped = self.candidates.iter().filter(|candidate| !candidate.needed).peekable();
        let mut number = 0;
        self.tree.records.retain(|_| {
            let drop = dropped.next_if(|candidate| candidate.record == number).is_some();
            number += 1;
            !drop
        });
    }
}

fn status(directory: BorrowedFd<'_>, name: &[u8]) -> Result<rustix::fs::Stat, Errno> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}
