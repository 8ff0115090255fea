//! Ignore files: lists of patterns, found in the tree, that leave out what matches, as git reads them.
//!
//! In a file the last pattern that matches decides; of several files the one nearest to the name that has such a
//! pattern. Nothing below a directory that is left out comes back, since nobody looks there.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result, Status, zeroed};
use crate::options::{Key, Options};
use crate::pack::scan::pattern::Pattern;

/// Most bytes of an ignore file: more is no list that a person has written.
const MOST_BYTES: usize = 1 << 20;
/// Most bytes of one line.
const MOST_OF_A_LINE: usize = 4096;

/// The names that ignore files have.
pub(super) struct IgnoreFiles(Vec<Vec<u8>>);

/// The patterns of one directory, and those above it.
pub(super) struct Rules {
    above: Option<Arc<Rules>>,
    /// Bytes of the directory's path, with a slash behind it.
    base: usize,
    patterns: Vec<Pattern>,
}

impl Rules {
    /// Whether a name in this directory is left out.
    pub(super) fn ignore(&self, full: &[u8], is_directory: bool) -> bool {
        let mut next = Some(self);
        while let Some(rules) = next {
            let path = &full[rules.base..];
            if let Some(pattern) = rules.patterns.iter().rev().find(|pattern| pattern.matches(path, is_directory)) {
                return !pattern.negated;
            }
            next = rules.above.as_deref();
        }
        false
    }
}

impl IgnoreFiles {
    /// What the options say.
    pub(super) fn new(options: &Options) -> IgnoreFiles {
        IgnoreFiles(options.bytes(Key::IgnoreFile).map(<[u8]>::to_vec).collect())
    }

    /// The rules inside of a directory. Of several ignore files in it, the one named last in the options counts most.
    ///
    /// # Errors
    /// A file that can't be read, or is too long: without it there is no telling what is to be packed.
    pub(super) fn enter(
        &self,
        directory: BorrowedFd<'_>,
        path: &[u8],
        above: &Option<Arc<Rules>>,
    ) -> Result<Option<Arc<Rules>>> {
        let mut patterns = Vec::new();
        for name in &self.0 {
            let named = |error: Error| {
                let why = format!("the ignore file {}: {}", crate::error::printable(name), error.message());
                Error::new(error.status(), why)
            };
            if let Some(bytes) = read(directory, name).map_err(named)? {
                parse(&bytes, &mut patterns).map_err(named)?;
            }
        }
        if patterns.is_empty() {
            return Ok(above.clone());
        }
        let base = if path.is_empty() { 0 } else { path.len() + 1 };
        Ok(Some(Arc::new(Rules { above: above.clone(), base, patterns })))
    }
}

/// `None` where there is no such file. Links, directories and the like are none, and are not followed or opened.
fn read(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let failed = |errno| Error::os("can't read it", errno);
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = crate::sys::openat(directory, name, flags, Mode::empty()).map_err(failed)?;
    let mut bytes = zeroed(MOST_BYTES + 1)?;
    let mut len = 0;
    while len < bytes.len() {
        match rustix::io::read(&file, &mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    if len > MOST_BYTES {
        return Err(Error::new(Status::Limit, "it is longer than 1 MiB"));
    }
    bytes.truncate(len);
    Ok(Some(bytes))
}

fn parse(bytes: &[u8], patterns: &mut Vec<Pattern>) -> Result<()> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.len() > MOST_OF_A_LINE {
            return Err(Error::new(Status::Limit, "it has a line of more than 4 KiB"));
        }
        patterns.extend(Pattern::parse(line.strip_suffix(b"\r").unwrap_or(line)));
    }
    Ok(())
}
