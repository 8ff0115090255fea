//! Values that are made one after the other, the next ones on a thread of its own while the caller works with one.

use std::collections::VecDeque;

use crate::error::{Error, Result, Status};
use crate::sync::{Mutex, Receiver, Sender, catch, spawn_workers, thread, unbounded};

/// Runs `job`, which asks for values by ascending keys. Those of `keys`, ascending too, are made by `make` before they are
/// asked for; with one thread, or where the system has no other, when they are asked for. Who would have to wait for a
/// value makes the one behind it meanwhile. Beside the value that is asked for and those that the job keeps, two at most are
/// there or being made.
pub fn ahead<V: Send>(
    threads: usize,
    name: &str,
    keys: Vec<usize>,
    make: &(dyn Fn(usize) -> Result<V> + Sync),
    job: &mut dyn FnMut(&mut Ahead<'_, V>) -> Result<()>,
) -> Result<()> {
    let shared = Shared { waiting: Mutex::default(), made: Mutex::default() };
    let (keys, asked, own) = (keys.into(), VecDeque::new(), Vec::new());
    let mut ahead = Ahead { make, keys, asked, own, shared: &shared, maker: None };
    if threads < 2 || ahead.keys.len() < 2 {
        return job(&mut ahead);
    }
    thread::scope(|scope| {
        // The thread ends when nobody can ask any more: also where the job panics, before the scope waits for it.
        let mut ahead = ahead;
        let (ask, asked) = unbounded();
        let (answer, answers) = unbounded();
        let shared = &shared;
        let started = spawn_workers(scope, 1, name, || {
            let (asked, answer) = (asked.clone(), answer.clone());
            move || {
                while asked.recv().is_ok() {
                    // The caller may have made it itself.
                    let Some(key) = shared.waiting.lock().pop_front() else { continue };
                    let value = catch(|| make(key));
                    shared.made.lock().push_back(value);
                    if answer.send(Ok(())).is_err() {
                        break;
                    }
                }
            }
        });
        drop((asked, answer));
        if started.is_ok() {
            ahead.maker = Some(Maker { ask: Some(ask), answers });
        }
        job(&mut ahead)
    })
}

/// See [`ahead`].
pub struct Ahead<'a, V> {
    make: &'a (dyn Fn(usize) -> Result<V> + Sync),
    /// What was not asked of the thread yet.
    keys: VecDeque<usize>,
    /// What the thread has made or will.
    asked: VecDeque<usize>,
    /// What the caller has made in place of the thread.
    own: Vec<(usize, Result<V>)>,
    shared: &'a Shared<V>,
    maker: Option<Maker>,
}

impl<V> Drop for Ahead<'_, V> {
    /// Nobody wants what the thread has not begun.
    fn drop(&mut self) {
        self.shared.waiting.lock().clear();
    }
}

/// The thread's ends.
struct Maker {
    ask: Option<Sender<Result<()>>>,
    answers: Receiver<Result<()>>,
}

impl Drop for Maker {
    /// Tells the thread to end, and waits. The scope would wait for it too, but ThreadSanitizer doesn't see that.
    fn drop(&mut self) {
        self.ask = None;
        while self.answers.recv().is_ok() {}
    }
}

/// What goes from thread to thread beside the channels, whose type is one that the library has anyway: each further one is
/// 15 KB of code.
struct Shared<V> {
    /// The last of what was asked for: what the thread has not begun.
    waiting: Mutex<VecDeque<usize>>,
    made: Mutex<VecDeque<Result<V>>>,
}

impl<V> Ahead<'_, V> {
    /// The value of a key. Keys in between that nobody asked for are left out.
    pub fn get(&mut self, key: usize) -> Result<V> {
        self.leave_out_before(key);
        self.ask_for_more(key);
        loop {
            if let Some(at) = self.own.iter().position(|(own, _)| *own == key) {
                return self.own.swap_remove(at).1;
            }
            if self.asked.front() != Some(&key) {
                return (self.make)(key);
            }
            let is_made = !self.shared.made.lock().is_empty();
            match if is_made { None } else { self.take_back() } {
                Some(next) => self.own.push((next, catch(|| (self.make)(next)))),
                None => return self.answer(),
            }
        }
    }

    fn leave_out_before(&mut self, key: usize) {
        self.own.retain(|(own, _)| *own >= key);
        while let Some(front) = self.asked.front().copied().filter(|front| *front < key) {
            let mut waiting = self.shared.waiting.lock();
            if waiting.front() == Some(&front) {
                waiting.pop_front();
                self.asked.pop_front();
            } else {
                drop(waiting);
                let _ = self.answer();
            }
        }
        while self.keys.front().is_some_and(|front| *front < key) {
            self.keys.pop_front();
        }
    }

    fn ask_for_more(&mut self, key: usize) {
        let Some(ask) = self.maker.as_ref().and_then(|maker| maker.ask.as_ref()) else { return };
        let is_next = self.asked.front().or(self.keys.front()) == Some(&key);
        let is_among_them = is_next || self.own.iter().any(|(own, _)| *own == key);
        let most = if is_among_them { 3 } else { 2 };
        while self.asked.len() + self.own.len() < most
            && let Some(next) = self.keys.pop_front()
        {
            self.asked.push_back(next);
            self.shared.waiting.lock().push_back(next);
            let _ = ask.send(Ok(()));
        }
    }

    /// The first key that the thread has not begun, which it won't make any more.
    fn take_back(&mut self) -> Option<usize> {
        let next = self.shared.waiting.lock().pop_front()?;
        self.asked.retain(|asked| *asked != next);
        Some(next)
    }

    /// Waits for what was asked for first.
    fn answer(&mut self) -> Result<V> {
        self.asked.pop_front();
        let answered = self.maker.as_ref().is_some_and(|maker| maker.answers.recv().is_ok());
        let made = if answered { self.shared.made.lock().pop_front() } else { None };
        made.unwrap_or_else(|| Err(ended()))
    }
}

