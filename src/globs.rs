//! Globs over the paths of archives: bytes, `/` between components.
//!
//! `*` and `?` match within a component, `**` matches any number of components, `[ab]` one byte of a set and
//! `{a,b}` one of several globs; a backslash takes a byte as it is. A glob without a slash matches names at any
//! depth, one with a slash the whole path. What lies below a match matches too.

pub(crate) mod machine;

use machine::{Dialect, Glob};

use crate::error::{Error, Result, Status};

/// Several globs; a path matches if one of them does.
#[derive(Clone, Debug)]
pub(crate) struct Globs(Vec<Anchored>);

#[derive(Clone, Debug)]
struct Anchored {
    /// It means the whole path, not names at any depth.
    whole: bool,
    glob: Glob,
}

impl Globs {
    /// `None` where there are no globs.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a [u8]>) -> Result<Option<Globs>> {
        let globs: Vec<Anchored> = patterns.map(Anchored::parse).collect::<Result<_>>()?;
        Ok((!globs.is_empty()).then_some(Globs(globs)))
    }

    /// Whether a path, or one above it, matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.0.iter().any(|one| match one.whole {
            true => one.glob.matches_above(path),
            false => path.split(|byte| *byte == b'/').any(|name| one.glob.matches(name)),
        })
    }
}

/// Whether this is a glob.
pub(crate) fn check(pattern: &[u8]) -> Result<()> {
    Anchored::parse(pattern).map(drop)
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

impl Anchored {
    fn parse(pattern: &[u8]) -> Result<Anchored> {
        let text = trimmed(pattern);
        if std::str::from_utf8(text).is_err() {
            return Err(refused("a glob must be UTF-8"));
        }
        let whole = text.contains(&b'/');
        let text = text.strip_prefix(b"/").unwrap_or(text);
        if text.is_empty() {
            return Err(refused("a glob can't be empty"));
        }
        let glob = Glob::parse(text, Dialect::Option);
        let glob = glob.ok_or_else(|| {
            let text = String::from_utf8_lossy(text);
            refused(&format!(
                "the glob {text} is malformed: brackets and braces need their counterpart, ranges run upwards, a backslash \
                 stands before what it escapes, and braces are at most 10 deep"
            ))
        })?;
        Ok(Anchored { whole, glob })
    }
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
        for bad in [&b""[..], b"/", b"a[", b"{a", b"a}", b"[b-a]", b"a\\", b"{{{{{{{{{{{a}}}}}}}}}}}", b"\xff"] {
            assert_eq!(check(bad).unwrap_err().status(), Status::InvalidArgument, "{bad:?}");
        }
    }

    #[test]
    fn alternatives_may_be_empty_nested_and_deep() {
        for (pattern, yes, no) in [
            ("a{,.txt}", &["a", "a.txt", "d/a"][..], &["a.t", "ab"][..]),
            ("{a,b{c,d*}e}f", &["af", "bcef", "bdxef"], &["bf", "bef", "acf"]),
            ("src/{**,x}", &["src/a/b", "src/x"], &["src", "x"]),
            ("{**/a,b}/c", &["a/c", "x/y/a/c", "b/c"], &["x/b/c", "a"]),
            ("x\\{a,b\\}", &["x{a,b}"], &["xa"]),
            ("a,b", &["a,b"], &["a"]),
        ] {
            let globs = globs(&[pattern.as_bytes()]);
            assert!(yes.iter().all(|path| globs.matches(path.as_bytes())), "{pattern}");
            assert!(!no.iter().any(|path| globs.matches(path.as_bytes())), "{pattern}");
        }
    }

    /// What globset makes of the same pattern. It leaves out empty alternatives, lets sets match slashes, and has neither
    /// escapes nor named classes between brackets; none of that is in here.
    fn reference(pattern: &str) -> Option<globset::GlobSet> {
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        let rest = pattern.strip_prefix('/').unwrap_or(pattern);
        let anchor = if pattern.contains('/') { "" } else { "**/" };
        let mut set = globset::GlobSetBuilder::new();
        for end in ["", "/**"] {
            let text = format!("{anchor}{rest}{end}");
            set.add(globset::GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build().ok()?);
        }
        set.build().ok().filter(|_| !rest.is_empty())
    }

    #[test]
    fn globs_mean_what_they_mean_elsewhere() {
        const PARTS: [&str; 17] = [
            "a",
            "b",
            "ab",
            "/",
            "/",
            "*",
            "**",
            "**/",
            "/**",
            "?",
            "[ab]",
            "[!a/]",
            "[a-b]",
            "\\*",
            "{a,b*}",
            "{ab,?/a,b}",
            "[^b/]",
        ];
        const TEXT: [&str; 6] = ["a", "b", "/", "ab", "*", "c"];
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let (mut compared, mut matched) = (0, 0);
        for _ in 0..3_000 {
            let pattern: String = (0..1 + random(6)).map(|_| PARTS[random(PARTS.len())]).collect();
            let Some(reference) = reference(&pattern).filter(|_| !pattern.contains("//")) else { continue };
            let globs = globs(&[pattern.as_bytes()]);
            for _ in 0..30 {
                let path: String = (0..1 + random(7)).map(|_| TEXT[random(TEXT.len())]).collect();
                // Paths of archives have no empty components.
                if path.starts_with('/') || path.ends_with('/') || path.contains("//") {
                    continue;
                }
                let expected = reference.is_match(&path);
                assert_eq!(globs.matches(path.as_bytes()), expected, "{pattern} on {path}");
                compared += 1;
                matched += usize::from(expected);
            }
        }
        assert!(compared > 20_000 && matched > 2_000, "{compared} compared, {matched} matched");
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
