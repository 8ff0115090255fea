//! What a `znippy_reader` does with its entries: find, read, restore, check.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::boundary::guarded;
use super::buffer::hand_over;
use super::error::znippy_error;
use super::oneshot::{extract_into, write_stats};
use super::options::{snapshot, znippy_options};
use super::pointer::{Out, bytes, host_path, invalid, required, room};
use super::reader::{Call, znippy_reader};
use super::types::{znippy_buffer, znippy_stats, znippy_status};
use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::extract;
use crate::options::{Key, Options};
use crate::stats::Stats;

/// The number of the entry with exactly this path.
///
/// Ownership: takes nothing. Threads: any number.
/// Errors: ZNIPPY_E_NOT_FOUND, any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_find(
    reader: *const znippy_reader,
    path: *const c_char,
    path_len: usize,
    index_out: *mut u64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, path) = unsafe { (Call::begin(reader)?, bytes(path.cast(), path_len, "path")?) };
        let place = required(index_out, "index_out")?;
        if path.is_empty() {
            return Err(invalid("path is empty"));
        }
        let missing = || Error::new(Status::NotFound, "no such entry").with_entry(path);
        let index = reader.ask(|archive| archive.find(path))?.ok_or_else(missing)?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(index) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// The entries at and below a directory (or of one path): `*count_out` of them from number `*first_out` on. The
/// empty prefix is everything; no match is no error.
///
/// Ownership: takes nothing. Threads: any number.
/// Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_find_prefix(
    reader: *const znippy_reader,
    prefix: *const c_char,
    prefix_len: usize,
    first_out: *mut u64,
    count_out: *mut u64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, prefix) = unsafe { (Call::begin(reader)?, bytes(prefix.cast(), prefix_len, "prefix")?) };
        let (first, count) = (required(first_out, "first_out")?, required(count_out, "count_out")?);
        let range = reader.ask(|archive| archive.find_prefix(prefix))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe {
            first.write(range.start);
            count.write(range.end.saturating_sub(range.start));
        }
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Reads an entry's bytes at an offset. Only the blocks that hold them are decoded, and each slice that is
/// touched is checked whole. `*read_out` is less than len at the end of the entry only, and 0 beyond it.
///
/// Ownership: the caller's buffer, which may be NULL where len is 0; on failure its bytes are undefined.
/// Threads: any number. Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_read_at(
    reader: *const znippy_reader,
    index: u64,
    offset: u64,
    buffer: *mut c_void,
    len: usize,
    read_out: *mut usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, buffer) = unsafe { (Call::begin(reader)?, room(buffer, len, "buffer")?) };
        let place = required(read_out, "read_out")?;
        let read = reader.ask(|archive| archive.read_at(index, offset, buffer))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(read) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// The first run of bytes at or after offset that is no hole: from `*start_out` up to `*end_out`. Both are the entry's
/// size where nothing but a hole, or nothing, follows. What lies in holes reads as zeros. No block is read.
///
/// Ownership: takes nothing. Threads: any number.
/// Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_find_data(
    reader: *const znippy_reader,
    index: u64,
    offset: u64,
    start_out: *mut u64,
    end_out: *mut u64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let (start, end) = (required(start_out, "start_out")?, required(end_out, "end_out")?);
        let run = reader.ask(|archive| archive.find_data(index, offset))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe {
            start.write(run.start);
            end.write(run.end);
        }
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Reads a whole entry into memory of the library; entries of more than ZNIPPY_OPT_MAX_ENTRY_SIZE bytes are
/// refused.
///
/// Ownership: the bytes are the caller's, freed by znippy_buffer_free(); they outlive the reader.
/// Threads: any number.
/// Errors: ZNIPPY_E_LIMIT, any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_read(
    reader: *const znippy_reader,
    index: u64,
    options: *const znippy_options,
    buffer_out: *mut znippy_buffer,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, options) = unsafe { (Call::begin(reader)?, snapshot(options)?) };
        let place = required(buffer_out, "buffer_out")?;
        let limit = options.get(Key::MaxEntrySize).unsigned_abs();
        let bytes = reader.ask(|archive| archive.read(index, limit))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(hand_over(bytes)) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Number of the extended attributes that an entry has; 0 where none are recorded. Access control lists, capabilities
/// and labels are extended attributes too.
///
/// Ownership: takes nothing. Threads: any number.
/// Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_xattr_count(
    reader: *const znippy_reader,
    index: u64,
    count_out: *mut usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let place = required(count_out, "count_out")?;
        let count = reader.ask(|archive| Ok(archive.entry_xattrs(index)?.count()))?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(count) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// An extended attribute of an entry, by its number in the order of the names' bytes: the name, such as "user.mime_type",
