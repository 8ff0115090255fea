//! The index as Arrow record batches: the rows of the listing, unknown columns, damage, and streams that share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pack_support as support;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::RecordBatchReader;
use arrow::array::{Array, ArrayRef, Int16Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Int16Type, UInt32Type, UInt64Type};
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_schema::ArrowError;
use arrow_schema::{Field, Schema};
use znippy::archive::{Archive, IndexBatches, MemorySource};
use znippy::capi::{ZNIPPY_OK, znippy_reader_export_index, znippy_reader_free, znippy_reader_open_memory};
use znippy::error::{Error, Status};
use znippy::format::arrow_stream::encode_stream;
use znippy::format::container::{SEGMENT_ALIGN, Trailer};
use znippy::format::hash::hash;
use znippy::format::manifest::{Manifest, Part};
use znippy::format::schema::{INDEX, Metadata};
use znippy::options::{Key, Options};
use znippy::progress::CancelToken;

fn open(bytes: Vec<u8>) -> Arc<Archive> {
    let source = MemorySource::new(Arc::new(bytes));
    Arc::new(Archive::open_source(Box::new(source), &Options::new()).unwrap())
}

fn batches(archive: &Arc<Archive>) -> IndexBatches<Arc<Archive>> {
    IndexBatches::new(Arc::clone(archive), &Options::new()).unwrap()
}

/// An archive of a tree of small files.
fn packed(files: usize, values: &[(Key, i64)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (tree, archive) = (folder.path().join("tree"), folder.path().join("tree.znippy"));
    fs::create_dir(&tree).unwrap();
    for i in 0..files {
        fs::write(tree.join(format!("{i:05}.txt")), format!("file number {i}\n")).unwrap();
    }
    support::pack(&tree, &archive, values).unwrap();
    fs::read(archive).unwrap()
}

/// The same archive with its index cut into segments of `rows` rows (one row an entry), each as `change` says.
fn rewritten(bytes: &[u8], rows: usize, change: impl Fn(usize, RecordBatch) -> RecordBatch) -> Vec<u8> {
    let archive = open(bytes.to_vec());
    let mut manifest: Manifest = archive.manifest().clone();
    let mut written = bytes[..manifest.segments[0].offset as usize].to_vec();
    let mut parts = Vec::new();
    let mut first_entry = 0;
    for number in 0..manifest.segments.len() {
        let segment = archive.load_segment(number).unwrap();
        for start in (0..segment.rows()).step_by(rows) {
            let len = rows.min(segment.rows() - start);
            let batch = change(parts.len(), segment.batch().slice(start, len));
            let stream = encode_stream(&batch.schema(), batch.columns().to_vec()).unwrap();
            written.resize(written.len().next_multiple_of(SEGMENT_ALIGN as usize), 0);
            parts.push(Part {
                offset: written.len() as u64,
                len: stream.len() as u64,
                rows: len as u64,
                first_path: segment.path(start).to_vec(),
                last_path: segment.path(start + len - 1).to_vec(),
                first_entry,
                entries: len as u64,
                hash: hash(&stream),
                ..Part::default()
            });
            first_entry += len as u64;
            written.extend_from_slice(&stream);
        }
    }
    manifest.segments = parts;
    let stream = manifest.encode().unwrap();
    let trailer = Trailer::seal(&stream, written.len() as u64);
    written.extend_from_slice(&stream);
    written.extend_from_slice(&trailer.encode());
    written
}

fn with_column(batch: RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut fields: Vec<Field> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(name, column.data_type().clone(), column.null_count() > 0));
    let schema = Schema::new(fields).with_metadata(batch.schema().metadata().clone());
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn numbers(batch: &RecordBatch) -> ArrayRef {
    Arc::new(Int16Array::from_iter_values(0..batch.num_rows() as i16))
}

fn znippy_error(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(error) => *error.downcast::<Error>().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn rows_are_those_of_the_listing() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, path) = (folder.path().join("tree"), folder.path().join("tree.znippy"));
    fs::create_dir(&tree).unwrap();
    support::make_tree(&tree, 1);
    support::pack(&tree, &path, &[]).unwrap();
    let archive = Arc::new(Archive::open(Path::new(&path), &Options::new()).unwrap());
    let listing = archive.list(0, usize::MAX).unwrap();

    let all: Vec<RecordBatch> = batches(&archive).map(Result::unwrap).collect();
    let mut entry = 0;
    let mut sizes = 0;
    for batch in &all {
        let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
        let (exact, escaped) = (column("path_bytes"), column("relative_path"));
        let (chunk_seq, file_size) = (column("chunk_seq"), column("file_size"));
        for row in 0..batch.num_rows() {
            sizes += column("uncompressed_size").as_primitive::<UInt64Type>().value(row);
            if chunk_seq.as_primitive::<UInt32Type>().value(row) != 0 {
                continue;
            }
            let exact = exact.as_binary::<i32>();
            let path =
                if exact.is_valid(row) { exact.value(row) } else { escaped.as_string::<i32>().value(row).as_bytes() };
            let wanted = listing.get(entry).unwrap();
            assert_eq!(path, wanted.path);
            let size = file_size.is_valid(row).then(|| file_size.as_primitive::<UInt64Type>().value(row));
            assert_eq!(size.unwrap_or(0), wanted.size);
            entry += 1;
        }
    }
    assert_eq!(entry, listing.len());
    assert!(sizes > 10 << 20);
    let metadata: Metadata = archive.index_schema().unwrap().metadata().clone().into_iter().collect();
    assert_eq!(metadata, archive.manifest().metadata);
}

