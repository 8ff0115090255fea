//! Archive = f(tree, recorded options, versions): never of threads, order of creation, memory or time.

#![allow(clippy::unwrap_used)]

use crate::pack_support;

use pack_support::{make_tree, pack};
use znippy::options::Key;

#[test]
fn threads_creation_order_and_memory_do_not_change_a_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut digests = std::collections::BTreeSet::new();
    for order in [1, 2] {
        let tree = dir.path().join(format!("tree{order}"));
        std::fs::create_dir(&tree).unwrap();
        make_tree(&tree, order);
        for threads in [1, 2, 3, 8] {
            for memory in [0, 40 << 20, 100 << 20] {
                let archive = dir.path().join("archive");
                let values = [(Key::Threads, threads), (Key::MemoryLimit, memory), (Key::Overwrite, 1)];
                pack(&tree, &archive, &values).unwrap();
                digests.insert(blake3::hash(&std::fs::read(&archive).unwrap()).to_hex());
            }
        }
    }
    assert_eq!(digests.len(), 1);
}

#[test]
fn the_tree_digest_is_the_same_whatever_the_layout() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    let layouts: &[&[(Key, i64)]] = &[
        &[],
        &[(Key::Level, 1)],
        &[(Key::Preset, 4)],
        &[(Key::Order, 1), (Key::NoSkip, 1), (Key::PlainIndex, 1)],
        &[(Key::BlockSize, 4096), (Key::SmallFile, 4096), (Key::SliceSize, 64 << 10)],
    ];
    let mut digests = std::collections::BTreeSet::new();
    for (i, layout) in layouts.iter().enumerate() {
        let path = dir.path().join(format!("archive{i}"));
        pack(&tree, &path, layout).unwrap();
        let archive = znippy::archive::Archive::open(&path, &Default::default()).unwrap();
        archive.verify(&Default::default()).unwrap();
        digests.insert(archive.tree_digest().unwrap());
    }
    assert_eq!(digests.len(), 1);
}

#[test]
fn an_archive_inside_its_tree_is_left_out_and_packing_again_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path(), 1);
    let archive = dir.path().join("out.znippy");
    pack(dir.path(), &archive, &[]).unwrap();
    let first = std::fs::read(&archive).unwrap();
    pack(dir.path(), &archive, &[(Key::Overwrite, 1)]).unwrap();
    assert_eq!(first, std::fs::read(&archive).unwrap());
    let opened = znippy::archive::Archive::open(&archive, &Default::default()).unwrap();
    assert_eq!(opened.find(b"out.znippy").unwrap(), None);
}
