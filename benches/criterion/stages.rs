//! The stages that packing and reading are made of, each alone on one thread.
//!
//! ```sh
//! cd benches/criterion && cargo bench                    # all, with figures of the run before beside them
//! cargo bench -- index                                   # those with that in their names
//! cargo bench -- --test                                  # each once: do they run?
//! ```
//!
//! `benches/stages.rs` weighs whole jobs against their floor; these watch one stage while it is being changed.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use znippy::extract::extract_all;
use znippy::format::codec::{Compressor, Decompressor};
use znippy::format::hash::hash;
use znippy::format::index::{Expected, Segment, SegmentBuilder};
use znippy::format::row::Codecs;
use znippy::format::schema::{self, Metadata};
use znippy::format::{ipc_guard, path};
use znippy::options::{Key, Options};
use znippy::pack::pack_directory;
use znippy::progress::CancelToken;
use znippy_benches::{files, open, pack, text};

const BLOCK: usize = 4 << 20;
const ENTRIES: usize = 20_000;

criterion_group!(stages, hashes, blocks, index, names, reading, jobs);
criterion_main!(stages);

fn hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let text = text(BLOCK);
    for len in [1_000, 64 << 10, BLOCK] {
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| bencher.iter(|| hash(black_box(&text[..len]))));
    }
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    let (text, cancel, mut frame) = (text(BLOCK), CancelToken::new(), Vec::new());
    group.sample_size(20).throughput(Throughput::Bytes(BLOCK as u64));
    for level in [1, 3, 10] {
        let mut compressor = Compressor::new(level, BLOCK).unwrap();
        group.bench_function(BenchmarkId::new("compress", level), |bencher| {
            bencher.iter(|| compressor.compress(black_box(&text), &mut frame, &cancel).unwrap());
        });
    }
    Compressor::new(3, BLOCK).unwrap().compress(&text, &mut frame, &cancel).unwrap();
    let (mut decompressor, mut block) = (Decompressor::new().unwrap(), Vec::new());
    group.bench_function("decode", |bencher| {
        bencher.iter(|| decompressor.decompress_into(black_box(&frame), BLOCK, &mut block).unwrap());
    });
    group.bench_function("decode a quarter", |bencher| {
        bencher.iter(|| decompressor.decompress_to(black_box(&frame), BLOCK, BLOCK / 4, &mut block).unwrap());
    });
}

fn index(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index");
    let archive = open(&Arc::new(pack(&files(ENTRIES))));
    let part = &archive.manifest().segments[0];
    let stream = archive.read_part(part).unwrap();
    let expected = Expected {
        rows: part.rows as usize,
        entries: part.entries as usize,
        first_path: &part.first_path,
        last_path: &part.last_path,
        payload_end: archive.size(),
        codecs: Codecs::Version4,
    };
    group.throughput(Throughput::Elements(part.rows));
    group.bench_function("guard", |bencher| {
        bencher.iter(|| ipc_guard::check(black_box(&stream), &schema::INDEX, Some(expected.rows)).unwrap());
    });
    group.bench_function("decode and check", |bencher| {
        let decode = |stream| Segment::decode(stream, &expected).unwrap();
        bencher.iter_batched(|| stream.clone(), decode, BatchSize::LargeInput);
    });
    let (segment, schema) = (archive.load_segment(0).unwrap(), schema::index(&[], &Metadata::new()));
    group.bench_function("build", |bencher| {
        bencher.iter(|| {
            let mut builder = SegmentBuilder::new();
            (0..segment.rows()).for_each(|row| builder.push(&segment.row(row)).unwrap());
            builder.finish(&schema).unwrap()
        });
    });
}

fn names(criterion: &mut Criterion) {
    let paths: Vec<String> = files(1000).into_iter().map(|(path, _)| path).collect();
    let mut group = criterion.benchmark_group("names");
    group.throughput(Throughput::Elements(paths.len() as u64));
    group.bench_function("check", |bencher| {
        bencher.iter(|| {
            let mut before: &[u8] = &[];
            for path in &paths {
                path::check_after(before, black_box(path.as_bytes())).unwrap();
                before = path.as_bytes();
            }
        });
    });
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    let files = files(ENTRIES);
    let bytes = Arc::new(pack(&files));
    group.bench_function("open", |bencher| bencher.iter(|| open(&bytes)));
    let archive = open(&bytes);
    let mut number = 0;
    group.bench_function("find", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % files.len();
            archive.find(files[number].0.as_bytes()).unwrap().unwrap()
        });
    });
    group.bench_function("read a small file, its block cached", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % files.len();
            archive.read(number as u64, u64::MAX).unwrap()
        });
    });
    group.throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("list", |bencher| bencher.iter(|| archive.list(0, usize::MAX).unwrap()));
}

fn jobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("job");
    let place = tempfile::tempdir().unwrap();
    let (tree, packed) = (place.path().join("in"), place.path().join("archive.znippy"));
    let files = files(2000);
    for (path, bytes) in &files {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let mut options = Options::new();
    options.set(Key::Threads, 1).unwrap().set(Key::Overwrite, 1).unwrap();
    group.sample_size(20).throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("pack", |bencher| bencher.iter(|| pack_directory(&tree, &packed, &options).unwrap()));
    let archive = znippy::archive::Archive::open(&packed, &Options::new()).unwrap();
    group.bench_function("unpack", |bencher| {
        let out = || tempfile::tempdir_in(place.path()).unwrap();
        let unpack = |out: tempfile::TempDir| {
            extract_all(&archive, out.path(), &options).unwrap();
            // Removed behind the clock's back.
            out
        };
        bencher.iter_batched(out, unpack, BatchSize::PerIteration);
    });
}
