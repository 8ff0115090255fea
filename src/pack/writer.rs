//! The writer: trees, files, buffers and streams go through one pipeline into one archive.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use crate::beneath::{Root, threads_within_descriptors};
use crate::error::{Error, Result, Status};
use crate::format::row::EntryKind;
use crate::format::{container, path};
use crate::options::{Key, Layout, Options, Overwrite, Profile};
use crate::pack::append::Existing;
use crate::pack::base::Base;
use crate::pack::batch::Batch;
use crate::pack::entries::Entries;
use crate::pack::entry::NewEntry;
use crate::pack::finish::{self, Packed};
use crate::pack::gather::{Assembly, BigFile, Gatherer};
use crate::pack::output::{Output, Sink};
use crate::pack::pipeline::Pipeline;
use crate::pack::plan::{Class, Plan, plan};
use crate::pack::scan::{RootRecord, Tree, XattrReader};
use crate::pack::{exchange, probe, scan};
use crate::progress::{LogLevel, Phase, Reporter, UNKNOWN};
use crate::provider::MAX_FILE;
use crate::stats::Stats;

/// Makes one archive of everything that is added to it.
///
/// What the archive holds depends on what was added, in which order, and on the options that are recorded; never on
/// threads, memory, time or the pieces in which a stream comes. Files and buffers are read when they are added: they
/// may change or go afterwards. Directories above an entry get no entry of their own.
///
/// An entry that is refused or can't be read leaves the writer as it was, save for bytes of a big file that have
/// gone out and that no entry uses then. Other failures are final, and so is a cancel: the threads have ended then,
/// and every further call is `E_INVALID_STATE`. Final are failures to write the archive, and those of reading a tree
/// once its files are being packed. A writer that is dropped before [`Writer::finish`] leaves nothing behind.
pub struct Writer {
    options: Options,
    layout: Layout,
    reporter: Reporter,
    started: Instant,
    pipeline: Pipeline,
    entries: Entries,
    gatherer: Gatherer,
    /// Files and bytes to pack, as far as there are trees only.
    totals: Option<(u64, u64)>,
    /// Progress is that of packing.
    packing: bool,
    root: Option<RootRecord>,
    /// What unchanged files are taken from, once a tree was added.
    base: Option<Base>,
    skipped: u64,
    state: State,
}

enum State {
    Open,
    Finished,
    Failed(Error),
}

/// How many threads and buffers a tree gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    /// There will be nothing else.
    Sole,
    One,
}

impl Writer {
    /// A writer of the file `archive`, which gets exactly that name when it is finished.
    ///
    /// # Errors
    /// `E_EXISTS` where the name is taken and `overwrite` is not set.
    pub fn create(archive: &Path, options: &Options) -> Result<Writer> {
        Ok(Writer::new(Output::file(archive, options.overwrite(), options)?, options))
    }

    /// A writer that adds to an archive. What is there stays byte for byte; the result takes its place when it is
    /// finished, and until then, or where that fails, the old archive stands.
    ///
    /// Options that decide the layout are those that the archive records, where they are not set.
    ///
    /// # Errors
    /// Those of opening, and `E_UNSUPPORTED` where the archive has something that could not be kept.
    pub fn append(archive: &Path, options: &Options) -> Result<Writer> {
        // A link to an archive stays one.
        let archive = std::fs::canonicalize(archive)
            .map_err(|error| Error::io("can't open the archive", &error).with_path(archive))?;
        exchange::check_alone(options, "appending")?;
        let mut existing = Existing::open(&archive, options)?;
        let options = existing.options(options);
        let mut writer = Writer::new(Output::file(&archive, Overwrite::Replace, &options)?, &options);
        let (compact, pipeline) = (options.flag(Key::Compact), &mut writer.pipeline);
        let taken = existing.take_over(compact, pipeline, &mut writer.reporter);
        taken.map_err(|error| error.with_path(&archive))?;
        writer.root = existing.root();
        writer.pipeline.existing = Some(existing);
        Ok(writer)
    }

    /// A writer that gives the bytes of the archive to a sink, in order. The sink is first called by the first call that
    /// adds something.
    pub fn to_sink(sink: Box<dyn Sink>, options: &Options) -> Writer {
        Writer::new(Output::sink(sink, options), options)
    }

