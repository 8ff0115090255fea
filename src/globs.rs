//! Globs over the paths of archives: bytes, `/` between components.
//!
//! `*` and `?` match within a component, `**` matches any number of components, `[ab]` one byte of a set and
//! `{a,b}` one of several globs; a backslash takes a byte as it is. A glob without a slash matches names at any
//! depth, one with a slash the whole path. What lies below a match matches too.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result, Status};

/// Several globs; a path matches if one of them does.
#[derive(Clone, Debug)]
pub(crate) struct Globs(GlobSet);

impl Globs {
    /// `None` where there are no globs.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a [u8]>) -> Result<Option<Globs>> {
        let mut set = GlobSetBuilder::new();
        let mut any = false;
        for pattern in patterns {
            any = true;
            add(&mut set, pattern)?;
        }
        let set = set.build().map_err(|error| refused(&error.to_string()))?;
        Ok(any.then_some(Globs(set)))
    }

    /// Whether a path, or one above it, matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.0.is_match(Path::new(OsStr::from_bytes(path)))
    }
}

/// Whether this is a glob.
pub(crate) fn check(pattern: &[u8]) -> Result<()> {
    add(&mut GlobSetBuilder::new(), pattern)
}

/// The directory that everything which matches lies in or is; empty where it may lie anywhere.
pub(crate) fn literal_directory(pattern: &[u8]) -> &[u8] {
    let pattern = trimmed(pattern);
    let Some(pattern) = pattern.strip_prefix(b"/").or(pattern.contains(&b'/').then_some(pattern)) else {
        return &[];
    };
    let special = pattern.iter().position(|byte| b"*?[]{}\\!".contains(byte)).unwrap_or(pattern.len());
    if special == pattern.len() {
        return pattern;
    }
    let cut = pattern[..special].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &pattern[..cut]
}

fn add(set: &mut GlobSetBuilder, pattern: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(trimmed(pattern)).map_err(|_| refused("a glob must be UTF-8"))?;
    let (anchor, rest) = match text.strip_prefix('/') {
        Some(rest) => ("", rest),
        None if text.contains('/') => ("", text),
        None => ("**/", text),
    };
    if rest.is_empty() {
        return Err(refused("a glob can't be empty"));
    }
    for end in ["", "/**"] {
        let glob = GlobBuilder::new(&format!("{anchor}{rest}{end}"))
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| refused(&error.to_string()))?;
        set.add(glob);
    }
    Ok(())
}

fn trimmed(pattern: &[u8]) -> &[u8] {
    pattern.strip_suffix(b"/").unwrap_or(pattern)
}

fn refused(why: &str) -> Error {
    Error::new(Status::InvalidArgument, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(patterns: &[&[u8]]) -> Globs {
        Globs::new(patterns.iter().copied()).unwrap().unwrap()
    }

    #[test]
    fn globs_match_names_at_any_depth_whole_paths_and_what_lies_below() {
        for (pattern, yes, no) in [
            ("*.o", &["x.o", "a/b/x.o", "d.o/inside"][..], &["x.c", "x.o.c"][..]),
            ("src/*.c", &["src/a.c"], &["src/b/a.c", "x/src/a.c"]),
            ("src/**/*.c", &["src/a.c", "src/b/c/a.c"], &["a.c"]),
            ("/top", &["top", "top/x"], &["x/top"]),
            ("dir/", &["dir/x", "a/dir/x", "dir"], &["dirx"]),
            ("a/b", &["a/b", "a/b/c"], &["a/bc", "x/a/b"]),
            ("{a,b}.[ch]", &["a.c", "d/b.h"], &["c.c", "a.x"]),
        ] {
            let globs = globs(&[pattern.as_bytes()]);
            assert!(yes.iter().all(|path| globs.matches(path.as_bytes())), "{pattern}");
            assert!(!no.iter().any(|path| globs.matches(path.as_bytes())), "{pattern}");
        }
        assert!(globs(&[b"d/*"]).matches(b"d/\xff\xfe"), "names need not be UTF-8");
        for bad in [&b""[..], b"/", b"a[", b"{a", b"\xff"] {
            assert_eq!(check(bad).unwrap_err().status(), Status::InvalidArgument, "{bad:?}");
        }
    }

    #[test]
    fn the_directory_that_holds_all_matches_is_found() {
        for (pattern, directory) in [
            ("*.o", ""),
            ("name", ""),
            ("/top", "top"),
            ("a/b/*.c", "a/b"),
            ("a/b/", "a/b"),
            ("a*/b", ""),
            ("a/**", "a"),
        ] {
            assert_eq!(literal_directory(pattern.as_bytes()), directory.as_bytes(), "{pattern}");
        }
    }
}
