//! What one file of an archive behind range reads costs: how many reads, and how many bytes.

#![allow(clippy::unwrap_used)]

mod extract_support;
mod pack_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use extract_support::{Builder, OwnRow, noise};
use pack_support::{Random, options, pack};
use znippy::archive::{Archive, MemorySource, Source};
use znippy::error::Result;
use znippy::format::blobs::{self, Blob};
use znippy::format::codec::Compressor;
use znippy::format::container::{MAX_SEGMENT_ROWS, SEGMENT_ALIGN, Trailer, head};
use znippy::format::hash::hash;
use znippy::format::index::SegmentBuilder;
use znippy::format::manifest::{Manifest, Part, SECTION_TYPE};
use znippy::format::row::{Attributes, CODEC_STORED, EntryKind, Location, Row};
use znippy::format::schema::{self, Metadata, VERSION_KEY};
use znippy::progress::CancelToken;

/// Counts what is asked of a source.
#[derive(Default)]
struct Costs {
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Costs {
    fn so_far(&self) -> (u64, u64) {
        (self.reads.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

struct Counting<S> {
    source: S,
    costs: Arc<Costs>,
}

impl<S: Source> Source for Counting<S> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.costs.reads.fetch_add(1, Ordering::Relaxed);
        self.costs.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.source.read_exact_at(offset, buffer)
    }
}

/// Opens the archive, reads one file, and says what that cost.
fn cost_of<S: Source + 'static>(source: S, path: &[u8], content: &[u8]) -> (u64, u64) {
    let costs = Arc::new(Costs::default());
    let archive =
        Archive::open_source(Box::new(Counting { source, costs: Arc::clone(&costs) }), &options(&[])).unwrap();
    let index = archive.find(path).unwrap().unwrap();
    assert_eq!(archive.read(index, 1 << 20).unwrap(), content);
    costs.so_far()
}

#[test]
fn a_file_in_many_pieces_of_one_block_is_verified_without_reading_it_for_each() {
    let (pieces, step, len) = (128usize, 64usize << 10, 1000usize);
    let bytes = noise(1, 512 << 10);
    let mut whole = vec![0; pieces * step];
    let mut builder = Builder::new();
    let block = builder.block(&bytes, true);
    for number in 0..pieces {
        let piece = &bytes[number * len..][..len];
        whole[number * step..][..len].copy_from_slice(piece);
        builder.rows.push(OwnRow {
            path: b"pieces".to_vec(),
            chunk_seq: number as u32,
            offset: (number * step) as u64,
            size: len as u64,
            checksum: hash(piece),
            kind: EntryKind::File as u8,
            location: Some(Location { block_offset: (number * len) as u64, ..block }),
            attributes: None,
        });
    }
    let (file_size, file_hash) = (Some(whole.len() as u64), Some(hash(&whole)));
    builder.rows[0].attributes = Some(Attributes { file_size, file_hash, ..Attributes::default() });
    let archive = builder.bytes();
    let costs = Arc::new(Costs::default());
    let source = Counting { source: MemorySource::new(Arc::new(archive.clone())), costs: Arc::clone(&costs) };
    Archive::open_source(Box::new(source), &options(&[])).unwrap().verify(&options(&[])).unwrap();
    assert!(costs.so_far().1 < 3 * archive.len() as u64, "{:?}", costs.so_far());
}

#[test]
fn one_small_file_costs_three_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    let mut random = Random::new(5);
    for i in 0..20_000 {
        let directory = tree.join(format!("part-{:03}", i / 100));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("file-{i:05}")), random.text(200)).unwrap();
    }
    pack(&tree, &archive, &[]).unwrap();
    let bytes = Arc::new(std::fs::read(archive).unwrap());
    for i in [0, 9_999, 19_999] {
        let path = format!("part-{:03}/file-{i:05}", i / 100);
        let content = std::fs::read(tree.join(&path)).unwrap();
        let (reads, bytes) = cost_of(MemorySource::new(bytes.clone()), path.as_bytes(), &content);
        assert!(reads <= 3 && bytes <= 3 << 19, "{path}: {reads} reads, {bytes} bytes");
    }
}

/// An archive of which nearly nothing exists: an index of any size, of which one segment can be loaded, and one
/// stored file. All other bytes are zeros.
struct Sparse {
    size: u64,
    extents: Vec<(u64, Vec<u8>)>,
}

