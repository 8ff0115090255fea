//! What is made after the files, so that nothing is ever written through it: hard links, FIFOs, symbolic links.

use std::borrow::Cow;
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::records::Hardlink;
use crate::extract::sandbox::{Directory, Leftover};
use crate::extract::survey::Standing;
use crate::extract::tree::Node;
use crate::progress::Reporter;

/// Between so many links the caller is told how far things are.
const BETWEEN_REPORTS: usize = 64;

/// Makes hard links to files of this extraction. Returns those that the file system can't make.
pub(super) fn make_hardlinks(job: &Job<'_>, reporter: &mut Reporter) -> Result<Vec<Hardlink>> {
    let tree = &job.plan.tree;
    let (mut handles, mut of_handles) = (Handles::new(2), Handles::new(2));
    let mut refused = Vec::new();
    for (number, link) in job.plan.hardlinks.iter().enumerate() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let (node, of) = (&job.plan.files[link.file as usize], &job.plan.files[link.of as usize]);
        if job.plan.standing(link.of) == Standing::Kept || job.failures.has_file(link.of) {
            // Under that name stands something else, or nothing: the link is written from its own rows.
            refused.push(*link);
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
        let temporary = job.root.temporary_name(u64::from(link.file));
        let made = place(job, directory, tree.name(node), temporary, |directory, name| {
            directory.link(name, of_directory, tree.name(of))
        });
        match made {
            Ok(replaced) => {
                let mut stats = job.stats();
                stats.hardlinks += 1;
                stats.count_made(replaced);
            }
            Err(errno) if is_refusal(errno) => refused.push(*link),
            Err(errno) => {
                job.failures.note_file(link.file, tree.named(node, Error::os("can't make the hard link", errno)))?;
            }
        }
        job.counters.add(1, 0);
    }
    Ok(refused)
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
