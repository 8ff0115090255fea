//! The walk over an Arrow IPC stream before arrow sees it.
//!
//! arrow-ipc trusts lengths and offsets that it reads: of all single-bit flips of a small stream some 7 % make it
//! panic, and a stream cut after its schema reads as "no rows". So every stream is walked first: framing and
//! exact length, one Schema and one RecordBatch message and the end marker, known columns with their exact
//! types, unknown ones flat, every node and buffer against the row count and the body. What the walk lets
//! through, arrow then validates once more (UTF-8, offsets of variable-length columns).
//!
//! Sources: the Arrow columnar format, sections "Encapsulated message format" and "IPC streaming format".

use std::ops::Range;
use std::sync::Arc;

use arrow::ipc;
use arrow_schema::{DataType, Field};

use crate::error::{Error, Result};
use crate::format::schema::Column;

const CONTINUATION: u32 = 0xFFFF_FFFF;
/// Fields of a schema.
pub const MAX_FIELDS: usize = 4096;
/// Bytes of the names of all fields.
pub const MAX_FIELD_NAMES: usize = 1 << 20;
/// Keys of schema metadata, and bytes of keys and values together. Flatbuffers may point at one string many times,
/// so a small stream can claim a lot.
const MAX_KEYS: usize = 1024;
const MAX_METADATA: usize = 64 << 10;

/// Checks a whole stream that must hold one batch with these columns, more flat ones allowed. `rows` is the
/// number of rows where something else says how many there must be. Returns the number of rows.
pub fn check(stream: &[u8], columns: &[Column], rows: Option<usize>) -> Result<usize> {
    let mut walk = Walk { rest: stream };
    let schema = walk.schema()?;
    let shapes = check_fields(&schema, columns)?;
    let (batch, body) = walk.message()?;
    let batch = batch.header_as_record_batch().ok_or_else(|| refuse("the second message is not a record batch"))?;
    let length = usize::try_from(batch.length()).map_err(|_| refuse("the number of rows is negative"))?;
    if rows.is_some_and(|rows| rows != length) {
        return Err(refuse("the number of rows contradicts the manifest"));
    }
    check_batch(&batch, body.len(), &shapes, length)?;
    walk.end()?;
    Ok(length)
}

/// The same for a stream of version 3: any number of batches, and columns of lists. Returns the number of rows.
/// Bytes behind the end marker are not looked at where `trailer` says that there may be some.
pub fn check_batches(stream: &[u8], columns: &[Column], trailer: bool) -> Result<usize> {
    let mut walk = Walk { rest: stream };
    let schema = walk.schema()?;
    let shapes = shapes_of(&schema, columns, column_type)?;
    let mut rows = 0usize;
    while let Some((batch, body)) = walk.message_or_end()? {
        let batch = batch.header_as_record_batch().ok_or_else(|| refuse("a message is not a record batch"))?;
        let length = usize::try_from(batch.length()).map_err(|_| refuse("the number of rows is negative"))?;
        // Writers leave out the buffers of batches without rows, which nobody reads.
        if length > 0 {
            check_batch(&batch, body.len(), &shapes, length)?;
        }
        rows = rows.checked_add(length).ok_or_else(|| refuse("overflow"))?;
    }
    if !trailer && !walk.rest.is_empty() {
        return Err(refuse("there are bytes behind the stream's end"));
    }
    Ok(rows)
}

/// The schema and the batches with rows of a stream that [`check_batches`] let through.
pub fn batches(stream: &[u8]) -> Result<(ipc::Schema<'_>, Vec<Parts<'_>>)> {
    let mut walk = Walk { rest: stream };
    let schema = walk.schema()?;
    let mut batches = Vec::new();
    while let Some((message, body)) = walk.message_or_end()? {
        let batch = message.header_as_record_batch().ok_or_else(|| refuse("a message is not a record batch"))?;
        if batch.length() > 0 {
            let body = walk.range_before(body, stream);
            batches.push(Parts { schema, batch, version: message.version(), body });
        }
    }
    Ok((schema, batches))
}

/// What a stream consists of.
pub struct Parts<'a> {
    /// The schema message.
    pub schema: ipc::Schema<'a>,
    /// The batch message.
    pub batch: ipc::RecordBatch<'a>,
    /// Version of the batch message.
    pub version: ipc::MetadataVersion,
    /// Where the batch's buffers are in the stream.
    pub body: Range<usize>,
}

/// The parts of a stream that [`check`] let through.
pub fn parts(stream: &[u8]) -> Result<Parts<'_>> {
    let mut walk = Walk { rest: stream };
    let schema = walk.schema()?;
    let (message, body) = walk.message()?;
    let batch = message.header_as_record_batch().ok_or_else(|| refuse("the second message is not a record batch"))?;
    Ok(Parts { schema, batch, version: message.version(), body: walk.range_before(body, stream) })
}

