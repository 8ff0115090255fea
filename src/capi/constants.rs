//! The numbers of the C interface. They stand here by hand because the header generator reads plain
//! constants only; tests hold them to the tables of the library, which decide.

/// Done.
pub const ZNIPPY_OK: i32 = 0;
/// Nothing more to come.
pub const ZNIPPY_DONE: i32 = 1;
/// An argument is null, out of range or malformed.
pub const ZNIPPY_E_INVALID_ARGUMENT: i32 = -1;
/// The handle can't do this in its present state, for instance after ZNIPPY_E_PANIC.
pub const ZNIPPY_E_INVALID_STATE: i32 = -2;
/// This build, or this version, doesn't know the option, codec, kind or feature.
pub const ZNIPPY_E_UNSUPPORTED: i32 = -3;
/// An allocation failed.
pub const ZNIPPY_E_NO_MEMORY: i32 = -4;
/// A defect in the library was caught at its boundary; free the handle and report it.
pub const ZNIPPY_E_PANIC: i32 = -5;
/// The handle is in use further up this thread's stack: it was called from its own callback.
pub const ZNIPPY_E_BUSY: i32 = -6;
/// The handle was made before fork() and can't be used in the child.
pub const ZNIPPY_E_FORKED: i32 = -7;
/// A limit of the options or of the format is exceeded.
pub const ZNIPPY_E_LIMIT: i32 = -8;
/// An input or output operation failed; see znippy_error_os_code().
pub const ZNIPPY_E_IO: i32 = -20;
/// There is no such file, directory or entry.
pub const ZNIPPY_E_NOT_FOUND: i32 = -21;
/// The name exists already and replacing it was not asked for.
pub const ZNIPPY_E_EXISTS: i32 = -22;
/// Permission denied.
pub const ZNIPPY_E_PERMISSION: i32 = -23;
/// The disk or a quota is full.
pub const ZNIPPY_E_NO_SPACE: i32 = -24;
/// A source file changed or vanished while it was being read.
pub const ZNIPPY_E_CHANGED: i32 = -25;
/// The bytes are not a znippy archive.
pub const ZNIPPY_E_NOT_ARCHIVE: i32 = -40;
/// The archive needs another version of the library.
pub const ZNIPPY_E_VERSION: i32 = -41;
/// The archive is damaged or malformed; see znippy_error_rule().
pub const ZNIPPY_E_CORRUPT: i32 = -42;
/// Bytes do not match their recorded hash.
pub const ZNIPPY_E_CHECKSUM: i32 = -43;
/// A name in the archive would reach outside the destination, or is not a valid name.
pub const ZNIPPY_E_UNSAFE_PATH: i32 = -44;
/// Cancelled by a token or by the progress function.
pub const ZNIPPY_E_CANCELLED: i32 = -60;
/// A callback reported a failure without a status that the library knows.
pub const ZNIPPY_E_CALLBACK: i32 = -61;
/// Done in part: what failed was counted.
pub const ZNIPPY_E_PARTIAL: i32 = -62;

