//! BLAKE3 of slices and of whole files.
//!
//! A slice's checksum is the plain BLAKE3 of its bytes. The hash of a file of several slices can't be made
//! from those, since BLAKE3 marks roots and counts chunks from the start of the input; it is merged from the
//! chaining values of the file's windows (BLAKE3 paper, section 2.1; `blake3::hazmat`), which workers compute
//! in parallel.

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};

use crate::error::{Result, zeroed};
use crate::format::in_memory;
use crate::progress::CancelToken;

/// A BLAKE3 hash.
pub type Digest = [u8; 32];

/// Stands for a hash that is not recorded, in the index of a version 3 archive. In version 4 it is refused where a hash
/// must be: no bytes are known that have it.
pub const UNRECORDED: Digest = [0; 32];

/// Plain BLAKE3.
pub fn hash(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// Hashes a hole as what it reads as. That takes as long as reading it would, so stopping is looked at.
pub fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64, stop: &CancelToken) -> Result<()> {
    // Not a constant: that would be as many zeros in the library's file.
    let zeros = zeroed(in_memory(count.min(1 << 16)))?;
    while count > 0 {
        stop.check()?;
        let part = zeros.get(..in_memory(count)).unwrap_or(&zeros);
        hasher.update(part);
        count = count.saturating_sub(part.len() as u64);
    }
    Ok(())
}

/// The chaining value of a window that starts `offset` bytes into its file.
///
/// `offset` is a multiple of the window size, which is a power of two of at least 1024; `bytes` is not empty
/// and not longer than a window, and the file goes on before or after it.
pub fn window_value(bytes: &[u8], offset: u64) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// Merges the chaining values of a file's windows, given in order, into the hash of the file. Keeps one value a
/// level of the tree, whatever the size of the file.
#[derive(Default)]
pub struct WindowMerger {
    /// Subtrees that are complete, biggest first: one for each bit of `count`, and possibly the latest one more.
    stack: Vec<ChainingValue>,
    count: u64,
}

impl WindowMerger {
    /// The next window.
    pub fn push(&mut self, value: ChainingValue) {
        // Merged only now, because the last merge of all is the root's and is done differently.
        while self.stack.len() > self.count.count_ones() as usize {
            self.merge();
        }
        self.stack.push(value);
        self.count = self.count.saturating_add(1);
    }

    /// Windows so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The hash of the file; `None` for fewer than two windows, whose hash is the plain one.
    pub fn finish(mut self) -> Option<Digest> {
        while self.stack.len() > 2 {
            self.merge();
        }
        match &self.stack[..] {
            [left, right] => Some(*hazmat::merge_subtrees_root(left, right, Mode::Hash).as_bytes()),
            _ => None,
        }
    }

    fn merge(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }
}

/// A part of a file whose chaining value is known.
#[derive(Clone, Copy)]
pub struct Part {
    /// Where it starts in its file.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
    value: ChainingValue,
}

impl Part {
    /// The part that `bytes`, `offset` bytes into a longer file, are; `None` where they are no subtree of its tree.
    pub fn new(bytes: &[u8], offset: u64) -> Option<Part> {
        let len = bytes.len() as u64;
        let fits =
            len > 0 && offset.is_multiple_of(1024) && hazmat::max_subtree_len(offset).is_none_or(|most| len <= most);
        fits.then(|| Part { offset, len, value: window_value(bytes, offset) })
    }
}

/// A range that is not worth looking for parts in.
const READ_WHOLE: u64 = 64 << 10;

