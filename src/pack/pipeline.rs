//! The river: readers fill buffers, workers take units and blocks off global queues, blobs are written in order.
//!
//! The calling thread is the sequencer, the one writer and the one who reports progress; workers read, hash,
//! probe and compress, blocks before units, so that work in flight drains before more is begun. Units are begun
//! in plan order and only when a buffer is free, and the oldest unit always has its buffer, so nothing can
//! starve. An error or a cancel triggers `stop`, which every stage looks at; all workers are joined at return.

use std::collections::{HashMap, VecDeque};

use crate::beneath::{Root, threads_within_descriptors};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::blobs;
use crate::format::codec;
use crate::format::row::CODEC_STORED;
use crate::options::{Key, Layout, Options};
use crate::pack::compress::{Blob, Packer};
use crate::pack::output::Output;
use crate::pack::plan::Plan;
use crate::pack::read::{ReadUnit, Reader};
use crate::pack::scan::Tree;
use crate::pack::sequence::{Block, Sequenced, Sequencer};
use crate::progress::{CancelToken, Reporter};
use crate::stats::Stats;
use crate::sync::{self, Receiver, RecvTimeoutError, Sender, unbounded};

/// A blob that was written.
pub(super) struct Written {
    pub(super) blob: blobs::Blob,
    pub(super) codec: u8,
}

/// What the pipeline leaves for the finish.
pub(super) struct Packed<'a> {
    pub(super) sequencer: Sequencer<'a>,
    pub(super) written: Vec<Written>,
    /// Why files were left out.
    pub(super) skipped: Vec<Error>,
    pub(super) stats: Stats,
}

/// Threads, and buffers for units and blocks in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Budget {
    threads: usize,
    buffers: usize,
}

/// Reads, compresses and writes everything that the plan names.
pub(super) fn run<'a>(
    root: &Root,
    tree: &'a Tree,
    plan: &'a Plan,
    layout: &'a Layout,
    options: &Options,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<Packed<'a>> {
    let budget = budget(options, layout, plan.longest)?;
    let stop = CancelToken::new();
    let lenient = options.flag(Key::OnError);
    let (read_sender, reads) = unbounded::<(usize, Vec<u8>)>();
    let (block_sender, blocks) = unbounded::<(Block, Vec<u8>)>();
    let (done_sender, done) = unbounded::<Result<Done>>();
    std::thread::scope(|scope| {
        sync::spawn_workers(scope, budget.threads, "znippy-pack", || {
            let (reads, blocks, sender, stop) = (reads.clone(), blocks.clone(), done_sender.clone(), stop.clone());
            move || {
                let result = sync::catch(|| {
                    let reader = Reader::new(root, tree, plan, layout, lenient, budget.threads, &stop)?;
                    let packer = Packer::new(layout.level, &stop)?;
                    work(reader, packer, tree, plan, &reads, &blocks, &sender)
                });
                if let Err(error) = result {
                    let _ = sender.send(Err(error));
                }
            }
        })?;
        // Only workers hold these ends now, so that their loss is noticed here.
        drop((reads, blocks, done_sender));
        let coordinator = Coordinator {
            tree,
            plan,
            output,
            budget,
            unit_sender: read_sender,
            block_sender,
            done,
            sequencer: Sequencer::new(tree, plan, layout)?,
            next_unit: 0,
            next_sequenced: 0,
            arrived: HashMap::new(),
            queued: VecDeque::new(),
            compressing: 0,
            compressed: HashMap::new(),
            free: Vec::new(),
            made: 0,
            frames: Vec::new(),
            written: Vec::new(),
            skipped: Vec::new(),
            stats: Stats::default(),
        };
        let packed = coordinator.run(reporter);
        if packed.is_err() {
            stop.trigger();
        }
        packed
    })
}

/// What a worker sends.
enum Done {
    Read(usize, Vec<u8>, ReadUnit),
    Blob(Blob),
}

/// A worker: blocks first, then units, until both queues are closed.
fn work(
    mut reader: Reader<'_>,
    mut packer: Packer<'_>,
    tree: &Tree,
    plan: &Plan,
    reads: &Receiver<(usize, Vec<u8>)>,
    blocks: &Receiver<(Block, Vec<u8>)>,
    done: &Sender<Result<Done>>,
) -> Result<()> {
    let mut select = crossbeam_channel::Select::new_biased();
    let from_blocks = select.recv(blocks);
    select.recv(reads);
    loop {
        let operation = select.select();
        let sent = if operation.index() == from_blocks {
            let Ok((block, frame)) = operation.recv(blocks) else { return Ok(()) };
            done.send(Ok(Done::Blob(packer.pack(block, frame)?)))
        } else {
            let Ok((number, mut buffer)) = operation.recv(reads) else { return Ok(()) };
            let read = reader.read(&plan.unit(number, tree), &mut buffer)?;
            done.send(Ok(Done::Read(number, buffer, read)))
        };
        if sent.is_err() {
            return Ok(());
        }
    }
}

struct Coordinator<'a, 'b> {
    tree: &'a Tree,
    plan: &'a Plan,
    output: &'b mut Output,
    budget: Budget,
    unit_sender: Sender<(usize, Vec<u8>)>,
    block_sender: Sender<(Block, Vec<u8>)>,
    done: Receiver<Result<Done>>,
    sequencer: Sequencer<'a>,
    next_unit: usize,
    next_sequenced: usize,
    /// Units that were read before their turn.
    arrived: HashMap<usize, (Vec<u8>, ReadUnit)>,
    /// Blocks that wait for a worker.
    queued: VecDeque<Block>,
    /// Blocks that were sent and not written yet.
    compressing: usize,
    /// Blobs before their turn.
    compressed: HashMap<u32, Blob>,
    free: Vec<Vec<u8>>,
    made: usize,
    frames: Vec<Vec<u8>>,
    written: Vec<Written>,
    skipped: Vec<Error>,
    stats: Stats,
}

