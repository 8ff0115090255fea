//! The finish of version 3: an index and a manifest that znippy 0.7.2 and 0.10 read. Files and their bytes are carried;
//! what else was added is left out, counted and named.

use crate::error::{Error, Result, Status, printable};
use crate::format::container;
use crate::format::hash::{Digest, hash};
use crate::format::manifest::SECTION_TYPE;
use crate::format::path;
use crate::format::row::{CODEC_STORED, EntryKind};
use crate::format::v3::columns::{RawRow, RowsBuilder};
use crate::format::v3::manifest::{self, Part};
use crate::format::v3::sections::LOOKUP;
use crate::options::{Key, Options};
use crate::pack::finish::Packed;
use crate::pack::merge::{InOrder, Passing};
use crate::pack::output::Output;
use crate::pack::sequence::{FileContent, Slice};
use crate::progress::{LogLevel, Reporter};
use crate::stats::Stats;

/// Refuses what has nothing to do with version 3; `what` says what that is.
pub(super) fn check_alone(options: &Options, what: &str) -> Result<()> {
    if options.get(Key::Profile) == 1 {
        let why = format!("{what} and the profile of version 3 don't go together");
        return Err(Error::new(Status::InvalidArgument, why));
    }
    Ok(())
}

/// Writes everything behind the blobs and completes the statistics.
pub(super) fn finish(
    packed: Packed<'_>,
    mut stats: Stats,
    options: &Options,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<Stats> {
    let payload = output.position();
    let dropped = packed.sequencer.dropped();
    let links = packed.entries.links()?;
    let mut index = Index { packed: &packed, rows: RowsBuilder::default() };
    let mut report = Report::new(options);
    let mut in_order = InOrder::new(packed.entries.batches())?;
    while let Some(Passing { batch, record, number, path }) = in_order.next() {
        let file = links.file(batch, number);
        let gone = packed.entries.is_gone(number);
        if record.skipped || gone || dropped.binary_search(&file).is_ok() {
            stats.skipped += u64::from(!record.skipped && !gone);
            continue;
        }
        if record.kind == EntryKind::Directory {
            report.directory(path);
            continue;
        }
        let Some(name) = report.carries(path, record.kind) else { continue };
        report.hard_links += u64::from(links.first(file) != number);
        let batch = if file == number { batch } else { links.batch(file) };
        let size = batch.tree.records[(file - batch.first) as usize].size;
        index.file(name, file, size, &mut stats)?;
        reporter.counters().add(1, 0);
        if number.is_multiple_of(1024) {
            reporter.tick(Some(path))?;
        }
    }
    stats.skipped += report.end(&packed);
    let rows = index.rows.len() as u64;
    let (offset, stream) = (output.position(), index.rows.finish()?);
    output.append(&stream)?;
    let part =
        Part { pkg_type: 0, repo: String::new(), module_name: String::new(), offset, len: stream.len() as u64, rows };
    let at = output.position();
    // 0.10 gets single files by a section of all rows in order of path, which the part is. 0.7.2 takes the section for
    // data, and so reads everything twice, with the same result.
    let lookup = Part { pkg_type: SECTION_TYPE, module_name: LOOKUP.into(), ..part.clone() };
    output.append(&manifest::encode(&[part, lookup])?)?;
    output.append(&container::footer(at))?;
    stats.bytes_out = output.position();
    stats.bytes_index = stats.bytes_out - payload;
    Ok(stats)
}

struct Index<'a> {
    packed: &'a Packed<'a>,
    rows: RowsBuilder,
}

