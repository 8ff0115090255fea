//! Files with the same bytes, where the options ask for them to share what they take on disk: one is written, the others
//! become clones of it or further names.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;

use crate::error::Result;
use crate::extract::blocks;
use crate::extract::job::Job;
use crate::extract::modes::Modes;
use crate::extract::plan::Plan;
use crate::extract::records::{Hardlink, Sharing, Target};
use crate::extract::sandbox::Directory;
use crate::extract::survey::{Contents, Standing};
use crate::extract::tree::{Node, Owner, push};
use crate::format::hash::{Digest, UNRECORDED};
use crate::options::{Key, Options};

/// What becomes of files whose bytes another file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// Each is written.
    Copies,
    /// They share blocks, where the file system can do that.
    Clones,
    /// They become names of one file, where mode, time and owner are equal too.
    Names,
}

impl Duplicates {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Duplicates {
        match options.get(Key::Duplicates) {
            1 => Duplicates::Clones,
            2 => Duplicates::Names,
            _ => Duplicates::Copies,
        }
    }
}

/// Files are equal that have equal keys.
#[derive(PartialEq, Eq, Hash)]
struct Twin {
    hash: Digest,
    /// Where they are to be one file: everything else that is recorded of them.
    attributes: Option<Attributes>,
}

/// What names of one file have in common.
#[derive(PartialEq, Eq, Hash)]
struct Attributes {
    mode: Option<u32>,
    mtime_ns: Option<i64>,
    owner: Owner,
    xattr_id: Option<u32>,
}

/// Takes the slices of duplicates out of the plan; they are made from the first file of their kind by path.
pub(super) fn take_out(plan: &mut Plan, how: Duplicates) -> Result<()> {
    if how == Duplicates::Copies {
        return Ok(());
    }
    let contents = Contents::of(plan);
    let mut firsts: HashMap<Twin, u32> = HashMap::new();
    let mut taken_out = HashSet::new();
    for file in 0..plan.files.len() as u32 {
        let Some((size, hash)) = contents.get(plan, file as usize) else { continue };
        if size == 0 || *hash == UNRECORDED || plan.standing(file) != Standing::Write {
            continue;
        }
        let node = &plan.files[file as usize];
        let attributes = (how == Duplicates::Names).then(|| Attributes {
            mode: node.mode(),
            mtime_ns: node.mtime_ns(),
            owner: plan.tree.owner(node),
            xattr_id: plan.tree.xattr_id(node),
        });
        let of = *firsts.entry(Twin { hash: *hash, attributes }).or_insert(file);
        if of != file {
            taken_out.insert(file);
            let sharing = if how == Duplicates::Names { Sharing::Twin { size } } else { Sharing::Clone { size } };
            let entry = plan.entry_numbers.get(file as usize).copied().unwrap_or_default();
            push(&mut plan.hardlinks, Hardlink { file, of, entry, sharing })?;
        }
    }
    // A name of a duplicate comes after the duplicate itself.
    plan.hardlinks.sort_unstable_by_key(|link| link.file);
    plan.bigs.iter_mut().filter(|big| taken_out.contains(&big.file)).for_each(|big| big.size = 0);
    let (pieces, bigs) = (&plan.pieces, &plan.bigs);
    plan.slices.retain(|slice| match slice.target() {
        Target::File(file) => !taken_out.contains(&file),
        Target::Piece(piece) => !taken_out.contains(&bigs[pieces[piece as usize].big as usize].file),
    });
    plan.drop_unused_blocks();
    Ok(())
}

/// Makes a file with the blocks of another one. Returns whether it took the place of something else; `None` where the
/// file system, or this pair of files, can't share blocks.
pub(super) fn clone(
    job: &Job<'_>,
    directory: &Directory,
    node: &Node,
    number: u32,
    of: &OwnedFd,
) -> Result<Option<bool>> {
    let share = |file: std::os::fd::BorrowedFd<'_>| {
        rustix::fs::ioctl_ficlone(file, of).map_err(|errno| crate::error::Error::os("can't share the blocks", errno))
    };
    match blocks::create_whole(job, directory, &Modes::shared(), node, number, share) {
        Err(error) if is_refusal(error.os_code()) => Ok(None),
        result => result.map(Some),
    }
}

fn is_refusal(os_code: i32) -> bool {
    matches!(
        os_code,
        libc::EOPNOTSUPP
            | libc::EXDEV
            | libc::EINVAL
            | libc::ENOTTY
            | libc::ENOSYS
            | libc::EPERM
            | libc::EBADF
            | libc::ETXTBSY
    )
}
