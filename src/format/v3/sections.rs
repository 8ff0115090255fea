//! Sections of version 3 that matter to readers: `__znippy_fsmeta__`, `__znippy_meta__` and `__znippy_delta__`. Others
//! speed up look-ups or sign the archive, and are not looked at.

use arrow::array::{Array, ArrayRef, Int8Array, RecordBatch, StringArray, UInt8Array, UInt32Array};
use arrow_schema::DataType;
use once_cell::sync::Lazy;

use crate::error::Result;
use crate::format::arrow_stream::typed;
use crate::format::hash::hex_of;
use crate::format::schema::Column;
use crate::format::v3::stream::{self, whole};

/// Modes of files, and directories.
pub const FSMETA: &str = "__znippy_fsmeta__";
/// Metadata of entries and of the archive.
pub const META: &str = "__znippy_meta__";
/// Slices whose blobs are deltas against other entries.
pub const DELTA: &str = "__znippy_delta__";
/// Name of the section with all rows in order of path, which 0.10 wants for single files. Written, and not looked at.
pub const LOOKUP: &str = "__znippy_lookup__";

const fn column(name: &'static str, data_type: DataType) -> Column {
    Column { name, data_type, nullable: true }
}

static FSMETA_COLUMNS: Lazy<Vec<Column>> = Lazy::new(|| {
    vec![column("relative_path", DataType::Utf8), column("kind", DataType::UInt8), column("mode", DataType::UInt32)]
});

static META_COLUMNS: Lazy<Vec<Column>> = Lazy::new(|| {
    vec![
        column("relative_path", DataType::Utf8),
        column("key", DataType::Utf8),
        column("value_type", DataType::Int8),
        column("v_str", DataType::Utf8),
        column("v_i64", DataType::Int64),
        column("v_f64", DataType::Float64),
        column("v_bool", DataType::Boolean),
        column("v_bytes", DataType::Binary),
    ]
});

static DELTA_COLUMNS: Lazy<Vec<Column>> =
    Lazy::new(|| vec![column("relative_path", DataType::Utf8), column("chunk_seq", DataType::UInt32)]);

/// What a record of `__znippy_fsmeta__` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    /// A directory.
    Directory,
    /// The mode of a file.
    File,
    /// The mode of files that have none of their own.
    DefaultMode,
    /// Something of a later version.
    Unknown,
}

/// A batch of `__znippy_fsmeta__`.
pub struct FsMeta {
    relative_path: StringArray,
    kind: UInt8Array,
    mode: UInt32Array,
}

impl FsMeta {
    /// Decodes the section.
    pub fn decode(stream: Vec<u8>) -> Result<Vec<FsMeta>> {
        let new = |batch: &RecordBatch| {
            Ok(FsMeta {
                relative_path: whole(batch, "relative_path")?,
                kind: whole(batch, "kind")?,
                mode: whole(batch, "mode")?,
            })
        };
        stream::decode(stream, &FSMETA_COLUMNS, false)?.iter().map(new).collect()
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a record is about.
    pub fn kind(&self, i: usize) -> FsKind {
        match self.kind.value(i) {
            0 => FsKind::Directory,
            1 => FsKind::File,
            2 => FsKind::DefaultMode,
            _ => FsKind::Unknown,
        }
    }

    /// The path of a record.
    pub fn path(&self, i: usize) -> &str {
        self.relative_path.value(i)
    }

    /// The mode of a record; 0 stands for none.
    pub fn mode(&self, i: usize) -> Option<u32> {
        Some(self.mode.value(i) & 0o7777).filter(|mode| *mode != 0)
    }
}

/// A batch of `__znippy_meta__`.
pub struct Meta {
    relative_path: StringArray,
    key: StringArray,
    value_type: Int8Array,
    /// By the number of the type.
    values: [ArrayRef; 5],
}

impl Meta {
    /// Decodes the section.
    pub fn decode(stream: Vec<u8>) -> Result<Vec<Meta>> {
        let new = |batch: &RecordBatch| {
            let value = |name: &str| batch.column_by_name(name).cloned().ok_or_else(|| missing(name));
            Ok(Meta {
                relative_path: typed(batch, "relative_path")?,
                key: whole(batch, "key")?,
                value_type: whole(batch, "value_type")?,
                values: [value("v_str")?, value("v_i64")?, value("v_f64")?, value("v_bool")?, value("v_bytes")?],
            })
        };
        stream::decode(stream, &META_COLUMNS, false)?.iter().map(new).collect()
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of a record; `None` for the archive.
    pub fn path(&self, i: usize) -> Option<&str> {
        self.relative_path.is_valid(i).then(|| self.relative_path.value(i))
    }

    /// The key of a record.
    pub fn key(&self, i: usize) -> &str {
        self.key.value(i)
    }

    /// Where the value of a record stands; `None` for types of later versions.
    pub fn value(&self, i: usize) -> Option<&ArrayRef> {
        usize::try_from(self.value_type.value(i)).ok().and_then(|number| self.values.get(number))
    }

    /// The value of a record as text, where it has one.
    pub fn text(&self, i: usize) -> Option<String> {
        use arrow::array::AsArray;
        use arrow::datatypes::{Float64Type, Int64Type};
        let array = self.value(i).filter(|array| array.is_valid(i))?;
        Some(match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(i).to_owned(),
            DataType::Int64 => array.as_primitive::<Int64Type>().value(i).to_string(),
            DataType::Float64 => array.as_primitive::<Float64Type>().value(i).to_string(),
            DataType::Boolean => array.as_boolean().value(i).to_string(),
            _ => hex_of(array.as_binary::<i32>().value(i)),
        })
    }
}

/// A batch of `__znippy_delta__`.
pub struct Deltas {
    relative_path: StringArray,
    chunk_seq: UInt32Array,
}

impl Deltas {
    /// Decodes the section.
    pub fn decode(stream: Vec<u8>) -> Result<Vec<Deltas>> {
        let new = |batch: &RecordBatch| {
            Ok(Deltas { relative_path: whole(batch, "relative_path")?, chunk_seq: whole(batch, "chunk_seq")? })
        };
        stream::decode(stream, &DELTA_COLUMNS, false)?.iter().map(new).collect()
    }

    /// Paths and slices.
    pub fn keys(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.chunk_seq.len()).map(|i| (self.relative_path.value(i), self.chunk_seq.value(i)))
    }
}

fn missing(name: &str) -> crate::error::Error {
    crate::error::Error::corrupt("index.column", format!("the column {name} is missing"))
}
