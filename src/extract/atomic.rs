//! The whole tree or nothing: restored into a sibling of the destination, which then takes its name by one rename.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result, Status, printable};
use crate::extract::prune::remove_tree;
use crate::extract::sandbox::Root;
use crate::options::{Key, Options, Overwrite};

/// A destination that is replaced as a whole.
pub(super) struct Atomic {
    /// Of the directory that both names are in.
    parent: Root,
    destination: PathBuf,
    /// What is there and has to go: a directory with something in it.
    replaces: bool,
    temporary: Vec<u8>,
    sibling: PathBuf,
    /// Descriptors that are kept for removing a tree, so that a want of them leaves nothing behind.
    spare: Cell<Vec<OwnedFd>>,
}

/// Descriptors that removing a tree takes at the same time.
const SPARE: usize = 4;

impl Atomic {
    /// Looks at the destination; `None` where the options don't ask for this.
    pub(super) fn begin(destination: &Path, options: &Options) -> Result<Option<Atomic>> {
        if !options.flag(Key::Atomic) {
            return Ok(None);
        }
        let keeps = options.flag(Key::Prune) || options.flag(Key::KeepGoing) || options.get(Key::SkipUnchanged) != 0;
        if keeps || !matches!(options.overwrite(), Overwrite::Refuse | Overwrite::Replace) {
            let why = "atomic puts a whole new tree in place: it goes with overwrite 0 or 1, and with neither \
                       skip-unchanged, prune nor keep-going";
            return Err(Error::new(Status::InvalidArgument, why));
        }
        let failed = |error: std::io::Error| Error::io("can't use the destination", &error).with_path(destination);
        let (destination, replaces) = match crate::sys::read_dir(destination) {
            Ok(mut entries) => (std::fs::canonicalize(destination).map_err(failed)?, entries.next().is_some()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if std::fs::symlink_metadata(destination).is_ok() {
                    let why =
                        "the destination is a symbolic link that leads nowhere; remove it, or make what it leads to";
                    return Err(Error::os(why, Errno::EXIST).with_path(destination));
                }
                let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = std::fs::canonicalize(parent.unwrap_or(Path::new("."))).map_err(failed)?;
                (parent.join(destination.file_name().unwrap_or_default()), false)
            }
            Err(error) => return Err(failed(error)),
        };
        if replaces && options.overwrite() == Overwrite::Refuse {
            let error = Error::os("the destination has something in it", Errno::EXIST);
            return Err(error.with_path(&destination));
        }
        let Some(directory) = destination.parent().filter(|_| destination.file_name().is_some()) else {
            let why = "this destination can't be replaced as a whole; leave atomic away";
            return Err(Error::new(Status::InvalidArgument, why).with_path(&destination));
        };
        let parent = Root::open(directory)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let spare = (0..SPARE).map(|_| crate::sys::open(directory, flags, Mode::empty())).collect::<Result<_, _>>();
        let spare = spare.map_err(|e| Error::os("can't open the destination's directory", e).with_path(directory))?;
        let temporary = parent.temporary_name(0);
        let sibling = directory.join(OsStr::from_bytes(&temporary));
        Ok(Some(Atomic { parent, replaces, temporary, sibling, spare: Cell::new(spare), destination }))
    }

    /// Where to restore to.
    pub(super) fn sibling(&self) -> &Path {
        &self.sibling
    }

    /// Puts the tree in its place and removes the old one. The old tree has its name until the new one is on the disk, and
    /// after this the new one survives a power cut.
    pub(super) fn commit(&self) -> Result<()> {
        let failed = |error: Error| error.with_path(&self.destination);
        drop(self.spare.take());
        let readable = self.sync().map_err(failed).inspect_err(|_| self.abandon())?;
        let committed = self
            .commit_by(|| rustix::fs::renameat_with(CWD, &self.sibling, CWD, &self.destination, RenameFlags::EXCHANGE));
        committed.and_then(|()| sync_names(&readable).map_err(failed))
    }

    /// Has the new tree written to the disk. Returns the directory in which it gets its name, or the new tree itself where
    /// that may not be read.
    fn sync(&self) -> Result<OwnedFd> {
        let readable =
            self.parent.readable_directory(b"").or_else(|_| self.parent.readable_directory(&self.temporary))?;
        match rustix::fs::syncfs(&readable) {
            Ok(()) | Err(Errno::INVAL | Errno::NOSYS) => Ok(readable),
            Err(errno) => Err(Error::os("can't sync the restored tree", errno)),
        }
    }

