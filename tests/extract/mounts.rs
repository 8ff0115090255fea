//! Pruning never enters what is mounted below the destination. Needs the right to mount; without it there is nothing
//! to show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use extract_support::{Builder, names};
use znippy::extract::extract_all;
use znippy::options::{Key, Options};

/// Something that is mounted while this lives.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn mount(arguments: &[&str], at: &Path) -> Option<Mounted> {
    let output = Command::new("mount").args(arguments).arg(at).output().ok()?;
    output.status.success().then(|| Mounted(at.to_owned()))
}

/// A file system of its own, or a part of the destination's own one.
fn mounts(outside: &Path, at: &Path) -> [Option<Mounted>; 2] {
    let tmpfs = mount(&["-t", "tmpfs", "none"], &at.join("tmpfs"));
    let bound = mount(&["--bind", outside.to_str().unwrap()], &at.join("bound"));
    [tmpfs, bound]
}

fn prune(builder: &Builder, root: &Path) -> znippy::error::Result<znippy::stats::Stats> {
    let mut options = Options::new();
    options.set(Key::Prune, 1).unwrap();
    extract_all(&builder.archive(), root, &options)
}

#[test]
fn a_mount_that_is_not_in_the_archive_is_not_emptied() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("precious"), "1").unwrap();
    for name in ["bound", "tmpfs"] {
        fs::create_dir_all(root.path().join("stray").join(name)).unwrap();
    }
    let [tmpfs, bound] = mounts(outside.path(), &root.path().join("stray"));
    let (Some(tmpfs), Some(bound)) = (tmpfs, bound) else { return };
    fs::write(tmpfs.0.join("precious"), "1").unwrap();
    let mut builder = Builder::new();
    builder.file("x", b"1");
    let error = prune(&builder, root.path()).unwrap_err();
    assert_eq!(error.rule(), Some("prune.mount"), "{error}");
    drop(bound);
    let error = prune(&builder, root.path()).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some("prune.mount"), Some(&b"stray/tmpfs"[..])));
    assert!(tmpfs.0.join("precious").exists() && outside.path().join("precious").exists());
    drop(tmpfs);
    prune(&builder, root.path()).unwrap();
    assert_eq!(names(root.path()), ["x"]);
}

#[test]
fn a_mount_where_the_archive_has_a_directory_keeps_what_the_archive_does_not_have() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["bound", "tmpfs"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let [tmpfs, bound] = mounts(outside.path(), root.path());
    let (Some(tmpfs), Some(bound)) = (tmpfs, bound) else { return };
    let mut builder = Builder::new();
    for name in ["bound", "tmpfs"] {
        builder.directory(name, 0o755, 1);
        builder.file(&format!("{name}/x"), b"1");
    }
    prune(&builder, root.path()).unwrap();
    assert!(tmpfs.0.join("x").exists() && outside.path().join("x").exists(), "restoring into a mount is fine");
    for mounted in [&tmpfs, &bound] {
        let precious = mounted.0.join("precious");
        fs::write(&precious, "1").unwrap();
        assert_eq!(prune(&builder, root.path()).unwrap_err().rule(), Some("prune.mount"));
        assert!(precious.exists());
        fs::remove_file(precious).unwrap();
    }
}
