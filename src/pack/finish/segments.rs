//! Rows are cut into segments, which are written one behind the other.

use crate::error::{Error, Result, Status};
use crate::format::codec::Compressor;
use crate::format::container::{MAX_BLOCK, SEGMENT_ALIGN};
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::hash::hash;
use crate::format::index::SegmentBuilder;
use crate::format::manifest::Part;
use crate::format::recovery::What;
use crate::format::row::{EntryKind, Row};
use crate::format::schema::{self, Metadata};
use crate::options::{Key, Options};
use crate::pack::finish::INDEX_LEVEL;
use crate::pack::merge::Parents;
use crate::pack::output::Output;
use crate::pack::recovery::Recorder;
use crate::progress::CancelToken;

/// Cuts rows into segments and writes them.
pub(crate) struct IndexWriter<'a> {
    output: &'a mut Output,
    /// Where segments go into recovery records.
    pub(super) recorder: Option<&'a mut Recorder>,
    schema: arrow_schema::SchemaRef,
    compressor: Option<Compressor>,
    frame: Vec<u8>,
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
            schema: schema::index(extras, metadata),
            compressor: if plain { None } else { Some(Compressor::new(INDEX_LEVEL, 1 << 20)?) },
            frame: Vec::new(),
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
        if self.builder.is_full() { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let mut part = std::mem::take(&mut self.part);
        (part.pkg_type, part.repo) = self.labels.end_segment();
        part.rows = self.builder.len() as u64;
        if let Some(last) = self.parts.last() {
            part.first_entry = last.first_entry + last.entries;
            if part.entries == 0 {
                part.first_path.clone_from(&last.last_path);
                part.last_path.clone_from(&last.last_path);
            }
        }
        let stream = self.builder.finish(&self.schema)?;
        if stream.len() as u64 > MAX_BLOCK {
            return Err(Error::new(Status::Limit, "a segment of the index would be over 64 MiB"));
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.write(What::Segment, self.parts.len() as u32, &stream, self.output)?;
            self.parts.push(part);
            return Ok(());
        }
        let padding = self.output.position().next_multiple_of(SEGMENT_ALIGN) - self.output.position();
        self.output.append(&[0; SEGMENT_ALIGN as usize][..padding as usize])?;
        part.offset = self.output.position();
        let stored = match &mut self.compressor {
            Some(compressor) => {
                compressor.compress(&stream, &mut self.frame, &CancelToken::new())?;
                part.raw_len = stream.len() as u64;
                &self.frame
            }
            None => &stream,
        };
        part.len = stored.len() as u64;
        part.hash = hash(stored);
        self.output.append(stored)?;
        self.parts.push(part);
        Ok(())
    }

    /// After the last row: the segments.
    pub(in crate::pack) fn end(mut self) -> Result<Vec<Part>> {
        if !self.builder.is_empty() {
            self.write()?;
        }
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
