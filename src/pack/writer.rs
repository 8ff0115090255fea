//! The writer: whatever is added goes through one pipeline into one archive.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};

use crate::beneath::{Root, threads_within_descriptors};
use crate::error::{Error, Result, Status};
use crate::format::container;
use crate::options::{Key, Options, Overwrite};
use crate::pack::append::Existing;
use crate::pack::base::Reuse;
use crate::pack::batch::Batch;
use crate::pack::finish::{self, Packed};
use crate::pack::output::Output;
use crate::pack::pipeline::Pipeline;
use crate::pack::plan::{Plan, plan};
use crate::pack::scan::{self, Tree};
use crate::progress::{LogLevel, Phase, Reporter};
use crate::provider::MAX_FILE;
use crate::stats::Stats;

/// Makes an archive of what is added to it.
///
/// Dropped before [`Writer::finish`] it leaves nothing behind.
pub struct Writer {
    options: Options,
    reporter: Reporter,
    started: Instant,
    pipeline: Pipeline,
    batches: Vec<Arc<Batch>>,
    /// Number of the next entry.
    next: u32,
    /// Files and bytes of all trees.
    totals: (u64, u64),
    root: Option<(u32, i64)>,
    skipped: u64,
}

impl Writer {
    /// A writer of the file `archive`, which gets exactly that name when it is finished.
    ///
    /// # Errors
    /// `E_EXISTS` where the name is taken and `overwrite` is not set.
    pub fn create(archive: &Path, options: &Options) -> Result<Writer> {
        Ok(Writer::with_output(Output::create(archive, options.overwrite())?, options))
    }

    fn with_output(output: Output, options: &Options) -> Writer {
        Writer {
            options: options.clone(),
            reporter: Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval()),
            started: Instant::now(),
            pipeline: Pipeline::new(options, output),
            batches: Vec::new(),
            next: 0,
            totals: (0, 0),
            root: None,
            skipped: 0,
        }
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
        let existing = Existing::open(&archive, options)?;
        let options = existing.options(options);
        let mut writer = Writer::with_output(Output::create(&archive, Overwrite::Replace)?, &options);
        writer.root = existing.root();
        existing.take_over(&mut writer.pipeline, &mut writer.reporter).map_err(|error| error.with_path(&archive))?;
        writer.pipeline.existing = Some(existing);
        Ok(writer)
    }

    /// Adds the tree below `source` as all that there will be.
    pub(super) fn add_sole_tree(&mut self, source: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(source, flags, Mode::empty())
            .map_err(|e| Error::os("can't open the directory to pack", e).with_path(source))?;
        let root = Root::new(directory);
        let excluded = self.pipeline.output.excluded()?;
        let layout = self.options.layout();
        let threads = threads_within_descriptors(self.options.threads());
        let mut tree = scan::scan(source, &root, &excluded, &self.options, threads, &mut self.reporter)?;
        let base = self.options.base();
        let reuse = match base.as_deref() {
            Some(base) => Some(Reuse::survey(&tree, base.as_ref(), self.reads_all(), &mut self.reporter)?),
            None => None,
        };
        let plan = plan(&tree, &layout, reuse.as_ref().map_or(&[], |reuse| &reuse.settled))?;
        self.totals.0 += (plan.small.len() + plan.big.len()) as u64;
        self.totals.1 = self.totals.1.saturating_add(plan.bytes);
        self.reporter.resume(Phase::Pack, self.totals, self.pipeline.done())?;
        let left_out = std::mem::take(&mut tree.skipped);
        self.skipped += left_out.len() as u64;
        self.root = Some((tree.root_mode, tree.root_mtime_ns));
        if plan.units > 0 {
            self.begin()?;
            self.pipeline.start(plan.longest, 1, self.assembled_bytes(&tree, &plan))?;
        }
        let mut batch = Batch::new(tree, plan, &[], root, self.pipeline.workers());
        self.number(&mut batch)?;
        if let Some(reuse) = reuse {
            self.begin()?;
            reuse.take_over(&batch, &mut self.pipeline, &mut self.reporter)?;
        }
        let batch = Arc::new(batch);
        self.batches.push(Arc::clone(&batch));
        self.pipeline.tree(&batch, &mut self.reporter)?;
        batch.close();
        for error in left_out.into_iter().chain(self.pipeline.skipped.drain(..)) {
            self.options.log(LogLevel::Warning, &format!("left out: {error}"));
        }
        Ok(())
    }

    /// Writes the index and gives the archive its name.
    pub fn finish(mut self) -> Result<Stats> {
        self.begin()?;
        let stats = self.pipeline.drain(&mut self.reporter)?;
        self.reporter.end()?;
        self.reporter.begin(Phase::Finish, u64::from(self.next), 0)?;
        let Pipeline { output, sequencer, written, claims, existing, .. } = &mut self.pipeline;
        let existing = existing.as_ref();
        let packed = Packed { batches: &self.batches, sequencer, written, claims, existing, root: self.root };
        let mut stats = finish::finish(&packed, stats, &self.options, output, &mut self.reporter)?;
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

    /// Whether files that are as in the base are read all the same: to be compared, or for providers.
    fn reads_all(&self) -> bool {
        self.options.flag(Key::BaseCheck) || !self.options.providers().is_empty()
    }

    /// Most bytes of the files of a tree that are put together for providers at a time: one that ends and one that begins.
    fn assembled_bytes(&self, tree: &Tree, plan: &Plan) -> usize {
        if self.options.providers().is_empty() {
            return 0;
        }
        let sizes = plan.big.iter().filter(|file| file.windows > 1).map(|file| tree.records[file.record as usize].size);
        2 * sizes.filter(|size| *size <= MAX_FILE).max().unwrap_or(0) as usize
    }

    /// Writes the head, once.
    fn begin(&mut self) -> Result<()> {
        if self.pipeline.output.position() == 0 { self.pipeline.output.append(&container::head()) } else { Ok(()) }
    }

    /// Gives the entries of a batch the next numbers.
    fn number(&mut self, batch: &mut Batch) -> Result<()> {
        batch.first = self.next;
        let count = batch.tree.records.len();
        self.next = u32::try_from(count)
            .ok()
            .and_then(|count| self.next.checked_add(count))
            .ok_or_else(|| Error::new(Status::Limit, "the archive would have over four billion entries"))?;
        self.pipeline.sequencer.expect_entries(count)?;
        for (big, file) in batch.plan.big.iter().enumerate() {
            let part = self.pipeline.sequencer.expect_windows(batch.first + file.record)?;
            if big == 0 {
                batch.first_part = part;
            }
        }
        Ok(())
    }
}