/// Worker threads; 0 (default) takes as many as there are processors. Never changes the bytes of an archive.
pub const ZNIPPY_OPT_THREADS: u32 = 1;
/// zstd compression level.
pub const ZNIPPY_OPT_LEVEL: u32 = 2;
/// Values for level, block size, slice size and small files: 0 default, 1 fast, 2 small, 3 max, 4 random.
pub const ZNIPPY_OPT_PRESET: u32 = 3;
/// Files up to this many bytes are not cut, and share blocks with their neighbours.
pub const ZNIPPY_OPT_SMALL_FILE: u32 = 4;
/// Bytes of small files, or of shorter slices of big ones, that are compressed as one block.
pub const ZNIPPY_OPT_BLOCK_SIZE: u32 = 5;
/// Big files are cut into slices of this many bytes; a power of two.
pub const ZNIPPY_OPT_SLICE_SIZE: u32 = 6;
/// Order of small files in the archive: 0 by path, 1 by extension, file name and path.
pub const ZNIPPY_OPT_ORDER: u32 = 7;
/// 1: try to compress every file, also those that look compressed already.
pub const ZNIPPY_OPT_NO_SKIP: u32 = 8;
/// What to do where the name exists: 0 refuse, 1 replace; extraction also: 2 keep, 3 replace what is older.
pub const ZNIPPY_OPT_OVERWRITE: u32 = 9;
/// What to do with a source file that can't be read or changes: 0 fail, 1 leave it out and count it.
pub const ZNIPPY_OPT_ON_ERROR: u32 = 10;
/// Most bytes for buffers and contexts; a limit lowers threads, never changes bytes.
pub const ZNIPPY_OPT_MEMORY_LIMIT: u32 = 11;
/// 1: record numeric user and group ids.
pub const ZNIPPY_OPT_RECORD_IDS: u32 = 12;
/// Bytes: a UTF-8 label that is recorded in the index column `repo`.
pub const ZNIPPY_OPT_REPO: u32 = 13;
/// Least milliseconds between two calls of the progress function.
pub const ZNIPPY_OPT_PROGRESS_INTERVAL: u32 = 14;
/// Bytes of decoded blocks and index segments that an open archive keeps.
pub const ZNIPPY_OPT_CACHE_SIZE: u32 = 15;
/// 1: store index segments without compression.
pub const ZNIPPY_OPT_PLAIN_INDEX: u32 = 16;
/// Entries of more bytes than this are not read into memory as a whole.
pub const ZNIPPY_OPT_MAX_ENTRY_SIZE: u32 = 17;
/// 1: give extracted files the recorded user and group ids.
pub const ZNIPPY_OPT_RESTORE_IDS: u32 = 18;
/// 1: restore set-user-id, set-group-id and sticky bits, which are dropped otherwise.
pub const ZNIPPY_OPT_RESTORE_SETUID: u32 = 19;
/// List: restore only what matches one of these globs, and what lies below it.
pub const ZNIPPY_OPT_INCLUDE: u32 = 20;
/// List: don't restore what matches one of these globs, nor what lies below it.
pub const ZNIPPY_OPT_EXCLUDE: u32 = 21;
/// List: restore only the entries with these paths and what lies below them.
pub const ZNIPPY_OPT_PREFIX: u32 = 22;
/// Take so many components off the front of each path.
pub const ZNIPPY_OPT_STRIP_COMPONENTS: u32 = 23;
/// Don't touch files that are as the archive has them: 0 rewrite all, 1 by size, time and mode, 2 by size and BLAKE3.
pub const ZNIPPY_OPT_SKIP_UNCHANGED: u32 = 24;
/// 1: delete what is not in the archive.
pub const ZNIPPY_OPT_PRUNE: u32 = 25;
/// 1: restore everything that is undamaged; the call ends with ZNIPPY_E_PARTIAL where something failed.
pub const ZNIPPY_OPT_KEEP_GOING: u32 = 26;
/// 1: the destination is the old tree or the new, nothing in between.
pub const ZNIPPY_OPT_ATOMIC: u32 = 27;
/// Name of ignore files, such as .gitignore; each one that is set is added.
pub const ZNIPPY_OPT_IGNORE_FILE: u32 = 28;
/// Files of more bytes are left out and counted; 0: no limit.
pub const ZNIPPY_OPT_MAX_FILE_SIZE: u32 = 29;
/// 1: directories on which other file systems are mounted are packed as empty ones.
pub const ZNIPPY_OPT_ONE_FILE_SYSTEM: u32 = 30;
/// Modification times: 0 keep, 1 none later than ZNIPPY_OPT_MTIME_LIMIT, 2 none, 3 all that limit.
pub const ZNIPPY_OPT_MTIMES: u32 = 31;
/// Seconds since the epoch, for ZNIPPY_OPT_MTIMES.
pub const ZNIPPY_OPT_MTIME_LIMIT: u32 = 32;
/// Modes: 0 keep, 1 normalise.
pub const ZNIPPY_OPT_MODES: u32 = 33;
/// 1: extended attributes of files and directories are recorded.
pub const ZNIPPY_OPT_XATTRS: u32 = 34;
/// Extended attributes that are restored: 0 none, 1 user.*, 2 all.
pub const ZNIPPY_OPT_RESTORE_XATTRS: u32 = 35;
/// 1: write nothing; report and log what extraction would do.
pub const ZNIPPY_OPT_DRY_RUN: u32 = 36;
/// 1: for archives from strangers; see docs/OPTIONS.md.
pub const ZNIPPY_OPT_UNTRUSTED: u32 = 37;
/// Refuse archives whose files have more bytes than this; 0 no limit.
pub const ZNIPPY_OPT_MAX_BYTES: u32 = 38;
/// Refuse archives of more entries than this; 0 no limit.
pub const ZNIPPY_OPT_MAX_ENTRIES: u32 = 39;
/// Refuse archives that unpack to more than so many times their own size; 0 no limit.
pub const ZNIPPY_OPT_MAX_RATIO: u32 = 40;
/// Refuse paths of more components than this; 0 no limit.
pub const ZNIPPY_OPT_MAX_DEPTH: u32 = 41;
/// 1: modification times count as a difference too.
pub const ZNIPPY_OPT_DIFF_MTIME: u32 = 50;
/// What becomes of files with the same bytes: 0 copies, 1 clones that share blocks, 2 hard links.
pub const ZNIPPY_OPT_DUPLICATES: u32 = 42;
/// Refuse archives whose decoded index has more bytes than this; 0 stands for 1 GiB, or 64 times the archive.
pub const ZNIPPY_OPT_MAX_INDEX: u32 = 55;
/// Which files of a base archive are unchanged: 0 by path, size, time and mode, 1 also by their bytes, which reads all;
/// 2 as 0 and without decoding what is taken, for a base that was verified.
pub const ZNIPPY_OPT_BASE_CHECK: u32 = 45;
/// What to do with an entry whose path was added to a writer before: 0 refuse it, 1 let it replace the earlier one.
pub const ZNIPPY_OPT_DUPLICATE_PATHS: u32 = 43;
/// Write recovery records between the blobs, so that names survive the loss of the index when an archive is salvaged.
pub const ZNIPPY_OPT_RECOVERY: u32 = 56;
/// Flag: znippy_writer_append() leaves out what no entry of the archive uses any more.
pub const ZNIPPY_OPT_COMPACT: u32 = 46;
/// Big files of which parts are the same: 0 look for them and let them share blocks, 1 don't.
pub const ZNIPPY_OPT_SIMILAR_FILES: u32 = 44;
/// ZNIPPY_PROFILE_*: the format that is written.
pub const ZNIPPY_OPT_PROFILE: u32 = 51;
/// Names of one file: 0 record them as such, 1 record each as a file of its own.
pub const ZNIPPY_OPT_HARD_LINKS: u32 = 65;

