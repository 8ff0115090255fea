//! Sound archives, and programs that change them.

use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex};

use znippy::archive::{Archive, MemorySource};
use znippy::format::blobs::Blob;
use znippy::format::codec::Compressor;
use znippy::format::container::Trailer;
use znippy::format::manifest::Part;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Writer};
use znippy::progress::CancelToken;

/// A sound archive, and where what is in it stands.
pub struct Seed {
    bytes: Vec<u8>,
    blobs: Vec<Blob>,
    table: Part,
    segments: Vec<Part>,
    manifest: Range<usize>,
    /// Where the hashes of the segments and of the table stand.
    hashes: Vec<usize>,
}

/// With and without a compressed index, recovery records, many segments. Most are small: they are changed, hashed and read
/// all over for each input.
pub static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    let made =
        [(1, 0, 2), (0, 0, 3), (1, 0, 0), (1, 1, 3), (1, 0, 12), (0, 0, 12), (1, 1, 12), (0, 1, 30), (1, 0, 9000)];
    made.into_iter().map(|(plain, recovery, files)| Seed::make(plain, recovery, files)).collect()
});

/// Zeros that reading an archive would have to make, as far as its index can be read.
pub fn holes(archive: &Archive) -> u64 {
    let Ok(listing) = archive.list(0, usize::MAX) else { return 0 };
    (0..listing.len()).filter_map(|at| listing.get(at)).fold(0, |sum: u64, entry| sum.saturating_add(entry.size))
}

impl Seed {
    fn make(plain: i64, recovery: i64, files: u32) -> Seed {
        let mut options = Options::new();
        let set = [
            (Key::PlainIndex, plain),
            (Key::Recovery, recovery),
            (Key::BlockSize, 4096),
            (Key::SmallFile, 4096),
            (Key::SliceSize, 65_536),
            (Key::Threads, 1),
        ];
        for (key, value) in set {
            options.set(key, value).map(drop).unwrap_or_else(|error| panic!("{error}"));
        }
        let out = Arc::new(Mutex::new(Vec::new()));
        let mut writer = Writer::to_sink(Box::new(super::Memory(Arc::clone(&out))), &options);
        let mut add = |entry: NewEntry<'_>, bytes: &[u8]| {
            writer.add_bytes(&entry, bytes).unwrap_or_else(|error| panic!("{error}"));
        };
        for number in 0..files {
            let bytes: Vec<u8> = (0..number % 40 * 60).flat_map(|i| (i / 5 * number).to_le_bytes()).collect();
            let path = format!("d/file{number:05}");
            add(NewEntry { mode: Some(0o644), mtime_ns: Some(5), ..NewEntry::file(path.as_bytes()) }, &bytes);
        }
        if (4..100).contains(&files) {
            let noise: Vec<u8> = blake3::hash(b"seed").as_bytes().iter().copied().cycle().take(150_000).collect();
            add(NewEntry::file(b"big"), &noise);
            add(NewEntry::file(b"names/\xff\xfe"), b"not UTF-8");
            add(NewEntry::new(b"directory", EntryKind::Directory), b"");
            add(NewEntry { target: b"d/file00001", ..NewEntry::new(b"link", EntryKind::Symlink) }, b"");
            add(NewEntry { target: b"d/file00003", ..NewEntry::new(b"z/hard", EntryKind::Hardlink) }, b"");
            add(NewEntry::new(b"fifo", EntryKind::Fifo), b"");
        }
        writer.finish().unwrap_or_else(|error| panic!("{error}"));
        drop(writer);
        let bytes = std::mem::take(&mut *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let source = Box::new(MemorySource::new(Arc::new(bytes.clone())));
        let archive = Archive::open_source(source, &Options::new()).unwrap_or_else(|error| panic!("{error}"));
        let trailer = archive.trailer().unwrap_or_else(|| panic!("an archive of version 4 has a trailer"));
        let start = trailer.manifest_offset as usize;
        let manifest = start..start + trailer.manifest_len as usize;
        let (sections, segments) = (&archive.manifest().sections, archive.manifest().segments.clone());
        let blobs = archive.blob_records().unwrap_or_else(|error| panic!("{error}"));
        let table = sections[0].clone();
        let found = |part: &Part| bytes[manifest.clone()].windows(32).position(|window| window == part.hash);
        let at = |part: &Part| manifest.start + found(part).unwrap_or_else(|| panic!("a part without a hash"));
        let hashes = segments.iter().chain([&table]).map(at).collect();
        Seed { blobs, table, segments, manifest, hashes, bytes }
    }

