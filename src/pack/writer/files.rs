//! Entries that are added one by one: files, buffers and streams.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use super::Writer;
use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::options::Key;
use crate::pack::entry::NewEntry;
use crate::pack::gather::{Assembly, BigFile};
use crate::pack::plan::Class;
use crate::pack::scan::{RootRecord, XattrReader};
use crate::pack::{probe, scan};

impl Writer {
    pub(super) fn take_file(&mut self, source: &Path, path: &[u8]) -> Result<()> {
        let named = |error: Error| error.with_path(source);
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            crate::sys::open(source, flags, Mode::empty()).map_err(|e| named(Error::os("can't open the file", e)))?;
        let look = |file: &File| rustix::fs::fstat(file).map_err(|e| Error::os("can't look at the file", e));
        let file = File::from(file);
        let before = look(&file).map_err(named)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            let why = "is not a regular file; add directories as trees, and other kinds by what they are";
            return Err(named(Error::new(Status::InvalidArgument, why)));
        }
        if self.pipeline.output.excluded()?.temporary == (before.st_dev, before.st_ino) {
            return Err(named(Error::new(Status::InvalidArgument, "is the archive that is being written")));
        }
        let xattrs = self.options.flag(Key::Xattrs).then(|| XattrReader::default().read(file.as_fd()));
        let xattrs = xattrs.transpose().map_err(named)?.flatten();
        let mut entry = self.owned(NewEntry::file(path), &before);
        entry.mode = Some(before.st_mode & 0o7777);
        entry.mtime_ns = Some(scan::mtime(&before)).filter(|mtime| *mtime != scan::NO_MTIME);
        let changed = || {
            let why = "the file changed while it was being packed; add it again when nothing writes to it";
            Error::new(Status::Changed, why)
        };
        let size = before.st_size as u64;
        let mut total = 0u64;
        let mut read = |buffer: &mut [u8]| loop {
            match rustix::io::read(&file, &mut *buffer) {
                Ok(read) => {
                    total += read as u64;
                    // Whoever appends faster than this reads would never let it end.
                    return if total > size { Err(changed()) } else { Ok(read) };
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::os("can't read the file", error)),
            }
        };
        let mut unchanged = |total: u64| {
            let after = look(&file)?;
            let same = total == size && after.st_size as u64 == size && scan::mtime(&after) == scan::mtime(&before);
            if same { Ok(()) } else { Err(changed()) }
        };
        self.take_stream(&entry, &mut read, &mut unchanged).map_err(named)?;
        xattrs.into_iter().for_each(|set| self.entries.set_xattrs(set));
        Ok(())
    }

    pub(super) fn take_root(&mut self, root: &NewEntry<'_>) -> Result<()> {
        let Some(mode) = root.mode.filter(|mode| *mode <= 0o7777) else {
            let why = "the root of the archive is added with a mode of 12 bits";
            return Err(Error::new(Status::InvalidArgument, why));
        };
        let mtime_ns = root.mtime_ns.unwrap_or(scan::NO_MTIME);
        self.root = Some(RootRecord { mode, mtime_ns, xattrs: None });
        Ok(())
    }

    pub(super) fn take_bytes(&mut self, entry: &NewEntry<'_>, bytes: &[u8]) -> Result<()> {
        entry.check()?;
        let replaced = self.entries.check(entry.path, entry.kind, self.replaces())?;
        self.check_existing(entry.path, entry.kind)?;
        if entry.kind != EntryKind::File {
            if !bytes.is_empty() {
                let why = "only a file has bytes";
                return Err(Error::new(Status::InvalidArgument, why).with_entry(entry.path));
            }
            return self.add_without_bytes(entry, replaced);
        }
        self.begin_packing(entry)?;
        if bytes.len() as u64 <= self.layout.small_file {
            return self.add_small(entry, bytes, replaced);
        }
        let (number, mut big) = self.begin_big(entry)?;
        let windows = bytes.chunks(self.layout.slice_size);
        let last = windows.len() - 1;
        let mut whole = Assembly::new(self.pipeline.has_providers());
        for (at, window) in windows.enumerate() {
            whole.push(window)?;
            let Writer { gatherer, pipeline, reporter, .. } = self;
            let mut buffer = gatherer.buffer(pipeline, reporter)?;
            buffer[..window.len()].copy_from_slice(window);
            big.window(buffer, window.len(), Some(at == last), pipeline, reporter)?;
        }
        self.end_big(number, entry, &big, replaced);
        whole.offer(number, entry.path, &mut self.pipeline, &mut self.reporter)
    }

    /// Takes a file of unknown size. `check` is asked at its end, with its size, before the entry is taken.
    pub(super) fn take_stream(
        &mut self,
        entry: &NewEntry<'_>,
        read: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
        check: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        entry.check()?;
        let replaced = self.entries.check(entry.path, entry.kind, self.replaces())?;
        self.check_existing(entry.path, entry.kind)?;
        self.begin_packing(entry)?;
        let (small, slice) = (self.layout.small_file as usize, self.layout.slice_size);
        // Enough to know whether the file is small; buffers are longer by one for that.
        let decisive = if small < slice { slice } else { small + 1 };
        let mut buffer = self.gatherer.buffer(&mut self.pipeline, &mut self.reporter)?;
        let mut filled = match self.fill(&mut buffer[..decisive], read) {
            Ok(filled) => filled,
            Err(error) => {
                self.pipeline.give_back(buffer);
                return Err(error);
            }
        };
        let mut ended = filled < decisive;
        if ended && filled <= small {
            let added = check(filled as u64).and_then(|()| self.add_small(entry, &buffer[..filled], replaced));
            self.pipeline.give_back(buffer);
            return added;
        }
        let (number, mut big) = self.begin_big(entry)?;
        let mut whole = Assembly::new(self.pipeline.has_providers());
        let mut pass = |writer: &mut Writer, big: &mut BigFile| -> Result<()> {
            loop {
                while filled > slice {
                    whole.push(&buffer[..slice])?;
                    let Writer { gatherer, pipeline, reporter, .. } = &mut *writer;
                    let mut window = gatherer.buffer(pipeline, reporter)?;
                    window[..slice].copy_from_slice(&buffer[..slice]);
                    big.window(window, slice, Some(false), pipeline, reporter)?;
                    buffer.copy_within(slice..filled, 0);
                    filled -= slice;
                }
                if !ended && filled < slice {
                    let more = writer.fill(&mut buffer[filled..slice], read)?;
                    filled += more;
                    ended = filled < slice;
                }
                if ended {
                    check(big.size() + filled as u64)?;
                }
                let Writer { gatherer, pipeline, reporter, .. } = &mut *writer;
                // Of a full window nobody knows yet whether it is the last.
                if filled > 0 {
                    whole.push(&buffer[..filled])?;
                    big.window(std::mem::take(&mut buffer), filled, ended.then_some(true), pipeline, reporter)?;
                }
                if ended {
                    return Ok(());
                }
                buffer = gatherer.buffer(pipeline, reporter)?;
                filled = writer.fill(&mut buffer[..slice], read)?;
                ended = filled < slice;
                if filled == 0 {
                    check(big.size())?;
                    return big.end(&mut writer.pipeline, &mut writer.reporter);
                }
            }
        };
        let passed = pass(self, &mut big);
        if !buffer.is_empty() {
            self.pipeline.give_back(buffer);
        }
        if let Err(error) = passed {
            self.entries.leave_out(number);
            return Err(error);
        }
        self.end_big(number, entry, &big, replaced);
        whole.offer(number, entry.path, &mut self.pipeline, &mut self.reporter)
    }

    /// Fills the buffer as far as the stream goes.
    pub(super) fn fill(
        &mut self,
        buffer: &mut [u8],
        read: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let room = &mut buffer[filled..];
            let most = room.len();
            match read(room)? {
                0 => break,
                got if got <= most => filled += got,
                got => {
                    let why = format!("the stream says that it read {got} bytes into room for {most}");
                    return Err(Error::refused(Status::Callback, "stream.count", why));
                }
            }
            self.reporter.tick(None)?;
        }
        Ok(filled)
    }

    pub(super) fn add_small(&mut self, entry: &NewEntry<'_>, bytes: &[u8], replaced: Option<u32>) -> Result<()> {
        let class = if self.is_packed(entry) { Class::Packed } else { Class::Ordinary };
        let Writer { entries, gatherer, pipeline, reporter, .. } = self;
        pipeline.vital(|pipeline| {
            let number = entries.push(entry, bytes.len() as u64)?;
            pipeline.sequencer.expect_entries(1)?;
            pipeline.recorder.iter_mut().for_each(|recorder| recorder.single(number, entry, bytes.len() as u64));
            gatherer.small((number, entry.path), class, bytes, pipeline, reporter)?;
            entries.settle(number, entry.path, replaced);
            Ok(())
        })
    }

    pub(super) fn begin_big(&mut self, entry: &NewEntry<'_>) -> Result<(u32, BigFile)> {
        let Writer { entries, pipeline, .. } = self;
        let (number, part) = pipeline.vital(|pipeline| {
            let number = entries.push(entry, 0)?;
            pipeline.sequencer.expect_entries(1)?;
            pipeline.recorder.iter_mut().for_each(|recorder| recorder.single(number, entry, 0));
            Ok((number, pipeline.sequencer.expect_windows(number)?))
        })?;
        let packed = probe::is_packed_extension(path::extension(path::split(entry.path).1));
        Ok((number, BigFile::new(part, packed)))
    }

    pub(super) fn end_big(&mut self, number: u32, entry: &NewEntry<'_>, big: &BigFile, replaced: Option<u32>) {
        self.entries.set_size(number, big.size());
        self.entries.settle(number, entry.path, replaced);
    }

    pub(super) fn is_packed(&self, entry: &NewEntry<'_>) -> bool {
        !self.layout.no_skip && probe::is_packed_extension(path::extension(path::split(entry.path).1))
    }

    pub(super) fn begin_packing(&mut self, entry: &NewEntry<'_>) -> Result<()> {
        // What may fail for want of memory comes before anything is taken.
        self.gatherer.start(&mut self.pipeline)?;
        self.begin()?;
        self.totals = None;
        if self.packing { self.reporter.tick(Some(entry.path)) } else { self.go_on_packing() }
    }
}
