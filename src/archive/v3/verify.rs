//! Verification of version 3: the structure of the index, and every slice against its checksum, where it has one. There
//! is no hash over stored bytes or over the index, so a quick check has nothing to go by and this one stands for both.

use std::time::Instant;

use crate::archive::Archive;
use crate::archive::read::check_slice;
use crate::archive::structure::StructureWalk;
use crate::error::{Result, reserve};
use crate::format::codec::Decompressor;
use crate::format::hash::{Digest, UNRECORDED};
use crate::format::in_memory;
use crate::format::row::{CODEC_STORED, EntryKind, Location};
use crate::options::Options;
use crate::progress::{Phase, Reporter};
use crate::stats::Stats;
use crate::sync;

struct Slice {
    at: Location,
    checksum: Digest,
    entry: u64,
    /// Whether it is the entry's last one.
    last: bool,
}

impl Archive {
    /// See the module.
    pub(in crate::archive) fn verify_version_3(&self, options: &Options) -> Result<Stats> {
        let started = Instant::now();
        let mut reporter = Reporter::new(options.progress(), options.cancel().clone(), options.progress_interval());
        reporter.begin(Phase::List, self.entry_count(), u64::MAX)?;
        let (slices, mut stats) = self.survey(&mut reporter)?;
        let bytes = slices.iter().fold(0, |sum: u64, slice| sum.saturating_add(slice.at.block_size));
        reporter.begin(Phase::Verify, stats.files, bytes)?;
        let memory =
            |at: &Location| at.block_size.saturating_add(if at.codec == CODEC_STORED { 0 } else { at.blob_size });
        let largest = slices.iter().map(|slice| memory(&slice.at)).max().unwrap_or(0);
        let threads = options.threads_within(options.threads(), 0, in_memory(largest).max(1 << 20))?;
        let (counters, stop) = (reporter.counters(), reporter.stop());
        let new = || Ok((Decompressor::new()?, Vec::new(), Vec::new()));
        sync::for_each(threads, "znippy-verify", &mut reporter, slices.iter(), new, |tools, slice| {
            stop.check()?;
            let (decompressor, stored, block) = tools;
            self.read_block(&slice.at, in_memory(slice.at.block_size), decompressor, stored, block)
                .and_then(|()| check_slice(block, &slice.checksum))
                .map_err(|error| self.named(error, slice.entry))?;
            counters.add(u64::from(slice.last), slice.at.block_size);
            Ok(())
        })?;
        reporter.end()?;
        stats.bytes_out = self.size();
        stats.bytes_index = self.info().index_size;
        stats.seconds = started.elapsed().as_secs_f64();
        Ok(stats)
    }

    fn survey(&self, reporter: &mut Reporter) -> Result<(Vec<Slice>, Stats)> {
        let (mut slices, mut stats): (Vec<Slice>, Stats) = Default::default();
        let mut walk = StructureWalk::new();
        let mut unverified = None;
        for number in 0..self.manifest().segments.len() {
            let segment = self.load_segment(number)?;
            walk.segment(&segment, |walked| {
                let row = &walked.row;
                let is_file = row.kind == EntryKind::File as u8;
                if let Some(attributes) = &row.attributes {
                    stats.entries = stats.entries.saturating_add(1);
                    stats.bytes_in = stats.bytes_in.saturating_add(attributes.file_size.unwrap_or(0));
                    let of_kind = if is_file { &mut stats.files } else { &mut stats.directories };
                    *of_kind = of_kind.saturating_add(1);
                }
                if is_file && row.checksum == UNRECORDED && unverified != Some(walked.entry) {
                    unverified = Some(walked.entry);
                    stats.unverified = stats.unverified.saturating_add(1);
                }
                let Some(at) = row.location else { return Ok(()) };
                self.codecs().check(at.codec).map_err(|error| error.with_entry(walked.path))?;
                if let Some(before) = slices.last_mut().filter(|before| before.entry == walked.entry) {
                    before.last = false;
                }
                if slices.len() == slices.capacity() {
                    let room = slices.len().max(64);
                    reserve(&mut slices, room)?;
                }
                slices.push(Slice { at, checksum: row.checksum, entry: walked.entry, last: true });
                Ok(())
            })?;
            reporter.counters().add(segment.entries() as u64, 0);
            reporter.tick(None)?;
        }
        stats.slices = slices.len() as u64;
        stats.blocks = stats.slices;
        Ok((slices, stats))
    }

    fn named(&self, error: crate::error::Error, entry: u64) -> crate::error::Error {
        match self.list(entry, 1) {
            Ok(listing) => match listing.get(0) {
                Some(entry) => error.with_entry(entry.path),
                None => error,
            },
            Err(_) => error,
        }
    }
}
