//! The river: readers fill buffers, workers take units and blocks off global queues, blobs are written in order.
//!
//! The thread that calls is the sequencer, the one writer and the one who reports progress; workers read, hash,
//! probe and compress, blocks before units, so that work in flight drains before more is begun. Units get their
//! numbers as they are begun, each has a buffer by then, and everything behind goes by these numbers: nothing
//! depends on who finishes first, and the oldest unit always has its buffer, so nothing can starve. An error or a
//! cancel triggers `stop`, which every stage looks at; dropping the pipeline joins all workers.
//!
//! Workers live from the first unit to [`Pipeline::drain`]. Between calls they finish what they have been given;
//! what they made is written by the next call that waits.

mod budget;
mod crew;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::{Error, Result, Status, push, zeroed};
use crate::format::blobs;
use crate::format::hash::Digest;
use crate::format::row::CODEC_STORED;
use crate::options::{Layout, Options};
use crate::pack::append::Existing;
use crate::pack::batch::Batch;
use crate::pack::claims::{Claimer, Claims};
use crate::pack::compress::Packed;
use crate::pack::output::Output;
use crate::pack::pipeline::budget::{Budget, budget};
use crate::pack::pipeline::crew::{Crew, Done};
use crate::pack::read::{Content, ReadUnit, Task};
use crate::pack::recovery::Recorder;
use crate::pack::sequence::{Block, Sequenced, Sequencer};
use crate::progress::Reporter;
use crate::provider::MAX_FILE;
use crate::stats::Stats;
use crate::sync::RecvTimeoutError;

/// A blob that was written.
pub(super) struct Written {
    pub(super) blob: blobs::Blob,
    pub(super) codec: u8,
}

/// What has its turn in the order of units.
enum Arrived {
    Read(Vec<u8>, ReadUnit),
    /// What comes next shares no block with what came before.
    Flush,
    /// A file has ended that had so many windows.
    EndOfFile {
        part: u32,
        windows: u32,
    },
}

/// Everything between what was added and what was written.
pub(super) struct Pipeline {
    options: Options,
    layout: Layout,
    pub(super) output: Output,
    pub(super) sequencer: Sequencer,
    pub(super) written: Vec<Written>,
    /// Blocks by the hashes of their blobs, as far as somebody has looked for one.
    by_hash: HashMap<Digest, u32>,
    hashed: usize,
    /// Why files were left out.
    pub(super) skipped: Vec<Error>,
    /// The archive that is appended to.
    pub(super) existing: Option<Existing>,
    claimer: Arc<Claimer>,
    /// What metadata providers found.
    pub(super) claims: Claims,
    /// Writes recovery records, where they are asked for.
    pub(super) recorder: Option<Recorder>,
    crew: Option<Crew>,
    budget: Budget,
    next_unit: usize,
    next_sequenced: usize,
    /// Files that metadata providers look at outside of the buffers.
    offered: usize,
    /// Units that were read before their turn.
    arrived: HashMap<usize, Arrived>,
    /// Blocks that wait for a worker.
    queued: VecDeque<Block>,
    /// Blocks that were sent and not written yet.
    compressing: usize,
    /// Blobs before their turn.
    compressed: HashMap<u32, Packed>,
    free: Vec<Vec<u8>>,
    made: usize,
    frames: Vec<Vec<u8>>,
    stats: Stats,
    /// Files and original bytes that are dealt with.
    done: (u64, u64),
    broken: bool,
}

impl Pipeline {
    /// No workers yet, and nothing written.
    pub(super) fn new(options: &Options, output: Output) -> Pipeline {
        let layout = options.layout();
        Pipeline {
            options: options.clone(),
            layout,
            output,
            sequencer: Sequencer::new(&layout),
            written: Vec::new(),
            by_hash: HashMap::new(),
            hashed: 0,
            skipped: Vec::new(),
            existing: None,
            claimer: Arc::new(Claimer::new(options.providers())),
            claims: Claims::new(options.providers()),
            recorder: None,
            crew: None,
            budget: Budget::NONE,
            next_unit: 0,
            next_sequenced: 0,
            offered: 0,
            arrived: HashMap::new(),
            queued: VecDeque::new(),
            compressing: 0,
            compressed: HashMap::new(),
            free: Vec::new(),
            made: 0,
            frames: Vec::new(),
            stats: Stats::default(),
            done: (0, 0),
            broken: false,
        }
    }

