//! Rows are cut into segments, which are written one behind the other.

use std::collections::VecDeque;

use crate::error::Result;
use crate::format::container::SEGMENT_ALIGN;
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::index::SegmentBuilder;
use crate::format::manifest::Part;
use crate::format::recovery::What;
use crate::format::row::{EntryKind, Row};
use crate::format::schema::{self, Metadata};
use crate::options::{Key, Options};
use crate::pack::finish::encoder::{Encoded, Encoder, EncoderThread};
use crate::pack::merge::Parents;
use crate::pack::output::Output;
use crate::pack::recovery::Recorder;

/// Segments that the thread may have beside the one that is put together.
const MOST_WAITING: usize = 1;

/// Cuts rows into segments and writes them.
pub(crate) struct IndexWriter<'a> {
    output: &'a mut Output,
    /// Where segments go into recovery records.
    pub(super) recorder: Option<&'a mut Recorder>,
    encoder: Encoder,
    /// Encodes in the place of `encoder`, once a segment is full.
    thread: Option<EncoderThread>,
    may_use_thread: bool,
    plain: bool,
    /// What the thread was given.
    waiting: VecDeque<Part>,
    builder: SegmentBuilder,
    labels: Labels,
    /// Where entries come from several places.
    pub(super) parents: Option<Parents>,
    part: Part,
    parts: Vec<Part>,
}

impl<'a> IndexWriter<'a> {
    pub(in crate::pack) fn new(
        extras: &[ExtraColumn],
        metadata: &Metadata,
        options: &Options,
        output: &'a mut Output,
    ) -> Result<IndexWriter<'a>> {
        let plain = options.flag(Key::PlainIndex);
        Ok(IndexWriter {
            output,
            recorder: None,
            encoder: Encoder::new(schema::index(extras, metadata), plain)?,
            thread: None,
            may_use_thread: options.threads() > 1,
            plain,
            waiting: VecDeque::new(),
            builder: SegmentBuilder::with_extras(extras)?,
            labels: Labels::default(),
            parents: None,
            part: Part::default(),
            parts: Vec::new(),
        })
    }

    /// The next row, with values of additional columns by their numbers.
    pub(crate) fn push<'v>(
        &mut self,
        row: &Row<'_>,
        values: impl IntoIterator<Item = (usize, ExtraValue<'v>)>,
    ) -> Result<()> {
        self.labels.row(row);
        if row.chunk_seq == 0 {
            if let Some(parents) = &mut self.parents {
                parents.pass(row.path, row.kind == EntryKind::Directory as u8)?;
            }
            if self.part.entries == 0 {
                self.part.first_path = row.path.to_vec();
            }
            self.part.entries += 1;
            self.part.last_path.clear();
            self.part.last_path.extend_from_slice(row.path);
        }
        self.builder.push_with(row, values)?;
        if !self.builder.is_full() {
            return Ok(());
        }
        if self.may_use_thread && self.recorder.is_none() {
            // There is more than one segment. A system without a further thread has it encoded here.
            self.may_use_thread = false;
            self.thread = EncoderThread::start(self.encoder.schema(), self.plain).ok();
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let mut part = std::mem::take(&mut self.part);
        (part.pkg_type, part.repo) = self.labels.end_segment();
        part.rows = self.builder.len() as u64;
        if let Some(last) = self.waiting.back().or(self.parts.last()) {
            part.first_entry = last.first_entry + last.entries;
            if part.entries == 0 {
                part.first_path.clone_from(&last.last_path);
                part.last_path.clone_from(&last.last_path);
            }
        }
        let columns = self.builder.finish_columns()?;
        if let Some(recorder) = &mut self.recorder {
            let stream = self.encoder.stream(columns)?;
            recorder.write(What::Segment, self.parts.len() as u32, &stream, self.output)?;
            self.parts.push(part);
            return Ok(());
        }
        let Some(thread) = &self.thread else {
            let encoded = self.encoder.encode(columns)?;
            return self.append(part, &encoded);
        };
        thread.give(columns);
        self.waiting.push_back(part);
        self.take_until(MOST_WAITING)
    }

    /// Writes what the thread has made, until it has no more than so many segments.
    fn take_until(&mut self, most: usize) -> Result<()> {
        while self.waiting.len() > most {
            let taken = self.thread.as_ref().map(EncoderThread::take).transpose()?;
            if let Some((part, encoded)) = self.waiting.pop_front().zip(taken) {
                self.append(part, &encoded)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, mut part: Part, encoded: &Encoded) -> Result<()> {
        let padding = self.output.position().next_multiple_of(SEGMENT_ALIGN) - self.output.position();
        self.output.append(&[0; SEGMENT_ALIGN as usize][..padding as usize])?;
        part.offset = self.output.position();
        (part.raw_len, part.len, part.hash) = (encoded.raw_len, encoded.stored.len() as u64, encoded.hash);
        self.output.append(&encoded.stored)?;
        self.parts.push(part);
        Ok(())
    }

    /// After the last row: the segments.
    pub(in crate::pack) fn end(mut self) -> Result<Vec<Part>> {
        if !self.builder.is_empty() {
            self.write()?;
        }
        self.take_until(0)?;
        Ok(self.parts)
    }
}

/// Whether all entries with rows in a segment have the same `pkg_type`, or the same `repo`.
#[derive(Default)]
struct Labels {
    /// Those of the entry that the last row belongs to; 0 and empty for null.
    entry: (i8, String),
    /// Those of all rows of the segment so far; `None` once they differ.
    pkg_type: Option<i8>,
    repo: Option<String>,
    rows: usize,
}

impl Labels {
    fn row(&mut self, row: &Row<'_>) {
        if let Some(attributes) = &row.attributes {
            self.entry.0 = attributes.pkg_type.unwrap_or(0);
            self.entry.1.clear();
            self.entry.1.push_str(attributes.repo.unwrap_or_default());
        }
        if self.rows == 0 {
            (self.pkg_type, self.repo) = (Some(self.entry.0), Some(self.entry.1.clone()));
        }
        self.rows += 1;
        if self.pkg_type != Some(self.entry.0) {
            self.pkg_type = None;
        }
        if self.repo.as_ref().is_some_and(|repo| *repo != self.entry.1) {
            self.repo = None;
        }
    }

    /// What the segment's row in the manifest says. The last entry may go on in the next segment.
    fn end_segment(&mut self) -> (i8, String) {
        self.rows = 0;
        (self.pkg_type.take().unwrap_or(0), self.repo.take().unwrap_or_default())
    }
}
