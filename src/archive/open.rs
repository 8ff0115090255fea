//! Opening, and what an open archive gives to everything else: segments and blocks.

use std::path::Path;
use std::sync::Arc;

use crate::archive::batches::Columns;
use crate::archive::cache::{Cache, Key, Value};
use crate::archive::source::{FileSource, FileTimes, Source};
use crate::archive::v3;
use crate::error::{Error, Result, Status, zeroed};
use crate::format::codec::Decompressor;
use crate::format::container::{FOOTER_LEN, FORMAT_VERSION, HEAD_LEN, TAIL_READ, TRAILER_LEN, Trailer};
use crate::format::hash::{Digest, hash};
use crate::format::in_memory;
use crate::format::index::{Expected, Segment};
use crate::format::manifest::{Manifest, Part};
use crate::format::row::{CODEC_OPENZL, CODEC_STORED, CODEC_ZSTD, Codecs, Location};
use crate::format::xattrs::XattrSets;
use crate::options::{Key as OptionKey, Options};
use crate::sync::OnceCell;
use crate::sync::atomic::AtomicU64;

/// What the cache of an archive of version 3 has beside its longest slice, unless less than that is asked for.
const SEGMENT_ROOM: usize = 16 << 20;

/// An open archive.
pub struct Archive {
    source: Box<dyn Source>,
    /// The archive's last bytes: what opening has read anyway serves small archives whole.
    tail: Vec<u8>,
    version: Version,
    /// Of version 3, what a manifest of version 4 would say.
    manifest: Manifest,
    pub(super) cache: Cache,
    /// Where the blob ends that was decoded as a whole last.
    pub(super) read_on_from: AtomicU64,
    /// What Arrow readers see, once somebody asked.
    pub(super) columns: OnceCell<Arc<Columns>>,
    /// Sets of extended attributes, once somebody asked.
    pub(super) xattrs: OnceCell<Arc<XattrSets>>,
}

/// What the versions of the format do not have in common.
enum Version {
    /// Version 3, with its index in memory.
    Three(Box<v3::Index>),
    /// Version 4.
    Four(Trailer),
}

/// Facts about an open archive. Sizes in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// Version of the format.
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
    /// Bytes of everything else.
    pub index_size: u64,
    /// The archive digest; zeros for version 3, which has none.
    pub digest: Digest,
}

impl Archive {
    /// Opens by path.
    pub fn open(path: &Path, options: &Options) -> Result<Archive> {
        let source = FileSource::open(path)?;
        Archive::open_source(Box::new(source), options).map_err(|error| error.with_path(path))
    }

    /// Opens over any source: one read of the tail, and a second one where the manifest is longer than that.
    pub fn open_source(source: Box<dyn Source>, options: &Options) -> Result<Archive> {
        let size = source.size();
        let mut tail = zeroed(in_memory(size.min(TAIL_READ)))?;
        source.read_exact_at(size.saturating_sub(tail.len() as u64), &mut tail)?;
        let cache_size = usize::try_from(options.get(OptionKey::CacheSize)).unwrap_or(usize::MAX);
        if v3::is_version_3(&tail) {
            let (index, manifest) = v3::Index::open(&*source, &tail, options)?;
            // A slice of any size must stay while it is read piece by piece, beside the segment that says where it is.
            let longest = in_memory(index.longest_slice()).saturating_add(SEGMENT_ROOM.min(cache_size));
            let cache = Cache::new(cache_size.max(longest));
            return Ok(Archive::new(source, tail, Version::Three(Box::new(index)), manifest, cache));
        }
        let trailer = Trailer::decode(&tail, size).map_err(|error| match error.rule() {
            Some("footer.magic") => v3::without_footer(&*source, &tail, error),
            _ => error,
        })?;
        let ends = in_memory(TRAILER_LEN + FOOTER_LEN);
        let before = tail.get(..tail.len().saturating_sub(ends)).unwrap_or_default();
        let in_tail = before.len().checked_sub(in_memory(trailer.manifest_len)).and_then(|start| before.get(start..));
        let manifest = match in_tail {
            Some(manifest) => manifest.to_vec(),
            None => {
                let mut manifest = zeroed(in_memory(trailer.manifest_len))?;
                source.read_exact_at(trailer.manifest_offset, &mut manifest)?;
                manifest
            }
        };
        trailer.check(&manifest)?;
        let manifest = Manifest::decode(&manifest, trailer.manifest_offset)?;
        Ok(Archive::new(source, tail, Version::Four(trailer), manifest, Cache::new(cache_size)))
    }