/// The columns of a stream that are not among `columns`, in order. All that is looked at is the schema, so the
/// stream may be cut after it; its fields are checked as [`check`] does.
pub fn unknown_columns(stream: &[u8], columns: &[Column]) -> Result<Vec<(String, DataType)>> {
    let mut walk = Walk { rest: stream };
    let schema = walk.schema()?;
    check_fields(&schema, columns)?;
    let fields = schema.fields().into_iter().flatten();
    let named = fields.filter_map(|field| Some((field.name()?.to_owned(), flat_type(&field)?)));
    Ok(named.filter(|(name, _)| columns.iter().all(|column| column.name != name)).collect())
}

/// Bytes of the stream that `bytes` begin with.
///
/// # Errors
/// `E_CORRUPT` where they begin with none, or it goes on behind them.
pub fn stream_len(bytes: &[u8]) -> Result<usize> {
    let mut walk = Walk { rest: bytes };
    walk.schema()?;
    walk.message()?;
    match walk.prefix()? {
        (CONTINUATION, 0) => Ok(walk.taken_of(bytes)),
        _ => Err(refuse("the stream has more than one batch")),
    }
}

struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn schema(&mut self) -> Result<ipc::Schema<'a>> {
        let (message, body) = self.message()?;
        let schema = message.header_as_schema().ok_or_else(|| refuse("the first message is not a schema"))?;
        if !body.is_empty() || schema.endianness() != ipc::Endianness::Little {
            return Err(refuse("the schema message has a body or is big endian"));
        }
        check_metadata(&schema)?;
        Ok(schema)
    }

    fn message(&mut self) -> Result<(ipc::Message<'a>, &'a [u8])> {
        let prefix = self.prefix()?;
        self.rest_of_message(prefix)
    }

    fn message_or_end(&mut self) -> Result<Option<(ipc::Message<'a>, &'a [u8])>> {
        match self.prefix()? {
            (CONTINUATION, 0) => Ok(None),
            prefix => self.rest_of_message(prefix).map(Some),
        }
    }

    fn rest_of_message(&mut self, (continuation, length): (u32, u32)) -> Result<(ipc::Message<'a>, &'a [u8])> {
        if continuation != CONTINUATION || length == 0 || length % 8 != 0 {
            return Err(refuse("a message's prefix is malformed"));
        }
        let metadata = self.take(length as usize)?;
        let message = ipc::root_as_message(metadata).map_err(|_| refuse("a message's metadata is malformed"))?;
        if !matches!(message.version(), ipc::MetadataVersion::V4 | ipc::MetadataVersion::V5) {
            return Err(refuse("a message has an unknown version"));
        }
        let length = usize::try_from(message.bodyLength()).map_err(|_| refuse("a body's length is negative"))?;
        if length % 8 != 0 {
            return Err(refuse("a body's length is not a multiple of 8"));
        }
        Ok((message, self.take(length)?))
    }

    fn end(&mut self) -> Result<()> {
        match self.prefix()? {
            (CONTINUATION, 0) if self.rest.is_empty() => Ok(()),
            _ => Err(refuse("the stream does not end after its batch")),
        }
    }

    fn prefix(&mut self) -> Result<(u32, u32)> {
        let prefix = self.take(8)?;
        let (continuation, length) = prefix.split_at(4);
        let number = |part: &[u8]| part.try_into().map(u32::from_le_bytes).unwrap_or(0);
        Ok((number(continuation), number(length)))
    }

    /// Bytes of the stream that were taken.
    fn taken_of(&self, stream: &[u8]) -> usize {
        stream.len().saturating_sub(self.rest.len())
    }

    /// Where what was taken last is in the stream.
    fn range_before(&self, taken: &[u8], stream: &[u8]) -> Range<usize> {
        let end = self.taken_of(stream);
        end.saturating_sub(taken.len())..end
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| refuse("the stream is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }
}

/// How a column's buffers look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffers {
    Bits,
    /// Bytes of one value.
    Fixed(usize),
    /// Bytes of one offset.
    Variable(usize),
    /// Offsets of 4 bytes, and a column of its own that they point into.
    List,
}

#[derive(Clone, Copy)]
struct Shape {
    buffers: Buffers,
    nullable: bool,
}

