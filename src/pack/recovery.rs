//! Recovery records while an archive is made: what the sequencer notes becomes a record behind each blob, and the index
//! becomes records behind all of them.
//!
//! A record depends on the order of units alone, as blocks do. The records behind blobs are for archives that are cut:
//! they know the files so far. Entries without bytes, further names and what was taken from another archive stand in
//! the copies of the index, and so do all files once more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::Result;
use crate::format::blobs;
use crate::format::codec::Compressor;
use crate::format::hash::{Digest, hash};
use crate::format::recovery::{self, BlobFact, FileFact, Rows, SliceFact, What};
use crate::options::{Key, Options, Profile};
use crate::pack::batch::Batch;
use crate::pack::entry::NewEntry;
use crate::pack::output::Output;
use crate::pack::pipeline::Written;
use crate::pack::policy::Policy;
use crate::pack::scan::{NO_MODE, NO_MTIME};
use crate::pack::sequence::Slice;

/// Level of records.
const LEVEL: i32 = 3;
/// Most slices, and most files, that wait for a blob to stand behind.
const MAX_WAITING: usize = 1 << 20;
/// Most slices, and most files, in one record.
const MAX_NOTED: usize = 1 << 17;

/// A slice of a file, in the order in which files were read.
#[derive(Clone, Copy)]
pub(super) struct Noted {
    pub(super) entry: u32,
    pub(super) seq: u32,
    pub(super) offset: u64,
    pub(super) slice: u32,
}

/// A file whose slices are all noted.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    pub(super) entry: u32,
    pub(super) slices: u32,
    /// `None` where it is known from elsewhere.
    pub(super) size: Option<u64>,
    pub(super) hash: Option<Digest>,
}

/// What the sequencer notes.
#[derive(Default)]
pub(super) struct Log {
    slices: Vec<Noted>,
    files: Vec<Ended>,
    by_block: HashMap<u32, (Vec<Noted>, Vec<Ended>)>,
}

impl Log {
    pub(super) fn slice(&mut self, noted: Noted) {
        if self.slices.len() < MAX_WAITING {
            self.slices.push(noted);
        }
    }

    pub(super) fn file(&mut self, ended: Ended) {
        if self.files.len() < MAX_WAITING {
            self.files.push(ended);
        }
    }

    /// A block has its number: what waited and is in blocks with numbers goes behind it. A file has ended where none of its
    /// slices waits: nothing more is told of it then.
    pub(super) fn attach(&mut self, block: u32, has_number: impl Fn(u32) -> bool) {
        let (mut ready, mut left) = (Vec::new(), Vec::new());
        for noted in self.slices.drain(..) {
            let goes = ready.len() < MAX_NOTED && has_number(noted.slice);
            if goes { ready.push(noted) } else { left.push(noted) }
        }
        let waiting: HashSet<u32> = left.iter().map(|noted| noted.entry).collect();
        self.slices = left;
        let (mut ended, mut left) = (Vec::new(), Vec::new());
        for file in self.files.drain(..) {
            let goes = ended.len() < MAX_NOTED && !waiting.contains(&file.entry);
            if goes { ended.push(file) } else { left.push(file) }
        }
        self.files = left;
        self.by_block.insert(block, (ready, ended));
    }

    pub(super) fn take(&mut self, block: u32) -> (Vec<Noted>, Vec<Ended>) {
        self.by_block.remove(&block).unwrap_or_default()
    }
}

/// What is known of a file that was added on its own.
struct Single {
    path: Vec<u8>,
    mode: Option<u32>,
    mtime_ns: Option<i64>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: u64,
}

/// Writes records.
pub(super) struct Recorder {
    compressor: Compressor,
    policy: Policy,
    trees: Vec<Arc<Batch>>,
    singles: HashMap<u32, Single>,
    /// Where records stand, for the blob table.
    fillers: Vec<blobs::Blob>,
}

impl Recorder {
    /// One, where the options ask for records.
    pub(super) fn new(options: &Options) -> Result<Option<Recorder>> {
        if !options.flag(Key::Recovery) || options.layout().profile == Profile::Version3 {
            return Ok(None);
        }
        let (compressor, policy) = (Compressor::new(LEVEL, 1 << 20)?, Policy::new(options));
        Ok(Some(Recorder { compressor, policy, trees: Vec::new(), singles: HashMap::new(), fillers: Vec::new() }))
    }

    /// The files of a tree, which has its numbers.
    pub(super) fn tree(&mut self, batch: &Arc<Batch>) {
        self.trees.push(Arc::clone(batch));
    }

