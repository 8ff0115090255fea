//! Public structs. Append-only: a field is never moved, removed or given another type, and the sizes of
//! version 0.1 are frozen as the least that the library accepts.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use super::provider::znippy_row;

/// Outcome of a call: ZNIPPY_OK, ZNIPPY_DONE, or a negative ZNIPPY_E_*. Treat unknown negative numbers as failure.
pub type znippy_status = i32;

/// Called with the progress of a job, on the thread that made the call and nowhere else. The struct and its
/// path are the library's and end with the callback. Non-zero stops the job with ZNIPPY_E_CANCELLED.
pub type znippy_progress_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, progress: *const znippy_progress) -> i32>;

/// Called with a message of a job that names what it is about, on the thread that made the call and nowhere else.
/// level is ZNIPPY_LOG_*; message is UTF-8, NUL-terminated, and ends with the callback.
pub type znippy_log_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char, message_len: usize)>;

/// Asked about each entry of a job, on the thread that made the call and nowhere else, in order of path: 1 takes the
/// entry, 0 leaves it out, a negative ZNIPPY_E_* ends the job with it. The struct and its strings are the library's and
/// end with the callback; stored_size and slice_count are 0 in it, and index is ZNIPPY_UNKNOWN for what is in no archive.
pub type znippy_filter_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, entry: *const znippy_entry_info) -> i32>;

/// Gives `user_data` back to the host: called exactly once, on any thread.
pub type znippy_release_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Library memory that holds the bytes of one entry. Freed by znippy_buffer_free() and nothing else.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_buffer {
    /// The bytes; NULL where there are none.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
    /// The library's; leave it alone.
    pub priv_: usize,
}

/// What an entry is. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_entry_info {
    /// sizeof(znippy_entry_info), set by the caller.
    pub struct_size: u32,
    /// ZNIPPY_KIND_*; may be a number of a later version.
    pub kind: u32,
    /// Number of the entry in the archive.
    pub index: u64,
    /// The exact path: NUL-terminated, path_len bytes, not always UTF-8; lives as long as the listing.
    pub path: *const c_char,
    /// Bytes of the path, without the NUL.
    pub path_len: usize,
    /// Target of a symbolic link, or first path of a hard link's group; else NULL. Lives as the path does.
    pub link_target: *const c_char,
    /// Bytes of the target, without the NUL.
    pub link_target_len: usize,
    /// Logical size, holes included; 0 for kinds without bytes.
    pub size: u64,
    /// This entry's share of its blobs' stored bytes, rounded down.
    pub stored_size: u64,
    /// Modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Device number of character and block devices.
    pub rdev: u64,
    /// The low 12 mode bits (07777).
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Slices with bytes.
    pub slice_count: u32,
    /// ZNIPPY_ENTRY_HAS_*: which of the fields are recorded; the others are 0.
    pub flags: u32,
    /// 0.
    pub reserved0: u32,
    /// BLAKE3 of the whole file where ZNIPPY_ENTRY_HAS_HASH is set.
    pub hash: [u8; 32],
}

/// What a job did; sizes are bytes. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_stats {
    /// sizeof(znippy_stats), set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved0: u32,
    /// Entries of every kind.
    pub entries: u64,
    /// Regular files, hard links not counted.
    pub files: u64,
    /// Files none of whose bytes are compressed.
    pub files_stored: u64,
    /// Files some or all of whose bytes are compressed.
    pub files_compressed: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Hard links beyond the first name of a file.
    pub hardlinks: u64,
    /// FIFOs, devices and sockets.
    pub specials: u64,
    /// Slices: runs of file bytes, the rows of the index.
    pub slices: u64,
    /// Blocks: what is compressed as one unit.
    pub blocks: u64,
    /// Files whose bytes another file of the archive has already.
    pub duplicate_files: u64,
    /// Bytes that duplicates did not cost.
    pub duplicate_bytes: u64,
    /// Entries left out by option.
    pub skipped: u64,
    /// Entries that failed.
    pub failed: u64,
    /// Original bytes of all files, holes and duplicates included.
    pub bytes_in: u64,
    /// Bytes of the archive (packing) or bytes written (extraction).
    pub bytes_out: u64,
    /// Original bytes of blocks that are stored as they are.
    pub bytes_stored: u64,
    /// Original bytes of blocks that are compressed.
    pub bytes_compressed_in: u64,
    /// What the compressed blocks take in the archive.
    pub bytes_compressed_out: u64,
    /// Bytes of holes, which take no room.
    pub bytes_holes: u64,
    /// Bytes of index, sections, manifest and frame.
    pub bytes_index: u64,
    /// bytes_in / bytes_out; 0 where nothing was written.
    pub ratio: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Entries that extraction left as they stood, by option.
    pub kept: u64,
    /// Names that extraction deleted because the archive doesn't have them.
    pub pruned: u64,
    /// Names that extraction made, directories included.
    pub created: u64,
    /// Files, links and FIFOs that extraction put in the place of others.
    pub replaced: u64,
    /// Entries of an archive of format version 3 of which some bytes have no checksum to verify them by.
    pub unverified: u64,
}

