//! What an archive with right hashes and wrong contents is refused for, and what look-ups must not return.

#![allow(clippy::unwrap_used)]

use crate::extract_support;
use crate::pack_support;

use std::os::unix::ffi::OsStrExt;

use extract_support::{Builder, MODE, MTIME, OwnRow};
use znippy::archive::Archive;
use znippy::error::Status;
use znippy::format::hash::hash;
use znippy::format::row::Attributes;
use znippy::options::Key;

fn two_slices(whole: [u8; 32]) -> Builder {
    let mut builder = Builder::new();
    let location = builder.block(&[[1; 1000], [2; 1000]].concat(), false);
    for (seq, byte) in [(0u32, 1u8), (1, 2)] {
        let attributes = Attributes {
            mode: Some(MODE),
            mtime_ns: Some(MTIME),
            file_size: Some(2000),
            file_hash: Some(whole),
            ..Attributes::default()
        };
        builder.rows.push(OwnRow {
            path: b"file".to_vec(),
            chunk_seq: seq,
            offset: u64::from(seq) * 1000,
            size: 1000,
            checksum: hash(&[byte; 1000]),
            kind: 0,
            location: Some(znippy::format::row::Location { block_offset: u64::from(seq) * 1000, ..location }),
            attributes: (seq == 0).then_some(attributes),
        });
    }
    builder
}

#[test]
fn a_wrong_hash_of_the_whole_file_is_found_by_reading_it_whole() {
    let right = hash(&[[1; 1000], [2; 1000]].concat());
    assert_eq!(two_slices(right).archive().read(0, 1 << 20).unwrap().len(), 2000);
    let archive = two_slices([9; 32]).archive();
    assert_eq!(archive.read(0, 1 << 20).unwrap_err().rule(), Some("file.hash"));
    assert_eq!(archive.verify(&Default::default()).unwrap_err().rule(), Some("file.hash"));
}

#[test]
fn a_checksum_that_is_right_in_part_is_refused_whatever_was_read_before() {
    let mut builder = Builder::new();
    let location = builder.block(&[7; 1000], true);
    for path in [&b"a"[..], b"b"] {
        let mut checksum = hash(&[7; 1000]);
        if path == b"b" {
            checksum[31] ^= 1;
        }
        let attributes =
            Attributes { mode: Some(MODE), mtime_ns: Some(MTIME), file_size: Some(1000), ..Attributes::default() };
        builder.rows.push(OwnRow {
            path: path.to_vec(),
            chunk_seq: 0,
            offset: 0,
            size: 1000,
            checksum,
            kind: 0,
            location: Some(location),
            attributes: Some(attributes),
        });
    }
    let archive = builder.archive();
    assert!(archive.read_at(0, 0, &mut [0; 10]).is_ok());
    assert_eq!(archive.read_at(1, 0, &mut [0; 10]).unwrap_err().rule(), Some("slice.hash"));
}

#[test]
fn a_prefix_finds_what_is_below_it_and_no_siblings() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("dir")).unwrap();
    std::fs::create_dir_all(tree.join("empty")).unwrap();
    for name in ["foo", "foo-bar", "foo.c", "dir/a", "dir/b", "dir-x", "empty!"] {
        std::fs::write(tree.join(name), name).unwrap();
    }
    let path = dir.path().join("archive");
    pack_support::pack(&tree, &path, &[]).unwrap();
    let archive = Archive::open(&path, &Default::default()).unwrap();
    let found = |prefix: &[u8]| {
        let range = archive.find_prefix(prefix).unwrap();
        let listing = archive.list(range.start, (range.end - range.start) as usize).unwrap();
        (0..listing.len())
            .map(|i| String::from_utf8(listing.get(i).unwrap().path.to_vec()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(b"foo"), ["foo"]);
    assert_eq!(found(b"empty"), ["empty"]);
    assert_eq!(found(b"dir"), ["dir/a", "dir/b"]);
    assert_eq!(found(b"dir/"), ["dir/a", "dir/b"]);
    assert_eq!(found(b"nothing"), [""; 0]);
    assert_eq!(found(b"").len(), 9);
}

#[test]
fn a_blob_that_no_block_can_become_is_refused_before_it_is_read() {
    let mut builder = Builder::new();
    let mut location = builder.block(&[7; 1], true);
    location.blob_size = 100_000;
    let attributes =
        Attributes { mode: Some(MODE), mtime_ns: Some(MTIME), file_size: Some(1), ..Attributes::default() };
    builder.rows.push(OwnRow {
        path: b"a".to_vec(),
        chunk_seq: 0,
        offset: 0,
        size: 1,
        checksum: hash(&[7]),
        kind: 0,
        location: Some(location),
        attributes: Some(attributes),
    });
    assert_eq!(builder.archive().read(0, 10).unwrap_err().rule(), Some("index.blob"));
}

#[test]
fn very_long_names_end_segments_early_and_the_archive_opens() {
    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().join("tree");
    for _ in 0..7 {
        deep.push(std::ffi::OsStr::from_bytes(&[0xe9; 250]));
    }
    std::fs::create_dir_all(&deep).unwrap();
    for i in 0..3000 {
        std::fs::write(deep.join(i.to_string()), b"").unwrap();
    }
    let path = dir.path().join("archive");
    let stats = pack_support::pack(&dir.path().join("tree"), &path, &[(Key::Threads, 2)]).unwrap();
    let archive = Archive::open(&path, &Default::default()).unwrap();
    assert!(archive.manifest().segments.len() > 1);
    assert_eq!(archive.verify(&Default::default()).unwrap().entries, stats.entries);
}

#[test]
fn another_name_of_the_older_archive_is_a_file_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a"), b"a").unwrap();
    let path = tree.join("out.znippy");
    pack_support::pack(&tree, &path, &[]).unwrap();
    std::fs::hard_link(&path, tree.join("backup.znippy")).unwrap();
    pack_support::pack(&tree, &path, &[(Key::Overwrite, 1)]).unwrap();
    let archive = Archive::open(&path, &Default::default()).unwrap();
    assert!(archive.find(b"backup.znippy").unwrap().is_some());
    assert_eq!(archive.find(b"out.znippy").unwrap(), None);
}

#[test]
fn a_hard_link_to_nothing_or_to_other_bytes_does_not_verify() {
    for (target, rule) in [(&b"file"[..], None), (b"nowhere", Some("index.link.target"))] {
        let mut builder = two_slices(hash(&[[1; 1000], [2; 1000]].concat()));
        let mut link = builder.rows.clone();
        for row in &mut link {
            row.path = b"link".to_vec();
            row.kind = 3;
            if let Some(attributes) = &mut row.attributes {
                attributes.link_target = Some(target);
            }
        }
        builder.rows.extend(link);
        let result = builder.archive().verify(&Default::default());
        assert_eq!(
            result.err().map(|error| (error.status(), error.rule())),
            rule.map(|rule| (Status::Corrupt, Some(rule)))
        );
    }
}

#[test]
fn a_wrong_hash_of_the_whole_file_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let destination = dir.path().join("out");
    let archive = two_slices([9; 32]).archive();
    let error = znippy::extract::extract_all(&archive, &destination, &Default::default()).unwrap_err();
    assert_eq!(error.rule(), Some("file.hash"));
    assert_eq!(std::fs::read_dir(&destination).unwrap().count(), 0);
    let right = two_slices(hash(&[[1; 1000], [2; 1000]].concat())).archive();
    znippy::extract::extract_all(&right, &dir.path().join("right"), &Default::default()).unwrap();
}
