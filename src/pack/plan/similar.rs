//! Which big files resemble one another: versions of a program, bundles of the same sources. They are read in turns, so
//! that what they have in common stands in one block, where zstd finds it.
//!
//! A file is known by features: values of a rolling hash over 64 bytes (the gear hash of Xia et al., *FastCDC*, 2016)
//! at places that the bytes themselves choose, so that what was moved is still found. Of these the smallest are kept:
//! the share of them that two files have in common estimates how much of the files is the same (Broder, *On the
//! resemblance and containment of documents*, 1997).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::beneath::{Access, DirectoryCache, Root, is_out_of_descriptors};
use crate::error::{Error, Result, Status, reserve, zeroed};
use crate::options::Options;
use crate::pack::file;
use crate::pack::plan::{BigFile, Plan};
use crate::pack::probe::Trial;
use crate::pack::scan::{Record, Tree};
use crate::progress::Reporter;
use crate::sync;

/// Of a file three parts of so many bytes are looked at: its start, its middle and its end.
const PART: u64 = 2 << 20;
/// One place in so many (a power of two) is a feature.
const SPACING: u64 = 1 << 11;
/// Most features that are kept of a file, and of all files together.
const FEATURES: usize = 64;
const MOST_FEATURES: usize = 1 << 20;
/// Features that are kept while a file is read, before the smallest are taken.
const READ_FEATURES: usize = 1 << 14;
/// What a thread takes: a part, and a context of zstd.
const LOOKER_BYTES: usize = PART as usize + (4 << 20);
/// Files of fewer bytes are not looked at, whatever the options call big.
const LEAST: u64 = 512 << 10;
/// A file joins another where one feature in so many is the same.
const COMMON: usize = 10;

/// Groups of the plan's big files that are to be read in turns, by their numbers: every one is in one group, most of
/// them alone, none with more than `most_together`: they would be farther apart than a block is long. They depend on
/// names and bytes of the files alone.
///
/// # Errors
/// What keeps any file from being read. One that can't be read on its own account resembles none: reading it says why.
pub(in crate::pack) fn groups(
    plan: &Plan,
    (tree, root): (&Tree, &Root),
    most_together: usize,
    options: &Options,
    threads: usize,
    reporter: &mut Reporter,
) -> Result<Vec<Vec<u32>>> {
    let is_candidate = |file: &BigFile| !file.packed && tree.records[file.record as usize].size >= LEAST;
    let candidates = plan.big.iter().filter(|file| is_candidate(file)).count();
    let most = (MOST_FEATURES / candidates.max(1)).clamp(COMMON, FEATURES);
    let mut features: Vec<Vec<u64>> = Vec::new();
    reserve(&mut features, plan.big.len())?;
    features.resize_with(plan.big.len(), Vec::new);
    if candidates > 1 {
        let threads = options.threads_within(threads, 0, LOOKER_BYTES)?;
        let tasks = features.iter_mut().zip(&plan.big).filter(|(_, file)| is_candidate(file));
        let looker = || Looker::new(tree, root, options, threads);
        sync::for_each(threads, "znippy-scan", reporter, tasks, looker, |looker, (features, file)| {
            *features = looker.look(&tree.records[file.record as usize], most)?;
            Ok(())
        })?;
    }
    group(&features, most_together)
}

/// Looks at files. One a thread.
struct Looker<'a> {
    tree: &'a Tree,
    root: &'a Root,
    options: &'a Options,
    directories: DirectoryCache<OwnedFd>,
    part: Vec<u8>,
    trial: Trial,
}

