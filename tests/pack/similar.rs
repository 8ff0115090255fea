//! Big files of which parts are the same share blocks, wherever in the tree they are, and are files like any others.

#![allow(clippy::unwrap_used)]

use crate::pack_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pack_support::{Random, options, pack};
use znippy::archive::Archive;
use znippy::options::{Key, Options};
use znippy::progress::Phase;

const MIB: usize = 1 << 20;

/// A file that has nothing in common with others, and a later version of it: something was put in, something taken out,
/// something changed.
fn versions(seed: u64, len: usize) -> (Vec<u8>, Vec<u8>) {
    let first = Random::new(seed).sextets(len);
    let mut later = [&first[..len / 3], &b"put in"[..], &first[len / 3..len / 2], &first[len / 2 + 900..]].concat();
    for at in (0..later.len()).step_by(20_000) {
        later[at] ^= 1;
    }
    (first, later)
}

/// Two versions of a program far apart, one that nothing resembles, noise, and small files between them.
fn make_versions(root: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let (first, later) = versions(1, 6 * MIB);
    let files = vec![
        ("1.0/bin/tool", first),
        ("2.0/bin/tool", later),
        ("alone", Random::new(3).sextets(9 * MIB)),
        ("noise", Random::new(4).noise(5 * MIB)),
        ("small", b"small".to_vec()),
    ];
    for (path, bytes) in &files {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), bytes).unwrap();
    }
    files
}

fn packed_len(tree: &Path, archive: &Path, values: &[(Key, i64)]) -> u64 {
    pack(tree, archive, &[values, &[(Key::Overwrite, 1)]].concat()).unwrap();
    fs::metadata(archive).unwrap().len()
}

fn holds(archive: &Path, files: &[(&str, Vec<u8>)]) {
    let opened = Archive::open(archive, &Options::new()).unwrap();
    opened.verify(&Options::new()).unwrap();
    for (path, bytes) in files {
        let entry = opened.find(path.as_bytes()).unwrap().unwrap();
        assert!(opened.read(entry, 1 << 30).unwrap() == *bytes, "{path}");
    }
}

#[test]
fn what_two_versions_have_in_common_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    let files = make_versions(&tree);
    let one_version = (6 * MIB * 3 / 4) as u64;
    for preset in [0, 1, 2] {
        let together = packed_len(&tree, &archive, &[(Key::Preset, preset)]);
        holds(&archive, &files);
        let apart = packed_len(&tree, &archive, &[(Key::Preset, preset), (Key::SimilarFiles, 1)]);
        holds(&archive, &files);
        // Blocks of `small` are so long that the two meet without help here.
        assert!(together < apart - one_version * 3 / 4 || preset == 2, "{preset}: {together} and {apart}");
        assert!(together <= apart + 100, "{preset}: {together} and {apart}");
    }
}

#[test]
fn threads_and_memory_do_not_change_who_shares_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    make_versions(&tree);
    let mut bytes = Vec::new();
    for (threads, memory) in [(1, 0), (2, 0), (8, 0), (8, 48 << 20)] {
        packed_len(&tree, &archive, &[(Key::Threads, threads), (Key::MemoryLimit, memory)]);
        bytes.push(fs::read(&archive).unwrap());
    }
    assert!(bytes.iter().all(|archive| *archive == bytes[0]));
}

#[test]
fn where_nothing_is_alike_looking_for_it_changes_no_block() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    make_versions(&tree);
    fs::remove_dir_all(tree.join("2.0")).unwrap();
    let blobs = |similar_files| {
        packed_len(&tree, &archive, &[(Key::SimilarFiles, similar_files)]);
        Archive::open(&archive, &Options::new()).unwrap().blob_records().unwrap()
    };
    assert!(blobs(0) == blobs(1));
}

#[test]
fn each_of_several_that_change_meanwhile_is_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    let mut files = make_versions(&tree);
    let mut options = options(&[(Key::OnError, 1), (Key::ProgressInterval, 0)]);
    let (first, later) = (tree.join(files[0].0), tree.join(files[1].0));
    let done = AtomicBool::new(false);
    options.set_progress(Some(Arc::new(move |progress| {
        // After the files were looked at and before they are read.
        if progress.phase == Phase::Pack && !done.swap(true, Ordering::Relaxed) {
            for file in [&first, &later] {
                fs::OpenOptions::new().write(true).open(file).unwrap().set_len(700_000).unwrap();
            }
        }
        true
    })));
    let reports = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&reports);
    options.set_log(Some(Arc::new(move |_, message| {
        assert!(message.contains("bin/tool"), "{message}");
        count.fetch_add(1, Ordering::Relaxed);
    })));
    let stats = znippy::pack::pack_directory(&tree, &archive, &options).unwrap();
    assert_eq!((stats.skipped, reports.load(Ordering::Relaxed)), (2, 2));
    files.drain(..2);
    holds(&archive, &files);
}
