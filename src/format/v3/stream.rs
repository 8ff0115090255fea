//! Arrow IPC streams of version 3: any number of batches, columns of lists allowed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::Buffer;
use arrow::ipc::reader::read_record_batch;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};

use crate::error::{Error, Result, Status};
use crate::format::arrow_stream::typed;
use crate::format::ipc_guard;
use crate::format::schema::{Column, Metadata, VERSION_KEY};
use crate::format::v3::VERSION;

/// Decodes a stream that must have these columns; more may be there. Batches without rows are left out.
///
/// # Errors
/// `E_CORRUPT` for what breaks a rule of Arrow's, `E_VERSION` where the schema says another version than 3.
pub fn decode(stream: Vec<u8>, columns: &[Column], trailer: bool) -> Result<Vec<RecordBatch>> {
    ipc_guard::check_batches(&stream, columns, trailer)?;
    let buffer = Buffer::from_vec(stream);
    let (schema, parts) = ipc_guard::batches(&buffer)?;
    let schema = Arc::new(arrow::ipc::convert::try_fb_to_schema(schema).map_err(malformed)?);
    check_version(schema.metadata().get(VERSION_KEY).map(String::as_str))?;
    let read = |part: ipc_guard::Parts<'_>| {
        let body = buffer.slice_with_length(part.body.start, part.body.len());
        read_record_batch(&body, part.batch, Arc::clone(&schema), &HashMap::new(), None, &part.version)
    };
    parts.into_iter().map(|part| read(part).map_err(malformed)).collect()
}

/// The schema that is written: these columns, none of them null.
pub fn schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| Field::new(column.name, column.data_type.clone(), false);
    let metadata = Metadata::from([(VERSION_KEY.to_owned(), VERSION.to_owned())]);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()).with_metadata(metadata))
}

/// A missing version is no error: not every writer gave one.
fn check_version(version: Option<&str>) -> Result<()> {
    match version {
        None | Some(VERSION) => Ok(()),
        Some("4") => {
            let why = "an archive of format version 4 whose trailer is damaged";
            Err(Error::refused(Status::Version, "trailer.magic", why))
        }
        Some(other) => {
            let shown: String = other.chars().take(16).collect();
            let why = format!("the archive has format version {shown}, which this version of the library doesn't know");
            Err(Error::refused(Status::Version, "manifest.version", why))
        }
    }
}

/// A column in which nothing is null, whatever the schema says.
pub fn whole<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T> {
    let column: T = typed(batch, name)?;
    if column.null_count() == 0 {
        Ok(column)
    } else {
        Err(Error::corrupt("index.column", format!("the column {name} has nulls")))
    }
}

fn malformed(error: ArrowError) -> Error {
    Error::corrupt("index.arrow", format!("an index stream is malformed: {error}"))
}