/// which has no NUL at its end, and the value, any bytes, NULL where there are none.
///
/// Ownership: name and value live as long as the reader. Threads: any number.
/// Errors: ZNIPPY_E_NOT_FOUND where the entry has no attribute of this number, any of I/O and format,
/// ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_xattr(
    reader: *const znippy_reader,
    index: u64,
    number: usize,
    name_out: *mut *const c_char,
    name_len_out: *mut usize,
    value_out: *mut *const c_void,
    value_len_out: *mut usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let (name_place, name_len) = (required(name_out, "name_out")?, required(name_len_out, "name_len_out")?);
        let (value_place, value_len) = (required(value_out, "value_out")?, required(value_len_out, "value_len_out")?);
        reader.ask(|archive| {
            let missing = || Error::new(Status::NotFound, format!("the entry has no extended attribute {number}"));
            let (name, value) = archive.entry_xattrs(index)?.nth(number).ok_or_else(missing)?;
            let value_start = if value.is_empty() { ptr::null() } else { value.as_ptr() };
            // SAFETY: not null, and writable as the header demands. The archive keeps its sets, once loaded, to its end.
            unsafe {
                name_place.write(name.as_ptr().cast());
                name_len.write(name.len());
                value_place.write(value_start.cast());
                value_len.write(value.len());
            }
            Ok(())
        })
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Restores one entry to exactly dest_path, whose directory must exist: a file, also of a hard link's bytes, a symbolic
/// link, a FIFO, or a directory without what is below it. It gets its name when it is complete and was checked; until
/// then, and after a failure, nothing is there, or what was there before. Of the options, those count that are about
/// single files: overwrite, skip-unchanged, restore-ids and their like, threads and memory-limit.
///
/// Ownership: takes nothing. Threads: any number; progress is reported on the calling one.
/// Errors: ZNIPPY_E_EXISTS, ZNIPPY_E_UNSUPPORTED for devices and sockets, any of I/O and format, ZNIPPY_E_CANCELLED,
/// ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_extract(
    reader: *const znippy_reader,
    index: u64,
    dest_path: *const c_char,
    options: *const znippy_options,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, destination) = unsafe { (Call::begin(reader)?, host_path(dest_path, "dest_path")?) };
        // SAFETY: null or as the header demands.
        let options = unsafe { reader.options(options) }?;
        reader.ask(|archive| extract::extract_entry(archive, index, destination, &options))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Restores the whole archive below dest_dir, as znippy_extract_archive() does.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
/// Errors: those of znippy_extract_archive(), ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_extract_all(
    reader: *const znippy_reader,
    dest_dir: *const c_char,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, destination, out) =
            unsafe { (Call::begin(reader)?, host_path(dest_dir, "dest_dir")?, Out::optional(stats_out, "stats_out")?) };
        // SAFETY: null or as the header demands.
        let options = unsafe { reader.options(options) }?;
        reader.ask(|archive| extract_into(archive, destination, &options, out))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Checks everything: every slice and file against its hash, and what spans segments. Nothing is written.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
/// Errors: ZNIPPY_E_CHECKSUM, ZNIPPY_E_CORRUPT, any of I/O, ZNIPPY_E_CANCELLED, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_verify(
    reader: *const znippy_reader,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    // SAFETY: null or as the header demands.
    unsafe { guarded(err, || job(reader, options, stats_out, Archive::verify)) }
}

/// Checks stored bytes against their hashes without decoding them: finds every damaged byte, at the speed of
/// the disk.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
/// Errors: those of znippy_reader_verify().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_verify_quick(
    reader: *const znippy_reader,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    // SAFETY: null or as the header demands.
    unsafe { guarded(err, || job(reader, options, stats_out, Archive::verify_quick)) }
}

/// Checks one entry's bytes against their hashes.
///
/// Ownership: takes nothing. Threads: any number. Errors: those of znippy_reader_verify().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_verify_entry(
    reader: *const znippy_reader,
    index: u64,
    err: *mut *mut znippy_error,
) -> znippy_status {
    // SAFETY: null or as the header demands.
    unsafe { guarded(err, || Call::begin(reader)?.ask(|archive| archive.verify_entry(index))) }
}

/// A job over the whole archive: options in, statistics out.
///
/// # Safety
/// The pointers are null or as the header demands.
unsafe fn job(
    reader: *const znippy_reader,
    options: *const znippy_options,
    stats_out: *mut znippy_stats,
    run: impl FnOnce(&Archive, &Options) -> Result<Stats>,
) -> Result<()> {
    // SAFETY: as promised by the caller.
    let (reader, out) = unsafe { (Call::begin(reader)?, Out::optional(stats_out, "stats_out")?) };
    // SAFETY: as promised by the caller.
    let options = unsafe { reader.options(options) }?;
    write_stats(out, &reader.ask(|archive| run(archive, &options))?);
    Ok(())
}