fn check_metadata(schema: &ipc::Schema<'_>) -> Result<()> {
    let Some(pairs) = schema.custom_metadata() else { return Ok(()) };
    if pairs.len() > MAX_KEYS {
        return Err(refuse("there are too many metadata keys"));
    }
    let (mut names, mut bytes) = (std::collections::HashSet::new(), 0usize);
    for pair in pairs {
        let key = pair.key().unwrap_or_default();
        bytes = bytes.saturating_add(key.len()).saturating_add(pair.value().map_or(0, str::len));
        if bytes > MAX_METADATA || !names.insert(key) {
            return Err(refuse("the metadata is over 64 KiB, or a key is there twice"));
        }
    }
    Ok(())
}

/// The shapes of flat fields.
fn check_fields(schema: &ipc::Schema<'_>, columns: &[Column]) -> Result<Vec<Shape>> {
    shapes_of(schema, columns, |field| {
        if field.children().is_some_and(|children| !children.is_empty()) { None } else { flat_type(field) }
    })
}

/// The shapes of all fields and of what is in lists, in the order of a batch's nodes.
fn shapes_of(
    schema: &ipc::Schema<'_>,
    columns: &[Column],
    type_of: fn(&ipc::Field<'_>) -> Option<DataType>,
) -> Result<Vec<Shape>> {
    let fields = schema.fields().ok_or_else(|| refuse("the schema has no fields"))?;
    if fields.len() > MAX_FIELDS {
        return Err(refuse("the schema has too many fields"));
    }
    let (mut names, mut name_bytes) = (std::collections::HashSet::new(), 0usize);
    let mut shapes = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name().ok_or_else(|| refuse("a field has no name"))?;
        name_bytes = name_bytes.saturating_add(name.len());
        if name_bytes > MAX_FIELD_NAMES {
            return Err(refuse("the names of the fields are over 1 MiB"));
        }
        if !names.insert(name) {
            return Err(refuse("two fields have the same name"));
        }
        if field.custom_metadata().is_some_and(|pairs| !pairs.is_empty()) {
            return Err(refuse("a field has metadata of its own"));
        }
        if field.dictionary().is_some() {
            return Err(refuse("a field is dictionary-encoded"));
        }
        let data_type =
            type_of(&field).ok_or_else(|| refuse("a field is nested, or has a type that is not allowed"))?;
        if let Some(column) = columns.iter().find(|column| column.name == name)
            && (column.data_type != data_type || (field.nullable() && !column.nullable))
        {
            return Err(refuse(&format!("the column {name} has the wrong type")));
        }
        shapes.push(Shape { buffers: buffers_of(&data_type), nullable: field.nullable() });
        if let DataType::List(item) = &data_type {
            shapes.push(Shape { buffers: buffers_of(item.data_type()), nullable: item.is_nullable() });
        }
    }
    if let Some(missing) = columns.iter().find(|column| !names.contains(column.name)) {
        return Err(refuse(&format!("the column {} is missing", missing.name)));
    }
    Ok(shapes)
}

fn flat_type(field: &ipc::Field<'_>) -> Option<DataType> {
    Some(match field.type_type() {
        ipc::Type::Bool => DataType::Boolean,
        ipc::Type::Utf8 => DataType::Utf8,
        ipc::Type::Binary => DataType::Binary,
        ipc::Type::LargeUtf8 => DataType::LargeUtf8,
        ipc::Type::LargeBinary => DataType::LargeBinary,
        ipc::Type::Int => {
            let int = field.type_as_int()?;
            match (int.bitWidth(), int.is_signed()) {
                (8, true) => DataType::Int8,
                (16, true) => DataType::Int16,
                (32, true) => DataType::Int32,
                (64, true) => DataType::Int64,
                (8, false) => DataType::UInt8,
                (16, false) => DataType::UInt16,
                (32, false) => DataType::UInt32,
                (64, false) => DataType::UInt64,
                _ => return None,
            }
        }
        ipc::Type::FloatingPoint => match field.type_as_floating_point()?.precision() {
            ipc::Precision::SINGLE => DataType::Float32,
            ipc::Precision::DOUBLE => DataType::Float64,
            _ => return None,
        },
        ipc::Type::FixedSizeBinary => {
            let width = field.type_as_fixed_size_binary()?.byteWidth();
            if !(1..=1 << 16).contains(&width) {
                return None;
            }
            DataType::FixedSizeBinary(width)
        }
        _ => return None,
    })
}

/// The same, and lists of such.
fn column_type(field: &ipc::Field<'_>) -> Option<DataType> {
    let children = field.children().filter(|children| !children.is_empty());
    match (field.type_type(), children) {
        (ipc::Type::List, Some(children)) if children.len() == 1 => {
            let item = children.get(0);
            let plain = item.dictionary().is_none()
                && item.children().is_none_or(|children| children.is_empty())
                && item.custom_metadata().is_none_or(|pairs| pairs.is_empty());
            let item = Field::new(item.name()?, plain.then(|| flat_type(&item))??, item.nullable());
            Some(DataType::List(Arc::new(item)))
        }
        (_, None) => flat_type(field),
        _ => None,
    }
}

