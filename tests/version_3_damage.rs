//! Archives of version 3, damaged byte by byte and taken apart and put together otherwise: no panic, no hang, and no
//! wrong byte that passes for right.
//!
//! A short run with every test run; `scripts/campaign-version-3.sh` makes a long one of it, by `ZNIPPY_ROUNDS` and
//! `ZNIPPY_SEED`, with further archives: `ZNIPPY_FIXTURES_V3` names a folder like that of the fixtures, `ZNIPPY_PEERS` one
//! with NAME.znippy beside the tree NAME that it was made of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "version_3_support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::parsed::Parsed;
use support::{Dice, craft, fixtures};
use znippy::archive::{Archive, MemorySource};
use znippy::error::Result;
use znippy::extract;
use znippy::format::hash::hash;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};

/// No round may take longer, on a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(20);
/// Bigger archives would take the time of many others.
const LARGEST: u64 = 4 << 20;
/// Most bytes of a file that are read.
const LONGEST: u64 = 16 << 20;

/// An archive and what is in it.
struct Original {
    name: String,
    bytes: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

fn open(bytes: Vec<u8>) -> Result<Archive> {
    let source = MemorySource::new(Arc::new(bytes));
    Archive::open_source(Box::new(source), &Options::new())
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
}

fn originals() -> Vec<Original> {
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

fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| {
        let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// Cuts, flips bits of, or rearranges an archive.
fn damage(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
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

#[test]
fn no_damage_makes_wrong_bytes_pass_for_right() {
    let (rounds, seed) = (number("ZNIPPY_ROUNDS", 3000), number("ZNIPPY_SEED", 3));
    let originals = originals();
    // By hash alone: nothing guards the names of version 3.
    let hashes: Vec<HashSet<[u8; 32]>> =
        originals.iter().map(|original| original.files.values().map(|bytes| hash(bytes)).collect()).collect();
    let (mut opened, mut read, mut refused) = (0u64, 0u64, 0u64);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let mut dice = Dice::new(seed, round);
        let choice = dice.roll(originals.len());
        let damaged = damage(&originals[choice].bytes, &mut dice);
        let started = Instant::now();
        let Ok(archive) = open(damaged) else { continue };
        opened += 1;
        // Damage of a name makes a segment unreadable, as in version 4.
        let Ok(listing) = archive.list(0, usize::MAX) else { continue };
        let step = 1 + listing.len() / 40;
        for position in (dice.roll(step)..listing.len()).step_by(step) {
            let Some(entry) = listing.get(position).filter(|entry| entry.kind == EntryKind::File as u8) else {
                continue;
            };
            match archive.read(entry.index, LONGEST) {
                Ok(bytes) if !entry.unverified => {
                    let is_known = hashes[choice].contains(&hash(&bytes));
                    assert!(is_known, "round {round} of seed {seed}: {:?} of {}", entry.path, originals[choice].name);
                    read += 1;
                }
                Ok(_) => {}
                Err(_) => refused += 1,
            }
        }
        if round % 16 == 0 {
            let _ = archive.verify(&Options::new());
            let _ = archive.tree_digest();
        }
        slowest = slowest.max(started.elapsed());
        assert!(slowest < SLOWEST, "round {round} of seed {seed} took {slowest:?}");
    }
    println!(
        "damaged: {rounds} rounds on {} archives, seed {seed}: {opened} opened, {read} files read right, {refused} refused, \
         slowest {:.3} s",
        originals.len(),
        slowest.as_secs_f64()
    );
    assert!(opened > rounds / 20 && read > rounds && refused > 0, "{opened} {read} {refused}");
}

/// Changes rows of the manifest.
fn spoil_manifest(made: &mut craft::Archive, dice: &mut Dice) {
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

/// Counts of a campaign.
#[derive(Default)]
struct Counts {
    whole: u64,
    opened: u64,
    read: u64,
    short: u64,
    unverified: u64,
    refused: u64,
}

/// A file of an archive that was changed. Whoever takes the last rows of a file away makes a shorter file of it, since
/// version 3 records no size of the whole; so that must be whole slices of it, at least.
fn check_file(counts: &mut Counts, found: &[u8], original: &[u8], ends: &[usize], may_be_short: bool) -> bool {
    if found == original {
        counts.read += 1;
        return true;
    }
    counts.short += 1;
    may_be_short && original.starts_with(found) && ends.contains(&found.len())
}

/// Where slices of each file end.
fn slice_ends(parsed: &Parsed) -> BTreeMap<String, Vec<usize>> {
    let mut ends: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in parsed.parts.iter().flat_map(|part| part.batches.iter().flatten()) {
        ends.entry(row.path.clone()).or_default().push((row.offset + row.size) as usize);
    }
    ends
}

#[test]
fn rearranged_archives_read_the_same_and_spoilt_ones_never_wrong() {
    let (rounds, seed) = (number("ZNIPPY_ROUNDS", 600), number("ZNIPPY_SEED", 3));
    let originals = originals();
    let parsed: Vec<Parsed> = originals.iter().map(|original| Parsed::new(&original.bytes)).collect();
    let mut counts = Counts::default();
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let mut dice = Dice::new(!seed, round);
        let choice = dice.roll(originals.len());
        let (files, mut changed) = (&originals[choice].files, parsed[choice].clone());
        let at = format!("round {round} of seed {seed}, {}", originals[choice].name);
        changed.rearrange(&mut dice);
        let ends = slice_ends(&changed);
        let how = dice.roll(4);
        let mut may_be_short = (how == 1 || how == 2) && changed.spoil(&mut dice);
        let mut made = changed.craft();
        if how >= 2 {
            may_be_short = true;
            spoil_manifest(&mut made, &mut dice);
        } else {
            dice.shuffle(&mut made.parts);
        }
        let is_whole = how == 0;
        let started = Instant::now();
        let archive = match open(made.finish()) {
            Ok(archive) => archive,
            Err(error) => {
                assert!(!is_whole, "{at}: {error:?}");
                continue;
            }
        };
        counts.opened += 1;
        let listing = match archive.list(0, usize::MAX) {
            Ok(listing) => listing,
            Err(error) => {
                assert!(!is_whole, "{at}: {error:?}");
                continue;
            }
        };
        let verified = archive.verify(&Options::new());
        let mut found_files = 0;
        for position in 0..listing.len() {
            let entry = listing.get(position).unwrap();
            if entry.kind != EntryKind::File as u8 {
                continue;
            }
            found_files += 1;
            let path = String::from_utf8(entry.path.to_vec()).unwrap();
            match archive.read(entry.index, LONGEST) {
                Ok(_) if entry.unverified => counts.unverified += 1,
                Ok(bytes) => {
                    let is_right = check_file(&mut counts, &bytes, &files[&path], &ends[&path], may_be_short);
                    assert!(is_right, "{at}: {path} has {} bytes", bytes.len());
                    let (from, mut piece) = (dice.roll(bytes.len() + 1), vec![0; dice.roll(5000)]);
                    let len = archive.read_at(entry.index, from as u64, &mut piece).unwrap();
                    assert!(bytes[from..].starts_with(&piece[..len]), "{at}: {path} from {from}");
                }
                Err(error) => {
                    let is_refused = !is_whole && (verified.is_err() || error.message().contains("limit"));
                    assert!(is_refused, "{at}: {path}: {error:?}, and verification said {verified:?}");
                    counts.refused += 1;
                }
            }
        }
        if !may_be_short {
            assert_eq!(found_files, files.len(), "{at}");
        }
        if is_whole {
            counts.whole += 1;
            assert_eq!(verified.unwrap().unverified, 0, "{at}");
        }
        if round % 8 == 0 {
            extract_and_compare(&archive, files, &ends, may_be_short, &mut counts, &at);
        }
        slowest = slowest.max(started.elapsed());
        assert!(slowest < SLOWEST, "{at} took {slowest:?}");
    }
    println!(
        "rearranged: {rounds} rounds on {} archives, seed {seed}: {} as whole as before, {} of the others opened, {} files \
         read right, {} short by whole slices, {} unverified, {} refused, slowest {:.3} s",
        originals.len(),
        counts.whole,
        counts.opened - counts.whole,
        counts.read,
        counts.short,
        counts.unverified,
        counts.refused,
        slowest.as_secs_f64()
    );
    assert!(counts.whole > rounds / 5 && counts.opened > counts.whole && counts.refused > 0);
}

/// What stands in the destination after going on over everything that is damaged is right as well.
fn extract_and_compare(
    archive: &Archive,
    files: &BTreeMap<String, Vec<u8>>,
    ends: &BTreeMap<String, Vec<usize>>,
    may_be_short: bool,
    counts: &mut Counts,
    at: &str,
) {
    let out = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::KeepGoing, 1).unwrap();
    let _ = extract::extract_tree(archive, &out.path().join("t"), &options);
    let Some(listing) = archive.list(0, usize::MAX).ok().filter(|_| out.path().join("t").exists()) else { return };
    for (path, bytes) in tree(&out.path().join("t")) {
        let position = archive.find(path.as_bytes()).unwrap().unwrap();
        if !listing.get(position as usize).unwrap().unverified {
            let is_right = check_file(counts, &bytes, &files[&path], &ends[&path], may_be_short);
            assert!(is_right, "{at}: {path} was unpacked with {} bytes", bytes.len());
        }
    }
}
