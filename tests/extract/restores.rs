//! What is in the archive is in the tree afterwards: names, bytes, kinds, modes, times, links, holes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use extract_support::{Builder, MTIME, mode, mtime_ns, names, noise, walk};
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Key, Options};

#[test]
fn modes_times_and_empty_directories_come_back_exactly() {
    let mut builder = Builder::new();
    builder.metadata.insert("root_mode".into(), "0751".into());
    builder.metadata.insert("root_mtime_ns".into(), "-1500000000".into());
    builder.directory("a", 0o555, 1_000_000_001);
    builder.directory("a/empty", 0o700, -1);
    builder.file("a/empty.txt", b"");
    builder.file("a/x", b"hello");
    let into = tempfile::tempdir().unwrap();
    let root = into.path().join("out");
    let stats = extract_all(&builder.archive(), &root, &Options::new()).unwrap();
    let found = walk(&root);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "a/empty", "a/empty.txt", "a/x"]);
    assert_eq!((mode(&found["a"]), mtime_ns(&found["a"])), (0o555, 1_000_000_001));
    assert_eq!((mode(&found["a/empty"]), mtime_ns(&found["a/empty"])), (0o700, -1));
    assert_eq!((mode(&found["a/x"]), mtime_ns(&found["a/x"])), (0o640, MTIME));
    assert_eq!(found["a/empty.txt"].len(), 0);
    assert_eq!(fs::read(root.join("a/x")).unwrap(), b"hello");
    let itself = fs::metadata(&root).unwrap();
    assert_eq!((mode(&itself), mtime_ns(&itself)), (0o751, -1_500_000_000));
    assert_eq!((stats.entries, stats.files, stats.directories, stats.slices, stats.bytes_out), (4, 2, 2, 1, 5));
    fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn files_of_many_slices_come_back_at_every_thread_count() {
    let parts: Vec<Vec<u8>> = (0..9).map(|i| noise(i, 100_000)).collect();
    let ranges: Vec<(u64, &[u8])> = parts.iter().enumerate().map(|(i, p)| (i as u64 * 100_000, &p[..])).collect();
    let mut builder = Builder::new();
    builder.rows_per_segment = 4;
    builder.sparse("d/big", 900_000, &ranges);
    builder.sparse("d/bigger", 900_000, &ranges);
    for threads in [1, 2, 3, 8] {
        let root = tempfile::tempdir().unwrap();
        let mut options = Options::new();
        options.set(Key::Threads, threads).unwrap();
        let stats = extract_all(&builder.archive(), root.path(), &options).unwrap();
        assert_eq!(names(root.path()), ["d", "d/big", "d/bigger"]);
        assert_eq!(fs::read(root.path().join("d/big")).unwrap(), parts.concat());
        assert_eq!(fs::read(root.path().join("d/bigger")).unwrap(), parts.concat());
        let found = walk(root.path());
        assert_eq!((mode(&found["d/big"]), mtime_ns(&found["d/big"])), (0o640, MTIME));
        assert_eq!((stats.files, stats.slices, stats.blocks, stats.bytes_out), (2, 18, 18, 1_800_000));
    }
}

#[test]
fn holes_stay_holes() {
    let mut builder = Builder::new();
    builder.sparse("all-hole", 8 << 20, &[]);
    builder.sparse("one-in-the-middle", 8 << 20, &[(4 << 20, b"data")]);
    builder.sparse("two", 8 << 20, &[(0, b"start"), ((8 << 20) - 3, b"end")]);
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    for (name, metadata) in walk(root.path()) {
        assert_eq!(metadata.len(), 8 << 20, "{name}");
        assert!(metadata.blocks() * 512 <= 64 << 10, "{name} takes {} blocks", metadata.blocks());
    }
    let two = fs::read(root.path().join("two")).unwrap();
    assert_eq!((&two[..5], &two[two.len() - 3..]), (&b"start"[..], &b"end"[..]));
    assert!(two[5..two.len() - 3].iter().all(|byte| *byte == 0));
    assert_eq!(stats.bytes_holes, 3 * (8 << 20) - 12);
}

#[test]
fn many_small_files_in_shared_blocks_come_back() {
    let mut builder = Builder::new();
    let files: Vec<(String, Vec<u8>)> =
        (0..5000).map(|i| (format!("d{:02}/f{i:05}", i / 100), noise(i, (i % 97) as usize))).collect();
    for block in files.chunks(1700) {
        builder.files(block, true);
    }
    builder.rows_per_segment = 999;
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Threads, 3).unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &options).unwrap();
    assert_eq!((stats.files, stats.directories, stats.blocks), (5000, 0, 3));
    for (path, bytes) in &files {
        assert_eq!(&fs::read(root.path().join(path)).unwrap(), bytes, "{path}");
    }
}

