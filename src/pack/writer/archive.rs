//! Whole archives, whose blobs are copied as they are.

use std::sync::Arc;

use super::Writer;
use crate::archive::Archive;
use crate::error::{Error, Result, push};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::options::Key;
use crate::pack::append::Existing;
use crate::pack::batch::Batch;
use crate::pack::donor::Donor;
use crate::pack::entry::NewEntry;
use crate::pack::join::{self, Incoming};
use crate::pack::{exchange, scan};
use crate::progress::{Phase, UNKNOWN};

impl Writer {
    pub(super) fn take_archive(&mut self, archive: Arc<dyn AsRef<Archive> + Send + Sync>, prefix: &[u8]) -> Result<()> {
        exchange::check_alone(&self.options, "adding an archive")?;
        if !prefix.is_empty() {
            path::check(prefix).map_err(|error| error.with_entry(prefix))?;
        }
        self.packing = false;
        self.reporter.begin(Phase::List, (*archive).as_ref().entry_count(), UNKNOWN)?;
        let mut donor = Donor::new(archive, "added archive", "adding it")?;
        let read = Incoming::read(&mut donor, &mut self.reporter);
        let Incoming { tree, hardlinks, values, root, files, bytes } = read.map_err(|error| donor.named(error))?;
        let old_columns = self.pipeline.existing.as_ref().map_or(&[][..], Existing::columns);
        let columns = self.carried.check(&values, &[old_columns, self.pipeline.claims.columns()]);
        columns.map_err(|error| donor.named(error))?;
        let replace = self.replaces();
        // Where nothing is recorded of the root, the prefix gets no entry.
        let above = root.clone().filter(|_| !prefix.is_empty());
        let mut replaced_root = None;
        if above.is_some() {
            replaced_root = self.entries.check(prefix, EntryKind::Directory, replace)?;
        }
        let replaced = self.entries.check_tree(&tree, prefix, replace)?;
        self.check_existing_tree(&tree, prefix)?;
        self.begin()?;
        // From here on the entries are taken, and failures are final.
        self.pipeline.vital(|pipeline| {
            self.gatherer.close(pipeline);
            pipeline.flush(&mut self.reporter)?;
            pipeline.catch_up(&mut self.reporter)
        })?;
        if let Some(root) = above {
            let mtime_ns = Some(root.mtime_ns).filter(|mtime| *mtime != scan::NO_MTIME);
            let entry = NewEntry { mode: Some(root.mode), mtime_ns, ..NewEntry::new(prefix, EntryKind::Directory) };
            self.add_without_bytes(&entry, replaced_root)?;
            root.xattrs.into_iter().for_each(|set| self.entries.set_xattrs(set));
        } else if prefix.is_empty() && root.is_some() {
            self.root = root;
        }
        self.totals = self.totals.map(|(all, total)| (all + files, total.saturating_add(bytes)));
        self.go_on_packing()?;
        let mut batch = Batch::of_archive(tree, hardlinks, prefix);
        let strict = self.options.get(Key::BaseCheck) == 2;
        let Writer { entries, pipeline, reporter, carried, donors, .. } = self;
        pipeline.vital(|pipeline| {
            pipeline.expect(&mut batch, entries.count())?;
            let taken = join::take_over(&mut donor, &batch, bytes, strict, pipeline, reporter);
            taken.map_err(|error: Error| donor.named(error))?;
            pipeline.count(files, 0, reporter);
            let batch = entries.push_tree(batch, replaced)?;
            carried.accept(values, batch.first)?;
            push(donors, donor)
        })
    }
}
