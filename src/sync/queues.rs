//! Two queues at once.

use crossbeam_channel::{Receiver, Select};

use super::Either;

/// Receives from two queues, from the first where both have something.
pub struct Two<'a, A, B> {
    first: &'a Receiver<A>,
    second: &'a Receiver<B>,
    select: Select<'a>,
    of_first: usize,
}

impl<'a, A, B> Two<'a, A, B> {
    /// Of these two.
    pub fn new(first: &'a Receiver<A>, second: &'a Receiver<B>) -> Two<'a, A, B> {
        let mut select = Select::new_biased();
        let of_first = select.recv(first);
        select.recv(second);
        Two { first, second, select, of_first }
    }

    /// Waits for a value; `None` once one of the queues is closed and has nothing left.
    pub fn receive(&mut self) -> Option<Either<A, B>> {
        let operation = self.select.select();
        if operation.index() == self.of_first {
            operation.recv(self.first).ok().map(Either::First)
        } else {
            operation.recv(self.second).ok().map(Either::Second)
        }
    }
}
