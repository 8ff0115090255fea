//! One table of statuses, one error type.
//!
//! A [`Status`] is a stable number that crosses the C boundary; numbers are grouped with gaps and never
//! reused. An [`Error`] carries the status, a sentence that names the thing and says what to do, the
//! operating system's error number, the offending path, and, where a refusal rule fired, the rule's name.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! status_table {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $c_name:literal, $sentence:literal;)*) => {
        /// What became of a call, as a number that never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Status { $($(#[$doc])* $name = $number,)* }

        /// Every status: number, name in C, one sentence.
        pub const STATUS_TABLE: &[(Status, i32, &str, &str)] =
            &[$((Status::$name, $number, $c_name, $sentence),)*];
    };
}

status_table! {
    /// Done.
    Ok = 0, "ZNIPPY_OK", "done";
    /// Nothing more to come.
    Done = 1, "ZNIPPY_DONE", "nothing more to come";
    /// An argument is out of range, null or malformed.
    InvalidArgument = -1, "ZNIPPY_E_INVALID_ARGUMENT", "an argument is null, out of range or malformed";
    /// The handle can't do this now, for instance after an internal failure.
    InvalidState = -2, "ZNIPPY_E_INVALID_STATE", "the handle can't do this in its present state";
    /// This build, or this version, doesn't know the option, codec, kind or feature.
    Unsupported = -3, "ZNIPPY_E_UNSUPPORTED", "this build does not support what was asked for";
    /// An allocation failed.
    NoMemory = -4, "ZNIPPY_E_NO_MEMORY", "out of memory";
    /// A defect in the library was caught at its boundary; the handle is unusable.
    Panic = -5, "ZNIPPY_E_PANIC", "an internal defect was caught; free the handle and report it";
    /// The same handle is in use further up this thread's stack.
    Busy = -6, "ZNIPPY_E_BUSY", "the handle is busy: called again from its own callback";
    /// The handle belongs to the process that forked this one.
    Forked = -7, "ZNIPPY_E_FORKED", "the handle was made before fork() and can't be used in the child";
    /// A limit set by an option, or by the format, is exceeded.
    Limit = -8, "ZNIPPY_E_LIMIT", "a limit of the options or of the format is exceeded";
    /// The operating system reported an error; see the error number.
    Io = -20, "ZNIPPY_E_IO", "an input or output operation failed";
    /// A file, a directory or an entry doesn't exist.
    NotFound = -21, "ZNIPPY_E_NOT_FOUND", "there is no such file, directory or entry";
    /// The name is taken and may not be replaced.
    Exists = -22, "ZNIPPY_E_EXISTS", "the name exists already and replacing it was not asked for";
    /// Permission denied.
    Permission = -23, "ZNIPPY_E_PERMISSION", "permission denied";
    /// The disk or a quota is full.
    NoSpace = -24, "ZNIPPY_E_NO_SPACE", "no space is left";
    /// A source file changed or vanished while it was read.
    Changed = -25, "ZNIPPY_E_CHANGED", "a source file changed while it was being read";
    /// The bytes are not a znippy archive.
    NotArchive = -40, "ZNIPPY_E_NOT_ARCHIVE", "this is not a znippy archive";
    /// The archive needs a newer library.
    Version = -41, "ZNIPPY_E_VERSION", "the archive needs another version of the library";
    /// The archive is damaged or malformed.
    Corrupt = -42, "ZNIPPY_E_CORRUPT", "the archive is damaged";
    /// Bytes don't match their recorded hash.
    Checksum = -43, "ZNIPPY_E_CHECKSUM", "bytes do not match their recorded hash";
    /// A name in the archive would reach outside the destination, or is not a valid name.
    UnsafePath = -44, "ZNIPPY_E_UNSAFE_PATH", "a name in the archive is not safe to use";
    /// The operation was cancelled.
    Cancelled = -60, "ZNIPPY_E_CANCELLED", "cancelled";
    /// A callback of the caller reported a failure.
    Callback = -61, "ZNIPPY_E_CALLBACK", "a callback reported a failure";
    /// Done in part: what failed was counted and listed.
    Partial = -62, "ZNIPPY_E_PARTIAL", "done in part";
}

impl Status {
    /// The status with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Status> {
        STATUS_TABLE.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The name that C knows it by, such as `ZNIPPY_E_CORRUPT`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// One sentence for people.
    pub fn sentence(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static (Status, i32, &'static str, &'static str) {
        // The table is made from the enum, so the first arm always matches.
        STATUS_TABLE.iter().find(|row| row.0 == self).unwrap_or(&STATUS_TABLE[0])
    }

    fn of_errno(errno: i32) -> Status {
        match errno {
            libc::ENOENT => Status::NotFound,
            libc::EEXIST | libc::ENOTEMPTY => Status::Exists,
            libc::EACCES | libc::EPERM => Status::Permission,
            libc::ENOSPC | libc::EDQUOT => Status::NoSpace,
            libc::ENOMEM => Status::NoMemory,
            _ => Status::Io,
        }
    }
}

/// Why a call failed.
pub struct Error(Box<Detail>);

#[derive(Clone)]
struct Detail {
    status: Status,
    message: String,
    os_code: i32,
    path: Option<Vec<u8>>,
    rule: Option<&'static str>,
    failures: Option<Arc<[Error]>>,
}

impl Error {
    /// An error with a status and a message that says what happened.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        let detail = Detail { status, message: message.into(), os_code: 0, path: None, rule: None, failures: None };
        Error(Box::new(detail))
    }

