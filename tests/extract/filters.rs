//! Only what is asked for is restored, and nothing else is read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use extract_support::{Builder, MTIME, mode, mtime_ns, names, noise, walk};
use znippy::archive::{Archive, Source};
use znippy::error::{Result, Status};
use znippy::extract::extract_all;
use znippy::options::{Key, Options};

fn options(lists: &[(Key, &str)]) -> Options {
    let mut options = Options::new();
    for (key, value) in lists {
        options.set_bytes(*key, value.as_bytes()).unwrap();
    }
    options
}

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.metadata.insert("root_mode".into(), "0700".into());
    builder.directory("a", 0o750, 1);
    builder.file("a-b", b"between a and what is in a");
    builder.directory("a/b", 0o711, 2);
    builder.sparse("a/b/big.o", 2000, &[(0, &noise(1, 900)), (1000, &noise(2, 1000))]);
    builder.file("a/b/x.c", b"c");
    builder.file("a/y.o", b"o");
    builder.directory("d", 0o700, 3);
    builder.file("d/z.c", b"z");
    builder.symlink("d/zz", "z.c");
    builder
}

fn restored(options: &Options) -> Vec<String> {
    let mut all = Vec::new();
    for rows in [8192, 3, 1] {
        let mut builder = sample();
        builder.rows_per_segment = rows;
        let root = tempfile::tempdir().unwrap();
        extract_all(&builder.archive(), root.path(), options).unwrap();
        all.push(names(root.path()));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "it depends on the segments: {all:?}");
    all.remove(0)
}

#[test]
fn globs_and_prefixes_choose_what_is_restored() {
    use Key::{Exclude, Include, Prefix};
    for (chosen, expected) in [
        (&[(Include, "*.c")][..], &["a", "a/b", "a/b/x.c", "d", "d/z.c"][..]),
        (&[(Include, "*.c"), (Include, "/a-b")], &["a", "a-b", "a/b", "a/b/x.c", "d", "d/z.c"]),
        (&[(Exclude, "*.c"), (Exclude, "a/b")], &["a", "a-b", "a/y.o", "d", "d/zz"]),
        (&[(Include, "a/**"), (Exclude, "*.o")], &["a", "a/b", "a/b/x.c"]),
        (&[(Prefix, "a/b")], &["a", "a/b", "a/b/big.o", "a/b/x.c"]),
        (&[(Prefix, "a/b/big.o")], &["a", "a/b", "a/b/big.o"]),
        (&[(Prefix, "a/"), (Prefix, "d/zz")], &["a", "a/b", "a/b/big.o", "a/b/x.c", "a/y.o", "d", "d/zz"]),
        (&[(Prefix, "a"), (Include, "*.c")], &["a", "a/b", "a/b/x.c"]),
        (&[(Include, "no-such-name")], &[]),
    ] {
        assert_eq!(restored(&options(chosen)), expected, "{chosen:?}");
    }
}

#[test]
fn directories_above_have_their_recorded_modes_and_times_and_the_root_keeps_its_own() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    extract_all(&sample().archive(), &root, &options(&[(Key::Prefix, "a/b/x.c")])).unwrap();
    let found = walk(&root);
    assert_eq!((mode(&found["a"]), mtime_ns(&found["a"])), (0o750, 1));
    assert_eq!((mode(&found["a/b"]), mtime_ns(&found["a/b"])), (0o711, 2));
    assert_eq!(mtime_ns(&found["a/b/x.c"]), MTIME);
    assert_ne!(mode(&fs::metadata(&root).unwrap()), 0o700);
}

#[test]
fn a_prefix_that_nothing_has_is_an_error_before_anything_is_written() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    let error = extract_all(&sample().archive(), &root, &options(&[(Key::Prefix, "a/bb")])).unwrap_err();
    assert_eq!((error.status(), error.path()), (Status::NotFound, Some(&b"a/bb"[..])));
    assert!(!root.exists());
    let mut options = Options::new();
    for bad in ["/a", "..", "a//b"] {
        assert_eq!(options.set_bytes(Key::Prefix, bad.as_bytes()).err().unwrap().status(), Status::InvalidArgument);
    }
    assert!(options.set_bytes(Key::Include, b"a[").is_err());
}