/// The hash of a file of `len` bytes from parts of it, sorted by offset. For what they leave out, as with holes or slices at
/// odd places, `value` is asked: the chaining value of so many bytes from an offset on. `None` for a short file.
///
/// # Errors
/// Those of `value`.
pub fn merge_parts(
    parts: &[Part],
    len: u64,
    mut value: impl FnMut(u64, u64) -> Result<ChainingValue>,
) -> Result<Option<Digest>> {
    if len <= READ_WHOLE {
        return Ok(None);
    }
    let (left, right) = halves(parts, 0, len, &mut value)?;
    Ok(Some(*hazmat::merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
}

type Value<'a> = dyn FnMut(u64, u64) -> Result<ChainingValue> + 'a;

fn halves(parts: &[Part], offset: u64, len: u64, value: &mut Value<'_>) -> Result<(ChainingValue, ChainingValue)> {
    let split = hazmat::left_subtree_len(len);
    let middle = offset.saturating_add(split);
    let (left, right) = parts.split_at(parts.partition_point(|part| part.offset < middle));
    Ok((subtree(left, offset, split, value)?, subtree(right, middle, len.saturating_sub(split), value)?))
}

fn subtree(parts: &[Part], offset: u64, len: u64, value: &mut Value<'_>) -> Result<ChainingValue> {
    match parts {
        [part] if part.offset == offset && part.len == len => Ok(part.value),
        _ if parts.is_empty() || len <= READ_WHOLE => value(offset, len),
        _ => {
            let (left, right) = halves(parts, offset, len, value)?;
            Ok(hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash))
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(digest: &Digest) -> String {
    hex_of(digest)
}

/// The same of any bytes.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_windows_equal_the_plain_hash_of_the_file() {
        let data: Vec<u8> = (0..70_000u64).map(|i| ((i * i) >> 7) as u8).collect();
        for window in [1024usize, 2048, 4096, 16_384] {
            for len in [
                window + 1,
                2 * window,
                2 * window + 1,
                3 * window,
                5 * window + 1023,
                7 * window,
                8 * window,
                31 * window + 5,
            ]
            .map(|n| n.min(70_000))
            {
                let file = &data[..len];
                let mut merger = WindowMerger::default();
                for (i, part) in file.chunks(window).enumerate() {
                    merger.push(window_value(part, (i * window) as u64));
                }
                assert_eq!(merger.finish(), Some(hash(file)), "{window} {len}");
            }
        }
    }

    #[test]
    fn parts_make_the_hash_of_the_file_and_what_is_missing_or_at_odd_places_is_asked_for() {
        let data: Vec<u8> = (0..3_000_000u64).map(|i| ((i * i) >> 7) as u8).collect();
        let window = 256 << 10;
        for len in [65_537, window, window + 1, 3 * window, 5 * window + 1023, 3_000_000] {
            let file = &data[..len];
            let part = |i: usize, bytes| Part::new(bytes, (i * window) as u64).expect("aligned");
            let mut parts: Vec<_> = file.chunks(window).enumerate().map(|(i, bytes)| part(i, bytes)).collect();
            let hash_of = |parts: &[Part]| {
                let mut asked = 0;
                let merged = merge_parts(parts, len as u64, |offset, len| {
                    asked += len;
                    Ok(window_value(&file[offset as usize..(offset + len) as usize], offset))
                });
                (merged.expect("hash"), asked)
            };
            // A part that is the whole file is no subtree of it.
            let all = if parts.len() == 1 { len as u64 } else { 0 };
            assert_eq!(hash_of(&parts), (Some(hash(file)), all), "{len}");
            let lost = parts.remove(parts.len() / 2);
            assert_eq!(hash_of(&parts), (Some(hash(file)), lost.len), "{len}");
            if lost.len == window as u64 {
                let start = lost.offset as usize;
                parts.extend(Part::new(&file[start..start + (64 << 10)], lost.offset));
                assert!(Part::new(&file[start + 5000..start + 6000], lost.offset + 5000).is_none());
                parts.sort_unstable_by_key(|part| part.offset);
                assert_eq!(hash_of(&parts), (Some(hash(file)), lost.len - (64 << 10)), "{len}");
            }
            assert_eq!(hash_of(&[]), (Some(hash(file)), len as u64), "{len}");
        }
        assert_eq!(merge_parts(&[], READ_WHOLE, |_, _| unreachable!()).expect("none"), None);
    }
}
