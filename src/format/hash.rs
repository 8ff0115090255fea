//! BLAKE3 of slices and of whole files.
//!
//! A slice's checksum is the plain BLAKE3 of its bytes. The hash of a file of several slices can't be made
//! from those, since BLAKE3 marks roots and counts chunks from the start of the input; it is merged from the
//! chaining values of the file's windows (BLAKE3 paper, section 2.1; `blake3::hazmat`), which workers compute
//! in parallel.

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};

/// A BLAKE3 hash.
pub type Digest = [u8; 32];

/// Plain BLAKE3.
pub fn hash(bytes: &[u8]) -> Digest {
    *blake3::hash(bytes).as_bytes()
}

/// The chaining value of a window that starts `offset` bytes into its file.
///
/// `offset` is a multiple of the window size, which is a power of two of at least 1024; `bytes` is not empty
/// and not longer than a window, and the file goes on before or after it.
pub fn window_value(bytes: &[u8], offset: u64) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// The hash of a file of `len` bytes from the chaining values of its windows, of which there are at least two.
pub fn merge_windows(values: &[ChainingValue], window: u64, len: u64) -> Digest {
    let left = hazmat::left_subtree_len(len);
    let split = (left / window) as usize;
    *hazmat::merge_subtrees_root(
        &subtree(&values[..split], window, left),
        &subtree(&values[split..], window, len - left),
        Mode::Hash,
    )
    .as_bytes()
}

fn subtree(values: &[ChainingValue], window: u64, len: u64) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let left = hazmat::left_subtree_len(len);
    let split = (left / window) as usize;
    hazmat::merge_subtrees_non_root(
        &subtree(&values[..split], window, left),
        &subtree(&values[split..], window, len - left),
        Mode::Hash,
    )
}

/// Lower-case hexadecimal.
pub fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_windows_equal_the_plain_hash_of_the_file() {
        let data: Vec<u8> = (0..70_000u64).map(|i| ((i * i) >> 7) as u8).collect();
        for window in [1024usize, 4096, 16_384] {
            for len in [window + 1, 2 * window, 2 * window + 1, 3 * window, 5 * window + 1023].map(|n| n.min(70_000)) {
                let file = &data[..len];
                let values: Vec<_> =
                    file.chunks(window).enumerate().map(|(i, part)| window_value(part, (i * window) as u64)).collect();
                assert_eq!(merge_windows(&values, window as u64, len as u64), hash(file), "{window} {len}");
            }
        }
    }
}
