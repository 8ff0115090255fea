//! Rows into the Arrow IPC stream of a segment.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Int8Builder, Int64Builder, RecordBatch,
    StringBuilder, UInt8Builder, UInt32Builder, UInt64Builder,
};
use arrow_schema::SchemaRef;

use crate::error::Result;
use crate::format::arrow_stream::{encode_stream, internal};
use crate::format::container::MAX_SEGMENT_ROWS;
use crate::format::extra::{ExtraBuilder, ExtraColumn, ExtraValue};
use crate::format::hash::Digest;
use crate::format::path;
use crate::format::row::{CODEC_STORED, Row};

/// Bytes of names, targets and additional columns at which a segment ends: names and targets of a single row are
/// less than 512 KiB, its additional columns less than 2 MiB as a rule, and the fixed numbers of 8,192 rows less than
/// 2 MiB, so that no segment comes near its limit of 64 MiB.
const FULL_TEXT: usize = 16 << 20;

/// Collects rows and makes the stream.
pub struct SegmentBuilder {
    relative_path: StringBuilder,
    chunk_seq: UInt32Builder,
    fdata_offset: UInt64Builder,
    compressed: BooleanBuilder,
    uncompressed_size: UInt64Builder,
    blob_offset: UInt64Builder,
    blob_size: UInt64Builder,
    checksum: FixedSizeBinaryBuilder,
    kind: UInt8Builder,
    block_offset: UInt64Builder,
    block_size: UInt64Builder,
    codec: UInt8Builder,
    mode: UInt32Builder,
    mtime_ns: Int64Builder,
    uid: UInt32Builder,
    gid: UInt32Builder,
    link_target: BinaryBuilder,
    path_bytes: BinaryBuilder,
    file_size: UInt64Builder,
    file_hash: FixedSizeBinaryBuilder,
    xattr_id: UInt32Builder,
    rdev: UInt64Builder,
    pkg_type: Int8Builder,
    repo: StringBuilder,
    extras: ExtraBuilder,
    rows: usize,
    text: usize,
}

impl Default for SegmentBuilder {
    fn default() -> SegmentBuilder {
        SegmentBuilder::new()
    }
}

impl SegmentBuilder {
    /// No rows.
    pub fn new() -> SegmentBuilder {
        SegmentBuilder {
            relative_path: StringBuilder::new(),
            chunk_seq: UInt32Builder::new(),
            fdata_offset: UInt64Builder::new(),
            compressed: BooleanBuilder::new(),
            uncompressed_size: UInt64Builder::new(),
            blob_offset: UInt64Builder::new(),
            blob_size: UInt64Builder::new(),
            checksum: FixedSizeBinaryBuilder::new(32),
            kind: UInt8Builder::new(),
            block_offset: UInt64Builder::new(),
            block_size: UInt64Builder::new(),
            codec: UInt8Builder::new(),
            mode: UInt32Builder::new(),
            mtime_ns: Int64Builder::new(),
            uid: UInt32Builder::new(),
            gid: UInt32Builder::new(),
            link_target: BinaryBuilder::new(),
            path_bytes: BinaryBuilder::new(),
            file_size: UInt64Builder::new(),
            file_hash: FixedSizeBinaryBuilder::new(32),
            xattr_id: UInt32Builder::new(),
            rdev: UInt64Builder::new(),
            pkg_type: Int8Builder::new(),
            repo: StringBuilder::new(),
            extras: ExtraBuilder::default(),
            rows: 0,
            text: 0,
        }
    }

