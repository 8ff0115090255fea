//! What stands in the destination already: kept, replaced, recognised, pruned, as the options say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use extract_support::{Builder, MTIME, mode, mtime_ns, names, noise, walk};
use znippy::error::Status;
use znippy::extract::extract_all;
use znippy::options::{Key, Options};
use znippy::stats::Stats;

fn options(numbers: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in numbers {
        options.set(*key, *value).unwrap();
    }
    options
}

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.sparse("big", 200_000, &[(0, &noise(1, 90_000)), (100_000, &noise(2, 100_000))]);
    builder.directory("d", 0o750, 5);
    let files: Vec<_> = (0..50).map(|i| (format!("d/f{i:02}"), noise(i, 100))).collect();
    builder.files(&files, true);
    builder.directory("e", 0o555, 6);
    builder.file("e/empty", b"");
    builder.file("e/x", b"bytes of x");
    builder.hardlink("e/y", "e/x", b"bytes of x");
    builder.symlink("link", "d/f00");
    builder
}

fn restored() -> (Builder, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    extract_all(&sample().archive(), root.path(), &Options::new()).unwrap();
    (sample(), root)
}

fn update(builder: &Builder, root: &Path, numbers: &[(Key, i64)]) -> Stats {
    extract_all(&builder.archive(), root, &options(numbers)).unwrap()
}

fn set_mtime(path: &Path, ns: u64) {
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(ns));
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

/// What tells that an inode was written.
fn inodes(root: &Path) -> Vec<(String, u64, i64, i64)> {
    let of = |found: &Metadata| (found.ino(), found.ctime(), found.ctime_nsec());
    walk(root)
        .iter()
        .map(|(name, found)| {
            let (inode, seconds, nanoseconds) = of(found);
            (name.clone(), inode, seconds, nanoseconds)
        })
        .collect()
}

#[test]
fn an_unchanged_tree_has_no_inode_written_and_no_block_read() {
    let (builder, root) = restored();
    let before = inodes(root.path());
    for unchanged in [1, 2] {
        let stats = update(&builder, root.path(), &[(Key::SkipUnchanged, unchanged)]);
        assert_eq!((stats.blocks, stats.files, stats.bytes_out), (0, 0, 0));
        assert_eq!(stats.kept, 55, "files, a hard link and a symbolic link");
        assert_eq!(inodes(root.path()), before);
    }
}

#[test]
fn only_what_changed_is_written_and_only_its_blocks_are_read() {
    let (builder, root) = restored();
    let path = |name: &str| root.path().join(name);
    fs::write(path("d/f07"), noise(99, 100)).unwrap();
    fs::set_permissions(path("d/f08"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(path("link")).unwrap();
    symlink("elsewhere", path("link")).unwrap();
    let before = fs::metadata(path("d/f09")).unwrap().ino();
    let stats = update(&builder, root.path(), &[(Key::SkipUnchanged, 1)]);
    assert_eq!((stats.files, stats.blocks, stats.symlinks), (2, 1, 1));
    assert_eq!(fs::read(path("d/f07")).unwrap(), noise(7, 100));
    let found = walk(root.path());
    assert_eq!((mode(&found["d/f08"]), mtime_ns(&found["d"]), found["d/f09"].ino()), (0o640, 5, before));
    assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("d/f00"));
}

#[test]
fn checksums_find_changes_that_times_hide_and_put_metadata_right() {
    let (builder, root) = restored();
    let path = |name: &str| root.path().join(name);
    fs::write(path("d/f01"), noise(99, 100)).unwrap();
    set_mtime(&path("d/f01"), MTIME as u64);
    set_mtime(&path("d/f02"), 77);
    set_mtime(&path("big"), 78);
    let before = walk(root.path());
    assert_eq!(update(&builder, root.path(), &[(Key::SkipUnchanged, 1), (Key::Overwrite, 2)]).files, 0);
    let stats = update(&builder, root.path(), &[(Key::SkipUnchanged, 2)]);
    assert_eq!((stats.files, stats.blocks), (1, 1));
    let after = walk(root.path());
    assert_eq!(fs::read(path("d/f01")).unwrap(), noise(1, 100));
    for name in ["d/f02", "big"] {
        assert_eq!((mtime_ns(&after[name]), after[name].ino()), (MTIME, before[name].ino()), "{name} is not rewritten");
    }
}

#[test]
fn files_are_kept_or_replaced_by_age_as_asked_for() {
    for (overwrite, old, new) in [(1, "archive", "archive"), (2, "old", "new"), (3, "archive", "new")] {
        let mut builder = Builder::new();
        builder.file("missing", b"archive");
        builder.file("new", b"archive");
        builder.file("old", b"archive");
        let root = tempfile::tempdir().unwrap();
        for (name, mtime) in [("new", MTIME + 1), ("old", MTIME - 1)] {
            fs::write(root.path().join(name), name).unwrap();
            set_mtime(&root.path().join(name), mtime as u64);
        }
        let stats = update(&builder, root.path(), &[(Key::Overwrite, overwrite)]);
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!([read("missing"), read("new"), read("old")], ["archive", new, old]);
        assert_eq!(stats.kept + stats.files, 3);
    }
}

#[test]
fn a_hard_link_to_a_name_that_is_kept_gets_its_own_bytes() {
    let mut builder = Builder::new();
    builder.file("a", b"archive");
    builder.hardlink("b", "a", b"archive");
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "something else").unwrap();
    update(&builder, root.path(), &[(Key::Overwrite, 2)]);
    assert_eq!(fs::read(root.path().join("a")).unwrap(), b"something else");
    assert_eq!(fs::read(root.path().join("b")).unwrap(), b"archive");
}

