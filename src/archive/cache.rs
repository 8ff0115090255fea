//! A cache of segments and blocks, bounded in bytes, that loads each thing once however many ask for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::Result;
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
    /// As long as the whole block.
    pub(super) bytes: Vec<u8>,
    /// How many of them are decoded.
    pub(super) decoded: usize,
    /// Where that is not all: the blob, so that the rest can be had without reading it again.
    pub(super) blob: Vec<u8>,
    pub(super) checked: Mutex<std::collections::HashSet<(u64, u64, crate::format::hash::Digest)>>,
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Segment(segment) => segment.memory(),
            // What was never written to takes no memory yet.
            Value::Bytes(block) => block.decoded + block.blob.len(),
        }
    }
}

/// A slot is made by the first who asks; the others wait for its cell.
type Slot = Arc<OnceCell<Result<Value>>>;

struct Inner {
    slots: HashMap<Key, (Slot, u64)>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
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
        if !self.lock().slots.contains_key(&key) {
            return None;
        }
        self.touch(key).get()?.as_ref().ok().cloned()
    }

    fn touch(&self, key: Key) -> Slot {
        let mut guard = self.lock();
        let inner = &mut *guard;
        // What was used last stays so: the rule for look-ups in one segment.
        if let Some((slot, used)) = inner.slots.get(&key)
            && *used == inner.clock
        {
            return Arc::clone(slot);
        }
        inner.clock += 1;
        let clock = inner.clock;
        let (slot, used) = inner.slots.entry(key).or_insert_with(|| (Slot::default(), clock));
        if *used != clock {
            inner.by_use.remove(used);
            *used = clock;
        }
        inner.by_use.insert(clock, key);
        Arc::clone(slot)
    }

    /// Counts what was loaded and makes room; a failure is forgotten.
    fn settle(&self, key: Key, slot: &Slot, value: Option<&Value>) {
        let mut inner = self.lock();
        match value {
            Some(value) => inner.bytes += value.bytes(),
            None => {
                if inner.slots.get(&key).is_some_and(|(held, _)| Arc::ptr_eq(held, slot))
                    && let Some((_, used)) = inner.slots.remove(&key)
                {
                    inner.by_use.remove(&used);
                }
                return;
            }
        }
        let mut passed = 0;
        while inner.bytes > self.limit {
            // What is being loaded right now has no size yet and stays.
            let Some((&used, &oldest)) = inner.by_use.iter().nth(passed) else { break };
            let size = inner.slots.get(&oldest).and_then(|(slot, _)| Some(slot.get()?.as_ref().ok()?.bytes()));
            match size {
                Some(size) => {
                    inner.by_use.remove(&used);
                    inner.slots.remove(&oldest);
                    inner.bytes = inner.bytes.saturating_sub(size);
                }
                None => passed += 1,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock can't leave it half-changed in a way that matters: at worst a slot is lost.
        self.inner.lock()
    }
}