#[test]
fn schema_of_a_plain_archive_is_that_of_the_format() {
    for values in [&[][..], &[(Key::PlainIndex, 1)]] {
        for files in [0, 5, 9000] {
            let archive = open(packed(files, values));
            let schema = archive.index_schema().unwrap();
            assert_eq!(schema.fields().len(), INDEX.len());
            for (field, column) in schema.fields().iter().zip(INDEX.iter()) {
                let known = (column.name, &column.data_type, column.nullable);
                assert_eq!((field.name().as_str(), field.data_type(), field.is_nullable()), known);
            }
            let read: Vec<RecordBatch> = batches(&archive).map(Result::unwrap).collect();
            assert_eq!(read.len(), archive.manifest().segments.len());
            assert!(read.iter().all(|batch| batch.schema() == schema));
            assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), files);
        }
    }
}

#[test]
fn two_readers_share_an_archive_and_outlive_it() {
    let archive = open(packed(9000, &[]));
    let (mut first, mut second) = (batches(&archive), batches(&archive));
    drop(archive);
    let (a, b) = (first.next_batch().unwrap().unwrap(), second.next_batch().unwrap().unwrap());
    assert_eq!(a, b);
    assert_eq!(first.count(), 1);
    assert_eq!(second.next_batch().unwrap().unwrap().num_rows(), 9000 - a.num_rows());
    assert!(second.next_batch().unwrap().is_none());
}

/// The stream of the C interface; the reader is gone when it returns.
fn exported(bytes: &[u8]) -> RecordBatchStreamReader {
    let mut stream = FFI_ArrowArrayStream::empty();
    // SAFETY: `bytes` outlives the reader, and with it the stream, in the tests below; the places are writable.
    unsafe {
        let (mut reader, place) = (null_mut(), &raw mut stream);
        let data = bytes.as_ptr().cast();
        let opened =
            znippy_reader_open_memory(data, bytes.len(), None, null_mut(), null(), &raw mut reader, null_mut());
        assert_eq!(opened, ZNIPPY_OK);
        assert_eq!(znippy_reader_export_index(reader, null(), place, null_mut()), ZNIPPY_OK);
        znippy_reader_free(reader);
    }
    RecordBatchStreamReader::try_new(stream).unwrap()
}

#[test]
fn arrow_reads_the_stream_of_the_c_interface() {
    let bytes = packed(9000, &[]);
    let (first, second) = (exported(&bytes), exported(&bytes));
    assert_eq!(first.schema(), open(bytes.clone()).index_schema().unwrap());
    let mut paths = HashSet::new();
    for (batch, twin) in first.zip(second) {
        let batch = batch.unwrap();
        assert_eq!(batch, twin.unwrap());
        let column = batch.column_by_name("relative_path").unwrap().as_string::<i32>();
        paths.extend(column.iter().flatten().map(str::to_owned));
    }
    assert_eq!(paths.len(), 9000);
}

#[test]
fn damage_reaches_the_consumer_of_the_stream() {
    let mut bytes = packed(9000, &[]);
    let damaged = open(bytes.clone()).manifest().segments[1].clone();
    bytes[damaged.offset as usize + 700] ^= 1;
    let mut reader = exported(&bytes);
    assert_eq!(reader.next().unwrap().unwrap().num_rows(), 8192);
    let message = reader.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("an index segment is damaged"), "{message}");
}

#[test]
fn unknown_columns_are_nullable_and_null_where_a_segment_lacks_them() {
    let bytes = rewritten(&packed(10, &[]), 4, |number, batch| match number {
        1 => {
            let column = numbers(&batch);
            with_column(batch, "score", column)
        }
        _ => batch,
    });
    let archive = open(bytes);
    let schema = archive.index_schema().unwrap();
    let field = schema.field(INDEX.len());
    assert_eq!((field.name().as_str(), field.is_nullable(), schema.fields().len()), ("score", true, INDEX.len() + 1));
    let read: Vec<RecordBatch> = batches(&archive).map(Result::unwrap).collect();
    assert_eq!(read.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4, 4, 2]);
    for (number, batch) in read.iter().enumerate() {
        let column = batch.column_by_name("score").unwrap();
        let nulls = if number == 1 { 0 } else { batch.num_rows() };
        assert_eq!(column.null_count(), nulls);
        assert!(number != 1 || column.as_primitive::<Int16Type>().values()[..] == [0, 1, 2, 3]);
    }
}

