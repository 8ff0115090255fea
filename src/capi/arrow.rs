//! The index through the Arrow C data and stream interfaces.
//!
//! The stream's four functions are written here and not taken from arrow, whose own are not locked, whose
//! panics would end the host, and which could not refuse a call from the reader's own callback.

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::{Array, StructArray};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use arrow_schema::{Schema, SchemaRef};

use super::boundary::{caught, guarded, shielded};
use super::error::znippy_error;
use super::handle::Handle;
use super::options::znippy_options;
use super::pointer::required;
use super::reader::{Call, Reader, znippy_reader};
use super::types::znippy_status;
use crate::archive::{Archive, IndexBatches};
use crate::error::{Error, Result, Status};
use crate::sync::{Mutex, OnceCell};

/// Stores the schema of the index in the caller's struct: a struct type whose children are the columns, with the
/// archive's metadata. It is the schema of the stream of znippy_reader_export_index(). The first call reads the
/// whole index for columns that this version doesn't know; they are nullable, and come after the known ones.
///
/// Ownership: *schema_out is the caller's, who calls its release function once; what it held before is ignored.
/// It needs neither reader nor library state. Threads: any number.
/// Errors: any of I/O, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_LIMIT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_export_schema(
    reader: *const znippy_reader,
    schema_out: *mut FFI_ArrowSchema,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let place = required(schema_out, "schema_out")?;
        let schema = reader.ask(Archive::index_schema)?;
        let schema = export(&schema)?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(schema) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Stores a fresh stream over the whole index in the caller's struct: one batch an index segment, in the order of
/// the index, one row a slice, with the schema of znippy_reader_export_schema(). Segments are read and checked when
/// they are asked for; a damaged one is an error of get_next, after which the stream stays failed and get_last_error
/// has the message until release. A cancel token of the options stops the stream between batches; the progress
/// function is not called.
///
/// Ownership: *stream_out is the caller's, who calls its release function once; what it held before is ignored.
/// It has its own reference to the reader and may outlive the caller's. Its batches outlive both. Threads: any
/// number; get_next serves one thread after the other. In a callback of the reader it returns EBUSY.
/// Errors: any of I/O, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_export_index(
    reader: *const znippy_reader,
    options: *const znippy_options,
    stream_out: *mut FFI_ArrowArrayStream,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let place = required(stream_out, "stream_out")?;
        // SAFETY: as above.
        let options = unsafe { reader.options(options) }?;
        let shared = reader.share();
        let batches = reader.ask(|_| IndexBatches::new(Shared(Arc::clone(&shared)), &options))?;
        let schema = batches.schema();
        // Seen to work now, so that it works for the stream's consumer.
        drop(export(&schema)?);
        let stream = Stream { reader: shared, schema, batches: Mutex::new(batches), failure: OnceCell::new() };
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(stream.give()) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

fn export(schema: &Schema) -> Result<FFI_ArrowSchema> {
    FFI_ArrowSchema::try_from(schema).map_err(|error| {
        Error::new(Status::Unsupported, format!("the index has a column that Arrow can't say: {error}"))
    })
}

/// The archive of a reader that a stream shares.
struct Shared(Arc<Handle<Reader>>);

impl AsRef<Archive> for Shared {
    fn as_ref(&self) -> &Archive {
        (**self.0).as_ref()
    }
}

/// What stands behind a stream's private data, as an `Arc`, so that a call may outlast a release by mistake.
struct Stream {
    reader: Arc<Handle<Reader>>,
    schema: SchemaRef,
    batches: Mutex<IndexBatches<Shared>>,
    /// Why the stream ended early. It stays, so that C may read the message until it releases the stream.
    failure: OnceCell<(Error, CString)>,
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Stream>();
};

impl Stream {
    fn give(self) -> FFI_ArrowArrayStream {
        let private_data = Arc::into_raw(Arc::new(self)).cast_mut().cast();
        // SAFETY: the functions are those of this file; `release` takes the reference that is given here.
        unsafe {
            FFI_ArrowArrayStream::new_unchecked(
                Some(get_schema),
                Some(get_next),
                Some(get_last_error),
                Some(release),
                private_data,
            )
        }
    }

    fn next(&self) -> Result<Option<RecordBatch>> {
        // Before the lock: a callback of the reader would wait for the call that it is in.
        // SAFETY: the stream holds a reference.
        let call = unsafe { Call::begin(Arc::as_ptr(&self.reader).cast()) }?;
        let mut batches = self.batches.lock();
        if let Some((error, _)) = self.failure.get() {
            return Err(error.clone());
        }
        // Noted under the lock, since the next one in line would take it for the end.
        call.ask(|_| batches.next_batch()).inspect_err(|error| self.fail(error))
    }

