//! What stands in the destination already, where the options make a difference of it: looked at before anything is
//! written, so that blocks of which nothing is needed are never read.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{FileType, Stat};

use crate::error::{Result, Status};
use crate::extract::handles::Handles;
use crate::extract::metadata::Policy;
use crate::extract::plan::Plan;
use crate::extract::prune::Pruner;
use crate::extract::records::{NO_BLOCK, Target};
use crate::extract::sandbox::{Directory, Root};
use crate::extract::settings::{Settings, Unchanged};
use crate::extract::tree::Node;
use crate::format::hash::Digest;
use crate::progress::Reporter;
use crate::sync;

/// Files that a thread looks at in one go.
const FILES_AT_ONCE: usize = 512;

/// What becomes of a file whose name may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is written.
    Write,
    /// What is there is what the archive has.
    Same,
    /// What is there is something else, and it stays.
    Kept,
}

/// Looks at everything that the plan would write, and takes out of the plan what needn't be. Returns how many
/// entries that are.
pub(super) fn survey(plan: &mut Plan, root: &Root, settings: &Settings, reporter: &mut Reporter) -> Result<u64> {
    let found = Survey::new(plan, root, settings).files(reporter)?;
    let kept = |number: u32| found[number as usize] != Standing::Write;
    let (pieces, bigs) = (&plan.pieces, &plan.bigs);
    plan.slices.retain(|slice| match slice.target() {
        Target::File(file) => !kept(file),
        Target::Piece(piece) => !kept(bigs[pieces[piece as usize].big as usize].file),
    });
    plan.drop_unused_blocks();
    let mut number_kept = found.iter().filter(|standing| **standing != Standing::Write).count() as u64;
    plan.standing = found;
    let survey = Survey::new(plan, root, settings);
    let (links, fifos, hardlinks) = (survey.symlinks()?, survey.fifos()?, survey.hardlinks()?);
    for flags in [&links, &fifos, &hardlinks] {
        number_kept += flags.iter().filter(|kept| **kept).count() as u64;
    }
    let standing = |node: &Node, kept: &bool| kept.then_some(*node);
    let of_links = plan.symlinks.iter().zip(&links).filter_map(|(link, kept)| standing(&link.node, kept));
    let of_fifos = plan.fifos.iter().zip(&fifos).filter_map(|(node, kept)| standing(node, kept));
    plan.standing_links = of_links.chain(of_fifos).collect();
    retain(&mut plan.symlinks, &links);
    retain(&mut plan.fifos, &fifos);
    retain(&mut plan.hardlinks, &hardlinks);
    Ok(number_kept)
}

fn retain<T>(list: &mut Vec<T>, left_out: &[bool]) {
    let mut flags = left_out.iter();
    list.retain(|_| !flags.next().copied().unwrap_or(false));
}

struct Survey<'a> {
    plan: &'a Plan,
    root: &'a Root,
    settings: &'a Settings,
}

