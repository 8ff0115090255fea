//! The writer: trees, files, buffers and streams go through one pipeline into one archive.
//!
//! ```text
//! tree     trees
//! files    files, buffers, streams and other entries, one by one
//! archive  whole archives
//! ```

mod archive;
mod files;
mod tree;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::Stat;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::format::container;
use crate::format::row::EntryKind;
use crate::format::xattrs::SetBuilder;
use crate::options::{Key, Layout, Options, Overwrite, Profile};
use crate::pack::append::Existing;
use crate::pack::base::Base;
use crate::pack::carried::Carried;
use crate::pack::donor::Donor;
use crate::pack::entries::Entries;
use crate::pack::entry::NewEntry;
use crate::pack::exchange;
use crate::pack::finish::{self, Packed};
use crate::pack::gather::Gatherer;
use crate::pack::output::{Output, Sink};
use crate::pack::pipeline::Pipeline;
use crate::pack::scan::RootRecord;
use crate::progress::{Phase, Reporter, UNKNOWN};
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
    /// What the next extended attribute belongs to, and those that it has.
    labelled: (Labelled, SetBuilder),
    /// What unchanged files are taken from, once a tree was added.
    base: Option<Base>,
    /// Archives that were added: what bytes from elsewhere rest on is proven at the end.
    donors: Vec<Donor>,
    carried: Carried,
    skipped: u64,
    state: State,
}

/// What was added last, as far as extended attributes can be given to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labelled {
    /// Nothing, a tree, or what was refused.
    Nothing,
    Root,
    Entry,
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
            labelled: (Labelled::Nothing, SetBuilder::default()),
            base: None,
            donors: Vec::new(),
            carried: Carried::default(),
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
        self.call(|writer| {
            writer.label(Labelled::Nothing);
            writer.take_tree(source, prefix, Share::One)
        })
    }

    /// The same for a tree that is all that there will be.
    pub(super) fn add_sole_tree(&mut self, source: &Path) -> Result<()> {
        self.call(|writer| writer.take_tree(source, b"", Share::Sole))
    }

    /// Adds all entries of another archive, with `prefix` in front of each path, as with a tree. Its blobs are copied as they
    /// are, each after its stored bytes were checked; what is there already is not stored again. Attributes, labels and
    /// columns come along; an entry without a label gets the one in force. The archive may be dropped by the caller,
    /// and is held here.
    ///
    /// # Errors
    /// Those of reading it; `E_EXISTS` where paths are taken, unless `duplicate-paths` says otherwise; `E_UNSUPPORTED` for
    /// what could not be kept, and for format version 3; `E_INVALID_ARGUMENT` for a column of another type than before.
    pub fn add_archive(&mut self, archive: Arc<dyn AsRef<Archive> + Send + Sync>, prefix: &[u8]) -> Result<()> {
        self.call(|writer| {
            writer.label(Labelled::Nothing);
            writer.take_archive(archive, prefix)
        })
    }

    /// Adds the file `source`, which may be a symbolic link to it, as `path`, with its mode and modification time, and
    /// with its owner and extended attributes by option.
    ///
    /// # Errors
    /// Those of reading it; `E_CHANGED` where it changes meanwhile; `E_EXISTS` where the path is taken.
    pub fn add_file(&mut self, source: &Path, path: &[u8]) -> Result<()> {
        self.call(|writer| {
            writer.label(Labelled::Nothing);
            writer.take_file(source, path)
        })
    }

    /// Adds a file of these bytes, or an entry of another kind, which has none. A directory with an empty path is the
    /// root of the archive: it is no entry, and its mode and time are recorded.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` or `E_UNSAFE_PATH` for an entry that can't be recorded; `E_EXISTS` where the path is taken.
    pub fn add_bytes(&mut self, entry: &NewEntry<'_>, bytes: &[u8]) -> Result<()> {
        self.call(|writer| {
            writer.label(Labelled::Nothing);
            if entry.path.is_empty() && entry.kind == EntryKind::Directory && bytes.is_empty() {
                writer.take_root(entry)?;
                writer.label(Labelled::Root);
            } else {
                writer.take_bytes(entry, bytes)?;
                writer.label(Labelled::Entry);
            }
            Ok(())
        })
    }

    /// Adds a file of the bytes that `read` gives: it fills a buffer from its start and says how far, 0 at the end.
    ///
    /// # Errors
    /// As for [`Writer::add_bytes`], and what `read` reports.
    pub fn add_stream(&mut self, entry: &NewEntry<'_>, mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<()> {
        self.call(|writer| {
            writer.label(Labelled::Nothing);
            if entry.kind != EntryKind::File {
                let why = "only a file can be added from a stream";
                return Err(Error::new(Status::InvalidArgument, why).with_entry(entry.path));
            }
            writer.take_stream(entry, &mut read, &mut |_| Ok(())).map_err(|error| error.with_entry(entry.path))?;
            writer.label(Labelled::Entry);
            Ok(())
        })
    }

    /// Gives what was added last, from bytes or a stream, an extended attribute.
    ///
    /// # Errors
    /// `E_INVALID_STATE` where the last call added nothing, a tree or a file of the host; `E_LIMIT` for a name of no or
    /// over 255 bytes, or that it has already, and for a value of over 64 KiB.
    pub fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        self.call(|writer| {
            let (labelled, set) = &mut writer.labelled;
            if *labelled == Labelled::Nothing {
                let why = "there is no entry to give the attribute to; add one first, from bytes or a stream";
                return Err(Error::new(Status::InvalidState, why));
            }
            set.add(name, value)?;
            let Some(encoded) = set.clone().finish() else { return Ok(()) };
            match (labelled, &mut writer.root) {
                (Labelled::Root, Some(root)) => root.xattrs = Some(encoded.into()),
                _ => writer.entries.set_xattrs(encoded.into()),
            }
            Ok(())
        })
    }

    /// Labels what is added from here on, in place of what the option `repo` says; an empty label is none.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` for what is no UTF-8, or too long.
    pub fn set_repo(&mut self, repo: &[u8]) -> Result<()> {
        self.call(|writer| {
            writer.label(Labelled::Nothing);
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

    /// What extended attributes belong to from here on.
    fn label(&mut self, labelled: Labelled) {
        self.labelled = (labelled, SetBuilder::default());
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

    fn owned<'a>(&self, entry: NewEntry<'a>, stat: &Stat) -> NewEntry<'a> {
        let owned = self.options.flag(Key::RecordIds);
        NewEntry { uid: owned.then_some(stat.st_uid), gid: owned.then_some(stat.st_gid), ..entry }
    }

    fn replaces(&self) -> bool {
        self.options.get(Key::DuplicatePaths) == 1
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
        let Writer { pipeline, base, donors, options, reporter, .. } = self;
        let relied = pipeline.sequencer.slices.take_relied_on()?;
        if let Some(existing) = pipeline.existing.as_ref().filter(|_| !relied.is_empty()) {
            existing.check(&relied, &pipeline.written, options, reporter)?;
        }
        base.iter_mut().try_for_each(|base| base.check(&relied, &pipeline.written, options, reporter))?;
        donors.iter_mut().try_for_each(|donor| donor.check(&relied, &pipeline.written, options, reporter))
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
        let (entries, carried, root) = (&self.entries, &self.carried, self.root.as_ref());
        let recorder = recorder.as_mut();
        let packed = Packed { entries, sequencer, written, claims, carried, existing, root, recorder };
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
