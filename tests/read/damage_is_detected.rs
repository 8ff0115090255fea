//! Any flipped bit and any cut is reported by `verify`, or proven harmless: everything reads back identical.
//!
//! Every test run does a sample; `scripts/campaign-damage.sh` does every bit, every length and 1 to 64 bytes more, of
//! archives of all kinds.

#![allow(clippy::unwrap_used)]

use crate::pack_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pack_support::{Random, pack, read_back};
use znippy::archive::{Archive, MemorySource};
use znippy::error::Result;
use znippy::options::{Key, Options};

const SMALL: [(Key, i64); 3] = [(Key::SmallFile, 4096), (Key::BlockSize, 8192), (Key::SliceSize, 65_536)];

/// Packs what `fill` puts into a directory.
fn packed(values: &[(Key, i64)], fill: impl Fn(&Path)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    fs::create_dir_all(&tree).unwrap();
    fill(&tree);
    // The same archive from each run, so that a place that is named can be found again.
    let time = rustix::fs::Timespec { tv_sec: 1_600_000_000, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    for entry in walkdir::WalkDir::new(&tree).contents_first(true) {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, entry.unwrap().path(), &times, flags).unwrap();
    }
    pack(&tree, &archive, &[&SMALL[..], values].concat()).unwrap();
    fs::read(archive).unwrap()
}

/// Text, noise, a file of several slices, a link, an empty directory.
fn some_of_each(tree: &Path) {
    fs::create_dir_all(tree.join("sub/empty")).unwrap();
    let mut random = Random::new(3);
    fs::write(tree.join("text"), random.text(3000)).unwrap();
    fs::write(tree.join("copy"), random.text(2000)).unwrap();
    fs::write(tree.join("noise.gz"), [b"\x1f\x8b".to_vec(), random.noise(1500)].concat()).unwrap();
    fs::write(tree.join("sub/big"), random.noise(70_000)).unwrap();
    std::os::unix::fs::symlink("text", tree.join("sub/link")).unwrap();
}

/// Mostly index: names of all kinds, links, few bytes.
fn many_names(tree: &Path) {
    use std::os::unix::ffi::OsStrExt;
    fs::create_dir_all(tree.join("d/empty")).unwrap();
    let mut random = Random::new(5);
    for number in 0..40 {
        let len = random.below(300) as usize;
        fs::write(tree.join(format!("d/file{number}")), random.text(len)).unwrap();
    }
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"d/\xff\xfe")), b"not UTF-8").unwrap();
    fs::write(tree.join("empty"), b"").unwrap();
    fs::hard_link(tree.join("d/file3"), tree.join("hard")).unwrap();
    std::os::unix::fs::symlink("d/file4", tree.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
}

/// Several times as many, in directories of their own, with recovery records over all of it.
fn deep_names(tree: &Path) {
    many_names(tree);
    let mut random = Random::new(11);
    for directory in 0..12 {
        let parent = tree.join(format!("deep/{directory}/below"));
        fs::create_dir_all(&parent).unwrap();
        for number in 0..12 {
            fs::write(parent.join(format!("{number}.txt")), random.text(40)).unwrap();
        }
    }
}

/// Files of several slices: text, and holes at the start, in the middle and at the end.
fn big_files_with_holes(tree: &Path) {
    use std::os::unix::fs::FileExt;
    let mut random = Random::new(7);
    // Little that is stored, since each bit of it is a case.
    let mut text = |len: usize| random.text(600).into_iter().cycle().take(len).collect::<Vec<u8>>();
    fs::write(tree.join("big"), text(140_000)).unwrap();
    let file = fs::File::create(tree.join("holes")).unwrap();
    file.set_len(230_000).unwrap();
    file.write_all_at(&text(500), 70_000).unwrap();
    file.write_all_at(&text(80_000), 140_000).unwrap();
    let file = fs::File::create(tree.join("only-a-hole")).unwrap();
    file.set_len(150_000).unwrap();
}

/// Extended attributes; `None` where no file system here holds them.
fn with_xattrs(tree: &Path) {
    many_names(tree);
    let set = |path: &str, name: &str, value: &[u8]| {
        let _ = rustix::fs::lsetxattr(tree.join(path), name, value, rustix::fs::XattrFlags::empty());
    };
    set("d/file1", "user.a", &[7; 300]);
    set("d/file1", "user.b", b"");
    set("d", "user.on_a_directory", b"value");
    set("", "user.on_the_root", b"value");
}

