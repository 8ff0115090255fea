//! What is made after the files, so that nothing is ever written through it: hard links, FIFOs, symbolic links.

use std::borrow::Cow;
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::extract::duplicates;
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::records::{Hardlink, Sharing};
use crate::extract::sandbox::{Directory, Identity, Leftover};
use crate::extract::survey::Standing;
use crate::extract::tree::Node;
use crate::progress::Reporter;

/// Between so many links the caller is told how far things are.
const BETWEEN_REPORTS: usize = 64;

/// Links that were not made.
#[derive(Default)]
pub(super) struct Refused {
    /// Those that the file system can't make, or that have nothing to be of: they are written from their own rows.
    pub(super) rows: Vec<Hardlink>,
    /// Links to those, which can be made after that.
    pub(super) later: Vec<Hardlink>,
}

/// Makes hard links to files of this extraction, and what else is made from such files, in the order of their names.
pub(super) fn make_hardlinks(job: &Job<'_>, links: &[Hardlink], reporter: &mut Reporter) -> Result<Refused> {
    let tree = &job.plan.tree;
    let (mut handles, mut of_handles) = (Handles::new(2), Handles::new(2));
    let mut refused = Refused::default();
    let mut clones = true;
    for (number, link) in links.iter().enumerate() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let (node, of) = (&job.plan.files[link.file as usize], &job.plan.files[link.of as usize]);
        let is_clone = matches!(link.sharing, Sharing::Clone { .. });
        let identity = job.identity(link.of);
        // Under that name stands something else, or nothing: the link is written from its own rows.
        let missing = job.plan.standing(link.of) == Standing::Kept
            || job.failures.has_file(link.of)
            || (link.sharing != Sharing::Name && identity.is_none());
        let is_of = |link_to: &[Hardlink]| link_to.binary_search_by_key(&link.of, |link| link.file).is_ok();
        if is_of(&refused.rows) || is_of(&refused.later) {
            refused.later.push(*link);
            continue;
        }
        if missing || (is_clone && !clones) {
            refused.rows.push(*link);
            continue;
        }
        let found = of_handles.get(job.root, tree, of.directory).and_then(|of_directory| {
            handles.get(job.root, tree, node.directory).map(|directory| (of_directory, directory))
        });
        let (of_directory, directory) = match found {
            Ok(found) => found,
            Err(error) => {
                job.failures.note_file(link.file, tree.named(node, error))?;
                continue;
            }
        };
        let made = match identity.filter(|_| is_clone) {
            Some(identity) => match of_directory.reopen_to_read(tree.name(of), identity) {
                Some(of) => {
                    let made = duplicates::clone(job, directory, node, link.file, &of);
                    // What one can't, on this file system, the others can't either.
                    clones = !matches!(made, Ok(None));
                    made
                }
                None => Ok(None),
            },
            None => make_hardlink(job, directory, link, (of_directory, tree.name(of), identity)),
        };
        match made {
            Ok(Some(replaced)) => count_link(job, link, replaced),
            Ok(None) => refused.rows.push(*link),
            Err(error) => job.failures.note_file(link.file, tree.named(node, error))?,
        }
        job.counters.add(1, 0);
    }
    Ok(refused)
}

/// Makes a hard link. Returns whether it took the place of something else; `None` where the file system can't.
fn make_hardlink(
    job: &Job<'_>,
    directory: &Directory,
    link: &Hardlink,
    (of_directory, of_name, identity): (&Directory, &[u8], Option<Identity>),
) -> Result<Option<bool>> {
    let name = job.plan.tree.name(&job.plan.files[link.file as usize]);
    let temporary = job.root.temporary_name(u64::from(link.file));
    let made = place(job, directory, name, temporary, |directory, name| {
        directory.link(name, of_directory, of_name)?;
        if identity.is_some_and(|identity| !directory.is(name, identity)) {
            directory.remove(name);
            return Err(Errno::STALE);
        }
        Ok(())
    });
    match made {
        Ok(replaced) => {
            if let Some(identity) = identity {
                job.made.lock().insert(link.file, identity);
            }
            Ok(Some(replaced))
        }
        Err(errno) if is_refusal(errno) => Ok(None),
        Err(Errno::STALE) => {
            let why = "the file that the hard link is of was replaced by somebody else";
            Err(Error::refused(Status::UnsafePath, "sandbox.swapped", why))
        }
        Err(errno) => Err(Error::os("can't make the hard link", errno)),
    }
}

