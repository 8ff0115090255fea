//! Deletes what is not in the archive, as far as the filter reaches. Works through directory handles alone, so that
//! no link is followed, and never enters what is mounted below the destination.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::extract::directories::{self, Existing};
use crate::extract::job::Job;
use crate::extract::plan::Plan;
use crate::extract::sandbox::{Mount, Root};
use crate::extract::settings::Settings;
use crate::extract::tree::ROOT;
use crate::format::path;
use crate::progress::Reporter;
use crate::sync::{self, Mutex};

/// Directories that a thread looks at in one go.
const DIRECTORIES_AT_ONCE: u32 = 64;

/// Deletes what the plan has no entry for, in every directory of the plan. Returns how many names went.
pub(super) fn prune(job: &Job<'_>, existing: &mut Existing, reporter: &mut Reporter) -> Result<u64> {
    let mut pruner = Pruner::new(job.root, job.plan, job.settings);
    for (number, strays) in Strays::new(job.root, job.plan)?.all(job.threads, reporter)? {
        for stray in strays {
            reporter.tick(None)?;
            match pruner.remove(&stray) {
                // The directory may be closed to its owner, where nothing was written that would have opened it.
                Err(error) if error.status() == Status::Permission && number != ROOT => {
                    directories::open_up(job, existing, number)?;
                    pruner.remove(&stray)?;
                }
                result => result?,
            }
        }
    }
    Ok(pruner.removed)
}

/// Names in the directories of a plan that the plan has nothing for.
pub(super) struct Strays<'a> {
    root: &'a Root,
    plan: &'a Plan,
    /// The names of all that has an entry, in order, one directory behind the other.
    wanted: Vec<&'a [u8]>,
    /// Where the names of each directory begin, and the last ones end.
    starts: Vec<u32>,
    mount: Mount,
}

impl<'a> Strays<'a> {
    /// Looks at nothing yet but the root.
    pub(super) fn new(root: &'a Root, plan: &'a Plan) -> Result<Strays<'a>> {
        let (mut wanted, starts) = by_directory(plan);
        for range in starts.windows(2) {
            wanted[range[0] as usize..range[1] as usize].sort_unstable();
        }
        Ok(Strays { root, plan, wanted, starts, mount: root.mount(b"")? })
    }

    /// The paths of all, by the numbers of their directories, in order.
    fn all(&self, threads: usize, reporter: &mut Reporter) -> Result<Vec<(u32, Vec<Vec<u8>>)>> {
        let count = self.plan.tree.directories().len() as u32;
        let found = Mutex::new(Vec::new());
        let starts = (ROOT..count).step_by(DIRECTORIES_AT_ONCE as usize);
        let new = || Ok(());
        sync::for_each(threads, "znippy-prune", reporter, starts, new, |(), start| {
            for number in start..count.min(start + DIRECTORIES_AT_ONCE) {
                let strays = self.of(number)?;
                if !strays.is_empty() {
                    found.lock().push((number, strays));
                }
            }
            Ok(())
        })?;
        let mut found = std::mem::take(&mut *found.lock());
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// The paths of those in a directory.
    pub(super) fn of(&self, number: u32) -> Result<Vec<Vec<u8>>> {
        let mut directory = Vec::new();
        self.plan.tree.directory_path(number, &mut directory);
        let mut strays = Vec::new();
        let number = number as usize;
        let wanted = &self.wanted[self.starts[number] as usize..self.starts[number + 1] as usize];
        self.root.visit_names(&directory, |name, _| {
            if wanted.binary_search(&name).is_err() {
                strays.push(joined(&directory, name));
            }
        })?;
        match strays.first() {
            Some(stray) if self.root.mount(&directory)? != self.mount => Err(mounted(stray)),
            _ => Ok(strays),
        }
    }
}

/// The names of all that the plan has an entry for, one directory behind the other, and where those of each begin.
fn by_directory(plan: &Plan) -> (Vec<&[u8]>, Vec<u32>) {
    let tree = &plan.tree;
    let nodes = || {
        let nodes = plan.files.iter().chain(&plan.fifos).chain(&plan.others).chain(tree.directories());
        nodes.chain(plan.symlinks.iter().map(|link| &link.node)).chain(&plan.standing_links)
    };
    // Each count stands two places behind its directory's, so that it becomes the end of what is filled in.
    let mut starts = vec![0u32; tree.directories().len() + 2];
    nodes().for_each(|node| starts[node.directory as usize + 2] += 1);
    for number in 2..starts.len() {
        starts[number] += starts[number - 1];
    }
    let mut names: Vec<&[u8]> = vec![&[]; starts.last().map_or(0, |all| *all as usize)];
    for node in nodes() {
        let next = &mut starts[node.directory as usize + 1];
        names[*next as usize] = tree.name(node);
        *next += 1;
    }
    starts.pop();
    (names, starts)
}

