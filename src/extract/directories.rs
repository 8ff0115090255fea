//! Directories: made before everything else, given their modes and times after everything else.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::metadata::DEFAULT_DIRECTORY_MODE;
use crate::extract::tree::{Node, ROOT};
use crate::format::xattrs::Attributes as Xattrs;
use crate::progress::Reporter;
use crate::sync;

/// Between so many directories the caller is told how far things are.
const BETWEEN_REPORTS: usize = 64;

/// Directories that were there before.
#[derive(Default)]
pub(super) struct Existing {
    /// By number; no more than were dealt with so far.
    there: Vec<bool>,
    /// Those that had to be made writable, and the modes that they had.
    opened: Vec<(u32, u32)>,
    /// Those that could not be made.
    failed: HashSet<u32>,
}

/// Makes all directories, parents first. Until the end they are for the owner alone. `existing` is right also
/// where this fails halfway.
pub(super) fn make(job: &Job<'_>, existing: &mut Existing, reporter: &mut Reporter) -> Result<()> {
    let tree = &job.plan.tree;
    let mut handles = Handles::new(1);
    let mut busy = None;
    existing.there.push(true);
    for (number, node) in tree.directories().iter().enumerate().skip(ROOT as usize + 1) {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let number = number as u32;
        let found = match make_one(job, existing, &mut handles, number) {
            Ok(found) => {
                job.stats().created += u64::from(found.is_none());
                found
            }
            Err(error) => {
                job.failures.note(1, tree.named(node, error))?;
                existing.failed.insert(number);
                None
            }
        };
        existing.there.push(found.is_some());
        if found.is_some_and(|mode| mode & 0o700 != 0o700)
            && busy.get_or_insert_with(|| busy_directories(job))[number as usize]
        {
            open_up(job, existing, number).or_else(|error| job.failures.note(0, error))?;
        }
    }
    Ok(())
}

/// Makes a directory; where it was there already, its mode comes back.
fn make_one(job: &Job<'_>, existing: &mut Existing, handles: &mut Handles, number: u32) -> Result<Option<u32>> {
    let tree = &job.plan.tree;
    let node = &tree.directories()[number as usize];
    let name = tree.name(node);
    let mode = if node.mode().is_some() { 0o700 } else { DEFAULT_DIRECTORY_MODE };
    let is_update = job.settings.needs_survey() && !job.root.is_own();
    let is_likely = is_update && existing.there.get(node.directory as usize) == Some(&true);
    let parent = handles.get(job.root, tree, node.directory)?;
    let made = if is_likely { parent.make_missing_directory(name, mode) } else { parent.make_directory(name, mode) };
    match made {
        Err(error) if error.status() == Status::Permission && node.directory != ROOT => {
            open_up(job, existing, node.directory)?;
            parent.make_directory(name, mode)
        }
        Err(error) if job.settings.prune && error.rule() == Some("sandbox.directory") => {
            let failed = |errno| Error::os("can't delete what stands in the directory's place", errno);
            parent.delete(name, false).map_err(failed)?;
            parent.make_directory(name, mode)
        }
        result => result,
    }
}

/// Directories that something is written into.
fn busy_directories(job: &Job<'_>) -> Vec<bool> {
    let plan = job.plan;
    let mut busy = vec![false; plan.tree.directories().len()];
    let links = plan.hardlinks.iter().map(|link| &plan.files[link.file as usize]);
    let nodes = plan.slices.iter().map(|slice| plan.file_of(slice)).chain(links).chain(&plan.fifos);
    nodes.chain(plan.symlinks.iter().map(|link| &link.node)).for_each(|node| busy[node.directory as usize] = true);
    busy
}

/// Makes an existing directory writable for its owner, until the end.
pub(super) fn open_up(job: &Job<'_>, existing: &mut Existing, number: u32) -> Result<()> {
    let tree = &job.plan.tree;
    let node = &tree.directories()[number as usize];
    let mut path = Vec::new();
    let parent = job.root.directory(tree.directory_path(node.directory, &mut path))?;
    let named = |error| tree.named(node, error);
    let failed = |errno| named(Error::os("can't look at the directory", errno));
    let mode = parent.status(tree.name(node)).map_err(failed)?.st_mode & 0o7777;
    parent.open_up(tree.name(node), mode).map_err(named)?;
    if existing.there.get(number as usize) == Some(&true) {
        existing.opened.push((number, mode));
    }
    Ok(())
}

/// After a failure: gives the directories their modes, as far as that goes. Times are left alone, since what is in
/// the directories is not what the archive has.
pub(super) fn abandon(job: &Job<'_>, existing: &Existing) {
    let tree = &job.plan.tree;
    for number in (ROOT + 1..existing.there.len() as u32).rev() {
        let opened = existing.opened.iter().find(|(opened, _)| *opened == number).map(|(_, mode)| *mode);
        let node = &tree.directories()[number as usize];
        if let Some(mode) = node.mode().map(|mode| job.policy.allowed(mode)).or(opened)
            && let Ok(readable) = job.root.readable_directory(tree.path(node, &mut Vec::new()))
        {
            let _ = job.policy.apply_mode_and_time(readable.as_fd(), Some(mode), None);
        }
    }
}