    /// No rows; these columns stand behind the fixed ones.
    ///
    /// # Errors
    /// `E_LIMIT` where the additional columns alone would take over 1 MiB a row.
    pub fn with_extras(columns: &[ExtraColumn]) -> Result<SegmentBuilder> {
        Ok(SegmentBuilder { extras: ExtraBuilder::new(columns)?, ..SegmentBuilder::new() })
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the segment must end here: by its rows, or by the length of its names and targets.
    pub fn is_full(&self) -> bool {
        self.rows >= MAX_SEGMENT_ROWS || self.text >= FULL_TEXT
    }

    /// Adds a row with nulls in the additional columns.
    pub fn push(&mut self, row: &Row<'_>) -> Result<()> {
        self.push_with(row, [])
    }

    /// Adds a row with values of additional columns, by their numbers; the others are null.
    pub fn push_with<'a>(
        &mut self,
        row: &Row<'_>,
        values: impl IntoIterator<Item = (usize, ExtraValue<'a>)>,
    ) -> Result<()> {
        let extras = self.extras.push(values)?;
        let shown = path::display(row.path);
        let target = row.attributes.and_then(|attributes| attributes.link_target).map_or(0, <[u8]>::len);
        let text = [extras, shown.len(), row.path.len(), target];
        self.text = text.into_iter().fold(self.text, usize::saturating_add);
        self.relative_path.append_value(shown);
        self.chunk_seq.append_value(row.chunk_seq);
        self.fdata_offset.append_value(row.offset);
        self.uncompressed_size.append_value(row.size);
        append_digest(&mut self.checksum, Some(&row.checksum))?;
        self.kind.append_value(row.kind);
        let location = row.location;
        self.compressed.append_value(location.is_some_and(|at| at.codec != CODEC_STORED));
        self.blob_offset.append_value(location.map_or(0, |at| at.blob_offset));
        self.blob_size.append_value(location.map_or(0, |at| at.blob_size));
        self.block_offset.append_option(location.map(|at| at.block_offset));
        self.block_size.append_option(location.map(|at| at.block_size));
        self.codec.append_value(location.map_or(CODEC_STORED, |at| at.codec));
        let first = row.attributes.is_some();
        let attributes = row.attributes.unwrap_or_default();
        self.mode.append_option(attributes.mode);
        self.mtime_ns.append_option(attributes.mtime_ns);
        self.uid.append_option(attributes.uid);
        self.gid.append_option(attributes.gid);
        self.link_target.append_option(attributes.link_target);
        let exact = first && std::str::from_utf8(row.path).is_err();
        self.path_bytes.append_option(exact.then_some(row.path));
        self.file_size.append_option(attributes.file_size);
        append_digest(&mut self.file_hash, attributes.file_hash.as_ref())?;
        self.xattr_id.append_option(attributes.xattr_id);
        self.rdev.append_option(attributes.rdev);
        self.pkg_type.append_option(attributes.pkg_type);
        self.repo.append_option(attributes.repo);
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// The stream, and no rows again. The schema is [`schema::index`] of the additional columns.
    pub fn finish(&mut self, schema: &SchemaRef) -> Result<Vec<u8>> {
        encode_stream(schema, self.finish_columns()?)
    }

    /// The batch, and no rows again.
    pub fn finish_batch(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let columns = self.finish_columns()?;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| internal(&error))
    }

    /// The columns of the stream, and no rows again.
    pub fn finish_columns(&mut self) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.relative_path.finish()),
            Arc::new(self.chunk_seq.finish()),
            Arc::new(self.fdata_offset.finish()),
            Arc::new(self.compressed.finish()),
            Arc::new(self.uncompressed_size.finish()),
            Arc::new(self.blob_offset.finish()),
            Arc::new(self.blob_size.finish()),
            Arc::new(self.checksum.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.block_offset.finish()),
            Arc::new(self.block_size.finish()),
            Arc::new(self.codec.finish()),
            Arc::new(self.mode.finish()),
            Arc::new(self.mtime_ns.finish()),
            Arc::new(self.uid.finish()),
            Arc::new(self.gid.finish()),
            Arc::new(self.link_target.finish()),
            Arc::new(self.path_bytes.finish()),
            Arc::new(self.file_size.finish()),
            Arc::new(self.file_hash.finish()),
            Arc::new(self.xattr_id.finish()),
            Arc::new(self.rdev.finish()),
            Arc::new(self.pkg_type.finish()),
            Arc::new(self.repo.finish()),
        ];
        columns.append(&mut self.extras.finish()?);
        self.rows = 0;
        self.text = 0;
        Ok(columns)
    }
}

fn append_digest(builder: &mut FixedSizeBinaryBuilder, digest: Option<&Digest>) -> Result<()> {
    match digest {
        Some(digest) => builder.append_value(digest).map_err(|error| internal(&error)),
        None => {
            builder.append_null();
            Ok(())
        }
    }
}