impl<'a> Survey<'a> {
    fn new(plan: &'a Plan, root: &'a Root, settings: &'a Settings) -> Survey<'a> {
        Survey { plan, root, settings }
    }

    fn files(&self, reporter: &mut Reporter) -> Result<Vec<Standing>> {
        let files = &self.plan.files;
        let contents = Contents::of(self.plan);
        let found: Vec<AtomicU8> = files.iter().map(|_| AtomicU8::new(Standing::Write as u8)).collect();
        let starts = (0..files.len()).step_by(FILES_AT_ONCE);
        sync::for_each(
            self.settings.threads,
            "znippy-survey",
            reporter,
            starts,
            || Ok(Eyes::new(self.settings.threads)),
            |eyes, start| {
                for number in start..files.len().min(start + FILES_AT_ONCE) {
                    let Some((size, hash)) = contents.get(self.plan, number) else { continue };
                    let node = &files[number];
                    let standing =
                        self.file(eyes, node, size, hash).map_err(|error| self.plan.tree.named(node, error))?;
                    found[number].store(standing as u8, Ordering::Relaxed);
                }
                Ok(())
            },
        )?;
        let all = [Standing::Write, Standing::Same, Standing::Kept];
        Ok(found.iter().map(|found| all[usize::from(found.load(Ordering::Relaxed))]).collect())
    }

    fn file(&self, eyes: &mut Eyes, node: &Node, size: u64, hash: &Digest) -> Result<Standing> {
        let Some((directory, status)) = self.look(eyes, node)? else { return Ok(Standing::Write) };
        let policy = &self.settings.policy;
        let (tree, name) = (&self.plan.tree, self.plan.tree.name(node));
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        if is_file && status.st_size as u64 == size {
            match self.settings.unchanged {
                Unchanged::Rewrite => {}
                Unchanged::ByTime
                    if policy.matches(&status, node, tree)
                        && !(policy.restores_xattrs()
                            && policy.lacks_xattrs(directory.open_existing(name).as_ref(), node, tree)) =>
                {
                    return Ok(Standing::Same);
                }
                Unchanged::ByTime => {}
                Unchanged::ByHash => {
                    if let Some(file) = directory.open_existing(name)
                        && file.has_hash(size, hash, || self.settings.cancel.check())?
                    {
                        let differs =
                            !policy.matches(&status, node, tree) || policy.lacks_xattrs(Some(&file), node, tree);
                        if differs && !self.settings.dry_run {
                            policy.apply(file.as_fd(), node, tree)?;
                        }
                        return Ok(Standing::Same);
                    }
                }
            }
        }
        Ok(self.other(&status, node))
    }

    fn symlinks(&self) -> Result<Vec<bool>> {
        let mut eyes = Eyes::new(1);
        let mut kept = Vec::with_capacity(self.plan.symlinks.len());
        for link in &self.plan.symlinks {
            let standing = match self.look(&mut eyes, &link.node)? {
                None => Standing::Write,
                Some((directory, status)) => {
                    let name = self.plan.tree.name(&link.node);
                    let same = self.settings.unchanged != Unchanged::Rewrite
                        && FileType::from_raw_mode(status.st_mode) == FileType::Symlink
                        && directory.read_link(name).is_some_and(|target| target == self.plan.tree.bytes(link.target))
                        && link.node.mtime_ns().is_none_or(|mtime| mtime == mtime_ns(&status));
                    if same { Standing::Same } else { self.other(&status, &link.node) }
                }
            };
            kept.push(standing != Standing::Write);
        }
        Ok(kept)
    }

    fn fifos(&self) -> Result<Vec<bool>> {
        let mut eyes = Eyes::new(1);
        let mut kept = Vec::with_capacity(self.plan.fifos.len());
        for node in &self.plan.fifos {
            kept.push(self.look(&mut eyes, node)?.is_some_and(|(_, status)| {
                let same = self.settings.unchanged != Unchanged::Rewrite
                    && FileType::from_raw_mode(status.st_mode) == FileType::Fifo
                    && self.settings.policy.matches(&status, node, &self.plan.tree);
                same || self.other(&status, node) != Standing::Write
            }));
        }
        Ok(kept)
    }

    /// Names of files that stand as they are, where they are names of that file already.
    fn hardlinks(&self) -> Result<Vec<bool>> {
        let (mut eyes, mut of_eyes) = (Eyes::new(2), Eyes::new(2));
        let mut kept = Vec::with_capacity(self.plan.hardlinks.len());
        for link in &self.plan.hardlinks {
            let (node, of) = (&self.plan.files[link.file as usize], &self.plan.files[link.of as usize]);
            kept.push(match self.look(&mut eyes, node)? {
                None => false,
                Some((_, status)) => {
                    let same = self.plan.standing[link.of as usize] == Standing::Same
                        && self.look(&mut of_eyes, of)?.is_some_and(|(_, of_status)| {
                            (of_status.st_dev, of_status.st_ino) == (status.st_dev, status.st_ino)
                        });
                    same || self.other(&status, node) != Standing::Write
                }
            });
        }
        Ok(kept)
    }

    /// Whether something else than the archive has stays.
    fn other(&self, status: &Stat, node: &Node) -> Standing {
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if !is_directory && self.settings.keeps(mtime_ns(status), node.mtime_ns()) {
            Standing::Kept
        } else {
            Standing::Write
        }
    }

    /// What has an entry's name. A directory in the way of an entry is removed where pruning was asked for.
    fn look<'e>(&self, eyes: &'e mut Eyes, node: &Node) -> Result<Option<(&'e Directory, Stat)>> {
        if eyes.missing == Some(node.directory) {
            return Ok(None);
        }
        let name = self.plan.tree.name(node);
        let directory = match eyes.handles.get(self.root, &self.plan.tree, node.directory) {
            Ok(directory) => directory,
            // What is not there, or may not be looked into yet, is dealt with when it is written.
            Err(error) if matches!(error.status(), Status::NotFound | Status::Permission | Status::UnsafePath) => {
                eyes.missing = Some(node.directory);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(status) = directory.status(name) else { return Ok(None) };
        if self.settings.prune
            && !self.settings.dry_run
            && FileType::from_raw_mode(status.st_mode) == FileType::Directory
        {
            let mut path = Vec::new();
            Pruner::new(self.root, self.plan, self.settings).remove(self.plan.tree.path(node, &mut path))?;
            return Ok(None);
        }
        Ok(Some((directory, status)))
    }
}

/// A thread's directory handles, and the directory that it found missing last.
struct Eyes {
    handles: Handles,
    missing: Option<u32>,
}

impl Eyes {
    fn new(threads: usize) -> Eyes {
        Eyes { handles: Handles::new(threads), missing: None }
    }
}

/// Where the size and the hash of each file stand.
pub(super) struct Contents(Vec<u32>);

impl Contents {
    const BIG: u32 = 1 << 31;

    /// Of every file of the plan.
    pub(super) fn of(plan: &Plan) -> Contents {
        let mut at = vec![NO_BLOCK; plan.files.len()];
        for (number, slice) in plan.slices.iter().enumerate() {
            if let Target::File(file) = slice.target() {
                at[file as usize] = number as u32;
            }
        }
        for (number, big) in plan.bigs.iter().enumerate() {
            at[big.file as usize] = Contents::BIG | number as u32;
        }
        Contents(at)
    }

    /// `None` for hard links, which have no bytes of their own.
    pub(super) fn get<'p>(&self, plan: &'p Plan, file: usize) -> Option<(u64, &'p Digest)> {
        match self.0[file] {
            NO_BLOCK => None,
            at if at & Contents::BIG != 0 => {
                let big = &plan.bigs[(at & !Contents::BIG) as usize];
                Some((big.size, &big.hash))
            }
            at => {
                let slice = &plan.slices[at as usize];
                Some((u64::from(slice.size), &slice.checksum))
            }
        }
    }
}

/// A status's modification time in nanoseconds.
pub(super) fn mtime_ns(status: &Stat) -> i64 {
    status.st_mtime.saturating_mul(1_000_000_000).saturating_add(status.st_mtime_nsec as i64)
}

impl Policy {
    /// Whether something has the recorded mode, time and owner already.
    pub(super) fn matches(&self, status: &Stat, node: &Node, tree: &crate::extract::tree::Tree) -> bool {
        let (user, group) = self.owner_ids(tree.owner(node));
        node.mode().is_none_or(|mode| self.allowed(mode) == status.st_mode & 0o7777)
            && node.mtime_ns() == Some(mtime_ns(status))
            && user.is_none_or(|user| user == status.st_uid)
            && group.is_none_or(|group| group == status.st_gid)
    }
}
