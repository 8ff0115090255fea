//! `znippy_diff`: what is different, owned by the host.

use std::ffi::c_char;
use std::ptr;

use super::boundary::{guarded, shielded};
use super::constants::*;
use super::error::znippy_error;
use super::handle::{Handle, Opaque, enter, find, give, take_back};
use super::listing::append;
use super::options::znippy_options;
use super::pointer::{Out, host_path, invalid, required};
use super::reader::{Call, znippy_reader};
use super::types::{znippy_difference, znippy_status};
use crate::archive::{Difference, Side};
use crate::error::{Result, reserve};

/// What two trees differ in: immutable, any number of threads at once. It outlives what was compared.
pub struct znippy_diff(());

impl Opaque for znippy_diff {
    type Inside = Differences;
    const TAG: u32 = u32::from_be_bytes(*b"ZDif");
}

/// Differences, and their strings with the NULs that C needs.
pub(super) struct Differences {
    all: Vec<Difference>,
    /// Path, old target and new target of each. Never changed once it is filled: C points into it.
    text: Vec<u8>,
    /// Where each one's strings start in `text`.
    starts: Vec<usize>,
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Handle<Differences>>();
};

impl Differences {
    fn new(all: Vec<Difference>) -> Result<Differences> {
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        reserve(&mut starts, all.len())?;
        for difference in &all {
            starts.push(text.len());
            append(&mut text, &difference.path)?;
            for target in [&difference.old, &difference.new].into_iter().filter_map(target) {
                append(&mut text, target)?;
            }
        }
        Ok(Differences { all, text, starts })
    }

    fn get(&self, position: u64) -> Result<znippy_difference> {
        let found = usize::try_from(position).ok().and_then(|at| self.all.get(at).zip(self.starts.get(at).copied()));
        let Some((difference, start)) = found else {
            return Err(invalid(format!("position {position} is not below {}", self.all.len())));
        };
        let text = self.text.get(start..).unwrap_or_default();
        let nothing = Side::default();
        let (old, new) = (difference.old.as_ref().unwrap_or(&nothing), difference.new.as_ref().unwrap_or(&nothing));
        let at = |offset: usize| text.as_ptr().wrapping_add(offset).cast::<c_char>();
        let path_len = difference.path.len();
        let old_target = target(&difference.old);
        let old_end = path_len.saturating_add(old_target.map_or(1, |target| target.len().saturating_add(2)));
        let new_target = target(&difference.new);
        let kind = |side: &Option<Side>| side.as_ref().map_or(ZNIPPY_NO_KIND, |side| u32::from(side.kind));
        let index = |side: &Option<Side>| side.as_ref().map_or(ZNIPPY_UNKNOWN, |side| side.index);
        Ok(znippy_difference {
            struct_size: 0,
            what: difference.what as u32,
            flags: difference.flags.0,
            reserved0: 0,
            path: at(0),
            path_len,
            old_target: old_target.map_or(ptr::null(), |_| at(path_len.saturating_add(1))),
            old_target_len: old_target.map_or(0, <[u8]>::len),
            new_target: new_target.map_or(ptr::null(), |_| at(old_end)),
            new_target_len: new_target.map_or(0, <[u8]>::len),
            old_index: index(&difference.old),
            new_index: index(&difference.new),
            old_size: old.size,
            new_size: new.size,
            old_mtime_ns: old.mtime_ns.unwrap_or(0),
            new_mtime_ns: new.mtime_ns.unwrap_or(0),
            old_kind: kind(&difference.old),
            new_kind: kind(&difference.new),
            old_mode: old.mode.unwrap_or(0),
            new_mode: new.mode.unwrap_or(0),
            old_uid: old.uid.unwrap_or(0),
            new_uid: new.uid.unwrap_or(0),
            old_gid: old.gid.unwrap_or(0),
            new_gid: new.gid.unwrap_or(0),
        })
    }
}

fn target(side: &Option<Side>) -> Option<&[u8]> {
    side.as_ref().and_then(|side| side.target.as_deref())
}

/// Compares two archives by their indexes: what the other one has more, less and different, in order of path. No block is
/// read, and it doesn't matter how each was packed; a hard link is the file that it is a name of. Of the options, those
/// that select entries count (a path is asked about once, as the first archive has it if it does), and
/// ZNIPPY_OPT_DIFF_MTIME and ZNIPPY_OPT_RESTORE_IDS make times and owners count. That they differ is no error.
///
/// Ownership: *diff_out is the caller's, freed by znippy_diff_free(). Threads: any number; progress is reported on the
/// calling one. Errors: any of I/O and format, ZNIPPY_E_CANCELLED, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_diff(
    reader: *const znippy_reader,
    other: *const znippy_reader,
    options: *const znippy_options,
    diff_out: *mut *mut znippy_diff,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, other) = unsafe { (Call::begin(reader)?, Call::begin(other)?) };
        let place = required(diff_out, "diff_out")?;
        // SAFETY: null or as the header demands.
        let options = unsafe { reader.options(options) }?;
        let all = reader.ask(|archive| other.ask(|other| archive.diff(other, &options)))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(give(Differences::new(all)?)) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Compares an archive with a directory: what the directory has more, less and different, in order of path. A tree that was
/// just extracted by the same options is equal. No link is followed; files of equal size are hashed in parallel, unless
/// ZNIPPY_OPT_SKIP_UNCHANGED is 1, which believes size, time and mode.
///
/// Ownership: *diff_out is the caller's, freed by znippy_diff_free(). Threads: any number; progress is reported on the
/// calling one. Errors: those of znippy_reader_diff(), and what can't be read in the directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_diff_dir(
    reader: *const znippy_reader,
    dir: *const c_char,
    options: *const znippy_options,
    diff_out: *mut *mut znippy_diff,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, directory) = unsafe { (Call::begin(reader)?, host_path(dir, "dir")?) };
        let place = required(diff_out, "diff_out")?;
        // SAFETY: null or as the header demands.
        let options = unsafe { reader.options(options) }?;
        let all = reader.ask(|archive| archive.diff_directory(directory, &options))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(give(Differences::new(all)?)) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Number of differences; 0 for NULL.
///
/// Ownership: takes nothing. Threads: any number. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_diff_count(diff: *const znippy_diff) -> u64 {
    // SAFETY: null or live as the header demands.
    shielded(0, || unsafe { find(diff, "diff") }.map_or(0, |differences| differences.all.len() as u64))
}

/// One difference, from 0, in order of path.
///
/// Ownership: the caller's struct, with struct_size set; its strings live as long as the diff.
/// Threads: any number. Errors: ZNIPPY_E_INVALID_ARGUMENT, also for a position beyond the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_diff_get(
    diff: *const znippy_diff,
    position: u64,
    difference_out: *mut znippy_difference,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (differences, out) = unsafe { (enter(diff, "diff")?, Out::required(difference_out, "difference_out")?) };
        out.write(&differences.get(position)?);
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Frees a diff and with it the strings that came from it; NULL is fine.
///
/// Ownership: takes the diff. Threads: any, once, and not while another thread uses it. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_diff_free(diff: *mut znippy_diff) {
    // SAFETY: the host gives up its only pointer.
    shielded((), || unsafe { drop(take_back(diff)) });
}
