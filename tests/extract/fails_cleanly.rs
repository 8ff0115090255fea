//! Damage, cancellation and limits end in one error, with no temporary file and no wrong byte left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use extract_support::{Builder, names, noise, walk};
use znippy::error::Status;
use znippy::extract::extract_all;
use znippy::options::{Key, Options};
use znippy::progress::{CancelToken, Phase};

fn big_and_small() -> (Builder, Vec<(String, Vec<u8>)>) {
    let mut builder = Builder::new();
    let parts: Vec<Vec<u8>> = (0..8).map(|i| noise(i, 50_000)).collect();
    let ranges: Vec<(u64, &[u8])> = parts.iter().enumerate().map(|(i, p)| (i as u64 * 50_000, &p[..])).collect();
    builder.sparse("big", 400_000, &ranges);
    let files: Vec<(String, Vec<u8>)> = (0..400).map(|i| (format!("d/f{i:03}"), noise(i, 3000))).collect();
    for some in files.chunks(100) {
        builder.files(some, true);
    }
    (builder, files)
}

#[test]
fn a_damaged_block_writes_nothing_wrong_and_leaves_no_temporary_file() {
    for blob in 0..12 {
        for threads in [1, 2, 4] {
            let (mut builder, files) = big_and_small();
            builder.flip(blob);
            let root = tempfile::tempdir().unwrap();
            let mut options = Options::new();
            options.set(Key::Threads, threads).unwrap();
            let error = extract_all(&builder.archive(), root.path(), &options).unwrap_err();
            assert!(matches!(error.status(), Status::Checksum | Status::Corrupt), "{error:?}");
            let found = walk(root.path());
            assert!(found.keys().all(|name| !name.contains(".znippy")), "{:?}", found.keys());
            for (path, bytes) in &files {
                if found.contains_key(path) {
                    assert_eq!(&fs::read(root.path().join(path)).unwrap(), bytes);
                }
            }
            if blob < 8 {
                assert!(!found.contains_key("big"), "a file with a damaged slice never gets its name");
            } else {
                let first = &files[(blob - 8) * 100].0;
                assert!(!found.contains_key(first), "no file of a block whose decoding failed is written");
            }
        }
    }
}

#[test]
fn a_checksum_that_does_not_match_names_the_entry() {
    let mut builder = Builder::new();
    builder.file("a", b"some bytes that are right");
    builder.rows[0].checksum[0] ^= 1;
    let root = tempfile::tempdir().unwrap();
    let error = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap_err();
    assert_eq!((error.status(), error.path()), (Status::Checksum, Some(&b"a"[..])));
    assert!(names(root.path()).is_empty());
}

#[test]
fn cancelling_at_any_report_leaves_no_temporary_file() {
    for at in 0..12 {
        for by_token in [false, true] {
            let (builder, files) = big_and_small();
            let root = tempfile::tempdir().unwrap();
            let (token, reports) = (CancelToken::new(), Arc::new(AtomicU32::new(0)));
            let mut options = Options::new();
            options.set(Key::ProgressInterval, 0).unwrap();
            options.set_cancel(token.clone());
            let seen = Arc::clone(&reports);
            options.set_progress(Some(Arc::new(move |_| {
                let now = seen.fetch_add(1, Ordering::Relaxed) >= at;
                if now && by_token {
                    token.trigger();
                }
                by_token || !now
            })));
            let archive = builder.archive();
            let result = extract_all(&archive, root.path(), &options);
            if reports.load(Ordering::Relaxed) > at {
                assert_eq!(result.unwrap_err().status(), Status::Cancelled);
            }
            let found = walk(root.path());
            assert!(found.keys().all(|name| !name.contains(".znippy")), "{:?}", found.keys());
            for (path, bytes) in files.iter().filter(|(path, _)| found.contains_key(path)) {
                assert_eq!(&fs::read(root.path().join(path)).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn progress_counts_every_entry_and_byte_on_the_calling_thread() {
    let (builder, _) = big_and_small();
    let root = tempfile::tempdir().unwrap();
    let (here, last) = (std::thread::current().id(), Arc::new(std::sync::Mutex::new((0, 0, 0, 0))));
    let mut options = Options::new();
    let seen = Arc::clone(&last);
    options.set_progress(Some(Arc::new(move |progress| {
        assert_eq!(std::thread::current().id(), here);
        if progress.phase == Phase::Extract {
            *seen.lock().unwrap() =
                (progress.entries_done, progress.entries_total, progress.bytes_done, progress.bytes_total);
        }
        true
    })));
    extract_all(&builder.archive(), root.path(), &options).unwrap();
    assert_eq!(*last.lock().unwrap(), (401, 401, 1_600_000, 1_600_000));
}

#[test]
fn a_memory_limit_lowers_threads_and_then_is_an_error_before_the_first_write() {
    let (builder, _) = big_and_small();
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    let mut options = Options::new();
    options.set(Key::Threads, 8).unwrap();
    options.set(Key::MemoryLimit, 100_000).unwrap();
    let error = extract_all(&builder.archive(), &root, &options).unwrap_err();
    assert_eq!(error.status(), Status::Limit);
    assert!(!root.exists());
    options.set(Key::MemoryLimit, 700_000).unwrap();
    extract_all(&builder.archive(), &root, &options).unwrap();
}
