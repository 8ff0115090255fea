//! The whole tree or nothing: restored into a sibling of the destination, which then takes its name by one rename.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result, Status};
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
}

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
        let (destination, replaces) = match std::fs::read_dir(destination) {
            Ok(mut entries) => (std::fs::canonicalize(destination).map_err(failed)?, entries.next().is_some()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
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
        let temporary = parent.temporary_name(0);
        let sibling = directory.join(OsStr::from_bytes(&temporary));
        Ok(Some(Atomic { parent, replaces, temporary, sibling, destination }))
    }

    /// Where to restore to.
    pub(super) fn sibling(&self) -> &Path {
        &self.sibling
    }

    /// Puts the tree in its place and removes the old one.
    pub(super) fn commit(&self) -> Result<()> {
        let failed = |errno| Error::os("can't give the restored tree its name", errno).with_path(&self.destination);
        if !self.replaces {
            // Over an empty directory this works too.
            let renamed = rustix::fs::renameat(CWD, &self.sibling, CWD, &self.destination).map_err(failed);
            return renamed.inspect_err(|_| self.abandon());
        }
        match rustix::fs::renameat_with(CWD, &self.sibling, CWD, &self.destination, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // Not every file system knows the flag. In between the destination has no name, which is as close as
            // such a file system comes.
            Err(Errno::INVAL | Errno::NOSYS) => self.swap().map_err(failed).inspect_err(|_| self.abandon())?,
            Err(errno) => {
                self.abandon();
                return Err(failed(errno));
            }
        }
        remove_tree(&self.parent, &self.temporary).map(|_| ())
    }

    /// After a failure: nothing of the new tree stays. That it can't be removed is no further error.
    pub(super) fn abandon(&self) {
        let _ = remove_tree(&self.parent, &self.temporary);
    }

    fn swap(&self) -> rustix::io::Result<()> {
        let aside = self.sibling.with_file_name(OsStr::from_bytes(&self.parent.temporary_name(1)));
        rustix::fs::renameat(CWD, &self.destination, CWD, &aside)?;
        if let Err(errno) = rustix::fs::renameat(CWD, &self.sibling, CWD, &self.destination) {
            let _ = rustix::fs::renameat(CWD, &aside, CWD, &self.destination);
            return Err(errno);
        }
        rustix::fs::renameat(CWD, &aside, CWD, &self.sibling)
    }
}
