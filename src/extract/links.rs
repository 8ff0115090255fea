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
            Ok(()) => job.stats().hardlinks += 1,
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
        made.or_else(|error| job.failures.note(1, tree.named(node, error)))?;
        job.counters.add(1, 0);
    }
    for (number, link) in job.plan.symlinks.iter().enumerate() {
        if number % BETWEEN_REPORTS == 0 {
            reporter.tick(None)?;
        }
        let target = tree.bytes(link.target);
        let number = (job.plan.files.len() + number) as u64;
        let directory = handles.get(job.root, tree, link.node.directory);
        let made = directory.and_then(|directory| make_symlink(job, directory, &link.node, target, number));
        made.or_else(|error| job.failures.note(1, tree.named(&link.node, error)))?;
        job.counters.add(1, 0);
    }
    Ok(())
}

fn make_symlink(job: &Job<'_>, directory: &Directory, node: &Node, target: &[u8], number: u64) -> Result<()> {
    let (name, tree) = (job.plan.tree.name(node), &job.plan.tree);
    match directory.symlink(target, name) {
        Err(error) if job.replace && error.status() == Status::Exists => {
            let temporary = job.root.temporary_name(number);
            directory.symlink(target, &temporary)?;
            let leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
            job.policy.apply_to_link(directory, &temporary, node, tree)?;
            directory.replace(&temporary, name)?;
            leftover.keep();
            Ok(())
        }
        result => {
            result?;
            job.policy.apply_to_link(directory, name, node, tree)
        }
    }
}

fn make_fifo(job: &Job<'_>, directory: &Directory, node: &Node) -> Result<()> {
    let (name, tree) = (job.plan.tree.name(node), &job.plan.tree);
    match directory.fifo(name) {
        Err(error) if job.replace && error.status() == Status::Exists => {
            let temporary = job.root.temporary_name(u64::MAX);
            let fifo = directory.fifo(&temporary)?;
            let leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
            job.policy.apply(fifo.as_fd(), node, tree)?;
            directory.replace(&temporary, name)?;
            leftover.keep();
            Ok(())
        }
        result => job.policy.apply(result?.as_fd(), node, tree),
    }
}

/// Makes something under a name, or in the place of what has that name where that is allowed.
fn place(
    job: &Job<'_>,
    directory: &Directory,
    name: &[u8],
    temporary: Vec<u8>,
    make: impl Fn(&Directory, &[u8]) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match make(directory, name) {
        Err(Errno::EXIST) if job.replace => {
            make(directory, &temporary)?;
            // Where both names are of one file already, the rename does nothing and leaves the temporary name:
            // so it is removed in any case.
            let _leftover = Leftover::new(directory, Cow::Borrowed(&temporary));
            directory.replace(&temporary, name).map_err(|error| Errno::from_raw_os_error(error.os_code()))
        }
        result => result,
    }
}

/// File systems without hard links, at their limit of names, or that reach over a border.
fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP)
}