fn count_link(job: &Job<'_>, link: &Hardlink, replaced: bool) {
    let mut stats = job.stats();
    match link.sharing {
        Sharing::Name => stats.hardlinks += 1,
        Sharing::Twin { size } | Sharing::Clone { size } => {
            stats.files += 1;
            stats.duplicate_files += 1;
            stats.duplicate_bytes += size;
        }
    }
    stats.count_made(replaced);
}

/// Makes FIFOs and symbolic links, as they were packed.
pub(super) fn make_specials(job: &Job<'_>, reporter: &mut Reporter) -> Result<()> {
    let tree = &job.plan.tree;
    let mut handles = Handles::new(1);
    for node in &job.plan.fifos {
        reporter.tick(None)?;
        let made = handles.get(job.root, tree, node.directory).and_then(|directory| make_fifo(job, directory, node));
        count(job, node, made)?;
    }
    for (number, link) in job.plan.symlinks.iter().enumerate() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let target = tree.bytes(link.target);
        let number = (job.plan.files.len() + number) as u64;
        let directory = handles.get(job.root, tree, link.node.directory);
        let made = directory.and_then(|directory| make_symlink(job, directory, &link.node, target, number));
        count(job, &link.node, made)?;
    }
    Ok(())
}

fn count(job: &Job<'_>, node: &Node, made: Result<bool>) -> Result<()> {
    match made {
        Ok(replaced) => job.stats().count_made(replaced),
        Err(error) => job.failures.note(1, job.plan.tree.named(node, error))?,
    }
    job.counters.add(1, 0);
    Ok(())
}

/// Returns whether the link took the place of something else.
fn make_symlink(job: &Job<'_>, directory: &Directory, node: &Node, target: &[u8], number: u64) -> Result<bool> {
    let (name, tree) = (job.plan.tree.name(node), &job.plan.tree);
    if !job.settings.named_last {
        match directory.symlink(target, name) {
            Err(error) if job.replace && error.status() == Status::Exists => {}
            result => {
                result?;
                return job.policy.apply_to_link(directory, name, node, tree).map(|()| false);
            }
        }
    }
    let temporary = job.root.temporary_name(number);
    directory.symlink(target, &temporary)?;
    let leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
    job.policy.apply_to_link(directory, &temporary, node, tree)?;
    let replaced = job.put(directory, &temporary, name)?;
    leftover.keep();
    Ok(replaced)
}

/// Returns whether the FIFO took the place of something else.
fn make_fifo(job: &Job<'_>, directory: &Directory, node: &Node) -> Result<bool> {
    let (name, tree) = (job.plan.tree.name(node), &job.plan.tree);
    if !job.settings.named_last {
        match directory.fifo(name) {
            Err(error) if job.replace && error.status() == Status::Exists => {}
            result => return job.policy.apply(result?.as_fd(), node, tree).map(|()| false),
        }
    }
    let temporary = job.root.temporary_name(u64::MAX);
    let fifo = directory.fifo(&temporary)?;
    let leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
    job.policy.apply(fifo.as_fd(), node, tree)?;
    let replaced = job.put(directory, &temporary, name)?;
    leftover.keep();
    Ok(replaced)
}

/// Makes something under a name, or in the place of what has that name where that is allowed. Returns whether something
/// had it.
fn place(
    job: &Job<'_>,
    directory: &Directory,
    name: &[u8],
    temporary: Vec<u8>,
    make: impl Fn(&Directory, &[u8]) -> rustix::io::Result<()>,
) -> rustix::io::Result<bool> {
    match make(directory, name) {
        Err(Errno::EXIST) if job.replace => {
            make(directory, &temporary)?;
            // Where both names are of one file already, the rename does nothing and leaves the temporary name:
            // so it is removed in any case.
            let _leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
            let replaced = directory.replace(&temporary, name).map(|()| true);
            replaced.map_err(|error| Errno::from_raw_os_error(error.os_code()))
        }
        result => result.map(|()| false),
    }
}

/// File systems without hard links, at their limit of names, or that reach over a border.
fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP)
}