impl Index<'_> {
    fn file(&mut self, path: &str, file: u32, size: u64, stats: &mut Stats) -> Result<()> {
        stats.entries += 1;
        stats.files += 1;
        stats.bytes_in += size;
        let one;
        let slices: &[(u64, &Slice)] = match self.packed.sequencer.content(file) {
            FileContent::Empty => &[],
            FileContent::One(slice) => {
                one = [(0, slice)];
                &one
            }
            FileContent::Many(slices, _) => &slices
                .iter()
                .map(|(offset, number)| (*offset, self.packed.sequencer.slices.get(*number)))
                .collect::<Vec<_>>(),
        };
        if slices.is_empty() {
            stats.files_stored += 1;
            return self.row(path, 0, 0, None, hash(&[]));
        }
        stats.slices += slices.len() as u64;
        let stored = |slice: &Slice| self.packed.written[slice.block as usize].codec == CODEC_STORED;
        if slices.iter().all(|(_, slice)| stored(slice)) {
            stats.files_stored += 1
        } else {
            stats.files_compressed += 1
        }
        for (seq, (offset, slice)) in slices.iter().enumerate() {
            let seq = u32::try_from(seq)
                .map_err(|_| Error::new(Status::Limit, "the file has over four billion slices").with_path(path))?;
            self.row(path, seq, *offset, Some(slice), slice.checksum)?;
        }
        Ok(())
    }

    fn row(&mut self, path: &str, chunk_seq: u32, offset: u64, slice: Option<&Slice>, checksum: Digest) -> Result<()> {
        let written = slice.map(|slice| &self.packed.written[slice.block as usize]);
        self.rows.push(&RawRow {
            path,
            chunk_seq,
            offset,
            size: slice.map_or(0, |slice| u64::from(slice.len)),
            compressed: written.is_some_and(|written| written.codec != CODEC_STORED),
            blob_offset: written.map_or(0, |written| written.blob.offset),
            blob_size: written.map_or(0, |written| written.blob.stored),
            checksum,
            pkg_type: None,
        })
    }
}

/// What is not carried.
struct Report<'a> {
    options: &'a Options,
    left_out: u64,
    hard_links: u64,
    /// Directories in order of path, and whether something in them is carried.
    directories: Vec<(Vec<u8>, bool)>,
}

impl<'a> Report<'a> {
    fn new(options: &'a Options) -> Report<'a> {
        Report { options, left_out: 0, hard_links: 0, directories: Vec::new() }
    }

    fn directory(&mut self, path: &[u8]) {
        self.directories.push((path.to_vec(), false));
    }

    /// The name of what is carried.
    fn carries<'p>(&mut self, path: &'p [u8], kind: EntryKind) -> Option<&'p str> {
        match kind {
            EntryKind::Symlink => self.leave_out(path, "symbolic links are not carried"),
            EntryKind::File | EntryKind::Hardlink => match std::str::from_utf8(path) {
                Ok(name) => {
                    self.use_directories(path);
                    return Some(name);
                }
                Err(_) => self.leave_out(path, "names that are not UTF-8 are not carried"),
            },
            _ => self.leave_out(path, "FIFOs, devices and sockets are not carried"),
        }
        None
    }

    fn use_directories(&mut self, path: &[u8]) {
        for above in path::ancestors(path) {
            let Ok(at) = self.directories.binary_search_by(|(directory, _)| directory.as_slice().cmp(above)) else {
                continue;
            };
            if std::mem::replace(&mut self.directories[at].1, true) {
                break;
            }
        }
    }

    fn leave_out(&mut self, path: &[u8], why: &str) {
        self.left_out += 1;
        self.options.log(LogLevel::Warning, &format!("left out: {}: {why} by format version 3", printable(path)));
    }

    /// Says the rest, and how many entries were left out.
    fn end(mut self, packed: &Packed<'_>) -> u64 {
        // One that holds others comes back with them, or is named through the innermost.
        let directories = std::mem::take(&mut self.directories);
        for (at, (path, used)) in directories.iter().enumerate() {
            let below = [path.as_slice(), b"/"].concat();
            let next = directories[at + 1..].partition_point(|(other, _)| *other < below) + at + 1;
            let holds = directories.get(next).is_some_and(|(other, _)| other.starts_with(&below));
            if !used && !holds {
                self.leave_out(path, "empty directories are not carried");
            }
        }
        if self.hard_links > 0 {
            let count = self.hard_links;
            self.options
                .log(LogLevel::Warning, &format!("{count} hard links are files of their own in format version 3"));
        }
        if !packed.claims.columns().is_empty() {
            self.options.log(LogLevel::Warning, "columns of metadata providers are not carried by format version 3");
        }
        if packed.entries.count() > 0 {
            let what =
                "modes, modification times, owners, extended attributes and holes are not carried by format version 3";
            self.options.log(LogLevel::Warning, what);
        }
        self.left_out
    }
}