#[test]
fn pruning_makes_the_tree_equal_and_follows_no_link() {
    let (builder, root) = restored();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), b"1").unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("d/new/deep/er")).unwrap();
    fs::write(path("d/new/deep/er/file"), b"1").unwrap();
    symlink(outside.path(), path("d/new/deep/out")).unwrap();
    symlink(outside.path(), path("d/out")).unwrap();
    fs::write(path("stray"), b"1").unwrap();
    // Directories where files belong, and the reverse.
    fs::remove_file(path("big")).unwrap();
    fs::create_dir_all(path("big/x")).unwrap();
    symlink(outside.path(), path("big/x/out")).unwrap();
    fs::set_permissions(path("e"), Permissions::from_mode(0o755)).unwrap();
    fs::remove_dir_all(path("e")).unwrap();
    symlink(outside.path(), path("e")).unwrap();
    let stats = update(&builder, root.path(), &[(Key::Prune, 1), (Key::SkipUnchanged, 1)]);
    let fresh = restored().1;
    assert_eq!(names(root.path()), names(fresh.path()));
    assert_eq!(fs::read(path("big")).unwrap(), fs::read(fresh.path().join("big")).unwrap());
    assert_eq!(stats.pruned, 7);
    assert_eq!(fs::read(outside.path().join("precious")).unwrap(), b"1");
    assert_eq!(mtime_ns(&walk(root.path())["d"]), 5);
}

#[test]
fn pruning_reaches_as_far_as_the_filter() {
    let (builder, root) = restored();
    let path = |name: &str| root.path().join(name);
    for name in ["d/stray.o", "d/stray.c", "stray.o"] {
        fs::write(path(name), b"1").unwrap();
    }
    fs::create_dir(path("d/sub")).unwrap();
    fs::write(path("d/sub/kept.o"), b"1").unwrap();
    let mut options = options(&[(Key::Prune, 1)]);
    options.set_bytes(Key::Prefix, b"d").unwrap().set_bytes(Key::Exclude, b"*.o").unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &options).unwrap();
    assert_eq!(stats.pruned, 1);
    assert!(!path("d/stray.c").exists());
    assert!(path("d/stray.o").exists() && path("stray.o").exists() && path("d/sub/kept.o").exists());
}

#[test]
fn nothing_is_pruned_after_a_failure_and_modes_are_given_back() {
    let (mut builder, root) = restored();
    builder.flip(0);
    builder.flip(2);
    fs::write(root.path().join("stray"), b"1").unwrap();
    fs::set_permissions(root.path().join("d"), Permissions::from_mode(0o700)).unwrap();
    assert!(extract_all(&builder.archive(), root.path(), &options(&[(Key::Prune, 1)])).is_err());
    assert!(root.path().join("stray").exists());
    let found = walk(root.path());
    assert_eq!((mode(&found["d"]), mode(&found["e"])), (0o750, 0o555));
    assert_eq!(
        extract_all(&builder.archive(), root.path(), &options(&[(Key::Prune, 1), (Key::Overwrite, 2)]))
            .unwrap_err()
            .status(),
        Status::InvalidArgument
    );
}

#[test]
fn directories_that_their_owner_may_not_write_are_opened_up_and_closed_again() {
    let (builder, root) = restored();
    fs::write(root.path().join("e/x"), b"").unwrap_or_default();
    let before = inodes(root.path());
    let stats = update(&builder, root.path(), &[(Key::Overwrite, 1)]);
    assert_eq!((stats.files, stats.hardlinks), (53, 1));
    assert_eq!(mode(&walk(root.path())["e"]), 0o555);
    assert_ne!(inodes(root.path()), before);
}

#[test]
fn a_second_unpack_of_a_packed_tree_writes_no_inode_not_even_the_root() {
    let (tree, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for i in 0..200u64 {
        let directory = tree.path().join(["a", "a/b", "c", "."][i as usize % 4]);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{i}")), noise(i, 10 + 91 * i as usize)).unwrap();
    }
    fs::write(tree.path().join("big"), noise(9, 9_000_000)).unwrap();
    File::create(tree.path().join("sparse")).unwrap().set_len(5_000_000).unwrap();
    fs::hard_link(tree.path().join("big"), tree.path().join("c/hard")).unwrap();
    symlink("a", tree.path().join("link")).unwrap();
    fs::set_permissions(tree.path().join("c"), Permissions::from_mode(0o555)).unwrap();
    let path = place.path().join("a.znippy");
    znippy::pack::pack_directory(tree.path(), &path, &Options::new()).unwrap();
    let archive = znippy::archive::Archive::open(&path, &Options::new()).unwrap();
    let out = place.path().join("out");
    extract_all(&archive, &out, &Options::new()).unwrap();
    let of_root = || {
        let found = fs::metadata(&out).unwrap();
        (found.ino(), found.ctime(), found.ctime_nsec(), found.mtime_nsec())
    };
    let before = (inodes(&out), of_root());
    for numbers in
        [&[(Key::SkipUnchanged, 1)][..], &[(Key::SkipUnchanged, 2)], &[(Key::SkipUnchanged, 1), (Key::Prune, 1)]]
    {
        let stats = extract_all(&archive, &out, &options(numbers)).unwrap();
        assert_eq!((stats.blocks, stats.created, stats.replaced, stats.pruned, stats.bytes_out), (0, 0, 0, 0, 0));
        assert_eq!((inodes(&out), of_root()), before, "{numbers:?}");
    }
    for path in [tree.path().join("c"), out.join("c")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}
