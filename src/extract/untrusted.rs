//! Rules for entries of archives from strangers: pure functions of names, kinds and targets.

use std::borrow::Cow;

use crate::error::{Error, Result, Status};
use crate::format::portable;
use crate::format::row::EntryKind;

/// Every component of the path must be portable.
pub(super) fn check_name(path: &[u8]) -> Result<()> {
    match path.split(|byte| *byte == b'/').find_map(portable::why_not) {
        None => Ok(()),
        Some(why) => {
            let why = format!("the name is not portable: {why}; archives from strangers may not have it");
            Err(Error::refused(Status::UnsafePath, "untrusted.name", why))
        }
    }
}

/// FIFOs, devices and sockets have no place in them.
pub(super) fn check_kind(kind: EntryKind) -> Result<()> {
    use EntryKind::{BlockDevice, CharDevice, Directory, Fifo, File, Hardlink, Socket, Symlink};
    match kind {
        File | Directory | Symlink | Hardlink => Ok(()),
        Fifo | CharDevice | BlockDevice | Socket => {
            let why = "FIFOs, devices and sockets are refused in archives from strangers";
            Err(Error::refused(Status::UnsafePath, "untrusted.special", why))
        }
    }
}

/// A symbolic link must lead to something below the root, whatever the other links are.
///
/// It is relative; `..` stands at its start alone, and no more often than there are directories above the link. Those
/// are real directories, since nothing is ever made through a link, so the start of the target stays inside; from there
/// it goes down only, through directories or through links that keep the same rule. A `..` after a name would leave
/// the directory that the name leads to, which a link may have moved.
pub(super) fn check_target(link: &[u8], target: &[u8]) -> Result<()> {
    match why_it_leaves(link, target) {
        None => Ok(()),
        Some(why) => {
            let why = format!("the link's target {why}; archives from strangers may not have such links");
            Err(Error::refused(Status::UnsafePath, "untrusted.link", why))
        }
    }
}

fn why_it_leaves(link: &[u8], target: &[u8]) -> Option<&'static str> {
    if target.starts_with(b"/") {
        return Some("is absolute");
    }
    let mut above = link.iter().filter(|byte| **byte == b'/').count();
    let mut named = false;
    for component in target.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if named => return Some("goes up after going down"),
            b".." if above == 0 => return Some("leads outside"),
            b".." => above -= 1,
            name if portable::why_not(name).is_some() => return Some("has a name that is not portable"),
            _ => named = true,
        }
    }
    None
}

/// What a name must not share with another of its directory.
pub(super) fn folded(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(name) => Cow::Owned(portable::fold(name)),
        Err(_) => String::from_utf8_lossy(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_inside_or_are_refused() {
        let inside: &[(&str, &str)] = &[
            ("l", "x"),
            ("l", "x/y/z"),
            ("l", "."),
            ("l", "./x"),
            ("l", "x/"),
            ("l", "x//y"),
            ("d/l", ".."),
            ("d/l", "../x"),
            ("d/l", "./../x"),
            ("d/e/l", "../../x"),
            ("d/e/l", "../.."),
            ("l", "l"),
            ("l", "...x"),
        ];
        for (link, target) in inside {
            assert!(check_target(link.as_bytes(), target.as_bytes()).is_ok(), "{link} -> {target}");
        }
        let refused: &[(&str, &str)] = &[
            ("l", "/"),
            ("l", "/etc/passwd"),
            ("l", "//x"),
            ("l", ".."),
            ("l", "../x"),
            ("l", "./.."),
            ("d/l", "../.."),
            ("d/l", "../../d"),
            ("d/e/l", "../../../x"),
            ("l", "x/.."),
            ("l", "x/../x"),
            ("d/l", "x/../../y"),
            ("l", "x/../../y"),
            ("l", "C:\\x"),
            ("l", "..\\x"),
            ("l", "\\\\host\\share"),
            ("l", "nul"),
            ("l", "x:y"),
        ];
        for (link, target) in refused {
            let error = check_target(link.as_bytes(), target.as_bytes()).unwrap_err();
            assert_eq!(error.rule(), Some("untrusted.link"), "{link} -> {target}");
        }
    }
}
