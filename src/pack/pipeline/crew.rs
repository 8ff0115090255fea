//! The workers and the queues to and from them.

use std::sync::Arc;

use crate::error::Result;
use crate::options::{Key, Layout, Options};
use crate::pack::claims::Claimer;
use crate::pack::compress::{Packed, Packer};
use crate::pack::read::{ReadUnit, Reader, Task};
use crate::pack::sequence::Block;
use crate::progress::CancelToken;
use crate::sync::{self, Either, Receiver, Sender, Two, Workers, unbounded};

/// A unit on its way to a worker, with its number and its buffer.
pub(super) type Begun = (usize, Task, Vec<u8>);

/// What a worker sends.
pub(super) enum Done {
    Read(usize, Vec<u8>, ReadUnit),
    Packed(Packed),
}

/// Stopped and joined when it is dropped.
pub(super) struct Crew {
    pub(super) units: Sender<Begun>,
    pub(super) blocks: Sender<(Block, Vec<u8>)>,
    pub(super) done: Receiver<Result<Done>>,
    stop: CancelToken,
    /// Behind the queues, whose loss ends the workers that are joined when this is dropped.
    pub(super) workers: Workers,
}

impl Crew {
    /// Starts so many workers.
    pub(super) fn start(options: &Options, layout: &Layout, threads: usize, claimer: &Arc<Claimer>) -> Result<Crew> {
        let stop = CancelToken::new();
        let (units, unit_receiver) = unbounded::<Begun>();
        let (blocks, block_receiver) = unbounded::<(Block, Vec<u8>)>();
        let (done_sender, done) = unbounded::<Result<Done>>();
        let lenient = options.flag(Key::OnError);
        let layout = *layout;
        let workers = Workers::start(threads, "znippy-pack", |number| {
            let (units, blocks, sender, stop) =
                (unit_receiver.clone(), block_receiver.clone(), done_sender.clone(), stop.clone());
            let claimer = Arc::clone(claimer);
            move || {
                let result = sync::catch(|| {
                    let reader = Reader::new(number, &layout, lenient, &claimer, &stop)?;
                    let packer = Packer::new(&layout, &stop)?;
                    work(reader, packer, &units, &blocks, &sender)
                });
                if let Err(error) = result {
                    let _ = sender.send(Err(error));
                }
            }
        })?;
        // Only workers hold the other ends from here on, so that their loss is noticed.
        Ok(Crew { units, blocks, done, stop, workers })
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

/// A worker: blocks first, then units, until both queues are closed.
fn work(
    mut reader: Reader<'_>,
    mut packer: Packer<'_>,
    units: &Receiver<Begun>,
    blocks: &Receiver<(Block, Vec<u8>)>,
    done: &Sender<Result<Done>>,
) -> Result<()> {
    let mut queues = Two::new(blocks, units);
    while let Some(next) = queues.receive() {
        let made = match next {
            Either::First((block, frame)) => Done::Packed(packer.pack(block, frame)?),
            Either::Second((number, task, mut buffer)) => {
                let read = reader.read(&task, &mut buffer)?;
                Done::Read(number, buffer, read)
            }
        };
        if done.send(Ok(made)).is_err() {
            break;
        }
    }
    Ok(())
}
