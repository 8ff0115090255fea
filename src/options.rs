//! The one table of options.
//!
//! The C keys, the bounds that C can ask for, the tool's help and `docs/OPTIONS.md` are all made from
//! [`OPTION_TABLE`] or checked against it. A call takes a snapshot of its options when it begins.

use std::time::Duration;

use crate::error::{Error, Result, Status};
use crate::progress::{CancelToken, LogFn, LogLevel, ProgressFn};

/// What an option's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number between the bounds.
    Int,
    /// 0 or 1.
    Flag,
    /// One of the numbers from the lower to the upper bound, each with a meaning of its own.
    Choice,
    /// Bytes; the bounds are those of the length.
    Bytes,
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
use calls::{EXTRACT, PACK, READ, VERIFY};

option_table! {
    Threads = 1, "threads", Int, 0, 0, 1024, PACK | EXTRACT | VERIFY, false,
        "Worker threads; 0 takes as many as there are processors. Never changes the bytes of an archive.";
    Level = 2, "level", Int, 3, -7, 22, PACK, true,
        "zstd compression level.";
    Preset = 3, "preset", Choice, 0, 0, 4, PACK, true,
        "A set of values for level, block-size, slice-size and small-file: 0 default, 1 fast, 2 small, 3 max, 4 random.";
    SmallFile = 4, "small-file", Int, MIB, 0, 64 * MIB, PACK, true,
        "Files up to this many bytes share blocks with their neighbours.";
    BlockSize = 5, "block-size", Int, 4 * MIB, 4 * KIB, 64 * MIB, PACK, true,
        "Bytes of small files that are compressed as one block.";
    SliceSize = 6, "slice-size", Int, 4 * MIB, 64 * KIB, 64 * MIB, PACK, true,
        "Big files are cut into slices of this many bytes; a power of two.";
    Order = 7, "order", Choice, 0, 0, 1, PACK, true,
        "Order of small files in the archive: 0 by path, 1 by extension, file name and path.";
    NoSkip = 8, "no-skip", Flag, 0, 0, 1, PACK, true,
        "Try to compress every file, also those whose extension and first bytes say that they are compressed already.";
    Overwrite = 9, "overwrite", Choice, 0, 0, 1, PACK | EXTRACT, false,
        "What to do where the name exists: 0 refuse, 1 replace.";
    OnError = 10, "on-error", Choice, 0, 0, 1, PACK, false,
        "What to do with a source file that can't be read or changes while it is read: 0 fail, 1 leave it out and count it.";
    MemoryLimit = 11, "memory-limit", Int, 0, 0, i64::MAX, PACK | EXTRACT | VERIFY, false,
        "Most bytes for buffers and contexts; 0: packing takes what its level and block sizes need, everything else 32 MiB and 96 MiB a thread. A limit lowers threads, never changes bytes.";
    RecordIds = 12, "record-ids", Flag, 0, 0, 1, PACK, true,
        "Record numeric user and group ids.";
    Repo = 13, "repo", Bytes, 0, 0, 4096, PACK, false,
        "A UTF-8 label that is recorded in the index column repo.";
    ProgressInterval = 14, "progress-interval", Int, 50, 0, 60_000, PACK | EXTRACT | VERIFY | READ, false,
        "Least milliseconds between two calls of the progress function.";
    CacheSize = 15, "cache-size", Int, 64 * MIB, 0, 1024 * GIB, READ, false,
        "Bytes of decoded blocks and index segments that an open archive keeps.";
    PlainIndex = 16, "plain-index", Flag, 0, 0, 1, PACK, true,
        "Store index segments without compression.";
    MaxEntrySize = 17, "max-entry-size", Int, GIB, 0, i64::MAX, READ, false,
        "Entries of more bytes than this are not read into memory as a whole.";
    RestoreIds = 18, "restore-ids", Flag, 0, 0, 1, EXTRACT, false,
        "Give extracted files the recorded user and group ids.";
    RestoreSetuid = 19, "restore-setuid", Flag, 0, 0, 1, EXTRACT, false,
        "Restore set-user-id, set-group-id and sticky bits, which are dropped otherwise.";
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

    fn index(self) -> usize {
        OPTION_TABLE.iter().position(|spec| spec.key == self).unwrap_or(0)
    }
}

/// Where names exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// An existing name is an error.
    Refuse,
    /// An existing file is replaced by rename; an existing directory is kept and filled.
    Replace,
}

/// Order of small files in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By path.
    Path,
    /// By extension, file name and path.
    Name,
}

/// What decides the layout of an archive, as it is recorded in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// zstd level.
    pub level: i32,
    /// Files up to this many bytes share blocks.
    pub small_file: u64,
    /// Bytes of small files in one block.
    pub block_size: usize,
    /// Bytes of one slice of a big file; a power of two.
    pub slice_size: usize,
    /// Order of small files.
    pub order: Order,
    /// Extensions and magic bytes are not believed.
    pub no_skip: bool,
}

/// Values that a call works with. Cloning shares callbacks and the cancel token.
#[derive(Clone)]
pub struct Options {
    values: [Option<i64>; OPTION_TABLE.len()],
    repo: Vec<u8>,
    progress: Option<ProgressFn>,
    log: Option<LogFn>,
    cancel: CancelToken,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// Defaults everywhere.
    pub fn new() -> Options {
        Options {
            values: [None; OPTION_TABLE.len()],
            repo: Vec::new(),
            progress: None,
            log: None,
            cancel: CancelToken::new(),
        }
    }

