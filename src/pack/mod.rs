//! A tree -> an archive.
//!
//! ```text
//! scan ─► plan ─► read + hash ─► dedup + group ─► probe + compress ─► write ─► finish
//! names    order    workers        sequence         workers             in order   index, manifest,
//! metadata units    into buffers   in plan order    one context each               trailer, sync, rename
//! ```

mod compress;
mod finish;
mod holes;
mod names;
mod output;
mod pipeline;
mod plan;
mod probe;
mod read;
mod scan;
mod sequence;

use std::path::Path;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};

use crate::beneath::{Root, threads_within_descriptors};
use crate::error::{Error, Result};
use crate::format::container;
use crate::options::Options;
use crate::pack::output::Output;
use crate::progress::{LogLevel, Phase, Reporter};
use crate::stats::Stats;

/// Packs the directory `source` into the file `archive`, which gets exactly that name.
///
/// The archive appears complete and synced, or not at all; an older one of the same name stays as it is until
/// then. What the archive holds depends on the tree, the options that are recorded, and the versions of this
/// library and of zstd; never on threads, memory, time or host. The archive itself is left out where it lies in
/// the tree, and the directory that it lies in then has no recorded modification time.
///
/// # Errors
/// The first failure, naming the path; `E_EXISTS` where the name is taken and `overwrite` is not set.
pub fn pack_directory(source: &Path, archive: &Path, options: &Options) -> Result<Stats> {
    let started = Instant::now();
    let layout = options.layout();
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(source, flags, Mode::empty())
        .map_err(|e| Error::os("can't open the directory to pack", e).with_path(source))?;
    let root = Root::new(directory);
    let mut output = Output::create(archive, options.overwrite())?;
    let excluded = scan::Excluded {
        temporary: output.identity()?,
        directory: output.directory_identity()?,
        name: output.name().to_vec(),
    };
    let threads = threads_within_descriptors(options.threads());
    let tree = scan::scan(source, &root, &excluded, options, threads, &mut reporter)?;
    let plan = plan::plan(&tree, &layout)?;
    let files = (plan.small.len() + plan.big.len()) as u64;
    reporter.begin(Phase::Pack, files, plan.bytes)?;
    output.append(&container::head())?;
    let mut packed = pipeline::run(&root, &tree, &plan, &layout, options, &mut output, &mut reporter)?;
    reporter.end()?;
    reporter.begin(Phase::Finish, tree.records.len() as u64, 0)?;
    let mut stats = finish::finish(&tree, &plan, &mut packed, options, &mut output, &mut reporter)?;
    for left_out in tree.skipped.iter().chain(&packed.skipped) {
        options.log(LogLevel::Warning, &format!("left out: {left_out}"));
    }
    output.commit()?;
    stats.skipped += tree.skipped.len() as u64;
    stats.seconds = started.elapsed().as_secs_f64();
    // The archive is there now: a stop that comes this late is not an error any more.
    let _ = reporter.end();
    Ok(stats)
}
