//! A cache of segments and blocks, bounded in bytes, that loads each thing once however many ask for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::error::Result;
use crate::format::hash::Digest;
use crate::format::index::Segment;
use crate::sync::{Mutex, MutexGuard, OnceCell};

/// What is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An index segment by its number.
    Segment(usize),
    /// A decoded block by its blob's offset.
    Block(u64),
    /// The start of a block, by its blob's offset.
    Start(u64),
    /// A slice of a stored block by its own offset and length in the archive.
    Slice(u64, u64),
}

/// A cached thing.
#[derive(Clone)]
pub(super) enum Value {
    /// A segment.
    Segment(Arc<Segment>),
    /// Bytes of a block or slice.
    Bytes(Arc<Block>),
}

/// Decoded bytes, and which slices of them were found to match their checksums.
pub(super) struct Block {
    /// The whole block, or its start.
    pub(super) bytes: Vec<u8>,
    /// Where that is not all: the blob, so that the rest can be had without reading it again.
    pub(super) blob: Vec<u8>,
    pub(super) checked: Mutex<HashSet<(u64, u64, Digest)>>,
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Segment(segment) => segment.memory(),
            Value::Bytes(block) => block.bytes.capacity().saturating_add(block.blob.capacity()),
        }
    }
}

/// A slot is made by the first who asks; the others wait for its cell.
type Slot = Arc<OnceCell<Result<Value>>>;

/// A slot in the cache.
struct Held {
    slot: Slot,
    /// The time of its last use.
    used: u64,
    /// What it counts, once it is loaded; only then it may go.
    bytes: Option<usize>,
}

struct Inner {
    slots: HashMap<Key, Held>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

impl Inner {
    /// The slot of a key, made where there is none, as the one used last.
    fn touch(&mut self, key: Key) -> Slot {
        // What was used last stays so: the rule for look-ups in one segment.
        if let Some(held) = self.slots.get(&key)
            && held.used == self.clock
        {
            return Arc::clone(&held.slot);
        }
        self.clock = self.clock.saturating_add(1);
        let clock = self.clock;
        let new = || Held { slot: Slot::default(), used: clock, bytes: None };
        let held = self.slots.entry(key).or_insert_with(new);
        if held.used != clock {
            self.by_use.remove(&held.used);
            held.used = clock;
        }
        self.by_use.insert(clock, key);
        Arc::clone(&held.slot)
    }

    fn remove(&mut self, key: Key) {
        let Some(held) = self.slots.remove(&key) else { return };
        self.by_use.remove(&held.used);
        self.bytes = self.bytes.saturating_sub(held.bytes.unwrap_or(0));
    }
}

/// The cache.
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Cache {
        let inner = Inner { slots: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0 };
        Cache { limit, inner: Mutex::new(inner) }
    }

    /// The cached thing, or what `load` makes. Failures are not kept. No lock is held while loading.
    pub(super) fn get(&self, key: Key, load: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let slot = self.touch(key);
        let mut loaded = false;
        let value = slot
            .get_or_init(|| {
                loaded = true;
                load()
            })
            .clone();
        if loaded {
            self.settle(key, &slot, value.as_ref().ok());
        }
        value
    }

    /// The cached thing, where it is there.
    pub(super) fn peek(&self, key: Key) -> Option<Value> {
        // Under one lock: a slot that is made here would be filled by nobody.
        let mut inner = self.lock();
        if !inner.slots.contains_key(&key) {
            return None;
        }
        let slot = inner.touch(key);
        drop(inner);
        slot.get()?.as_ref().ok().cloned()
    }

    fn touch(&self, key: Key) -> Slot {
        self.lock().touch(key)
    }

    /// Counts what was loaded and makes room; a failure is forgotten.
    fn settle(&self, key: Key, slot: &Slot, value: Option<&Value>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(held) = inner.slots.get_mut(&key).filter(|held| Arc::ptr_eq(&held.slot, slot)) else { return };
        let Some(value) = value else { return inner.remove(key) };
        held.bytes = Some(value.bytes());
        inner.bytes = inner.bytes.saturating_add(value.bytes());
        let mut passed = 0usize;
        while inner.bytes > self.limit {
            let Some(&oldest) = inner.by_use.values().nth(passed) else { break };
            // What is being loaded right now has no size yet and stays.
            match inner.slots.get(&oldest).and_then(|held| held.bytes) {
                Some(_) => inner.remove(oldest),
                None => passed = passed.saturating_add(1),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock can't leave it half-changed in a way that matters: at worst a slot is lost.
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Status};

    fn block(len: usize) -> Value {
        Value::Bytes(Arc::new(Block { bytes: vec![0; len], blob: Vec::new(), checked: Mutex::new(HashSet::new()) }))
    }

    #[test]
    fn a_cache_that_many_use_at_once_counts_what_it_holds() {
        let cache = Cache::new(100);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..20_000u64 {
                        let key = Key::Block((round * 7 + thread) % 5);
                        cache.peek(Key::Block(round % 5));
                        let len = 30 + 30 * ((round + thread) % 5) as usize;
                        let loaded = cache.get(key, || {
                            if round % 11 == 0 { Err(Error::new(Status::Io, "no")) } else { Ok(block(len)) }
                        });
                        assert!(loaded.is_err() || matches!(loaded, Ok(Value::Bytes(_))));
                    }
                });
            }
        });
        let inner = cache.lock();
        let held: usize = inner.slots.values().map(|held| held.bytes.expect("loaded")).sum();
        assert_eq!((inner.bytes, inner.by_use.len()), (held, inner.slots.len()));
        assert!(held <= 100);
    }
}
