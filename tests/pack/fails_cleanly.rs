//! A failed or cancelled pack is one clear error, leaves nothing behind and the older archive as it was.

#![allow(clippy::unwrap_used)]

use crate::pack_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pack_support::{make_tree, options, pack};
use znippy::error::Status;
use znippy::options::Key;
use znippy::progress::{LogLevel, Phase};

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_missing_directory_is_an_error_and_the_older_archive_stays() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("old.znippy");
    fs::write(&archive, b"precious").unwrap();
    let error = pack(&dir.path().join("nowhere"), &archive, &[(Key::Overwrite, 1)]).unwrap_err();
    assert_eq!(error.status(), Status::NotFound);
    assert!(error.path().unwrap().ends_with(b"nowhere"));
    assert_eq!(fs::read(&archive).unwrap(), b"precious");
}

#[test]
fn an_existing_archive_is_replaced_only_when_asked_and_under_exactly_the_name_given() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tree")).unwrap();
    fs::write(dir.path().join("tree/a"), b"a").unwrap();
    let archive = dir.path().join("v1.2");
    pack(&dir.path().join("tree"), &archive, &[]).unwrap();
    assert_eq!(names(dir.path()), ["tree", "v1.2"]);
    let first = fs::read(&archive).unwrap();
    let error = pack(&dir.path().join("tree"), &archive, &[]).unwrap_err();
    assert_eq!(error.status(), Status::Exists);
    fs::write(dir.path().join("tree/b"), b"b").unwrap();
    pack(&dir.path().join("tree"), &archive, &[(Key::Overwrite, 1)]).unwrap();
    assert_ne!(fs::read(&archive).unwrap(), first);
    assert_eq!(names(dir.path()), ["tree", "v1.2"]);
}

#[test]
fn cancelling_in_each_phase_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    for phase in [Phase::Scan, Phase::Pack, Phase::Finish] {
        let mut options = options(&[(Key::ProgressInterval, 0)]);
        options.set_progress(Some(Arc::new(move |progress| progress.phase != phase)));
        let error = znippy::pack::pack_directory(&tree, &dir.path().join("archive"), &options).unwrap_err();
        assert_eq!(error.status(), Status::Cancelled, "{phase:?}");
        assert_eq!(names(dir.path()), ["tree"]);
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_an_error_or_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    for (lenient, shrinks) in [(0, true), (0, false), (1, true), (1, false)] {
        let victim = tree.join("data/big.txt");
        let keep = fs::read(&victim).unwrap();
        let mut options = options(&[(Key::OnError, lenient), (Key::ProgressInterval, 0), (Key::Overwrite, 1)]);
        let (file, done) = (victim.clone(), AtomicU64::new(0));
        options.set_progress(Some(Arc::new(move |progress| {
            // Once, after the scan has seen the file and before it is read.
            if progress.phase == Phase::Pack && done.swap(1, Ordering::Relaxed) == 0 {
                let length = if shrinks { 1000 } else { 20 << 20 };
                fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
            }
            true
        })));
        let logged = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&logged);
        options.set_log(Some(Arc::new(move |level, message| {
            assert!(level == LogLevel::Warning && message.contains("big.txt"));
            count.fetch_add(1, Ordering::Relaxed);
        })));
        let archive = dir.path().join("archive");
        let result = znippy::pack::pack_directory(&tree, &archive, &options);
        fs::write(&victim, keep).unwrap();
        if lenient == 0 {
            let error = result.unwrap_err();
            assert_eq!(error.status(), Status::Changed);
            assert!(error.path().unwrap().ends_with(b"big.txt"));
            assert_eq!(names(dir.path()), ["tree"]);
        } else {
            // The file and its other name.
            assert_eq!(result.unwrap().skipped, 2);
            assert!(logged.load(Ordering::Relaxed) >= 1);
            let opened = znippy::archive::Archive::open(&archive, &options).unwrap();
            opened.verify(&Default::default()).unwrap();
            assert_eq!(opened.find(b"data/big.txt").unwrap(), None);
            assert_eq!(opened.find(b"data/zz-link").unwrap(), None);
            fs::remove_file(&archive).unwrap();
        }
    }
}

#[test]
fn a_memory_limit_that_is_too_low_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    let error = pack(&tree, &dir.path().join("archive"), &[(Key::MemoryLimit, 1 << 20)]).unwrap_err();
    assert_eq!(error.status(), Status::Limit);
    assert_eq!(names(dir.path()), ["tree"]);
}
