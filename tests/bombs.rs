//! Bombs: archives that say they are far more than they are, or are far more than they look. Within limits that are set,
//! none writes more or makes the process hold more.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::panic, clippy::type_complexity)]

#[path = "hostile/archives.rs"]
mod archives;
mod extract_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use znippy::archive::{Archive, MemorySource};
use znippy::extract::extract_tree;
use znippy::options::{Key, Options};

const MOST_BYTES: u64 = 1 << 20;
const MOST_INDEX: u64 = 4 << 20;
/// Beside files and index: contexts, and buffers for one block.
const MOST_MEMORY: u64 = MOST_INDEX + (24 << 20);

#[test]
fn no_bomb_writes_or_holds_more_than_the_limits_that_are_set() {
    let cases = archives::all();
    let bombs: Vec<_> =
        cases.iter().filter(|case| matches!(case.class, "giant counts and sizes" | "bombs and lying frames")).collect();
    assert!(bombs.len() >= 30, "{}", bombs.len());
    let (mut wrote, mut held, mut refused) = (0, 0, 0);
    for bomb in &bombs {
        for untrusted in [0, 1] {
            let mut options = Options::new();
            let limits = [(Key::MaxBytes, MOST_BYTES), (Key::MaxIndex, MOST_INDEX), (Key::MaxEntries, 5000)];
            for (key, value) in limits {
                options.set(key, value as i64).unwrap();
            }
            options.set(Key::Untrusted, untrusted).unwrap().set(Key::Threads, 1).unwrap();
            let work = tempfile::tempdir().unwrap();
            let destination = work.path().join("tree");
            let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bomb.bytes.clone());
            let before = memory("VmRSS:", true);
            let result = Archive::open_source(Box::new(MemorySource::new(bytes)), &options)
                .and_then(|archive| extract_tree(&archive, &destination, &options));
            let more = memory("VmHWM:", false).saturating_sub(before);
            let written = sizes(&destination);
            assert!(written <= MOST_BYTES, "{}: wrote {written} bytes", bomb.name);
            assert!(more <= MOST_MEMORY, "{}: held {more} bytes more", bomb.name);
            (wrote, held) = (wrote.max(written), held.max(more));
            refused += u32::from(result.is_err());
        }
    }
    println!(
        "bombs: {} archives, {} runs, {refused} refused, most written {wrote} bytes, most memory {} KiB",
        bombs.len(),
        2 * bombs.len(),
        held >> 10
    );
}

/// Bytes of all files below a directory.
fn sizes(directory: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(directory).into_iter().filter_map(|entry| entry.ok()?.metadata().ok());
    entries.filter(fs::Metadata::is_file).map(|status| status.len()).sum()
}

/// Memory of this process in bytes. `forget` makes what it is now the most that it was.
fn memory(field: &str, forget: bool) -> u64 {
    if forget {
        let _ = fs::write("/proc/self/clear_refs", "5");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
