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
use std::time::{Duration, Instant};

use support::Dice;
use support::damaged::{LONGEST, damage, number, open, originals, spoil_manifest, tree};
use support::parsed::Parsed;
use znippy::archive::Archive;
use znippy::extract;
use znippy::format::hash::hash;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};

/// No round may take longer, on a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(20);

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
