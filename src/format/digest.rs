//! The tree digest: equal for equal trees, whatever the level, options, version or order of packing.
//!
//! BLAKE3 over a domain tag and, for each entry in the order of its path's bytes:
//!
//! ```text
//! u32 path length | path | u8 kind | u32 mode, FF FF FF FF where none is recorded
//! u32 target length | target (symbolic links; else length 0) | BLAKE3 of the file (32; zeros for other kinds)
//! ```
//!
//! A hard link counts as a file of its own, so kind 0 and no target.

use crate::format::hash::Digest;
use crate::format::row::EntryKind;

const DOMAIN: &[u8] = b"znippy tree digest 1\n";

/// Computes a tree digest from entries in order.
pub struct TreeDigest(blake3::Hasher);

impl Default for TreeDigest {
    fn default() -> TreeDigest {
        TreeDigest::new()
    }
}

impl TreeDigest {
    /// No entries yet.
    pub fn new() -> TreeDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        TreeDigest(hasher)
    }

    /// Adds the next entry. `target` counts for symbolic links, `file_hash` for kinds with bytes.
    pub fn add(&mut self, path: &[u8], kind: u8, mode: Option<u32>, target: Option<&[u8]>, file_hash: &Digest) {
        let known = EntryKind::from_number(kind);
        let kind = if known == Some(EntryKind::Hardlink) { EntryKind::File as u8 } else { kind };
        let target = target.filter(|_| known == Some(EntryKind::Symlink)).unwrap_or_default();
        let file_hash = if known.is_some_and(EntryKind::has_bytes) { *file_hash } else { [0; 32] };
        // Paths and targets are at most 65,535 bytes.
        self.0.update(&length(path)).update(path).update(&[kind]);
        self.0.update(&mode.unwrap_or(u32::MAX).to_le_bytes());
        self.0.update(&length(target)).update(target).update(&file_hash);
    }

    /// The digest.
    pub fn finish(self) -> Digest {
        *self.0.finalize().as_bytes()
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}
