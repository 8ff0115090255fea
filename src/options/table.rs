//! The table itself: what options there are, their bounds and defaults, and what the presets say of them.

use crate::error::{Error, Result, Status};

/// What an option's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number between the bounds.
    Int,
    /// 0 or 1.
    Flag,
    /// One of the numbers from the lower to the upper bound, each with a meaning of its own.
    Choice,
    /// UTF-8 text; the bounds are those of its length in bytes.
    Bytes,
    /// Any number of byte strings: each one that is set is added, an empty one takes all away. The bounds are
    /// those of each one's length.
    List,
}

impl Kind {
    /// Whether values are bytes and not numbers.
    pub fn is_bytes(self) -> bool {
        matches!(self, Kind::Bytes | Kind::List)
    }
}

/// The calls that an option applies to, as bits of [`Spec::calls`].
pub mod calls {
    /// Packing.
    pub const PACK: u32 = 1;
    /// Extraction.
    pub const EXTRACT: u32 = 2;
    /// Opening and reading.
    pub const READ: u32 = 4;
    /// Verification.
    pub const VERIFY: u32 = 8;
    /// Comparing archives and trees.
    pub const DIFF: u32 = 16;
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The option.
    pub key: Key,
    /// Its name on command lines and in the archive, such as `block-size`.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The value where none is set (a preset may say otherwise).
    pub default: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// The calls that it applies to.
    pub calls: u32,
    /// Whether it decides the layout and so is recorded in the archive.
    pub recorded: bool,
    /// One sentence, with units.
    pub help: &'static str,
}

macro_rules! option_table {
    ($($key:ident = $number:literal, $name:literal, $kind:ident, $default:expr, $min:expr, $max:expr,
       $calls:expr, $recorded:literal, $help:literal;)*) => {
        /// The options; the numbers are those of C and never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Key { $(#[doc = $help] $key = $number,)* }

        /// Every option there is.
        pub const OPTION_TABLE: &[Spec] = &[$(Spec {
            key: Key::$key, name: $name, kind: Kind::$kind, default: $default, min: $min, max: $max,
            calls: $calls, recorded: $recorded, help: $help,
        },)*];
    };
}

const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;
const GIB: i64 = 1024 * MIB;
use self::calls::{DIFF, EXTRACT, PACK, READ, VERIFY};

