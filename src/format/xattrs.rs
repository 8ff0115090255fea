//! The section of extended attributes: each distinct set once, entries refer to it by number (`xattr_id`).
//!
//! ```text
//! set         u16 count | count attributes, in ascending order of their names
//! attribute   u8 bytes of the name | name | u32 bytes of the value | value
//! ```
//!
//! The sets stand one behind the other, and nothing else; the manifest says how many there are. The encoding of a
//! list of sets is the only one that it has.

use std::ops::Range;

use crate::error::{Error, Result, Status, reserve};
use crate::format::container::read_u32;

/// Name of the section in the manifest.
pub const SECTION_NAME: &str = "__znippy4_xattrs__";
/// Key of the root directory's set in the metadata.
pub const ROOT_KEY: &str = "root_xattr_id";
/// Most bytes of the section, decoded.
pub const MAX_SECTION: u64 = 64 << 20;
/// Most bytes of an attribute's name; the kernel's limit too.
pub const MAX_NAME: usize = 255;
/// Most bytes of an attribute's value; the kernel's limit too.
pub const MAX_VALUE: usize = 64 << 10;

/// A set in the making: its encoding, once all attributes are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetBuilder {
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl SetBuilder {
    /// Adds an attribute, in whatever order.
    ///
    /// # Errors
    /// `E_LIMIT` where a name or value is longer than the format has room for; the same name twice.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let fits = (1..=MAX_NAME).contains(&name.len()) && !name.contains(&0) && value.len() <= MAX_VALUE;
        let known = self.attributes.iter().any(|(known, _)| known == name);
        if !fits || known || self.attributes.len() >= usize::from(u16::MAX) {
            let shown = crate::error::printable(name);
            return Err(Error::new(Status::Limit, format!("can't record the extended attribute {shown}")));
        }
        self.attributes.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    /// The encoding; `None` of no attributes.
    pub fn finish(mut self) -> Option<Box<[u8]>> {
        if self.attributes.is_empty() {
            return None;
        }
        self.attributes.sort();
        let mut bytes = u16::try_from(self.attributes.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        for (name, value) in &self.attributes {
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        Some(bytes.into())
    }
}

/// All sets of an archive, decoded and checked.
#[derive(Debug, Default)]
pub struct XattrSets {
    bytes: Vec<u8>,
    /// Where each set ends.
    ends: Vec<u32>,
}

impl XattrSets {
    /// Checks the bytes of a section of `rows` sets.
    ///
    /// # Errors
    /// `E_CORRUPT`, rule `xattrs.table`.
    pub fn decode(bytes: Vec<u8>, rows: u64) -> Result<XattrSets> {
        if bytes.len() as u64 > MAX_SECTION {
            return Err(refuse("it is over 64 MiB"));
        }
        // Each set takes eight bytes or more, so what is reserved stays in proportion to what is there.
        let rows = usize::try_from(rows).ok().filter(|rows| *rows <= bytes.len() / LEAST_SET);
        let rows = rows.ok_or_else(|| refuse("it is too short for its sets"))?;
        let mut ends = Vec::new();
        reserve(&mut ends, rows)?;
        let mut at = 0;
        for _ in 0..rows {
            at = check_set(&bytes, at)?;
            ends.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        if at != bytes.len() {
            return Err(refuse("something stands behind the last set"));
        }
        Ok(XattrSets { bytes, ends })
    }

    /// Sets.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The attributes of a set, names and values, in order of their names.
    ///
    /// # Errors
    /// `E_CORRUPT`, rule `index.xattr`, where there is no set of this number.
    pub fn get(&self, id: u32) -> Result<Attributes<'_>> {
        let (count, rest) = self.encoded(id)?.split_first_chunk().ok_or_else(|| missing_set(id))?;
        Ok(Attributes { left: u16::from_le_bytes(*count), rest })
    }

    /// The encoding of a set.
    ///
    /// # Errors
    /// As for [`XattrSets::get`].
    pub fn encoded(&self, id: u32) -> Result<&[u8]> {
        self.range(id).and_then(|range| self.bytes.get(range)).ok_or_else(|| missing_set(id))
    }

    fn range(&self, id: u32) -> Option<Range<usize>> {
        let number = id as usize;
        let end = *self.ends.get(number)? as usize;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        Some(start..end)
    }
}

/// An entry names a set that is not there.
pub fn missing_set(id: u32) -> Error {
    Error::corrupt("index.xattr", format!("the archive has no set {id} of extended attributes"))
}

/// Iterates over the names and values of a set that was checked.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    left: u16,
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let (len, rest) = self.rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        let (len, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Bytes of a set of one attribute with a name of one byte and an empty value.
const LEAST_SET: usize = 2 + 1 + 1 + 4;

/// Checks the set that starts at `at`; returns where it ends.
fn check_set(bytes: &[u8], at: usize) -> Result<usize> {
    let mut at = at;
    let count = u16::from_le_bytes(*take(bytes, &mut at, 2)?.first_chunk().unwrap_or(&[0; 2]));
    if count == 0 {
        return Err(refuse("a set is empty"));
    }
    let mut before: &[u8] = &[];
    for _ in 0..count {
        let len = take(bytes, &mut at, 1)?.first().map_or(0, |len| usize::from(*len));
        let name = take(bytes, &mut at, len)?;
        if name.is_empty() || name.contains(&0) || name <= before {
            return Err(refuse("a name is empty, holds a NUL byte or is out of order"));
        }
        before = name;
        let len = read_u32(take(bytes, &mut at, 4)?, 0) as usize;
        if len > MAX_VALUE {
            return Err(refuse("a value is over 64 KiB"));
        }
        take(bytes, &mut at, len)?;
    }
    Ok(at)
}

fn take<'a>(bytes: &'a [u8], at: &mut usize, len: usize) -> Result<&'a [u8]> {
    let end = at.checked_add(len).ok_or_else(|| refuse("it ends early"))?;
    let taken = bytes.get(*at..end).ok_or_else(|| refuse("it ends early"))?;
    *at = end;
    Ok(taken)
}

fn refuse(why: &str) -> Error {
    Error::corrupt("xattrs.table", format!("the section of extended attributes is malformed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(attributes: &[(&[u8], &[u8])]) -> Box<[u8]> {
        let mut builder = SetBuilder::default();
        attributes.iter().for_each(|(name, value)| builder.add(name, value).unwrap());
        builder.finish().unwrap()
    }

    fn sample() -> (Vec<u8>, u64) {
        let long = vec![7; 300];
        let sets = [
            set(&[(b"user.b", b"2"), (b"user.a", b"one")]),
            set(&[(b"security.capability", b"\x01\0\0\x02\0\0")]),
            set(&[(b"user.\xff", b""), (b"user.long", &long)]),
        ];
        (sets.concat(), sets.len() as u64)
    }

    /// All sets, encoded again from what was read.
    fn again(sets: &XattrSets) -> Vec<u8> {
        let all = (0..sets.len() as u32).map(|id| set(&sets.get(id).unwrap().collect::<Vec<_>>()));
        all.collect::<Vec<_>>().concat()
    }

    #[test]
    fn sets_come_back_in_order_of_names() {
        let (bytes, rows) = sample();
        let sets = XattrSets::decode(bytes.clone(), rows).unwrap();
        let first: Vec<_> = sets.get(0).unwrap().collect();
        assert_eq!(first, [(&b"user.a"[..], &b"one"[..]), (b"user.b", b"2")]);
        assert_eq!((sets.len(), again(&sets)), (3, bytes));
        assert_eq!(sets.get(3).unwrap_err().rule(), Some("index.xattr"));
        assert!(SetBuilder::default().finish().is_none());
    }

    #[test]
    fn names_and_values_that_the_format_has_no_room_for_are_not_recorded() {
        let mut builder = SetBuilder::default();
        for (name, value) in
            [(&b""[..], &b""[..]), (&[b'x'; 256], b""), (b"a\0b", b""), (b"a", &vec![0; MAX_VALUE + 1])]
        {
            assert_eq!(builder.add(name, value).unwrap_err().status(), Status::Limit);
        }
        builder.add(&[b'x'; 255], &vec![0; MAX_VALUE]).unwrap();
        assert_eq!(builder.add(&[b'x'; 255], b"").unwrap_err().status(), Status::Limit);
        let bytes = builder.finish().unwrap().to_vec();
        assert_eq!(XattrSets::decode(bytes, 1).unwrap().len(), 1);
    }

    #[test]
    fn every_truncation_and_every_other_count_is_refused() {
        let (bytes, rows) = sample();
        for len in 0..bytes.len() {
            let error = XattrSets::decode(bytes[..len].to_vec(), rows).unwrap_err();
            assert_eq!(error.rule(), Some("xattrs.table"), "{len}");
        }
        for other in [0, 1, 2, 4, 1000, u64::MAX] {
            assert!(XattrSets::decode(bytes.clone(), other).is_err(), "{other} sets");
        }
        assert!(XattrSets::decode([&bytes[..], b"\0"].concat(), rows).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused_or_is_the_only_encoding_of_what_is_read() {
        let (bytes, rows) = sample();
        let mut refused = 0;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match XattrSets::decode(flipped.clone(), rows) {
                Ok(sets) => assert_eq!(again(&sets), flipped, "bit {bit}"),
                Err(error) => {
                    assert_eq!(error.rule(), Some("xattrs.table"));
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn lengths_that_are_not_there_reserve_nothing() {
        for bytes in [&b"\xff\xff"[..], b"\x01\0\xff", b"\x01\0\x01a\xff\xff\xff\xff", b"\x01\0\x01a\x01\0\x01\0"] {
            assert!(XattrSets::decode(bytes.to_vec(), 1).is_err());
        }
        assert!(XattrSets::decode(vec![0; (MAX_SECTION + 1) as usize], 1).is_err());
    }
}
