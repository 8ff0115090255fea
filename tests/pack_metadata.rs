//! What is recorded of modes, times, owners and links is what the options say, so that two users can make one archive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pack_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use pack_support::{make_tree, options, pack};
use znippy::archive::Archive;
use znippy::options::Key;

const SECOND: i64 = 1_000_000_000;

/// The set that makes one archive of the same files by two users.
const REPRODUCIBLE: [(Key, i64); 3] = [(Key::Mtimes, 2), (Key::Modes, 1), (Key::HardLinks, 1)];

fn set_mtime(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn sample() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("d")).unwrap();
    for (name, mode, seconds) in [("d/old", 0o600, 50), ("d/run", 0o4710, 5000), ("d/far", 0o444, -7)] {
        fs::write(tree.path().join(name), name).unwrap();
        fs::set_permissions(tree.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        set_mtime(&tree.path().join(name), seconds);
    }
    symlink("old", tree.path().join("d/link")).unwrap();
    set_mtime(&tree.path().join("d/link"), 6000);
    fs::set_permissions(tree.path().join("d"), fs::Permissions::from_mode(0o2750)).unwrap();
    set_mtime(&tree.path().join("d"), 7000);
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o700)).unwrap();
    set_mtime(tree.path(), 8000);
    tree
}

type Recorded = BTreeMap<String, (Option<u32>, Option<i64>)>;

/// Mode and modification time of each entry; the root's under an empty name.
fn recorded(tree: &Path, values: &[(Key, i64)]) -> Recorded {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("archive");
    pack(tree, &path, values).unwrap();
    let archive = Archive::open(&path, &Default::default()).unwrap();
    archive.verify(&Default::default()).unwrap();
    let listing = archive.list(0, usize::MAX).unwrap();
    let mut recorded: Recorded = (0..listing.len())
        .map(|i| listing.get(i).unwrap())
        .map(|entry| {
            let path = String::from_utf8(entry.path.to_vec()).unwrap();
            (path, (entry.attributes.mode, entry.attributes.mtime_ns))
        })
        .collect();
    let metadata = &archive.manifest().metadata;
    let mode = metadata.get("root_mode").map(|mode| u32::from_str_radix(mode, 8).unwrap());
    recorded.insert(String::new(), (mode, metadata.get("root_mtime_ns").map(|mtime| mtime.parse().unwrap())));
    recorded
}

#[test]
fn times_are_kept_clamped_dropped_or_set_for_all_entries_and_the_root() {
    let tree = sample();
    let at = |seconds: i64| Some(seconds * SECOND + 5);
    let limit = Some(1000 * SECOND);
    for (mtimes, expected) in [
        (0, [at(8000), at(7000), at(-7), at(6000), at(50), at(5000)]),
        (1, [limit, limit, at(-7), limit, at(50), limit]),
        (2, [None; 6]),
        (3, [limit; 6]),
    ] {
        let found = recorded(tree.path(), &[(Key::Mtimes, mtimes), (Key::MtimeLimit, 1000)]);
        assert_eq!(found.values().map(|(_, mtime)| *mtime).collect::<Vec<_>>(), expected, "mtimes {mtimes}");
    }
}

#[test]
fn modes_are_kept_or_normalised_for_all_entries_and_the_root() {
    let tree = sample();
    for (modes, expected) in [
        (0, [Some(0o700), Some(0o2750), Some(0o444), None, Some(0o600), Some(0o4710)]),
        (1, [Some(0o755), Some(0o755), Some(0o644), None, Some(0o644), Some(0o755)]),
    ] {
        let found = recorded(tree.path(), &[(Key::Modes, modes)]);
        assert_eq!(found.values().map(|(mode, _)| *mode).collect::<Vec<_>>(), expected, "modes {modes}");
    }
}