option_table! {
    Threads = 1, "threads", Int, 0, 0, 1024, PACK | EXTRACT | VERIFY | DIFF, false,
        "Worker threads; 0 takes as many as there are processors. Never changes the bytes of an archive.";
    Level = 2, "level", Int, 3, -7, 22, PACK, true,
        "zstd compression level.";
    Preset = 3, "preset", Choice, 0, 0, 4, PACK, true,
        "A set of values for level, block-size, slice-size and small-file: 0 default, 1 fast, 2 small, 3 max, 4 random.";
    SmallFile = 4, "small-file", Int, MIB, 0, 64 * MIB, PACK, true,
        "Files up to this many bytes are slices as they are, and share blocks with their neighbours; bigger ones are cut.";
    BlockSize = 5, "block-size", Int, 4 * MIB, 4 * KIB, 64 * MIB, PACK, true,
        "Bytes of small files, or of slices of big ones where those are shorter, that are compressed as one block.";
    SliceSize = 6, "slice-size", Int, 512 * KIB, 64 * KIB, 64 * MIB, PACK, true,
        "Big files are cut into slices of this many bytes, a power of two; with profile 1 of as many as a block has, unless it is set.";
    Order = 7, "order", Choice, 0, 0, 1, PACK, true,
        "Order of small files in the archive: 0 by path, 1 by extension, file name and path.";
    NoSkip = 8, "no-skip", Flag, 0, 0, 1, PACK, true,
        "Try to compress every file, also those whose extension and first bytes say that they are compressed already.";
    Overwrite = 9, "overwrite", Choice, 0, 0, 3, PACK | EXTRACT, false,
        "What to do where the name exists: 0 refuse, 1 replace; extraction also: 2 keep what is there, 3 replace what is older than the entry.";
    OnError = 10, "on-error", Choice, 0, 0, 1, PACK, false,
        "What to do with a source file that can't be read or changes while it is read: 0 fail, 1 leave it out and count it.";
    MemoryLimit = 11, "memory-limit", Int, 0, 0, i64::MAX, PACK | EXTRACT | READ | VERIFY, false,
        "Most bytes for buffers and contexts; 0: packing takes what its level and block sizes need, everything else 32 MiB and 96 MiB a thread. A limit lowers threads, never changes bytes. Files that metadata providers get whole count: 128 MiB and a block a buffer. Opening an archive of format version 3 reads its index, which a limit bounds too.";
    RecordIds = 12, "record-ids", Flag, 0, 0, 1, PACK, true,
        "Record numeric user and group ids.";
    Repo = 13, "repo", Bytes, 0, 0, 4096, PACK, false,
        "A UTF-8 label that is recorded in the index column repo.";
    ProgressInterval = 14, "progress-interval", Int, 50, 0, 60_000, PACK | EXTRACT | VERIFY | READ | DIFF, false,
        "Least milliseconds between two calls of the progress function.";
    CacheSize = 15, "cache-size", Int, 64 * MIB, 0, 1024 * GIB, READ, false,
        "Bytes of decoded blocks and index segments that an open archive keeps.";
    PlainIndex = 16, "plain-index", Flag, 0, 0, 1, PACK, true,
        "Store index segments without compression.";
    MaxEntrySize = 17, "max-entry-size", Int, GIB, 0, i64::MAX, READ, false,
        "Entries of more bytes than this are not read into memory as a whole.";
    RestoreIds = 18, "restore-ids", Flag, 0, 0, 1, EXTRACT | DIFF, false,
        "Give extracted files the recorded user and group ids; where things are compared, compare them.";
    RestoreSetuid = 19, "restore-setuid", Flag, 0, 0, 1, EXTRACT | DIFF, false,
        "Restore set-user-id, set-group-id and sticky bits, which are dropped otherwise.";
    Include = 20, "include", List, 0, 0, 4096, PACK | EXTRACT | DIFF, false,
        "Pack or restore only what matches one of these globs, and what lies below it.";
    Exclude = 21, "exclude", List, 0, 0, 4096, PACK | EXTRACT | DIFF, false,
        "Neither pack nor restore what matches one of these globs, nor what lies below it.";
    Prefix = 22, "prefix", List, 0, 0, 65_535, EXTRACT | DIFF, false,
        "Restore only the entries with these paths and what lies below them; the rest of the index isn't even read.";
    StripComponents = 23, "strip-components", Int, 0, 0, 1024, EXTRACT, false,
        "Take so many components off the front of each path; all that is restored must have them in common.";
    SkipUnchanged = 24, "skip-unchanged", Choice, 0, 0, 2, EXTRACT | DIFF, false,
        "Don't touch files that are as the archive has them: 0 rewrite all, 1 where size, time and mode are equal, 2 where size and BLAKE3 are. Other files are replaced unless overwrite is set.";
    Prune = 25, "prune", Flag, 0, 0, 1, EXTRACT, false,
        "Make the tree equal to the archive: after all else succeeded, delete what is not in it, as far as the filters reach. Files are replaced unless overwrite is set.";
    KeepGoing = 26, "keep-going", Flag, 0, 0, 1, EXTRACT, false,
        "Restore everything that is undamaged; what failed is listed and counted, and the call ends with ZNIPPY_E_PARTIAL.";
    Atomic = 27, "atomic", Flag, 0, 0, 1, EXTRACT, false,
        "Restore into a sibling of the destination, which takes its name when it is complete: the old tree or the new, nothing in between.";
    IgnoreFile = 28, "ignore-file", List, 0, 0, 255, PACK, false,
        "Name of ignore files, such as .gitignore: in each directory where there is one, it says what is left out, as git reads it.";
    MaxFileSize = 29, "max-file-size", Int, 0, 0, i64::MAX, PACK, false,
        "Files of more bytes are left out and counted; 0: no limit.";
    OneFileSystem = 30, "one-file-system", Flag, 0, 0, 1, PACK, false,
        "Pack directories on which other file systems are mounted as empty ones.";
    Mtimes = 31, "mtimes", Choice, 0, 0, 3, PACK, false,
        "Modification times: 0 keep, 1 what is later than mtime-limit becomes mtime-limit, 2 record none, 3 all become mtime-limit.";
    MtimeLimit = 32, "mtime-limit", Int, 0, -9_223_372_036, 9_223_372_036, PACK, false,
        "Seconds since 1970-01-01 00:00 UTC, for mtimes.";
    Modes = 33, "modes", Choice, 0, 0, 1, PACK, false,
        "Modes: 0 keep, 1 normalise: 0755 for directories and for files that somebody may execute, else 0644.";
    Xattrs = 34, "xattrs", Flag, 0, 0, 1, PACK, false,
        "Record extended attributes of files and directories, with access control lists and capabilities; of trees, and of files that are added by name.";
    RestoreXattrs = 35, "restore-xattrs", Choice, 0, 0, 2, EXTRACT, false,
        "Restore recorded extended attributes: 0 none, 1 user.*, 2 all, with access control lists, capabilities and labels.";
    DryRun = 36, "dry-run", Flag, 0, 0, 1, EXTRACT, false,
        "Do nothing: plan, look at the destination, report what would be done, and log each action.";
    Untrusted = 37, "untrusted", Flag, 0, 0, 1, EXTRACT, false,
        "For archives from strangers: links must stay inside, names must be portable and must not collide where case or Unicode forms don't count, FIFOs, devices and sockets are refused, set-user-id bits are dropped, and limits apply.";
    MaxBytes = 38, "max-bytes", Int, 0, 0, i64::MAX, EXTRACT, false,
        "Refuse archives whose files have more bytes than this, holes and hard links counted; 0: no limit, or 64 GiB where untrusted is set and this is not.";
    MaxEntries = 39, "max-entries", Int, 0, 0, i64::MAX, EXTRACT, false,
        "Refuse archives of more entries than this, directories without an entry of their own counted; 0: no limit, or 1,000,000 where untrusted is set and this is not.";
    MaxRatio = 40, "max-ratio", Int, 0, 0, i64::MAX, EXTRACT, false,
        "Refuse archives that unpack to more than so many times their own size; 0: no limit, or 1,000 where untrusted is set and this is not.";
    MaxDepth = 41, "max-depth", Int, 0, 0, 1024, EXTRACT, false,
        "Refuse paths of more components than this; 0: no limit, or 128 where untrusted is set and this is not.";
    DuplicatePaths = 43, "duplicate-paths", Choice, 0, 0, 1, PACK, false,
        "What to do with an entry whose path was added to a writer before: 0 refuse it, 1 let it replace the earlier one.";
    SimilarFiles = 44, "similar-files", Choice, 0, 0, 1, PACK, true,
        "Big files of which parts are the same: 0 look for them and let them share blocks, so that what they have in common is stored once; 1 don't, which saves reading up to 6 MiB of each twice.";
    DiffMtime = 50, "diff-mtime", Flag, 0, 0, 1, DIFF, false,
        "Modification times count as a difference too.";
    Duplicates = 42, "duplicates", Choice, 0, 0, 2, EXTRACT, false,
        "What becomes of files with the same bytes: 0 copies, 1 clones that share blocks where the file system can do that, 2 hard links where mode, time and owner are equal too.";
    MaxIndex = 55, "max-index", Int, 0, 0, i64::MAX, EXTRACT, false,
        "Refuse archives whose decoded index has more bytes than this, which bounds the memory that planning takes; 0: 1 GiB, or 64 times the archive where that is more, or 512 MiB where untrusted is set and this is not.";
    BaseCheck = 45, "base-check", Choice, 0, 0, 2, PACK, false,
        "Which files of a base archive are taken as unchanged: 0 those with equal path, size, time and mode, 1 those whose bytes are equal too, which has all files read, 2 as 0, and all that is taken is decoded and hashed, for archives of strangers; that goes for archives that are added too.";
    Recovery = 56, "recovery", Flag, 0, 0, 1, PACK, true,
        "Write recovery records between the blobs, so that names survive the loss of the index when an archive is salvaged.";
    Compact = 46, "compact", Flag, 0, 0, 1, PACK, false,
        "Where an archive is appended to, leave out the blobs that no entry of it uses any more, and copy the others instead of cloning all.";
    Profile = 51, "profile", Choice, 0, 0, 1, PACK, false,
        "Format of the archive: 0 version 4, 1 version 3 for znippy 0.7.2 and 0.10 to read: files and their bytes alone, one slice a block; what it can't carry is left out, counted and logged.";
    HardLinks = 65, "hard-links", Choice, 0, 0, 1, PACK, false,
        "Names of one file: 0 record them as such, 1 record each as a file of its own; the bytes stand in the archive once in any case.";
}