pub(super) fn buffers_of(data_type: &DataType) -> Buffers {
    match data_type {
        DataType::Boolean => Buffers::Bits,
        DataType::Utf8 | DataType::Binary => Buffers::Variable(4),
        DataType::LargeUtf8 | DataType::LargeBinary => Buffers::Variable(8),
        DataType::List(_) => Buffers::List,
        DataType::FixedSizeBinary(width) => Buffers::Fixed(usize::try_from(*width).unwrap_or(usize::MAX)),
        other => Buffers::Fixed(other.primitive_width().unwrap_or(8)),
    }
}

fn check_batch(batch: &ipc::RecordBatch<'_>, body: usize, shapes: &[Shape], rows: usize) -> Result<()> {
    if batch.compression().is_some() || batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err(refuse("the batch is compressed or has view buffers"));
    }
    let nodes = batch.nodes().ok_or_else(|| refuse("the batch has no nodes"))?;
    let buffers = batch.buffers().ok_or_else(|| refuse("the batch has no buffers"))?;
    let expected: usize = shapes.iter().map(|s| if matches!(s.buffers, Buffers::Variable(_)) { 3 } else { 2 }).sum();
    if nodes.len() != shapes.len() || buffers.len() != expected {
        return Err(refuse("the batch does not have the schema's columns"));
    }
    let mut ranges = Ranges { buffers: buffers.iter(), end: 0, body };
    let mut in_list = false;
    for (shape, node) in shapes.iter().zip(nodes.iter()) {
        let nulls = usize::try_from(node.null_count()).map_err(|_| refuse("a null count is negative"))?;
        let length = usize::try_from(node.length()).map_err(|_| refuse("a column's length is negative"))?;
        // What is in lists has a length of its own; arrow checks it against the offsets.
        let rows = if in_list { length } else { rows };
        in_list = shape.buffers == Buffers::List;
        if length != rows || nulls > rows || (nulls > 0 && !shape.nullable) {
            return Err(refuse("a column's length or null count is wrong"));
        }
        let bitmap = rows.div_ceil(8);
        let validity = ranges.next()?;
        if validity < bitmap && (nulls > 0 || validity > 0) {
            return Err(refuse("a validity bitmap is too short"));
        }
        match shape.buffers {
            Buffers::Bits => ranges.at_least(bitmap)?,
            Buffers::Fixed(width) => ranges.at_least(rows.checked_mul(width).ok_or_else(|| refuse("overflow"))?)?,
            Buffers::Variable(width) => {
                ranges.offsets(rows, width)?;
                ranges.next()?;
            }
            Buffers::List => ranges.offsets(rows, 4)?,
        }
    }
    Ok(())
}

struct Ranges<I> {
    buffers: I,
    end: usize,
    body: usize,
}

impl<'a, I: Iterator<Item = &'a ipc::Buffer>> Ranges<I> {
    /// The next buffer's length, after checking that it lies in the body, behind the one before it.
    fn next(&mut self) -> Result<usize> {
        let buffer = self.buffers.next().ok_or_else(|| refuse("a buffer is missing"))?;
        let offset = usize::try_from(buffer.offset()).map_err(|_| refuse("a buffer's offset is negative"))?;
        let length = usize::try_from(buffer.length()).map_err(|_| refuse("a buffer's length is negative"))?;
        let end = offset.checked_add(length).ok_or_else(|| refuse("a buffer's end overflows"))?;
        if offset % 8 != 0 || offset < self.end || end > self.body {
            return Err(refuse("a buffer lies outside the body"));
        }
        self.end = end;
        Ok(length)
    }

    /// Offsets of so many rows. arrow views the whole buffer as offsets, and panics where it is no whole number of them.
    fn offsets(&mut self, rows: usize, width: usize) -> Result<()> {
        let offsets = self.next()?;
        let least = rows.checked_add(1).and_then(|count| count.checked_mul(width));
        if offsets < least.ok_or_else(|| refuse("overflow"))? || offsets.checked_rem(width) != Some(0) {
            return Err(refuse("a buffer of offsets is too short for its rows, or no whole number of them"));
        }
        Ok(())
    }

    fn at_least(&mut self, length: usize) -> Result<()> {
        if self.next()? < length { Err(refuse("a buffer is too short for its rows")) } else { Ok(()) }
    }
}

fn refuse(why: &str) -> Error {
    Error::corrupt("index.stream", format!("an index stream is malformed: {why}"))
}
