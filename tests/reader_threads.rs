//! One reader, many threads: right bytes whatever is evicted meanwhile, and nothing decoded twice at once.
//!
//! scripts/tsan.sh runs this file under ThreadSanitizer, with fewer reads ($ZNIPPY_TEST_READS).

#![allow(clippy::unwrap_used)]

mod pack_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use pack_support::{Random, make_tree, options, pack};
use znippy::archive::{Archive, FileSource, Source};
use znippy::error::{Error, Result, Status};
use znippy::options::Key;
use znippy::sync::Mutex;

const THREADS: u64 = 8;

fn reads() -> u64 {
    std::env::var("ZNIPPY_TEST_READS").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000)
}

/// Regular files below a directory, by their paths there.
fn files(root: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    let regular = entries.filter(|entry| entry.file_type().is_file());
    let relative = |path: &Path| path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
    regular.map(|entry| (relative(entry.path()), std::fs::read(entry.path()).unwrap())).collect()
}

/// A tree and its archive, whose small blocks make a small cache evict all the time.
fn packed(dir: &Path, more_files: usize) -> (BTreeMap<Vec<u8>, Vec<u8>>, PathBuf) {
    let (tree, archive) = (dir.join("tree"), dir.join("archive"));
    std::fs::create_dir(&tree).unwrap();
    make_tree(&tree, 1);
    std::fs::create_dir(tree.join("more")).unwrap();
    for i in 0..more_files {
        std::fs::write(tree.join(format!("more/{i:06}")), format!("file {i}")).unwrap();
    }
    let values = [(Key::SmallFile, 32 << 10), (Key::BlockSize, 64 << 10), (Key::SliceSize, 64 << 10)];
    pack(&tree, &archive, &values).unwrap();
    (files(&tree), archive)
}

/// Offsets and lengths of every size class: within a slice, across slices, from before a hole, beyond the end.
fn some_range(random: &mut Random, size: u64) -> (u64, usize) {
    let most = match random.below(10) {
        0 => 1,
        1..=6 => 4096,
        7 | 8 => 70_000,
        _ => 300_000,
    };
    (random.below(size + 100), random.below(most + 1) as usize)
}

/// Runs the same on all threads. They are joined one by one: ThreadSanitizer doesn't see the end of a scope.
fn on_all_threads(work: impl Fn(u64) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// `count` reads at random from all threads, which share the archive.
fn hammer(archive: &Archive, files: &BTreeMap<Vec<u8>, Vec<u8>>, count: u64) {
    let all: Vec<(&Vec<u8>, &Vec<u8>)> = files.iter().collect();
    on_all_threads(|thread| {
        let mut random = Random::new(thread + 1);
        let mut buffer = vec![0xAA; 300_001];
        for _ in 0..count / THREADS {
            let (path, bytes) = all[random.below(all.len() as u64) as usize];
            let (offset, len) = some_range(&mut random, bytes.len() as u64);
            let index = archive.find(path).unwrap().unwrap();
            let read = archive.read_at(index, offset, &mut buffer[..len]).unwrap();
            let start = bytes.len().min(offset as usize);
            let wanted = &bytes[start..bytes.len().min(start + len)];
            assert!(buffer[..read] == *wanted, "{path:?} {len} bytes at {offset}");
        }
    });
}

#[test]
fn eight_threads_read_right_bytes_while_blocks_are_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let (files, archive) = packed(dir.path(), 0);
    let archive = Archive::open(&archive, &options(&[(Key::CacheSize, 2 << 20)])).unwrap();
    hammer(&archive, &files, reads());
}

#[test]
fn eight_threads_read_right_bytes_while_segments_are_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let (files, archive) = packed(dir.path(), 18_000);
    for cache_size in [0, 3 << 20] {
        let archive = Archive::open(&archive, &options(&[(Key::CacheSize, cache_size)])).unwrap();
        assert!(archive.info().segments >= 3);
        hammer(&archive, &files, (reads() / 50).min(2000));
    }
}

/// Notes which ranges were read, and fails while it is told to.
struct Noting {
    file: FileSource,
    ranges: Arc<Mutex<BTreeMap<u64, usize>>>,
    failures: Arc<AtomicUsize>,
}

impl Source for Noting {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        // Long enough for all threads to ask for the same thing meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(20));
        *self.ranges.lock().entry(offset).or_default() += 1;
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(Error::new(Status::Io, "told to fail"));
        }
        self.file.read_exact_at(offset, buffer)
    }
}

#[test]
fn what_eight_threads_want_at_once_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let (files, path) = packed(dir.path(), 0);
    let ranges = Arc::new(Mutex::new(BTreeMap::new()));
    let source =
        Noting { file: FileSource::open(&path).unwrap(), ranges: Arc::clone(&ranges), failures: Arc::default() };
    let archive = Archive::open_source(Box::new(source), &options(&[])).unwrap();
    let barrier = Barrier::new(THREADS as usize);
    on_all_threads(|_| {
        barrier.wait();
        let index = archive.find(b"src/module1/file1.c").unwrap().unwrap();
        assert_eq!(archive.read(index, 1 << 20).unwrap(), files[&b"src/module1/file1.c"[..]]);
    });
    assert!(ranges.lock().values().all(|count| *count == 1), "{ranges:?}");
}

#[test]
fn a_failure_is_told_to_those_who_waited_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (files, path) = packed(dir.path(), 0);
    let failures = Arc::new(AtomicUsize::new(0));
    let source =
        Noting { file: FileSource::open(&path).unwrap(), ranges: Arc::default(), failures: Arc::clone(&failures) };
    let archive = Archive::open_source(Box::new(source), &options(&[])).unwrap();
    let index = archive.find(b"data/big.txt").unwrap().unwrap();
    failures.store(3, Ordering::SeqCst);
    let mut failed = 0;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| archive.read_at(index, 70_000, &mut [0; 10]))).collect();
        for one in all {
            match one.join().unwrap() {
                Ok(read) => assert_eq!(read, 10),
                Err(error) => {
                    assert_eq!(error.status(), Status::Io);
                    failed += 1;
                }
            }
        }
    });
    assert!(failed >= 1);
    failures.store(0, Ordering::SeqCst);
    let mut buffer = [0; 10];
    archive.read_at(index, 70_000, &mut buffer).unwrap();
    assert_eq!(buffer, files[&b"data/big.txt"[..]][70_000..70_010]);
}
