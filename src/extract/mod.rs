//! An archive -> a tree.
//!
//! ```text
//! plan         one walk over the index: what to restore, checked as a whole before the first write
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
//! sandbox      the only code that touches the destination; follows nothing
//! handles      the few directory handles that each thread keeps
//! metadata     modes, times, owners
//! job          what the threads share
//! ```

mod big;
mod blocks;
mod directories;
mod filter;
mod handles;
mod job;
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

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::archive::Archive;
use crate::error::{Result, Status};
use crate::extract::big::Unfinished;
use crate::extract::directories::Existing;
use crate::extract::job::Job;
use crate::extract::plan::Plan;
use crate::extract::sandbox::{Resolution, Root};
use crate::extract::settings::Settings;
use crate::options::Options;
use crate::progress::{Phase, Reporter, UNKNOWN};
use crate::stats::Stats;

/// Restores a tree. `destination` is made where it doesn't exist; its parent must exist.
///
/// # Errors
/// What the archive can't be trusted in or this version can't restore is refused before anything is written. A later
/// failure leaves the files that were whole by then, and no temporary file.
pub fn extract_all(archive: &Archive, destination: &Path, options: &Options) -> Result<Stats> {
    extract(archive, destination, options, None)
}

fn extract(archive: &Archive, destination: &Path, options: &Options, forced: Option<Resolution>) -> Result<Stats> {
    let started = Instant::now();
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let result = restore(archive, destination, options, forced, &mut reporter);
    match result {
        Ok(stats) => Ok(Stats { seconds: started.elapsed().as_secs_f64(), ..stats }),
        Err(error) if error.status() == Status::Cancelled => Err(job::cancelled()),
        Err(error) => Err(error),
    }
}

fn restore(
    archive: &Archive,
    destination: &Path,
    options: &Options,
    forced: Option<Resolution>,
    reporter: &mut Reporter,
) -> Result<Stats> {
    let settings = Settings::new(options)?;
    reporter.begin(Phase::List, archive.entry_count(), UNKNOWN)?;
    let mut plan = Plan::new(archive, &settings.filter, reporter)?;
    // A limit that is too low is an error before the first write too.
    options.threads_within(options.threads(), 0, plan.block_memory())?;
    reporter.begin(Phase::Extract, plan.entries, plan.bytes())?;
    let root = Root::open(destination, forced)?;
    let mut kept = 0;
    if settings.needs_survey() && !root.is_own() {
        let all = plan.bytes();
        kept = survey::survey(&mut plan, &root, &settings, reporter)?;
        reporter.counters().add(kept, all - plan.bytes());
    }
    let mut existing = Existing::default();
    let result = write(archive, &mut plan, &root, &settings, options, &mut existing, reporter);
    if result.is_err() {
        directories::abandon(&new_job(archive, &plan, &root, &settings, options, reporter), &existing);
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
    Ok(stats)
}

/// Everything from the first write on.
fn write(
    archive: &Archive,
    plan: &mut Plan,
    root: &Root,
    settings: &Settings,
    options: &Options,
    existing: &mut Existing,
    reporter: &mut Reporter,
) -> Result<Stats> {
    let job = new_job(archive, plan, root, settings, options, reporter);
    blocks::count_blocks(&job);
    directories::make(&job, existing, reporter)?;
    job.counters.add(plan.directories + plan.left_out, 0);
    blocks::write_files(&job, options, reporter)?;
    let refused = links::make_hardlinks(&job, reporter)?;
    let mut stats = *job.stats();
    drop(job);
    if !refused.is_empty() {
        plan.take_hardlinks(archive, &settings.filter, &refused)?;
        let job = new_job(archive, plan, root, settings, options, reporter);
        blocks::write_files(&job, options, reporter)?;
        let more = *job.stats();
        stats.files += more.files;
        stats.slices += more.slices;
        stats.bytes_in += more.bytes_in;
        stats.bytes_out += more.bytes_out;
    }
    let job = new_job(archive, plan, root, settings, options, reporter);
    links::make_specials(&job, reporter)?;
    if settings.prune && !root.is_own() {
        stats.pruned = prune::prune(&job, reporter)?;
    }
    directories::finish(&job, existing, reporter)?;
    if settings.filter.keeps_root() {
        directories::finish_root(&job, archive)?;
    }
    Ok(stats)
}

fn new_job<'a>(
    archive: &'a Archive,
    plan: &'a Plan,
    root: &'a Root,
    settings: &'a Settings,
    options: &'a Options,
    reporter: &Reporter,
) -> Job<'a> {
    Job {
        archive,
        plan,
        root,
        settings,
        policy: settings.policy,
        replace: settings.replaces(),
        cancel: options.cancel(),
        counters: reporter.counters(),
        threads: settings.threads,
        unfinished: Unfinished::new(&plan.bigs),
        stop: AtomicBool::new(false),
        stats: Mutex::new(Stats::default()),
    }
}