    /// Whether something failed that can't be made up for.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Does something whose failure can't be made up for.
    pub(super) fn vital<T>(&mut self, work: impl FnOnce(&mut Pipeline) -> Result<T>) -> Result<T> {
        let result = work(self);
        self.broken |= result.is_err();
        result
    }

    /// Stops and joins the workers, whatever they are at, and frees what they worked on.
    pub(super) fn stop(&mut self) {
        self.crew = None;
        (self.free, self.frames) = (Vec::new(), Vec::new());
        self.arrived.clear();
        self.queued.clear();
        self.compressed.clear();
    }

    /// Starts the workers for units of at most `longest` bytes, unless they are there. `parked` buffers may be kept for
    /// long without work on them, and `assembled` bytes hold files that providers want whole, beside those that are as a
    /// whole in buffers meanwhile.
    ///
    /// # Errors
    /// `E_LIMIT` where the memory limit has no room for one worker.
    pub(super) fn start(&mut self, longest: usize, parked: usize, assembled: usize) -> Result<()> {
        if self.crew.is_some() {
            return Ok(());
        }
        self.budget = budget(&self.options, &self.layout, longest, parked, assembled)?;
        self.record()?;
        self.crew = Some(Crew::start(&self.options, &self.layout, self.budget.threads, &self.claimer)?);
        Ok(())
    }

    /// Begins to write recovery records, where the options ask for them.
    pub(super) fn record(&mut self) -> Result<()> {
        if self.recorder.is_none() {
            self.recorder = Recorder::new(&self.options)?;
            if self.recorder.is_some() {
                self.sequencer.keep_log();
            }
        }
        Ok(())
    }

    /// Makes room for the entries of a tree, which get the numbers from `first` on.
    pub(super) fn expect(&mut self, batch: &mut Batch, first: u32) -> Result<()> {
        batch.first = first;
        self.sequencer.expect_entries(batch.tree.records.len())?;
        for (big, file) in batch.plan.big.iter().enumerate() {
            let part = self.sequencer.expect_windows(first + file.record)?;
            if big == 0 {
                batch.first_part = part;
            }
        }
        Ok(())
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.crew.as_ref().map_or(0, |crew| crew.workers.count())
    }

    /// Files and original bytes that are dealt with.
    pub(super) fn done(&self) -> (u64, u64) {
        self.done
    }

    /// Reads all units of a tree. Blocks of it may still be on their way when this returns.
    pub(super) fn tree(&mut self, batch: &Arc<Batch>, reporter: &mut Reporter) -> Result<()> {
        self.recorder.iter_mut().for_each(|recorder| recorder.tree(batch));
        // Memory for what is put together for providers is the tree's now.
        self.wait_for_offers(reporter)?;
        for (number, unit) in batch.plan.units(&batch.tree).enumerate() {
            if batch.plan.begins_class(number) {
                self.flush(reporter)?;
            }
            let buffer = self.buffer(batch.plan.longest, reporter)?;
            self.begin(Task::Tree(Arc::clone(batch), unit), buffer);
        }
        if self.has_providers() {
            // Windows of files that are read in turns come too far apart to be kept until all are there.
            let in_turns = batch.plan.big.iter().filter(|file| file.in_turns);
            let offered = in_turns.filter(|file| batch.tree.records[file.record as usize].size <= MAX_FILE);
            for file in offered {
                self.offer(Task::OfferRecord(Arc::clone(batch), file.record), reporter)?;
            }
        }
        self.flush(reporter)?;
        while self.next_sequenced < self.next_unit {
            self.wait(reporter)?;
        }
        Ok(())
    }

    /// A buffer of at least `len` bytes; waits until there is one.
    pub(super) fn buffer(&mut self, len: usize, reporter: &mut Reporter) -> Result<Vec<u8>> {
        self.vital(|pipeline| pipeline.wait_for_buffer(len, reporter))
    }