    fn new(source: Box<dyn Source>, tail: Vec<u8>, version: Version, manifest: Manifest, cache: Cache) -> Archive {
        Archive {
            source,
            tail,
            version,
            manifest,
            cache,
            read_on_from: AtomicU64::new(0),
            columns: OnceCell::new(),
            xattrs: OnceCell::new(),
        }
    }

    /// Which codecs its blobs may have.
    pub fn codecs(&self) -> Codecs {
        match self.version {
            Version::Three(_) => Codecs::Version3,
            Version::Four(_) => Codecs::Version4,
        }
    }

    /// The index of an archive of version 3.
    pub(super) fn version_3(&self) -> Option<&v3::Index> {
        match &self.version {
            Version::Three(index) => Some(index),
            Version::Four(_) => None,
        }
    }

    /// Refuses archives of version 3 for what takes their blobs as they are; `what` says what that is.
    pub fn require_version_4(&self, what: &str) -> Result<()> {
        match self.version {
            Version::Four(_) => Ok(()),
            Version::Three(_) => {
                let why =
                    format!("{what} needs an archive of format version 4, and this one has version 3: convert it");
                Err(Error::refused(Status::Unsupported, "older.read_only", why))
            }
        }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The trailer, whose hash is the archive digest; version 3 has none.
    pub fn trailer(&self) -> Option<&Trailer> {
        match &self.version {
            Version::Three(_) => None,
            Version::Four(trailer) => Some(trailer),
        }
    }

    /// Bytes of the archive.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Entries.
    pub fn entry_count(&self) -> u64 {
        self.manifest.entry_count()
    }

    /// Facts.
    pub fn info(&self) -> Info {
        let info = Info {
            archive_size: self.size(),
            entries: self.entry_count(),
            segments: self.manifest.segments.len() as u64,
            ..Info::default()
        };
        match &self.version {
            Version::Three(index) => Info {
                format_version: 3,
                blobs: index.slices(),
                payload_size: self.size().saturating_sub(index.index_size()),
                index_size: index.index_size(),
                ..info
            },
            Version::Four(trailer) => {
                let payload_size = self.manifest.payload_end().saturating_sub(HEAD_LEN);
                Info {
                    format_version: FORMAT_VERSION,
                    blobs: self.manifest.blob_table().map_or(0, |part| part.rows),
                    payload_size,
                    index_size: self.size().saturating_sub(payload_size),
                    digest: trailer.digest,
                    ..info
                }
            }
        }
    }

    /// Segment `number` of the manifest, decoded and checked; from the cache where it is there.
    pub fn segment(&self, number: usize) -> Result<Arc<Segment>> {
        let value = self.cache.get(Key::Segment(number), || {
            let segment = self.load_segment(number)?;
            Ok(Value::Segment(Arc::new(segment)))
        })?;
        match value {
            Value::Segment(segment) => Ok(segment),
            Value::Bytes(_) => Err(Error::new(Status::Panic, "the cache holds something else")),
        }
    }

    /// The same without the cache: for walks over all segments, which would only flush it.
    pub fn load_segment(&self, number: usize) -> Result<Segment> {
        let part = self
            .manifest
            .segments
            .get(number)
            .ok_or_else(|| Error::new(Status::InvalidArgument, format!("there is no index segment {number}")))?;
        if let Version::Three(index) = &self.version {
            return index.segment(number, part);
        }
        let stream = self.read_part(part)?;
        let expected = Expected {
            rows: in_memory(part.rows),
            entries: in_memory(part.entries),
            first_path: &part.first_path,
            last_path: &part.last_path,
            payload_end: self.manifest.payload_end(),
            codecs: Codecs::Version4,
        };
        Segment::decode(stream, &expected)
    }

    /// The bytes of a section or segment, checked against their hash and decoded.
    pub fn read_part(&self, part: &Part) -> Result<Vec<u8>> {
        let stored = self.read_stored(part)?;
        if part.raw_len == 0 {
            return Ok(stored);
        }
        let mut stream = Vec::new();
        Decompressor::new()?.decompress_into(&stored, in_memory(part.raw_len), &mut stream)?;
        Ok(stream)
    }

    /// The bytes of a section or segment as they are stored, checked against their hash.
    pub(super) fn read_stored(&self, part: &Part) -> Result<Vec<u8>> {
        let mut stored = zeroed(in_memory(part.len))?;
        self.read_range(part.offset, &mut stored)?;
        if hash(&stored) != part.hash {
            let name = if part.is_segment() { "an index segment" } else { &part.module_name };
            return Err(Error::refused(Status::Checksum, "part.hash", format!("{name} is damaged")));
        }
        Ok(stored)
    }

    /// Reads a block and decodes at least its first `needed` bytes: those, and perhaps more, take the place of what `block` holds.
    /// `scratch` holds the stored bytes in between. The slices are not checked here: whoever uses one checks its BLAKE3.
    pub fn read_block(
        &self,
        at: &Location,
        needed: usize,
        decompressor: &mut Decompressor,
        scratch: &mut Vec<u8>,
        block: &mut Vec<u8>,
    ) -> Result<()> {
        let len = in_memory(at.block_size);
        match at.codec {
            CODEC_STORED => {
                fit(block, needed.min(len))?;
                self.read_range(at.blob_offset, block)
            }
            CODEC_ZSTD => {
                fit(scratch, in_memory(at.blob_size))?;
                self.read_range(at.blob_offset, scratch)?;
                decompressor.decompress_to(scratch, len, needed, block)
            }
            CODEC_OPENZL if self.codecs() == Codecs::Version3 => {
                fit(scratch, in_memory(at.blob_size))?;
                self.read_range(at.blob_offset, scratch)?;
                fit(block, len)?;
                decompressor.decompress_openzl(scratch, block)
            }
            codec => Err(self.unsupported_codec(codec)),
        }
    }

    /// The name of the archive's file, where it is one and its name is known.
    pub fn path(&self) -> Option<&Path> {
        self.source.path()
    }

    /// Times of the archive's file, where it is one.
    pub fn file_times(&self) -> Option<FileTimes> {
        self.source.times()
    }

    pub(super) fn unsupported_codec(&self, codec: u8) -> Error {
        let panic = || Error::new(Status::Panic, format!("nothing decodes codec {codec}"));
        self.codecs().check(codec).err().unwrap_or_else(panic)
    }

    /// Fills the buffer from an offset of the archive.
    pub fn read_range(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let tail_start = self.size().saturating_sub(self.tail.len() as u64);
        if let Some(start) = offset.checked_sub(tail_start) {
            let range =
                usize::try_from(start).ok().and_then(|start| self.tail.get(start..start.saturating_add(buffer.len())));
            if let Some(bytes) = range {
                buffer.copy_from_slice(bytes);
                return Ok(());
            }
        }
        self.source.read_exact_at(offset, buffer)
    }
}

/// Makes a reused buffer `len` bytes long without clearing what it holds.
fn fit(buffer: &mut Vec<u8>, len: usize) -> Result<()> {
    if len > buffer.capacity() {
        *buffer = zeroed(len)?;
    } else {
        buffer.resize(len, 0);
    }
    Ok(())
}
