//! Arrow IPC streams of one batch, as segments, manifests and sections are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::SchemaRef;

use crate::error::{Error, Result, Status};
use crate::format::ipc_guard;

/// One Arrow IPC stream of one batch: 64-byte alignment, metadata version 5, end marker.
pub fn encode_stream(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<Vec<u8>> {
    let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| internal(&error))?;
    let options = IpcWriteOptions::try_new(64, false, arrow::ipc::MetadataVersion::V5);
    let mut stream = Vec::new();
    options
        .and_then(|options| StreamWriter::try_new_with_options(&mut stream, schema, options))
        .and_then(|mut writer| writer.write(&batch).and_then(|()| writer.finish()))
        .map_err(|error| internal(&error))?;
    Ok(stream)
}

/// The one batch of a stream that [`ipc_guard::check`] let through.
///
/// Without arrow's decoder of whole streams, which brings code for all that dictionaries can hold: a tenth of the library.
pub fn decode_stream(stream: Vec<u8>) -> Result<RecordBatch> {
    let malformed = |error: arrow_schema::ArrowError| {
        Error::corrupt("index.arrow", format!("an index stream is malformed: {error}"))
    };
    let buffer = Buffer::from_vec(stream);
    let parts = ipc_guard::parts(&buffer)?;
    let schema = Arc::new(arrow::ipc::convert::try_fb_to_schema(parts.schema).map_err(malformed)?);
    let body = buffer.slice_with_length(parts.body.start, parts.body.len());
    read_record_batch(&body, parts.batch, schema, &HashMap::new(), None, &parts.version).map_err(malformed)
}

/// An error of building, of which there should be none but those of size.
pub(super) fn internal(error: &arrow_schema::ArrowError) -> Error {
    Error::new(Status::Limit, format!("can't build the index: {error}"))
}

/// A column with its type; the guard has checked that it is there.
pub fn typed<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_any().downcast_ref::<T>())
        .cloned()
        .ok_or_else(|| Error::corrupt("index.column", format!("the column {name} is missing or has the wrong type")))
}