fn ended() -> Error {
    Error::new(Status::Panic, "the thread that works ahead ended before the work did")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicUsize, Ordering};

    fn collect<V: Send>(
        threads: usize,
        keys: Vec<usize>,
        make: &(dyn Fn(usize) -> Result<V> + Sync),
        asked: &[usize],
    ) -> Vec<Result<V>> {
        let mut got = Vec::new();
        ahead(threads, "test", keys, make, &mut |values| {
            got.extend(asked.iter().map(|key| values.get(*key)));
            Ok(())
        })
        .unwrap();
        got
    }

    #[test]
    fn values_come_for_the_keys_that_are_asked_for_also_beside_the_list() {
        for threads in [1, 2] {
            let got = collect(threads, vec![0, 1, 2, 5, 6, 9], &|key| Ok(key * 10), &[1, 2, 3, 5, 9, 10]);
            let got: Vec<_> = got.into_iter().map(Result::unwrap).collect();
            assert_eq!(got, [10, 20, 30, 50, 90, 100]);
        }
    }

    #[test]
    fn an_error_or_a_panic_is_that_of_its_key_and_the_next_value_is_there() {
        let make = |key| match key {
            1 => Err(Error::new(Status::Corrupt, "damaged")),
            2 => panic!("a defect"),
            key => Ok(key),
        };
        let got = collect(2, vec![0, 1, 2, 3], &make, &[0, 1, 2, 3]);
        let got: Vec<_> = got.into_iter().map(|value| value.map_err(|error| error.status())).collect();
        assert_eq!(got, [Ok(0), Err(Status::Corrupt), Err(Status::Panic), Ok(3)]);
    }

    #[test]
    fn who_stops_early_leaves_nothing_to_begin() {
        let got = collect(2, (0..1000).collect(), &Ok, &[7]);
        assert_eq!(got.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [7]);
        let shared = Shared { waiting: Mutex::new([1, 2].into()), made: Mutex::default() };
        let (keys, asked) = ([3].into(), [1, 2].into());
        drop(Ahead { make: &Ok, keys, asked, own: Vec::new(), shared: &shared, maker: None });
        assert!(shared.waiting.lock().is_empty());
    }

    #[test]
    fn two_values_at_most_are_there_beside_the_one_that_is_asked_for() {
        let (there, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let make = |_| {
            most.fetch_max(there.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Ok(Counted(&there))
        };
        // Also where some are asked for that nobody makes ahead.
        ahead(2, "test", (0..100).map(|key| key * 2).collect(), &make, &mut |values| {
            (0..200).try_for_each(|key| values.get(key).map(drop))
        })
        .unwrap();
        let most = most.into_inner();
        assert!(most <= 3, "{most}");
    }

    #[test]
    fn who_would_wait_makes_the_value_behind() {
        // The first value needs the second.
        let (tell, told) = unbounded::<Result<()>>();
        let make = |key| {
            match key {
                0 => told.recv().map_err(|_| ended())??,
                1 => tell.send(Ok(())).map_err(|_| ended())?,
                _ => {}
            }
            Ok(key)
        };
        let got = collect(2, (0..10).collect(), &make, &(0..10).collect::<Vec<_>>());
        assert!(got.into_iter().map(Result::unwrap).eq(0..10));
    }

    #[test]
    fn a_panic_of_the_job_waits_for_nobody() {
        let job = &mut |values: &mut Ahead<'_, usize>| values.get(3).map(|_| panic!("a defect"));
        assert_eq!(
            catch(|| ahead(2, "test", (0..1000).collect(), &Ok, job)).map_err(|error| error.status()),
            Err(Status::Panic)
        );
    }
}