impl<'a> Looker<'a> {
    fn new(tree: &'a Tree, root: &'a Root, options: &'a Options, threads: usize) -> Result<Looker<'a>> {
        let (directories, part, trial) = (DirectoryCache::new(threads), zeroed(PART as usize)?, Trial::new()?);
        Ok(Looker { tree, root, options, directories, part, trial })
    }

    fn look(&mut self, record: &Record, most: usize) -> Result<Vec<u64>> {
        self.options.cancel().check()?;
        let result = match self.features(record, most) {
            // Other parts of the process take descriptors too: try again with fewer handles.
            Err(error) if is_out_of_descriptors(error.os_code()) && self.directories.shrink() => {
                self.features(record, most)
            }
            result => result,
        };
        match result {
            Err(error) if error.is_about_its_object() => Ok(Vec::new()),
            result => result.map_err(|error| error.with_path(self.tree.host_path(record))),
        }
    }

    fn features(&mut self, record: &Record, most: usize) -> Result<Vec<u64>> {
        let (names, root, number) = (&self.tree.names, self.root, record.name.directory);
        let failed = |errno: Errno| Error::os("can't read the file", errno);
        let open = || root.open(names.directory(number), Access::Handle);
        let directory = self.directories.get(number, open).map_err(failed)?.as_fd();
        let file =
            crate::sys::openat(directory, names.name(record.name), file::FLAGS, Mode::empty()).map_err(failed)?;
        let mut found = Vec::new();
        // Equal noise is found by its hash, and other noise has nothing in common: no more of it is read than tells.
        let sample = |at: usize, sample: &mut [u8]| file::fill(&file, at as u64, sample).map_err(failed).map(drop);
        if self.trial.is_noise(PART.min(record.size) as usize, sample)? {
            return Ok(found);
        }
        for (offset, len) in parts(record.size) {
            let part = &mut self.part[..len];
            // A file that has become shorter is found out when it is packed.
            if !file::fill(&file, offset, part).map_err(failed)? {
                break;
            }
            collect(part, most, &mut found);
        }
        keep_smallest(most, &mut found);
        found.shrink_to_fit();
        Ok(found)
    }
}

/// Offsets and lengths of what is looked at.
fn parts(size: u64) -> impl Iterator<Item = (u64, usize)> {
    let whole = size <= 3 * PART;
    let starts = if whole { [0, PART, 2 * PART] } else { [0, (size - PART) / 2, size - PART] };
    starts.into_iter().filter(move |start| *start < size).map(move |start| (start, PART.min(size - start) as usize))
}

/// The features of some bytes.
///
/// Each step of the hash waits for the one before, so that lanes side by side take 0.62 of the time of one.
fn collect(bytes: &[u8], most: usize, found: &mut Vec<u64>) {
    const LANES: usize = 4;
    // The top bits depend on all of the last 64 bytes.
    let is_feature = |gear: u64| gear >> (64 - SPACING.ilog2()) == 0;
    let step = |gear: u64, byte: u8| (gear << 1).wrapping_add(GEAR[usize::from(byte)]);
    let len = bytes.len() / LANES;
    let mut lanes = bytes.chunks_exact(len.max(1));
    let (Some(first), Some(second), Some(third), Some(fourth)) =
        (lanes.next(), lanes.next(), lanes.next(), lanes.next())
    else {
        return;
    };
    let mut gears = [0u64; LANES];
    for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
        for (gear, byte) in gears.iter_mut().zip([first, second, third, fourth]) {
            *gear = step(*gear, *byte);
            if is_feature(*gear) {
                // Bytes that repeat may be a feature each.
                if found.len() >= READ_FEATURES {
                    keep_smallest(most, found);
                }
                found.push(scatter(*gear));
            }
        }
    }
}

fn keep_smallest(most: usize, found: &mut Vec<u64>) {
    found.sort_unstable();
    found.dedup();
    found.truncate(most);
}

const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = scatter(byte as u64 + 1);
        byte += 1;
    }
    table
};

/// Mixes the bits of a number, as SplitMix64 does (Steele, Lea and Flood, 2014).
const fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Puts each file to the group that it has most features in common with, if those are enough.
fn group(features: &[Vec<u64>], most_together: usize) -> Result<Vec<Vec<u32>>> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    // Features of the first file of each group.
    let mut group_of: HashMap<u64, u32> = HashMap::new();
    let mut votes: HashMap<u32, usize> = HashMap::new();
    for (file, features) in features.iter().enumerate() {
        votes.clear();
        for feature in features {
            if let Some(group) = group_of.get(feature) {
                *votes.entry(*group).or_default() += 1;
            }
        }
        // Of equals the first, whatever the order of the map is.
        let best = votes.iter().map(|(group, votes)| (*votes, Reverse(*group))).max();
        let alike = best.filter(|(votes, _)| votes * COMMON >= features.len());
        match alike.map(|(_, Reverse(group))| group).filter(|group| groups[*group as usize].len() < most_together) {
            Some(group) => groups[group as usize].push(file as u32),
            None => {
                let no_memory = |_| Error::new(Status::NoMemory, "can't allocate room for the features of files");
                group_of.try_reserve(features.len()).map_err(no_memory)?;
                group_of.extend(features.iter().map(|feature| (*feature, groups.len() as u32)));
                groups.push(vec![file as u32]);
            }
        }
    }
    Ok(groups)
}