    /// Takes a buffer back that nothing was begun with.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.free.push(buffer);
    }

    fn wait_for_buffer(&mut self, len: usize, reporter: &mut Reporter) -> Result<Vec<u8>> {
        loop {
            if let Some(buffer) = self.free.pop() {
                return if buffer.len() < len { zeroed(len) } else { Ok(buffer) };
            }
            if self.made < self.budget.buffers {
                self.made += 1;
                return zeroed(len);
            }
            self.wait(reporter)?;
        }
    }

    /// Gives a unit to the workers.
    pub(super) fn begin(&mut self, task: Task, buffer: Vec<u8>) {
        if let Some(crew) = &self.crew {
            // A closed queue means that all workers are gone, which the next receive reports.
            let _ = crew.units.send((self.next_unit, task, buffer));
        }
        self.next_unit += 1;
    }

    /// Whether metadata providers look at the files.
    pub(super) fn has_providers(&self) -> bool {
        !self.claimer.is_idle()
    }

    /// Has metadata providers look at a file, one at a time.
    pub(super) fn offer(&mut self, task: Task, reporter: &mut Reporter) -> Result<()> {
        self.vital(|pipeline| pipeline.wait_for_offers(reporter))?;
        self.offered += 1;
        self.begin(task, Vec::new());
        Ok(())
    }

    fn wait_for_offers(&mut self, reporter: &mut Reporter) -> Result<()> {
        while self.offered > 0 {
            self.wait(reporter)?;
        }
        Ok(())
    }

    /// What comes next shares no block with what came before.
    pub(super) fn flush(&mut self, reporter: &mut Reporter) -> Result<()> {
        self.mark(Arrived::Flush, reporter)
    }

    /// Ends a file that came in windows, of which none said that it was the last.
    pub(super) fn end_file(&mut self, part: u32, windows: u32, reporter: &mut Reporter) -> Result<()> {
        self.mark(Arrived::EndOfFile { part, windows }, reporter)
    }

    /// Waits until everything is written, and lets the workers go.
    pub(super) fn drain(&mut self, reporter: &mut Reporter) -> Result<Stats> {
        self.flush(reporter)?;
        self.catch_up(reporter)?;
        self.crew = None;
        (self.free, self.frames) = (Vec::new(), Vec::new());
        self.sequencer.end();
        self.claims.seal();
        let mut stats = self.sequencer.stats;
        stats.blocks = self.stats.blocks;
        stats.bytes_stored = self.stats.bytes_stored;
        stats.bytes_compressed_in = self.stats.bytes_compressed_in;
        stats.bytes_compressed_out = self.stats.bytes_compressed_out;
        Ok(stats)
    }

    /// Deals with what workers have made meanwhile, without waiting for more.
    pub(super) fn poll(&mut self, reporter: &mut Reporter) -> Result<()> {
        self.vital(|pipeline| {
            while let Some(done) = pipeline.crew.as_ref().and_then(|crew| crew.done.try_recv().ok()) {
                pipeline.receive(done?, reporter)?;
            }
            reporter.tick(None)
        })
    }

    fn mark(&mut self, mark: Arrived, reporter: &mut Reporter) -> Result<()> {
        self.arrived.insert(self.next_unit, mark);
        self.next_unit += 1;
        self.vital(|pipeline| pipeline.sequence(reporter))
    }

    /// Waits a moment for a worker and deals with what it made.
    fn wait(&mut self, reporter: &mut Reporter) -> Result<()> {
        let Some(crew) = &self.crew else {
            return Err(Error::new(Status::Panic, "nobody works on what is waited for"));
        };
        match crew.done.recv_timeout(reporter.patience()) {
            Ok(done) => self.receive(done?, reporter)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Status::Panic, "all workers ended before the work did"));
            }
        }
        reporter.tick(None)
    }

    fn receive(&mut self, done: Done, reporter: &Reporter) -> Result<()> {
        match done {
            Done::Read(number, buffer, read) => {
                self.offered -= usize::from(matches!(read.content, Content::Found));
                self.arrived.insert(number, Arrived::Read(buffer, read));
                self.sequence(reporter)?;
            }
            Done::Packed(packed) => {
                self.compressed.insert(packed.number, packed);
                self.write(reporter)?;
            }
        }
        self.send_blocks();
        Ok(())
    }

    fn send_blocks(&mut self) {
        let Some(crew) = &self.crew else { return };
        while self.compressing < self.budget.buffers {
            let Some(block) = self.queued.pop_front() else { return };
            let frame = self.frames.pop().unwrap_or_default();
            let _ = crew.blocks.send((block, frame));
            self.compressing += 1;
        }
    }

    fn sequence(&mut self, reporter: &Reporter) -> Result<()> {
        while let Some(arrived) = self.arrived.remove(&self.next_sequenced) {
            let mut out = Sequenced::default();
            match arrived {
                Arrived::Read(buffer, read) => {
                    for (entry, found) in &read.found {
                        self.claims.add(*entry, found)?;
                    }
                    out = self.sequencer.unit(buffer, read)?;
                }
                Arrived::Flush => self.sequencer.flush(&mut out),
                Arrived::EndOfFile { part, windows } => self.sequencer.end_windows(part, windows, &mut out),
            }
            self.next_sequenced += 1;
            self.queued.extend(out.blocks);
            self.free.extend(out.buffers);
            self.skipped.extend(out.skipped);
            self.count(out.entries, out.bytes, reporter);
        }
        self.send_blocks();
        Ok(())
    }

    /// A blob that came from another archive and stands behind all that was written; its number.
    pub(super) fn adopt(&mut self, written: Written) -> Result<u32> {
        self.count_blob(&written);
        push(&mut self.written, written)?;
        Ok(self.sequencer.adopt_block())
    }

    /// The block of a blob with the same bytes, sizes and codec, where one was written.
    pub(super) fn block_of(&mut self, blob: &blobs::Blob, codec: u8) -> Result<Option<u32>> {
        let more = self.written.len() - self.hashed;
        let no_memory = |_| Error::new(Status::NoMemory, "can't allocate room for the hashes of blobs");
        self.by_hash.try_reserve(more).map_err(no_memory)?;
        while let Some(written) = self.written.get(self.hashed) {
            self.by_hash.entry(written.blob.hash).or_insert(self.hashed as u32);
            self.hashed += 1;
        }
        let is_same = |number: &u32| {
            let written = &self.written[*number as usize];
            (written.codec, written.blob.stored, written.blob.decoded) == (codec, blob.stored, blob.decoded)
        };
        Ok(self.by_hash.get(&blob.hash).copied().filter(is_same))
    }

    /// Waits until all blocks that were begun are written, so that blobs from elsewhere may follow.
    pub(super) fn catch_up(&mut self, reporter: &mut Reporter) -> Result<()> {
        while self.next_sequenced < self.next_unit || !self.queued.is_empty() || self.compressing > 0 {
            self.wait(reporter)?;
        }
        Ok(())
    }

    fn count_blob(&mut self, written: &Written) {
        if written.blob.decoded == 0 {
            return;
        }
        self.stats.blocks += 1;
        if written.codec == CODEC_STORED {
            self.stats.bytes_stored += written.blob.stored;
        } else {
            self.stats.bytes_compressed_in += written.blob.decoded;
            self.stats.bytes_compressed_out += written.blob.stored;
        }
    }

    fn write(&mut self, reporter: &Reporter) -> Result<()> {
        while let Some(packed) = self.compressed.remove(&(self.written.len() as u32)) {
            let mut rest = packed.bytes();
            for &(stored, hash) in &packed.blobs {
                let (bytes, behind) = rest.split_at(stored);
                rest = behind;
                let decoded = if packed.codec == CODEC_STORED { stored } else { packed.len };
                self.write_blob(bytes, decoded as u64, packed.codec, hash)?;
            }
            self.count(0, packed.len as u64, reporter);
            self.compressing -= 1;
            self.free.push(packed.buffer);
            self.frames.push(packed.frame);
        }
        Ok(())
    }

    fn write_blob(&mut self, bytes: &[u8], decoded: u64, codec: u8, hash: Digest) -> Result<()> {
        let (number, offset) = (self.written.len() as u32, self.output.position());
        self.output.append(bytes)?;
        let written = Written { blob: blobs::Blob { offset, stored: bytes.len() as u64, decoded, hash }, codec };
        self.count_blob(&written);
        if let (Some(recorder), Some(noted)) = (&mut self.recorder, self.sequencer.take_noted(number)) {
            let slice = |number| *self.sequencer.slices.get(number);
            recorder.blob(&written, number, noted, slice, &mut self.output)?;
        }
        push(&mut self.written, written)
    }

    /// Counts files and original bytes as dealt with.
    pub(super) fn count(&mut self, entries: u64, bytes: u64, reporter: &Reporter) {
        self.done.0 += entries;
        self.done.1 += bytes;
        reporter.counters().add(entries, bytes);
    }
}