/// Sets modes and times, the deepest first: a parent may forbid to look into it.
pub(super) fn finish(job: &Job<'_>, existing: &Existing, reporter: &mut Reporter) -> Result<()> {
    let finished = finished(job, existing, reporter)?;
    for (number, node) in job.plan.tree.directories().iter().enumerate().skip(ROOT as usize + 1).rev() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let failed = !existing.failed.is_empty() && existing.failed.contains(&(number as u32));
        if !failed && !finished.get(number).is_some_and(|finished| finished.load(Ordering::Relaxed)) {
            finish_one(job, existing, number, node).or_else(|error| job.failures.note(1, error))?;
        }
    }
    Ok(())
}

/// Which directories that were there before have everything already, by number. Nothing is written, so that many threads
/// may look.
fn finished(job: &Job<'_>, existing: &Existing, reporter: &mut Reporter) -> Result<Vec<AtomicBool>> {
    let mut finished = Vec::new();
    let is_there = |number: usize| existing.there.get(number) == Some(&true);
    // The root is always there, and dealt with on its own.
    if !existing.there.iter().skip(ROOT as usize + 1).any(|there| *there) || job.policy.restores_xattrs() {
        return Ok(finished);
    }
    let directories = job.plan.tree.directories();
    finished.resize_with(directories.len(), AtomicBool::default);
    let starts = (ROOT as usize + 1..directories.len()).step_by(BETWEEN_REPORTS);
    let handles = || Ok(Handles::new(job.threads));
    let looked = sync::for_each(job.threads, "znippy-finish", reporter, starts, handles, |handles, start| {
        for number in (start..directories.len().min(start + BETWEEN_REPORTS)).filter(|number| is_there(*number)) {
            finished[number].store(is_finished(job, existing, handles, number), Ordering::Relaxed);
        }
        Ok(())
    });
    match looked {
        // Where the system gives no thread, each directory is looked at when its turn comes.
        Err(error) if error.os_code() == 0 => Err(error),
        _ => Ok(finished),
    }
}

/// Where that can't be seen from here, it has not.
fn is_finished(job: &Job<'_>, existing: &Existing, handles: &mut Handles, number: usize) -> bool {
    if existing.opened.iter().any(|(opened, _)| *opened as usize == number) {
        return false;
    }
    let tree = &job.plan.tree;
    let node = &tree.directories()[number];
    let status = handles.get(job.root, tree, node.directory).map(|parent| parent.status(tree.name(node)));
    status.is_ok_and(|status| {
        status.is_ok_and(|status| {
            FileType::from_raw_mode(status.st_mode) == FileType::Directory && job.policy.matches(&status, node, tree)
        })
    })
}

fn finish_one(job: &Job<'_>, existing: &Existing, number: usize, node: &Node) -> Result<()> {
    let tree = &job.plan.tree;
    {
        let opened = existing.opened.iter().find(|(opened, _)| *opened as usize == number);
        if has_attributes(job, node) || opened.is_some() {
            let mut path = Vec::new();
            let readable = job.root.readable_directory(tree.path(node, &mut path))?;
            // One that was there before and has everything already is not touched.
            if opened.is_none()
                && existing.there.get(number) == Some(&true)
                && rustix::fs::fstat(&readable).is_ok_and(|status| job.policy.matches(&status, node, tree))
                && !job.policy.lacks_xattrs(Some(&readable), node, tree)
            {
                return Ok(());
            }
            if let (Some((_, mode)), None) = (opened, node.mode()) {
                job.policy
                    .apply_mode_and_time(readable.as_fd(), Some(*mode), None)
                    .map_err(|error| error.with_entry(&path))?;
            }
            job.policy.apply(readable.as_fd(), node, tree).map_err(|error| error.with_entry(&path))?;
        }
    }
    Ok(())
}

/// Sets the root's own mode and time, which stand in the manifest, unless it held something of others' before.
pub(super) fn finish_root(job: &Job<'_>, archive: &Archive) -> Result<()> {
    if !job.root.is_own() {
        return Ok(());
    }
    let metadata = &archive.manifest().metadata;
    let malformed = |key: &str| Error::corrupt("manifest.root", format!("the manifest's {key} is not a number"));
    let mode = metadata.get("root_mode").map(|text| u32::from_str_radix(text, 8).map_err(|_| malformed("root_mode")));
    let mtime = metadata.get("root_mtime_ns").map(|text| text.parse().map_err(|_| malformed("root_mtime_ns")));
    let (mode, mtime): (Option<u32>, Option<i64>) = (mode.transpose()?, mtime.transpose()?);
    if mode.is_some_and(|mode| mode > 0o7777) {
        return Err(malformed("root_mode"));
    }
    let xattrs = archive.root_xattr_id()?.map_or_else(Xattrs::default, |id| job.plan.tree.xattr_set(id));
    if mode.is_some() || mtime.is_some() || xattrs.clone().next().is_some() {
        let readable = job.root.readable_directory(b"")?;
        job.policy.apply_xattrs(readable.as_fd(), mode, xattrs)?;
        job.policy.apply_mode_and_time(readable.as_fd(), mode, mtime)?;
    }
    Ok(())
}

fn has_attributes(job: &Job<'_>, node: &Node) -> bool {
    node.mode().is_some() || node.mtime_ns().is_some() || job.plan.tree.xattrs(node).next().is_some()
}
