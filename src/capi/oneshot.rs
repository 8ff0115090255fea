//! A directory to an archive, and back, in one call each.

use std::ffi::c_char;
use std::path::Path;

use super::boundary::guarded;
use super::error::znippy_error;
use super::options::{snapshot, znippy_options};
use super::pointer::{Out, host_path};
use super::types::{znippy_salvage_report, znippy_stats, znippy_status};
use crate::archive::Archive;
use crate::error::Result;
use crate::options::Options;
use crate::stats::Stats;
use crate::{extract, pack, salvage};

/// Packs the directory src_dir into the archive archive_path, which appears complete under its name or not at
/// all, and may not exist unless ZNIPPY_OPT_OVERWRITE says so. The bytes don't depend on the number of threads,
/// the time or the host.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: any; progress is reported on the calling one.
/// Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_compress_dir(
    src_dir: *const c_char,
    archive_path: *const c_char,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (source, archive, options, out) = unsafe {
            (
                host_path(src_dir, "src_dir")?,
                host_path(archive_path, "archive_path")?,
                snapshot(options)?,
                Out::optional(stats_out, "stats_out")?,
            )
        };
        write_stats(out, &pack::pack_directory(source, archive, &options)?);
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Restores the whole archive below dest_dir, which is made where it doesn't exist; its parent must exist.
/// Nothing is written outside dest_dir, and no bytes that don't match their hash stay under a file's name.
///
/// With ZNIPPY_OPT_KEEP_GOING everything undamaged is restored: *stats_out is written then, and ZNIPPY_E_PARTIAL comes
/// back with an error that lists the failures, see znippy_error_failure(); the log function gets each.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: any; progress is reported on the calling one.
/// Errors: any of I/O and format, ZNIPPY_E_PARTIAL, ZNIPPY_E_EXISTS, ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_extract_archive(
    archive_path: *const c_char,
    dest_dir: *const c_char,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (archive, destination, options, out) = unsafe {
            (
                host_path(archive_path, "archive_path")?,
                host_path(dest_dir, "dest_dir")?,
                snapshot(options)?,
                Out::optional(stats_out, "stats_out")?,
            )
        };
        extract_into(&Archive::open(archive, &options)?, destination, &options, out)
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Writes what is whole of the damaged archive at damaged into the new archive at archive_path, which appears complete
/// under its name or not at all. Bytes are copied as they are, after each slice was checked against its hash; a damaged
/// block costs the files that have bytes in it and no others. Names come from the index; where that is lost, from the
/// records that ZNIPPY_OPT_RECOVERY writes or from what is left of the index; blocks whose names are lost are kept as
/// lost+found/NUMBER. The log function gets a warning for each entry that is lost, and information on each that is kept.
///
/// Of the options, ZNIPPY_OPT_OVERWRITE, ZNIPPY_OPT_THREADS, ZNIPPY_OPT_MEMORY_LIMIT and ZNIPPY_OPT_PLAIN_INDEX count.
///
/// Where something is lost, or names may be, the new archive and *report_out are written all the same, and
/// ZNIPPY_E_PARTIAL comes back with an error that lists the entries, see znippy_error_failure().
///
/// Ownership: takes nothing; report_out may be NULL. Threads: any; progress is reported on the calling one.
/// Errors: any of I/O, ZNIPPY_E_PARTIAL, ZNIPPY_E_NOT_ARCHIVE where nothing of an archive was found, ZNIPPY_E_VERSION for
/// archives of other format versions, ZNIPPY_E_EXISTS, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_salvage(
    damaged: *const c_char,
    archive_path: *const c_char,
    options: *const znippy_options,
    report_out: *mut znippy_salvage_report,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (damaged, archive, options, out) = unsafe {
            (
                host_path(damaged, "damaged")?,
                host_path(archive_path, "archive_path")?,
                snapshot(options)?,
                Out::optional(report_out, "report_out")?,
            )
        };
        let outcome = salvage::salvage(damaged, archive, &options)?;
        if let Some(out) = out {
            write_report(out, &outcome.report);
        }
        outcome.error().map_or(Ok(()), Err)
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

fn write_report(out: Out<znippy_salvage_report>, report: &salvage::Report) {
    out.write(&znippy_salvage_report {
        struct_size: 0,
        index: report.index as u32,
        entries_kept: report.entries_kept,
        entries_lost: report.entries_lost,
        blocks_nameless: report.blocks_nameless,
        blocks_unchecked: report.blocks_unchecked,
        bytes_kept: report.bytes_kept,
        bytes_lost: report.bytes_lost,
        blobs: report.blobs,
        blobs_damaged: report.blobs_damaged,
        segments: report.segments,
        segments_lost: report.segments_lost,
        records: report.records,
        xattrs_lost: report.xattrs_lost,
        bytes_in: report.bytes_in,
        bytes_out: report.bytes_out,
        seconds: report.seconds,
    });
}

/// Restores a tree. The report goes to the host also where the job was done in part.
pub(super) fn extract_into(
    archive: &Archive,
    destination: &Path,
    options: &Options,
    out: Option<Out<znippy_stats>>,
) -> Result<()> {
    let outcome = extract::extract_tree(archive, destination, options)?;
    write_stats(out, &outcome.stats);
    outcome.error().map_or(Ok(()), Err)
}

/// Writes the report to the host, if it wants it.
pub(super) fn write_stats(out: Option<Out<znippy_stats>>, stats: &Stats) {
    let Some(out) = out else { return };
    out.write(&znippy_stats {
        struct_size: 0,
        reserved0: 0,
        entries: stats.entries,
        files: stats.files,
        files_stored: stats.files_stored,
        files_compressed: stats.files_compressed,
        directories: stats.directories,
        symlinks: stats.symlinks,
        hardlinks: stats.hardlinks,
        specials: stats.specials,
        slices: stats.slices,
        blocks: stats.blocks,
        duplicate_files: stats.duplicate_files,
        duplicate_bytes: stats.duplicate_bytes,
        skipped: stats.skipped,
        failed: stats.failed,
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        bytes_stored: stats.bytes_stored,
        bytes_compressed_in: stats.bytes_compressed_in,
        bytes_compressed_out: stats.bytes_compressed_out,
        bytes_holes: stats.bytes_holes,
        bytes_index: stats.bytes_index,
        ratio: stats.ratio(),
        seconds: stats.seconds,
        kept: stats.kept,
        pruned: stats.pruned,
        created: stats.created,
        replaced: stats.replaced,
        unverified: stats.unverified,
    });
}
