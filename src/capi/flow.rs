//! The host's sink and stream: `znippy_sink` and `znippy_stream` as writing sees them.

use std::ffi::c_void;

use super::callback::UserData;
use super::pointer::{invalid, struct_size};
use super::types::{znippy_sink, znippy_stream};
use crate::error::{Error, Result, Status};
use crate::pack::Sink;

/// What a callback answered: a count, or a status that is passed on.
fn count(answer: i64, what: &str, len: usize) -> Result<usize> {
    if let Ok(count) = usize::try_from(answer) {
        return Ok(count);
    }
    Err(Error::new(status_of(answer), format!("{what} reported {answer} for {len} bytes")))
}

fn status_of(answer: i64) -> Status {
    i32::try_from(answer)
        .ok()
        .and_then(Status::from_number)
        .filter(|status| (*status as i32) < 0)
        .unwrap_or(Status::Callback)
}

/// The host's sink.
pub(super) struct CallbackSink {
    write: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> i64,
    finish: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    user_data: UserData,
}

impl CallbackSink {
    /// Takes the host's table over. Once the struct's size is right, `user_data` is released whatever happens.
    ///
    /// # Safety
    /// `sink` is null, or its first four bytes are set and as many bytes as they say are readable.
    pub(super) unsafe fn new(sink: *const znippy_sink) -> Result<CallbackSink> {
        if sink.is_null() {
            return Err(invalid("sink is NULL"));
        }
        // SAFETY: not null, and as large as it says; fields are read only once the size covers all of them.
        let sink = unsafe {
            struct_size(sink, "sink")?;
            sink.read_unaligned()
        };
        let user_data = UserData::new(sink.user_data, sink.release);
        if sink.flags != 0 {
            return Err(invalid(format!("sink->flags has unknown bits: {:#x}", sink.flags)));
        }
        let write = sink.write.ok_or_else(|| invalid("sink->write is NULL"))?;
        Ok(CallbackSink { write, finish: sink.finish, user_data })
    }
}

impl Sink for CallbackSink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        // SAFETY: the host's function and pointer, and bytes that are ours and as long as it says.
        let answer = unsafe { (self.write)(self.user_data.get(), bytes.as_ptr().cast(), bytes.len()) };
        count(answer, "the sink's write", bytes.len())
    }

    fn finish(&mut self) -> Result<()> {
        let Some(finish) = self.finish else { return Ok(()) };
        // SAFETY: the host's function and pointer.
        match unsafe { finish(self.user_data.get()) } {
            0 => Ok(()),
            answer => Err(Error::new(status_of(i64::from(answer)), format!("the sink's finish reported {answer}"))),
        }
    }
}

/// The host's stream.
pub(super) struct CallbackStream {
    read: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> i64,
    user_data: UserData,
}

impl CallbackStream {
    /// Takes the host's table over. Once the struct's size is right, `user_data` is released whatever happens.
    ///
    /// # Safety
    /// `stream` is null, or its first four bytes are set and as many bytes as they say are readable.
    pub(super) unsafe fn new(stream: *const znippy_stream) -> Result<CallbackStream> {
        if stream.is_null() {
            return Err(invalid("stream is NULL"));
        }
        // SAFETY: not null, and as large as it says; fields are read only once the size covers all of them.
        let stream = unsafe {
            struct_size(stream, "stream")?;
            stream.read_unaligned()
        };
        let user_data = UserData::new(stream.user_data, stream.release);
        if stream.flags != 0 {
            return Err(invalid(format!("stream->flags has unknown bits: {:#x}", stream.flags)));
        }
        let read = stream.read.ok_or_else(|| invalid("stream->read is NULL"))?;
        Ok(CallbackStream { read, user_data })
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        // SAFETY: the host's function and pointer, and a buffer that is ours and as long as it says.
        let answer = unsafe { (self.read)(self.user_data.get(), buffer.as_mut_ptr().cast(), buffer.len()) };
        count(answer, "the stream's read", buffer.len())
    }
}