impl Key {
    /// The option with this number.
    pub fn from_number(number: u32) -> Result<Key> {
        OPTION_TABLE.iter().find(|spec| spec.key as u32 == number).map(|spec| spec.key).ok_or_else(|| {
            Error::new(Status::Unsupported, format!("option {number} is not known to this version of the library"))
        })
    }

    /// The option with this name.
    pub fn from_name(name: &str) -> Option<Key> {
        OPTION_TABLE.iter().find(|spec| spec.name == name).map(|spec| spec.key)
    }

    /// Its row in the table.
    pub fn spec(self) -> &'static Spec {
        // The table and the enum are made from one list.
        OPTION_TABLE.iter().find(|spec| spec.key == self).unwrap_or(&OPTION_TABLE[0])
    }

    pub(super) fn index(self) -> usize {
        OPTION_TABLE.iter().position(|spec| spec.key == self).unwrap_or(0)
    }
}

/// What a preset says of an option; the figures behind the presets are in `docs/BENCHMARKS.md`.
pub(super) fn preset_value(preset: i64, key: Key) -> Option<i64> {
    let (level, block, slice, small) = match preset {
        1 => (1, 2 * MIB, 256 * KIB, 512 * KIB),
        2 => (9, 64 * MIB, MIB, 16 * MIB),
        3 => (19, 64 * MIB, MIB, 16 * MIB),
        4 => (3, 128 * KIB, 256 * KIB, 64 * KIB),
        _ => return None,
    };
    match key {
        Key::Level => Some(level),
        Key::BlockSize => Some(block),
        Key::SliceSize => Some(slice),
        Key::SmallFile => Some(small),
        _ => None,
    }
}