    fn commit_by(&self, exchange: impl Fn() -> rustix::io::Result<()>) -> Result<()> {
        let failed = |errno| Error::os("can't give the restored tree its name", errno).with_path(&self.destination);
        if !self.replaces {
            // Over an empty directory this works too.
            let renamed = rustix::fs::renameat(CWD, &self.sibling, CWD, &self.destination).map_err(failed);
            return renamed.inspect_err(|_| self.abandon());
        }
        let old = match exchange() {
            Ok(()) => Ok(self.temporary.clone()),
            // Not every file system knows the flag. In between the destination has no name, which is as close as
            // such a file system comes.
            Err(Errno::INVAL | Errno::NOSYS) => self.step_in(),
            Err(errno) => Err(errno),
        };
        let old = old.map_err(failed).inspect_err(|_| self.abandon())?;
        remove_tree(&self.parent, &old).map(|_| ()).map_err(|error| {
            let why = "the new tree is in its place, but the old one could not be removed whole";
            let message = format!("{why}, some of it is left under '{}': {error}", printable(&old));
            Error::new(error.status(), message).with_path(&self.destination)
        })
    }

    /// After a failure: nothing of the new tree stays. That it can't be removed is no further error.
    pub(super) fn abandon(&self) {
        drop(self.spare.take());
        let _ = remove_tree(&self.parent, &self.temporary);
    }

    /// Takes the destination's name by two renames. Returns the name that the old tree has then.
    fn step_in(&self) -> rustix::io::Result<Vec<u8>> {
        let aside = self.parent.temporary_name(1);
        let path = self.sibling.with_file_name(OsStr::from_bytes(&aside));
        rustix::fs::renameat(CWD, &self.destination, CWD, &path)?;
        if let Err(errno) = rustix::fs::renameat(CWD, &self.sibling, CWD, &self.destination) {
            // The old tree back under its name; that this fails too is no further error.
            let _ = rustix::fs::renameat(CWD, &path, CWD, &self.destination);
            return Err(errno);
        }
        Ok(aside)
    }
}

fn sync_names(directory: &OwnedFd) -> Result<()> {
    match rustix::fs::fsync(directory) {
        // Some file systems don't sync directories and say so.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Error::os("the new tree is in its place, but its directory can't be synced", errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn begun(destination: &Path) -> Atomic {
        let mut options = Options::new();
        options.set(Key::Atomic, 1).unwrap().set(Key::Overwrite, 1).unwrap();
        let atomic = Atomic::begin(destination, &options).unwrap().unwrap();
        fs::create_dir(atomic.sibling()).unwrap();
        fs::write(atomic.sibling().join("new"), b"1").unwrap();
        atomic
    }

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn without_an_exchange_two_renames_put_the_new_tree_in_place_and_remove_the_old_one() {
        let parent = tempfile::tempdir().unwrap();
        let destination = parent.path().join("out");
        for errno in [Errno::INVAL, Errno::NOSYS] {
            fs::create_dir_all(destination.join("old/deep")).unwrap();
            begun(&destination).commit_by(|| Err(errno)).unwrap();
            assert_eq!((names(parent.path()), names(&destination)), (vec!["out".into()], vec!["new".to_owned()]));
        }
    }

    #[test]
    fn where_the_second_of_two_renames_fails_the_old_tree_has_its_name_again() {
        let parent = tempfile::tempdir().unwrap();
        let destination = parent.path().join("out");
        fs::create_dir_all(destination.join("old")).unwrap();
        let atomic = begun(&destination);
        fs::remove_dir_all(atomic.sibling()).unwrap();
        assert_eq!(atomic.commit_by(|| Err(Errno::INVAL)).unwrap_err().status(), Status::NotFound);
        assert_eq!((names(parent.path()), names(&destination)), (vec!["out".into()], vec!["old".to_owned()]));
    }

    #[test]
    fn any_other_failure_of_the_exchange_removes_the_new_tree() {
        let parent = tempfile::tempdir().unwrap();
        let destination = parent.path().join("out");
        fs::create_dir_all(destination.join("old")).unwrap();
        let error = begun(&destination).commit_by(|| Err(Errno::BUSY)).unwrap_err();
        assert_eq!((error.status(), error.os_code()), (Status::Io, libc::EBUSY));
        assert_eq!((names(parent.path()), names(&destination)), (vec!["out".into()], vec!["old".to_owned()]));
    }
}
