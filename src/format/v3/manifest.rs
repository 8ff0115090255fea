//! The manifest of version 3: a row a data part or section, one Arrow IPC stream between them and the footer.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, StringArray, UInt64Array};
use arrow_schema::DataType;
use once_cell::sync::Lazy;

use crate::error::{Error, Result, Status};
use crate::format::arrow_stream::encode_stream;
use crate::format::container::MAX_MANIFEST;
use crate::format::manifest::SECTION_TYPE;
use crate::format::schema::Column;
use crate::format::v3::stream::{self, whole};

static COLUMNS: Lazy<Vec<Column>> = Lazy::new(|| {
    let column = |name, data_type| Column { name, data_type, nullable: true };
    vec![
        column("pkg_type", DataType::Int8),
        column("repo", DataType::Utf8),
        column("module_name", DataType::Utf8),
        column("index_offset", DataType::UInt64),
        column("index_len", DataType::UInt64),
        column("row_count", DataType::UInt64),
    ]
});

/// How names begin of sections that are no data.
const RESERVED: [&str; 2] = ["__znippy", "__gunnar"];

/// A row of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Package type of what is in it.
    pub pkg_type: i8,
    /// Label of what is in it.
    pub repo: String,
    /// Name of a section; as a rule empty for data.
    pub module_name: String,
    /// Where its bytes start.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// Rows of a data part. Writers don't give those of sections.
    pub rows: u64,
}

impl Part {
    /// Whether its rows are slices of files.
    pub fn is_data(&self) -> bool {
        self.pkg_type != SECTION_TYPE && !RESERVED.iter().any(|prefix| self.module_name.starts_with(prefix))
    }
}

/// Decodes what stands from `offset` up to the footer; bytes behind the stream's end may be anything.
pub fn decode(bytes: Vec<u8>, offset: u64) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for batch in stream::decode(bytes, &COLUMNS, true)? {
        let pkg_type: Int8Array = whole(&batch, "pkg_type")?;
        let repo: StringArray = whole(&batch, "repo")?;
        let module_name: StringArray = whole(&batch, "module_name")?;
        let index_offset: UInt64Array = whole(&batch, "index_offset")?;
        let index_len: UInt64Array = whole(&batch, "index_len")?;
        let row_count: UInt64Array = whole(&batch, "row_count")?;
        for i in 0..batch.num_rows() {
            let part = Part {
                pkg_type: pkg_type.value(i),
                repo: repo.value(i).to_owned(),
                module_name: module_name.value(i).to_owned(),
                offset: index_offset.value(i),
                len: index_len.value(i),
                rows: row_count.value(i),
            };
            if part.offset.checked_add(part.len).is_none_or(|end| end > offset) {
                return Err(Error::corrupt("manifest.parts", "a part of the index lies outside the file"));
            }
            parts.push(part);
        }
    }
    Ok(parts)
}

/// The manifest of these parts.
pub fn encode(parts: &[Part]) -> Result<Vec<u8>> {
    let numbers = |of: fn(&Part) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(parts.iter().map(of))) };
    let text = |of: fn(&Part) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(parts.iter().map(of))) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from_iter_values(parts.iter().map(|part| part.pkg_type))),
        text(|part| &part.repo),
        text(|part| &part.module_name),
        numbers(|part| part.offset),
        numbers(|part| part.len),
        numbers(|part| part.rows),
    ];
    encode_stream(&stream::schema(&COLUMNS), columns)
}

/// Where the manifest is in a file of `len` bytes whose footer says that it starts at `offset`.
pub fn range(offset: u64, len: u64) -> Result<std::ops::Range<u64>> {
    let end = len.saturating_sub(crate::format::container::FOOTER_LEN);
    if offset >= end {
        return Err(Error::corrupt("footer.range", "the manifest's place contradicts the archive's length"));
    }
    if end.saturating_sub(offset) > MAX_MANIFEST {
        return Err(Error::refused(Status::Limit, "manifest.size", "the manifest is over 64 MiB"));
    }
    Ok(offset..end)
}
