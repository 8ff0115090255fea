//! What packing and unpacking cost beside their stages, each measured alone on one thread, in seconds of CPU time, which other
//! load of a machine hardly changes.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo bench --bench stages -- TREE [ROUNDS]
//! ```
//!
//! Floor of packing: every file opened, read and closed; BLAKE3 of its bytes; zstd with the default's parameters over
//! the same blocks, duplicates left out. Floor of unpacking: every block decoded; BLAKE3 of every file; every file
//! created, written, given its time and closed. Directories, the index and sorting are left out of both.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::fs::{File, FileTimes, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use znippy::archive::Archive;
use znippy::extract::extract_all;
use znippy::format::codec::{Compressor, Decompressor};
use znippy::options::{Key, Options};
use znippy::pack::pack_directory;
use znippy::progress::CancelToken;

/// The default's size of blocks and slices, and up to which size files share blocks.
const BLOCK: usize = 4 << 20;
const SMALL: usize = 1 << 20;
const LEVEL: i32 = 3;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(tree) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: cargo bench --bench stages -- TREE [ROUNDS]");
        return;
    };
    let rounds: usize = arguments.next().map_or(3, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let place = tempfile::tempdir().unwrap();
    let files: Vec<(PathBuf, usize)> = walkdir::WalkDir::new(&tree)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().len() as usize))
        .collect();
    let contents: Vec<Vec<u8>> = files.iter().map(|(path, size)| read(path, *size)).collect();
    let blocks = blocks(&contents);
    println!("{} files, {} bytes, {} blocks", files.len(), contents.iter().map(Vec::len).sum::<usize>(), blocks.len());

    let mut options = Options::new();
    options.set(Key::Threads, 1).unwrap().set(Key::Overwrite, 1).unwrap();
    let archive = place.path().join("archive");
    let mut frames = Vec::new();
    let hashing = || contents.iter().for_each(|bytes| _ = black_box(blake3::hash(bytes)));
    for round in 0..rounds {
        println!("round {}", round + 1);
        let floor = [
            report("read", || files.iter().for_each(|(path, size)| drop(black_box(read(path, *size))))),
            report("BLAKE3", hashing),
            report("zstd", || frames = compress(&blocks)),
        ];
        let all = report("pack", || _ = pack_directory(&tree, &archive, &options).unwrap());
        println!("  pack is {:.3} of its floor", all / floor.iter().sum::<f64>());

        let (out, bare) = (place.path().join("out"), place.path().join("bare"));
        let targets = make_directories(&tree, &bare, &files);
        let floor = [
            report("decode", || decode(&frames, &blocks)),
            report("BLAKE3", hashing),
            report("create and write", || targets.iter().zip(&contents).for_each(|(path, bytes)| write(path, bytes))),
        ];
        std::fs::remove_dir_all(&bare).unwrap();
        let opened = Archive::open(&archive, &options).unwrap();
        let all = report("unpack", || _ = extract_all(&opened, &out, &options).unwrap());
        println!("  unpack is {:.3} of its floor", all / floor.iter().sum::<f64>());
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// Runs a stage and says what it took.
fn report(name: &str, stage: impl FnOnce()) -> f64 {
    let before = cpu_seconds();
    stage();
    let seconds = cpu_seconds() - before;
    println!("  {name:18} {seconds:7.3} s CPU");
    seconds
}

/// CPU time of all threads of this process.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is writable and outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn read(path: &Path, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    File::open(path).unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

/// What the packer compresses as one unit, roughly: small files in order until a block is full, slices of big files.
fn blocks(contents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut seen, mut blocks, mut shared) = (HashSet::new(), Vec::new(), Vec::new());
    for bytes in contents.iter().filter(|bytes| !bytes.is_empty()) {
        if bytes.len() > SMALL {
            let slices = bytes.chunks(BLOCK).filter(|slice| seen.insert(*blake3::hash(slice).as_bytes()));
            blocks.extend(slices.map(<[u8]>::to_vec));
        } else if seen.insert(*blake3::hash(bytes).as_bytes()) {
            if shared.len() + bytes.len() > BLOCK {
                blocks.push(std::mem::take(&mut shared));
            }
            shared.extend_from_slice(bytes);
        }
    }
    blocks.extend((!shared.is_empty()).then_some(shared));
    blocks
}

fn compress(blocks: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut compressor = Compressor::new(LEVEL, 4 << 20).unwrap();
    let mut frame = Vec::new();
    let one = |block: &Vec<u8>| {
        compressor.compress(block, &mut frame, &CancelToken::new()).unwrap();
        frame.clone()
    };
    blocks.iter().map(one).collect()
}

fn decode(frames: &[Vec<u8>], blocks: &[Vec<u8>]) {
    let mut decompressor = Decompressor::new().unwrap();
    let mut target = vec![0; blocks.iter().map(Vec::len).max().unwrap_or(0)];
    for (frame, block) in frames.iter().zip(blocks) {
        decompressor.decompress(frame, &mut target[..block.len()]).unwrap();
        black_box(&target);
    }
}

fn make_directories(tree: &Path, target: &Path, files: &[(PathBuf, usize)]) -> Vec<PathBuf> {
    let targets: Vec<_> = files.iter().map(|(path, _)| target.join(path.strip_prefix(tree).unwrap())).collect();
    targets.iter().for_each(|path| std::fs::create_dir_all(path.parent().unwrap()).unwrap());
    targets
}

fn write(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
}
