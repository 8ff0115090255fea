//! Builds archives row by row, so that tests decide everything that is in them, well-formed or not.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::new_without_default)]

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use znippy::archive::{Archive, MemorySource};
use znippy::format::blobs::{self, Blob};
use znippy::format::codec::Compressor;
use znippy::format::container::{Trailer, head};
use znippy::format::hash::hash;
use znippy::format::index::SegmentBuilder;
use znippy::format::manifest::{Manifest, Part, SECTION_TYPE};
use znippy::format::row::{Attributes, CODEC_STORED, CODEC_ZSTD, EntryKind, Location, Row};
use znippy::format::schema::{self, VERSION_KEY};
use znippy::options::Options;
use znippy::progress::CancelToken;

/// A row that owns its bytes.
#[derive(Clone)]
pub struct OwnRow {
    pub path: Vec<u8>,
    pub chunk_seq: u32,
    pub offset: u64,
    pub size: u64,
    pub checksum: [u8; 32],
    pub kind: u8,
    pub location: Option<Location>,
    pub attributes: Option<Attributes<'static>>,
}

/// An archive in the making. Rows are kept in the order in which they are added.
pub struct Builder {
    payload: Vec<u8>,
    blobs: Vec<Blob>,
    pub rows: Vec<OwnRow>,
    pub rows_per_segment: usize,
    /// Segments are zstd frames, as packing makes them.
    pub compress_index: bool,
    pub metadata: BTreeMap<String, String>,
}

pub const MODE: u32 = 0o640;
pub const MTIME: i64 = 1_234_567_890_123_456_789;

impl Builder {
    pub fn new() -> Builder {
        let metadata = BTreeMap::from([(VERSION_KEY.to_owned(), "4".to_owned())]);
        let (payload, rows_per_segment) = (head().to_vec(), 8192);
        Builder { payload, blobs: Vec::new(), rows: Vec::new(), rows_per_segment, compress_index: false, metadata }
    }

    /// A block of these bytes.
    pub fn block(&mut self, bytes: &[u8], compress: bool) -> Location {
        if compress {
            let mut frame = Vec::new();
            Compressor::new(3, 4 << 20).unwrap().compress(bytes, &mut frame, &CancelToken::new()).unwrap();
            return self.stored_block(&frame, bytes.len() as u64);
        }
        Location { codec: CODEC_STORED, ..self.stored_block(bytes, bytes.len() as u64) }
    }

    /// A blob that is said to be a frame of a block of this size.
    pub fn stored_block(&mut self, stored: &[u8], block_size: u64) -> Location {
        let blob_offset = self.payload.len() as u64;
        let blob_size = stored.len() as u64;
        self.blobs.push(Blob { offset: blob_offset, stored: blob_size, decoded: block_size, hash: hash(stored) });
        self.payload.extend_from_slice(stored);
        Location { blob_offset, blob_size, block_offset: 0, block_size, codec: CODEC_ZSTD }
    }

    pub fn entry(&mut self, path: &[u8], kind: EntryKind, attributes: Attributes<'static>) -> &mut OwnRow {
        self.rows.push(OwnRow {
            path: path.to_vec(),
            chunk_seq: 0,
            offset: 0,
            size: 0,
            checksum: [0; 32],
            kind: kind as u8,
            location: None,
            attributes: Some(attributes),
        });
        self.rows.last_mut().unwrap()
    }

    pub fn directory(&mut self, path: &str, mode: u32, mtime: i64) {
        let attributes = Attributes { mode: Some(mode), mtime_ns: Some(mtime), ..Attributes::default() };
        self.entry(path.as_bytes(), EntryKind::Directory, attributes);
    }

    pub fn symlink(&mut self, path: &str, target: &'static str) {
        let attributes =
            Attributes { mtime_ns: Some(MTIME), link_target: Some(target.as_bytes()), ..Attributes::default() };
        self.entry(path.as_bytes(), EntryKind::Symlink, attributes);
    }