    fn new(output: Output, options: &Options) -> Writer {
        let layout = options.layout();
        Writer {
            options: options.clone(),
            layout,
            reporter: Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval()),
            started: Instant::now(),
            pipeline: Pipeline::new(options, output),
            entries: Entries::new(options.repo()),
            gatherer: Gatherer::new(&layout),
            totals: Some((0, 0)),
            packing: false,
            root: None,
            base: None,
            skipped: 0,
            state: State::Open,
        }
    }

    /// Adds everything below the directory `source`, with `prefix` in front of each path. A prefix is the path of the
    /// tree's root, which becomes a directory in the archive; without one, the root's mode and time are those of the
    /// archive's own root. All files have been read when this returns.
    ///
    /// # Errors
    /// Those of reading the tree; `E_EXISTS` where paths are taken, unless `duplicate-paths` says otherwise.
    pub fn add_tree(&mut self, source: &Path, prefix: &[u8]) -> Result<()> {
        self.call(|writer| writer.take_tree(source, prefix, Share::One))
    }

    /// The same for a tree that is all that there will be.
    pub(super) fn add_sole_tree(&mut self, source: &Path) -> Result<()> {
        self.call(|writer| writer.take_tree(source, b"", Share::Sole))
    }

    /// Adds the file `source`, which may be a symbolic link to it, as `path`, with its mode and modification time, and
    /// with its owner and extended attributes by option.
    ///
    /// # Errors
    /// Those of reading it; `E_CHANGED` where it changes meanwhile; `E_EXISTS` where the path is taken.
    pub fn add_file(&mut self, source: &Path, path: &[u8]) -> Result<()> {
        self.call(|writer| writer.take_file(source, path))
    }

    /// Adds a file of these bytes, or an entry of another kind, which has none.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` or `E_UNSAFE_PATH` for an entry that can't be recorded; `E_EXISTS` where the path is taken.
    pub fn add_bytes(&mut self, entry: &NewEntry<'_>, bytes: &[u8]) -> Result<()> {
        self.call(|writer| writer.take_bytes(entry, bytes))
    }

    /// Adds a file of the bytes that `read` gives: it fills a buffer from its start and says how far, 0 at the end.
    ///
    /// # Errors
    /// As for [`Writer::add_bytes`], and what `read` reports.
    pub fn add_stream(&mut self, entry: &NewEntry<'_>, mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<()> {
        self.call(|writer| {
            if entry.kind != EntryKind::File {
                let why = "only a file can be added from a stream";
                return Err(Error::new(Status::InvalidArgument, why).with_entry(entry.path));
            }
            writer.take_stream(entry, &mut read, &mut |_| Ok(())).map_err(|error| error.with_entry(entry.path))
        })
    }

    /// Labels what is added from here on, in place of what the option `repo` says; an empty label is none.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` for what is no UTF-8, or too long.
    pub fn set_repo(&mut self, repo: &[u8]) -> Result<()> {
        self.call(|writer| {
            writer.options.set_bytes(Key::Repo, repo)?;
            writer.entries.set_repo(writer.options.repo());
            Ok(())
        })
    }

    /// Writes the index, and gives the archive its name or finishes the sink. The writer is of no use afterwards.
    ///
    /// # Errors
    /// Those of writing; all are final.
    pub fn finish(&mut self) -> Result<Stats> {
        self.call(|writer| {
            let stats = writer.complete();
            writer.state = match &stats {
                Ok(_) => State::Finished,
                Err(error) => State::Failed(error.clone()),
            };
            stats
        })
    }

    /// What all calls have in common: which errors are final.
    fn call<T>(&mut self, work: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        let ended = |why: String| Err(Error::new(Status::InvalidState, why));
        match &self.state {
            State::Open => {}
            State::Finished => return ended("the archive is finished; make another writer".into()),
            State::Failed(error) => return ended(format!("the writer failed before ({error}); make another one")),
        }
        for provider in self.options.providers() {
            provider.check_reentry()?;
        }
        let result = self.options.cancel().check().and_then(|()| work(self));
        if let Err(error) = &result {
            let is_final = matches!(error.status(), Status::Cancelled | Status::Panic | Status::NoMemory);
            if is_final || self.pipeline.is_broken() {
                self.state = State::Failed(error.clone());
            }
        }
        if !matches!(self.state, State::Open) {
            self.pipeline.stop();
        }
        result
    }

    fn take_tree(&mut self, source: &Path, prefix: &[u8], share: Share) -> Result<()> {
        if !prefix.is_empty() {
            path::check(prefix).map_err(|error| error.with_entry(prefix))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(source, flags, Mode::empty())
            .map_err(|e| Error::os("can't open the directory to pack", e).with_path(source))?;
        let stat =
            rustix::fs::fstat(&directory).map_err(|e| Error::os("can't look at the directory", e).with_path(source))?;
        let root = Root::new(directory);
        let excluded = self.pipeline.output.excluded()?;
        let threads = threads_within_descriptors(self.options.threads());
        self.packing = false;
        let mut tree = scan::scan(source, &root, &excluded, &self.options, threads, &mut self.reporter)?;
        if let Some(base) = self.options.base().filter(|_| self.base.is_none()) {
            exchange::check_alone(&self.options, "packing against a base")?;
            self.base = Some(Base::new(base)?);
        }
        let below = if prefix.is_empty() { Vec::new() } else { [prefix, b"/"].concat() };
        let reads_all = self.reads_all();
        let survey = |base: &Base| base.survey(&tree, &below, reads_all, &self.options, &mut self.reporter);
        let reuse = self.base.as_ref().map(survey).transpose()?;
        let plan = plan(&tree, &self.layout, reuse.as_ref().map_or(&[], |reuse| &reuse.settled))?;
        let above = NewEntry {
            mode: Some(tree.root.mode),
            mtime_ns: Some(tree.root.mtime_ns).filter(|mtime| *mtime != scan::NO_MTIME),
            ..self.owned(NewEntry::new(prefix, EntryKind::Directory), &stat)
        };
        let replace = self.replaces();
        let mut replaced_root = None;
        if !prefix.is_empty() {
            replaced_root = self.entries.check(prefix, EntryKind::Directory, replace)?;
        }
        let replaced = self.entries.check_tree(&tree, prefix, replace)?;
        self.check_existing_tree(&tree, prefix)?;
        self.begin()?;
        let longest = plan.longest;
        if plan.units > 0 {
            match share {
                Share::Sole => self.pipeline.start(longest, 1, self.assembled_bytes(&tree, &plan))?,
                Share::One => self.gatherer.start(&mut self.pipeline)?,
            }
        }
        // From here on the entries are taken, and failures are final.
        self.pipeline.vital(|pipeline| {
            self.gatherer.close(pipeline);
            pipeline.flush(&mut self.reporter)
        })?;
        if prefix.is_empty() {
            self.root = Some(tree.root.clone());
        } else {
            self.add_without_bytes(&above, replaced_root)?;
            tree.root.xattrs.iter().for_each(|set| self.entries.set_xattrs(Arc::clone(set)));
        }
        let left_out = std::mem::take(&mut tree.skipped);
        self.skipped += left_out.len() as u64;
        self.totals = self.totals.map(|(files, bytes)| {
            (files + (plan.small.len() + plan.big.len()) as u64, bytes.saturating_add(plan.bytes))
        });
        self.go_on_packing()?;
        let mut batch = Batch::of_tree(tree, plan, prefix, root, self.pipeline.workers());
        let Writer { entries, pipeline, reporter, base, .. } = self;
        pipeline.vital(|pipeline| {
            pipeline.expect(&mut batch, entries.count())?;
            if let Some((base, reuse)) = base.as_mut().zip(reuse) {
                base.take_over(&reuse, &batch, pipeline, reporter)?;
            }
            let batch = entries.push_tree(batch, replaced)?;
            let read = pipeline.tree(&batch, reporter);
            batch.close();
            read
        })?;
        for error in left_out.into_iter().chain(self.pipeline.skipped.drain(..)) {
            self.options.log(LogLevel::Warning, &format!("left out: {error}"));
        }
        Ok(())
    }

    fn take_file(&mut self, source: &Path, path: &[u8]) -> Result<()> {
        let named = |error: Error| error.with_path(source);
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file =
            rustix::fs::open(source, flags, Mode::empty()).map_err(|e| named(Error::os("can't open the file", e)))?;
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

    fn take_bytes(&mut self, entry: &NewEntry<'_>, bytes: &[u8]) -> Result<()> {
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
    fn take_stream(
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
    fn fill(&mut self, buffer: &mut [u8], read: &mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<usize> {
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

    fn add_without_bytes(&mut self, entry: &NewEntry<'_>, replaced: Option<u32>) -> Result<()> {
        let file = if entry.kind == EntryKind::Hardlink { Some(self.entries.link_target(entry)?) } else { None };
        let number = self.entries.push(entry, 0)?;
        self.pipeline.sequencer.expect_entries(1)?;
        if let Some(file) = file {
            self.entries.link(number, file);
        }
        self.entries.settle(number, entry.path, replaced);
        Ok(())
    }

    fn add_small(&mut self, entry: &NewEntry<'_>, bytes: &[u8], replaced: Option<u32>) -> Result<()> {
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

    fn begin_big(&mut self, entry: &NewEntry<'_>) -> Result<(u32, BigFile)> {
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

    fn end_big(&mut self, number: u32, entry: &NewEntry<'_>, big: &BigFile, replaced: Option<u32>) {
        self.entries.set_size(number, big.size());
        self.entries.settle(number, entry.path, replaced);
    }

    fn is_packed(&self, entry: &NewEntry<'_>) -> bool {
        !self.layout.no_skip && probe::is_packed_extension(path::extension(path::split(entry.path).1))
    }

    fn owned<'a>(&self, entry: NewEntry<'a>, stat: &Stat) -> NewEntry<'a> {
        let owned = self.options.flag(Key::RecordIds);
        NewEntry { uid: owned.then_some(stat.st_uid), gid: owned.then_some(stat.st_gid), ..entry }
    }

    /// Whether files that are as in the base are read all the same: to be compared, or for providers.
    fn reads_all(&self) -> bool {
        self.options.get(Key::BaseCheck) == 1 || !self.options.providers().is_empty()
    }

    /// Most bytes of the files of a tree that are put together for providers at a time: one that ends and one that begins.
    fn assembled_bytes(&self, tree: &Tree, plan: &Plan) -> usize {
        if self.options.providers().is_empty() {
            return 0;
        }
        let sizes = plan.big.iter().filter(|file| file.windows > 1).map(|file| tree.records[file.record as usize].size);
        2 * sizes.filter(|size| *size <= MAX_FILE).max().unwrap_or(0) as usize
    }

    fn replaces(&self) -> bool {
        self.options.get(Key::DuplicatePaths) == 1
    }

    fn begin_packing(&mut self, entry: &NewEntry<'_>) -> Result<()> {
        // What may fail for want of memory comes before anything is taken.
        self.gatherer.start(&mut self.pipeline)?;
        self.begin()?;
        self.totals = None;
        if self.packing { self.reporter.tick(Some(entry.path)) } else { self.go_on_packing() }
    }

    fn go_on_packing(&mut self) -> Result<()> {
        self.packing = true;
        self.reporter.resume(Phase::Pack, self.totals.unwrap_or((UNKNOWN, UNKNOWN)), self.pipeline.done())
    }

    /// Refuses a path that the archive has which is appended to, unless it may be replaced.
    fn check_existing(&self, path: &[u8], kind: EntryKind) -> Result<()> {
        match &self.pipeline.existing {
            Some(existing) if !self.replaces() => existing.check_path(path, kind),
            _ => Ok(()),
        }
    }

    fn check_existing_tree(&self, tree: &scan::Tree, prefix: &[u8]) -> Result<()> {
        if self.pipeline.existing.is_none() {
            return Ok(());
        }
        let mut path = prefix.to_vec();
        if !prefix.is_empty() {
            self.check_existing(prefix, EntryKind::Directory)?;
            path.push(b'/');
        }
        let start = path.len();
        for record in tree.records.iter().filter(|record| !record.skipped) {
            path.truncate(start);
            tree.names.append_path(record.name, &mut path);
            self.check_existing(&path, record.kind)?;
        }
        Ok(())
    }

    /// Writes the head, once. Version 3 has none.
    fn begin(&mut self) -> Result<()> {
        let has_head = self.layout.profile == Profile::Version4;
        self.pipeline.vital(|pipeline| match pipeline.output.position() {
            0 if has_head => pipeline.output.append(&container::head()),
            _ => Ok(()),
        })
    }

    /// Checks what other archives say of their bytes, as far as the new one rests on it.
    fn check_relied_on(&mut self) -> Result<()> {
        let Writer { pipeline, base, options, reporter, .. } = self;
        let slices = pipeline.sequencer.take_relied_on();
        if let Some(existing) = pipeline.existing.as_ref().filter(|_| !slices.is_empty()) {
            existing.check(&slices, &pipeline.written, options, reporter)?;
        }
        base.as_mut().map_or(Ok(()), |base| base.check(&slices, &pipeline.written, options, reporter))
    }

    fn complete(&mut self) -> Result<Stats> {
        self.begin()?;
        if !self.packing {
            self.go_on_packing()?;
        }
        self.gatherer.close(&mut self.pipeline);
        let stats = self.pipeline.drain(&mut self.reporter)?;
        self.reporter.end()?;
        self.check_relied_on()?;
        self.reporter.begin(Phase::Finish, u64::from(self.entries.count()), 0)?;
        self.entries.close();
        self.pipeline.record()?;
        let Pipeline { output, sequencer, written, claims, existing, recorder, .. } = &mut self.pipeline;
        let existing = existing.as_ref();
        let (entries, root) = (&self.entries, self.root.as_ref());
        let packed = Packed { entries, sequencer, written, claims, existing, root, recorder: recorder.as_mut() };
        let finish = if self.layout.profile == Profile::Version3 { exchange::finish } else { finish::finish };
        let mut stats = finish(packed, stats, &self.options, output, &mut self.reporter)?;
        if let Some(existing) = existing {
            existing.check_unchanged(&output.named()?)?;
        }
        output.commit()?;
        stats.skipped += self.skipped;
        stats.seconds = self.started.elapsed().as_secs_f64();
        // The archive is there now: a stop that comes this late is not an error any more.
        let _ = self.reporter.end();
        Ok(stats)
    }
}
