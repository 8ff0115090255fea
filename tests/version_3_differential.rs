//! The reader of 0.10.1 beside ours, on archives of version 3 that were damaged or put together otherwise: whatever both
//! read is the same, and what the other reads of a whole archive is read here.
//!
//! `scripts/campaign-differential.sh` builds that reader (`tests/version_3_peer`) and runs this, by `ZNIPPY_PEER_READER`,
//! `ZNIPPY_ROUNDS` and `ZNIPPY_SEED`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "version_3_support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use support::Dice;
use support::damaged::{LONGEST, Original, damage, number, open, originals, spoil_manifest};
use support::parsed::Parsed;
use znippy::error::Result;
use znippy::format::hash::hash;
use znippy::format::row::EntryKind;

/// What a reader makes of a file: its hash, or nothing where it refuses it.
type Files = BTreeMap<Vec<u8>, Option<[u8; 32]>>;

#[test]
#[ignore = "asks a reader of 0.10.1: scripts/campaign-differential.sh"]
fn what_both_readers_of_version_3_read_is_the_same() {
    let (rounds, seed) = (number("ZNIPPY_ROUNDS", 1000), number("ZNIPPY_SEED", 1));
    let mut peer = Peer::new(std::env::var_os("ZNIPPY_PEER_READER").expect("ZNIPPY_PEER_READER names the reader"));
    let originals = originals();
    let parsed: Vec<Parsed> = originals.iter().map(|original| Parsed::new(&original.bytes)).collect();
    let right: Vec<HashSet<[u8; 32]>> =
        originals.iter().map(|original| original.files.values().map(|bytes| hash(bytes)).collect()).collect();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("archive.znippy");
    let mut counts = Counts::default();
    for round in 0..rounds {
        let mut dice = Dice::new(seed, round);
        let choice = dice.roll(originals.len());
        let (bytes, is_whole) = changed(&originals[choice], &parsed[choice], &mut dice);
        std::fs::write(&place, &bytes).unwrap();
        let ours = read_here(bytes);
        let theirs = peer.read(&place, &mut counts);
        let at = format!("round {round} of seed {seed}, {}", originals[choice].name);
        compare(&ours, &theirs, &originals[choice], &right[choice], is_whole, &at, &mut counts);
    }
    println!("differential: {rounds} archives from {} with seed {seed}: {counts:?}", originals.len());
    assert!(counts.same > rounds && counts.only_here > 0, "{counts:?}");
}

/// What the readers made of all files of all archives.
#[derive(Debug, Default)]
struct Counts {
    /// Archives that were rearranged and are as whole as before.
    whole: u64,
    /// Files that both read, with the same bytes.
    same: u64,
    /// Files that both read, with other bytes, where ours says that nothing proves them.
    unverified: u64,
    /// Files that both read, with other bytes: ours are right.
    wrong_there: u64,
    /// Files that both read, of which ours are short by whole slices, since version 3 records no size of the whole.
    short_here: u64,
    /// Files that were read right, by one alone.
    only_here: u64,
    only_there: u64,
    /// What became of the other reader.
    panics: u64,
    deaths: u64,
}

