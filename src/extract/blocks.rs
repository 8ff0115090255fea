//! The work of a thread: read and decode a block, check the slices in memory, and only then write their files.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};

use crate::beneath::is_out_of_descriptors;
use crate::error::{Error, Result, Status};
use crate::extract::handles::Handles;
use crate::extract::job::Job;
use crate::extract::modes::Modes;
use crate::extract::plan::Plan;
use crate::extract::records::{NO_BLOCK, Slice, Target};
use crate::extract::sandbox::{self, Directory};
use crate::extract::tree::Node;
use crate::format::codec::Decompressor;
use crate::format::hash::{UNRECORDED, hash};
use crate::format::row::CODEC_STORED;
use crate::options::Options;
use crate::progress::Reporter;
use crate::stats::Stats;
use crate::sync;

/// Decoded bytes of small blocks that make a task, so that handing out tasks doesn't count.
const TASK_BYTES: u64 = 1 << 20;
/// Slices of a task that are enough, and most of one that is a part of a block.
const TASK_SLICES: usize = 1024;
/// Blocks at the end, for each thread, that are shared between threads.
const SHARED_BLOCKS: usize = 2;
/// Between so many files a thread looks whether it should go on.
const FILES_BETWEEN_CHECKS: usize = 16;

/// Writes all files of the plan.
pub(super) fn write_files(job: &Job<'_>, options: &Options, reporter: &mut Reporter) -> Result<()> {
    let threads = options.threads_within(job.threads, 0, job.plan.block_memory())?;
    let tasks = job.plan.tasks(TASK_BYTES, TASK_SLICES, SHARED_BLOCKS * threads);
    let result = sync::for_each(
        threads,
        "znippy-extract",
        reporter,
        tasks,
        || Worker::new(job),
        |worker, task| worker.run(&job.plan.slices[task]),
    );
    if result.is_err() || job.failures.any() {
        job.unfinished.remove(job.root, job.plan);
    }
    result
}

struct Worker<'a> {
    job: &'a Job<'a>,
    decompressor: Decompressor,
    stored: Vec<u8>,
    block: Vec<u8>,
    /// The number of the block that `block` holds, and how many of its bytes.
    decoded: Option<(u32, usize)>,
    handles: Handles,
    modes: Modes,
}

