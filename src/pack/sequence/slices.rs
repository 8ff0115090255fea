//! Slices of all blocks, by number and by checksum.

use hashbrown::HashTable;

use super::MAX_SLICES;
use crate::error::{Error, Result, Status, push, reserve};
use crate::format::hash::Digest;

/// A block that is not numbered yet.
pub(super) const UNNUMBERED: u32 = u32::MAX;

/// Where bytes are, once: 44 bytes.
#[derive(Clone, Copy)]
pub(in crate::pack) struct Slice {
    pub(in crate::pack) checksum: Digest,
    pub(in crate::pack) block: u32,
    pub(in crate::pack) start: u32,
    pub(in crate::pack) len: u32,
}

/// A slice that another archive says it has, and that something in the new one rests on.
pub(in crate::pack) struct Relied {
    pub(in crate::pack) number: u32,
    pub(in crate::pack) slice: Slice,
    /// The number of an entry there that has it.
    pub(in crate::pack) origin: u32,
}

/// All slices: new ones, and those that other archives have.
#[derive(Default)]
pub(in crate::pack) struct Slices {
    all: Vec<Slice>,
    by_checksum: HashTable<u32>,
    /// Slices that another archive says it has, in order of their numbers, each with the number of an entry there that
    /// has it.
    adopted: Vec<(u32, u32)>,
    /// Those of them that something in the new archive rests on; some several times.
    relied_on: Vec<u32>,
}

impl Slices {
    /// A slice of a block that is there already: new bytes that are equal to it are not stored again. So says an
    /// archive, of which entry `origin` has it; whether it is true is not known, see [`Slices::take_relied_on`].
    pub(in crate::pack) fn adopt(
        &mut self,
        checksum: Digest,
        block: u32,
        start: u32,
        len: u32,
        origin: u32,
    ) -> Result<u32> {
        if let Some(number) = self.find(&checksum) {
            return Ok(number);
        }
        let number = self.insert(Slice { checksum, block, start, len })?;
        push(&mut self.adopted, (number, origin))?;
        Ok(number)
    }

    /// The same for a slice that stays where it is, also where an equal one is elsewhere.
    pub(in crate::pack) fn adopt_in_place(&mut self, slice: Slice, origin: u32) -> Result<u32> {
        let Slice { checksum, block, start, len } = slice;
        let Some(known) = self.find(&checksum) else { return self.adopt(checksum, block, start, len, origin) };
        let other = &self.all[known as usize];
        if (other.block, other.start, other.len) == (block, start, len) {
            return Ok(known);
        }
        let number = self.add(slice)?;
        push(&mut self.adopted, (number, origin))?;
        Ok(number)
    }

    /// A slice that stands where nothing can be decoded: it is not looked for.
    pub(in crate::pack) fn adopt_unseen(&mut self, slice: Slice) -> Result<u32> {
        self.add(slice)
    }

    /// Slices so far: the number that the next one gets.
    pub(in crate::pack) fn count(&self) -> u32 {
        self.all.len() as u32
    }

    /// The slice with these bytes, where there is one.
    pub(in crate::pack) fn find(&self, checksum: &Digest) -> Option<u32> {
        let same = |number: &u32| self.all[*number as usize].checksum == *checksum;
        self.by_checksum.find(key_of(checksum), same).copied()
    }

    /// Something in the new archive rests on this slice.
    pub(in crate::pack) fn rely_on(&mut self, number: u32) -> Result<()> {
        if self.adopted.is_empty() || self.adopted.binary_search_by_key(&number, |(slice, _)| *slice).is_err() {
            return Ok(());
        }
        push(&mut self.relied_on, number)
    }

    /// Slices that were adopted and relied on, once each: they must be what they are said to be.
    pub(in crate::pack) fn take_relied_on(&mut self) -> Result<Vec<Relied>> {
        let mut numbers = std::mem::take(&mut self.relied_on);
        numbers.sort_unstable();
        numbers.dedup();
        let (mut relied, mut from) = (Vec::new(), 0);
        reserve(&mut relied, numbers.len())?;
        for number in numbers {
            from += self.adopted[from..].partition_point(|(slice, _)| *slice < number);
            let origin = self.adopted.get(from).map(|(_, origin)| *origin);
            relied.extend(origin.map(|origin| Relied { number, slice: self.all[number as usize], origin }));
        }
        Ok(relied)
    }

    /// A slice by its number.
    pub(in crate::pack) fn get(&self, number: u32) -> &Slice {
        &self.all[number as usize]
    }

    /// The same, to be moved.
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Slice {
        &mut self.all[number as usize]
    }

    /// Nothing more is looked for.
    pub(super) fn end(&mut self) {
        self.by_checksum = HashTable::new();
    }

    /// A slice with new bytes.
    pub(super) fn insert(&mut self, slice: Slice) -> Result<u32> {
        let number = self.add(slice)?;
        let slices = &self.all;
        let key = |number: &u32| key_of(&slices[*number as usize].checksum);
        let no_memory = |_| Error::new(Status::NoMemory, "can't allocate room for the checksums of slices");
        self.by_checksum.try_reserve(1, key).map_err(no_memory)?;
        self.by_checksum.insert_unique(key_of(&slice.checksum), number, key);
        Ok(number)
    }

    fn add(&mut self, slice: Slice) -> Result<u32> {
        let number = self.all.len() as u32;
        if number >= MAX_SLICES {
            return Err(Error::new(Status::Limit, "the archive has over two billion slices"));
        }
        push(&mut self.all, slice)?;
        Ok(number)
    }
}

fn key_of(checksum: &Digest) -> u64 {
    u64::from_le_bytes(checksum[..8].try_into().unwrap_or_default())
}