    /// An error of the operating system; `action` says what was being done ("can't open").
    pub fn os(action: &str, errno: rustix::io::Errno) -> Error {
        let code = errno.raw_os_error();
        let text = io::Error::from_raw_os_error(code);
        let mut error = Error::new(Status::of_errno(code), format!("{action}: {text}"));
        error.0.os_code = code;
        error
    }

    /// The same from `std::io::Error`.
    pub fn io(action: &str, source: &io::Error) -> Error {
        let code = source.raw_os_error().unwrap_or(0);
        let status = if code == 0 { Status::Io } else { Status::of_errno(code) };
        let mut error = Error::new(status, format!("{action}: {source}"));
        error.0.os_code = code;
        error
    }

    /// A damaged or malformed archive; `rule` is the stable name of the check that refused it.
    pub fn corrupt(rule: &'static str, message: impl Into<String>) -> Error {
        Error::refused(Status::Corrupt, rule, message)
    }

    /// A refusal by a named rule, so that callers can tell the rules apart.
    pub fn refused(status: Status, rule: &'static str, message: impl Into<String>) -> Error {
        let mut error = Error::new(status, message);
        error.0.rule = Some(rule);
        error
    }

    /// The cancelled error.
    pub fn cancelled() -> Error {
        Error::new(Status::Cancelled, "cancelled; nothing was left behind")
    }

    /// Whether the thing that was looked at is to blame, and not this process: running out of descriptors or memory,
    /// a defect or a cancel never justify leaving something out.
    pub fn is_about_its_object(&self) -> bool {
        let ours = matches!(self.0.status, Status::Cancelled | Status::Panic | Status::NoMemory | Status::Limit);
        !ours && !matches!(self.0.os_code, libc::EMFILE | libc::ENFILE | libc::ENOMEM)
    }

    /// Names the path that the error is about, unless a deeper layer has named one.
    pub fn with_path(mut self, path: impl AsRef<Path>) -> Error {
        use std::os::unix::ffi::OsStrExt;
        if self.0.path.is_none() {
            self.0.path = Some(path.as_ref().as_os_str().as_bytes().to_vec());
        }
        self
    }

    /// Names another path than the one that the error has: one that says more to the caller.
    pub(crate) fn at(mut self, path: &[u8]) -> Error {
        self.0.path = Some(path.to_vec());
        self
    }

    /// Names the entry that the error is about, unless a deeper layer has named one.
    pub fn with_entry(mut self, path: &[u8]) -> Error {
        if self.0.path.is_none() {
            self.0.path = Some(path.to_vec());
        }
        self
    }

    /// Says in what it happened, in front of what happened.
    pub(crate) fn within(mut self, whole: &str) -> Error {
        self.0.message = format!("{whole}: {}", self.0.message);
        self
    }

    /// Lists what failed, for an error that stands for many.
    pub fn with_failures(mut self, failures: Vec<Error>) -> Error {
        self.0.failures = Some(failures.into());
        self
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What happened, without the path.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The operating system's error number, or 0.
    pub fn os_code(&self) -> i32 {
        self.0.os_code
    }

    /// The path or entry that the error is about, byte for byte.
    pub fn path(&self) -> Option<&[u8]> {
        self.0.path.as_deref()
    }

    /// The name of the refusal rule that fired, such as `path.dotdot`.
    pub fn rule(&self) -> Option<&'static str> {
        self.0.rule
    }

    /// What failed, each for itself, where this error stands for many; the first 10,000.
    pub fn failures(&self) -> &[Error] {
        self.0.failures.as_deref().unwrap_or_default()
    }
}

impl Clone for Error {
    fn clone(&self) -> Error {
        Error(self.0.clone())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.path {
            Some(path) => write!(f, "{}: {}", printable(path), self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.0.status.name(), self)
    }
}

impl std::error::Error for Error {}

/// A path for messages: text as it is, control characters and bytes that are not UTF-8 escaped.
pub fn printable(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Reserves room for `additional` more elements, so that sizes from outside end in an error and not in an abort.
pub fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<()> {
    vec.try_reserve_exact(additional).map_err(|_| {
        Error::new(Status::NoMemory, format!("can't allocate {additional} elements of {} bytes", size_of::<T>()))
    })
}

/// Adds an element, with an error in place of an abort where there is no memory. Grows by a quarter: doubling would hold
/// twice what is needed.
pub fn push<T>(vec: &mut Vec<T>, value: T) -> Result<()> {
    if vec.len() == vec.capacity() {
        reserve(vec, (vec.len() / 4).max(16))?;
    }
    vec.push(value);
    Ok(())
}

/// So many times the same value, where the number comes from outside.
pub fn filled<T: Clone>(value: T, len: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    reserve(&mut vec, len)?;
    vec.resize(len, value);
    Ok(vec)
}

/// A zeroed buffer of a size that comes from outside.
pub fn zeroed(len: usize) -> Result<Vec<u8>> {
    crate::sys::zeroed(len).ok_or_else(|| Error::new(Status::NoMemory, format!("can't allocate {len} bytes")))
}
