//! An archive -> a tree.
//!
//! ```text
//! plan         one walk over the index: what to restore, checked as a whole before the first write
//! limits       how much an archive may be; untrusted: what those of strangers must keep to
//! failures     what could not be restored, where the rest is
//! settings     what the options say
//! records      slices, blocks and files of the plan, small
//! tree         names and directories in little memory
//! duplicates   files with the same bytes, where they are to share them
//! survey       what stands in the destination already and needn't be written
//! directories  made first; their modes and times last
//! blocks       decoded, checked and written in parallel: the files
//! big          files of several slices: under a temporary name until they are whole
//! links        hard links, FIFOs and symbolic links, after the files
//! prune        what is not in the archive goes
//! entry        one entry to a path of its own
//! rehearsal    what would be done, said and not done
//! atomic       the old tree or the new, nothing in between
//! sandbox      the only code that touches the destination; follows nothing
//! handles      the few directory handles that each thread keeps
//! metadata     modes, times, owners;  xattrs  extended attributes
//! job          what the threads share
//! ```

mod atomic;
mod big;
mod blocks;
mod directories;
mod duplicates;
mod entry;
mod failures;
mod handles;
mod job;
mod limits;
mod links;
mod metadata;
mod modes;
mod plan;
mod prune;
mod records;
mod rehearsal;
mod sandbox;
mod settings;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod untrusted;
mod xattrs;

pub use entry::extract_entry;

use std::path::Path;
use std::time::Instant;

use crate::archive::Archive;
use crate::error::{Error, Result, Status, printable};
use crate::extract::atomic::Atomic;
use crate::extract::big::Unfinished;
use crate::extract::directories::Existing;
use crate::extract::failures::Failures;
use crate::extract::job::Job;
use crate::extract::plan::Plan;
use crate::extract::sandbox::Root;
use crate::extract::settings::Settings;
use crate::options::{Key, Options};
use crate::progress::{LogLevel, Phase, Reporter, UNKNOWN};
use crate::stats::Stats;
use crate::sync::Mutex;

/// What became of an extraction.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub stats: Stats,
    /// What failed, with the option `keep-going`: the first 10,000 of `stats.failed`.
    pub failures: Vec<Error>,
}

impl Outcome {
    /// `E_PARTIAL` where something failed: with the first error's text and path, the count, and the failures.
    pub fn error(&self) -> Option<Error> {
        let first = self.failures.first()?;
        let count = self.stats.failed;
        let error = Error::new(Status::Partial, format!("{}; entries that failed: {count}", first.message()));
        let error = match first.path() {
            Some(path) => error.with_entry(path),
            None => error,
        };
        Some(error.with_failures(self.failures.clone()))
    }
}

/// Restores a tree; failures of entries are an error here, also where the rest was restored.
///
/// # Errors
/// Those of [`extract_tree`], and `E_PARTIAL`.
pub fn extract_all(archive: &Archive, destination: &Path, options: &Options) -> Result<Stats> {
    let outcome = extract_tree(archive, destination, options)?;
    outcome.error().map_or(Ok(outcome.stats), Err)
}

/// Restores a tree. `destination` is made where it doesn't exist; its parent must exist.
///
/// # Errors
/// What the archive can't be trusted in or this version can't restore is refused before anything is written. A later
/// failure leaves the files that were whole by then, and no temporary file. With the option `keep-going` what fails
/// for an entry is part of the outcome instead.
pub fn extract_tree(archive: &Archive, destination: &Path, options: &Options) -> Result<Outcome> {
    extract(archive, destination, options, Root::open)
}

fn extract(
    archive: &Archive,
    destination: &Path,
    options: &Options,
    open_root: fn(&Path) -> Result<Root>,
) -> Result<Outcome> {
    let started = Instant::now();
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let atomic = Atomic::begin(destination, options)?;
    let into = atomic.as_ref().map_or(destination, Atomic::sibling);
    let mut result = restore(archive, into, options, open_root, &mut reporter);
    if let Some(atomic) = atomic.filter(|_| !options.flag(Key::DryRun)) {
        match &result {
            Ok(_) => result = atomic.commit().and(result),
            Err(_) => atomic.abandon(),
        }
    }
    match result {
        Ok(mut outcome) => {
            outcome.stats.seconds = started.elapsed().as_secs_f64();
            outcome.failures.iter().for_each(|error| options.log(LogLevel::Warning, &format!("not restored: {error}")));
            Ok(outcome)
        }
        Err(error) if error.status() == Status::Cancelled => Err(job::cancelled()),
        Err(error) => Err(error),
    }
}