#[test]
fn columns_without_one_type_or_a_name_for_c_are_left_out_and_named() {
    let bytes = rewritten(&packed(6, &[]), 2, |number, batch| {
        let (odd, same) = (numbers(&batch), numbers(&batch));
        let mixed: ArrayRef = match number {
            0 => numbers(&batch),
            _ => Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(|i| i.to_string()))),
        };
        with_column(with_column(with_column(batch, "mixed", mixed), "n\0l", odd), "same", same)
    });
    let archive = open(bytes);
    let schema = archive.index_schema().unwrap();
    assert_eq!(schema.fields().len(), INDEX.len() + 1);
    assert_eq!(schema.field(INDEX.len()).name(), "same");
    assert_eq!(schema.metadata()["znippy_columns_left_out"], "mixed,n\0l");
    assert_eq!(batches(&archive).map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn too_many_columns_are_refused() {
    // Each segment stays below the limit of a segment, both together do not.
    let bytes = rewritten(&packed(2, &[]), 1, |number, batch| {
        let column = numbers(&batch);
        let names = (0..2100).map(|i| format!("column-{number}-{i}"));
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        for name in names {
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), false)));
            columns.push(Arc::clone(&column));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    });
    let error = open(bytes).index_schema().unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Limit, Some("index.columns")));
}

#[test]
fn names_of_columns_stay_bounded() {
    let bytes = rewritten(&packed(2, &[]), 1, |number, batch| {
        let column = numbers(&batch);
        let len = [1 << 20, 600_000][number];
        with_column(batch, &number.to_string().repeat(len), column)
    });
    let archive = open(bytes);
    // With the known ones, the names of the first segment are too long for one segment already.
    let error = znippy_error(batches(&archive).next().unwrap().unwrap_err());
    assert_eq!((error.status(), error.rule()), (Status::Corrupt, Some("index.stream")));
    assert_eq!(archive.index_schema().unwrap().field(INDEX.len()).name().len(), 600_000);

    let bytes = rewritten(&packed(2, &[]), 1, |number, batch| {
        let column = numbers(&batch);
        with_column(batch, &number.to_string().repeat(600_000), column)
    });
    let error = open(bytes).index_schema().unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Limit, Some("index.columns")));
}

#[test]
fn nulls_for_a_wide_column_stay_bounded() {
    let files = 3000;
    let bytes = rewritten(&packed(files, &[]), files - 1, |number, batch| {
        if number == 0 {
            return batch;
        }
        let wide = arrow::array::FixedSizeBinaryArray::try_from_iter([vec![7u8; 60_000]].into_iter()).unwrap();
        with_column(batch, "wide", Arc::new(wide))
    });
    let archive = open(bytes);
    let error = znippy_error(batches(&archive).next().unwrap().unwrap_err());
    assert_eq!((error.status(), error.rule()), (Status::Limit, Some("index.columns")));
}

#[test]
fn damaged_segment_is_an_error_in_its_place() {
    let mut bytes = rewritten(&packed(10, &[]), 4, |number, batch| {
        let column: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..batch.num_rows() as u64));
        if number == 1 { with_column(batch, "lost", column) } else { batch }
    });
    let damaged = open(bytes.clone()).manifest().segments[1].clone();
    bytes[damaged.offset as usize + 700] ^= 1;
    let archive = open(bytes);
    let mut reader = batches(&archive);
    assert!(archive.index_schema().unwrap().field_with_name("lost").is_err());
    assert_eq!(reader.next().unwrap().unwrap().num_rows(), 4);
    let error = znippy_error(reader.next().unwrap().unwrap_err());
    assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("part.hash")));
    assert!(reader.next().is_none());
}

#[test]
fn cancelled_reader_stops() {
    let archive = open(packed(9000, &[]));
    let cancel = CancelToken::new();
    let mut options = Options::new();
    options.set_cancel(cancel.clone());
    let mut reader = IndexBatches::new(Arc::clone(&archive), &options).unwrap();
    reader.next().unwrap().unwrap();
    cancel.trigger();
    assert_eq!(znippy_error(reader.next().unwrap().unwrap_err()).status(), Status::Cancelled);
    assert!(reader.next().is_none());
    assert_eq!(batches(&archive).count(), 2);
}
