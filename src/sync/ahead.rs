//! Values that are made one after the other, the next on a thread of its own while the caller works with one.

use std::collections::VecDeque;

use crate::error::{Error, Result, Status};
use crate::sync::{Mutex, Receiver, Sender, catch, spawn_workers, thread, unbounded};

/// Runs `job`, which asks for values by ascending keys. Those of `keys`, ascending too, are made by `make` before they are
/// asked for; with one thread, or where the system has no other, when they are asked for. One value at most is there
/// beside those that the job keeps.
pub fn ahead<V: Send>(
    threads: usize,
    name: &str,
    keys: Vec<usize>,
    make: &(dyn Fn(usize) -> Result<V> + Sync),
    job: &mut dyn FnMut(&mut Ahead<'_, V>) -> Result<()>,
) -> Result<()> {
    let shared = Shared { asked: Mutex::default(), made: Mutex::default() };
    let mut ahead = Ahead { make, keys: keys.into(), asked: VecDeque::new(), shared: &shared, maker: None };
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
                    let key = shared.asked.lock().pop_front();
                    let value = catch(|| key.map_or(Err(ended()), make));
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
    shared: &'a Shared<V>,
    maker: Option<Maker>,
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
    asked: Mutex<VecDeque<usize>>,
    made: Mutex<VecDeque<Result<V>>>,
}

impl<V> Ahead<'_, V> {
    /// The value of a key. Keys in between that nobody asked for are left out.
    pub fn get(&mut self, key: usize) -> Result<V> {
        while self.asked.front().is_some_and(|front| *front < key) {
            let _ = self.answer();
        }
        while self.keys.front().is_some_and(|front| *front < key) {
            self.keys.pop_front();
        }
        if let Some(maker) = &self.maker {
            while self.asked.len() < 2
                && let Some(next) = self.keys.pop_front()
            {
                self.asked.push_back(next);
                self.shared.asked.lock().push_back(next);
                let _ = maker.ask.as_ref().map(|ask| ask.send(Ok(())));
            }
        }
        if self.asked.front() == Some(&key) { self.answer() } else { (self.make)(key) }
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
    fn who_stops_early_waits_for_nothing_more() {
        let got = collect(2, (0..1000).collect(), &Ok, &[7]);
        assert_eq!(got.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [7]);
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