fn restore(
    archive: &Archive,
    destination: &Path,
    options: &Options,
    open_root: fn(&Path) -> Result<Root>,
    reporter: &mut Reporter,
) -> Result<Outcome> {
    let settings = Settings::new(options)?;
    reporter.begin(Phase::List, archive.entry_count(), UNKNOWN)?;
    let failures = Failures::new(options.flag(Key::KeepGoing));
    let mut plan = Plan::new(archive, &settings, &failures, reporter)?;
    settings.policy.load_xattrs(archive, &mut plan.tree).or_else(|error| failures.note(0, error))?;
    // A limit that is too low is an error before the first write too.
    options.threads_within(options.threads(), 0, plan.block_memory())?;
    let root = if settings.dry_run { rehearsal::destination(destination)? } else { Some(open_root(destination)?) };
    let mut stats = work(archive, plan, root.as_ref(), (&settings, &failures, options), reporter)?;
    let (failed, failures) = failures.take();
    stats.failed = failed;
    Ok(Outcome { stats, failures })
}

/// Carries a plan out, or says what that would do. Only then there may be no root.
fn work(
    archive: &Archive,
    mut plan: Plan,
    root: Option<&Root>,
    (settings, failures, options): (&Settings, &Failures, &Options),
    reporter: &mut Reporter,
) -> Result<Stats> {
    reporter.begin(Phase::Extract, plan.entries, plan.bytes())?;
    let mut kept = 0;
    if let Some(root) = root.filter(|root| settings.needs_survey() && !root.is_own()) {
        let all = plan.bytes();
        kept = survey::survey(&mut plan, root, settings, reporter)?;
        reporter.counters().add(kept, all - plan.bytes());
    }
    let mut stats = match root {
        Some(root) if !settings.dry_run => {
            let all = plan.bytes();
            duplicates::take_out(&mut plan, settings.duplicates)?;
            reporter.counters().add(0, all - plan.bytes());
            let mut existing = Existing::default();
            let shared = Shared { archive, root, settings, failures, options };
            let result = write(&shared, &mut plan, &mut existing, reporter);
            if result.is_err() {
                directories::abandon(&shared.job(&plan, reporter), &existing);
            }
            result?
        }
        _ => rehearsal::rehearse(archive, &mut plan, root, (settings, failures, options), reporter)?,
    };
    reporter.end()?;
    stats.kept = kept;
    stats.entries = plan.entries;
    stats.directories = plan.directories;
    stats.symlinks = plan.symlinks.len() as u64;
    stats.specials = plan.fifos.len() as u64;
    stats.skipped = plan.left_out;
    stats.bytes_index = archive.manifest().segments.iter().map(|part| part.len).sum();
    stats.bytes_in += stats.bytes_index;
    for node in &plan.others {
        let mut path = Vec::new();
        let path = printable(plan.tree.path(node, &mut path));
        options.log(LogLevel::Warning, &format!("left out: {path}: devices and sockets are not restored"));
    }
    Ok(stats)
}

/// What all steps work with.
struct Shared<'a> {
    archive: &'a Archive,
    root: &'a Root,
    settings: &'a Settings,
    failures: &'a Failures,
    options: &'a Options,
}

/// Everything from the first write on.
fn write(shared: &Shared<'_>, plan: &mut Plan, existing: &mut Existing, reporter: &mut Reporter) -> Result<Stats> {
    let &Shared { archive, root, settings, failures, options } = shared;
    let job = shared.job(plan, reporter);
    blocks::count_blocks(plan, &mut job.stats());
    directories::make(&job, existing, reporter)?;
    job.counters.add(plan.directories + plan.left_out, 0);
    blocks::write_files(&job, options, reporter)?;
    let mut refused = links::make_hardlinks(&job, &plan.hardlinks, reporter)?;
    let mut stats = *job.stats();
    drop(job);
    while !refused.rows.is_empty() {
        plan.take_hardlinks(archive, &settings.filter, failures, &refused.rows)?;
        let job = shared.job(plan, reporter);
        blocks::write_files(&job, options, reporter)?;
        refused = links::make_hardlinks(&job, &refused.later, reporter)?;
        stats.add_written(&job.stats());
    }
    let job = shared.job(plan, reporter);
    links::make_specials(&job, reporter)?;
    stats.add_written(&job.stats());
    if settings.prune && !root.is_own() && !failures.any() {
        stats.pruned = prune::prune(&job, existing, reporter)?;
    }
    directories::finish(&job, existing, reporter)?;
    // The directory that a single entry goes into is not the archive's root.
    if settings.filter.keeps_root() && !settings.named_last {
        directories::finish_root(&job, archive).or_else(|error| failures.note(1, error))?;
    }
    Ok(stats)
}

impl<'a> Shared<'a> {
    fn job(&self, plan: &'a Plan, reporter: &Reporter) -> Job<'a> {
        Job {
            archive: self.archive,
            plan,
            root: self.root,
            settings: self.settings,
            failures: self.failures,
            policy: self.settings.policy,
            replace: self.settings.replaces(),
            cancel: self.options.cancel(),
            counters: reporter.counters(),
            threads: self.settings.threads,
            unfinished: Unfinished::new(&plan.bigs),
            stop: reporter.stop(),
            stats: Mutex::new(Stats::default()),
            made: Mutex::default(),
            shared: plan.shared_files(),
        }
    }
}
