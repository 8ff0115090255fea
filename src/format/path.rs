//! Rules for names in an archive. A name that breaks one is refused, never repaired.
//!
//! A path is 1 to 65,535 bytes: components of 1 to 255 bytes, at most 1,024 of them, joined by single slashes;
//! no component is `.` or `..`, no byte is NUL. It need not be UTF-8, and paths are compared byte by byte.

use std::borrow::Cow;

use crate::error::{Error, Result, Status};

/// Most bytes of a path.
pub const MAX_PATH: usize = 65_535;
/// Most bytes of one component.
pub const MAX_COMPONENT: usize = 255;
/// Most components of a path.
pub const MAX_DEPTH: usize = 1024;

/// Checks a path against the rules; the error names the rule and carries the path.
pub fn check(path: &[u8]) -> Result<()> {
    match broken_rule(path) {
        None => Ok(()),
        Some((rule, why)) => {
            let shown = path.get(..1024).unwrap_or(path);
            Err(Error::refused(Status::UnsafePath, rule, format!("{why}; the entry is refused")).with_entry(shown))
        }
    }
}

/// The same for a path that comes after one that keeps the rules: of two in one directory just the name is new.
pub fn check_after(before: &[u8], path: &[u8]) -> Result<()> {
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash.saturating_add(1));
    let (directory, name) = path.split_at(start);
    let plain_start = name.first().is_some_and(|first| *first != b'.');
    let ordinary = plain_start && name.len() <= MAX_COMPONENT && !name.contains(&0);
    if ordinary && path.len() <= MAX_PATH && start > 0 && before.starts_with(directory) {
        return Ok(());
    }
    check(path)
}

fn broken_rule(path: &[u8]) -> Option<(&'static str, &'static str)> {
    if path.is_empty() {
        return Some(("path.empty", "the name is empty"));
    }
    if path.len() > MAX_PATH {
        return Some(("path.length", "the path is longer than 65,535 bytes"));
    }
    if path.contains(&0) {
        return Some(("path.nul", "the name contains a NUL byte"));
    }
    if path.starts_with(b"/") {
        return Some(("path.absolute", "the path is absolute"));
    }
    let mut depth = 0usize;
    for component in path.split(|&byte| byte == b'/') {
        depth = depth.saturating_add(1);
        match component {
            b"" => return Some(("path.component.empty", "the path has an empty component")),
            b"." => return Some(("path.dot", "the path has the component '.'")),
            b".." => return Some(("path.dotdot", "the path has the component '..'")),
            _ if component.len() > MAX_COMPONENT => {
                return Some(("path.component.length", "a component of the path is longer than 255 bytes"));
            }
            _ => {}
        }
    }
    (depth > MAX_DEPTH).then_some(("path.depth", "the path has more than 1,024 components"))
}

/// The column `relative_path`: the path itself where it is UTF-8, else an escape that no other path that is
/// not UTF-8 shares: `\\` for a backslash, `\xHH` for each byte of an invalid sequence.
pub fn display(path: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(path) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(path.len().saturating_add(16));
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(text)
}

/// Directory and name: `a/b/c` is (`a/b`, `c`), `c` is (empty, `c`).
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    match slash.and_then(|slash| path.split_at_checked(slash)) {
        Some((directory, name)) => (directory, name.strip_prefix(b"/").unwrap_or(name)),
        None => (&[], path),
    }
}

/// The directories that the path lies in, from the nearest up; the root isn't among them.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| Some(split(path).0)).skip(1).take_while(|above| !above.is_empty())
}

/// The extension of a name: what follows its last dot, empty where there is none or the name starts with it.
pub fn extension(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|&byte| byte == b'.').and_then(|dot| name.split_at_checked(dot)) {
        None | Some(([], _)) => &[],
        Some((_, extension)) => extension.strip_prefix(b".").unwrap_or(extension),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_name_is_refused_by_the_rule_that_it_breaks() {
        let long = vec![b'a'; 256];
        let deep = b"a/".repeat(1024).iter().copied().chain(*b"a").collect::<Vec<_>>();
        let table: &[(&[u8], &str)] = &[
            (b"", "path.empty"),
            (b"a\0b", "path.nul"),
            (b"/a", "path.absolute"),
            (b"a//b", "path.component.empty"),
            (b"a/", "path.component.empty"),
            (b"./a", "path.dot"),
            (b"a/..", "path.dotdot"),
            (b"..", "path.dotdot"),
            (&long, "path.component.length"),
            (&deep, "path.depth"),
        ];
        for (path, rule) in table {
            let error = check(path).expect_err(rule);
            assert!(check_after(b"a/b", path).is_err());
            assert_eq!(error.rule(), Some(*rule));
            assert_eq!(error.status(), Status::UnsafePath);
        }
        for good in [&b"a"[..], b"..a", b"a/...", b"\xff\xfe", &long[..255]] {
            assert!(check(good).is_ok());
        }
    }

    #[test]
    fn names_that_are_not_utf8_have_an_escape_of_their_own() {
        assert_eq!(display("pl\u{e4}in\\".as_bytes()), "pl\u{e4}in\\");
        assert_eq!(display(b"a\\\xff/\xc3"), "a\\\\\\xff/\\xc3");
        assert_ne!(display(b"\xff"), display(b"\\xff\xff"));
    }
}
