//! With `keep-going` everything undamaged is restored, and what is not is listed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::sync::{Arc, Mutex};

use extract_support::{Builder, names, noise};
use znippy::archive::{Archive, MemorySource};
use znippy::error::Status;
use znippy::extract::{Outcome, extract_all, extract_tree};
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};

fn keep_going(threads: i64) -> Options {
    let mut options = Options::new();
    options.set(Key::KeepGoing, 1).unwrap().set(Key::Threads, threads).unwrap();
    options
}

fn failed(outcome: &Outcome) -> Vec<String> {
    let path = |error: &znippy::error::Error| String::from_utf8(error.path().unwrap().to_vec()).unwrap();
    let mut paths: Vec<String> = outcome.failures.iter().map(path).collect();
    paths.sort();
    paths
}

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.sparse("big", 200_000, &[(0, &noise(1, 90_000)), (100_000, &noise(2, 100_000))]);
    for (name, count) in [("d", 30), ("e", 30)] {
        let files: Vec<_> = (0..count).map(|i| (format!("{name}/f{i:02}"), noise(i, 1000))).collect();
        builder.files(&files, name == "d");
    }
    builder.file("x", b"alone");
    builder.hardlink("y", "x", b"alone");
    builder
}

#[test]
fn damaged_blocks_cost_their_files_and_no_others() {
    for threads in [1, 3] {
        let mut builder = sample();
        builder.flip(1);
        builder.break_frame(2);
        let root = tempfile::tempdir().unwrap();
        let outcome = extract_tree(&builder.archive(), root.path(), &keep_going(threads)).unwrap();
        let mut expected: Vec<String> = (0..30).map(|i| format!("d/f{i:02}")).collect();
        expected.insert(0, "big".to_owned());
        assert_eq!(failed(&outcome), expected);
        assert_eq!((outcome.stats.failed, outcome.stats.files, outcome.stats.hardlinks), (31, 31, 1));
        let mut left: Vec<String> = (0..30).map(|i| format!("e/f{i:02}")).collect();
        left.extend(["d", "e", "x", "y"].map(str::to_owned));
        left.sort();
        assert_eq!(names(root.path()), left, "no temporary file, nothing wrong under a final name");
    }
}

#[test]
fn one_wrong_slice_of_a_block_costs_one_file_and_the_links_to_it() {
    let mut builder = sample();
    // The stored block of `e` has one byte changed, in the middle of the 16th file.
    builder.flip(3);
    let row = builder.rows.iter().position(|row| row.path == b"x").unwrap();
    builder.rows[row].checksum[0] ^= 1;
    builder.rows[row + 1].checksum[0] ^= 1;
    let root = tempfile::tempdir().unwrap();
    let outcome = extract_tree(&builder.archive(), root.path(), &keep_going(2)).unwrap();
    assert_eq!(failed(&outcome), ["e/f15", "x", "y"]);
    assert!(outcome.failures.iter().all(|error| error.status() == Status::Checksum));
    assert_eq!(names(root.path()).len(), 2 + 1 + 59);
    let error = outcome.error().unwrap();
    assert_eq!(error.status(), Status::Partial);
    assert!(error.to_string().contains("entries that failed: 3"), "{error}");
}

#[test]
fn each_failure_is_logged_and_extract_all_says_that_it_is_partial() {
    let mut builder = sample();
    builder.flip(0);
    let logged = Arc::new(Mutex::new(Vec::new()));
    let mut options = keep_going(2);
    let seen = Arc::clone(&logged);
    options.set_log(Some(Arc::new(move |_, text: &str| seen.lock().unwrap().push(text.to_owned()))));
    let root = tempfile::tempdir().unwrap();
    let error = extract_all(&builder.archive(), root.path(), &options).unwrap_err();
    assert_eq!((error.status(), error.path()), (Status::Partial, Some(&b"big"[..])));
    let logged = logged.lock().unwrap();
    assert_eq!(logged.len(), 1);
    assert!(logged[0].starts_with("not restored: big: "), "{logged:?}");
}

#[test]
fn names_that_are_taken_fail_alone_and_nothing_is_linked_to_them() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("x"), "of somebody else").unwrap();
    fs::write(root.path().join("e"), "not a directory").unwrap();
    let outcome = extract_tree(&sample().archive(), root.path(), &keep_going(2)).unwrap();
    assert_eq!(fs::read(root.path().join("x")).unwrap(), b"of somebody else");
    assert_eq!(fs::read(root.path().join("y")).unwrap(), b"alone");
    assert_eq!(outcome.stats.failed, 32, "{:?}", outcome.failures);
    assert_eq!(fs::read(root.path().join("d/f29")).unwrap(), noise(29, 1000));
}

#[test]
fn a_damaged_index_segment_costs_its_entries() {
    let mut builder = sample();
    builder.rows_per_segment = 10;
    let mut bytes = builder.bytes();
    let part = builder.archive().manifest().segments[2].clone();
    bytes[(part.offset + part.len / 2) as usize] ^= 1;
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
    let archive = Archive::open_source(Box::new(MemorySource::new(bytes)), &Options::new()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let outcome = extract_tree(&archive, root.path(), &keep_going(2)).unwrap();
    assert_eq!((outcome.stats.failed, outcome.failures.len()), (10, 1));
    assert_eq!(outcome.failures[0].path(), Some(&b"d/f18"[..]));
    assert!(!root.path().join("d/f20").exists());
    assert_eq!(fs::read(root.path().join("d/f28")).unwrap(), noise(28, 1000));
    assert_eq!(names(root.path()).len(), 2 + 63 - 10);
}

#[test]
fn a_big_file_whose_rows_are_lost_in_part_is_not_restored() {
    let parts: Vec<Vec<u8>> = (0..30).map(|i| noise(i, 1000)).collect();
    let ranges: Vec<(u64, &[u8])> = parts.iter().enumerate().map(|(i, p)| (i as u64 * 1000, &p[..])).collect();
    let mut builder = Builder::new();
    builder.sparse("big", 30_000, &ranges);
    builder.file("small", b"bytes");
    builder.rows_per_segment = 10;
    let mut bytes = builder.bytes();
    let part = builder.archive().manifest().segments[1].clone();
    bytes[(part.offset + part.len / 2) as usize] ^= 1;
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
    let archive = Archive::open_source(Box::new(MemorySource::new(bytes)), &Options::new()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let outcome = extract_tree(&archive, root.path(), &keep_going(2)).unwrap();
    assert_eq!(names(root.path()), ["small"]);
    assert!(failed(&outcome).contains(&"big".to_owned()));
}

#[test]
fn kinds_and_codecs_of_later_versions_cost_their_entries() {
    let mut builder = Builder::new();
    builder.file("a", b"bytes");
    builder.file("b", b"other bytes");
    builder.file("c", b"more");
    builder.rows[0].kind = 200;
    builder.rows[1].location.as_mut().unwrap().codec = 77;
    let root = tempfile::tempdir().unwrap();
    let outcome = extract_tree(&builder.archive(), root.path(), &keep_going(1)).unwrap();
    assert_eq!((failed(&outcome), names(root.path())), (vec!["a".into(), "b".into()], vec!["c".to_owned()]));
    assert!(EntryKind::from_number(200).is_none());
}
