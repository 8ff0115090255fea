//! One entry to a path of the caller's choice: exactly that, complete or not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use extract_support::{Builder, MODE, MTIME, mode, mtime_ns, names, noise, walk};
use znippy::error::{Error, Status};
use znippy::extract::{extract_entry, extract_tree};
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.sparse("big", 2_000_000, &[(4096, &noise(1, 500_000)), (1_900_000, &noise(2, 100_000))]);
    builder.directory("d", 0o750, 5);
    let files: Vec<_> = (0..50).map(|i| (format!("d/f{i:02}"), noise(i, 100))).collect();
    builder.files(&files, true);
    builder.file("empty", b"");
    let attributes = Attributes { mode: Some(0o600), mtime_ns: Some(7), ..Attributes::default() };
    builder.entry(b"fifo", EntryKind::Fifo, attributes);
    builder.symlink("link", "../anywhere");
    builder.entry(b"socket", EntryKind::Socket, attributes);
    builder.file("x", b"bytes of x");
    builder.hardlink("y", "x", b"bytes of x");
    builder
}

fn extract(builder: &Builder, path: &str, destination: &Path, options: &Options) -> Result<(), Error> {
    let archive = builder.archive();
    let index = archive.find(path.as_bytes()).unwrap().unwrap();
    extract_entry(&archive, index, destination, options)
}

fn with(numbers: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in numbers {
        options.set(*key, *value).unwrap();
    }
    options
}

#[test]
fn every_kind_comes_as_it_does_with_the_whole_tree_and_alone() {
    let (whole, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    extract_tree(&sample().archive(), whole.path(), &Options::new()).unwrap();
    for rows_per_segment in [8192, 1] {
        let mut builder = sample();
        builder.rows_per_segment = rows_per_segment;
        for (path, expected) in walk(whole.path()) {
            let place = root.path().join(format!("{}-{rows_per_segment}", path.replace('/', "-")));
            extract(&builder, &path, &place, &Options::new()).unwrap();
            let found = fs::symlink_metadata(&place).unwrap();
            assert_eq!(found.file_type(), expected.file_type(), "{path}");
            assert_eq!((mode(&found), mtime_ns(&found)), (mode(&expected), mtime_ns(&expected)), "{path}");
            if found.is_file() {
                assert_eq!(fs::read(&place).unwrap(), fs::read(whole.path().join(&path)).unwrap(), "{path}");
                assert_eq!(found.nlink(), 1);
            }
        }
        let place = |name: &str| root.path().join(format!("{name}-{rows_per_segment}"));
        assert!(fs::metadata(place("big")).unwrap().blocks() * 512 < 1_000_000, "holes stay holes");
        assert_eq!(fs::read_dir(place("d")).unwrap().count(), 0, "nothing below a directory");
        assert_eq!(fs::read_link(place("link")).unwrap(), Path::new("../anywhere"));
        assert!(fs::metadata(place("fifo")).unwrap().file_type().is_fifo());
    }
    assert_eq!(names(root.path()).len(), 2 * 57, "no temporary name");
}

#[test]
fn the_directory_that_an_entry_goes_into_keeps_its_mode() {
    let mut builder = sample();
    builder.metadata.insert("root_mode".to_owned(), "700".to_owned());
    builder.metadata.insert("root_mtime_ns".to_owned(), "5".to_owned());
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    extract(&builder, "x", &root.path().join("x"), &Options::new()).unwrap();
    let found = fs::metadata(root.path()).unwrap();
    assert_eq!(mode(&found), 0o755);
    assert_ne!(mtime_ns(&found), 5);
}

#[test]
fn damage_leaves_nothing_and_what_was_there_stays() {
    let mut builder = sample();
    (0..4).for_each(|blob| builder.flip(blob));
    let row = builder.rows.iter().position(|row| row.path == b"x").unwrap();
    builder.rows[row].checksum[0] ^= 1;
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("there"), "old").unwrap();
    for path in ["big", "d/f24", "x"] {
        let error = extract(&builder, path, &root.path().join("new"), &Options::new()).unwrap_err();
        assert_eq!(error.path(), Some(path.as_bytes()), "damage is the entry's: {error}");
        assert!(extract(&builder, path, &root.path().join("there"), &with(&[(Key::Overwrite, 1)])).is_err());
    }
    assert_eq!(names(root.path()), ["there"]);
    assert_eq!(fs::read(root.path().join("there")).unwrap(), b"old");
}

#[test]
fn a_wrong_hash_of_the_whole_file_is_found_before_the_name_appears() {
    let mut builder = sample();
    let row = builder.rows.iter().position(|row| row.path == b"big").unwrap();
    builder.rows[row].attributes.as_mut().unwrap().file_hash.as_mut().unwrap()[5] ^= 1;
    let root = tempfile::tempdir().unwrap();
    let error = extract(&builder, "big", &root.path().join("big"), &Options::new()).unwrap_err();
    assert_eq!(error.rule(), Some("file.hash"));
    assert!(names(root.path()).is_empty());
}