fn compare(
    ours: &Ours,
    theirs: &Files,
    original: &Original,
    right: &HashSet<[u8; 32]>,
    is_whole: bool,
    at: &str,
    counts: &mut Counts,
) {
    counts.whole += u64::from(is_whole);
    let names: HashSet<&Vec<u8>> = ours.files.keys().chain(theirs.keys()).collect();
    for name in names {
        let find = |files: &Files| files.get(name).copied().flatten();
        let text = String::from_utf8_lossy(name);
        // Whatever is read here and said to be proven is right, or short where rows of the file are gone from the index.
        let proven = find(&ours.files).filter(|_| !ours.unverified.contains(name));
        let is_short = proven.is_some_and(|here| !right.contains(&here));
        if is_short {
            let whole = String::from_utf8(name.clone()).ok().and_then(|name| original.files.get(&name));
            let start = whole.and_then(|whole| whole.get(..ours.lengths[name]));
            assert_eq!(start.map(hash), proven, "{at}: {text} is neither right nor short here");
        }
        match (find(&ours.files), find(theirs)) {
            (Some(here), Some(there)) if here == there => counts.same += 1,
            (Some(_), Some(_)) if proven.is_none() => counts.unverified += 1,
            // A section that repeats the rows, which the other looks into, has them.
            (Some(_), Some(_)) if is_short => counts.short_here += 1,
            (Some(_), Some(_)) => counts.wrong_there += 1,
            // Of a whole archive too: what is read here alone is no loss.
            (Some(_), None) => counts.only_here += 1,
            (None, Some(there)) if right.contains(&there) => {
                assert!(!is_whole, "{at}: {text} is read there alone");
                counts.only_there += 1;
                if std::env::var_os("ZNIPPY_PEER_TELL").is_some() {
                    println!("only there: {at}: {text}: {}", ours.refused);
                }
            }
            (None, _) => {}
        }
    }
}

/// An archive that was damaged, rearranged, or rearranged and spoilt; and whether it is as whole as before.
fn changed(original: &Original, parsed: &Parsed, dice: &mut Dice) -> (Vec<u8>, bool) {
    let how = dice.roll(4);
    if how < 2 {
        return (damage(&original.bytes, dice), false);
    }
    let mut changed = parsed.clone();
    changed.rearrange(dice);
    if how == 2 {
        return (changed.craft().finish(), true);
    }
    changed.spoil(dice);
    let mut made = changed.craft();
    if dice.roll(2) == 0 {
        spoil_manifest(&mut made, dice);
    }
    (made.finish(), false)
}

/// What our reader makes of an archive.
#[derive(Default)]
struct Ours {
    files: Files,
    lengths: BTreeMap<Vec<u8>, usize>,
    /// Files that nothing proves.
    unverified: HashSet<Vec<u8>>,
    /// Why the last thing was refused.
    refused: String,
}

fn read_here(bytes: Vec<u8>) -> Ours {
    let mut ours = Ours::default();
    if let Err(error) = read_all(bytes, &mut ours) {
        ours.refused = error.message().to_owned();
    }
    ours
}

fn read_all(bytes: Vec<u8>, ours: &mut Ours) -> Result<()> {
    let archive = open(bytes)?;
    let listing = archive.list(0, usize::MAX)?;
    for entry in (0..listing.len()).filter_map(|position| listing.get(position)) {
        if entry.kind == EntryKind::File as u8 {
            let name = entry.path.to_vec();
            if entry.unverified {
                ours.unverified.insert(name.clone());
            }
            let read = archive.read(entry.index, LONGEST);
            if let Err(error) = &read {
                ours.refused = error.message().to_owned();
            }
            ours.lengths.insert(name.clone(), read.as_ref().map_or(0, Vec::len));
            ours.files.insert(name, read.ok().map(|bytes| hash(&bytes)));
        }
    }
    Ok(())
}

/// The other reader, in a process of its own that may die.
struct Peer {
    program: std::ffi::OsString,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn new(program: std::ffi::OsString) -> Peer {
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Peer { program, child, questions, answers }
    }

    fn read(&mut self, archive: &Path, counts: &mut Counts) -> Files {
        let mut files = Files::new();
        writeln!(self.questions, "{}", archive.display()).unwrap();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).unwrap() == 0 {
                // Killed by itself for taking too long, by a limit of memory or by a stack that ended.
                counts.deaths += 1;
                self.child.wait().unwrap();
                *self = Peer::new(self.program.clone());
                return Files::new();
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let digest = |digits| Some(bytes_of(digits).try_into().unwrap());
            match words[..] {
                [] => return files,
                ["file", name, digits] => _ = files.insert(bytes_of(name), digest(digits)),
                // The empty name.
                ["file", digits] => _ = files.insert(Vec::new(), digest(digits)),
                ["refused", name] => _ = files.insert(bytes_of(name), None),
                ["panic"] => counts.panics += 1,
                _ => {}
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes_of(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}
