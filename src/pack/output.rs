//! Where the archive goes: into a file, or byte after byte into a sink.

mod file;

use std::fs::File;
use std::path::Path;

use rustix::fs::Stat;

use crate::error::{Error, Result, Status};
use crate::options::{Options, Overwrite};
use crate::pack::output::file::FileOutput;
use crate::pack::scan::Excluded;
use crate::progress::{CancelToken, Reporter};

/// Most bytes that a sink gets in one call.
const PIECE: usize = 1 << 20;

/// Takes an archive from its first byte to its last, as a pipe or an upload does.
pub trait Sink: Send {
    /// Takes some of these bytes, which follow those that it took before, and says how many; at least one. It gets at
    /// most 1 MiB a call, and the rest again.
    ///
    /// # Errors
    /// Ends the archive and is what the call that was made of the writer comes back with.
    fn write(&mut self, bytes: &[u8]) -> Result<usize>;

    /// After the last byte: whatever makes sure that they have arrived. Called once, and only for whole archives.
    ///
    /// # Errors
    /// As for `write`.
    fn finish(&mut self) -> Result<()>;
}

/// An archive on its way out.
pub(super) struct Output {
    target: Target,
    cancel: CancelToken,
    length: u64,
}

enum Target {
    File(FileOutput),
    Sink(Box<dyn Sink>),
}

impl Output {
    /// Into a file that is to stand under exactly the name given.
    ///
    /// # Errors
    /// `E_EXISTS` where something has the name and may not be replaced; the directory's error where it can't be
    /// written to.
    pub(super) fn file(path: &Path, overwrite: Overwrite, options: &Options) -> Result<Output> {
        let file = FileOutput::create(path, overwrite)?;
        Ok(Output { target: Target::File(file), cancel: options.cancel().clone(), length: 0 })
    }

    /// Into a sink.
    pub(super) fn sink(sink: Box<dyn Sink>, options: &Options) -> Output {
        Output { target: Target::Sink(sink), cancel: options.cancel().clone(), length: 0 }
    }

    /// Bytes so far: where the next ones go.
    pub(super) fn position(&self) -> u64 {
        self.length
    }

    /// Writes all of `bytes` behind what is there.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.target {
            Target::File(file) => file.append(self.length, bytes)?,
            Target::Sink(sink) => {
                for piece in bytes.chunks(PIECE) {
                    self.cancel.check()?;
                    write_all(sink.as_mut(), piece)?;
                }
            }
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Takes over the first `len` bytes of an archive that this file is to replace. Nothing was written yet.
    pub(super) fn clone_from_file(&mut self, from: &File, len: u64, reporter: &mut Reporter) -> Result<()> {
        let Target::File(file) = &mut self.target else { return Err(not_a_file()) };
        file.clone_from_file(from, len, reporter)?;
        self.length = len;
        Ok(())
    }

    /// Takes over who may read and write an archive that this file is to replace.
    pub(super) fn take_mode_of(&mut self, from: &File) -> Result<()> {
        let Target::File(file) = &mut self.target else { return Err(not_a_file()) };
        file.take_mode_of(from)
    }

    /// What has the archive's name now.
    pub(super) fn named(&self) -> Result<Stat> {
        let Target::File(file) = &self.target else { return Err(not_a_file()) };
        file.named()
    }

    /// What must not be packed, since it is the archive itself.
    pub(super) fn excluded(&self) -> Result<Excluded> {
        match &self.target {
            Target::File(file) => file.excluded(),
            Target::Sink(_) => Ok(Excluded { temporary: NOWHERE, directory: NOWHERE, name: Vec::new() }),
        }
    }

    /// After the last byte. A file has its name and survives a power cut then.
    pub(super) fn commit(&mut self) -> Result<()> {
        match &mut self.target {
            Target::File(file) => file.commit(),
            Target::Sink(sink) => sink.finish(),
        }
    }
}

fn not_a_file() -> Error {
    Error::new(Status::Panic, "a sink is used as a file")
}

/// Device and inode that no file has.
const NOWHERE: (u64, u64) = (u64::MAX, u64::MAX);

fn write_all(sink: &mut dyn Sink, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let taken = sink.write(bytes)?;
        bytes = bytes.get(taken..).filter(|_| taken > 0).ok_or_else(|| {
            let why = format!("the sink says that it took {taken} of {} bytes", bytes.len());
            Error::refused(Status::Callback, "sink.count", why)
        })?;
    }
    Ok(())
}