/// A value of ZNIPPY_OPT_PROFILE: format version 4.
pub const ZNIPPY_PROFILE_V4: u32 = 0;
/// A value of ZNIPPY_OPT_PROFILE: format version 3, which znippy 0.7.2 and 0.10 read. It carries files and their bytes
/// alone: links, special files, empty directories and names that are not UTF-8 are left out, counted in
/// znippy_stats.skipped and named by log messages; modes, times and the like are not kept. Not for appending or with a base.
pub const ZNIPPY_PROFILE_V3: u32 = 1;

/// A regular file.
pub const ZNIPPY_KIND_FILE: u32 = 0;
/// A directory.
pub const ZNIPPY_KIND_DIRECTORY: u32 = 1;
/// A symbolic link.
pub const ZNIPPY_KIND_SYMLINK: u32 = 2;
/// A further name of a file that stands in the archive under another name.
pub const ZNIPPY_KIND_HARDLINK: u32 = 3;
/// A FIFO.
pub const ZNIPPY_KIND_FIFO: u32 = 4;
/// A character device.
pub const ZNIPPY_KIND_CHAR_DEVICE: u32 = 5;
/// A block device.
pub const ZNIPPY_KIND_BLOCK_DEVICE: u32 = 6;
/// A socket.
pub const ZNIPPY_KIND_SOCKET: u32 = 7;

/// Names are collected.
pub const ZNIPPY_PHASE_SCAN: u32 = 1;
/// Files are read, compressed and written.
pub const ZNIPPY_PHASE_PACK: u32 = 2;
/// The index is written, the archive synced and renamed.
pub const ZNIPPY_PHASE_FINISH: u32 = 3;
/// The index is read.
pub const ZNIPPY_PHASE_LIST: u32 = 4;
/// Entries are restored.
pub const ZNIPPY_PHASE_EXTRACT: u32 = 5;
/// Bytes are checked against their hashes.
pub const ZNIPPY_PHASE_VERIFY: u32 = 6;
/// Archives and trees are compared.
pub const ZNIPPY_PHASE_COMPARE: u32 = 7;

/// In a difference: there is no such entry on this side.
pub const ZNIPPY_NO_KIND: u32 = 0xFFFF_FFFF;

