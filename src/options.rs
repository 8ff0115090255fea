//! The one table of options.
//!
//! The C keys, the bounds that C can ask for, the tool's help and `docs/OPTIONS.md` are all made from
//! [`OPTION_TABLE`] or checked against it. A call takes a snapshot of its options when it begins.

mod filter;
mod table;

pub use filter::{Candidate, FILTER_RULE, FilterFn};
pub use table::{Key, Kind, OPTION_TABLE, Spec, calls};

use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::format::path;
use crate::globs;
use crate::progress::{CancelToken, LogFn, LogLevel, ProgressFn};
use crate::provider::{Provider, check_provider};

/// Where names exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// An existing name is an error.
    Refuse,
    /// An existing file is replaced by rename; an existing directory is kept and filled.
    Replace,
    /// An existing file or link stays as it is.
    Keep,
    /// An existing file or link is replaced if it is older than the entry.
    KeepNewer,
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
    /// Files that resemble one another are to share blocks.
    pub similar_share: bool,
    /// The format.
    pub profile: Profile,
}

impl Layout {
    /// Most bytes of a block.
    pub fn longest_block(&self) -> usize {
        self.block_size.max(self.slice_size)
    }

    /// Whether slices of big files share blocks: where a block is longer than a slice.
    pub fn shares_slices(&self) -> bool {
        self.block_size > self.slice_size && self.profile == Profile::Version4
    }

    /// Whether files that resemble one another are read in turns.
    pub fn joins_similar(&self) -> bool {
        self.similar_share && self.shares_slices() && self.block_size >= 2 * self.slice_size
    }
}

/// The format that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Version 4.
    Version4,
    /// Version 3, as far as znippy 0.7.2 and 0.10 both read it.
    Version3,
}

