//! Files of several slices: written in parallel under a temporary name, renamed when all slices are in.
//!
//! No descriptor is kept between blocks: whoever has slices of a file opens it again and makes sure that it is the
//! one that was made.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::modes::Modes;
use crate::extract::plan::Plan;
use crate::extract::records::{Big, Piece};
use crate::extract::sandbox::{self, Directory, Identity, Root};
use crate::format::hash::{Part, UNRECORDED, merge_parts};

/// How far each big file is.
pub(super) struct Unfinished(Vec<Progress>);

struct Progress {
    /// The file under the temporary name, once it was made.
    made: Mutex<Option<Identity>>,
    slices_left: AtomicU32,
    /// Chaining values of the slices that are in, where they are subtrees of the file's hash.
    parts: Mutex<Vec<Part>>,
    renamed: AtomicBool,
}

impl Unfinished {
    /// Nothing made yet.
    pub(super) fn new(bigs: &[Big]) -> Unfinished {
        let progress = |big: &Big| Progress {
            made: Mutex::new(None),
            slices_left: AtomicU32::new(big.slices),
            parts: Mutex::new(Vec::new()),
            renamed: AtomicBool::new(false),
        };
        Unfinished(bigs.iter().map(progress).collect())
    }

    /// Writes slices of one file, whose bytes were checked; the last one finishes the file. Where it did, returns whether
    /// the file took the place of something else.
    pub(super) fn write<'a>(
        &self,
        job: &Job<'_>,
        directory: &Directory,
        modes: &Modes,
        number: u32,
        slices: impl Iterator<Item = (&'a Piece, &'a [u8])>,
    ) -> Result<Option<bool>> {
        let (big, progress) = (&job.plan.bigs[number as usize], &self.0[number as usize]);
        let temporary = job.root.temporary_name(u64::from(big.file));
        let file = progress.open(job, directory, modes, big, &temporary)?;
        let mut is_last = false;
        for (piece, bytes) in slices {
            sandbox::write_at(file.as_fd(), bytes, piece.offset)?;
            if let Some(part) = Part::new(bytes, piece.offset) {
                progress.parts.lock().push(part);
            }
            is_last = progress.is_last();
        }
        if !is_last {
            return Ok(None);
        }
        progress.check_whole(job, file.as_fd(), big)?;
        let node = &job.plan.files[big.file as usize];
        job.policy.apply(file.as_fd(), node, &job.plan.tree)?;
        job.note_made(big.file, file.as_fd())?;
        let replaced = job.put(directory, &temporary, job.plan.tree.name(node))?;
        progress.renamed.store(true, Ordering::Release);
        Ok(Some(replaced))
    }

    /// Removes what was made and not finished.
    pub(super) fn remove(&self, root: &Root, plan: &Plan) {
        let mut handles = Handles::new(1);
        for (progress, big) in self.0.iter().zip(&plan.bigs) {
            let made = progress.made.lock().is_some();
            if made && !progress.renamed.load(Ordering::Acquire) {
                let directory = plan.files[big.file as usize].directory;
                if let Ok(directory) = handles.get(root, &plan.tree, directory) {
                    directory.remove(&root.temporary_name(u64::from(big.file)));
                }
            }
        }
    }
}

impl Progress {
    /// Takes a slice off those that are left; whether the file is to be finished now. Whoever failed to finish it and
    /// comes again is told so again.
    fn is_last(&self) -> bool {
        let less = |left: u32| Some(left.saturating_sub(1));
        self.slices_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok_and(|before| before <= 1)
    }

    /// The hash of the whole file: what archives are compared and trusted by must be what stands on disk. It is merged
    /// from the slices; what is no slice of its own tree, as around holes, is read again.
    fn check_whole(&self, job: &Job<'_>, file: BorrowedFd<'_>, big: &Big) -> Result<()> {
        let mut parts = std::mem::take(&mut *self.parts.lock());
        if big.hash == UNRECORDED {
            // Of version 3, each slice was checked.
            return Ok(());
        }
        parts.sort_unstable_by_key(|part| part.offset);
        let mut buffer = Vec::new();
        let value = |offset, len| sandbox::chaining_value(file, offset, len, &mut buffer, || job.check());
        let found = match merge_parts(&parts, big.size, value)? {
            Some(hash) => hash,
            None => sandbox::hash_file(file, big.size, || job.check())?,
        };
        if found == big.hash {
            return Ok(());
        }
        let why = "the archive is damaged here: the file's slices don't make up the whole; nothing of it was kept";
        Err(Error::refused(Status::Checksum, "file.hash", why))
    }

    fn open(
        &self,
        job: &Job<'_>,
        directory: &Directory,
        modes: &Modes,
        big: &Big,
        temporary: &[u8],
    ) -> Result<OwnedFd> {
        let mut made = self.made.lock();
        if let Some(identity) = *made {
            drop(made);
            return directory.reopen(temporary, identity);
        }
        let node = &job.plan.files[big.file as usize];
        if !job.replace && directory.is_taken(job.plan.tree.name(node)) {
            // The rename would find out too, but after all the work.
            return Err(Error::os("can't create the file: the name is taken", Errno::EXIST));
        }
        let file = directory.create(Cow::Borrowed(temporary), modes.creation(job.policy, node).mode)?;
        sandbox::set_size(file.as_fd(), big.size)?;
        *made = Some(file.identity()?);
        Ok(file.keep())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_finished_is_finished_by_who_tries_again() {
        let unfinished = Unfinished::new(&[Big { file: 0, size: 2, slices: 2, hash: [0; 32] }]);
        let last: Vec<bool> = (0..4).map(|_| unfinished.0[0].is_last()).collect();
        assert_eq!(last, [false, true, true, true]);
    }
}
