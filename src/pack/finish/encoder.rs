//! Segments of the index are encoded on a thread of its own while the next rows are put together.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow_schema::SchemaRef;

use crate::error::{Error, Result, Status};
use crate::format::arrow_stream::encode_stream;
use crate::format::codec::Compressor;
use crate::format::container::MAX_BLOCK;
use crate::format::hash::{Digest, hash};
use crate::pack::finish::INDEX_LEVEL;
use crate::progress::CancelToken;
use crate::sync::{self, Mutex, Receiver, Sender, Workers};

/// A segment as it is stored.
pub(super) struct Encoded {
    /// Bytes before compression; 0 where it isn't compressed.
    pub(super) raw_len: u64,
    pub(super) stored: Vec<u8>,
    pub(super) hash: Digest,
}

/// Makes segments from columns.
pub(super) struct Encoder {
    schema: SchemaRef,
    compressor: Option<Compressor>,
}

impl Encoder {
    pub(super) fn new(schema: SchemaRef, plain: bool) -> Result<Encoder> {
        let compressor = if plain { None } else { Some(Compressor::new(INDEX_LEVEL, 1 << 20)?) };
        Ok(Encoder { schema, compressor })
    }

    /// Of the index.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The stream of a segment, before compression.
    pub(super) fn stream(&self, columns: Vec<ArrayRef>) -> Result<Vec<u8>> {
        let stream = encode_stream(&self.schema, columns)?;
        if stream.len() as u64 > MAX_BLOCK {
            return Err(Error::new(Status::Limit, "a segment of the index would be over 64 MiB"));
        }
        Ok(stream)
    }

    pub(super) fn encode(&mut self, columns: Vec<ArrayRef>) -> Result<Encoded> {
        let stream = self.stream(columns)?;
        let (mut raw_len, mut stored) = (0, Vec::new());
        match &mut self.compressor {
            Some(compressor) => {
                compressor.compress(&stream, &mut stored, &CancelToken::new())?;
                raw_len = stream.len() as u64;
            }
            None => stored = stream,
        }
        let hash = hash(&stored);
        Ok(Encoded { raw_len, stored, hash })
    }
}

/// An encoder on a thread of its own, which ends when this is dropped. What it is given comes back in that order.
pub(super) struct EncoderThread {
    /// Dropped before the worker, which it tells to end.
    ask: Sender<Result<()>>,
    answers: Receiver<Result<()>>,
    shared: Arc<Shared>,
    _worker: Workers,
}

/// What goes from thread to thread beside the channels, whose type is one that the library has anyway.
#[derive(Default)]
struct Shared {
    given: Mutex<VecDeque<Vec<ArrayRef>>>,
    made: Mutex<VecDeque<Result<Encoded>>>,
}

impl EncoderThread {
    /// Starts one.
    ///
    /// # Errors
    /// The operating system's where it has no thread; one then encodes here.
    pub(super) fn start(schema: SchemaRef, plain: bool) -> Result<EncoderThread> {
        let mut encoder = Some(Encoder::new(schema, plain)?);
        let shared = Arc::new(Shared::default());
        let (ask, asked) = sync::unbounded();
        let (answer, answers) = sync::unbounded();
        let worker = Workers::start(1, "znippy-index", |_| {
            let (encoder, asked, answer, shared) = (encoder.take(), asked.clone(), answer.clone(), Arc::clone(&shared));
            move || {
                let Some(mut encoder) = encoder else { return };
                while asked.recv().is_ok() {
                    let columns = shared.given.lock().pop_front();
                    let encoded = sync::catch(|| columns.map_or(Err(ended()), |columns| encoder.encode(columns)));
                    shared.made.lock().push_back(encoded);
                    if answer.send(Ok(())).is_err() {
                        break;
                    }
                }
            }
        })?;
        Ok(EncoderThread { ask, answers, shared, _worker: worker })
    }

    /// Gives the columns of a segment to the thread.
    pub(super) fn give(&self, columns: Vec<ArrayRef>) {
        self.shared.given.lock().push_back(columns);
        // A thread that has ended is told of by what is taken.
        let _ = self.ask.send(Ok(()));
    }

    /// Waits for the segment that was given first.
    pub(super) fn take(&self) -> Result<Encoded> {
        let made = self.answers.recv().ok().and_then(|_| self.shared.made.lock().pop_front());
        made.unwrap_or_else(|| Err(ended()))
    }
}

fn ended() -> Error {
    Error::new(Status::Panic, "the thread that encodes the index ended before the work did")
}
