//! With `atomic` the destination is the old tree or the new one, and nothing is left beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use extract_support::{Builder, names, noise};
use znippy::error::Status;
use znippy::extract::extract_all;
use znippy::options::{Key, Options};

fn atomic(overwrite: i64) -> Options {
    let mut options = Options::new();
    options.set(Key::Atomic, 1).unwrap().set(Key::Overwrite, overwrite).unwrap();
    options
}

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.directory("closed", 0o500, 1);
    builder.file("closed/x", &noise(1, 500));
    builder.file("y", &noise(2, 500));
    builder
}

#[test]
fn a_new_tree_appears_whole_also_in_the_place_of_an_empty_one() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("empty")).unwrap();
    for name in ["new", "empty"] {
        extract_all(&sample().archive(), &parent.path().join(name), &atomic(0)).unwrap();
    }
    let tree =
        |name: &str| [name.to_owned(), format!("{name}/closed"), format!("{name}/closed/x"), format!("{name}/y")];
    assert_eq!(names(parent.path()), [tree("empty"), tree("new")].concat());
}

#[test]
fn a_failure_leaves_the_old_tree_and_nothing_beside_it() {
    let parent = tempfile::tempdir().unwrap();
    let old = parent.path().join("out");
    fs::create_dir(&old).unwrap();
    fs::write(old.join("old"), b"1").unwrap();
    let inode = fs::metadata(&old).unwrap().ino();
    assert_eq!(extract_all(&sample().archive(), &old, &atomic(0)).unwrap_err().status(), Status::Exists);
    let mut damaged = sample();
    damaged.break_frame(1);
    assert!(extract_all(&damaged.archive(), &old, &atomic(1)).is_err());
    assert!(extract_all(&damaged.archive(), &parent.path().join("new"), &atomic(0)).is_err());
    assert_eq!(names(parent.path()), ["out", "out/old"]);
    assert_eq!(fs::metadata(&old).unwrap().ino(), inode);
}

#[test]
fn an_old_tree_is_replaced_where_that_is_asked_for_and_links_in_it_are_not_followed() {
    let (parent, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("precious"), b"1").unwrap();
    let old = parent.path().join("out");
    fs::create_dir_all(old.join("deep/er")).unwrap();
    symlink(outside.path(), old.join("deep/link")).unwrap();
    // The caller's own path may be a link: what it leads to is replaced.
    symlink("out", parent.path().join("by-link")).unwrap();
    extract_all(&sample().archive(), &parent.path().join("by-link"), &atomic(1)).unwrap();
    assert_eq!(names(parent.path()), ["by-link", "out", "out/closed", "out/closed/x", "out/y"]);
    assert!(outside.path().join("precious").exists());
}

#[test]
fn what_a_new_tree_makes_no_sense_with_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    for (key, value) in [(Key::Prune, 1), (Key::KeepGoing, 1), (Key::SkipUnchanged, 1), (Key::Overwrite, 2)] {
        let mut options = atomic(1);
        options.set(key, value).unwrap();
        let error = extract_all(&sample().archive(), &parent.path().join("out"), &options).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
    }
    assert!(names(parent.path()).is_empty());
}
