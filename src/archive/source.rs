//! Where an archive's bytes come from. Positioned reads everywhere and no mapping: a mapped file that is cut
//! while it is open would kill the host with SIGBUS.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, StatxTimestamp};

use crate::error::{Error, Result, Status};

/// Bytes at offsets, from any thread.
pub trait Source: Send + Sync {
    /// Bytes in all; does not change.
    fn size(&self) -> u64;

    /// Fills the whole buffer from `offset`, or fails.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The name of the file that it is, where that is known.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Times of the file that it is.
    fn times(&self) -> Option<FileTimes> {
        None
    }
}

/// Times of a file, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTimes {
    /// When it was made, where the file system tells.
    pub born: Option<i64>,
    /// When it was written to last.
    pub modified: i64,
}

/// A file.
pub struct FileSource {
    file: File,
    size: u64,
    path: Option<PathBuf>,
}

impl FileSource {
    /// Opens a regular file or a block device.
    pub fn open(path: &Path) -> Result<FileSource> {
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let named = |error: Error| error.with_path(path);
        let file =
            crate::sys::open(path, flags, Mode::empty()).map_err(|e| named(Error::os("can't open the archive", e)))?;
        FileSource::from_file(File::from(file)).map(|source| source.named(path)).map_err(named)
    }

    /// Takes an open file.
    pub fn from_file(file: File) -> Result<FileSource> {
        let stat = rustix::fs::fstat(&file).map_err(|e| Error::os("can't look at the archive", e))?;
        let size = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => stat.st_size.cast_unsigned(),
            FileType::BlockDevice => rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0))
                .map_err(|e| Error::os("can't size the device", e))?,
            _ => return Err(Error::new(Status::NotArchive, "not a regular file, so not an archive")),
        };
        Ok(FileSource { file, size, path: None })
    }

    /// Says what errors call the file.
    pub fn named(self, path: &Path) -> FileSource {
        FileSource { path: Some(path.to_owned()), ..self }
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| {
            let error = if error.kind() == std::io::ErrorKind::UnexpectedEof {
                Error::corrupt("source.short", "the archive was cut short while it was open")
            } else {
                Error::io("can't read the archive", &error)
            };
            match &self.path {
                Some(path) => error.with_path(path),
                None => error,
            }
        })
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn times(&self) -> Option<FileTimes> {
        let wanted = StatxFlags::BTIME | StatxFlags::MTIME;
        let stat = rustix::fs::statx(&self.file, c"", AtFlags::EMPTY_PATH, wanted).ok()?;
        let has = |flag: StatxFlags| stat.stx_mask & flag.bits() != 0;
        let ns = |time: StatxTimestamp| time.tv_sec.checked_mul(1_000_000_000)?.checked_add(i64::from(time.tv_nsec));
        let modified = ns(stat.stx_mtime).filter(|_| has(StatxFlags::MTIME))?;
        Some(FileTimes { born: ns(stat.stx_btime).filter(|_| has(StatxFlags::BTIME)), modified })
    }
}

/// Memory.
pub struct MemorySource(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl MemorySource {
    /// Shares bytes that live as long as the source.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> MemorySource {
        MemorySource(bytes)
    }
}

impl Source for MemorySource {
    fn size(&self) -> u64 {
        (*self.0).as_ref().len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = (*self.0).as_ref();
        let range = usize::try_from(offset).ok().and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
        let range = range.ok_or_else(|| Error::corrupt("source.short", "the archive is cut short"))?;
        buffer.copy_from_slice(range);
        Ok(())
    }
}
