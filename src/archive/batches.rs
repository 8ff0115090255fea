//! The index as Arrow record batches: one a segment, all with one schema.
//!
//! The schema has the columns of version 4, then those that this version doesn't know, from whichever segment has
//! them, in the order in which they first appear: nullable, and null in segments without them. A column whose
//! type differs between segments has no type that would be right, and one whose name contains a NUL byte no name
//! in C; both are left out, and named in the schema's metadata under [`LEFT_OUT_KEY`].
//!
//! A damaged segment adds no columns. It shows as an error when its batch is asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatchReader;
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::archive::Archive;
use crate::error::{Error, Result, Status, zeroed};
use crate::format::codec::Decompressor;
use crate::format::container::MAX_BLOCK;
use crate::format::in_memory;
use crate::format::index::Segment;
use crate::format::ipc_guard::{MAX_FIELD_NAMES, MAX_FIELDS};
use crate::format::{ipc_guard, schema};
use crate::options::Options;
use crate::progress::CancelToken;

/// Key of the schema metadata under which the columns stand that were left out, separated by commas.
pub const LEFT_OUT_KEY: &str = "znippy_columns_left_out";

/// As much of a segment as holds its schema, as a rule.
const SCHEMA_READ: usize = 64 << 10;

/// The schema that all batches have.
pub(super) struct Columns {
    schema: SchemaRef,
    left_out: BTreeSet<String>,
}

/// The rows of the index, in order: one batch a segment, loaded and checked when it is asked for.
///
/// It holds the archive, which others go on using, and passes the segment cache by. After an error it ends.
pub struct IndexBatches<A> {
    archive: A,
    columns: Arc<Columns>,
    next: usize,
    cancel: CancelToken,
}

impl<A: AsRef<Archive>> IndexBatches<A> {
    /// Batches from the start. Of the options, the cancel token matters.
    ///
    /// # Errors
    /// Those of [`Archive::index_schema`].
    pub fn new(archive: A, options: &Options) -> Result<IndexBatches<A>> {
        let cancel = options.cancel().clone();
        let columns = archive.as_ref().columns(&cancel)?;
        Ok(IndexBatches { archive, columns, next: 0, cancel })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }

    /// The next batch; `None` at the end, and after an error.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let archive = self.archive.as_ref();
        let count = archive.manifest().segments.len();
        if self.next >= count {
            return Ok(None);
        }
        // Whatever fails below has ended the batches.
        let number = std::mem::replace(&mut self.next, count);
        self.cancel.check()?;
        let batch = self.columns.conform(archive.segment_for_walk(number)?.batch())?;
        self.next = number.saturating_add(1);
        Ok(Some(batch))
    }
}

impl<A: AsRef<Archive>> Iterator for IndexBatches<A> {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().map_err(|error| ArrowError::ExternalError(Box::new(error))).transpose()
    }
}

impl<A: AsRef<Archive>> RecordBatchReader for IndexBatches<A> {
    fn schema(&self) -> SchemaRef {
        IndexBatches::schema(self)
    }
}

impl Archive {
    /// The schema of the index as Arrow readers see it, with the manifest's metadata.
    ///
    /// The first call reads every segment for its columns; what it found is kept.
    ///
    /// # Errors
    /// What the source reports, and [`Status::Limit`] for too many columns. Not damage.
    pub fn index_schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(&self.columns(&CancelToken::new())?.schema))
    }

    fn columns(&self, cancel: &CancelToken) -> Result<Arc<Columns>> {
        if let Some(columns) = self.columns.get() {
            return Ok(Arc::clone(columns));
        }
        let mut union = Union::default();
        let mut complete = true;
        if let Some(index) = self.version_3() {
            let labels = index.labels();
            union
                .add(labels.columns().iter().map(|column| (column.name.clone(), column.data_type.clone())).collect())?;
            union.left_out.extend(labels.left_out().cloned());
            let columns = union.finish(&self.manifest().metadata);
            return Ok(Arc::clone(self.columns.get_or_init(|| Arc::new(columns))));
        }
        for number in 0..self.manifest().segments.len() {
            cancel.check()?;
            match self.unknown_columns(number) {
                Ok(unknown) => union.add(unknown)?,
                Err(error) if is_damage(&error) => complete = false,
                Err(error) => return Err(error),
            }
        }
        let columns = Arc::new(union.finish(&self.manifest().metadata));
        // Damage may be the source's of the moment.
        if complete {
            return Ok(Arc::clone(self.columns.get_or_init(|| columns)));
        }
        Ok(columns)
    }

    /// The columns of a segment that this version doesn't know.
    fn unknown_columns(&self, number: usize) -> Result<Vec<(String, DataType)>> {
        let Some(part) = self.manifest().segments.get(number).filter(|_| !self.is_small()) else {
            let segment = self.segment(number)?;
            let fields = segment.batch().schema_ref().fields().iter();
            let unknown = fields.filter(|field| schema::INDEX.iter().all(|column| column.name != field.name()));
            return Ok(unknown.map(|field| (field.name().clone(), field.data_type().clone())).collect());
        };
        let stored = self.read_stored(part)?;
        if part.raw_len == 0 {
            return ipc_guard::unknown_columns(&stored, &schema::INDEX);
        }
        let mut start = zeroed(SCHEMA_READ.min(in_memory(part.raw_len)))?;
        let len = Decompressor::new()?.decompress_start(&stored, &mut start)?;
        // A longer schema, or none: the whole segment tells.
        ipc_guard::unknown_columns(start.get(..len).unwrap_or(&start), &schema::INDEX)
            .or_else(|_| ipc_guard::unknown_columns(&self.read_part(part)?, &schema::INDEX))
    }

    /// An index of one segment is worth keeping; walks over more would only flush the cache.
    fn segment_for_walk(&self, number: usize) -> Result<Arc<Segment>> {
        if self.is_small() { self.segment(number) } else { self.load_segment(number).map(Arc::new) }
    }

    fn is_small(&self) -> bool {
        self.manifest().segments.len() == 1
    }
}

