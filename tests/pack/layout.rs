//! An archive made by a writer is a function of what was added, in which order: never of threads, memory, the pieces of
//! a stream or the way in which bytes came.

#![allow(clippy::unwrap_used)]

use crate::pack_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pack_support::{Random, make_tree, options, pack, read_back};
use znippy::archive::Archive;
use znippy::error::Status;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Writer};

/// Paths and bytes of all sizes that matter: empty, tiny, around the limits of small files, slices and blocks.
fn files(count: usize) -> Vec<(String, Vec<u8>)> {
    let mut random = Random::new(3);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..count {
        let len = random.below(600) as usize;
        let extension = if i % 50 == 7 { "png" } else { "txt" };
        files.push((format!("many/{}/{}.{extension}", random.below(90), count - i), random.text(len)));
    }
    for len in [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 262_144, 400_000, 655_360] {
        files.push((format!("text-{len}"), random.text(len)));
        files.push((format!("noise-{len}.zip"), [b"PK\x03\x04".to_vec(), random.noise(len)].concat()));
        let again = files[random.below(files.len() as u64) as usize].1.clone();
        files.push((format!("again-{len}"), again));
    }
    files.push(("zeros".into(), vec![0; 500_000]));
    files
}

/// Layouts in which files, slices and blocks stand to each other in every way.
const LAYOUTS: [[(Key, i64); 3]; 4] = [
    [(Key::SmallFile, 64 << 10), (Key::BlockSize, 128 << 10), (Key::SliceSize, 128 << 10)],
    [(Key::SmallFile, 128 << 10), (Key::BlockSize, 128 << 10), (Key::SliceSize, 128 << 10)],
    [(Key::SmallFile, 256 << 10), (Key::BlockSize, 256 << 10), (Key::SliceSize, 64 << 10)],
    [(Key::SmallFile, 0), (Key::BlockSize, 128 << 10), (Key::SliceSize, 64 << 10)],
];

fn write(archive: &Path, options: &Options, add: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::create(archive, options).unwrap();
    add(&mut writer);
    writer.finish().unwrap();
    let bytes = fs::read(archive).unwrap();
    fs::remove_file(archive).unwrap();
    bytes
}

fn add_buffers(writer: &mut Writer, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        writer.add_bytes(&NewEntry { mode: Some(0o644), ..NewEntry::file(path.as_bytes()) }, bytes).unwrap();
    }
}

fn add_streams(writer: &mut Writer, files: &[(String, Vec<u8>)], most: usize) {
    let mut random = Random::new(most as u64);
    for (path, bytes) in files {
        let mut left = bytes.as_slice();
        let entry = NewEntry { mode: Some(0o644), ..NewEntry::file(path.as_bytes()) };
        let read = |buffer: &mut [u8]| {
            let len = left.len().min(buffer.len()).min(1 + random.below(most as u64) as usize);
            buffer[..len].copy_from_slice(&left[..len]);
            left = &left[len..];
            Ok(len)
        };
        writer.add_stream(&entry, read).unwrap();
    }
}

#[test]
fn threads_memory_and_the_pieces_of_streams_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    let files = files(9_000);
    for layout in LAYOUTS {
        let with = |threads, memory| {
            let mut options = options(&layout);
            options.set(Key::Threads, threads).unwrap();
            options.set(Key::MemoryLimit, memory).unwrap();
            options
        };
        let first = write(&archive, &with(1, 0), |writer| add_buffers(writer, &files));
        for (threads, memory) in [(2, 0), (8, 0), (8, 14 << 20)] {
            assert!(first == write(&archive, &with(threads, memory), |writer| add_buffers(writer, &files)));
        }
        for most in [100, 70_000, 1 << 20] {
            let streams = write(&archive, &with(3, 0), |writer| add_streams(writer, &files, most));
            assert!(first == streams, "{layout:?} in pieces of {most}");
        }
        fs::write(&archive, &first).unwrap();
        let opened = Archive::open(&archive, &Default::default()).unwrap();
        opened.verify(&Default::default()).unwrap();
        for (path, bytes) in &files {
            let entry = opened.find(path.as_bytes()).unwrap().unwrap();
            assert!(opened.read(entry, 1 << 30).unwrap() == *bytes, "{path}");
        }
        drop(opened);
        fs::remove_file(&archive).unwrap();
    }
}

#[test]
fn files_are_laid_out_as_buffers_of_the_same_bytes_are() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    let files = files(500);
    for (path, bytes) in &files {
        fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        fs::write(tree.join(path), bytes).unwrap();
    }
    let payload = |bytes: &[u8]| {
        fs::write(&archive, bytes).unwrap();
        let opened = Archive::open(&archive, &Default::default()).unwrap();
        let end = opened.manifest().sections[0].offset as usize;
        opened.verify(&Default::default()).unwrap();
        fs::remove_file(&archive).unwrap();
        blake3::hash(&bytes[..end])
    };
    let buffers = write(&archive, &Options::new(), |writer| add_buffers(writer, &files));
    let from_files = write(&archive, &Options::new(), |writer| {
        for (path, _) in &files {
            writer.add_file(&tree.join(path), path.as_bytes()).unwrap();
        }
    });
    assert_eq!(payload(&buffers), payload(&from_files));
    // In order of path, with nothing that is big or looks compressed, this is the payload of the tree too.
    let plain: BTreeMap<_, _> = files.iter().filter(|(path, _)| path.ends_with(".txt")).cloned().collect();
    fs::remove_dir_all(&tree).unwrap();
    for (path, bytes) in &plain {
        fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        fs::write(tree.join(path), bytes).unwrap();
    }
    let plain: Vec<_> = plain.into_iter().collect();
    let buffers = write(&archive, &Options::new(), |writer| add_buffers(writer, &plain));
    let whole = write(&archive, &Options::new(), |writer| writer.add_tree(&tree, b"").unwrap());
    assert_eq!(payload(&buffers), payload(&whole));
}

