//! Nothing is written outside the destination, nothing is followed, nothing that exists is lost without being asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use extract_support::{Builder, names, noise};
use znippy::error::{Result, Status};
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};
use znippy::stats::Stats;

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.directory("d", 0o755, 1);
    builder.sparse("d/big", 200_000, &[(0, &noise(1, 100_000)), (100_000, &noise(2, 100_000))]);
    builder.file("d/sub/small", b"from the archive");
    builder.symlink("link", "elsewhere");
    builder
}

fn run(root: &Path, replace: bool) -> Result<Stats> {
    let mut options = Options::new();
    options.set(Key::Overwrite, i64::from(replace)).unwrap();
    extract_all(&sample().archive(), root, &options)
}

#[test]
fn a_link_planted_where_a_directory_is_needed_is_an_error_and_is_not_followed() {
    for planted in ["d", "d/sub"] {
        for replace in [false, true] {
            let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(root.path().join(planted).parent().unwrap()).unwrap();
            symlink(outside.path(), root.path().join(planted)).unwrap();
            let error = run(root.path(), replace).unwrap_err();
            assert_eq!(error.rule(), Some("sandbox.directory"), "{planted} {error:?}");
            assert_eq!(error.path(), Some(planted.as_bytes()));
            assert!(names(outside.path()).is_empty());
        }
    }
}

#[test]
fn names_that_exist_are_refused_and_named() {
    for taken in ["d/big", "d/sub/small", "link"] {
        for as_link in [false, true] {
            let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(root.path().join("d/sub")).unwrap();
            let (path, victim) = (root.path().join(taken), outside.path().join("victim"));
            fs::write(&victim, b"old").unwrap();
            if as_link {
                symlink(&victim, &path).unwrap()
            } else {
                fs::write(&path, b"old").unwrap()
            }
            let error = run(root.path(), false).unwrap_err();
            assert_eq!((error.status(), error.path()), (Status::Exists, Some(taken.as_bytes())), "{error:?}");
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(fs::read(&victim).unwrap(), b"old");
            assert!(names(root.path()).iter().all(|name| !name.contains(".znippy")));
        }
    }
}

#[test]
fn replacing_takes_the_name_and_leaves_what_it_was_linked_to() {
    for taken in ["d/big", "d/sub/small", "link"] {
        for as_link in [false, true] {
            let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(root.path().join("d/sub")).unwrap();
            let (path, victim) = (root.path().join(taken), outside.path().join("victim"));
            fs::write(&victim, b"old").unwrap();
            if as_link {
                symlink(&victim, &path).unwrap()
            } else {
                fs::hard_link(&victim, &path).unwrap()
            }
            run(root.path(), true).unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"old");
            assert_eq!(fs::read(root.path().join("d/sub/small")).unwrap(), b"from the archive");
            assert_eq!(fs::metadata(root.path().join("d/big")).unwrap().len(), 200_000);
            assert_eq!(fs::read_link(root.path().join("link")).unwrap().to_str(), Some("elsewhere"));
            assert_eq!(names(root.path()), ["d", "d/big", "d/sub", "d/sub/small", "link"]);
        }
    }
}

#[test]
fn replacing_a_whole_tree_with_hard_links_leaves_no_temporary_name() {
    let mut builder = Builder::new();
    builder.file("a", b"shared");
    builder.hardlink("b", "a", b"shared");
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Overwrite, 1).unwrap();
    for _ in 0..3 {
        extract_all(&builder.archive(), root.path(), &options).unwrap();
        assert_eq!(names(root.path()), ["a", "b"]);
        let inode = |name: &str| fs::metadata(root.path().join(name)).unwrap().ino();
        assert_eq!(inode("a"), inode("b"));
    }
}

#[test]
fn a_directory_where_a_file_is_needed_is_never_removed() {
    for replace in [false, true] {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d/sub/small/kept")).unwrap();
        let error = run(root.path(), replace).unwrap_err();
        assert_eq!((error.status(), error.path()), (Status::Exists, Some(&b"d/sub/small"[..])), "{error:?}");
        assert!(root.path().join("d/sub/small/kept").is_dir());
        assert!(names(root.path()).iter().all(|name| !name.contains(".znippy")));
    }
}

#[test]
fn existing_directories_are_filled_and_a_file_as_destination_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("d/sub")).unwrap();
    fs::write(root.path().join("d/other"), b"kept").unwrap();
    run(root.path(), false).unwrap();
    assert_eq!(fs::read(root.path().join("d/other")).unwrap(), b"kept");
    let file = root.path().join("d/other");
    assert!(run(&file, true).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert_eq!(run(&root.path().join("no/such"), true).unwrap_err().status(), Status::NotFound);
}

/// What must be refused before anything, the destination included, is made.
fn refused_before_the_first_write(builder: &Builder, rule: &str, entry: &[u8]) {
    let parent = tempfile::tempdir().unwrap();
    let error = extract_all(&builder.archive(), &parent.path().join("out"), &Options::new()).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some(rule), Some(entry)), "{error:?}");
    assert!(names(parent.path()).is_empty());
}

#[test]
fn what_breaks_the_rules_of_the_whole_is_refused_before_the_first_write() {
    let mut nested = Builder::new();
    nested.file("a", b"1");
    nested.file("a-b", b"1");
    nested.file("a/b/c", b"1");
    refused_before_the_first_write(&nested, "index.parent", b"a/b/c");

    let mut below_link = Builder::new();
    below_link.symlink("a", "/tmp");
    below_link.file("a/b", b"1");
    refused_before_the_first_write(&below_link, "index.parent", b"a/b");

    let mut kind = Builder::new();
    kind.entry(b"a", EntryKind::File, Attributes::default()).kind = 77;
    refused_before_the_first_write(&kind, "index.kind.unknown", b"a");

    let mut codec = Builder::new();
    codec.file("a", &noise(1, 500));
    codec.rows[0].location.as_mut().unwrap().codec = 9;
    refused_before_the_first_write(&codec, "index.codec.unknown", b"a");

    let mut border = Builder::new();
    border.rows_per_segment = 2;
    border.file("a", b"0");
    border.sparse("b", 30, &[(0, b"0123456789"), (10, b"0123456789"), (20, b"0123456789")]);
    border.rows[2].offset = 5;
    refused_before_the_first_write(&border, "index.slice", b"b");

    let mut beyond = Builder::new();
    beyond.sparse("b", 30, &[(0, b"0123456789"), (20, b"0123456789")]);
    beyond.rows[1].offset = 21;
    refused_before_the_first_write(&beyond, "index.slice", b"b");

    let mut contradiction = Builder::new();
    contradiction.file("a", &noise(1, 500));
    contradiction.file("b", &noise(2, 500));
    let first = contradiction.rows[0].location.unwrap();
    contradiction.rows[1].location.as_mut().unwrap().blob_offset = first.blob_offset;
    contradiction.rows[1].location.as_mut().unwrap().blob_size = first.blob_size + 1;
    refused_before_the_first_write(&contradiction, "index.blob", b"b");
}

#[test]
fn permissions_that_forbid_writing_come_back_with_what_is_inside() {
    let mut builder = Builder::new();
    builder.directory("r", 0o000, 1);
    builder.directory("r/s", 0o555, 2);
    builder.file("r/s/x", b"1");
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    let mode = fs::metadata(root.path().join("r")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0);
    fs::set_permissions(root.path().join("r"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(fs::read(root.path().join("r/s/x")).unwrap(), b"1");
}
