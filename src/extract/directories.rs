//! Directories: made before everything else, given their modes and times after everything else.

use std::os::fd::AsFd;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::metadata::DEFAULT_DIRECTORY_MODE;
use crate::extract::tree::{Node, ROOT};
use crate::progress::Reporter;

/// Between so many directories the caller is told how far things are.
const BETWEEN_REPORTS: usize = 64;

/// Makes all directories, parents first. Until the end they are for the owner alone.
pub(super) fn make(job: &Job<'_>, reporter: &mut Reporter) -> Result<()> {
    let tree = &job.plan.tree;
    let mut handles = Handles::new(1);
    for (number, node) in tree.directories().iter().enumerate().skip(ROOT as usize + 1) {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let mode = if node.mode().is_some() { 0o700 } else { DEFAULT_DIRECTORY_MODE };
        handles
            .get(job.root, tree, node.directory)
            .and_then(|parent| parent.make_directory(tree.name(node), mode))
            .map_err(|error| tree.named(node, error))?;
    }
    Ok(())
}

/// Sets modes and times, the deepest first: a parent may forbid to look into it.
pub(super) fn finish(job: &Job<'_>, reporter: &mut Reporter) -> Result<()> {
    let tree = &job.plan.tree;
    for (number, node) in tree.directories().iter().enumerate().skip(ROOT as usize + 1).rev() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        if has_attributes(node) {
            let mut path = Vec::new();
            let readable = job.root.readable_directory(tree.path(node, &mut path))?;
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
    if mode.is_some() || mtime.is_some() {
        let readable = job.root.readable_directory(b"")?;
        job.policy.apply_mode_and_time(readable.as_fd(), mode, mtime)?;
    }
    Ok(())
}

fn has_attributes(node: &Node) -> bool {
    node.mode().is_some() || node.mtime_ns().is_some()
}
