//! Archives of version 3 and what becomes of them: the fixtures and those of a peer's tool, cut, changed bit by bit, or with
//! wrong rows in the manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use znippy::archive::{Archive, MemorySource};
use znippy::error::Result;
use znippy::format::hash::hash;
use znippy::options::Options;

use super::{Dice, craft, fixtures};

/// Bigger archives would take the time of many others.
const LARGEST: u64 = 4 << 20;
/// Most bytes of a file that are read.
pub const LONGEST: u64 = 16 << 20;

/// An archive and what is in it.
pub struct Original {
    pub name: String,
    pub bytes: Vec<u8>,
    pub files: BTreeMap<String, Vec<u8>>,
}

pub fn open(bytes: Vec<u8>) -> Result<Archive> {
    let source = MemorySource::new(Arc::new(bytes));
    Archive::open_source(Box::new(source), &Options::new())
}

pub fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
}

pub fn originals() -> Vec<Original> {
    let mut found = Vec::new();
    for fixture in fixtures() {
        if fixture.path.metadata().unwrap().len() > LARGEST {
            continue;
        }
        let bytes = std::fs::read(&fixture.path).unwrap();
        let archive = open(bytes.clone()).unwrap();
        let read = |path: &String| archive.read(archive.find(path.as_bytes()).unwrap().unwrap(), LONGEST).unwrap();
        let mut files = BTreeMap::new();
        for (path, expected) in fixture.expected().into_iter().filter(|(_, expected)| expected.is_file) {
            let content = read(&path);
            assert_eq!(Some(hash(&content)), expected.hash, "{path}");
            files.insert(path, content);
        }
        found.push(Original { name: fixture.name, bytes, files });
    }
    let peers = std::env::var_os("ZNIPPY_PEERS").map(PathBuf::from);
    for entry in peers.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "znippy") {
            let (name, files) = (path.display().to_string(), tree(&path.with_extension("")));
            found.push(Original { name, bytes: std::fs::read(&path).unwrap(), files });
        }
    }
    found
}

pub fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// Cuts, flips bits of, or rearranges an archive.
pub fn damage(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let len = damaged.len();
    let footer = u64::from_le_bytes(damaged[len - 8..].try_into().unwrap()) as usize;
    // The index matters most, and is small beside the blobs of some.
    let index = footer.saturating_sub(8192);
    let place = |dice: &mut Dice| if dice.roll(4) == 0 { dice.roll(len) } else { index + dice.roll(len - index) };
    match dice.roll(8) {
        0 => damaged.truncate(dice.roll(len)),
        1 => {
            let (from, count) = (place(dice), 1 + dice.roll(300));
            damaged.drain(from..(from + count).min(len));
        }
        2 => {
            let (from, to) = (place(dice), place(dice));
            let count = (1 + dice.roll(256)).min(len - from).min(len - to);
            let taken = damaged[from..from + count].to_vec();
            damaged[to..to + count].copy_from_slice(&taken);
        }
        3 => {
            let numbers = [0, 1, 8, 64, 255, len as u64, footer as u64, 1 << 31, 1 << 32, 1 << 62, u64::MAX];
            let at = place(dice).min(len - 8) & !7;
            damaged[at..at + 8].copy_from_slice(&numbers[dice.roll(numbers.len())].to_le_bytes());
        }
        4 => {
            let at = place(dice);
            let count = (1 + dice.roll(64)).min(len - at);
            damaged[at..at + count].fill(if dice.roll(2) == 0 { 0 } else { 0xFF });
        }
        _ => {
            for _ in 0..=dice.roll(3) {
                let at = place(dice);
                damaged[at] ^= 1 << dice.roll(8);
            }
        }
    }
    damaged
}

/// Changes rows of the manifest.
pub fn spoil_manifest(made: &mut craft::Archive, dice: &mut Dice) {
    let count = made.parts.len();
    if count == 0 {
        return;
    }
    let len = made.bytes.len() as u64;
    let (one, other) = (dice.roll(count), dice.roll(count));
    let numbers = [0, 1, 8, 1 << 31, len - len.min(8), len, 1 << 40, u64::MAX];
    let (taken, value) = (made.parts[other].clone(), numbers[dice.roll(numbers.len())]);
    let part = &mut made.parts[one];
    match dice.roll(9) {
        0 => drop(made.parts.remove(one)),
        1 => made.parts.push(taken),
        2 => (part.3, part.4) = (taken.3, taken.4),
        3 => part.3 = value,
        4 => part.4 = value,
        5 => part.5 = if dice.roll(2) == 0 { value } else { part.5.wrapping_add(1) },
        6 => part.0 = [0, 1, -128, 127][dice.roll(4)],
        7 => {
            part.2 =
                ["", "__znippy_fsmeta__", "__znippy_meta__", "__znippy_delta__", "__znippy_odd__"][dice.roll(5)].into()
        }
        _ => part.4 -= (1 + dice.roll(64) as u64).min(part.4),
    }
}