/// What znippy_salvage() kept and lost; sizes are bytes. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_salvage_report {
    /// sizeof(znippy_salvage_report), set by the caller.
    pub struct_size: u32,
    /// ZNIPPY_SALVAGE_INDEX_*: where the names come from.
    pub index: u32,
    /// Entries of the new archive that have their names.
    pub entries_kept: u64,
    /// Entries that are lost, as far as it is known that they were there.
    pub entries_lost: u64,
    /// Blocks that were kept without a name, as lost+found/NUMBER.
    pub blocks_nameless: u64,
    /// Of those: blocks whose blobs no known hash covers, as lost+found/unchecked-NUMBER.
    pub blocks_unchecked: u64,
    /// Bytes of files that were kept.
    pub bytes_kept: u64,
    /// Bytes of files that are lost, as far as their sizes are known.
    pub bytes_lost: u64,
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Of those: blobs that can't be read or decoded, or some of whose slices are wrong.
    pub blobs_damaged: u64,
    /// Index segments that the manifest lists; 0 where it is lost.
    pub segments: u64,
    /// Of those: segments that are damaged.
    pub segments_lost: u64,
    /// Recovery records that were found whole; they are looked for where the index is not.
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

/// Facts about an open archive; sizes are bytes. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_archive_info {
    /// sizeof(znippy_archive_info), set by the caller.
    pub struct_size: u32,
    /// Version of the archive's format.
    pub format_version: u32,
    /// Bytes of the archive.
    pub archive_size: u64,
    /// Entries.
    pub entries: u64,
    /// Index segments.
    pub segments: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of all blobs.
    pub payload_size: u64,
    /// Everything else.
    pub index_size: u64,
    /// BLAKE3 that covers, directly or through other hashes, every byte that matters. Zeros in format version 3.
    pub archive_digest: [u8; 32],
}

/// One difference; sizes are bytes. What one side lacks, or does not record, is 0. Set struct_size before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_difference {
    /// sizeof(znippy_difference), set by the caller.
    pub struct_size: u32,
    /// ZNIPPY_DIFF_*: which side has the entry.
    pub what: u32,
    /// ZNIPPY_DIFFERS_*: what differs where both have it.
    pub flags: u32,
    /// 0.
    pub reserved0: u32,
    /// The exact path in the archive: NUL-terminated, path_len bytes, not always UTF-8; lives as long as the diff.
    pub path: *const c_char,
    /// Bytes of the path, without the NUL.
    pub path_len: usize,
    /// Target of a symbolic link on the first side, or NULL. Lives as the path does.
    pub old_target: *const c_char,
    /// Bytes of the target, without the NUL.
    pub old_target_len: usize,
    /// Target of a symbolic link on the second side, or NULL. Lives as the path does.
    pub new_target: *const c_char,
    /// Bytes of the target, without the NUL.
    pub new_target_len: usize,
    /// Number of the entry in the first archive, or ZNIPPY_UNKNOWN.
    pub old_index: u64,
    /// Number of the entry in the second archive, or ZNIPPY_UNKNOWN.
    pub new_index: u64,
    /// Logical size on the first side.
    pub old_size: u64,
    /// Logical size on the second side.
    pub new_size: u64,
    /// Modification time on the first side, in nanoseconds since the epoch.
    pub old_mtime_ns: i64,
    /// Modification time on the second side.
    pub new_mtime_ns: i64,
    /// ZNIPPY_KIND_* on the first side; ZNIPPY_NO_KIND where it has no such entry.
    pub old_kind: u32,
    /// ZNIPPY_KIND_* on the second side.
    pub new_kind: u32,
    /// The low 12 mode bits on the first side.
    pub old_mode: u32,
    /// The low 12 mode bits on the second side.
    pub new_mode: u32,
    /// User id on the first side.
    pub old_uid: u32,
    /// User id on the second side.
    pub new_uid: u32,
    /// Group id on the first side.
    pub old_gid: u32,
    /// Group id on the second side.
    pub new_gid: u32,
}

