//! An archive, open for reading. STUB: signatures are fixed, bodies follow.
use crate::error::{Error, Result, Status};
use crate::format::codec::Decompressor;
use crate::format::hash::Digest;
use crate::format::index::Segment;
use crate::format::manifest::Manifest;
use crate::format::row::Location;
use crate::options::Options;
use crate::stats::Stats;
use std::path::Path;
use std::sync::Arc;

fn stub<T>() -> Result<T> {
    Err(Error::new(Status::Unsupported, "stub"))
}

/// Bytes at offsets.
pub trait Source: Send + Sync {
    /// Bytes in all.
    fn size(&self) -> u64;
    /// Fills the whole buffer from `offset`, or fails.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
}
/// Bytes of a file, by positioned reads.
pub struct FileSource;
impl FileSource {
    /// Opens a file by path.
    pub fn open(_path: &Path) -> Result<FileSource> {
        stub()
    }
    /// Takes a descriptor.
    pub fn from_file(_file: std::fs::File) -> Result<FileSource> {
        stub()
    }
}
impl Source for FileSource {
    fn size(&self) -> u64 {
        0
    }
    fn read_exact_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<()> {
        stub()
    }
}
/// Bytes in memory.
pub struct MemorySource;
impl MemorySource {
    /// Shares bytes that live as long as the source.
    pub fn new(_bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> MemorySource {
        MemorySource
    }
}
impl Source for MemorySource {
    fn size(&self) -> u64 {
        0
    }
    fn read_exact_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<()> {
        stub()
    }
}

/// An open archive: immutable, shared by any number of threads.
pub struct Archive;
impl Archive {
    /// Opens by path.
    pub fn open(_path: &Path, _options: &Options) -> Result<Archive> {
        stub()
    }
    /// Opens over any source.
    pub fn open_source(_source: Box<dyn Source>, _options: &Options) -> Result<Archive> {
        stub()
    }
    /// Its manifest (segments, metadata such as `root_mode`, `root_mtime_ns`).
    pub fn manifest(&self) -> &Manifest {
        {
            #[allow(clippy::unreachable)]
            {
                unreachable!()
            }
        }
    }
    /// Segment `number` of the manifest, decoded and checked, from the cache or the source.
    pub fn segment(&self, _number: usize) -> Result<Arc<Segment>> {
        stub()
    }
    /// Reads and decodes a whole block into `block` (resized to `block_size`); `scratch` holds the stored bytes.
    /// Not cached. Slices are NOT checked here: the caller checks each slice's BLAKE3.
    pub fn read_block(
        &self,
        _at: &Location,
        _decompressor: &mut Decompressor,
        _scratch: &mut Vec<u8>,
        _block: &mut Vec<u8>,
    ) -> Result<()> {
        stub()
    }
    /// Entries.
    pub fn entry_count(&self) -> u64 {
        0
    }
    /// Facts.
    pub fn info(&self) -> Info {
        {
            #[allow(clippy::unreachable)]
            {
                unreachable!()
            }
        }
    }
    /// The tree digest.
    pub fn tree_digest(&self) -> Result<Digest> {
        stub()
    }
    /// Number of the entry with exactly this path.
    pub fn find(&self, _path: &[u8]) -> Result<Option<u64>> {
        stub()
    }
    /// Entries whose path starts with `prefix/` or is `prefix`; the empty prefix is everything.
    pub fn find_prefix(&self, _prefix: &[u8]) -> Result<std::ops::Range<u64>> {
        stub()
    }
    /// Up to `count` entries from `first`.
    pub fn list(&self, _first: u64, _count: usize) -> Result<Listing> {
        stub()
    }
    /// Reads at an offset; short only at the end of the entry.
    pub fn read_at(&self, _index: u64, _offset: u64, _buffer: &mut [u8]) -> Result<usize> {
        stub()
    }
    /// A whole entry; entries over `limit` bytes are refused.
    pub fn read(&self, _index: u64, _limit: u64) -> Result<Vec<u8>> {
        stub()
    }
    /// Checks everything.
    pub fn verify(&self, _options: &Options) -> Result<Stats> {
        stub()
    }
    /// Checks stored bytes without decoding.
    pub fn verify_quick(&self, _options: &Options) -> Result<Stats> {
        stub()
    }
    /// Checks one entry.
    pub fn verify_entry(&self, _index: u64) -> Result<()> {
        stub()
    }
}
/// Facts about an open archive; sizes in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// Format version.
    pub format_version: u32,
    /// Bytes of the archive.
    pub archive_size: u64,
    /// Entries.
    pub entries: u64,
    /// Index segments.
    pub segments: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of all blobs.
    pub payload_size: u64,
    /// Everything else.
    pub index_size: u64,
    /// The archive digest.
    pub digest: Digest,
}
/// Entries, owned: pins the segments that they are in.
pub struct Listing;
impl Listing {
    /// Entries.
    pub fn len(&self) -> usize {
        0
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        true
    }
    /// An entry by its position in the listing.
    pub fn get(&self, _position: usize) -> Option<Entry<'_>> {
        None
    }
}
/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Number in the archive.
    pub index: u64,
    /// Exact path.
    pub path: &'a [u8],
    /// Kind number.
    pub kind: u8,
    /// Attributes.
    pub attributes: crate::format::row::Attributes<'a>,
    /// Logical size.
    pub size: u64,
    /// Share of stored bytes.
    pub stored_size: u64,
    /// Slices with bytes.
    pub slices: u32,
    /// BLAKE3 of the whole file, for kinds with bytes.
    pub hash: Option<Digest>,
}
