//! Archives from strangers, and limits: what breaks a rule is refused before anything is written, and named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;

use extract_support::{Builder, mode, names, noise, walk};
use znippy::error::Status;
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};

fn options(set: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in set {
        options.set(*key, *value).unwrap();
    }
    options
}

/// The rule must be what refuses the entry, before the destination is made.
fn refused(builder: &Builder, set: &[(Key, i64)], rule: &str, entry: Option<&[u8]>) {
    let parent = tempfile::tempdir().unwrap();
    let archive = builder.archive();
    let error = extract_all(&archive, &parent.path().join("out"), &options(set)).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some(rule), entry), "{error:?}");
    let status = if rule.starts_with("limit.") { Status::Limit } else { Status::UnsafePath };
    assert_eq!(error.status(), status);
    assert!(names(parent.path()).is_empty());
}

fn restored(builder: &Builder, set: &[(Key, i64)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &options(set)).unwrap();
    root
}

const UNTRUSTED: &[(Key, i64)] = &[(Key::Untrusted, 1)];

#[test]
fn ordinary_trees_are_restored_whole_and_without_set_user_id_bits() {
    let mut builder = Builder::new();
    builder.directory("d", 0o2755, 5);
    builder.symlink("d/up", "../file");
    builder.file("file", b"bytes");
    builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().mode = Some(0o6755);
    builder.hardlink("name", "file", b"bytes");
    let root = restored(&builder, &[(Key::Untrusted, 1), (Key::RestoreSetuid, 1)]);
    let found = walk(root.path());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["d", "d/up", "file", "name"]);
    assert_eq!((mode(&found["file"]), mode(&found["d"])), (0o755, 0o755));
    let trusted = restored(&builder, &[(Key::RestoreSetuid, 1)]);
    assert_eq!(mode(&walk(trusted.path())["file"]), 0o6755);
}

#[test]
fn links_that_lead_outside_or_may_are_refused() {
    for target in ["/etc", "..", "../x", "d/../../x", "d/..", "d/../d"] {
        let mut builder = Builder::new();
        builder.symlink("link", target);
        refused(&builder, UNTRUSTED, "untrusted.link", Some(b"link"));
        assert_eq!(fs::read_link(restored(&builder, &[]).path().join("link")).unwrap().to_str(), Some(target));
    }
    // The path that it is restored under counts.
    let mut builder = Builder::new();
    builder.directory("a", 0o755, 1);
    builder.symlink("a/link", "../x");
    restored(&builder, UNTRUSTED);
    refused(&builder, &[(Key::Untrusted, 1), (Key::StripComponents, 1)], "untrusted.link", Some(b"a/link"));
}

#[test]
fn names_that_are_not_portable_are_refused() {
    for name in [&b"nul"[..], b"a/COM1.txt", b"x:y", b"a\\b", b"tail.", b"tail ", b"\xff", b"new\nline", b"a/b?/c"] {
        let mut builder = Builder::new();
        builder.file_as(name, b"bytes", EntryKind::File, None);
        refused(&builder, UNTRUSTED, "untrusted.name", Some(name));
        assert!(!names(restored(&builder, &[]).path()).is_empty());
    }
}

#[test]
fn names_that_fold_to_one_are_refused_in_one_directory_alone() {
    for (one, other) in
        [("A", "a"), ("STRASSE", "stra\u{df}e"), ("a\u{308}", "\u{e4}"), ("D/x", "d/y"), ("k", "\u{212a}")]
    {
        for kinds in 0..3 {
            let mut builder = Builder::new();
            if kinds == 0 {
                builder.symlink(one, "x")
            } else {
                builder.file(one, b"1")
            }
            if kinds == 1 {
                builder.directory(other, 0o755, 1)
            } else {
                builder.file(other, b"2")
            }
            refused(&builder, UNTRUSTED, "untrusted.collision", Some(other.as_bytes()));
            assert!(names(restored(&builder, &[]).path()).len() >= 2);
        }
    }
    let mut builder = Builder::new();
    builder.file("A/x", b"1");
    builder.file("b/X", b"1");
    builder.file("b/a", b"1");
    restored(&builder, UNTRUSTED);
}

#[test]
fn special_files_are_refused() {
    use EntryKind::{BlockDevice, CharDevice, Fifo, Socket};
    for kind in [Fifo, CharDevice, BlockDevice, Socket] {
        let mut builder = Builder::new();
        builder.entry(b"special", kind, Attributes { mode: Some(0o644), ..Attributes::default() });
        refused(&builder, UNTRUSTED, "untrusted.special", Some(b"special"));
    }
}

#[test]
fn limits_hold_with_and_without_trust() {
    let mut builder = Builder::new();
    builder.file("a/b/c/d", &noise(1, 3000));
    builder.file("a/b/e", &vec![7; 3000]);
    for trust in [0, 1] {
        let with = |key, value| [(Key::Untrusted, trust), (key, value)];
        refused(&builder, &with(Key::MaxBytes, 5999), "limit.bytes", Some(b"a/b/e"));
        restored(&builder, &with(Key::MaxBytes, 6000));
        // Three directories have no entry of their own.
        refused(&builder, &with(Key::MaxEntries, 4), "limit.entries", Some(b"a/b/e"));
        restored(&builder, &with(Key::MaxEntries, 5));
        refused(&builder, &with(Key::MaxDepth, 3), "limit.depth", Some(b"a/b/c/d"));
        restored(&builder, &with(Key::MaxDepth, 4));
        refused(&builder, &with(Key::MaxIndex, 100), "limit.index", None);
    }
    // Entries that are not asked for don't count.
    let mut some = options(&[(Key::MaxBytes, 3000)]);
    some.set_bytes(Key::Prefix, b"a/b/e").unwrap();
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &some).unwrap();
}

#[test]
fn holes_duplicates_and_blocks_of_which_little_is_used_count_for_the_ratio() {
    let mut holes = Builder::new();
    holes.sparse("hole", 1_000_000, &[(0, b"x")]);
    refused(&holes, &[(Key::MaxRatio, 100)], "limit.ratio", None);

    let mut twins = Builder::new();
    let block = twins.block(&noise(1, 1000), false);
    for i in 0..500 {
        twins.slice_file(format!("f{i:03}").as_bytes(), &noise(1, 1000), Some(block), EntryKind::File, None);
    }
    refused(&twins, &[(Key::MaxRatio, 5)], "limit.ratio", None);
    restored(&twins, &[(Key::MaxRatio, 100)]);

    let mut idle = Builder::new();
    let block = idle.block(&vec![0; 32 << 20], true);
    idle.slice_file(b"one-byte", &[0], Some(block), EntryKind::File, None);
    refused(&idle, UNTRUSTED, "limit.ratio", None);
    restored(&idle, &[(Key::Untrusted, 1), (Key::MaxRatio, 0)]);
}
