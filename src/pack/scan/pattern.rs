//! One line of an ignore file, as gitignore(5) has it, over bytes.
//!
//! A pattern without a slash in it matches names at any depth below its file, one with a slash the path from there
//! on; a slash at the end demands a directory, `!` takes back what an earlier line has left out. `*`, `?` and
//! `[...]` match no slash; `**` as a whole component matches any number of them.

use crate::globs::machine::{Dialect, Glob};

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What matches is not left out.
    pub(super) negated: bool,
    only_directories: bool,
    /// It means the path below its file's directory, not the name alone.
    anchored: bool,
    /// `None` where it is malformed, and matches nothing.
    glob: Option<Glob>,
}

impl Pattern {
    /// `None` for blank lines and comments.
    pub(super) fn parse(line: &[u8]) -> Option<Pattern> {
        if line.first() == Some(&b'#') {
            return None;
        }
        // What git reads ends at a NUL byte.
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let line = without_trailing_spaces(line);
        let (negated, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
        let (only_directories, line) = line.strip_suffix(b"/").map_or((false, line), |rest| (true, rest));
        let anchored = line.contains(&b'/');
        let line = line.strip_prefix(b"/").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        Some(Pattern { negated, only_directories, anchored, glob: Glob::parse(line, Dialect::Ignore) })
    }

    /// Whether it matches a path that starts at its file's directory.
    pub(super) fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.only_directories && !is_directory {
            return false;
        }
        let name = || &path[path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)..];
        self.glob.as_ref().is_some_and(|glob| glob.matches(if self.anchored { path } else { name() }))
    }
}

/// Spaces at the end don't count, unless a backslash stands before them.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let (mut end, mut at) = (0, 0);
    while at < line.len() {
        let escapes = line[at] == b'\\';
        let counts = line[at] != b' ';
        at = (at + 1 + usize::from(escapes)).min(line.len());
        if counts {
            end = at;
        }
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_gitignore_says() {
        for (pattern, yes, no) in [
            ("*.o", &["x.o", "a/b/x.o", ".o"][..], &["x.c", "x.o.c"][..]),
            ("/*.o", &["x.o"], &["a/x.o"]),
            ("a/*.o", &["a/x.o"], &["x.o", "b/a/x.o", "a/b/x.o"]),
            ("**/a/b", &["a/b", "x/a/b", "x/y/a/b"], &["xa/b", "b"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "x/a/b"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a/c"]),
            ("foo[0-9a]", &["foo1", "x/fooa"], &["foob", "foo"]),
            ("[!a-c]x", &["dx", "-x"], &["ax", "cx"]),
            ("[]-]x", &["]x", "-x"], &["ax"]),
            ("[[:digit:][:space:]]", &["1", " "], &["a", ":"]),
            ("[a", &[], &["[a", "a"]),
            ("[[:nonsense:]]", &[], &["n", ":"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("a\\", &[], &["a", "a\\"]),
            ("{a,b}", &["{a,b}"], &["a", "b"]),
            ("a?c", &["abc"], &["ac", "a/c"]),
            ("\\#x", &["#x"], &["x"]),
            ("\\!x", &["!x"], &["x"]),
            ("x   ", &["x"], &["x   "]),
            ("x\\ ", &["x "], &["x", "x\\ "]),
            ("x\\  ", &["x "], &["x", "x  "]),
            ("***", &["x"], &[]),
            ("x**/y", &["xy", "xa/y", "x/y"], &["xay"]),
            ("x?**/y", &["xa/y"], &["xay", "xa/b/y"]),
        ] {
            let parsed = Pattern::parse(pattern.as_bytes()).unwrap();
            assert!(yes.iter().all(|path| parsed.matches(path.as_bytes(), false)), "{pattern}");
            assert!(!no.iter().any(|path| parsed.matches(path.as_bytes(), false)), "{pattern}");
        }
        let directory = Pattern::parse(b"!b/").unwrap();
        assert!(directory.negated && directory.matches(b"a/b", true) && !directory.matches(b"a/b", false));
        assert!(Pattern::parse(b"\xff*\xfe").unwrap().matches(b"d/\xffx\xfe", false), "names need not be UTF-8");
        for blank in ["", "   ", "# comment", "/", "!", "!/"] {
            assert!(Pattern::parse(blank.as_bytes()).is_none(), "{blank:?}");
        }
    }

    #[test]
    fn no_pattern_takes_longer_than_its_length_times_that_of_the_path() {
        let pattern = Pattern::parse("*a".repeat(500).as_bytes()).unwrap();
        assert!(!pattern.matches(&[b'a'; 255], false));
        assert!(Pattern::parse(format!("x/{}y", "**/".repeat(300)).as_bytes()).unwrap().matches(b"x/y", false));
    }
}
