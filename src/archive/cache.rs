//! A cache of segments and blocks, bounded in bytes, that loads each thing once however many ask for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::error::{Result, zeroed};
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
    /// Whether it can't be had, since the blob is damaged.
    pub(super) is_cut: bool,
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

    /// Takes out what was used longest ago, but not `key`. What is being loaded right now has no size yet and stays.
    fn remove_oldest(&mut self, key: Key) -> Option<Slot> {
        let may_go = |at: &&Key| **at != key && self.slots.get(at).is_some_and(|held| held.bytes.is_some());
        let oldest = *self.by_use.values().find(may_go)?;
        self.remove(oldest)
    }

    fn remove(&mut self, key: Key) -> Option<Slot> {
        let held = self.slots.remove(&key)?;
        self.by_use.remove(&held.used);
        self.bytes = self.bytes.saturating_sub(held.bytes.unwrap_or(0));
        Some(held.slot)
    }

    /// What counts against the limit.
    fn held(&self) -> usize {
        self.bytes.saturating_add(self.spare.bytes)
    }
}

/// The buffer of a whole block that nobody uses any more. (`Arc::get_mut` says so by a load that ThreadSanitizer
/// understands, `Arc::try_unwrap` by a fence that it doesn't.)
fn buffer_of(slot: &mut Slot) -> Option<Vec<u8>> {
    let Value::Bytes(mut block) = Arc::get_mut(slot)?.take()?.ok()? else { return None };
    let block = Arc::get_mut(&mut block)?;
    block.blob.is_empty().then(|| std::mem::take(&mut block.bytes))
}

/// Whether a buffer may take the place of one of `len` bytes.
fn fits(buffer: &Vec<u8>, len: usize) -> bool {
    (len..=len.saturating_mul(2)).contains(&buffer.capacity())
}

/// Shorter buffers are the allocator's matter.
const LEAST_SPARE: usize = 64 << 10;
const MOST_SPARES: usize = 16;

/// Buffers that something was loaded into and copied out of, for what is loaded next: their pages are the process's
/// already, and to get new ones takes up to a third of the time of decoding into them.
struct Spare {
    buffers: Vec<Vec<u8>>,
    /// What they have together, and at most.
    bytes: usize,
    limit: usize,
}

impl Spare {
    fn keep(&mut self, buffer: Vec<u8>) {
        if (LEAST_SPARE..=self.limit).contains(&buffer.capacity()) {
            self.bytes = self.bytes.saturating_add(buffer.capacity());
            self.buffers.push(buffer);
            while (self.bytes > self.limit || self.buffers.len() > MOST_SPARES) && self.drop_oldest() {}
        }
    }

    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let at = self.buffers.iter().rposition(|buffer| fits(buffer, len))?;
        let buffer = self.buffers.remove(at);
        self.bytes = self.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = (!self.buffers.is_empty()).then(|| self.buffers.remove(0));
        self.bytes = self.bytes.saturating_sub(oldest.as_ref().map_or(0, Vec::capacity));
        oldest.is_some()
    }
}

