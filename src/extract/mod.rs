//! An archive -> a tree.
//!
//! ```text
//! plan         one walk over the index: what to restore, checked as a whole before the first write
//! limits       how much an archive may be; untrusted: what those of strangers must keep to
//! failures     what could not be restored, where the rest is
//! filter       what of the archive is wanted, under which names
//! settings     what the options say
//! records      slices, blocks and files of the plan, small
//! tree         names and directories in little memory
//! survey       what stands in the destination already and needn't be written
//! directories  made first; their modes and times last
//! blocks       decoded, checked and written in parallel: the files
//! big          files of several slices: under a temporary name until they are whole
//! links        hard links, FIFOs and symbolic links, after the files
//! prune        what is not in the archive goes
//! atomic       the old tree or the new, nothing in between
//! sandbox      the only code that touches the destination; follows nothing
//! handles      the few directory handles that each thread keeps
//! metadata     modes, times, owners
//! job          what the threads share
//! ```

mod atomic;
mod big;
mod blocks;
mod directories;
mod failures;
mod filter;
mod handles;
mod job;
mod limits;
mod links;
mod metadata;
mod plan;
mod prune;
mod records;
mod sandbox;
mod settings;
mod survey;
#[cfg(test)]
mod tests;
mod tree;
mod untrusted;

use std::path::Path;
use std::sync::Mutex;
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

/// What became of an extraction.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub stats: Stats,
    /// What failed, with the option `keep-going`: the first 10,000 of `stats.failed`.
    pub failures: Vec<Error>,
}

impl Outcome {
    /// `E_PARTIAL` where something failed: with the first error's text, path and error number, and the count.
    pub fn error(&self) -> Option<Error> {
        let first = self.failures.first()?;
        let count = self.stats.failed;
        let error = Error::new(Status::Partial, format!("{}; entries that failed: {count}", first.message()));
        Some(match first.path() {
            Some(path) => error.with_entry(path),
            None => error,
        })
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
    if let Some(atomic) = &atomic {
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
    // A limit that is too low is an error before the first write too.
    options.threads_within(options.threads(), 0, plan.block_memory())?;
    reporter.begin(Phase::Extract, plan.entries, plan.bytes())?;
    let root = open_root(destination)?;
    let mut kept = 0;
    if settings.needs_survey() && !root.is_own() {
        let all = plan.bytes();
        kept = survey::survey(&mut plan, &root, &settings, reporter)?;
        reporter.counters().add(kept, all - plan.bytes());
    }
    let mut existing = Existing::default();
    let shared = Shared { archive, root: &root, settings: &settings, failures: &failures, options };
    let result = write(&shared, &mut plan, &mut existing, reporter);
    if result.is_err() {
        directories::abandon(&shared.job(&plan, reporter), &existing);
    }
    let mut stats = result?;
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
    let (failed, failures) = failures.take();
    stats.failed = failed;
    Ok(Outcome { stats, failures })
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
    blocks::count_blocks(&job);
    directories::make(&job, existing, reporter)?;
    job.counters.add(plan.directories + plan.left_out, 0);
    blocks::write_files(&job, options, reporter)?;
    let refused = links::make_hardlinks(&job, reporter)?;
    let mut stats = *job.stats();
    drop(job);
    if !refused.is_empty() {
        plan.take_hardlinks(archive, &settings.filter, failures, &refused)?;
        let job = shared.job(plan, reporter);
        blocks::write_files(&job, options, reporter)?;
        let more = *job.stats();
        stats.files += more.files;
        stats.slices += more.slices;
        stats.bytes_in += more.bytes_in;
        stats.bytes_out += more.bytes_out;
    }
    let job = shared.job(plan, reporter);
    links::make_specials(&job, reporter)?;
    if settings.prune && !root.is_own() && !failures.any() {
        stats.pruned = prune::prune(&job, reporter)?;
    }
    directories::finish(&job, existing, reporter)?;
    if settings.filter.keeps_root() {
        directories::finish_root(&job, archive)?;
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
        }
    }
}
