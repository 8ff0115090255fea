//! The columns of index segments and of the manifest, once: what the writer makes, the guard demands and the
//! reader looks up.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use once_cell::sync::Lazy;

use crate::format::extra::ExtraColumn;

/// A column by name, with its exact type.
#[derive(Clone, Debug)]
pub struct Column {
    /// The name.
    pub name: &'static str,
    /// The exact type.
    pub data_type: DataType,
    /// Whether there may be nulls.
    pub nullable: bool,
}

impl Column {
    /// The field of a schema.
    pub fn field(&self) -> Field {
        Field::new(self.name, self.data_type.clone(), self.nullable)
    }
}

const fn column(name: &'static str, data_type: DataType, nullable: bool) -> Column {
    Column { name, data_type, nullable }
}

/// The columns of an index segment, in the order in which they are written.
pub static INDEX: Lazy<Vec<Column>> = Lazy::new(|| {
    use DataType::*;
    vec![
        column("relative_path", Utf8, false),
        column("chunk_seq", UInt32, false),
        column("fdata_offset", UInt64, false),
        column("compressed", Boolean, false),
        column("uncompressed_size", UInt64, false),
        column("blob_offset", UInt64, false),
        column("blob_size", UInt64, false),
        column("checksum", FixedSizeBinary(32), false),
        column("kind", UInt8, false),
        column("block_offset", UInt64, true),
        column("block_size", UInt64, true),
        column("codec", UInt8, false),
        column("mode", UInt32, true),
        column("mtime_ns", Int64, true),
        column("uid", UInt32, true),
        column("gid", UInt32, true),
        column("link_target", Binary, true),
        column("path_bytes", Binary, true),
        column("file_size", UInt64, true),
        column("file_hash", FixedSizeBinary(32), true),
        column("xattr_id", UInt32, true),
        column("rdev", UInt64, true),
        column("pkg_type", Int8, true),
        column("repo", Utf8, true),
    ]
});

/// The columns of the manifest, in the order in which they are written.
pub static MANIFEST: Lazy<Vec<Column>> = Lazy::new(|| {
    use DataType::*;
    vec![
        column("pkg_type", Int8, false),
        column("repo", Utf8, false),
        column("module_name", Utf8, false),
        column("index_offset", UInt64, false),
        column("index_len", UInt64, false),
        column("row_count", UInt64, false),
        column("index_raw_len", UInt64, false),
        column("first_path", Binary, false),
        column("last_path", Binary, false),
        column("first_entry", UInt64, false),
        column("entry_count", UInt64, false),
        column("index_hash", FixedSizeBinary(32), false),
    ]
});

/// How names begin that belong to the format: of sections, and of columns that are none of others'.
pub const RESERVED: &str = "__znippy";

/// Key of the format version in the schema metadata.
pub const VERSION_KEY: &str = "znippy_format_version";

/// Facts about the archive that stand in the metadata of every schema: sorted by key, no host facts.
pub type Metadata = std::collections::BTreeMap<String, String>;

/// The schema of index segments with these columns behind the fixed ones.
pub fn index(extras: &[ExtraColumn], metadata: &Metadata) -> SchemaRef {
    let fields = INDEX.iter().map(Column::field).chain(extras.iter().map(ExtraColumn::field));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()).with_metadata(metadata.clone()))
}

/// An Arrow schema of these columns.
pub fn arrow(columns: &[Column], metadata: &Metadata) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    Arc::new(Schema::new(fields).with_metadata(metadata.clone()))
}