#[test]
fn an_archive_by_policy_is_that_of_a_tree_which_is_like_this_already() {
    let (tree, normal) = (sample(), sample());
    for (name, mode) in [("d/old", 0o644), ("d/run", 0o755), ("d/far", 0o644), ("d", 0o755), ("", 0o755)] {
        fs::set_permissions(normal.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for name in ["d/run", "d/link", "d", ""] {
        let time = rustix::fs::Timespec { tv_sec: 1000, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let path = if name.is_empty() { normal.path().to_owned() } else { normal.path().join(name) };
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let policy = [(Key::Mtimes, 1), (Key::MtimeLimit, 1000), (Key::Modes, 1)];
    pack(tree.path(), &out.path().join("a"), &policy).unwrap();
    pack(normal.path(), &out.path().join("b"), &[]).unwrap();
    assert!(fs::read(out.path().join("a")).unwrap() == fs::read(out.path().join("b")).unwrap());
}

/// The same files as somebody else has them: made in another order, with other modes, times and owners, and with
/// copies where there were hard links.
fn of_another_user(tree: &Path, order: u64) {
    fs::create_dir(tree).unwrap();
    make_tree(tree, order);
    for (link, of) in [("data/zz-link", "data/big.txt"), ("names/link", "src/module1/file1.c")] {
        fs::remove_file(tree.join(link)).unwrap();
        fs::copy(tree.join(of), tree.join(link)).unwrap();
    }
    let root = rustix::process::geteuid().is_root();
    let mut entries: Vec<_> = walkdir::WalkDir::new(tree).into_iter().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.depth()));
    for (number, entry) in entries.iter().enumerate() {
        if root {
            std::os::unix::fs::lchown(entry.path(), Some(1234), Some(number as u32)).unwrap();
        }
        if !entry.file_type().is_symlink() {
            let mode = entry.metadata().unwrap().permissions().mode();
            // What a stricter umask leaves.
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode & 0o700)).unwrap();
        }
        set_mtime(entry.path(), 1_000_000 + number as i64);
    }
    if root {
        chown(tree, Some(1234), Some(5678)).unwrap();
    }
}

#[test]
fn two_users_make_one_archive_of_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, theirs) = (dir.path().join("mine"), dir.path().join("theirs"));
    fs::create_dir(&mine).unwrap();
    make_tree(&mine, 1);
    of_another_user(&theirs, 2);
    pack(&mine, &dir.path().join("a"), &REPRODUCIBLE).unwrap();
    pack(&theirs, &dir.path().join("b"), &REPRODUCIBLE).unwrap();
    let (a, b) = (fs::read(dir.path().join("a")).unwrap(), fs::read(dir.path().join("b")).unwrap());
    assert!(a == b, "something of the user is in the archive");
    // Each of the set is needed.
    for left_out in REPRODUCIBLE {
        let mut some = REPRODUCIBLE.to_vec();
        some.retain(|value| *value != left_out);
        some.push((Key::Overwrite, 1));
        pack(&mine, &dir.path().join("a"), &some).unwrap();
        pack(&theirs, &dir.path().join("b"), &some).unwrap();
        let (a, b) = (fs::read(dir.path().join("a")).unwrap(), fs::read(dir.path().join("b")).unwrap());
        assert!(a != b, "without {left_out:?} nothing changes");
    }
}

#[test]
fn the_policy_is_not_recorded_and_neither_are_the_filters() {
    let tree = sample();
    let out = tempfile::tempdir().unwrap();
    let mut with = options(&REPRODUCIBLE);
    with.set_bytes(Key::Exclude, b"secret-name").unwrap();
    with.set_bytes(Key::IgnoreFile, b".secret").unwrap();
    znippy::pack::pack_directory(tree.path(), &out.path().join("a"), &with).unwrap();
    let archive = Archive::open(&out.path().join("a"), &Default::default()).unwrap();
    let mut keys: Vec<&str> = archive.manifest().metadata.keys().map(String::as_str).collect();
    keys.retain(|key| ["mtime", "mode", "link", "exclude", "ignore"].iter().any(|word| key.contains(word)));
    assert_eq!(keys, ["root_mode"]);
}