impl<'a> Coordinator<'a, '_> {
    fn run(mut self, reporter: &mut Reporter) -> Result<Packed<'a>> {
        let counters = reporter.counters();
        let mut ended = false;
        loop {
            self.begin_units()?;
            self.send_blocks();
            if self.next_sequenced == self.plan.units && !ended {
                ended = true;
                let out = self.sequencer.end();
                self.take(out, reporter);
                continue;
            }
            if ended && self.queued.is_empty() && self.compressing == 0 {
                break;
            }
            match self.done.recv_timeout(reporter.patience()) {
                Ok(done) => match done? {
                    Done::Read(number, buffer, read) => {
                        self.arrived.insert(number, (buffer, read));
                        self.sequence(reporter)?;
                    }
                    Done::Blob(blob) => {
                        self.compressed.insert(blob.number, blob);
                        self.write(&counters)?;
                    }
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Status::Panic, "all workers ended before the work did"));
                }
            }
            reporter.tick(None)?;
        }
        let mut stats = self.sequencer.stats;
        stats.blocks = self.stats.blocks;
        stats.bytes_stored = self.stats.bytes_stored;
        stats.bytes_compressed_in = self.stats.bytes_compressed_in;
        stats.bytes_compressed_out = self.stats.bytes_compressed_out;
        Ok(Packed { sequencer: self.sequencer, written: self.written, skipped: self.skipped, stats })
    }

    fn begin_units(&mut self) -> Result<()> {
        while self.next_unit < self.plan.units {
            let buffer = match self.free.pop() {
                Some(buffer) => buffer,
                None if self.made < self.budget.buffers => {
                    self.made += 1;
                    zeroed(self.plan.longest)?
                }
                None => return Ok(()),
            };
            // A closed queue means that all workers are gone, which the next receive reports.
            let _ = self.unit_sender.send((self.next_unit, buffer));
            self.next_unit += 1;
        }
        Ok(())
    }

    fn send_blocks(&mut self) {
        while self.compressing < self.budget.buffers {
            let Some(block) = self.queued.pop_front() else { return };
            let frame = self.frames.pop().unwrap_or_default();
            let _ = self.block_sender.send((block, frame));
            self.compressing += 1;
        }
    }

    fn sequence(&mut self, reporter: &mut Reporter) -> Result<()> {
        while let Some((buffer, read)) = self.arrived.remove(&self.next_sequenced) {
            let out = self.sequencer.unit(&self.plan.unit(self.next_sequenced, self.tree), buffer, read)?;
            self.next_sequenced += 1;
            self.take(out, reporter);
        }
        Ok(())
    }

    fn take(&mut self, out: Sequenced, reporter: &mut Reporter) {
        self.queued.extend(out.blocks);
        self.free.extend(out.buffers);
        self.skipped.extend(out.skipped);
        reporter.counters().add(out.entries, out.bytes);
    }

    fn write(&mut self, counters: &crate::progress::Counters) -> Result<()> {
        while let Some(blob) = self.compressed.remove(&(self.written.len() as u32)) {
            let offset = self.output.position();
            self.output.append(blob.bytes())?;
            let stored = blob.bytes().len() as u64;
            self.stats.blocks += 1;
            if blob.codec == CODEC_STORED {
                self.stats.bytes_stored += stored;
            } else {
                self.stats.bytes_compressed_in += blob.len as u64;
                self.stats.bytes_compressed_out += stored;
            }
            let record = blobs::Blob { offset, stored, decoded: blob.len as u64, hash: blob.hash };
            self.written.push(Written { blob: record, codec: blob.codec });
            counters.add(0, blob.len as u64);
            self.compressing -= 1;
            self.free.push(blob.buffer);
            self.frames.push(blob.frame);
        }
        Ok(())
    }
}

/// Threads and buffers within the memory limit. The limit lowers threads and never changes the bytes.
fn budget(options: &Options, layout: &Layout, longest: usize) -> Result<Budget> {
    let wanted = threads_within_descriptors(options.threads());
    let limit = usize::try_from(options.get(Key::MemoryLimit)).unwrap_or(usize::MAX);
    // Two buffers a thread, so that one fills while the other drains; one is kept by the sequencer, one moves.
    let full = |threads: usize| Budget { threads, buffers: 2 * threads + 2 };
    if limit == 0 {
        return Ok(full(wanted));
    }
    let cost = |budget: &Budget| {
        budget.threads * context_bytes(layout.level) + budget.buffers * (longest + codec::bound(longest))
    };
    let least = Budget { threads: 1, buffers: 3 };
    let candidates = (1..=wanted).rev().map(full).chain([least]);
    candidates.into_iter().find(|budget| cost(budget) <= limit).ok_or_else(|| {
        let why = format!(
            "a memory limit of {limit} bytes is too low for these block sizes and level: {} are needed",
            cost(&least)
        );
        Error::new(Status::Limit, why)
    })
}

/// Most bytes of a zstd context at a level, for blocks of up to 64 MiB, rounded up from what contexts report.
fn context_bytes(level: i32) -> usize {
    const MIB: usize = 1 << 20;
    match level {
        ..=4 => 8 * MIB,
        5..=9 => 32 * MIB,
        10..=15 => 64 * MIB,
        16..=19 => 128 * MIB,
        _ => 1024 * MIB,
    }
}