impl<'a> Worker<'a> {
    fn new(job: &'a Job<'a>) -> Result<Worker<'a>> {
        let untrusted = job.settings.limits.are_of_untrusted();
        Ok(Worker {
            job,
            decompressor: if untrusted { Decompressor::of_untrusted() } else { Decompressor::new() }?,
            stored: Vec::new(),
            block: Vec::new(),
            decoded: None,
            handles: Handles::new(job.threads),
            modes: Modes::of_worker(job),
        })
    }

    fn run(&mut self, slices: &[Slice]) -> Result<()> {
        let mut done = Stats::default();
        for of_block in slices.chunk_by(|a, b| a.block == b.block) {
            self.job.check()?;
            let needed = of_block.iter().map(|slice| slice.range().end).max().unwrap_or(0);
            if let Err(error) = self.decode(of_block[0].block, needed, &mut done) {
                for slice in of_block {
                    self.failed(slice, error.clone())?;
                }
                continue;
            }
            for slice in of_block {
                if let Err(error) = self.check(slice) {
                    self.failed(slice, error)?;
                }
            }
            for some in of_block.chunks(FILES_BETWEEN_CHECKS) {
                self.job.check()?;
                let before = (done.files, done.bytes_out);
                let plan = self.job.plan;
                for of_file in some.chunk_by(|a, b| plan.file_number(a) == plan.file_number(b)) {
                    // What failed before, or has no right bytes, is not written.
                    if self.job.failures.any() && self.job.failures.has_file(plan.file_number(&of_file[0])) {
                        continue;
                    }
                    if let Err(error) = self.write(of_file, &mut done) {
                        self.failed(&of_file[0], error)?;
                    }
                }
                self.job.counters.add(done.files - before.0, done.bytes_out - before.1);
            }
        }
        let mut stats = self.job.stats();
        stats.add_written(&done);
        Ok(())
    }

    /// Notes that the file of a slice failed; the error comes back where that ends the job.
    fn failed(&self, slice: &Slice, error: Error) -> Result<()> {
        let plan = self.job.plan;
        self.job.failures.note_file(plan.file_number(slice), plan.tree.named(plan.file_of(slice), error))
    }

    /// Decodes at least the first `needed` bytes of a block: what lies behind the last slice that is wanted is not.
    fn decode(&mut self, number: u32, needed: usize, done: &mut Stats) -> Result<()> {
        if number == NO_BLOCK || self.decoded.is_some_and(|(held, len)| held == number && len >= needed) {
            return Ok(());
        }
        self.decoded = None;
        let at = self.job.plan.blocks[number as usize].location();
        let (decompressor, stored) = (&mut self.decompressor, &mut self.stored);
        self.job.archive.read_block(&at, needed, decompressor, stored, &mut self.block)?;
        self.decoded = Some((number, self.block.len()));
        done.bytes_in += at.blob_size;
        Ok(())
    }

    fn check(&self, slice: &Slice) -> Result<()> {
        if slice.block == NO_BLOCK || slice.checksum == UNRECORDED || hash(self.bytes(slice)?) == slice.checksum {
            return Ok(());
        }
        let error =
            Error::refused(Status::Checksum, "slice.hash", "the archive is damaged here; nothing of it was written");
        Err(self.job.plan.tree.named(self.job.plan.file_of(slice), error))
    }

    fn bytes(&self, slice: &Slice) -> Result<&[u8]> {
        if slice.block == NO_BLOCK {
            return Ok(&[]);
        }
        self.block.get(slice.range()).ok_or_else(|| Error::corrupt("index.block", "the slice lies outside its block"))
    }

    /// Writes slices of one file.
    fn write(&mut self, slices: &[Slice], done: &mut Stats) -> Result<()> {
        match self.try_write(slices, done) {
            // Other parts of the process take descriptors too: try again with fewer handles.
            Err(error) if is_out_of_descriptors(error.os_code()) && self.handles.shrink() => {
                self.try_write(slices, done)
            }
            result => result,
        }
    }

    fn try_write(&mut self, slices: &[Slice], done: &mut Stats) -> Result<()> {
        let (job, block) = (self.job, &self.block);
        let bytes = |slice: &Slice| match slice.block {
            NO_BLOCK => &[][..],
            _ => block.get(slice.range()).unwrap_or_default(),
        };
        let node = job.plan.file_of(&slices[0]);
        let directory = self.handles.get(job.root, &job.plan.tree, node.directory)?;
        let finished = match slices[0].target() {
            Target::File(number) => {
                let fill = |file: BorrowedFd<'_>| sandbox::write_at(file, bytes(&slices[0]), 0);
                Some(create_whole(job, directory, &self.modes, node, number, fill)?)
            }
            Target::Piece(piece) => {
                let big = job.plan.pieces[piece as usize].big;
                let pieces = slices.iter().filter_map(|slice| match slice.target() {
                    Target::Piece(piece) => Some((&job.plan.pieces[piece as usize], bytes(slice))),
                    Target::File(_) => None,
                });
                job.unfinished.write(job, directory, &self.modes, big, pieces)?
            }
        };
        if let Some(replaced) = finished {
            done.files += 1;
            done.count_made(replaced);
        }
        for slice in slices {
            let len = bytes(slice).len() as u64;
            done.slices += u64::from(len > 0);
            done.bytes_out += len;
        }
        Ok(())
    }
}

/// Makes a file that `fill` gives its bytes at once: under its own name as a rule, since they were checked.
/// Returns whether it took the place of something else.
pub(super) fn create_whole(
    job: &Job<'_>,
    directory: &Directory,
    modes: &Modes,
    node: &Node,
    number: u32,
    fill: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<bool> {
    let name = job.plan.tree.name(node);
    let creation = modes.creation(job.policy, node);
    let mode = creation.mode;
    let temporary = job.root.temporary_name(u64::from(number));
    let under_its_name = if job.settings.named_last { None } else { Some(directory.create(Cow::Borrowed(name), mode)) };
    let (file, named) = match under_its_name {
        Some(Err(error)) if !(job.replace && error.status() == Status::Exists) => return Err(error),
        Some(Ok(file)) => (file, true),
        _ => (directory.create(Cow::Borrowed(&temporary), mode)?, false),
    };
    fill(file.as_fd())?;
    if modes.has_its_mode(file.as_fd(), creation)? {
        job.policy.apply_time(file.as_fd(), node.mtime_ns())?;
    } else {
        job.policy.apply(file.as_fd(), node, &job.plan.tree)?;
    }
    job.note_made(number, file.as_fd())?;
    let replaced = !named && job.put(directory, &temporary, name)?;
    drop(file.keep());
    Ok(replaced)
}

/// Counts what the blocks of a plan are.
pub(super) fn count_blocks(plan: &Plan, stats: &mut Stats) {
    stats.blocks = plan.blocks.len() as u64;
    for block in &plan.blocks {
        let at = block.location();
        if at.codec == CODEC_STORED {
            stats.bytes_stored += at.block_size;
        } else {
            stats.bytes_compressed_in += at.block_size;
            stats.bytes_compressed_out += at.blob_size;
        }
    }
    stats.bytes_holes = plan.holes();
}