    /// A small file in a block of its own, or empty.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        self.file_as(path.as_bytes(), bytes, EntryKind::File, None);
    }

    pub fn hardlink(&mut self, path: &str, of: &'static str, bytes: &[u8]) {
        self.file_as(path.as_bytes(), bytes, EntryKind::Hardlink, Some(of.as_bytes()));
    }

    pub fn file_as(&mut self, path: &[u8], bytes: &[u8], kind: EntryKind, link_target: Option<&'static [u8]>) {
        let location = (!bytes.is_empty()).then(|| self.block(bytes, bytes.len() > 64));
        self.slice_file(path, bytes, location, kind, link_target);
    }

    pub fn slice_file(
        &mut self,
        path: &[u8],
        bytes: &[u8],
        location: Option<Location>,
        kind: EntryKind,
        link_target: Option<&'static [u8]>,
    ) {
        let attributes = Attributes {
            mode: Some(MODE),
            mtime_ns: Some(MTIME),
            file_size: Some(bytes.len() as u64),
            link_target,
            ..Attributes::default()
        };
        let row = self.entry(path, kind, attributes);
        (row.size, row.checksum, row.location) = (bytes.len() as u64, hash(bytes), location);
    }

    /// Small files that share one block.
    pub fn files(&mut self, files: &[(String, Vec<u8>)], compress: bool) {
        let all: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let block = self.block(&all, compress);
        let mut block_offset = 0;
        for (path, bytes) in files {
            let location = (!bytes.is_empty()).then_some(Location { block_offset, ..block });
            self.slice_file(path.as_bytes(), bytes, location, EntryKind::File, None);
            block_offset += bytes.len() as u64;
        }
    }

    /// A file with these ranges, each in a block of its own, and holes between them.
    pub fn sparse(&mut self, path: &str, size: u64, ranges: &[(u64, &[u8])]) {
        let mut whole = vec![0; size as usize];
        for (offset, bytes) in ranges {
            whole[*offset as usize..*offset as usize + bytes.len()].copy_from_slice(bytes);
        }
        let attributes = Attributes {
            mode: Some(MODE),
            mtime_ns: Some(MTIME),
            file_size: Some(size),
            file_hash: Some(hash(&whole)),
            ..Attributes::default()
        };
        self.entry(path.as_bytes(), EntryKind::File, attributes).checksum = hash(b"");
        for (number, (offset, bytes)) in ranges.iter().enumerate() {
            let location = Some(self.block(bytes, true));
            if number > 0 {
                let later = OwnRow { chunk_seq: number as u32, attributes: None, ..self.rows.last().unwrap().clone() };
                self.rows.push(later);
            }
            let row = self.rows.last_mut().unwrap();
            (row.offset, row.size, row.checksum, row.location) = (*offset, bytes.len() as u64, hash(bytes), location);
        }
    }

    /// Damages the payload without touching any hash.
    pub fn flip(&mut self, blob: usize) {
        let blob = self.blobs[blob];
        self.payload[(blob.offset + blob.stored / 2) as usize] ^= 4;
    }

    /// Damages the first byte of a blob, which no frame can do without.
    pub fn break_frame(&mut self, blob: usize) {
        self.payload[self.blobs[blob].offset as usize] ^= 4;
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.payload.clone();
        let mut manifest = Manifest { metadata: self.metadata.clone(), ..Manifest::default() };
        let table = blobs::encode(&self.blobs);
        manifest.sections.push(Part {
            pkg_type: SECTION_TYPE,
            module_name: blobs::SECTION_NAME.to_owned(),
            offset: bytes.len() as u64,
            len: table.len() as u64,
            rows: self.blobs.len() as u64,
            hash: hash(&table),
            ..Part::default()
        });
        bytes.extend_from_slice(&table);
        let arrow = schema::arrow(&schema::INDEX, &self.metadata);
        let (mut first_entry, mut last_path) = (0, Vec::new());
        for rows in self.rows.chunks(self.rows_per_segment) {
            bytes.resize(bytes.len().next_multiple_of(64), 0);
            let mut segment = SegmentBuilder::new();
            for row in rows {
                let row = Row {
                    path: &row.path,
                    chunk_seq: row.chunk_seq,
                    offset: row.offset,
                    size: row.size,
                    checksum: row.checksum,
                    kind: row.kind,
                    location: row.location,
                    attributes: row.attributes,
                };
                segment.push(&row).unwrap();
            }
            let mut stream = segment.finish(&arrow).unwrap();
            let mut raw_len = 0;
            if self.compress_index {
                let plain = std::mem::take(&mut stream);
                raw_len = plain.len() as u64;
                Compressor::new(3, 4 << 20).unwrap().compress(&plain, &mut stream, &CancelToken::new()).unwrap();
            }
            let starts: Vec<&OwnRow> = rows.iter().filter(|row| row.chunk_seq == 0).collect();
            let first_path = starts.first().map_or(last_path.clone(), |row| row.path.clone());
            last_path = starts.last().map_or(last_path, |row| row.path.clone());
            manifest.segments.push(Part {
                offset: bytes.len() as u64,
                len: stream.len() as u64,
                rows: rows.len() as u64,
                raw_len,
                first_path,
                last_path: last_path.clone(),
                first_entry,
                entries: starts.len() as u64,
                hash: hash(&stream),
                ..Part::default()
            });
            first_entry += starts.len() as u64;
            bytes.extend_from_slice(&stream);
        }
        let stream = manifest.encode().unwrap();
        let trailer = Trailer::seal(&stream, bytes.len() as u64);
        bytes.extend_from_slice(&stream);
        bytes.extend_from_slice(&trailer.encode());
        bytes
    }

    pub fn archive(&self) -> Archive {
        let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(self.bytes());
        Archive::open_source(Box::new(MemorySource::new(bytes)), &Options::new()).unwrap()
    }
}

/// Everything below a directory, by path.
pub fn walk(root: &Path) -> BTreeMap<String, Metadata> {
    let mut found = BTreeMap::new();
    let mut left: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                left.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            found.insert(std::ffi::OsString::from_vec(name).to_string_lossy().into_owned(), metadata);
        }
    }
    found
}

pub fn names(root: &Path) -> Vec<String> {
    walk(root).into_keys().collect()
}

pub fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

pub fn mtime_ns(metadata: &Metadata) -> i64 {
    metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec()
}

/// Bytes that look like nothing in particular but are the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}
