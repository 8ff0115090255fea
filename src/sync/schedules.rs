//! What `sync` consists of where scripts/campaign-schedules.sh chooses the order of everything: locks, atomics and
//! threads of shuttle, and over these a channel and a cell that behave like the ones they stand in for.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use shuttle::sync as locks;
pub use shuttle::sync::atomic;
pub use shuttle::thread;

use shuttle::rand::RngCore;
use shuttle::sync::{Condvar, Mutex, MutexGuard};

use super::Either;

thread_local! {
    /// Receivers of two queues forget who has called them while they looked: for the test that such a defect is found.
    pub static LOSE_WAKE_UPS: Cell<bool> = const { Cell::new(false) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(locks::PoisonError::into_inner)
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(locks::PoisonError::into_inner)
}

struct Queue<T> {
    values: VecDeque<T>,
    senders: usize,
    receivers: usize,
    /// Those who wait for this queue or another.
    watchers: Vec<Arc<Signal>>,
}

struct Channel<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl<T> Channel<T> {
    fn change<R>(&self, change: impl FnOnce(&mut Queue<T>) -> R) -> R {
        let mut queue = lock(&self.queue);
        let result = change(&mut queue);
        let watchers = queue.watchers.clone();
        drop(queue);
        self.changed.notify_all();
        for signal in watchers {
            *lock(&signal.raised) = true;
            signal.changed.notify_all();
        }
        result
    }
}

/// A channel without a bound.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let queue = Queue { values: VecDeque::new(), senders: 1, receivers: 1, watchers: Vec::new() };
    let channel = Arc::new(Channel { queue: Mutex::new(queue), changed: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

/// Where values go in.
pub struct Sender<T>(Arc<Channel<T>>);

/// Where values come out.
pub struct Receiver<T>(Arc<Channel<T>>);

/// All receivers are gone; the value comes back.
#[derive(Debug)]
pub struct SendError<T>(pub T);

/// All senders are gone, and nothing is left.
#[derive(Clone, Copy, Debug)]
pub struct RecvError;

/// Nothing is there right now, or ever.
#[derive(Clone, Copy, Debug)]
pub enum TryRecvError {
    /// Right now.
    Empty,
    /// Ever.
    Disconnected,
}

/// Nothing came.
#[derive(Clone, Copy, Debug)]
pub enum RecvTimeoutError {
    /// In time.
    Timeout,
    /// All senders are gone.
    Disconnected,
}

impl<T> Sender<T> {
    /// Puts a value in.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.change(|queue| {
            if queue.receivers == 0 {
                return Err(SendError(value));
            }
            queue.values.push_back(value);
            Ok(())
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        lock(&self.0.queue).senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|queue| queue.senders -= 1);
    }
}

impl<T> Receiver<T> {
    /// Waits for a value.
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut queue = lock(&self.0.queue);
        loop {
            if let Some(value) = queue.values.pop_front() {
                return Ok(value);
            }
            if queue.senders == 0 {
                return Err(RecvError);
            }
            queue = wait(&self.0.changed, queue);
        }
    }

    /// A value that is there.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut queue = lock(&self.0.queue);
        match queue.values.pop_front() {
            Some(value) => Ok(value),
            None if queue.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for a value. There is no time here: it is up now and then, and else never, so that whoever waits for what
    /// doesn't come is found.
    pub fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        let is_up = shuttle::rand::thread_rng().next_u64().is_multiple_of(8);
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Empty) if is_up => {
                shuttle::thread::yield_now();
                Err(RecvTimeoutError::Timeout)
            }
            Err(_) => self.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        lock(&self.0.queue).receivers += 1;
        Receiver(Arc::clone(&self.0))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // As in the channel this stands in for, what nobody can get any more is dropped with the last receiver.
        let gone = self.0.change(|queue| {
            queue.receivers -= 1;
            if queue.receivers == 0 { std::mem::take(&mut queue.values) } else { VecDeque::new() }
        });
        drop(gone);
    }
}

/// Receives from two queues, from the first where both have something.
pub struct Two<'a, A, B> {
    first: &'a Receiver<A>,
    second: &'a Receiver<B>,
    signal: Arc<Signal>,
}

impl<'a, A, B> Two<'a, A, B> {
    /// Of these two.
    pub fn new(first: &'a Receiver<A>, second: &'a Receiver<B>) -> Two<'a, A, B> {
        let signal = Arc::new(Signal::default());
        lock(&first.0.queue).watchers.push(Arc::clone(&signal));
        lock(&second.0.queue).watchers.push(Arc::clone(&signal));
        Two { first, second, signal }
    }

    /// Waits for a value; `None` once one of the queues is closed and has nothing left.
    pub fn receive(&mut self) -> Option<Either<A, B>> {
        loop {
            match self.first.try_recv() {
                Ok(value) => return Some(Either::First(value)),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            match self.second.try_recv() {
                Ok(value) => return Some(Either::Second(value)),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let mut raised = lock(&self.signal.raised);
            if LOSE_WAKE_UPS.get() {
                *raised = false;
            }
            while !*raised {
                raised = wait(&self.signal.changed, raised);
            }
            *raised = false;
        }
    }
}

impl<A, B> Drop for Two<'_, A, B> {
    fn drop(&mut self) {
        lock(&self.first.0.queue).watchers.retain(|signal| !Arc::ptr_eq(signal, &self.signal));
        lock(&self.second.0.queue).watchers.retain(|signal| !Arc::ptr_eq(signal, &self.signal));
    }
}

/// A value that is made by the first who asks while the others wait.
pub struct OnceCell<T> {
    value: std::sync::OnceLock<T>,
    /// Whether somebody makes it.
    making: Mutex<bool>,
    made: Condvar,
}

impl<T> Default for OnceCell<T> {
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T> OnceCell<T> {
    /// Without a value.
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: std::sync::OnceLock::new(), making: Mutex::new(false), made: Condvar::new() }
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        shuttle::thread::yield_now();
        self.value.get()
    }

    /// Takes the value out of a cell that nobody else has, if it was made.
    pub fn take(&mut self) -> Option<T> {
        self.value.take()
    }

    /// The value, made where there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        enum Never {}
        match self.get_or_try_init(|| Ok::<T, Never>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The same, where making it may fail: then the next who asks tries again.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let mut making = lock(&self.making);
        while *making && self.value.get().is_none() {
            making = wait(&self.made, making);
        }
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        *making = true;
        drop(making);
        // Also where making it panics.
        let end = End(self);
        let value = make()?;
        let value = self.value.get_or_init(|| value);
        drop(end);
        Ok(value)
    }
}

struct End<'a, T>(&'a OnceCell<T>);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        *lock(&self.0.making) = false;
        self.0.made.notify_all();
    }
}
