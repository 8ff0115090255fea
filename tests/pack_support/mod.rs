//! Trees to pack, made from a seed, and archives as what can be read back from them.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use znippy::archive::Archive;
use znippy::error::Result;
use znippy::options::{Key, Options};
use znippy::stats::Stats;

/// xorshift64*: enough for tests, the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }

    /// Bytes that compress by a quarter and repeat nothing.
    pub fn sextets(&mut self, len: usize) -> Vec<u8> {
        self.noise(len).iter().map(|byte| byte & 63).collect()
    }

    pub fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 16);
        while text.len() < len {
            text.extend_from_slice(format!("line {} of {}\n", self.below(500), self.below(9)).as_bytes());
        }
        text.truncate(len);
        text
    }
}

/// A tree with some of everything that an unprivileged user can make. `order` shuffles the order of creation and
/// nothing else.
pub fn make_tree(root: &Path, order: u64) {
    let mut random = Random::new(7);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..400 {
        let len = random.below(9000) as usize;
        files.push((format!("src/module{}/file{i}.c", i % 13), random.text(len)));
    }
    for i in 0..30 {
        let copy = files[i * 3].1.clone();
        files.push((format!("copies/{i}.c"), copy));
    }
    files.push(("empty".into(), Vec::new()));
    files.push(("a-b".into(), b"sorts before a/".to_vec()));
    files.push(("a/c".into(), random.text(100)));
    files.push(("data/big.txt".into(), random.text(9 << 20)));
    files.push(("data/big.noise".into(), random.noise(5 << 20)));
    files.push(("data/again.noise".into(), Random::new(11).noise(3 << 20)));
    files.push(("data/twice.noise".into(), Random::new(11).noise(3 << 20)));
    files.push(("data/image.png".into(), [b"\x89PNG\r\n\x1a\n".to_vec(), random.noise(70_000)].concat()));
    // Two versions of one program, which share blocks.
    let version = Random::new(12).sextets(3 << 20);
    files.push(("data/version-1".into(), version.clone()));
    files.push(("tools/version-2".into(), [&version[..900_000], b"moved", &version[900_000..]].concat()));
    let mut holes = vec![0; 6 << 20];
    holes[..100].fill(1);
    holes[(5 << 20) - 7..5 << 20].fill(2);
    files.push(("data/holes".into(), holes));
    files.push(("data/only-a-hole".into(), vec![0; 300_000]));
    files.push(("data/small-hole".into(), [vec![5; 5000], vec![0; 140_000], vec![6; 10]].concat()));
    let mut shuffle = Random::new(order);
    for i in (1..files.len()).rev() {
        files.swap(i, shuffle.below(i as u64 + 1) as usize);
    }
    for (path, bytes) in &files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::create_dir_all(root.join("empty-dir/inner")).unwrap();
    let strange = root.join(std::ffi::OsStr::from_bytes(b"names/\xff\xfe \n.txt"));
    fs::create_dir_all(strange.parent().unwrap()).unwrap();
    fs::write(&strange, b"not UTF-8").unwrap();
    symlink("../nowhere", root.join("names/dangling")).unwrap();
    fs::hard_link(root.join("data/big.txt"), root.join("data/zz-link")).unwrap();
    fs::hard_link(root.join("src/module1/file1.c"), root.join("names/link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("names/fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    fs::set_permissions(root.join("a/c"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mut paths: Vec<_> = walkdir::WalkDir::new(root).contents_first(true).into_iter().map(|e| e.unwrap()).collect();
    paths.sort_by_key(|entry| std::cmp::Reverse(entry.depth()));
    for entry in paths {
        let time = rustix::fs::Timespec { tv_sec: 1_600_000_000, tv_nsec: 123_456_789 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, entry.path(), &times, flags).unwrap();
    }
}

pub fn options(values: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in values {
        options.set(*key, *value).unwrap();
    }
    options
}

pub fn pack(source: &Path, archive: &Path, values: &[(Key, i64)]) -> Result<Stats> {
    znippy::pack::pack_directory(source, archive, &options(values))
}

/// Everything that can be read of an archive, as one comparable value.
pub fn read_back(archive: &Archive) -> Result<Vec<String>> {
    let listing = archive.list(0, usize::MAX)?;
    let mut all = Vec::new();
    for i in 0..listing.len() {
        let entry = listing.get(i).unwrap();
        let hash = match entry.hash {
            Some(_) => blake3::hash(&archive.read(entry.index, 1 << 30)?).to_string(),
            None => String::new(),
        };
        all.push(format!("{:?} {} {:?} {} {hash}", entry.path, entry.kind, entry.attributes, entry.size));
    }
    all.push(format!("{:?}", archive.manifest().metadata));
    Ok(all)
}
