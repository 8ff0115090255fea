//! Deletes what is not in the archive, as far as the filter reaches. Works through directory handles alone, so that
//! no link is followed, and never enters another file system.

use rustix::fs::FileType;

use crate::error::{Error, Result, Status};
use crate::extract::job::Job;
use crate::extract::plan::Plan;
use crate::extract::sandbox::Root;
use crate::extract::settings::Settings;
use crate::format::path;
use crate::progress::Reporter;

/// Deletes what the plan has no entry for, in every directory of the plan. Returns how many names went.
pub(super) fn prune(job: &Job<'_>, reporter: &mut Reporter) -> Result<u64> {
    let (tree, plan) = (&job.plan.tree, job.plan);
    let mut wanted: Vec<(u32, &[u8])> = Vec::new();
    let nodes = plan.files.iter().chain(&plan.fifos).chain(&plan.others).chain(tree.directories());
    wanted.extend(nodes.map(|node| (node.directory, tree.name(node))));
    wanted.extend(plan.symlinks.iter().map(|link| (link.node.directory, tree.name(&link.node))));
    wanted.extend(plan.standing_links.iter().map(|node| (node.directory, tree.name(node))));
    wanted.sort_unstable();
    let mut pruner = Pruner::new(job.root, plan, job.settings);
    for number in 0..tree.directories().len() as u32 {
        let mut directory = Vec::new();
        tree.directory_path(number, &mut directory);
        for (name, _) in job.root.names(&directory)? {
            reporter.tick(None)?;
            if wanted.binary_search(&(number, &name)).is_err() {
                pruner.remove(&joined(&directory, &name))?;
            }
        }
    }
    Ok(pruner.removed)
}

/// Removes files and trees.
pub(super) struct Pruner<'a> {
    root: &'a Root,
    plan: &'a Plan,
    settings: &'a Settings,
    removed: u64,
}

impl<'a> Pruner<'a> {
    /// One that has removed nothing yet.
    pub(super) fn new(root: &'a Root, plan: &'a Plan, settings: &'a Settings) -> Pruner<'a> {
        Pruner { root, plan, settings, removed: 0 }
    }

    /// Removes a name and what is below it, apart from what the filter doesn't reach.
    pub(super) fn remove(&mut self, path: &[u8]) -> Result<()> {
        let enters = |path: &[u8]| self.settings.filter.reaches_into(&self.plan.archive_path(path));
        self.removed += remove(self.root, path, false, enters, |path| self.reaches(path))?;
        Ok(())
    }

    /// Whether the filter covers a path of the destination.
    fn reaches(&self, path: &[u8]) -> bool {
        self.settings.filter.wants(&self.plan.archive_path(path))
    }
}

/// Removes a name and everything below it, whatever the modes.
pub(super) fn remove_tree(root: &Root, path: &[u8]) -> Result<u64> {
    remove(root, path, true, |_| true, |_| true)
}

/// Removes what is reached of a name and what is below it. No handle is kept open on the way down, so that any depth
/// will do.
fn remove(
    root: &Root,
    path: &[u8],
    force: bool,
    enters: impl Fn(&[u8]) -> bool,
    reaches: impl Fn(&[u8]) -> bool,
) -> Result<u64> {
    let mut removed = 0;
    let mut left = vec![(path.to_vec(), false)];
    while let Some((path, emptied)) = left.pop() {
        if !enters(&path) {
            continue;
        }
        let (parent, name) = path::split(&path);
        let directory = root.directory(parent)?;
        let named = |errno| Error::os("can't delete it", errno).with_entry(&path);
        let status = directory.status(name).map_err(named)?;
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if !is_directory {
            if reaches(&path) {
                directory.delete(name, false).map_err(named)?;
                removed += 1;
            }
        } else if !emptied {
            if status.st_dev != root.device()? {
                let why = "another file system is mounted here, and it is not in the archive; unmount it first";
                return Err(Error::refused(Status::Exists, "prune.mount", why).with_entry(&path));
            }
            if force && status.st_mode & 0o700 != 0o700 {
                directory.open_up(name, status.st_mode)?;
            }
            left.push((path.clone(), true));
            left.extend(root.names(&path)?.into_iter().map(|(name, _)| (joined(&path, &name), false)));
        } else if reaches(&path) {
            match directory.delete(name, true) {
                Ok(()) => removed += 1,
                // Something in it is out of reach.
                Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(named(errno)),
            }
        }
    }
    Ok(removed)
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