#[test]
fn names_that_are_taken_are_dealt_with_as_the_options_say() {
    for path in ["big", "d/f00", "link", "fifo", "y", "d"] {
        for (overwrite, taken) in [(0, true), (1, true), (2, true), (3, true), (1, false)] {
            let root = tempfile::tempdir().unwrap();
            let place = root.path().join("place");
            if taken {
                if path == "d" { fs::create_dir(&place).unwrap() } else { fs::write(&place, "old").unwrap() }
            }
            let before = taken.then(|| fs::symlink_metadata(&place).unwrap());
            let result = extract(&sample(), path, &place, &with(&[(Key::Overwrite, overwrite)]));
            assert_eq!(result.is_err(), overwrite == 0, "{path} {overwrite}");
            let after = fs::symlink_metadata(&place).unwrap();
            let stays =
                before.is_some_and(|before| before.ino() == after.ino() && before.ctime_nsec() == after.ctime_nsec());
            // What is there is newer than everything in the archive.
            assert_eq!(stays, overwrite != 1, "{path} {overwrite} {taken}");
            if let Err(error) = result {
                assert_eq!((error.status(), error.path()), (Status::Exists, Some(place.to_str().unwrap().as_bytes())));
            }
            assert_eq!(names(root.path()), ["place"]);
        }
    }
}

#[test]
fn links_in_the_way_are_replaced_and_never_followed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("precious"), "old").unwrap();
    symlink("precious", root.path().join("place")).unwrap();
    extract(&sample(), "x", &root.path().join("place"), &with(&[(Key::Overwrite, 1)])).unwrap();
    assert_eq!(fs::read(root.path().join("precious")).unwrap(), b"old");
    assert!(fs::symlink_metadata(root.path().join("place")).unwrap().is_file());
    fs::create_dir(root.path().join("directory")).unwrap();
    let error = extract(&sample(), "x", &root.path().join("directory"), &with(&[(Key::Overwrite, 1)])).unwrap_err();
    assert_eq!(error.status(), Status::Exists);
}

#[test]
fn options_about_trees_mean_nothing_and_those_about_files_count() {
    let root = tempfile::tempdir().unwrap();
    let mut options = with(&[(Key::Prune, 1), (Key::StripComponents, 5), (Key::SkipUnchanged, 1), (Key::KeepGoing, 1)]);
    options.set_bytes(Key::Exclude, b"*").unwrap().set_bytes(Key::Prefix, b"nowhere").unwrap();
    options.set_filter(Some(std::sync::Arc::new(|_| Ok(false))));
    fs::write(root.path().join("other"), "stays").unwrap();
    let place = root.path().join("f");
    extract(&sample(), "d/f07", &place, &options).unwrap();
    let before = fs::metadata(&place).unwrap();
    assert_eq!((mode(&before), mtime_ns(&before)), (MODE, MTIME));
    extract(&sample(), "d/f07", &place, &options).unwrap();
    let after = fs::metadata(&place).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()), "unchanged, so not written");
    assert_eq!(names(root.path()), ["f", "other"]);
    fs::remove_file(&place).unwrap();
    extract(&sample(), "d/f07", &place, &with(&[(Key::DryRun, 1)])).unwrap();
    assert!(!place.exists());
}

#[test]
fn what_can_not_be_done_is_said() {
    let root = tempfile::tempdir().unwrap();
    let status = |path: &str, place: &Path| extract(&sample(), path, place, &Options::new()).unwrap_err().status();
    assert_eq!(status("socket", &root.path().join("s")), Status::Unsupported);
    assert_eq!(status("x", &root.path().join("missing/x")), Status::NotFound);
    assert_eq!(status("x", Path::new("/")), Status::InvalidArgument);
    assert_eq!(status("x", &root.path().join("..")), Status::InvalidArgument);
    assert_eq!(status("x", &root.path().join("n".repeat(256))), Status::InvalidArgument);
    let error = extract_entry(&sample().archive(), 1000, &root.path().join("x"), &Options::new()).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_dry_run_of_a_directory_ends_as_the_real_one_does() {
    let root = tempfile::tempdir().unwrap();
    let place = |name: &str| root.path().join(name);
    for number in 0..2 {
        for policy in 0..4 {
            fs::create_dir(place(&format!("directory-{number}-{policy}"))).unwrap();
            fs::write(place(&format!("file-{number}-{policy}")), b"mine").unwrap();
        }
    }
    for policy in 0..4 {
        for standing in ["directory", "file", "nothing"] {
            let ends = [1, 0].map(|dry| {
                let place = place(&format!("{standing}-{dry}-{policy}"));
                let options = with(&[(Key::Overwrite, policy), (Key::DryRun, dry)]);
                let end = extract(&sample(), "d", &place, &options).map_err(|error| error.status());
                assert_eq!(place.exists(), standing != "nothing" || dry == 0);
                end
            });
            assert_eq!(ends[0], ends[1], "{standing}, overwrite {policy}");
        }
    }
}
