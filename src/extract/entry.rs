//! One entry, to a path of the caller's choice: complete, or not there.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::extract::failures::Failures;
use crate::extract::job::Job;
use crate::extract::metadata::DEFAULT_DIRECTORY_MODE;
use crate::extract::plan::Plan;
use crate::extract::sandbox::Root;
use crate::extract::settings::Settings;
use crate::extract::{Shared, job, work};
use crate::format::path::MAX_COMPONENT;
use crate::options::{Options, Overwrite};
use crate::progress::{Phase, Reporter, UNKNOWN};

/// Restores one entry to exactly `destination`, whose directory must exist: a file (a hard link comes with its bytes, as
/// a file of its own), a symbolic link, a FIFO, or a directory without what is below it.
///
/// # Errors
/// `E_INVALID_ARGUMENT` for a number that no entry has and for a path that can't name anything, `E_UNSUPPORTED` for
/// devices and sockets, `E_EXISTS` where the name is taken, and those of [`crate::extract::extract_tree`].
pub fn extract_entry(archive: &Archive, index: u64, destination: &Path, options: &Options) -> Result<()> {
    let named = |error: Error| error.with_path(destination);
    let name = destination.file_name().map(OsStrExt::as_bytes).filter(|name| name.len() <= MAX_COMPONENT);
    let name = name.ok_or_else(|| {
        named(Error::new(Status::InvalidArgument, "the destination must end in a name of at most 255 bytes"))
    })?;
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let settings = Settings::of_entry(options)?;
    reporter.begin(Phase::List, 1, UNKNOWN)?;
    let plan = Plan::of_entry(archive, index, name, &settings)?;
    if let Some(node) = plan.others.first() {
        let why = "devices and sockets are not restored";
        return Err(plan.tree.named(node, Error::new(Status::Unsupported, why)));
    }
    let root = Root::existing(parent)?.ok_or_else(|| {
        named(Error::os("can't open the directory that the entry is to be restored into", Errno::NOENT))
    })?;
    let failures = Failures::new(false);
    let result = if plan.directories > 0 && !is_to_be_made(&root, name, &settings).map_err(named)? {
        Ok(())
    } else if plan.directories > 0 && !settings.dry_run {
        reporter.begin(Phase::Extract, 1, 0)?;
        let shared = Shared { archive, root: &root, settings: &settings, failures: &failures, options };
        make_directory(&shared.job(&plan, &reporter))
    } else {
        work(archive, plan, Some(&root), (&settings, &failures, options), &mut reporter).map(|_| ())
    };
    result.map_err(|error| placed(error, archive, index, destination))
}

/// The plan knows nothing but a name: damage is the entry's, everything else the destination's.
fn placed(error: Error, archive: &Archive, index: u64, destination: &Path) -> Error {
    let listing = || archive.list(index, 1).ok();
    match error.status() {
        Status::Cancelled => job::cancelled(),
        Status::Corrupt | Status::Checksum | Status::Unsupported => {
            match listing().as_ref().and_then(|listing| listing.get(0)) {
                Some(entry) => error.at(entry.path),
                None => error,
            }
        }
        _ => error.at(destination.as_os_str().as_bytes()),
    }
}

/// Whether a directory is made, or one that is there is given the recorded attributes; `false` where it stays as it is.
fn is_to_be_made(root: &Root, name: &[u8], settings: &Settings) -> Result<bool> {
    let taken = root.directory(b"")?.is_taken(name);
    if taken && settings.overwrite == Overwrite::Refuse {
        return Err(Error::os("can't make the directory: the name is taken", Errno::EXIST));
    }
    Ok(!taken || settings.overwrite == Overwrite::Replace)
}

fn make_directory(job: &Job<'_>) -> Result<()> {
    let tree = &job.plan.tree;
    let Some(node) = tree.directories().last() else { return Ok(()) };
    let (name, parent) = (tree.name(node), job.root.directory(b"")?);
    let mode = if node.mode().is_some() { 0o700 } else { DEFAULT_DIRECTORY_MODE };
    let made = parent.make_directory(name, mode)?.is_none();
    let described =
        job.root.readable_directory(name).and_then(|directory| job.policy.apply(directory.as_fd(), node, tree));
    if described.is_err() && made {
        // That it can't be removed is no further error.
        let _ = parent.delete(name, true);
    }
    described
}