/// How far a job is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_progress {
    /// Size of the library's struct: read a field only if this covers it.
    pub struct_size: u32,
    /// ZNIPPY_PHASE_*.
    pub phase: u32,
    /// Entries dealt with in this phase.
    pub entries_done: u64,
    /// Entries of this phase, or ZNIPPY_UNKNOWN.
    pub entries_total: u64,
    /// Original bytes dealt with in this phase.
    pub bytes_done: u64,
    /// Original bytes of this phase, or ZNIPPY_UNKNOWN.
    pub bytes_total: u64,
    /// An entry that is being dealt with (NUL-terminated), or NULL.
    pub path: *const c_char,
    /// Bytes of the path, without the NUL.
    pub path_len: usize,
}

/// Random-access input through callbacks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_source {
    /// sizeof(znippy_source), set by the caller. Too small a value: nothing else in here is read or released.
    pub struct_size: u32,
    /// 0 or ZNIPPY_SOURCE_CONCURRENT. Without it the library makes one call of read_at at a time.
    pub flags: u32,
    /// First argument of the callbacks.
    pub user_data: *mut c_void,
    /// Bytes in all.
    pub size: u64,
    /// Reads up to len bytes at offset, on any thread; never asked for bytes beyond size. Returns how many bytes
    /// were read, at least 1 (the rest is asked for again), or a negative ZNIPPY_E_* that becomes the status of
    /// the call that needed the bytes. It must not unwind or longjmp; the same reader called from in here answers
    /// ZNIPPY_E_BUSY.
    pub read_at:
        Option<unsafe extern "C" fn(user_data: *mut c_void, offset: u64, buffer: *mut c_void, len: usize) -> i64>,
    /// Called once with user_data when the library is done with it; may be NULL.
    pub release: znippy_release_fn,
}

/// A column of the index that a provider fills.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_column {
    /// sizeof(znippy_column), set by the caller; the same in all columns of a provider.
    pub struct_size: u32,
    /// ZNIPPY_COLUMN_*.
    pub column_type: u32,
    /// Its name in the index: UTF-8, NUL-terminated, 1 to 255 bytes. Not the name of a fixed column or of another
    /// provider's, whatever the case of letters, and not beginning with "__znippy".
    pub name: *const c_char,
    /// 0.
    pub flags: u32,
    /// 0.
    pub reserved0: u32,
}

/// Finds values in the bytes of files that are packed; they stand in columns of the index.
///
/// Each file is offered to the providers in the order in which they were added, while its bytes are in memory. The
/// first one whose wants and extract say yes claims it: pkg_type and its values stand on the file's row. Other
/// files, and columns that were not set, are null. A further name of a file (hard link) has what its first name
/// has, without a call. Files of over 64 MiB are not offered. On the bytes of the archive nothing but these columns
/// depends on providers, and they don't depend on threads.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_provider {
    /// sizeof(znippy_provider), set by the caller. Too small a value: nothing else in here is read or released.
    pub struct_size: u32,
    /// 0 or ZNIPPY_PROVIDER_CONCURRENT. Without it the library makes one call of wants or extract at a time.
    pub flags: u32,
    /// First argument of the callbacks.
    pub user_data: *mut c_void,
    /// What errors call it: UTF-8, NUL-terminated, 1 to 255 bytes.
    pub name: *const c_char,
    /// What stands in the column pkg_type of the files that it claims: -127 to 127.
    pub pkg_type: i32,
    /// 0.
    pub reserved0: u32,
    /// The columns that it fills.
    pub columns: *const znippy_column,
    /// How many.
    pub column_count: usize,
    /// Whether extract is to look at the file with this path in the archive (NUL-terminated) and size: 1, or 0, or a
    /// negative ZNIPPY_E_* that ends the job. NULL wants everything. On any thread.
    pub wants:
        Option<unsafe extern "C" fn(user_data: *mut c_void, path: *const c_char, path_len: usize, size: u64) -> i32>,
    /// Looks at all bytes of a file and sets values with znippy_row_set_*(): 1 claims the file, 0 leaves it to others, a
    /// negative ZNIPPY_E_* ends the job with that status. Path, data and row end with the call; data is NULL where
    /// data_len is 0. On any thread. It must not unwind or longjmp; the same writer called from in here answers
    /// ZNIPPY_E_BUSY.
    pub extract: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            path: *const c_char,
            path_len: usize,
            data: *const u8,
            data_len: usize,
            row: *mut znippy_row,
        ) -> i32,
    >,
    /// Called once with user_data when the library is done with it; may be NULL.
    pub release: znippy_release_fn,
}

