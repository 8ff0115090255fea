//! Read and hash: a worker fills a buffer with the files of one unit and hashes each while it is in the cache.
//!
//! A file must be, after it was read, what the scan saw: same inode, size and modification time. Otherwise it
//! changed meanwhile, which is an error, or a skip by option; never a padded or cut file.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use blake3::hazmat::ChainingValue;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::beneath::{Access, DirectoryCache, Root, is_out_of_descriptors};
use crate::error::{Error, Result, Status};
use crate::format::hash::{Digest, hash, window_value};
use crate::options::Layout;
use crate::pack::holes;
use crate::pack::plan::{Plan, Unit};
use crate::pack::probe::{self, Trial};
use crate::pack::scan::{Record, Tree, mtime};
use crate::progress::CancelToken;

/// Slices of big files that are stored are at most this long, so that a read at an offset need not check more.
const STORED_SLICE: usize = 1 << 20;

/// A slice in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Where it starts in the buffer, and its bytes.
    pub(super) start: usize,
    pub(super) len: usize,
    /// Where it starts in its file.
    pub(super) offset: u64,
    pub(super) checksum: Digest,
}

/// A small file that was read.
pub(super) struct SmallFile {
    pub(super) record: u32,
    /// Its pieces are those up to this number of [`ReadUnit::pieces`], from where the file before ends.
    pub(super) pieces_end: usize,
    /// The hash of the whole, where not one piece is the whole.
    pub(super) whole: Option<Digest>,
}

/// What was read: files, or one window.
pub(super) enum Content {
    Small(Vec<SmallFile>),
    Window {
        /// The window's chaining value, where its file has several windows.
        value: Option<ChainingValue>,
        /// The hash of the whole, where the file has one window and not one piece is the whole.
        whole: Option<Digest>,
        /// The bytes don't compress.
        noise: bool,
    },
}

/// A unit that was read; its buffer goes along.
pub(super) struct ReadUnit {
    pub(super) pieces: Vec<Piece>,
    pub(super) content: Content,
    /// Files that are left out, by option.
    pub(super) skipped: Vec<(u32, Error)>,
}

/// Reads units. One a worker.
pub(super) struct Reader<'a> {
    root: &'a Root,
    tree: &'a Tree,
    plan: &'a Plan,
    layout: &'a Layout,
    lenient: bool,
    cancel: &'a CancelToken,
    directories: DirectoryCache<OwnedFd>,
    trial: Trial,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        root: &'a Root,
        tree: &'a Tree,
        plan: &'a Plan,
        layout: &'a Layout,
        lenient: bool,
        threads: usize,
        cancel: &'a CancelToken,
    ) -> Result<Reader<'a>> {
        let directories = DirectoryCache::new(threads);
        Ok(Reader { root, tree, plan, layout, lenient, cancel, directories, trial: Trial::new()? })
    }

    /// Fills `buffer`, which is longer than the unit.
    pub(super) fn read(&mut self, unit: &Unit, buffer: &mut [u8]) -> Result<ReadUnit> {
        match *unit {
            Unit::Small { from, to, .. } => self.read_small(from as usize..to as usize, buffer),
            Unit::Window { record, big, number, offset, len } => {
                let windows = self.plan.big[big as usize].windows;
                let read = self.read_window(record, windows, number, offset, &mut buffer[..len]);
                match read {
                    Err(error) if self.lenient && error.is_about_its_object() => {
                        let content = Content::Window { value: None, whole: None, noise: false };
                        Ok(ReadUnit { pieces: Vec::new(), content, skipped: vec![(record, error)] })
                    }
                    read => read,
                }
            }
        }
    }

    fn read_small(&mut self, range: std::ops::Range<usize>, buffer: &mut [u8]) -> Result<ReadUnit> {
        let mut files = Vec::with_capacity(range.len());
        let mut unit = ReadUnit {
            pieces: Vec::with_capacity(range.len()),
            content: Content::Small(Vec::new()),
            skipped: Vec::new(),
        };
        let mut at = 0;
        for &number in &self.plan.small[range] {
            self.cancel.check()?;
            let record = &self.tree.records[number as usize];
            let len = record.size as usize;
            let result = self.fill(record, 0, &mut buffer[at..at + len]);
            if let Err(error) = result {
                let error = error.with_path(self.tree.host_path(record));
                if !self.lenient || !error.is_about_its_object() {
                    return Err(error);
                }
                unit.skipped.push((number, error));
                continue;
            }
            let bytes = &buffer[at..at + len];
            let pieces = &mut unit.pieces;
            let before = pieces.len();
            holes::for_each_data(bytes, |start, len| {
                let checksum = hash(&bytes[start..start + len]);
                pieces.push(Piece { start: at + start, len, offset: start as u64, checksum });
            });
            let one = len == 0 || pieces.get(before).is_some_and(|piece| piece.len == len);
            let whole = if one { None } else { Some(hash(bytes)) };
            files.push(SmallFile { record: number, pieces_end: pieces.len(), whole });
            at += len;
        }
        unit.content = Content::Small(files);
        Ok(unit)
    }

    fn read_window(
        &mut self,
        number: u32,
        windows: u32,
        window: u32,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<ReadUnit> {
        self.cancel.check()?;
        let record = &self.tree.records[number as usize];
        let named = |error: Error| error.with_path(self.tree.host_path(record));
        self.fill(record, offset, bytes).map_err(named)?;
        let noise = self.is_noise(record, window, bytes)?;
        let mut pieces = Vec::new();
        let longest = if noise { STORED_SLICE } else { bytes.len() };
        holes::for_each_data(bytes, |start, len| {
            for from in (start..start + len).step_by(longest) {
                let len = longest.min(start + len - from);
                let checksum = hash(&bytes[from..from + len]);
                pieces.push(Piece { start: from, len, offset: offset + from as u64, checksum });
            }
        });
        let one = pieces.len() == 1 && pieces[0].len == bytes.len();
        let value = (windows > 1).then(|| window_value(bytes, offset));
        let whole = (windows == 1 && !one).then(|| hash(bytes));
        Ok(ReadUnit { pieces, content: Content::Window { value, whole, noise }, skipped: Vec::new() })
    }

    /// Extension and first bytes are believed together; samples decide about everything else.
    fn is_noise(&mut self, record: &Record, window: u32, bytes: &[u8]) -> Result<bool> {
        let extension = crate::format::path::extension(self.tree.names.name(record.name));
        let known = window == 0 && probe::is_packed_extension(extension) && probe::is_packed_magic(bytes);
        if known && !self.layout.no_skip {
            return Ok(true);
        }
        probe::is_noise(bytes, &mut self.trial)
    }

    fn fill(&mut self, record: &Record, offset: u64, bytes: &mut [u8]) -> Result<()> {
        match self.try_fill(record, offset, bytes) {
            // Other parts of the process take descriptors too: try again with fewer handles.
            Err(error) if is_out_of_descriptors(error.os_code()) && self.directories.shrink() => {
                self.try_fill(record, offset, bytes)
            }
            result => result,
        }
    }

    fn try_fill(&mut self, record: &Record, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let (root, names) = (self.root, &self.tree.names);
        let number = record.name.directory;
        let directory = self
            .directories
            .get(number, || root.open(names.directory(number), Access::Handle))
            .map_err(|e| vanished("can't open its directory", e))?;
        read_checked(directory.as_fd(), names.name(record.name), record, offset, bytes)
    }
}