    /// The manifest, or a segment that is not compressed.
    fn stream(&self, segment: bool) -> Vec<u8> {
        let part = self.segments.first().filter(|part| segment && part.raw_len == 0);
        let range = part.map_or(self.manifest.clone(), |part| part.offset as usize..part.end() as usize);
        self.bytes[range].to_vec()
    }
}

/// Makes right what stands at `at` for the hash of a range, where the range was changed and that was not.
fn seal(bytes: &mut [u8], changed: &[Range<usize>], range: Range<usize>, at: usize, old: &[u8; 32]) {
    let touched = changed.iter().any(|change| change.start < range.end && range.start < change.end);
    if touched && bytes[at..at + 32] == old[..] {
        let hash = blake3::hash(&bytes[range]);
        bytes[at..at + 32].copy_from_slice(hash.as_bytes());
    }
}

/// Reads an input as numbers and changes.
pub struct Program<'a>(&'a [u8]);

impl Program<'_> {
    pub fn new(data: &[u8]) -> Program<'_> {
        Program(data)
    }

    pub fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Up to 65,535; 0 behind the end.
    pub fn number(&mut self) -> u32 {
        u32::from(self.next().unwrap_or(0)) << 8 | u32::from(self.next().unwrap_or(0))
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    /// A number of any size, often one at which something begins or ends.
    pub fn integer(&mut self) -> i64 {
        let near = i64::from(self.number()) - 32_768;
        match self.next().unwrap_or(0) % 8 {
            0 => near,
            1 => i64::MAX - near.abs(),
            2 => i64::MIN + near.abs(),
            3 => near << 16,
            4 => 1 << (near.unsigned_abs() % 63),
            5 => (1 << (near.unsigned_abs() % 63)) - 1,
            6 => i64::from(i32::MAX) + near,
            _ => near.rem_euclid(16),
        }
    }

    /// Bytes of a file: nothing, text, noise or zeros.
    pub fn content(&mut self) -> Vec<u8> {
        let (kind, len) = (self.number() % 4, self.number() as usize % 30_000 * (1 + self.number() as usize % 8));
        match kind {
            0 => Vec::new(),
            1 => (0..len).map(|at| b"the same words again "[at % 21]).collect(),
            2 => {
                let mut noise = vec![0; len];
                blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut noise);
                noise
            }
            _ => vec![0; len],
        }
    }

    /// A stream of the index, where there is a plain one, or of the manifest, with changes.
    pub fn stream(&mut self, segment: bool) -> Vec<u8> {
        let mut stream = self.seed().stream(segment);
        self.change(&mut stream, 0..usize::MAX);
        if self.number() % 16 == 1 {
            stream.truncate(self.number() as usize % (stream.len() + 1));
        }
        stream
    }

    /// A zstd frame with changes.
    pub fn frame(&mut self) -> Vec<u8> {
        // Of most frames, less: what is looked for is in their structure.
        let mut content = self.content();
        if !self.number().is_multiple_of(8) {
            content.truncate(600);
        }
        let mut frame = Vec::new();
        let compressor = Compressor::new(1 + (self.number() % 3) as i32, 4 << 20);
        let made = compressor.and_then(|mut zstd| zstd.compress(&content, &mut frame, &CancelToken::new()));
        made.unwrap_or_else(|error| panic!("{error}"));
        if !self.number().is_multiple_of(4) {
            self.change(&mut frame, 0..usize::MAX);
        }
        frame
    }

    /// An archive with changes and with hashes that are right.
    pub fn archive(&mut self) -> Vec<u8> {
        let seed = self.seed();
        let mut bytes = seed.bytes.clone();
        let table = seed.table.offset as usize..seed.table.end() as usize;
        let part = |part: &Part| part.offset as usize..part.end() as usize;
        let mut changed = Vec::new();
        for _ in 0..1 + self.number() % 3 {
            let region = match self.number() % 8 {
                0 => 0..seed.bytes.len(),
                1 => 16..table.start,
                2 => table.clone(),
                3 => seed.manifest.clone(),
                _ if seed.segments.is_empty() => seed.manifest.clone(),
                _ => part(&seed.segments[self.number() as usize % seed.segments.len()]),
            };
            changed.extend(self.change(&mut bytes, region));
        }
        for (number, blob) in seed.blobs.iter().enumerate() {
            let range = blob.offset as usize..(blob.offset + blob.stored) as usize;
            let at = table.start + 8 + 56 * number + 24;
            seal(&mut bytes, &changed, range, at, &blob.hash);
        }
        // The table has new hashes where blobs have changed.
        if changed.iter().any(|change| change.start < table.start) {
            changed.push(table.clone());
        }
        for (sealed, &at) in seed.segments.iter().chain([&seed.table]).zip(&seed.hashes) {
            seal(&mut bytes, &changed, part(sealed), at, &sealed.hash);
        }
        let trailer = Trailer::seal(&bytes[seed.manifest.clone()], seed.manifest.start as u64).encode();
        bytes.truncate(seed.manifest.end);
        bytes.extend_from_slice(&trailer);
        bytes
    }

    /// An archive with changes and with hashes that tell of them, or a part of one.
    pub fn damaged(&mut self) -> Vec<u8> {
        let mut bytes = self.seed().bytes.clone();
        self.change(&mut bytes, 0..usize::MAX);
        if self.number().is_multiple_of(2) {
            let len = ((self.number() as usize) << 8) | (self.number() as usize % 256);
            bytes.truncate(len % (bytes.len() + 1));
        }
        bytes
    }

    fn seed(&mut self) -> &'static Seed {
        // The last one is big: one in 1,024; of the others the first ones, which are small, come more often.
        let choice = self.number() as usize % 1024;
        let last = SEEDS.len() - 1;
        let half = last / 2;
        &SEEDS[if choice == 1023 {
            last
        } else if choice.is_multiple_of(8) {
            half + choice / 8 % half
        } else {
            choice % half
        }]
    }

    /// A few changes in a region; where they are.
    fn change(&mut self, bytes: &mut [u8], region: Range<usize>) -> Vec<Range<usize>> {
        let region = region.start.min(bytes.len())..region.end.min(bytes.len());
        let start = region.start;
        let bytes = &mut bytes[region];
        let mut changed = Vec::new();
        if bytes.is_empty() {
            return changed;
        }
        for _ in 0..1 + self.number() % 4 {
            let at = ((self.number() as usize) << 16 | self.number() as usize) % bytes.len();
            let aligned = at & !7;
            // None is longer.
            changed.push(start + aligned..start + at + 64);
            match self.number() % 7 {
                0 => bytes[at] ^= 1 << (self.number() % 8),
                1 => bytes[at] = self.next().unwrap_or(0),
                2 => {
                    let value = self.integer().to_le_bytes();
                    bytes[aligned..].iter_mut().zip(value).for_each(|(byte, new)| *byte = new);
                }
                3 => {
                    let value = (self.integer() as i32).to_le_bytes();
                    bytes[at & !3..].iter_mut().zip(value).for_each(|(byte, new)| *byte = new);
                }
                4 => {
                    let len = self.number() as usize % 64;
                    let from = self.number() as usize % bytes.len();
                    let copied: Vec<u8> = bytes[from..].iter().take(len).copied().collect();
                    bytes[at..].iter_mut().zip(copied).for_each(|(byte, new)| *byte = new);
                }
                5 => {
                    let len = self.number() as usize % 32;
                    let fresh = self.bytes(len);
                    bytes[at..].iter_mut().zip(fresh).for_each(|(byte, new)| *byte = new);
                }
                _ => {
                    // Small steps up and down: one more, one fewer.
                    let step = [1u8, 255, 8, 248][self.number() as usize % 4];
                    bytes[aligned] = bytes[aligned].wrapping_add(step);
                }
            }
        }
        changed
    }
}
