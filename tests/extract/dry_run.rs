//! A dry run does nothing, and says what the real one then does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use extract_support::{Builder, names, noise, walk};
use znippy::error::Status;
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};
use znippy::progress::LogLevel;
use znippy::stats::Stats;

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.sparse("big", 200_000, &[(0, &noise(1, 90_000)), (100_000, &noise(2, 100_000))]);
    builder.directory("d", 0o750, 5);
    let files: Vec<_> = (0..20).map(|i| (format!("d/f{i:02}"), noise(i, 100))).collect();
    builder.files(&files, true);
    builder.directory("e", 0o555, 6);
    builder.file("e/empty", b"");
    builder.file("e/x", b"bytes of x");
    builder.hardlink("e/y", "e/x", b"bytes of x");
    builder.entry(
        b"fifo",
        EntryKind::Fifo,
        Attributes { mode: Some(0o600), mtime_ns: Some(7), ..Attributes::default() },
    );
    builder.symlink("link", "d/f00");
    builder
}

fn options(numbers: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in numbers {
        options.set(*key, *value).unwrap();
    }
    options
}

/// What tells that an inode was written.
fn inodes(root: &Path) -> Vec<(String, u64, i64, i64)> {
    let of = |(name, found): (String, Metadata)| (name, found.ino(), found.ctime(), found.ctime_nsec());
    walk(root).into_iter().map(of).collect()
}

fn dry(numbers: &[(Key, i64)], root: &Path) -> (Result<Stats, znippy::error::Error>, Vec<String>) {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&logged);
    let mut options = options(numbers);
    options.set(Key::DryRun, 1).unwrap();
    options.set_log(Some(Arc::new(move |level, text: &str| {
        if level == LogLevel::Info {
            seen.lock().unwrap().push(text.to_owned());
        }
    })));
    let stats = extract_all(&sample().archive(), root, &options);
    let logged = logged.lock().unwrap().clone();
    (stats, logged)
}

/// What a dry run can know.
fn known(stats: &Stats) -> [u64; 14] {
    let s = stats;
    [
        s.entries,
        s.files,
        s.directories,
        s.symlinks,
        s.hardlinks,
        s.specials,
        s.slices,
        s.blocks,
        s.bytes_in,
        s.bytes_out,
        s.kept,
        s.pruned,
        s.created,
        s.replaced,
    ]
}

fn changed_tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    extract_all(&sample().archive(), root.path(), &Options::new()).unwrap();
    let path = |name: &str| root.path().join(name);
    fs::write(path("d/f01"), "changed").unwrap();
    fs::remove_file(path("d/f02")).unwrap();
    fs::remove_file(path("link")).unwrap();
    symlink("elsewhere", path("link")).unwrap();
    fs::create_dir_all(path("stray/deep")).unwrap();
    fs::write(path("stray/deep/file"), "1").unwrap();
    symlink("/", path("d/out")).unwrap();
    fs::remove_file(path("e/y")).unwrap();
    root
}

#[test]
fn nothing_is_touched_and_the_counts_are_those_of_the_real_run() {
    let cases: &[&[(Key, i64)]] = &[
        &[(Key::Overwrite, 1)],
        &[(Key::Overwrite, 2)],
        &[(Key::Overwrite, 3)],
        &[(Key::SkipUnchanged, 1)],
        &[(Key::SkipUnchanged, 2)],
        &[(Key::Prune, 1)],
        &[(Key::Prune, 1), (Key::SkipUnchanged, 1)],
    ];
    for numbers in cases {
        let root = changed_tree();
        let before = inodes(root.path());
        let (stats, logged) = dry(numbers, root.path());
        let stats = stats.unwrap();
        assert_eq!(inodes(root.path()), before, "{numbers:?}");
        assert_eq!(logged.len() as u64, stats.created + stats.replaced + stats.pruned, "{logged:?}");
        let real = extract_all(&sample().archive(), root.path(), &options(numbers)).unwrap();
        assert_eq!(known(&stats), known(&real), "{numbers:?} {logged:?}");
    }
}

#[test]
fn each_action_is_logged_by_path() {
    let root = changed_tree();
    let (_, logged) = dry(&[(Key::Prune, 1), (Key::SkipUnchanged, 1)], root.path());
    let expected = [
        "replace d/f01",
        "create d/f02",
        "create e/y",
        "replace link",
        "delete stray/deep/file",
        "delete stray/deep",
        "delete stray",
        "delete d/out",
    ];
    let mut logged: Vec<&str> = logged.iter().map(String::as_str).collect();
    logged.sort_unstable();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(logged, sorted);
}

#[test]
fn a_destination_that_is_not_there_is_not_made() {
    let parent = tempfile::tempdir().unwrap();
    for atomic in [0, 1] {
        let (stats, logged) = dry(&[(Key::Atomic, atomic)], &parent.path().join("new"));
        let stats = stats.unwrap();
        assert_eq!((stats.created, stats.created), (28, logged.len() as u64));
        assert!(names(parent.path()).is_empty());
        let real = extract_all(&sample().archive(), &parent.path().join("real"), &options(&[(Key::Atomic, atomic)]));
        assert_eq!(known(&real.unwrap()), known(&stats));
        fs::remove_dir_all(parent.path().join("real")).unwrap();
    }
    assert_eq!(dry(&[], &parent.path().join("no/such")).0.unwrap_err().status(), Status::NotFound);
}

#[test]
fn what_stands_in_the_way_is_the_error_that_the_real_run_has() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("e"), "no directory").unwrap();
    fs::create_dir(root.path().join("big")).unwrap();
    fs::write(root.path().join("link"), "taken").unwrap();
    for (overwrite, going) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let numbers = [(Key::Overwrite, overwrite), (Key::KeepGoing, going)];
        let before = inodes(root.path());
        let error = dry(&numbers, root.path()).0.unwrap_err();
        assert_eq!(inodes(root.path()), before);
        if going == 1 {
            let mut paths: Vec<_> = error
                .failures()
                .iter()
                .map(|error| String::from_utf8(error.path().unwrap().to_vec()).unwrap())
                .collect();
            paths.sort();
            let of_overwrite: &[&str] = if overwrite == 0 { &["link"] } else { &[] };
            assert_eq!(paths, [&["big", "e", "e/empty", "e/x", "e/y"], of_overwrite].concat());
        }
    }
    let real = extract_all(&sample().archive(), root.path(), &options(&[(Key::KeepGoing, 1)])).unwrap_err();
    assert_eq!(real.failures().len(), 6);
}

#[test]
fn with_prune_what_stands_in_the_way_would_go() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("e"), "no directory").unwrap();
    fs::create_dir_all(root.path().join("big/deep")).unwrap();
    let before = inodes(root.path());
    let stats = dry(&[(Key::Prune, 1)], root.path()).0.unwrap();
    assert_eq!(inodes(root.path()), before);
    let real = extract_all(&sample().archive(), root.path(), &options(&[(Key::Prune, 1)])).unwrap();
    assert_eq!(known(&stats), known(&real));
}