/// The cache.
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Cache {
        let spare = Spare { buffers: Vec::new(), bytes: 0, limit: limit / 8 };
        let inner = Inner { slots: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0, spare };
        Cache { limit, inner: Mutex::new(inner) }
    }

    /// The cached thing, or what `load` makes. Failures are not kept. No lock is held while loading.
    pub(super) fn get(&self, key: Key, load: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let slot = self.lock().touch(key);
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

    /// Forgets a thing, so that something else is loaded in its place.
    pub(super) fn forget(&self, key: Key) {
        let gone = self.lock().remove(key);
        drop(gone);
    }

    /// A buffer for `len` bytes that `key` is about to be loaded into: a spare one, that of a block that must go for it, or a new one,
    /// of which no page was touched. It may be a little longer, since the blocks of an archive are not all of one length,
    /// and holds whatever it held.
    pub(super) fn buffer(&self, key: Key, len: usize) -> Result<Vec<u8>> {
        // What can't become a spare is as long as it must be, so that all of the limit can be used.
        let rounded = len.checked_next_multiple_of((len / 8).next_power_of_two());
        let len = rounded.filter(|rounded| *rounded <= self.limit / 8).unwrap_or(len);
        let mut gone = Vec::new();
        let mut inner = self.lock();
        if let Some(spare) = inner.spare.take(len) {
            return Ok(spare);
        }
        // What doesn't fit at all is not kept either, so that nothing needs to go for it.
        while len <= self.limit && inner.held().saturating_add(len) > self.limit {
            let Some(mut oldest) = inner.remove_oldest(key) else { break };
            match buffer_of(&mut oldest).filter(|buffer| fits(buffer, len)) {
                Some(buffer) => return Ok(buffer),
                None => gone.push(oldest),
            }
        }
        drop(inner);
        drop(gone);
        zeroed(len)
    }

    /// Takes back a buffer that something was loaded into and copied out of.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let mut inner = self.lock();
        if inner.held().saturating_add(buffer.capacity()) <= self.limit {
            inner.spare.keep(buffer);
        }
    }

    /// Counts what was loaded and makes room; a failure is forgotten, and so is what doesn't fit.
    fn settle(&self, key: Key, slot: &Slot, value: Option<&Value>) {
        let mut gone = Vec::new();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(held) = inner.slots.get_mut(&key).filter(|held| Arc::ptr_eq(&held.slot, slot)) else { return };
        let Some(bytes) = value.map(Value::bytes).filter(|bytes| *bytes <= self.limit) else {
            inner.remove(key);
            return;
        };
        held.bytes = Some(bytes);
        inner.bytes = inner.bytes.saturating_add(bytes);
        while inner.held() > self.limit {
            // Spares are for caches of many blocks: there one block less is worth them.
            let oldest = if bytes > inner.spare.limit { None } else { inner.remove_oldest(key) };
            if let Some(oldest) = oldest {
                gone.push(oldest);
            } else if !inner.spare.drop_oldest() {
                match inner.remove_oldest(key) {
                    Some(oldest) => gone.push(oldest),
                    None => break,
                }
            }
        }
        // Memory is given back without the lock.
        drop(guard);
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
        Value::Bytes(Arc::new(Block::whole(vec![0; len])))
    }

    const UNIT: usize = 64 << 10;

    #[test]
    fn a_block_that_goes_leaves_its_buffer_to_the_next() {
        let cache = Cache::new(8 * UNIT);
        let load = |number, len, mark| {
            let bytes = vec![mark; len];
            cache.get(Key::Block(number), || Ok(Value::Bytes(Arc::new(Block::whole(bytes))))).expect("loads")
        };
        let room = |len| {
            let buffer = cache.buffer(Key::Block(99), len).expect("memory");
            (buffer.capacity(), buffer[0])
        };
        let is_there = |number| cache.lock().slots.contains_key(&Key::Block(number));
        load(0, UNIT, 10);
        load(1, 3 * UNIT, 11);
        let read = load(2, 2 * UNIT, 12);
        load(3, 2 * UNIT, 13);
        assert_eq!(room(2 * UNIT), (3 * UNIT, 11), "the first is too small, and goes, the next fits");
        assert!(!is_there(0) && !is_there(1) && is_there(2));
        load(4, 4 * UNIT, 14);
        assert_eq!(room(2 * UNIT), (2 * UNIT, 0), "the oldest goes without its buffer: somebody reads it");
        assert!(!is_there(2) && is_there(3) && is_there(4));
        assert!(matches!(read, Value::Bytes(block) if block.bytes[2 * UNIT - 1] == 12));
        assert_eq!(room(UNIT), (UNIT, 0), "there is room for a new one");
        assert_eq!(room(9 * UNIT), (9 * UNIT, 0), "it can't be kept, so that nothing goes for it");
        assert!(is_there(4));
    }

    #[test]
    fn what_is_held_with_what_is_spare_stays_within_the_limit_and_a_block_of_all_of_it_stays() {
        let cache = Cache::new(16 * UNIT);
        let load = |number, len| cache.get(Key::Block(number), || Ok(block(len))).expect("loads");
        let held = || {
            let inner = cache.lock();
            (inner.held(), inner.spare.bytes)
        };
        for len in [1, LEAST_SPARE - 1, 2 * UNIT, 2 * UNIT + 1, 2 * UNIT] {
            cache.give_back(vec![0; len]);
        }
        assert_eq!(held(), (2 * UNIT, 2 * UNIT), "neither small ones nor more than an eighth");
        load(0, 14 * UNIT);
        load(1, 14 * UNIT);
        assert_eq!(held(), (14 * UNIT, 0), "a block that is much of the cache is worth more than spares");
        load(2, 16 * UNIT);
        assert!(cache.peek(Key::Block(2)).is_some() && held() == (16 * UNIT, 0));
        cache.give_back(vec![0; UNIT]);
        load(3, 16 * UNIT + 1);
        assert!(cache.peek(Key::Block(2)).is_some() && cache.peek(Key::Block(3)).is_none(), "it fits nowhere");
        assert_eq!(held(), (16 * UNIT, 0));
        cache.forget(Key::Block(2));
        for _ in 0..100 {
            cache.give_back(vec![0; UNIT]);
            load(4, UNIT);
        }
        assert_eq!(held(), (3 * UNIT, 2 * UNIT));
        (5..30).for_each(|number| drop(load(number, UNIT)));
        assert_eq!(held(), (16 * UNIT, 2 * UNIT), "one block less is worth a spare");
    }

    #[test]
    fn a_buffer_is_at_most_a_quarter_longer_than_what_it_is_for_and_no_longer_where_it_can_not_be_spared() {
        let cache = Cache::new(64 << 20);
        for len in [0, 1, 7, 8, 9, 4 << 20, (4 << 20) + 1, (8 << 20) - 1] {
            let capacity = cache.buffer(Key::Block(0), len).unwrap().capacity();
            assert!(capacity >= len && capacity <= len + len / 4 + 1, "{len}: {capacity}");
        }
        for len in [(8 << 20) + 1, 60 << 20, 100 << 20] {
            assert_eq!(cache.buffer(Key::Block(0), len).unwrap().capacity(), len);
        }
    }

    #[test]
    #[cfg_attr(feature = "tsan", ignore = "the sanitizer keeps shadows of what is allocated")]
    fn a_buffer_as_long_as_a_lie_touches_no_memory() {
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
            pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
        };
        let before = resident();
        let mut buffer = Cache::new(64 << 20).buffer(Key::Block(0), 1 << 30).expect("memory");
        buffer.resize(1 << 30, 0);
        assert!(resident().saturating_sub(before) < 512 << 20);
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