fn is_damage(error: &Error) -> bool {
    matches!(error.status(), Status::Corrupt | Status::Checksum | Status::UnsafePath)
}

/// Unknown columns of all segments, which together may have no more than one segment may.
#[derive(Default)]
struct Union {
    fields: Vec<(String, DataType)>,
    positions: HashMap<String, usize>,
    left_out: BTreeSet<String>,
    name_bytes: usize,
}

impl Union {
    fn add(&mut self, unknown: Vec<(String, DataType)>) -> Result<()> {
        for (name, data_type) in unknown {
            if let Some(position) = self.positions.get(&name) {
                if self.fields.get(*position).is_some_and(|field| field.1 != data_type) {
                    self.left_out.insert(name);
                }
                continue;
            }
            self.name_bytes = self.name_bytes.saturating_add(name.len());
            if self.fields.len().saturating_add(schema::INDEX.len()) >= MAX_FIELDS || self.name_bytes > MAX_FIELD_NAMES
            {
                let why = format!("the index has over {MAX_FIELDS} columns, or over a MiB of names of columns");
                return Err(Error::refused(Status::Limit, "index.columns", why));
            }
            if name.contains('\0') {
                self.left_out.insert(name.clone());
            }
            self.positions.insert(name.clone(), self.fields.len());
            self.fields.push((name, data_type));
        }
        Ok(())
    }

    fn finish(self, metadata: &schema::Metadata) -> Columns {
        let known =
            schema::INDEX.iter().map(|column| Field::new(column.name, column.data_type.clone(), column.nullable));
        let unknown = self.fields.into_iter().filter(|(name, _)| !self.left_out.contains(name));
        let fields: Vec<Field> =
            known.chain(unknown.map(|(name, data_type)| Field::new(name, data_type, true))).collect();
        let mut metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
        if !self.left_out.is_empty() {
            let names: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
            metadata.insert(LEFT_OUT_KEY.into(), names.join(","));
        }
        Columns { schema: Arc::new(Schema::new(fields).with_metadata(metadata)), left_out: self.left_out }
    }
}

impl Columns {
    /// A segment's batch with this schema. The columns are shared, not copied.
    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let mut found = 0usize;
        let mut null_bytes = 0usize;
        for field in self.schema.fields() {
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => {
                    found = found.saturating_add(1);
                    columns.push(Arc::clone(column));
                }
                Some(_) => return Err(changed()),
                None => {
                    null_bytes = null_bytes.saturating_add(bytes_of_nulls(field.data_type(), batch.num_rows()));
                    if null_bytes > in_memory(MAX_BLOCK) {
                        let why = "the columns that an index segment lacks would take over 64 MiB of nulls";
                        return Err(Error::refused(Status::Limit, "index.columns", why));
                    }
                    columns.push(new_null_array(field.data_type(), batch.num_rows()));
                }
            }
        }
        if found < batch.num_columns() {
            let fields = batch.schema_ref().fields().iter();
            let is_known = |name: &str| self.left_out.contains(name) || self.schema.fields().find(name).is_some();
            if !fields.into_iter().all(|field| is_known(field.name())) {
                return Err(changed());
            }
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::corrupt("index.arrow", format!("an index segment has an odd column: {error}")))
    }
}

/// When the schema was made, the segment could not be read.
fn changed() -> Error {
    Error::corrupt("index.column", "an index segment has other columns than when the schema was made")
}

fn bytes_of_nulls(data_type: &DataType, rows: usize) -> usize {
    let width = match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(usize::MAX),
        other => other.primitive_width().unwrap_or(8),
    };
    rows.saturating_add(1).saturating_mul(width)
}