#[test]
fn a_tree_that_is_added_is_the_tree_that_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    pack(&tree, &archive, &[]).unwrap();
    let packed = fs::read(&archive).unwrap();
    fs::remove_file(&archive).unwrap();
    assert!(packed == write(&archive, &Options::new(), |writer| writer.add_tree(&tree, b"").unwrap()));
}

#[test]
fn several_trees_and_entries_make_one_archive_in_order_of_paths() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    let mut archives = std::collections::BTreeSet::new();
    for threads in [1, 2, 8] {
        let bytes = write(&archive, &options(&[(Key::Threads, threads)]), |writer| {
            writer.add_bytes(&NewEntry::file(b"m/first"), b"first").unwrap();
            writer.add_tree(&tree, b"m/tree").unwrap();
            writer.add_bytes(&NewEntry::file(b"a"), b"last").unwrap();
            writer.add_tree(&tree, b"z").unwrap();
            writer.add_bytes(&NewEntry::file(b"m/tree.txt"), b"beside").unwrap();
        });
        archives.insert(bytes);
    }
    assert_eq!(archives.len(), 1);
    fs::write(&archive, archives.pop_first().unwrap()).unwrap();
    let opened = Archive::open(&archive, &Default::default()).unwrap();
    opened.verify(&Default::default()).unwrap();
    pack(&tree, &dir.path().join("alone"), &[]).unwrap();
    let alone = Archive::open(&dir.path().join("alone"), &Default::default()).unwrap();
    // Each of the trees has its root's entry beside its own.
    assert_eq!(opened.entry_count(), 2 * (alone.entry_count() + 1) + 3);
    let bytes =
        |archive: &Archive, path: &str| archive.read(archive.find(path.as_bytes()).unwrap().unwrap(), 1 << 30).unwrap();
    for path in ["data/big.txt", "data/holes", "a-b", "empty", "data/zz-link"] {
        for prefix in ["m/tree", "z"] {
            assert!(bytes(&opened, &format!("{prefix}/{path}")) == bytes(&alone, path), "{prefix}/{path}");
        }
    }
    // The second tree is a duplicate of the first throughout.
    assert!(fs::metadata(&archive).unwrap().len() < fs::metadata(dir.path().join("alone")).unwrap().len() * 5 / 4);
    assert_eq!(read_back(&opened).unwrap().len() as u64, opened.entry_count() + 1);
}

#[test]
fn a_tree_whose_paths_a_prefix_makes_too_long_or_too_deep_is_refused_and_nothing_of_it_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, archive) = (folder.path().join("tree"), folder.path().join("archive"));
    fs::create_dir_all(tree.join("d")).unwrap();
    fs::write(tree.join("d/f"), b"bytes").unwrap();
    fs::write(tree.join("n".repeat(255)), b"more").unwrap();
    let deep = ["p"; 1023].join("/");
    let long = vec!["p".repeat(200); 325].join("/");
    let mut writer = Writer::create(&archive, &Options::new()).unwrap();
    for round in 0..2 {
        for prefix in [&deep, &long] {
            let error = writer.add_tree(&tree, prefix.as_bytes()).unwrap_err();
            assert_eq!(error.status(), Status::UnsafePath, "{round}: {error}");
        }
        writer.add_tree(&tree, format!("{}/{round}", ["p"; 1020].join("/")).as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let archive = Archive::open(&archive, &Options::new()).unwrap();
    assert_eq!(archive.entry_count(), 8);
    archive.verify(&Options::new()).unwrap();
}

#[test]
fn what_does_not_compress_is_stored_slice_by_slice_and_only_small_files_of_it_share_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    let mut random = Random::new(11);
    let sizes =
        [("a.jpg", 100_000), ("b.jpg", 65_536), ("c.jpg", 900), ("d.jpg", 1), ("e.jpg", 4000), ("big", (3 << 20) + 5)];
    let files: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|(name, len)| (name.to_string(), random.noise(*len))).collect();
    let mut writer = Writer::create(&archive, &Options::new()).unwrap();
    add_buffers(&mut writer, &files);
    let stats = writer.finish().unwrap();
    // a; b; c, d and e together; big in slices of 512 KiB and what is left of it.
    assert_eq!((stats.blocks, stats.bytes_compressed_in), (1 + 1 + 1 + 7, 0));
    let archive = Archive::open(&archive, &Options::new()).unwrap();
    for (path, bytes) in files {
        let index = archive.find(path.as_bytes()).unwrap().unwrap();
        assert!(archive.read(index, 1 << 30).unwrap() == bytes, "{path}");
    }
}