/// Append-only output through callbacks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_sink {
    /// sizeof(znippy_sink), set by the caller. Too small a value: nothing else in here is read or released.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// First argument of the callbacks.
    pub user_data: *mut c_void,
    /// Takes up to len bytes, which follow those that were taken before, inside a call of the writer and on its thread.
    /// len is at most 1 MiB. Returns how many were taken, at least 1 (the rest is offered again), or a negative
    /// ZNIPPY_E_* that becomes the status of the call and ends the archive. It must not unwind or longjmp; the same
    /// writer called from in here answers ZNIPPY_E_BUSY.
    pub write: Option<unsafe extern "C" fn(user_data: *mut c_void, data: *const c_void, len: usize) -> i64>,
    /// Called once after the last byte, before znippy_writer_finish() succeeds; never where an archive is not whole. 0,
    /// or a negative ZNIPPY_E_* that becomes the status of the call. May be NULL.
    pub finish: Option<unsafe extern "C" fn(user_data: *mut c_void) -> i32>,
    /// Called once with user_data when the library is done with it; may be NULL.
    pub release: znippy_release_fn,
}

/// A file's bytes through a callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct znippy_stream {
    /// sizeof(znippy_stream), set by the caller. Too small a value: nothing else in here is read or released.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// First argument of the callbacks.
    pub user_data: *mut c_void,
    /// Reads up to len bytes, inside the call and on its thread. Returns how many were read, 0 at the end, or a negative
    /// ZNIPPY_E_* that becomes the status of the call. It must not unwind or longjmp; the same writer called from in
    /// here answers ZNIPPY_E_BUSY.
    pub read: Option<unsafe extern "C" fn(user_data: *mut c_void, buffer: *mut c_void, len: usize) -> i64>,
    /// Called once with user_data before the call returns; may be NULL.
    pub release: znippy_release_fn,
}

/// A public struct that begins with its size.
///
/// # Safety
/// The type is `repr(C)`, starts with the `u32` field `struct_size`, and has no implicit padding.
pub(super) unsafe trait Sized32: Copy {
    /// The end of the last field of version 0.1: the least that is accepted, for ever, whatever is appended.
    const MINIMUM: usize;
}

// SAFETY: see the declaration and tests/layout.rs, which has the offset of each field.
unsafe impl Sized32 for znippy_entry_info {
    const MINIMUM: usize = offset_of!(znippy_entry_info, hash) + size_of::<[u8; 32]>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_stats {
    const MINIMUM: usize = offset_of!(znippy_stats, unverified) + size_of::<u64>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_difference {
    const MINIMUM: usize = offset_of!(znippy_difference, new_gid) + size_of::<u32>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_salvage_report {
    const MINIMUM: usize = offset_of!(znippy_salvage_report, seconds) + size_of::<f64>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_archive_info {
    const MINIMUM: usize = offset_of!(znippy_archive_info, archive_digest) + size_of::<[u8; 32]>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_source {
    const MINIMUM: usize = offset_of!(znippy_source, release) + size_of::<znippy_release_fn>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_column {
    const MINIMUM: usize = offset_of!(znippy_column, reserved0) + size_of::<u32>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_provider {
    const MINIMUM: usize = offset_of!(znippy_provider, release) + size_of::<znippy_release_fn>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_sink {
    const MINIMUM: usize = offset_of!(znippy_sink, release) + size_of::<znippy_release_fn>();
}
// SAFETY: as above.
unsafe impl Sized32 for znippy_stream {
    const MINIMUM: usize = offset_of!(znippy_stream, release) + size_of::<znippy_release_fn>();
}
