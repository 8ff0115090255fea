//! A damaged archive -> a new archive of all that can be proven whole.
//!
//! ```text
//! source   bytes of the damaged file; what can't be read is damage too
//! find     manifest, blob table, segments: what of them is there and whole
//! search   what no manifest tells of: recovery records, segments, frames
//! names    which entries there are, from the best of what was found
//! prove    decodes blobs and checks every slice, and the hash of every file of several slices
//! rescue   the new archive: blobs as they are, rows that point at them, nameless blocks
//! ```
//!
//! Nothing is believed without a hash that covers it. Where names are lost and a blob is whole, its block is kept
//! without a name; where not even the hash of the blob is known, that is said by the name it gets.

mod find;
mod names;
mod prove;
mod rescue;
mod search;
mod source;

use std::path::Path;
use std::time::Instant;

use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::progress::{LogLevel, Phase, Reporter, UNKNOWN};
use crate::salvage::find::Found;
use crate::salvage::names::Names;
use crate::salvage::source::Damaged;

/// Most failures that are kept; all are counted.
const MOST_KEPT: usize = 10_000;

/// Where the names come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Index {
    /// There are none.
    #[default]
    Lost = 0,
    /// From the index, which is whole.
    Whole = 1,
    /// From the index, of which segments are lost that recovery records have made up for.
    Recovered = 2,
    /// From what is left of the index or of recovery records: entries may be missing that nobody knows of.
    Partial = 3,
}

/// What was kept and what was lost. Sizes are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Where the names come from.
    pub index: Index,
    /// Entries of the new archive that have their names.
    pub entries_kept: u64,
    /// Entries that are lost, as far as it is known that they were there.
    pub entries_lost: u64,
    /// Blocks that were kept without a name.
    pub blocks_nameless: u64,
    /// Of those: blocks whose blobs no known hash covers.
    pub blocks_unchecked: u64,
    /// Bytes of files that were kept.
    pub bytes_kept: u64,
    /// Bytes of files that are lost, as far as their sizes are known.
    pub bytes_lost: u64,
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Of those: blobs that can't be read or decoded, or some of whose slices are wrong.
    pub blobs_damaged: u64,
    /// Index segments that the manifest lists.
    pub segments: u64,
    /// Of those: segments that are damaged.
    pub segments_lost: u64,
    /// Recovery records that were found whole.
    pub records: u64,
    /// Entries that are kept without their extended attributes.
    pub xattrs_lost: u64,
    /// Bytes of the damaged archive.
    pub bytes_in: u64,
    /// Bytes of the new one.
    pub bytes_out: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// What became of a salvage.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// Why entries are lost: the first 10,000.
    pub failures: Vec<Error>,
}

impl Outcome {
    /// `E_PARTIAL` where something is lost, or may be: with the first error's text and path, and the failures.
    pub fn error(&self) -> Option<Error> {
        let Report { index, entries_lost, entries_kept, .. } = self.report;
        if matches!(index, Index::Whole | Index::Recovered) && entries_lost == 0 {
            return None;
        }
        let why = match self.failures.first() {
            Some(first) => format!("{}; ", first.message()),
            None => String::new(),
        };
        let names = match index {
            Index::Lost => "; the index and all names are lost",
            Index::Partial => "; parts of the index are lost, and names with them",
            Index::Whole | Index::Recovered => "",
        };
        let error =
            Error::new(Status::Partial, format!("{why}entries kept: {entries_kept}, lost: {entries_lost}{names}"));
        let error = match self.failures.first().and_then(Error::path) {
            Some(path) => error.with_entry(path),
            None => error,
        };
        Some(error.with_failures(self.failures.clone()))
    }
}

/// Writes what is whole of the archive `damaged` into the new archive `archive`, which appears complete under its name or
/// not at all. Each entry that is lost is logged as a warning, each that is kept as information.
///
/// # Errors
/// What reading the file or writing the new archive meets; `E_NOT_ARCHIVE` where nothing of an archive was found;
/// `E_VERSION` for archives of other format versions. What is lost is part of the outcome.
pub fn salvage(damaged: &Path, archive: &Path, options: &Options) -> Result<Outcome> {
    let started = Instant::now();
    let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
    let source = Damaged::open(damaged)?;
    let mut writer = rescue::Writer::create(archive, options)?;
    reporter.begin(Phase::List, UNKNOWN, source.size())?;
    let named = |error: Error| error.with_path(damaged);
    let found = Found::look(&source, &mut reporter).map_err(named)?;
    let names = Names::gather(&found, &mut reporter)?;
    if names.is_empty() && found.blobs.is_empty() && found.manifest.is_none() {
        let why = "nothing of a znippy archive of format version 4 was found";
        return Err(named(Error::new(Status::NotArchive, why)));
    }
    let proof = prove::prove(&source, &names, options, &mut reporter)?;
    let mut report = Report {
        index: names.index,
        entries_lost: names.lost,
        segments: found.manifest.as_ref().map_or(0, |manifest| manifest.segments.len() as u64),
        segments_lost: found.lost.len() as u64,
        records: found.records,
        blobs: proof.blobs,
        blobs_damaged: proof.damaged,
        bytes_in: source.size(),
        ..Report::default()
    };
    let mut failures = Vec::new();
    for (entry, error) in &proof.lost {
        options.log(LogLevel::Warning, &format!("lost {error}"));
        report.entries_lost += 1;
        report.bytes_lost = report.bytes_lost.saturating_add(names.size(*entry));
        if failures.len() < MOST_KEPT {
            failures.push(error.clone());
        }
    }
    for error in &names.failures {
        options.log(LogLevel::Warning, &format!("lost {error}"));
        if failures.len() < MOST_KEPT {
            failures.push(error.clone());
        }
    }
    writer.write(&source, &found, &names, &proof, &mut report, options, &mut reporter)?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Outcome { report, failures })
}
