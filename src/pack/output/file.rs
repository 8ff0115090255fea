//! An archive file: complete and synced under its final name, or not there at all.
//!
//! It is written without a name (`O_TMPFILE`), so that not even a kill leaves anything behind; where the file
//! system can't, under a temporary name beside the final one, which is removed on every way out but a kill.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result, Status};
use crate::options::Overwrite;
use crate::pack::copy::clone_or_copy;
use crate::pack::scan::Excluded;
use crate::progress::Reporter;

/// A file that becomes an archive.
pub(super) struct FileOutput {
    directory: OwnedFd,
    name: Vec<u8>,
    path: PathBuf,
    file: OwnedFd,
    /// The name that the file has meanwhile; none for nameless files.
    temporary: Option<Vec<u8>>,
    overwrite: Overwrite,
}

impl FileOutput {
    /// Begins an archive that is to stand under exactly the name given.
    ///
    /// # Errors
    /// `E_EXISTS` where something has the name and may not be replaced; the directory's error where it can't be
    /// written to.
    pub(super) fn create(path: &Path, overwrite: Overwrite) -> Result<FileOutput> {
        let named = |error: Error| error.with_path(path);
        let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/")).ok_or_else(|| {
            named(Error::new(Status::InvalidArgument, "the archive's name is missing; give the name of a file"))
        })?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = crate::sys::open(parent, flags, Mode::empty())
            .map_err(|e| Error::os("can't open the directory of the archive", e).with_path(parent))?;
        let name = name.as_bytes().to_vec();
        check_name(&directory, &name, overwrite).map_err(named)?;
        let (file, temporary) = create_file(&directory, &name).map_err(named)?;
        Ok(FileOutput { directory, name, path: path.to_owned(), file, temporary, overwrite })
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn append(&mut self, mut offset: u64, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.file, bytes, offset) {
                Ok(0) => return Err(Error::new(Status::Io, "can't write the archive").with_path(&self.path)),
                Ok(written) => {
                    offset += written as u64;
                    bytes = &bytes[written..];
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::os("can't write the archive", error).with_path(&self.path)),
            }
        }
        Ok(())
    }

    /// Takes over the first `len` bytes of an archive, and who may read and write it. Nothing was written yet.
    pub(super) fn clone_from_file(&mut self, from: &File, len: u64, reporter: &mut Reporter) -> Result<()> {
        clone_or_copy(from, self.file.as_fd(), len, reporter).map_err(|error| error.with_path(&self.path))?;
        self.take_mode_of(from)
    }

    /// Takes over who may read and write an archive.
    pub(super) fn take_mode_of(&mut self, from: &File) -> Result<()> {
        let stat = rustix::fs::fstat(from).map_err(|e| self.failed("can't look at the archive", e))?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::fchmod(&self.file, mode).map_err(|e| self.failed("can't set the mode of the archive", e))
    }

    /// Device, inode, size and modification time of what has the archive's name now.
    pub(super) fn named(&self) -> Result<Stat> {
        rustix::fs::statat(&self.directory, &*self.name, AtFlags::empty())
            .map_err(|e| self.failed("can't look at the archive", e))
    }

    /// What must not be packed, since it is the archive itself.
    pub(super) fn excluded(&self) -> Result<Excluded> {
        let temporary = rustix::fs::fstat(&self.file).map_err(|e| self.failed("can't look at the archive", e))?;
        let directory =
            rustix::fs::fstat(&self.directory).map_err(|e| self.failed("can't look at the directory", e))?;
        Ok(Excluded {
            temporary: (temporary.st_dev, temporary.st_ino),
            directory: (directory.st_dev, directory.st_ino),
            name: self.name.clone(),
        })
    }

    /// Syncs the file, gives it its name and syncs the directory. After this the archive survives a power cut.
    pub(super) fn commit(&mut self) -> Result<()> {
        // A failed sync is final: the kernel may have dropped the pages, so a second try would lie.
        rustix::fs::fsync(&self.file).map_err(|e| self.failed("can't sync the archive", e))?;
        if self.temporary.is_none() {
            if self.overwrite != Overwrite::Replace {
                link_nameless(&self.file, &self.directory, &self.name)
                    .map_err(|e| self.failed("can't name the archive", e))?;
                return self.sync_directory();
            }
            let temporary = temporary_name(&self.name);
            link_nameless(&self.file, &self.directory, &temporary)
                .map_err(|e| self.failed("can't name the archive", e))?;
            self.temporary = Some(temporary);
        }
        if let Some(temporary) = &self.temporary {
            let flags = match self.overwrite {
                Overwrite::Replace => RenameFlags::empty(),
                _ => RenameFlags::NOREPLACE,
            };
            rename(&self.directory, temporary, &self.name, flags)
                .map_err(|e| self.failed("can't name the archive", e))?;
            self.temporary = None;
        }
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<()> {
        match rustix::fs::fsync(&self.directory) {
            // Some file systems don't sync directories and say so.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(self.failed("can't sync the directory of the archive", error)),
        }
    }

    fn failed(&self, action: &str, errno: Errno) -> Error {
        Error::os(action, errno).with_path(&self.path)
    }
}

