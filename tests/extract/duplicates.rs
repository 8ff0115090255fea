//! Files with the same bytes: copies, clones or names of one file, as the options say; never anything else's bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use extract_support::{Builder, MODE, mode, noise, walk};
use znippy::extract::extract_all;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};
use znippy::stats::Stats;

/// Twins in one block and in two, of one slice and of several, with other modes, and hard links to all of them.
fn sample() -> Builder {
    let mut builder = Builder::new();
    let (small, big) = (noise(1, 5000), [noise(2, 9000), noise(3, 9000)]);
    let at = builder.block(&small, false);
    let twin = |builder: &mut Builder, name: &str| {
        builder.slice_file(name.as_bytes(), &small, Some(at), EntryKind::File, None);
    };
    twin(&mut builder, "a");
    twin(&mut builder, "b");
    builder.hardlink("b-link", "b", &small);
    twin(&mut builder, "c-mode");
    builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().mode = Some(0o400);
    builder.sparse("d-big", 18_000, &[(0, &big[0]), (9000, &big[1])]);
    builder.file("dir/a", &small);
    builder.sparse("dir/big", 18_000, &[(0, &big[0]), (9000, &big[1])]);
    builder.file("dir/empty", b"");
    builder.file("dir/empty-too", b"");
    builder.file("dir/other", &noise(9, 5000));
    builder
}

fn extract(root: &Path, set: &[(Key, i64)]) -> Stats {
    let mut options = Options::new();
    for (key, value) in set {
        options.set(*key, *value).unwrap();
    }
    extract_all(&sample().archive(), root, &options).unwrap()
}

/// The whole tree has the right bytes and modes, however it came about.
fn check(root: &Path) {
    let found = walk(root);
    assert_eq!(found.len(), 11, "{:?}", found.keys());
    for name in ["a", "b", "b-link", "c-mode", "dir/a"] {
        assert_eq!(fs::read(root.join(name)).unwrap(), noise(1, 5000), "{name}");
        assert_eq!(mode(&found[name]), if name == "c-mode" { 0o400 } else { MODE });
    }
    for name in ["d-big", "dir/big"] {
        assert_eq!(fs::read(root.join(name)).unwrap(), [noise(2, 9000), noise(3, 9000)].concat(), "{name}");
    }
    assert_eq!(fs::read(root.join("dir/other")).unwrap(), noise(9, 5000));
}

fn inode(root: &Path, name: &str) -> u64 {
    fs::symlink_metadata(root.join(name)).unwrap().ino()
}

#[test]
fn copies_are_the_default() {
    let root = tempfile::tempdir().unwrap();
    let stats = extract(root.path(), &[]);
    check(root.path());
    assert_eq!((stats.files, stats.hardlinks, stats.duplicate_files), (9, 1, 0));
    assert_ne!(inode(root.path(), "a"), inode(root.path(), "b"));
    assert_eq!(inode(root.path(), "b"), inode(root.path(), "b-link"));
}

#[test]
fn names_of_one_file_are_made_where_mode_and_time_are_equal_too() {
    for overwrite in [0, 1, 1] {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path();
        for _ in 0..=overwrite {
            let stats = extract(root, &[(Key::Duplicates, 2), (Key::Overwrite, overwrite)]);
            check(root);
            assert_eq!((stats.files, stats.hardlinks), (9, 1));
            assert_eq!((stats.duplicate_files, stats.duplicate_bytes), (3, 28_000));
            for name in ["b", "b-link", "dir/a"] {
                assert_eq!(inode(root, "a"), inode(root, name), "{name}");
            }
            assert_eq!(inode(root, "d-big"), inode(root, "dir/big"));
            assert_ne!(inode(root, "a"), inode(root, "c-mode"));
            assert_ne!(inode(root, "dir/empty"), inode(root, "dir/empty-too"));
        }
    }
}

#[test]
fn clones_are_files_of_their_own_also_where_the_file_system_has_none() {
    for other in [None, Some("/dev/shm")] {
        let parent = other.filter(|path| Path::new(path).is_dir()).map_or_else(tempfile::tempdir, tempfile::tempdir_in);
        let parent = parent.unwrap();
        let root = parent.path().join("out");
        extract(&root, &[(Key::Duplicates, 1)]);
        check(&root);
        assert_ne!(inode(&root, "a"), inode(&root, "b"));
        assert_ne!(inode(&root, "d-big"), inode(&root, "dir/big"));
        assert_eq!(inode(&root, "b"), inode(&root, "b-link"));
    }
}

#[test]
fn what_is_kept_is_no_source_of_clones_or_names() {
    for duplicates in [1, 2] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), b"something else").unwrap();
        extract(root.path(), &[(Key::Duplicates, duplicates), (Key::Overwrite, 2)]);
        assert_eq!(fs::read(root.path().join("a")).unwrap(), b"something else");
        fs::remove_file(root.path().join("a")).unwrap();
        extract(root.path(), &[(Key::Duplicates, duplicates), (Key::SkipUnchanged, 1)]);
        check(root.path());
        let before = inode(root.path(), "dir/a");
        let stats = extract(root.path(), &[(Key::Duplicates, duplicates), (Key::SkipUnchanged, 1)]);
        assert_eq!((stats.kept, stats.files, inode(root.path(), "dir/a")), (10, 0, before));
    }
}

#[test]
fn damage_to_what_others_are_made_from_is_theirs_as_well() {
    let mut builder = sample();
    builder.flip(0);
    let mut options = Options::new();
    options.set(Key::Duplicates, 2).unwrap();
    options.set(Key::KeepGoing, 1).unwrap();
    let root = tempfile::tempdir().unwrap();
    let outcome = znippy::extract::extract_tree(&builder.archive(), root.path(), &options).unwrap();
    // `dir/a` has a blob of its own and is written from it; the others share the damaged one.
    assert_eq!(fs::read(root.path().join("dir/a")).unwrap(), noise(1, 5000));
    assert!(["a", "b", "c-mode"].iter().all(|name| !root.path().join(name).exists()));
    assert!(outcome.failures.iter().all(|error| error.path() != Some(b"dir/a")));
}

/// A btrfs or xfs of its own, where root may mount one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(kind: &str) -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        let run = |program: &str, arguments: &[&str], paths: &[&PathBuf]| {
            Command::new(program).args(arguments).args(paths).output().is_ok_and(|output| output.status.success())
        };
        let made = run(&format!("mkfs.{kind}"), &["-q"], &[&image]) && run("mount", &["-o", "loop"], &[&image, &mount]);
        made.then(|| Disk(dir))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path().join("mount")).status();
    }
}

#[test]
fn clones_share_blocks_where_the_file_system_can() {
    for kind in ["btrfs", "xfs"] {
        let Some(disk) = Disk::new(kind) else {
            eprintln!("skipped: no {kind} can be made and mounted here");
            continue;
        };
        let root = disk.0.path().join("mount/out");
        for overwrite in [0, 1] {
            let stats = extract(&root, &[(Key::Duplicates, 1), (Key::Overwrite, overwrite)]);
            check(&root);
            assert_eq!((stats.files, stats.duplicate_files, stats.duplicate_bytes), (9, 4, 33_000), "{kind}");
            assert_ne!(inode(&root, "a"), inode(&root, "b"));
        }
        // What is written to a clone is its own.
        fs::write(root.join("b"), b"changed").unwrap();
        assert_eq!(fs::read(root.join("a")).unwrap(), noise(1, 5000));
    }
}