/// Values that a call works with. Cloning shares callbacks and the cancel token.
#[derive(Clone)]
pub struct Options {
    values: [Option<i64>; OPTION_TABLE.len()],
    /// Values of options that are bytes, in the order in which they were set.
    bytes: Vec<(Key, Vec<u8>)>,
    progress: Option<ProgressFn>,
    log: Option<LogFn>,
    filter: Option<FilterFn>,
    cancel: CancelToken,
    providers: Vec<Arc<dyn Provider>>,
    /// Held here, and looked into by packing alone.
    base: Option<Arc<dyn AsRef<Archive> + Send + Sync>>,
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
            bytes: Vec::new(),
            progress: None,
            log: None,
            filter: None,
            cancel: CancelToken::new(),
            providers: Vec::new(),
            base: None,
        }
    }

    /// Sets a number, a flag or a choice.
    pub fn set(&mut self, key: Key, value: i64) -> Result<&mut Options> {
        let spec = key.spec();
        if spec.kind.is_bytes() {
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

    /// Sets an option that takes bytes. One that is a list gets a further value; an empty one takes all away.
    pub fn set_bytes(&mut self, key: Key, value: &[u8]) -> Result<&mut Options> {
        let spec = key.spec();
        if !spec.kind.is_bytes() {
            return Err(Error::new(Status::InvalidArgument, format!("option {} takes a number, not bytes", spec.name)));
        }
        if value.len() as u64 > spec.max as u64 || (spec.kind == Kind::Bytes && std::str::from_utf8(value).is_err()) {
            let what = if spec.kind == Kind::Bytes { "bytes of UTF-8" } else { "bytes" };
            return Err(Error::new(
                Status::InvalidArgument,
                format!("option {} takes at most {} {what}", spec.name, spec.max),
            ));
        }
        match key {
            _ if value.is_empty() => {}
            Key::Include | Key::Exclude => globs::check(value)?,
            Key::IgnoreFile if value.contains(&b'/') || path::check(value).is_err() => {
                let why =
                    "option ignore-file takes the name that such files have in each directory, such as .gitignore";
                return Err(Error::new(Status::InvalidArgument, why));
            }
            Key::Prefix => path::check(value.strip_suffix(b"/").unwrap_or(value))
                .map_err(|error| Error::new(Status::InvalidArgument, format!("option prefix: {error}")))?,
            _ => {}
        }
        if spec.kind == Kind::Bytes || value.is_empty() {
            self.bytes.retain(|(set, _)| *set != key);
        }
        if !value.is_empty() {
            self.bytes.push((key, value.to_vec()));
        }
        Ok(self)
    }

    /// The values of an option that is bytes.
    pub fn bytes(&self, key: Key) -> impl Iterator<Item = &[u8]> {
        self.bytes.iter().filter(move |(set, _)| *set == key).map(|(_, value)| value.as_slice())
    }

    /// The value in force: what was set, or what the preset says, or the default.
    pub fn get(&self, key: Key) -> i64 {
        if let Some(value) = self.values[key.index()] {
            return value;
        }
        let preset = self.values[Key::Preset.index()].unwrap_or(0);
        table::preset_value(preset, key).unwrap_or(key.spec().default)
    }

    /// Whether a number was set, to whatever value.
    pub fn is_set(&self, key: Key) -> bool {
        self.values[key.index()].is_some()
    }

    /// Installs the progress function.
    pub fn set_progress(&mut self, function: Option<ProgressFn>) {
        self.progress = function;
    }

    /// Installs the log function.
    pub fn set_log(&mut self, function: Option<LogFn>) {
        self.log = function;
    }

    /// Installs the function that is asked about each entry.
    pub fn set_filter(&mut self, function: Option<FilterFn>) {
        self.filter = function;
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

    /// Adds a metadata provider behind those that are there.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` for names that are taken or malformed, and for a reserved `pkg_type`.
    pub fn add_provider(&mut self, provider: Arc<dyn Provider>) -> Result<&mut Options> {
        check_provider(&*provider, &self.providers)?;
        self.providers.push(provider);
        Ok(self)
    }

    /// The metadata providers, in the order in which they were added.
    pub fn providers(&self) -> &[Arc<dyn Provider>] {
        &self.providers
    }

    /// Sets the archive that packing takes unchanged files from.
    pub fn set_base(&mut self, base: Option<Arc<dyn AsRef<Archive> + Send + Sync>>) {
        self.base = base;
    }

    /// The archive that packing takes unchanged files from.
    pub fn base(&self) -> Option<Arc<dyn AsRef<Archive> + Send + Sync>> {
        self.base.clone()
    }

    /// The progress function.
    pub fn progress(&self) -> Option<ProgressFn> {
        self.progress.clone()
    }

    /// The log function.
    pub fn log_function(&self) -> Option<LogFn> {
        self.log.clone()
    }

    /// The function that is asked about each entry.
    pub fn filter(&self) -> Option<FilterFn> {
        self.filter.clone()
    }

    /// The cancel token; one that nobody triggers where none was attached.
    pub fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// The label for the column `repo`.
    pub fn repo(&self) -> &str {
        self.bytes(Key::Repo).next().and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
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
        if room == 0 && self.get(Key::MemoryLimit) == 0 {
            // What nobody limits takes what it takes.
            return Ok(1);
        }
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
        match self.get(Key::Overwrite) {
            1 => Overwrite::Replace,
            2 => Overwrite::Keep,
            3 => Overwrite::KeepNewer,
            _ => Overwrite::Refuse,
        }
    }

    /// Least time between two calls of the progress function.
    pub fn progress_interval(&self) -> Duration {
        Duration::from_millis(self.get(Key::ProgressInterval).unsigned_abs())
    }

    /// What decides the layout.
    pub fn layout(&self) -> Layout {
        let profile = if self.get(Key::Profile) == 1 { Profile::Version3 } else { Profile::Version4 };
        // Blocks of version 3 hold one slice.
        let most_shared = if profile == Profile::Version3 { 0 } else { self.get(Key::BlockSize) as u64 };
        // The bounds in the table are what makes these conversions exact.
        let (block_size, mut slice_size) = (self.get(Key::BlockSize) as usize, self.get(Key::SliceSize) as usize);
        if profile == Profile::Version3 && !self.is_set(Key::SliceSize) {
            // A slice is a block there.
            slice_size = slice_size.max(1 << block_size.ilog2());
        }
        Layout {
            level: self.get(Key::Level) as i32,
            small_file: (self.get(Key::SmallFile) as u64).min(most_shared),
            block_size,
            slice_size,
            order: if self.get(Key::Order) == 1 { Order::Name } else { Order::Path },
            no_skip: self.flag(Key::NoSkip),
            similar_share: self.get(Key::SimilarFiles) == 0,
            profile,
        }
    }
}