impl Drop for FileOutput {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing can be done about a failure here, and the error that led here is the one to report.
            let _ = rustix::fs::unlinkat(&self.directory, &**temporary, AtFlags::empty());
        }
    }
}

/// Refuses early, before the tree is read. What happens to the name meanwhile is decided again at the end.
fn check_name(directory: &OwnedFd, name: &[u8], overwrite: Overwrite) -> Result<()> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::os("can't look at the archive's name", error)),
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory => {
            Err(Error::new(Status::Exists, "is a directory; give the name of a file"))
        }
        Ok(_) if overwrite != Overwrite::Replace => {
            Err(Error::new(Status::Exists, "exists already; choose another name or ask for it to be replaced"))
        }
        Ok(_) => Ok(()),
    }
}

fn create_file(directory: &OwnedFd, name: &[u8]) -> Result<(OwnedFd, Option<Vec<u8>>)> {
    let mode = Mode::from_raw_mode(0o666);
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    if let Ok(file) = crate::sys::openat(directory, c".", flags, mode) {
        // Naming it later goes through /proc, which a chroot may lack.
        if rustix::fs::statat(CWD, proc_path(&file), AtFlags::empty()).is_ok() {
            return Ok((file, None));
        }
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..16 {
        let temporary = temporary_name(name);
        match crate::sys::openat(directory, &*temporary, flags, mode) {
            Ok(file) => return Ok((file, Some(temporary))),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(Error::os("can't create the archive", error)),
        }
    }
    Err(Error::new(Status::Exists, "can't find a free temporary name beside the archive"))
}

fn proc_path(file: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn link_nameless(file: &OwnedFd, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, proc_path(file), directory, name, AtFlags::SYMLINK_FOLLOW)
}

fn rename(directory: &OwnedFd, from: &[u8], to: &[u8], flags: RenameFlags) -> Result<(), Errno> {
    match rustix::fs::renameat_with(directory, from, directory, to, flags) {
        // File systems without RENAME_NOREPLACE: a link refuses existing names just as well.
        Err(Errno::INVAL | Errno::NOSYS) if flags == RenameFlags::NOREPLACE => {
            rustix::fs::linkat(directory, from, directory, to, AtFlags::empty())?;
            rustix::fs::unlinkat(directory, from, AtFlags::empty())
        }
        result => result,
    }
}

/// A name that nobody else uses, short enough for names that are as long as names can be.
fn temporary_name(name: &[u8]) -> Vec<u8> {
    use std::hash::{BuildHasher, Hasher};
    // RandomState is seeded by the operating system; std has no other source of random numbers.
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let kept = &name[..name.len().min(200)];
    let mut temporary = std::ffi::OsString::from_vec([b".", kept].concat()).into_vec();
    temporary.extend_from_slice(format!(".{random:016x}.tmp").as_bytes());
    temporary
}
