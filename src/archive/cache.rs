//! A cache of segments and blocks, bounded in bytes, that loads each thing once however many ask for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Result, reserve};
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
    spare: Spare,
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

    /// Takes out what was used longest ago. What is being loaded right now has no size yet and stays.
    fn remove_oldest(&mut self) -> Option<Slot> {
        let is_loaded = |key: &&Key| self.slots.get(key).is_some_and(|held| held.bytes.is_some());
        let oldest = *self.by_use.values().find(is_loaded)?;
        self.remove(oldest)
    }

    fn remove(&mut self, key: Key) -> Option<Slot> {
        let held = self.slots.remove(&key)?;
        self.by_use.remove(&held.used);
        self.bytes = self.bytes.saturating_sub(held.bytes.unwrap_or(0));
        Some(held.slot)
    }
}

/// The buffer of a whole block that nobody uses any more. (`Arc::get_mut` says so by a load that ThreadSanitizer
/// understands, `Arc::try_unwrap` by a fence that it doesn't.)
fn buffer_of(mut slot: Slot) -> Option<Vec<u8>> {
    let Value::Bytes(mut block) = Arc::get_mut(&mut slot)?.take()?.ok()? else { return None };
    let block = Arc::get_mut(&mut block)?;
    block.blob.is_empty().then(|| std::mem::take(&mut block.bytes))
}

/// Buffers of blocks that went, for those that come: their pages are the process's already, and to get new ones takes
/// up to a third of the time of decoding into them.
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// How many bytes they have at most.
    limit: usize,
}

impl Spare {
    fn keep(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > self.limit {
            return;
        }
        self.buffers.push(buffer);
        while self.buffers.iter().map(Vec::capacity).sum::<usize>() > self.limit {
            self.buffers.remove(0);
        }
    }

    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&buffer.capacity());
        let at = self.buffers.iter().rposition(fits)?;
        Some(self.buffers.swap_remove(at))
    }
}

/// The cache.
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Cache {
        let spare = Spare { buffers: Vec::new(), limit: limit / 8 };
        let inner = Inner { slots: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0, spare };
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

    /// A buffer for `len` bytes that are about to be loaded: that of a block that went, or a new one. It is a little
    /// longer than `len`, since the blocks of an archive are not all of one length.
    pub(super) fn buffer(&self, len: usize) -> Result<Vec<u8>> {
        let len = len.checked_next_multiple_of((len / 8).next_power_of_two()).unwrap_or(len);
        if let Some(spare) = self.lock().spare.take(len) {
            return Ok(spare);
        }
        let mut new = Vec::new();
        reserve(&mut new, len)?;
        Ok(new)
    }

    /// Takes back a buffer that something was loaded into and copied out of.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.lock().spare.keep(buffer);
    }

    fn touch(&self, key: Key) -> Slot {
        self.lock().touch(key)
    }

    /// Counts what was loaded and makes room; a failure is forgotten.
    fn settle(&self, key: Key, slot: &Slot, value: Option<&Value>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(held) = inner.slots.get_mut(&key).filter(|held| Arc::ptr_eq(&held.slot, slot)) else { return };
        let Some(value) = value else {
            inner.remove(key);
            return;
        };
        held.bytes = Some(value.bytes());
        inner.bytes = inner.bytes.saturating_add(value.bytes());
        // Buffers of what goes have the rest of the limit. What was loaded stays where it fits at all.
        let (most, own) = (self.limit.saturating_sub(inner.spare.limit), value.bytes());
        while inner.bytes > most && !(inner.bytes == own && own <= self.limit) {
            let Some(gone) = inner.remove_oldest() else { break };
            if let Some(buffer) = buffer_of(gone) {
                inner.spare.keep(buffer);
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
    fn a_block_that_goes_leaves_its_buffer_to_the_next() {
        let cache = Cache::new(1600);
        let load = |number, len| cache.get(Key::Block(number), || Ok(block(len))).expect("loads");
        let spare = |len| cache.lock().spare.take(len).map(|buffer| buffer.capacity());
        let read = load(0, 150);
        load(1, 150);
        load(2, 1250);
        assert_eq!(spare(150), None, "somebody still reads the block that went");
        drop(read);
        load(3, 190);
        assert_eq!((spare(151), spare(70)), (None, None), "too small, too big");
        assert_eq!((spare(100), spare(100)), (Some(150), None), "it is there once");
        load(4, 1600);
        load(5, 1600);
        assert_eq!((spare(1600), spare(190)), (None, Some(190)), "what is spared is bounded");
        cache.give_back(cache.buffer(100).unwrap());
        assert_eq!(spare(100), Some(112));
        for len in [0, 1, 7, 8, 9, 4 << 20, (4 << 20) + 1] {
            let capacity = cache.buffer(len).unwrap().capacity();
            assert!(capacity >= len && capacity <= len + len / 4 + 1, "{len}: {capacity}");
        }
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
