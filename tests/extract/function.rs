//! The host's function says which entries are restored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use extract_support::{Builder, MODE, MTIME, mode, names, noise, walk};
use znippy::error::{Error, Status};
use znippy::extract::extract_all;
use znippy::format::hash::hash;
use znippy::format::row::EntryKind;
use znippy::options::{Candidate, Key, Options};
use znippy::stats::Stats;

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.directory("a", 0o711, 5);
    builder.file("a/x", &noise(1, 500));
    builder.file("a/y", &noise(2, 500));
    builder.sparse("big", 200_000, &[(0, &noise(3, 90_000)), (100_000, &noise(4, 100_000))]);
    builder.directory("c", 0o700, 5);
    builder.hardlink("c/z", "a/x", &noise(1, 500));
    builder.symlink("link", "a/x");
    builder
}

fn restore(
    numbers: &[(Key, i64)],
    root: &Path,
    takes: impl Fn(&Candidate<'_>) -> Result<bool, Error> + Send + Sync + 'static,
) -> Result<Stats, Error> {
    let mut options = Options::new();
    for (key, value) in numbers {
        options.set(*key, *value).unwrap();
    }
    options.set_filter(Some(Arc::new(takes)));
    extract_all(&sample().archive(), root, &options)
}

#[test]
fn it_is_asked_once_an_entry_in_order_on_the_calling_thread_with_what_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, caller) = (Arc::clone(&asked), thread::current().id());
    restore(&[(Key::Threads, 3)], root.path(), move |entry| {
        assert_eq!(thread::current().id(), caller);
        if entry.path == b"a/x" {
            assert_eq!((entry.kind, entry.size, entry.hash), (EntryKind::File as u8, 500, Some(hash(&noise(1, 500)))));
            assert_eq!((entry.attributes.mode, entry.attributes.mtime_ns), (Some(MODE), Some(MTIME)));
        }
        seen.lock().unwrap().push((entry.index, String::from_utf8(entry.path.to_vec()).unwrap()));
        Ok(true)
    })
    .unwrap();
    let paths = ["a", "a/x", "a/y", "big", "c", "c/z", "link"];
    let expected: Vec<_> = paths.iter().enumerate().map(|(i, path)| (i as u64, (*path).to_owned())).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    assert_eq!(names(root.path()), paths);
}

#[test]
fn what_it_leaves_out_is_not_restored_and_no_block_is_read_for_it() {
    let root = tempfile::tempdir().unwrap();
    let stats = restore(&[], root.path(), |entry| Ok(entry.path == b"a/y" || entry.path == b"c/z")).unwrap();
    assert_eq!(names(root.path()), ["a", "a/y", "c", "c/z"], "a link to what is left out is a file of its own");
    assert_eq!((stats.blocks, stats.entries, stats.files), (2, 2, 2));
    assert_eq!(mode(&walk(root.path())["a"]), 0o711, "a directory that something is in has its recorded mode");
}

#[test]
fn a_directory_that_it_leaves_out_takes_nothing_with_it() {
    let root = tempfile::tempdir().unwrap();
    restore(&[], root.path(), |entry| Ok(entry.kind != EntryKind::Directory as u8 && entry.path != b"c/z")).unwrap();
    assert_eq!(names(root.path()), ["a", "a/x", "a/y", "big", "link"]);
}

#[test]
fn its_failure_ends_the_job_before_anything_is_written_also_where_it_goes_on_after_others() {
    for status in [Status::Callback, Status::Unsupported] {
        let root = tempfile::tempdir().unwrap();
        let error = restore(&[(Key::KeepGoing, 1)], root.path(), move |entry| match entry.path {
            b"c" => Err(Error::refused(status, znippy::options::FILTER_RULE, "no more")),
            _ => Ok(true),
        })
        .unwrap_err();
        assert_eq!((error.status(), error.path()), (status, Some(&b"c"[..])));
        assert!(names(root.path()).is_empty());
    }
}

#[test]
fn it_is_asked_only_about_what_globs_and_prefixes_leave() {
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set_bytes(Key::Prefix, b"a").unwrap().set_bytes(Key::Exclude, b"*y").unwrap();
    options.set_filter(Some(Arc::new(|entry: &Candidate<'_>| {
        assert!(entry.path == b"a" || entry.path == b"a/x");
        Ok(entry.path == b"a/x")
    })));
    extract_all(&sample().archive(), root.path(), &options).unwrap();
    assert_eq!(names(root.path()), ["a", "a/x"]);
}

#[test]
fn pruning_leaves_alone_what_it_left_out() {
    let root = tempfile::tempdir().unwrap();
    extract_all(&sample().archive(), root.path(), &Options::new()).unwrap();
    fs::write(root.path().join("c/own"), "1").unwrap();
    fs::write(root.path().join("a/stray"), "1").unwrap();
    let before = names(root.path()).len();
    let stats =
        restore(&[(Key::Prune, 1)], root.path(), |entry| Ok(!entry.path.starts_with(b"c") && entry.path != b"a/x"));
    assert_eq!(stats.unwrap().pruned, 1);
    assert_eq!(names(root.path()).len(), before - 1);
    assert!(!root.path().join("a/stray").exists() && root.path().join("a/x").exists());
}