/// Opens, reads and checks one file, or a part of it.
fn read_checked(directory: BorrowedFd<'_>, name: &[u8], record: &Record, offset: u64, bytes: &mut [u8]) -> Result<()> {
    // O_NONBLOCK: if a FIFO has taken the file's place since the scan, opening it must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file =
        rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(|e| vanished("can't open the file", e))?;
    let mut stat = None;
    if bytes.len() >= holes::MIN_HOLE {
        stat = Some(rustix::fs::fstat(&file).map_err(|e| Error::os("can't look at the file", e))?);
    }
    let sparse = stat.is_some_and(|stat| (stat.st_blocks as u64) * 512 < record.size);
    let filled = if sparse { fill_sparse(&file, offset, bytes) } else { fill(&file, offset, bytes) };
    let filled = filled.map_err(|e| Error::os("can't read the file", e))?;
    let grown = bytes.is_empty() && {
        let read = rustix::io::pread(&file, &mut [0; 1], 0).map_err(|e| Error::os("can't read the file", e))?;
        read > 0
    };
    let stat = rustix::fs::fstat(&file).map_err(|e| Error::os("can't look at the file", e))?;
    let same = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_ino == record.inode
        && stat.st_size as u64 == record.size
        && mtime(&stat) == record.mtime_ns;
    if same && filled && !grown {
        return Ok(());
    }
    let why = "the file changed while it was being packed; pack again when nothing writes to it";
    Err(Error::new(Status::Changed, why))
}

/// Fills the buffer; `false` where the file ends before.
fn fill(file: &impl std::os::fd::AsFd, offset: u64, bytes: &mut [u8]) -> Result<bool, Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => return Ok(false),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The same for a file that has holes: they are not read, which matters where they are most of it.
fn fill_sparse(file: &impl std::os::fd::AsFd, offset: u64, bytes: &mut [u8]) -> Result<bool, Errno> {
    let end = offset + bytes.len() as u64;
    let mut at = offset;
    while at < end {
        let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data.min(end),
            // Nothing but a hole from here to the end of the file.
            Err(Errno::NXIO) => end,
            // The file system doesn't say: read everything.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return fill(file, offset, bytes),
            Err(error) => return Err(error),
        };
        bytes[(at - offset) as usize..(data - offset) as usize].fill(0);
        if data == end {
            break;
        }
        let hole = rustix::fs::seek(file, SeekFrom::Hole(data))?.min(end);
        if !fill(file, data, &mut bytes[(data - offset) as usize..(hole - offset) as usize])? {
            return Ok(false);
        }
        at = hole;
    }
    Ok(true)
}

/// What the scan saw is gone, or something else has taken its place.
fn vanished(action: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => {
            let why = format!("{action}: it vanished or was replaced while it was being packed");
            Error::new(Status::Changed, why)
        }
        errno => Error::os(action, errno),
    }
}