    fn fail(&self, error: &Error) {
        self.failure.get_or_init(|| {
            let message = CString::new(error.to_string().replace('\0', "\\0")).unwrap_or_default();
            (error.clone(), message)
        });
    }
}

/// The stream behind the struct, with a reference of its own; `None` once it is released.
///
/// # Safety
/// `stream` is null or a stream of this file.
unsafe fn find(stream: *mut FFI_ArrowArrayStream) -> Option<Arc<Stream>> {
    // SAFETY: as promised by the caller.
    let private_data = unsafe { stream.as_ref() }?.private_data().cast::<Stream>().cast_const();
    if private_data.is_null() {
        return None;
    }
    // SAFETY: `give` made it, and `release` has not taken it back; the count goes up for this reference.
    unsafe {
        Arc::increment_strong_count(private_data);
        Some(Arc::from_raw(private_data))
    }
}

/// Runs one of the stream's functions and turns its error into the number that C gets.
///
/// # Safety
/// As for [`find`].
unsafe fn run(stream: *mut FFI_ArrowArrayStream, body: impl FnOnce(&Stream) -> Result<()>) -> c_int {
    // SAFETY: as promised by the caller.
    let found = caught(|| unsafe { find(stream) });
    let Ok(Some(stream)) = found else { return libc::EINVAL };
    let outcome = caught(|| body(&stream)).and_then(|result| result);
    let number = match outcome {
        Ok(()) => 0,
        Err(error) => {
            // A call from a callback says nothing of the stream, which goes on.
            if error.status() != Status::Busy {
                shielded((), || stream.fail(&error));
            }
            errno(&error)
        }
    };
    shielded((), || drop(stream));
    number
}

fn errno(error: &Error) -> c_int {
    match error.status() {
        _ if error.os_code() > 0 => error.os_code(),
        Status::InvalidArgument | Status::InvalidState => libc::EINVAL,
        Status::NoMemory => libc::ENOMEM,
        Status::Unsupported => libc::ENOSYS,
        Status::Busy => libc::EBUSY,
        Status::Cancelled => libc::ECANCELED,
        _ => libc::EIO,
    }
}

unsafe extern "C" fn get_schema(stream: *mut FFI_ArrowArrayStream, schema_out: *mut FFI_ArrowSchema) -> c_int {
    let body = |stream: &Stream| {
        let place = required(schema_out, "schema_out")?;
        let schema = export(&stream.schema)?;
        // SAFETY: not null, and writable as the stream interface demands.
        unsafe { place.write(schema) };
        Ok(())
    };
    // SAFETY: consumers pass the struct that they got the function from.
    unsafe { run(stream, body) }
}

unsafe extern "C" fn get_next(stream: *mut FFI_ArrowArrayStream, array_out: *mut FFI_ArrowArray) -> c_int {
    let body = |stream: &Stream| {
        let place = required(array_out, "array_out")?;
        let array = match stream.next()? {
            Some(batch) => FFI_ArrowArray::new(&StructArray::from(batch).into_data()),
            // An array without a release function is the end.
            None => FFI_ArrowArray::empty(),
        };
        // SAFETY: not null, and writable as the stream interface demands.
        unsafe { place.write(array) };
        Ok(())
    };
    // SAFETY: consumers pass the struct that they got the function from.
    unsafe { run(stream, body) }
}

unsafe extern "C" fn get_last_error(stream: *mut FFI_ArrowArrayStream) -> *const c_char {
    shielded(ptr::null(), || {
        // SAFETY: consumers pass the struct that they got the function from.
        let stream = unsafe { find(stream) };
        // The string is the stream's own, which the consumer keeps.
        stream.and_then(|stream| stream.failure.get().map(|(_, message)| message.as_ptr())).unwrap_or(ptr::null())
    })
}

unsafe extern "C" fn release(stream: *mut FFI_ArrowArrayStream) {
    let body = || {
        // SAFETY: null, or the struct that the consumer got the function from and uses alone now.
        let Some(stream) = (unsafe { stream.as_mut() }) else { return };
        // SAFETY: without private data and release function the struct is one that was released.
        let private_data = unsafe {
            stream.set_release(None);
            stream.set_private_data(ptr::null_mut())
        };
        if !private_data.is_null() {
            // SAFETY: `give` made it of an `Arc`, and nobody took it back before.
            drop(unsafe { Arc::from_raw(private_data.cast::<Stream>().cast_const()) });
        }
    };
    shielded((), body);
}
