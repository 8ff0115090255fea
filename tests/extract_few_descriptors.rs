//! Extraction works where the process may have few descriptors. Alone in its program: the limit is everybody's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod extract_support;

use extract_support::{Builder, noise};
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};

use std::sync::Mutex;

/// The limit is the process's, so one test at a time has it.
static LIMIT: Mutex<()> = Mutex::new(());

fn with_descriptors<T>(most: u64, job: impl FnOnce() -> T) -> T {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let low = rustix::process::Rlimit { current: Some(most), maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
    let result = job();
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    result
}

#[test]
fn an_atomic_extraction_with_too_few_descriptors_leaves_nothing_behind() {
    let _alone = LIMIT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut builder = Builder::new();
    for i in 0..20 {
        builder.file(&format!("a/b/c{i:02}/file"), &noise(i, 3000));
    }
    let archive = builder.archive();
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    let mut options = Options::new();
    options.set(Key::Threads, 2).unwrap().set(Key::Atomic, 1).unwrap().set(Key::Overwrite, 1).unwrap();
    let mut done = 0;
    for most in 3..40 {
        let result = with_descriptors(most, || extract_all(&archive, &root, &options));
        let names: Vec<_> = std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        match result {
            Ok(stats) => {
                assert_eq!((stats.files, names), (20, vec!["out".into()]), "{most} descriptors");
                done += 1;
            }
            Err(error) => {
                assert_eq!(error.os_code(), libc::EMFILE, "{most} descriptors: {error}");
                assert!(done == 0 && names.is_empty(), "{most} descriptors: {names:?}");
            }
        }
    }
    assert!(done > 10, "{done}");
}

#[test]
fn a_fifo_that_can_not_be_opened_is_removed() {
    let _alone = LIMIT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut builder = Builder::new();
    let attributes = Attributes { mode: Some(0o644), ..Attributes::default() };
    builder.entry(b"fifo", EntryKind::Fifo, attributes);
    let archive = builder.archive();
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Threads, 1).unwrap().set(Key::Overwrite, 1).unwrap();
    extract_all(&archive, root.path(), &options).unwrap();
    let mut failed = 0;
    for most in 3..40 {
        failed += u32::from(with_descriptors(most, || extract_all(&archive, root.path(), &options)).is_err());
        assert_eq!(extract_support::names(root.path()), ["fifo"], "{most} descriptors");
    }
    assert!((1..37).contains(&failed), "{failed}");
}

#[test]
fn eight_threads_work_with_64_descriptors() {
    let _alone = LIMIT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut builder = Builder::new();
    for i in 0..600 {
        builder.sparse(&format!("d{i:03}/big"), 4000, &[(0, &noise(i, 1000)), (2000, &noise(i + 1, 1000))]);
    }
    let archive = builder.archive();
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Threads, 8).unwrap();
    let result = with_descriptors(64, || extract_all(&archive, root.path(), &options));
    assert_eq!(result.unwrap().files, 600);
}