    /// Sets a number, a flag or a choice.
    pub fn set(&mut self, key: Key, value: i64) -> Result<&mut Options> {
        let spec = key.spec();
        if spec.kind == Kind::Bytes {
            return Err(Error::new(Status::InvalidArgument, format!("option {} takes bytes, not a number", spec.name)));
        }
        if value < spec.min || value > spec.max {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("option {} takes {} to {}, not {value}", spec.name, spec.min, spec.max),
            ));
        }
        if key == Key::SliceSize && value.count_ones() != 1 {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("option {} takes a power of two, not {value}", spec.name),
            ));
        }
        self.values[key.index()] = Some(value);
        Ok(self)
    }

    /// Sets an option that takes bytes.
    pub fn set_bytes(&mut self, key: Key, value: &[u8]) -> Result<&mut Options> {
        let spec = key.spec();
        if spec.kind != Kind::Bytes {
            return Err(Error::new(Status::InvalidArgument, format!("option {} takes a number, not bytes", spec.name)));
        }
        if value.len() as u64 > spec.max as u64 || std::str::from_utf8(value).is_err() {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("option {} takes at most {} bytes of UTF-8", spec.name, spec.max),
            ));
        }
        self.repo = value.to_vec();
        Ok(self)
    }

    /// The value in force: what was set, or what the preset says, or the default.
    pub fn get(&self, key: Key) -> i64 {
        if let Some(value) = self.values[key.index()] {
            return value;
        }
        let preset = self.values[Key::Preset.index()].unwrap_or(0);
        preset_value(preset, key).unwrap_or(key.spec().default)
    }

    /// Installs the progress function.
    pub fn set_progress(&mut self, function: Option<ProgressFn>) {
        self.progress = function;
    }

    /// Installs the log function.
    pub fn set_log(&mut self, function: Option<LogFn>) {
        self.log = function;
    }

    /// Logs a message, on the thread that made the call.
    pub fn log(&self, level: LogLevel, message: &str) {
        if let Some(function) = &self.log {
            function(level, message);
        }
    }

    /// Attaches a cancel token.
    pub fn set_cancel(&mut self, cancel: CancelToken) {
        self.cancel = cancel;
    }

    /// The progress function.
    pub fn progress(&self) -> Option<ProgressFn> {
        self.progress.clone()
    }

    /// The cancel token; one that nobody triggers where none was attached.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// The label for the column `repo`.
    pub fn repo(&self) -> &str {
        std::str::from_utf8(&self.repo).unwrap_or_default()
    }

    /// Whether a flag is set.
    pub fn flag(&self, key: Key) -> bool {
        self.get(key) != 0
    }

    /// Worker threads: what was asked for, or the processors that this process may use.
    pub fn threads(&self) -> usize {
        match usize::try_from(self.get(Key::Threads)) {
            Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
            Ok(threads) => threads,
        }
    }

    /// The memory limit for buffers and contexts with this many threads, in bytes.
    pub fn memory_limit(&self, threads: usize) -> usize {
        match usize::try_from(self.get(Key::MemoryLimit)) {
            Ok(0) | Err(_) => (32 + 96 * threads) << 20,
            Ok(limit) => limit,
        }
    }

    /// As many of `wanted` threads as the memory limit has room for, where each takes `each` bytes and all share
    /// `shared` bytes.
    ///
    /// # Errors
    /// `E_LIMIT` where there is no room for one.
    pub fn threads_within(&self, wanted: usize, shared: usize, each: usize) -> Result<usize> {
        let limit = self.memory_limit(wanted);
        let room = limit.saturating_sub(shared) / each.max(1);
        if room == 0 {
            let needed = shared.saturating_add(each);
            return Err(Error::new(
                Status::Limit,
                format!(
                    "the memory limit of {limit} bytes is too low for these block sizes: set memory-limit to {needed} or more"
                ),
            ));
        }
        Ok(wanted.min(room))
    }

    /// What to do where a name exists.
    pub fn overwrite(&self) -> Overwrite {
        if self.get(Key::Overwrite) == 1 { Overwrite::Replace } else { Overwrite::Refuse }
    }

    /// Least time between two calls of the progress function.
    pub fn progress_interval(&self) -> Duration {
        Duration::from_millis(self.get(Key::ProgressInterval).unsigned_abs())
    }

    /// What decides the layout.
    pub fn layout(&self) -> Layout {
        // The bounds in the table are what makes these conversions exact.
        Layout {
            level: self.get(Key::Level) as i32,
            small_file: (self.get(Key::SmallFile) as u64).min(self.get(Key::BlockSize) as u64),
            block_size: self.get(Key::BlockSize) as usize,
            slice_size: self.get(Key::SliceSize) as usize,
            order: if self.get(Key::Order) == 1 { Order::Name } else { Order::Path },
            no_skip: self.flag(Key::NoSkip),
        }
    }
}

/// What a preset says of an option; the figures behind the presets are in `docs/BENCHMARKS.md`.
fn preset_value(preset: i64, key: Key) -> Option<i64> {
    let (level, block, slice, small) = match preset {
        1 => (1, 2 * MIB, 2 * MIB, 512 * KIB),
        2 => (9, 16 * MIB, 16 * MIB, 4 * MIB),
        3 => (19, 64 * MIB, 64 * MIB, 16 * MIB),
        4 => (3, 256 * KIB, MIB, 128 * KIB),
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