impl Source for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        for (start, bytes) in &self.extents {
            let (from, to) = (offset.max(*start), end.min(start + bytes.len() as u64));
            if from < to {
                let source = &bytes[(from - start) as usize..(to - start) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(())
    }
}

const CONTENT: &[u8] = b"the one file whose bytes are there";

fn path_of(number: u64) -> String {
    format!("part-{:05}/module-{:07}/file-{number:09}.c", number / 10_000, number / 100)
}

/// Rows of one segment, with checksums that don't compress, as real ones.
fn segment(first: u64, metadata: &Metadata) -> Vec<u8> {
    let mut builder = SegmentBuilder::new();
    for number in first..first + MAX_SEGMENT_ROWS as u64 {
        let at = 16 + number % 7 * 100;
        let location = Location {
            blob_offset: at,
            blob_size: CONTENT.len() as u64,
            block_offset: 0,
            block_size: CONTENT.len() as u64,
            codec: CODEC_STORED,
        };
        let attributes = Attributes {
            mode: Some(0o644),
            mtime_ns: Some(1_700_000_000_000_000_000 + number as i64 * 4_000_000),
            file_size: Some(CONTENT.len() as u64),
            ..Attributes::default()
        };
        let mine = number == first + 77;
        builder
            .push(&Row {
                path: path_of(number).as_bytes(),
                chunk_seq: 0,
                offset: 0,
                size: CONTENT.len() as u64,
                checksum: if mine { hash(CONTENT) } else { hash(&number.to_le_bytes()) },
                kind: 0,
                location: Some(Location { blob_offset: if mine { 16 } else { at }, ..location }),
                attributes: Some(attributes),
            })
            .unwrap();
    }
    builder.finish(&schema::arrow(&schema::INDEX, metadata)).unwrap()
}

/// The archive, and the path of the file that can be read.
fn generated(entries: u64) -> (Sparse, String) {
    const PAYLOAD: u64 = 1 << 30;
    let metadata = Metadata::from([(VERSION_KEY.to_owned(), "4".to_owned())]);
    let segments = entries.div_ceil(MAX_SEGMENT_ROWS as u64);
    let real = segments / 2;
    let stream = segment(real * MAX_SEGMENT_ROWS as u64, &metadata);
    let mut frame = Vec::new();
    Compressor::new(3, 4 << 20).unwrap().compress(&stream, &mut frame, &CancelToken::new()).unwrap();
    let table = blobs::encode(&[Blob { offset: 16, stored: PAYLOAD - 16, decoded: 0, hash: [0; 32] }]);
    let section = Part {
        pkg_type: SECTION_TYPE,
        module_name: blobs::SECTION_NAME.into(),
        offset: PAYLOAD,
        len: table.len() as u64,
        rows: 1,
        hash: hash(&table),
        ..Part::default()
    };
    let mut end = section.end();
    let mut manifest = Manifest { metadata, sections: vec![section], ..Manifest::default() };
    for number in 0..segments {
        let first = number * MAX_SEGMENT_ROWS as u64;
        let part = Part {
            offset: end.next_multiple_of(SEGMENT_ALIGN),
            len: frame.len() as u64,
            rows: MAX_SEGMENT_ROWS as u64,
            raw_len: stream.len() as u64,
            first_path: path_of(first).into_bytes(),
            last_path: path_of(first + MAX_SEGMENT_ROWS as u64 - 1).into_bytes(),
            first_entry: first,
            entries: MAX_SEGMENT_ROWS as u64,
            hash: if number == real { hash(&frame) } else { hash(&number.to_le_bytes()) },
            ..Part::default()
        };
        end = part.end();
        manifest.segments.push(part);
    }
    let mut extents =
        vec![(0, head().to_vec()), (16, CONTENT.to_vec()), (manifest.segments[real as usize].offset, frame)];
    let stream = manifest.encode().unwrap();
    let trailer = Trailer::seal(&stream, end);
    let tail = [stream, trailer.encode().to_vec()].concat();
    let size = end + tail.len() as u64;
    extents.push((end, tail));
    (Sparse { size, extents }, path_of(real * MAX_SEGMENT_ROWS as u64 + 77))
}

#[test]
fn one_file_out_of_a_million_costs_three_reads_and_out_of_ten_million_four() {
    for (entries, most) in [(1_000_000, 3), (10_000_000, 4)] {
        let (source, path) = generated(entries);
        let (reads, bytes) = cost_of(source, path.as_bytes(), CONTENT);
        println!("{entries} entries: {reads} reads, {bytes} bytes");
        assert!(reads <= most && bytes <= 3 << 19, "{entries} entries: {reads} reads, {bytes} bytes");
    }
}
