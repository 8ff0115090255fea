//! Any flipped bit and any cut is reported by `verify`, or proven harmless: everything reads back identical.

#![allow(clippy::unwrap_used)]

mod pack_support;

use std::sync::Arc;

use pack_support::{Random, pack, read_back};
use znippy::archive::{Archive, MemorySource};
use znippy::error::Result;
use znippy::options::Key;

fn small_archive(values: &[(Key, i64)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("sub/empty")).unwrap();
    let mut random = Random::new(3);
    std::fs::write(tree.join("text"), random.text(3000)).unwrap();
    std::fs::write(tree.join("copy"), random.text(2000)).unwrap();
    std::fs::write(tree.join("noise.gz"), [b"\x1f\x8b".to_vec(), random.noise(1500)].concat()).unwrap();
    std::fs::write(tree.join("sub/big"), random.noise(70_000)).unwrap();
    std::os::unix::fs::symlink("text", tree.join("sub/link")).unwrap();
    let archive = dir.path().join("archive");
    let values = [&[(Key::SmallFile, 4096), (Key::BlockSize, 8192), (Key::SliceSize, 65_536)], values].concat();
    pack(&tree, &archive, &values).unwrap();
    std::fs::read(archive).unwrap()
}

fn check(bytes: Vec<u8>) -> Result<Vec<String>> {
    let archive = Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), &Default::default())?;
    let mut options = znippy::options::Options::new();
    options.set(Key::Threads, 1)?;
    archive.verify(&options)?;
    read_back(&archive)
}

#[test]
fn ten_thousand_flipped_bits_are_detected_or_harmless() {
    let mut detected = 0;
    for values in [&[][..], &[(Key::PlainIndex, 1)]] {
        let intact = small_archive(values);
        let expected = check(intact.clone()).unwrap();
        let mut random = Random::new(99);
        for _ in 0..5000 {
            let bit = random.below(intact.len() as u64 * 8) as usize;
            let mut flipped = intact.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match check(flipped) {
                Err(_) => detected += 1,
                Ok(read) => assert_eq!(read, expected, "bit {bit} changed something unnoticed"),
            }
        }
    }
    // Every byte is a blob, a part under a hash, padding that must be zero, or the frame: nothing is harmless.
    assert_eq!(detected, 10_000);
}

#[test]
fn every_cut_and_every_appended_byte_is_detected() {
    let intact = small_archive(&[]);
    for len in 0..intact.len() {
        assert!(check(intact[..len].to_vec()).is_err(), "cut to {len} bytes");
    }
    for more in 1..=64 {
        assert!(check([&intact[..], &vec![0; more]].concat()).is_err(), "{more} bytes appended");
    }
}
