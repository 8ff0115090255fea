//! Trees: scanned, compared with a base, planned and read.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::{Share, Writer};
use crate::beneath::{Root, threads_within_descriptors};
use crate::error::{Error, Result};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::options::Key;
use crate::pack::base::Base;
use crate::pack::batch::Batch;
use crate::pack::entry::NewEntry;
use crate::pack::plan::{Plan, plan, similar};
use crate::pack::scan::Tree;
use crate::pack::{exchange, scan};
use crate::progress::LogLevel;
use crate::provider::MAX_FILE;

impl Writer {
    pub(super) fn take_tree(&mut self, source: &Path, prefix: &[u8], share: Share) -> Result<()> {
        if !prefix.is_empty() {
            path::check(prefix).map_err(|error| error.with_entry(prefix))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = crate::sys::open(source, flags, Mode::empty())
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
        let survey = |base: &mut Base| base.survey(&tree, &below, reads_all, &self.options, &mut self.reporter);
        let reuse = self.base.as_mut().map(survey).transpose()?;
        let mut plan = plan(&tree, &self.layout, reuse.as_ref().map_or(&[], |reuse| &reuse.settled))?;
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
        if self.layout.joins_similar() {
            let most = self.layout.block_size / self.layout.slice_size;
            let alike = similar::groups(&plan, (&tree, &root), most, &self.options, threads, &mut self.reporter)?;
            plan.read_in_turns(&alike)?;
        }
        self.begin()?;
        let longest = plan.longest;
        if !plan.is_empty() {
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

    /// Whether files that are as in the base are read all the same: to be compared, or for providers.
    pub(super) fn reads_all(&self) -> bool {
        self.options.get(Key::BaseCheck) == 1 || !self.options.providers().is_empty()
    }

    /// Most bytes of the files of a tree that are put together for providers at a time: one that ends and one that begins.
    pub(super) fn assembled_bytes(&self, tree: &Tree, plan: &Plan) -> usize {
        if self.options.providers().is_empty() {
            return 0;
        }
        let sizes = plan
            .big
            .iter()
            .filter(|file| file.windows > 1 || file.in_turns)
            .map(|file| tree.records[file.record as usize].size);
        2 * sizes.filter(|size| *size <= MAX_FILE).max().unwrap_or(0) as usize
    }

    pub(super) fn check_existing_tree(&self, tree: &scan::Tree, prefix: &[u8]) -> Result<()> {
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
}