    /// A file that is added on its own.
    pub(super) fn single(&mut self, number: u32, entry: &NewEntry<'_>, size: u64) {
        let single = Single {
            path: entry.path.to_vec(),
            mode: entry.mode,
            mtime_ns: entry.mtime_ns,
            uid: entry.uid,
            gid: entry.gid,
            size,
        };
        self.singles.insert(number, single);
    }

    /// Records so far.
    pub(super) fn fillers(&self) -> &[blobs::Blob] {
        &self.fillers
    }

    /// Writes the record of a blob, behind it.
    pub(super) fn blob(
        &mut self,
        written: &Written,
        number: u32,
        (slices, files): (Vec<Noted>, Vec<Ended>),
        slice_of: impl Fn(u32) -> Slice,
        output: &mut Output,
    ) -> Result<()> {
        let blobs::Blob { offset, stored, decoded, hash } = written.blob;
        let mut rows =
            Rows { blob: BlobFact { offset, stored, decoded, codec: written.codec, hash }, ..Rows::default() };
        let mut places = HashMap::new();
        for noted in slices {
            let Some(path) = self.path(noted.entry, &mut places, &mut rows.paths) else { continue };
            let slice = slice_of(noted.slice);
            rows.slices.push(SliceFact {
                path,
                seq: noted.seq,
                offset: noted.offset,
                size: slice.len,
                start: (slice.block == number).then_some(slice.start),
                checksum: slice.checksum,
            });
        }
        for ended in files {
            let Some(path) = self.path(ended.entry, &mut places, &mut rows.paths) else { continue };
            rows.files.extend(self.file(&ended, path));
            self.singles.remove(&ended.entry);
        }
        self.write(What::Rows, 0, &rows.encode(), output)
    }

    /// Writes a record.
    pub(super) fn write(&mut self, what: What, number: u32, content: &[u8], output: &mut Output) -> Result<()> {
        let offset = output.position();
        let record = recovery::encode(what, number, content, offset, Some(&mut self.compressor))?;
        output.append(&record)?;
        self.fillers.push(blobs::Blob { offset, stored: record.len() as u64, decoded: 0, hash: hash(&record) });
        Ok(())
    }

    /// The place of an entry's path among those of the record.
    fn path(&self, entry: u32, places: &mut HashMap<u32, u32>, paths: &mut Vec<Vec<u8>>) -> Option<u32> {
        if let Some(place) = places.get(&entry) {
            return Some(*place);
        }
        let mut path = Vec::new();
        match self.singles.get(&entry) {
            Some(single) => path.extend_from_slice(&single.path),
            None => {
                let batch = self.batch(entry)?;
                batch.path(batch.tree.records.get((entry - batch.first) as usize)?, &mut path);
            }
        }
        places.insert(entry, paths.len() as u32);
        paths.push(path);
        Some(paths.len() as u32 - 1)
    }

    fn batch(&self, entry: u32) -> Option<&Arc<Batch>> {
        self.trees.partition_point(|batch| batch.first <= entry).checked_sub(1).map(|at| &self.trees[at])
    }

    fn file(&self, ended: &Ended, path: u32) -> Option<FileFact> {
        let (slices, hash) = (ended.slices, ended.hash);
        if let Some(single) = self.singles.get(&ended.entry) {
            let Single { mode, mtime_ns, uid, gid, .. } = *single;
            let mode = mode.map(|mode| self.policy.mode(crate::format::row::EntryKind::File, mode));
            let mtime_ns = Some(self.policy.mtime(mtime_ns.unwrap_or(NO_MTIME))).filter(|mtime| *mtime != NO_MTIME);
            let size = ended.size.unwrap_or(single.size);
            return Some(FileFact { path, slices, size, mode, mtime_ns, uid, gid, hash });
        }
        let batch = self.batch(ended.entry)?;
        let record = batch.tree.records.get((ended.entry - batch.first) as usize)?;
        let extra = batch.tree.extra(record);
        Some(FileFact {
            path,
            slices,
            size: record.size,
            mode: (record.mode != NO_MODE).then(|| self.policy.mode(record.kind, u32::from(record.mode))),
            mtime_ns: Some(self.policy.mtime(record.mtime_ns)).filter(|mtime| *mtime != NO_MTIME),
            uid: extra.and_then(|extra| extra.uid),
            gid: extra.and_then(|extra| extra.gid),
            hash,
        })
    }
}