/// Only the second side has the entry.
pub const ZNIPPY_DIFF_ADDED: u32 = 1;
/// Only the first side has the entry.
pub const ZNIPPY_DIFF_REMOVED: u32 = 2;
/// Both sides have the entry, and not the same; see znippy_difference.flags.
pub const ZNIPPY_DIFF_CHANGED: u32 = 3;

/// The bytes of a file differ.
pub const ZNIPPY_DIFFERS_BYTES: u32 = 1;
/// The modes differ.
pub const ZNIPPY_DIFFERS_MODE: u32 = 2;
/// The modification times differ, and count.
pub const ZNIPPY_DIFFERS_MTIME: u32 = 4;
/// The targets of symbolic links differ, or the numbers of devices.
pub const ZNIPPY_DIFFERS_TARGET: u32 = 8;
/// The kinds differ; nothing else was compared then.
pub const ZNIPPY_DIFFERS_KIND: u32 = 16;
/// Users or groups differ, and count.
pub const ZNIPPY_DIFFERS_OWNER: u32 = 32;
/// Extended attributes differ.
pub const ZNIPPY_DIFFERS_XATTR: u32 = 64;

/// znippy_salvage_report.index: there are no names.
pub const ZNIPPY_SALVAGE_INDEX_LOST: u32 = 0;
/// znippy_salvage_report.index: the index is whole.
pub const ZNIPPY_SALVAGE_INDEX_WHOLE: u32 = 1;
/// znippy_salvage_report.index: what was lost of it was made up for by recovery records.
pub const ZNIPPY_SALVAGE_INDEX_RECOVERED: u32 = 2;
/// znippy_salvage_report.index: parts of it are lost, and names with them.
pub const ZNIPPY_SALVAGE_INDEX_PARTIAL: u32 = 3;

/// znippy_entry_info.mode is recorded.
pub const ZNIPPY_ENTRY_HAS_MODE: u32 = 1;
/// znippy_entry_info.mtime_ns is recorded.
pub const ZNIPPY_ENTRY_HAS_MTIME: u32 = 2;
/// znippy_entry_info.uid is recorded.
pub const ZNIPPY_ENTRY_HAS_UID: u32 = 4;
/// znippy_entry_info.gid is recorded.
pub const ZNIPPY_ENTRY_HAS_GID: u32 = 8;
/// znippy_entry_info.rdev is recorded.
pub const ZNIPPY_ENTRY_HAS_RDEV: u32 = 16;
/// znippy_entry_info.hash holds the BLAKE3 of the whole file.
pub const ZNIPPY_ENTRY_HAS_HASH: u32 = 32;
/// Some of the entry's bytes have no recorded checksum, so that reading can't tell whether they are right: archives of
/// format version 3 may lack checksums.
pub const ZNIPPY_ENTRY_UNVERIFIED: u32 = 64;

/// znippy_source.flags: read_at may be called from several threads at once.
pub const ZNIPPY_SOURCE_CONCURRENT: u32 = 1;

/// znippy_provider.flags: wants and extract may be called from several threads at once.
pub const ZNIPPY_PROVIDER_CONCURRENT: u32 = 1;

/// znippy_column.column_type: text in UTF-8.
pub const ZNIPPY_COLUMN_UTF8: u32 = 1;
/// znippy_column.column_type: signed numbers of 64 bits.
pub const ZNIPPY_COLUMN_INT64: u32 = 2;
/// znippy_column.column_type: floating point numbers of 64 bits.
pub const ZNIPPY_COLUMN_FLOAT64: u32 = 3;
/// znippy_column.column_type: any bytes.
pub const ZNIPPY_COLUMN_BINARY: u32 = 4;

/// znippy_features(): this build packs and reads zstd.
pub const ZNIPPY_FEATURE_ZSTD: u64 = 1;

/// Something was lost or left out, and the job goes on.
pub const ZNIPPY_LOG_WARNING: i32 = 2;
/// What a user may want to know.
pub const ZNIPPY_LOG_INFO: i32 = 3;

