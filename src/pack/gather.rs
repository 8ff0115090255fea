//! What is added one by one: small files are gathered into units, big ones are cut into windows, in the order in
//! which they come. The layout follows from this order and the bytes alone, as that of a tree follows from its plan.

use crate::error::{Error, Result, Status};
use crate::options::Layout;
use crate::pack::pipeline::Pipeline;
use crate::pack::plan::{Class, MAX_UNIT_FILES};
use crate::pack::read::{BufferedWindow, Gathered, Offered, Task};
use crate::progress::Reporter;
use crate::provider::MAX_FILE;

/// Buffers that gathering keeps: a unit of each class here, a block of each class in the sequencer, and a window; and a block
/// of slices where those share blocks.
pub(super) const PARKED: usize = 5;

/// Gathers small files.
pub(super) struct Gatherer {
    block_size: usize,
    shares_slices: bool,
    longest: usize,
    /// By class.
    open: [Option<OpenUnit>; 2],
}

struct OpenUnit {
    buffer: Vec<u8>,
    files: Vec<(u32, usize)>,
    /// Of all files, where there are metadata providers.
    paths: Vec<Box<[u8]>>,
    len: usize,
}

impl Gatherer {
    pub(super) fn new(layout: &Layout) -> Gatherer {
        // One byte more, so that what reads a small file of the longest kind sees whether it goes on.
        let longest = layout.longest_block() + 1;
        Gatherer { block_size: layout.block_size, shares_slices: layout.shares_slices(), longest, open: [None, None] }
    }

    /// Starts the workers for what is gathered, or for trees beside it.
    pub(super) fn start(&self, pipeline: &mut Pipeline) -> Result<()> {
        // A big file that a provider looks at, and one that is being put together.
        let assembled = if pipeline.has_providers() { 2 * MAX_FILE as usize } else { 0 };
        pipeline.start(self.longest, PARKED + usize::from(self.shares_slices), assembled)
    }

    /// A buffer for a unit or a window.
    pub(super) fn buffer(&self, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<Vec<u8>> {
        self.start(pipeline)?;
        pipeline.buffer(self.longest, reporter)
    }

    /// Takes the next small file.
    pub(super) fn small(
        &mut self,
        (entry, path): (u32, &[u8]),
        class: Class,
        bytes: &[u8],
        pipeline: &mut Pipeline,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let full = |unit: &OpenUnit| unit.len + bytes.len() > self.block_size || unit.files.len() == MAX_UNIT_FILES;
        if self.open[class as usize].as_ref().is_some_and(full) {
            self.close_class(class, pipeline);
            pipeline.poll(reporter)?;
        }
        let mut unit = match self.open[class as usize].take() {
            Some(unit) => unit,
            None => {
                let buffer = self.buffer(pipeline, reporter)?;
                OpenUnit { buffer, files: Vec::new(), paths: Vec::new(), len: 0 }
            }
        };
        unit.buffer[unit.len..unit.len + bytes.len()].copy_from_slice(bytes);
        unit.len += bytes.len();
        unit.files.push((entry, unit.len));
        if pipeline.has_providers() {
            unit.paths.push(path.into());
        }
        self.open[class as usize] = Some(unit);
        Ok(())
    }

    /// Gives on what has been gathered.
    pub(super) fn close(&mut self, pipeline: &mut Pipeline) {
        self.close_class(Class::Ordinary, pipeline);
        self.close_class(Class::Packed, pipeline);
    }

    fn close_class(&mut self, class: Class, pipeline: &mut Pipeline) {
        if let Some(OpenUnit { buffer, files, paths, len }) = self.open[class as usize].take() {
            pipeline.begin(Task::Gathered(Gathered { class, bytes: len, files, paths }), buffer);
        }
    }
}

/// A file on its way, window by window.
pub(super) struct BigFile {
    part: u32,
    packed: bool,
    offset: u64,
    windows: u32,
}

impl BigFile {
    pub(super) fn new(part: u32, packed: bool) -> BigFile {
        BigFile { part, packed, offset: 0, windows: 0 }
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.offset
    }

    /// Gives on a window of `len` bytes. Whether it is the last may not be known: then [`BigFile::end`] must be called.
    pub(super) fn window(
        &mut self,
        buffer: Vec<u8>,
        len: usize,
        last: Option<bool>,
        pipeline: &mut Pipeline,
        reporter: &mut Reporter,
    ) -> Result<()> {
        let too_many = || Error::new(Status::Limit, "the file has over four billion slices; use a bigger slice-size");
        let windows = self.windows.checked_add(1).ok_or_else(too_many)?;
        let several = if self.windows > 0 { Some(true) } else { last.map(|last| !last) };
        let last_of = (last == Some(true)).then_some(windows);
        let (part, offset, packed) = (self.part, self.offset, self.packed);
        pipeline.begin(Task::Window(BufferedWindow { part, offset, len, packed, several, last_of }), buffer);
        self.offset += len as u64;
        self.windows = windows;
        pipeline.poll(reporter)
    }

    /// The last window was the last.
    pub(super) fn end(&self, pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<()> {
        pipeline.end_file(self.part, self.windows, reporter)
    }
}

/// The bytes of a big file, put together for metadata providers while it passes window by window.
pub(super) struct Assembly(Option<Vec<u8>>);

impl Assembly {
    /// Keeps nothing where nobody is to look at it.
    pub(super) fn new(wanted: bool) -> Assembly {
        Assembly(wanted.then(Vec::new))
    }

    /// Takes what comes next; gives up where the file gets too long to be offered.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(all) = &mut self.0 else { return Ok(()) };
        if (all.len() + bytes.len()) as u64 > MAX_FILE {
            self.0 = None;
            return Ok(());
        }
        if all.capacity() - all.len() < bytes.len() {
            let more = (all.len() / 2).max(bytes.len()).min(MAX_FILE as usize - all.len());
            crate::error::reserve(all, more)?;
        }
        all.extend_from_slice(bytes);
        Ok(())
    }

    /// The whole file has passed: has it looked at.
    pub(super) fn offer(self, entry: u32, path: &[u8], pipeline: &mut Pipeline, reporter: &mut Reporter) -> Result<()> {
        match self.0 {
            Some(bytes) => pipeline.offer(Task::Offer(Offered { entry, path: path.into(), bytes }), reporter),
            None => Ok(()),
        }
    }
}
