//! What of an archive is meant: globs, prefixes, the host's say, components that are taken off.

use crate::archive::WalkedRow;
use crate::archive::lookup::file_hash;
use crate::error::{Error, Result, Status};
use crate::format::manifest::Part;
use crate::format::path;
use crate::format::row::EntryKind;
use crate::globs::{self, Globs};
use crate::options::{Candidate, FilterFn, Key, Options};

/// Which entries are wanted, and under which names.
pub(crate) struct Filter {
    include: Option<Globs>,
    exclude: Option<Globs>,
    prefixes: Vec<Vec<u8>>,
    /// Directories that everything wanted lies in or is; empty where it may lie anywhere.
    bounds: Vec<Vec<u8>>,
    strip: usize,
    function: Option<FilterFn>,
    /// What the function leaves out is to be remembered.
    remembers: bool,
}

impl Filter {
    /// What the options say.
    pub(crate) fn new(options: &Options) -> Result<Filter> {
        let trimmed = |path: &[u8]| path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let prefixes: Vec<Vec<u8>> = options.bytes(Key::Prefix).map(trimmed).collect();
        let of_globs = || -> Vec<Vec<u8>> {
            options.bytes(Key::Include).map(|glob| globs::literal_directory(glob).to_vec()).collect()
        };
        let bounds = if prefixes.is_empty() { of_globs() } else { prefixes.clone() };
        Ok(Filter {
            include: Globs::new(options.bytes(Key::Include))?,
            exclude: Globs::new(options.bytes(Key::Exclude))?,
            prefixes,
            bounds: if bounds.iter().any(Vec::is_empty) { Vec::new() } else { bounds },
            strip: usize::try_from(options.get(Key::StripComponents)).unwrap_or(0),
            function: options.filter(),
            remembers: options.filter().is_some() && options.flag(Key::Prune),
        })
    }

    /// Whether globs and prefixes mean an entry.
    pub(crate) fn wants(&self, path: &[u8]) -> bool {
        (self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| is_at_or_below(path, prefix)))
            && self.include.as_ref().is_none_or(|globs| globs.matches(path))
            && !self.exclude.as_ref().is_some_and(|globs| globs.matches(path))
    }

    /// Whether the host's function takes an entry; an error of its ends the job.
    pub(crate) fn takes(&self, candidate: &Candidate<'_>) -> Result<bool> {
        self.function.as_ref().map_or(Ok(true), |function| function(candidate))
    }

    /// The same for the entry of a row, which is its first.
    pub(crate) fn takes_row(&self, row: &WalkedRow<'_>) -> Result<bool> {
        if self.function.is_none() {
            return Ok(true);
        }
        let attributes = row.row.attributes.unwrap_or_default();
        let has_bytes = EntryKind::from_number(row.row.kind).is_some_and(EntryKind::has_bytes);
        self.takes(&Candidate {
            index: row.entry,
            path: row.path,
            kind: row.row.kind,
            size: attributes.file_size.unwrap_or(0),
            attributes,
            hash: if has_bytes { file_hash(&row.row, &attributes) } else { None },
        })
    }

    /// Whether what the host's function leaves out matters later.
    pub(crate) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Whether something at or below a path may be wanted.
    pub(crate) fn reaches_into(&self, path: &[u8]) -> bool {
        let near = |bound: &Vec<u8>| is_at_or_below(path, bound) || is_at_or_below(bound, path);
        (self.bounds.is_empty() || self.bounds.iter().any(near))
            && !self.exclude.as_ref().is_some_and(|globs| globs.matches(path))
    }

    /// Whether the root directory's own attributes are of what is restored.
    pub(crate) fn keeps_root(&self) -> bool {
        self.prefixes.is_empty() && self.include.is_none() && self.strip == 0
    }

    /// Whether an index segment may hold something wanted, or a directory that it lies in.
    pub(crate) fn reads(&self, part: &Part) -> bool {
        self.bounds.is_empty() || self.bounds.iter().any(|bound| may_hold(part, bound))
    }

    /// The path without the components that are taken off: those, and the rest; `None` where nothing is left.
    pub(crate) fn split<'p>(&self, path: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
        if self.strip == 0 {
            return Some((&[], path));
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let cut = slashes.map(|(at, _)| at).nth(self.strip.saturating_sub(1))?;
        Some((path.get(..cut)?, path.get(cut.saturating_add(1)..)?))
    }

    /// An error where prefixes were asked for and nothing has them.
    pub(crate) fn found_nothing(&self) -> Result<()> {
        match self.prefixes.first() {
            None => Ok(()),
            Some(prefix) => Err(Error::new(
                Status::NotFound,
                "nothing in the archive has this path, or the other filters leave all of it out",
            )
            .with_entry(prefix)),
        }
    }
}

fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether a segment may hold the directory, one above it, or something below it.
fn may_hold(part: &Part, directory: &[u8]) -> bool {
    if part.entries == 0 {
        return false;
    }
    let (first, last) = (part.first_path.as_slice(), part.last_path.as_slice());
    // What lies below stands between `directory/` and `directory0`, the byte after the slash.
    let bound = |byte: u8| [directory, &[byte]].concat();
    if first < bound(b'/' + 1).as_slice() && last >= bound(b'/').as_slice() {
        return true;
    }
    let mut above = directory;
    while !above.is_empty() {
        if first <= above && above <= last {
            return true;
        }
        above = path::split(above).0;
    }
    false
}