/// Removes files and trees, or only says which.
pub(super) struct Pruner<'a> {
    root: &'a Root,
    plan: &'a Plan,
    settings: &'a Settings,
    /// Names that went, or would go.
    pub(super) removed: u64,
}

impl<'a> Pruner<'a> {
    /// One that has removed nothing yet.
    pub(super) fn new(root: &'a Root, plan: &'a Plan, settings: &'a Settings) -> Pruner<'a> {
        Pruner { root, plan, settings, removed: 0 }
    }

    /// Removes a name and what is below it, apart from what the filter doesn't reach.
    pub(super) fn remove(&mut self, path: &[u8]) -> Result<()> {
        self.go(path, How { delete: true, force: false }, |_| {})
    }

    /// Tells what [`Pruner::remove`] would remove.
    pub(super) fn tell(&mut self, path: &[u8], told: impl FnMut(&[u8])) -> Result<()> {
        self.go(path, How { delete: false, force: false }, told)
    }

    fn go(&mut self, path: &[u8], how: How, told: impl FnMut(&[u8])) -> Result<()> {
        let (filter, plan) = (&self.settings.filter, self.plan);
        let enters = |path: &[u8]| {
            let path = plan.archive_path(path);
            // What the host's function left out is not ours to empty, whatever it has become.
            filter.reaches_into(&path) && !plan.is_refused(&path)
        };
        self.removed += remove(self.root, path, how, enters, |path| filter.wants(&plan.archive_path(path)), told)?;
        Ok(())
    }
}

/// Removes a name and everything below it, whatever the modes. A failure that was one of the moment is made good by
/// trying again.
pub(super) fn remove_tree(root: &Root, path: &[u8]) -> Result<u64> {
    let again = || {
        let removed = remove(root, path, How { delete: true, force: true }, |_| true, |_| true, |_| {})?;
        // What vanished on the way, or was put in meanwhile, may have left something.
        let (parent, name) = path::split(path);
        match root.directory(parent)?.status(name) {
            Err(Errno::NOENT) => Ok(removed),
            Ok(_) => Err(Error::os("can't delete it", Errno::NOTEMPTY).with_entry(path)),
            Err(errno) => Err(Error::os("can't delete it", errno).with_entry(path)),
        }
    };
    again().or_else(|_| again())
}

#[derive(Clone, Copy)]
struct How {
    /// Or only look.
    delete: bool,
    /// Makes directories writable that are not.
    force: bool,
}

/// Removes what is reached of a name and what is below it, and tells each. No handle is kept open on the way down, so
/// that any depth will do.
fn remove(
    root: &Root,
    path: &[u8],
    how: How,
    enters: impl Fn(&[u8]) -> bool,
    reaches: impl Fn(&[u8]) -> bool,
    mut told: impl FnMut(&[u8]),
) -> Result<u64> {
    let mount = root.mount(b"")?;
    let mut removed = 0;
    let mut left = vec![(path.to_vec(), false)];
    // Directories on the way down that something stays in, the deepest last.
    let mut occupied: Vec<Vec<u8>> = Vec::new();
    while let Some((path, emptied)) = left.pop() {
        let (parent, name) = path::split(&path);
        let mut goes = enters(&path);
        if goes {
            let directory = root.directory(parent)?;
            let named = |errno| Error::os("can't delete it", errno).with_entry(&path);
            let status = match directory.status(name) {
                // Somebody else was faster.
                Err(Errno::NOENT) => continue,
                status => status.map_err(named)?,
            };
            let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
            if is_directory && !emptied {
                if how.force && status.st_mode & 0o700 != 0o700 {
                    directory.open_up(name, status.st_mode)?;
                }
                if root.mount(&path)? != mount {
                    return Err(mounted(&path));
                }
                left.push((path.clone(), true));
                left.extend(root.names(&path)?.into_iter().map(|(name, _)| (joined(&path, &name), false)));
                continue;
            }
            let full = occupied.last() == Some(&path) && occupied.pop().is_some();
            goes = !full && reaches(&path);
            if goes {
                if how.delete {
                    match directory.delete(name, is_directory) {
                        Ok(()) | Err(Errno::NOENT) => {}
                        // Somebody put something in meanwhile: that stays.
                        Err(Errno::NOTEMPTY | Errno::EXIST) if is_directory => goes = false,
                        Err(errno) => return Err(named(errno)),
                    }
                }
                if goes {
                    removed += 1;
                    told(&path);
                }
            }
        }
        if !goes && !parent.is_empty() && occupied.last().is_none_or(|last| last != parent) {
            occupied.push(parent.to_vec());
        }
    }
    Ok(removed)
}

fn mounted(path: &[u8]) -> Error {
    let why = "something else is mounted here and would be emptied; unmount it first, or leave it out by exclude";
    Error::refused(Status::Exists, "prune.mount", why).with_entry(path)
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
