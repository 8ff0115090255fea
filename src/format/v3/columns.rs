//! The rows of a data part: one slice of one file each, columns found by their names.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int8Array, RecordBatch, StringArray, StringBuilder,
    UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow_schema::DataType;
use once_cell::sync::Lazy;

use crate::error::{Error, Result, Status};
use crate::format::arrow_stream::{encode_stream, typed};
use crate::format::extra::ExtraColumn;
use crate::format::hash::{Digest, UNRECORDED};
use crate::format::schema::{self, Column};
use crate::format::v3::stream::{self, whole};

/// The columns that every data part has. `checksum` may be missing.
static COLUMNS: Lazy<Vec<Column>> = Lazy::new(|| {
    let column = |name, data_type| Column { name, data_type, nullable: true };
    vec![
        column("relative_path", DataType::Utf8),
        column("chunk_seq", DataType::UInt32),
        column("fdata_offset", DataType::UInt64),
        column("compressed", DataType::Boolean),
        column("uncompressed_size", DataType::UInt64),
        column("blob_offset", DataType::UInt64),
        column("blob_size", DataType::UInt64),
    ]
});

/// A row as it stands.
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'a> {
    /// Path of the file.
    pub path: &'a str,
    /// Number of the slice.
    pub chunk_seq: u32,
    /// Where it starts in its file.
    pub offset: u64,
    /// Bytes of the slice.
    pub size: u64,
    /// Whether its blob is an OpenZL frame, and not the bytes.
    pub compressed: bool,
    /// Where the blob is.
    pub blob_offset: u64,
    /// Bytes of the blob.
    pub blob_size: u64,
    /// BLAKE3 of the slice, or [`UNRECORDED`].
    pub checksum: Digest,
    /// Package type, where the part has the column.
    pub pkg_type: Option<i8>,
}

/// Collects rows to be written.
#[derive(Default)]
pub struct RowsBuilder {
    relative_path: StringBuilder,
    chunk_seq: Vec<u32>,
    fdata_offset: Vec<u64>,
    compressed: Vec<bool>,
    uncompressed_size: Vec<u64>,
    blob_offset: Vec<u64>,
    blob_size: Vec<u64>,
    checksum: Vec<u8>,
    text: usize,
}

impl RowsBuilder {
    /// Rows so far.
    pub fn len(&self) -> usize {
        self.chunk_seq.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `E_LIMIT` where all paths together reach 2 GiB, which a column of Arrow's has no room for.
    pub fn push(&mut self, row: &RawRow<'_>) -> Result<()> {
        self.text = self.text.saturating_add(row.path.len());
        if self.text > i32::MAX as usize {
            return Err(Error::new(Status::Limit, "the paths of a version 3 archive take less than 2 GiB together"));
        }
        self.relative_path.append_value(row.path);
        self.chunk_seq.push(row.chunk_seq);
        self.fdata_offset.push(row.offset);
        self.compressed.push(row.compressed);
        self.uncompressed_size.push(row.size);
        self.blob_offset.push(row.blob_offset);
        self.blob_size.push(row.blob_size);
        self.checksum.extend_from_slice(&row.checksum);
        Ok(())
    }

    /// The stream.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let numbers = |values: Vec<u64>| -> ArrayRef { Arc::new(UInt64Array::from(values)) };
        let checksum = FixedSizeBinaryArray::try_new(32, Buffer::from_vec(self.checksum), None)
            .map_err(|error| Error::new(Status::Limit, format!("can't build the index: {error}")))?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.relative_path.finish()),
            Arc::new(UInt32Array::from(self.chunk_seq)),
            numbers(self.fdata_offset),
            Arc::new(BooleanArray::from(self.compressed)),
            numbers(self.uncompressed_size),
            numbers(self.blob_offset),
            numbers(self.blob_size),
            Arc::new(checksum),
        ];
        let checksum = Column { name: "checksum", data_type: DataType::FixedSizeBinary(32), nullable: false };
        let all: Vec<Column> = COLUMNS.iter().cloned().chain([checksum]).collect();
        encode_stream(&stream::schema(&all), columns)
    }
}

/// A batch of rows.
pub struct Rows {
    relative_path: StringArray,
    chunk_seq: UInt32Array,
    fdata_offset: UInt64Array,
    compressed: BooleanArray,
    uncompressed_size: UInt64Array,
    blob_offset: UInt64Array,
    blob_size: UInt64Array,
    checksum: Option<FixedSizeBinaryArray>,
    pkg_type: Option<Int8Array>,
    has_pkg_type: bool,
    /// Columns of packages.
    extras: Vec<(ExtraColumn, ArrayRef)>,
}

/// Decodes the stream of a data part.
pub fn decode(stream: Vec<u8>) -> Result<Vec<Rows>> {
    stream::decode(stream, &COLUMNS, false)?.iter().map(Rows::new).collect()
}

impl Rows {
    fn new(batch: &RecordBatch) -> Result<Rows> {
        let is_there = |name: &str| batch.column_by_name(name).is_some();
        let checksum: Option<FixedSizeBinaryArray> =
            is_there("checksum").then(|| typed(batch, "checksum")).transpose()?;
        if checksum.as_ref().is_some_and(|column| column.value_length() != 32) {
            return Err(Error::corrupt("index.column", "the column checksum is not 32 bytes wide"));
        }
        let has_pkg_type = is_there("pkg_type");
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let is_fixed = |name: &str| schema::INDEX.iter().any(|column| column.name == name);
        let extras = fields.filter(|(field, _)| !is_fixed(field.name())).map(|(field, array)| {
            let column = ExtraColumn { name: field.name().clone(), data_type: field.data_type().clone() };
            (column, array.clone())
        });
        Ok(Rows {
            relative_path: whole(batch, "relative_path")?,
            chunk_seq: whole(batch, "chunk_seq")?,
            fdata_offset: whole(batch, "fdata_offset")?,
            compressed: whole(batch, "compressed")?,
            uncompressed_size: whole(batch, "uncompressed_size")?,
            blob_offset: whole(batch, "blob_offset")?,
            blob_size: whole(batch, "blob_size")?,
            checksum,
            pkg_type: has_pkg_type.then(|| typed(batch, "pkg_type")).transpose()?,
            has_pkg_type,
            extras: extras.collect(),
        })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.relative_path.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns of packages, with their values.
    pub fn extras(&self) -> &[(ExtraColumn, ArrayRef)] {
        &self.extras
    }

    /// Whether the part says of each row what package type it has.
    pub fn has_pkg_type(&self) -> bool {
        self.has_pkg_type
    }

    /// What the rows are sorted by.
    pub fn key(&self, i: usize) -> (&str, u32) {
        (self.relative_path.value(i), self.chunk_seq.value(i))
    }

    /// A row.
    pub fn get(&self, i: usize) -> RawRow<'_> {
        let checksum = self.checksum.as_ref().filter(|column| column.is_valid(i));
        RawRow {
            path: self.relative_path.value(i),
            chunk_seq: self.chunk_seq.value(i),
            offset: self.fdata_offset.value(i),
            size: self.uncompressed_size.value(i),
            compressed: self.compressed.value(i),
            blob_offset: self.blob_offset.value(i),
            blob_size: self.blob_size.value(i),
            checksum: checksum.and_then(|column| column.value(i).try_into().ok()).unwrap_or(UNRECORDED),
            pkg_type: self.pkg_type.as_ref().filter(|column| column.is_valid(i)).map(|column| column.value(i)),
        }
    }
}