/// A total that is not known (yet).
pub const ZNIPPY_UNKNOWN: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Flags, What};
    use crate::error::STATUS_TABLE;
    use crate::format::row::EntryKind;
    use crate::options::{Key, OPTION_TABLE};
    use crate::progress::{LogLevel, Phase, UNKNOWN};
    use crate::provider::ColumnType;
    use crate::salvage::Index;

    /// Pairs of a constant's name and its value.
    macro_rules! named {
        ($($name:ident),* $(,)?) => { [$((stringify!($name), i64::from($name))),*] };
    }

    #[test]
    fn statuses_are_those_of_the_table() {
        let constants = named!(
            ZNIPPY_OK,
            ZNIPPY_DONE,
            ZNIPPY_E_INVALID_ARGUMENT,
            ZNIPPY_E_INVALID_STATE,
            ZNIPPY_E_UNSUPPORTED,
            ZNIPPY_E_NO_MEMORY,
            ZNIPPY_E_PANIC,
            ZNIPPY_E_BUSY,
            ZNIPPY_E_FORKED,
            ZNIPPY_E_LIMIT,
            ZNIPPY_E_IO,
            ZNIPPY_E_NOT_FOUND,
            ZNIPPY_E_EXISTS,
            ZNIPPY_E_PERMISSION,
            ZNIPPY_E_NO_SPACE,
            ZNIPPY_E_CHANGED,
            ZNIPPY_E_NOT_ARCHIVE,
            ZNIPPY_E_VERSION,
            ZNIPPY_E_CORRUPT,
            ZNIPPY_E_CHECKSUM,
            ZNIPPY_E_UNSAFE_PATH,
            ZNIPPY_E_CANCELLED,
            ZNIPPY_E_CALLBACK,
            ZNIPPY_E_PARTIAL,
        );
        let table: Vec<_> = STATUS_TABLE.iter().map(|row| (row.2, i64::from(row.1))).collect();
        assert_eq!(constants.to_vec(), table);
    }

    #[test]
    fn options_are_those_of_the_table() {
        let constants = named!(
            ZNIPPY_OPT_THREADS,
            ZNIPPY_OPT_LEVEL,
            ZNIPPY_OPT_PRESET,
            ZNIPPY_OPT_SMALL_FILE,
            ZNIPPY_OPT_BLOCK_SIZE,
            ZNIPPY_OPT_SLICE_SIZE,
            ZNIPPY_OPT_ORDER,
            ZNIPPY_OPT_NO_SKIP,
            ZNIPPY_OPT_OVERWRITE,
            ZNIPPY_OPT_ON_ERROR,
            ZNIPPY_OPT_MEMORY_LIMIT,
            ZNIPPY_OPT_RECORD_IDS,
            ZNIPPY_OPT_REPO,
            ZNIPPY_OPT_PROGRESS_INTERVAL,
            ZNIPPY_OPT_CACHE_SIZE,
            ZNIPPY_OPT_PLAIN_INDEX,
            ZNIPPY_OPT_MAX_ENTRY_SIZE,
            ZNIPPY_OPT_RESTORE_IDS,
            ZNIPPY_OPT_RESTORE_SETUID,
            ZNIPPY_OPT_INCLUDE,
            ZNIPPY_OPT_EXCLUDE,
            ZNIPPY_OPT_PREFIX,
            ZNIPPY_OPT_STRIP_COMPONENTS,
            ZNIPPY_OPT_SKIP_UNCHANGED,
            ZNIPPY_OPT_PRUNE,
            ZNIPPY_OPT_KEEP_GOING,
            ZNIPPY_OPT_ATOMIC,
            ZNIPPY_OPT_IGNORE_FILE,
            ZNIPPY_OPT_MAX_FILE_SIZE,
            ZNIPPY_OPT_ONE_FILE_SYSTEM,
            ZNIPPY_OPT_MTIMES,
            ZNIPPY_OPT_MTIME_LIMIT,
            ZNIPPY_OPT_MODES,
            ZNIPPY_OPT_XATTRS,
            ZNIPPY_OPT_RESTORE_XATTRS,
            ZNIPPY_OPT_DRY_RUN,
            ZNIPPY_OPT_UNTRUSTED,
            ZNIPPY_OPT_MAX_BYTES,
            ZNIPPY_OPT_MAX_ENTRIES,
            ZNIPPY_OPT_MAX_RATIO,
            ZNIPPY_OPT_MAX_DEPTH,
            ZNIPPY_OPT_DUPLICATE_PATHS,
            ZNIPPY_OPT_SIMILAR_FILES,
            ZNIPPY_OPT_DIFF_MTIME,
            ZNIPPY_OPT_DUPLICATES,
            ZNIPPY_OPT_MAX_INDEX,
            ZNIPPY_OPT_BASE_CHECK,
            ZNIPPY_OPT_RECOVERY,
            ZNIPPY_OPT_COMPACT,
            ZNIPPY_OPT_PROFILE,
            ZNIPPY_OPT_HARD_LINKS,
        );
        let constants: Vec<_> = constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let c_name = |name: &str| format!("ZNIPPY_OPT_{}", name.to_uppercase().replace('-', "_"));
        let number = |key: Key| i64::from(key as u32);
        let table: Vec<_> = OPTION_TABLE.iter().map(|spec| (c_name(spec.name), number(spec.key))).collect();
        assert_eq!(constants, table);
    }

    #[test]
    fn kinds_and_phases_are_those_of_the_library() {
        let kinds = [
            (ZNIPPY_KIND_FILE, EntryKind::File),
            (ZNIPPY_KIND_DIRECTORY, EntryKind::Directory),
            (ZNIPPY_KIND_SYMLINK, EntryKind::Symlink),
            (ZNIPPY_KIND_HARDLINK, EntryKind::Hardlink),
            (ZNIPPY_KIND_FIFO, EntryKind::Fifo),
            (ZNIPPY_KIND_CHAR_DEVICE, EntryKind::CharDevice),
            (ZNIPPY_KIND_BLOCK_DEVICE, EntryKind::BlockDevice),
            (ZNIPPY_KIND_SOCKET, EntryKind::Socket),
        ];
        assert!(kinds.iter().all(|(number, kind)| *number == *kind as u32));
        assert!(EntryKind::from_number(kinds.len() as u8).is_none(), "a kind without a constant");
        let phases = [
            (ZNIPPY_PHASE_SCAN, Phase::Scan),
            (ZNIPPY_PHASE_PACK, Phase::Pack),
            (ZNIPPY_PHASE_FINISH, Phase::Finish),
            (ZNIPPY_PHASE_LIST, Phase::List),
            (ZNIPPY_PHASE_EXTRACT, Phase::Extract),
            (ZNIPPY_PHASE_VERIFY, Phase::Verify),
            (ZNIPPY_PHASE_COMPARE, Phase::Compare),
        ];
        assert!(phases.iter().all(|(number, phase)| *number == *phase as u32));
        let whats = [ZNIPPY_DIFF_ADDED, ZNIPPY_DIFF_REMOVED, ZNIPPY_DIFF_CHANGED];
        assert_eq!(whats, [What::Added as u32, What::Removed as u32, What::Changed as u32]);
        let differs = [
            (ZNIPPY_DIFFERS_BYTES, Flags::BYTES),
            (ZNIPPY_DIFFERS_MODE, Flags::MODE),
            (ZNIPPY_DIFFERS_MTIME, Flags::MTIME),
            (ZNIPPY_DIFFERS_TARGET, Flags::TARGET),
            (ZNIPPY_DIFFERS_KIND, Flags::KIND),
            (ZNIPPY_DIFFERS_OWNER, Flags::OWNER),
            (ZNIPPY_DIFFERS_XATTR, Flags::XATTR),
        ];
        assert!(differs.iter().all(|(number, flag)| *number == flag.0));
        let columns = [
            (ZNIPPY_COLUMN_UTF8, ColumnType::Utf8),
            (ZNIPPY_COLUMN_INT64, ColumnType::Int64),
            (ZNIPPY_COLUMN_FLOAT64, ColumnType::Float64),
            (ZNIPPY_COLUMN_BINARY, ColumnType::Binary),
        ];
        assert!(columns.iter().all(|(number, known)| ColumnType::from_number(*number) == Some(*known)));
        let indexes = [
            (ZNIPPY_SALVAGE_INDEX_LOST, Index::Lost),
            (ZNIPPY_SALVAGE_INDEX_WHOLE, Index::Whole),
            (ZNIPPY_SALVAGE_INDEX_RECOVERED, Index::Recovered),
            (ZNIPPY_SALVAGE_INDEX_PARTIAL, Index::Partial),
        ];
        assert!(indexes.iter().all(|(number, index)| *number == *index as u32));
        assert_eq!(ZNIPPY_UNKNOWN, UNKNOWN);
        assert_eq!((ZNIPPY_LOG_WARNING, ZNIPPY_LOG_INFO), (LogLevel::Warning as i32, LogLevel::Info as i32));
    }
}