/// Archives of all kinds, with their names.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("plain index", packed(&[(Key::PlainIndex, 1)], many_names)),
        ("compressed index", packed(&[], many_names)),
        ("recovery records", packed(&[(Key::Recovery, 1)], many_names)),
        ("extended attributes", packed(&[(Key::Xattrs, 1)], with_xattrs)),
        ("deep names, plain index", packed(&[(Key::PlainIndex, 1), (Key::Recovery, 1)], deep_names)),
        ("big files and holes", packed(&[(Key::Recovery, 1)], big_files_with_holes)),
        ("empty", packed(&[], |_| ())),
        ("some of each", packed(&[], some_of_each)),
    ]
}

fn check(bytes: Vec<u8>) -> Result<Vec<String>> {
    let archive = Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), &Options::new())?;
    let mut options = Options::new();
    options.set(Key::Threads, 1)?;
    archive.verify(&options)?;
    let mut read = read_back(&archive)?;
    for index in 0..archive.entry_count() {
        let set: Vec<_> = archive.entry_xattrs(index)?.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        read.push(format!("{set:?}"));
    }
    Ok(read)
}

/// What became of so much damage.
#[derive(Default)]
struct Found {
    cases: u64,
    reported: u64,
    harmless: u64,
    unnoticed: u64,
}

impl Found {
    fn case(&mut self, damaged: Vec<u8>, expected: &[String], what: &str) {
        self.cases += 1;
        match check(damaged) {
            Err(error) => {
                assert_ne!(error.status(), znippy::error::Status::Panic, "{what}: {error}");
                self.reported += 1;
            }
            Ok(read) if read == expected => self.harmless += 1,
            Ok(_) => {
                println!("{what} changed something unnoticed");
                self.unnoticed += 1;
            }
        }
    }

    /// Every bit, every length, up to 64 bytes more.
    fn everything(&mut self, name: &str, intact: &[u8]) {
        let expected = check(intact.to_vec()).unwrap();
        for bit in 0..intact.len() * 8 {
            let mut damaged = intact.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            self.case(damaged, &expected, &format!("{name}: bit {bit}"));
        }
        for len in 0..intact.len() {
            self.case(intact[..len].to_vec(), &expected, &format!("{name}: cut to {len} bytes"));
        }
        let mut random = Random::new(1);
        for more in 1..=64 {
            let ends = [vec![0; more], vec![0xFF; more], random.noise(more), intact[intact.len() - more..].to_vec()];
            for end in ends {
                self.case([intact, &end].concat(), &expected, &format!("{name}: {more} bytes appended"));
            }
        }
    }
}

#[test]
fn ten_thousand_flipped_bits_are_detected_or_harmless() {
    let mut found = Found::default();
    for values in [&[][..], &[(Key::PlainIndex, 1)]] {
        let intact = packed(values, some_of_each);
        let expected = check(intact.clone()).unwrap();
        let mut random = Random::new(99);
        for _ in 0..5000 {
            let bit = random.below(intact.len() as u64 * 8) as usize;
            let mut flipped = intact.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            found.case(flipped, &expected, &format!("bit {bit}"));
        }
    }
    // Every byte is a blob, a part under a hash, padding that must be zero, or the frame: nothing is harmless.
    assert_eq!(found.reported, 10_000);
}

#[test]
fn every_cut_and_every_appended_byte_is_detected() {
    let intact = packed(&[], some_of_each);
    for len in 0..intact.len() {
        assert!(check(intact[..len].to_vec()).is_err(), "cut to {len} bytes");
    }
    for more in 1..=64 {
        assert!(check([&intact[..], &vec![0; more]].concat()).is_err(), "{more} bytes appended");
    }
}

#[test]
#[ignore = "a campaign of minutes, see scripts/campaign-damage.sh"]
fn every_damage_of_every_kind_of_archive_is_reported_or_harmless() {
    let (begin, mut all) = (Instant::now(), Found::default());
    for (name, intact) in kinds() {
        let mut found = Found::default();
        found.everything(name, &intact);
        println!(
            "damage: {name}, {} bytes: {} cases, {} reported, {} harmless, {} unnoticed",
            intact.len(),
            found.cases,
            found.reported,
            found.harmless,
            found.unnoticed
        );
        all.cases += found.cases;
        all.reported += found.reported;
        all.harmless += found.harmless;
        all.unnoticed += found.unnoticed;
    }
    let rate = all.cases as f64 / begin.elapsed().as_secs_f64();
    println!(
        "damage: {} cases, {} reported, {} harmless, {} unnoticed; {rate:.0} cases/s",
        all.cases, all.reported, all.harmless, all.unnoticed
    );
    assert_eq!(all.unnoticed, 0);
}