#[test]
fn symbolic_links_come_back_as_they_were_packed() {
    let mut builder = Builder::new();
    builder.symlink("dangling", "no/such/file");
    builder.symlink("out", "/etc/passwd");
    builder.file("x", b"1");
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    assert_eq!(fs::read_link(root.path().join("dangling")).unwrap().as_os_str().as_bytes(), b"no/such/file");
    assert_eq!(fs::read_link(root.path().join("out")).unwrap().as_os_str().as_bytes(), b"/etc/passwd");
    assert_eq!(mtime_ns(&walk(root.path())["out"]), MTIME);
    assert_eq!(stats.symlinks, 2);
}

#[test]
fn hard_links_share_an_inode_and_links_with_other_bytes_are_files_of_their_own() {
    let mut builder = Builder::new();
    builder.file("a", b"shared");
    builder.hardlink("d/b", "a", b"shared");
    builder.hardlink("d/c", "a", b"shared");
    builder.hardlink("e", "a", b"other bytes");
    builder.hardlink("f", "no-such-file", b"alone");
    builder.hardlink("g", "f", b"alone");
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    let found = walk(root.path());
    assert_eq!((found["a"].ino(), found["a"].nlink()), (found["d/b"].ino(), 3));
    assert_eq!(found["a"].ino(), found["d/c"].ino());
    assert_eq!(found["f"].ino(), found["g"].ino());
    assert_eq!((found["e"].nlink(), found["f"].nlink()), (1, 2));
    assert_eq!(fs::read(root.path().join("e")).unwrap(), b"other bytes");
    assert_eq!((stats.files, stats.hardlinks), (3, 3));
}

#[test]
fn fifos_come_back_and_sockets_are_counted_as_left_out() {
    let mut builder = Builder::new();
    let attributes = Attributes { mode: Some(0o622), mtime_ns: Some(MTIME), ..Attributes::default() };
    builder.entry(b"fifo", EntryKind::Fifo, attributes);
    builder.entry(b"socket", EntryKind::Socket, attributes);
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    let found = walk(root.path());
    assert_eq!(found.len(), 1);
    assert!(found["fifo"].file_type().is_fifo());
    assert_eq!((mode(&found["fifo"]), mtime_ns(&found["fifo"])), (0o622, MTIME));
    assert_eq!((stats.specials, stats.skipped), (1, 1));
}

#[test]
fn names_that_are_not_utf8_and_paths_beyond_4096_bytes_come_back() {
    let mut builder = Builder::new();
    let long = [&b"d/".repeat(300)[..], &[b'n'; 250], b"/e/", &[b'm'; 250]].concat();
    let longer = [&[[b'x'; 250].as_slice(), b"/"].concat().repeat(20)[..], b"end"].concat();
    builder.file_as(&long, b"long", EntryKind::File, None);
    builder.file_as(&longer, b"longer", EntryKind::File, None);
    builder.file_as(b"\xff\xfe", b"raw", EntryKind::File, None);
    let root = tempfile::tempdir().unwrap();
    let stats = extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    assert_eq!(stats.files, 3);
    let raw = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    assert_eq!(fs::read(root.path().join(raw)).unwrap(), b"raw");
    assert_eq!(fs::read(root.path().join(std::ffi::OsStr::from_bytes(&long))).unwrap(), b"long");
}

#[test]
fn set_user_id_bits_come_back_only_when_asked_for() {
    let mut builder = Builder::new();
    builder.file("x", b"1");
    builder.rows[0].attributes.as_mut().unwrap().mode = Some(0o6755);
    for (asked, expected) in [(0, 0o755), (1, 0o6755)] {
        let root = tempfile::tempdir().unwrap();
        let mut options = Options::new();
        options.set(Key::RestoreSetuid, asked).unwrap();
        extract_all(&builder.archive(), root.path(), &options).unwrap();
        assert_eq!(mode(&walk(root.path())["x"]), expected);
    }
}

#[test]
fn a_destination_with_other_things_in_it_keeps_its_own_mode() {
    let mut builder = Builder::new();
    builder.metadata.insert("root_mode".into(), "0700".into());
    builder.file("x", b"1");
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("other"), b"").unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    assert_eq!(mode(&fs::metadata(root.path()).unwrap()), 0o755);
}