#[test]
fn a_list_grows_with_each_value_and_an_empty_one_takes_all_away() {
    let mut options = options(&[(Key::Include, "*.c"), (Key::Include, "*.o")]);
    assert_eq!(options.bytes(Key::Include).collect::<Vec<_>>(), [b"*.c", b"*.o"]);
    options.set_bytes(Key::Repo, b"one").unwrap().set_bytes(Key::Repo, b"two").unwrap();
    assert_eq!(options.repo(), "two", "a text is replaced");
    options.set_bytes(Key::Include, b"").unwrap();
    assert_eq!(options.bytes(Key::Include).count(), 0);
}

#[test]
fn components_are_stripped_and_hard_links_still_link() {
    let mut builder = Builder::new();
    builder.directory("v1", 0o700, 1);
    builder.directory("v1/lib", 0o750, 2);
    builder.file("v1/lib/a", b"shared");
    builder.hardlink("v1/lib/b", "v1/lib/a", b"shared");
    builder.file("v2", b"too short a path");
    let mut strip = Options::new();
    strip.set(Key::StripComponents, 1).unwrap();
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &strip).unwrap();
    let found = walk(root.path());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["lib", "lib/a", "lib/b"]);
    assert_eq!((mode(&found["lib"]), found["lib/a"].ino()), (0o750, found["lib/b"].ino()));
    strip.set(Key::StripComponents, 2).unwrap();
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &strip).unwrap();
    assert_eq!(names(root.path()), ["a", "b"]);
}

#[test]
fn stripping_never_mixes_two_directories() {
    let mut strip = Options::new();
    strip.set(Key::StripComponents, 1).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    let error = extract_all(&sample().archive(), &root, &strip).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(!root.exists());
    strip.set_bytes(Key::Prefix, b"a").unwrap();
    extract_all(&sample().archive(), &root, &strip).unwrap();
    assert_eq!(names(&root), ["b", "b/big.o", "b/x.c", "y.o"]);
}

/// Notes what is read.
struct Watched {
    bytes: Vec<u8>,
    reads: Arc<Mutex<Vec<(u64, usize)>>>,
    count: Arc<AtomicU64>,
}

impl Source for Watched {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.reads.lock().unwrap().push((offset, buffer.len()));
        self.count.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        buffer.copy_from_slice(&self.bytes[offset as usize..offset as usize + buffer.len()]);
        Ok(())
    }
}

#[test]
fn blocks_and_segments_that_hold_nothing_wanted_are_not_read() {
    let mut builder = Builder::new();
    let files: Vec<(String, Vec<u8>)> =
        (0..20_000).map(|i| (format!("d{:03}/f{i:05}", i / 100), noise(i, 100))).collect();
    for block in files.chunks(1000) {
        builder.files(block, false);
    }
    builder.rows_per_segment = 500;
    let (reads, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    let bytes = builder.bytes();
    let total = bytes.len() as u64;
    let source = Watched { bytes, reads: Arc::clone(&reads), count: Arc::clone(&count) };
    let archive = Archive::open_source(Box::new(source), &Options::new()).unwrap();
    count.store(0, Ordering::Relaxed);
    reads.lock().unwrap().clear();
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&archive, root.path(), &options(&[(Key::Prefix, "d042")])).unwrap();
    assert_eq!((stats.files, stats.entries, stats.blocks), (100, 100, 1));
    assert!(reads.lock().unwrap().len() <= 3, "{:?}", reads.lock().unwrap());
    assert!(count.load(Ordering::Relaxed) * 20 < total, "{count:?} of {total} bytes");
    assert_eq!(fs::read(root.path().join("d042/f04250")).unwrap(), files[4250].1);
}
