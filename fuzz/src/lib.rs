//! What is fuzzed: each function takes any bytes, and a finding is a panic. `fuzz_targets/` gives them to libFuzzer,
//! `tests/fuzz.rs` to a plain random generator, which needs nothing but the library.
//!
//! Archives are not fuzzed as bytes, since a hash would catch every change: the input is a program of changes to a sound
//! archive, after which all hashes that lead to them are made right again, so that the code behind them is reached.

mod seeds;
mod sequence;

pub use sequence::c_calls;

use std::path::Path;
use std::sync::Arc;

use seeds::{Program, SEEDS};
use znippy::archive::{Archive, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::extract::extract_tree;
use znippy::format::arrow_stream::decode_stream;
use znippy::format::blobs;
use znippy::format::codec::{self, Decompressor};
use znippy::format::container::Trailer;
use znippy::format::index::Segment;
use znippy::format::manifest::Manifest;
use znippy::format::recovery;
use znippy::format::row::EntryKind;
use znippy::format::xattrs::XattrSets;
use znippy::format::{ipc_guard, path as names, portable, schema};
use znippy::options::{Key, OPTION_TABLE, Options};
use znippy::pack::{NewEntry, Sink, Writer};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("open", open),
    ("ipc", ipc),
    ("segment", segment),
    ("blob", blob),
    ("read_at", read_at),
    ("extract", extract),
    ("salvage", salvage),
    ("path", path),
    ("options", options),
    ("c_calls", c_calls),
    ("round_trip", round_trip),
];

/// A defect that was caught in a worker is a finding too.
fn sound<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.status(), Status::Panic, "{error}");
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn open_bytes(bytes: Vec<u8>) -> Option<Archive> {
    sound(Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), &two_threads()))
}

/// In memory, where there is such a place.
fn work_directory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

fn two_threads() -> Options {
    let mut options = Options::new();
    let set =
        [(Key::Threads, 2), (Key::MemoryLimit, 512 << 20), (Key::CacheSize, 16 << 20), (Key::MaxEntrySize, 8 << 20)];
    for (key, value) in set {
        options.set(key, value).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }
    options
}

/// Bytes as they are, as a whole archive.
pub fn open(data: &[u8]) {
    let Some((selector, rest)) = data.split_first() else { return };
    let bytes = match selector % 16 {
        0 => rest.to_vec(),
        // Behind a sound trailer, any bytes are a manifest.
        1 => {
            let trailer = Trailer::seal(rest, 16).encode();
            [&znippy::format::container::head()[..], rest, &trailer].concat()
        }
        _ => Program::new(rest).archive(),
    };
    let Some(archive) = open_bytes(bytes) else { return };
    archive.info();
    sound(archive.find(b"d/file"));
    sound(archive.list(0, 100));
    sound(archive.blob_records());
    // What reads the segments once more comes now and then.
    if selector.is_multiple_of(8) {
        sound(archive.index_schema());
        sound(archive.tree_digest());
    }
}

/// The walk over an Arrow stream, and arrow behind it.
pub fn ipc(data: &[u8]) {
    let mut program = Program::new(data);
    let choice = program.number();
    let segment = choice.is_multiple_of(2);
    let stream = program.stream(segment);
    let columns = if segment { &*schema::INDEX } else { &*schema::MANIFEST };
    let guarded = sound(ipc_guard::check(&stream, columns, None));
    if choice.is_multiple_of(5) {
        sound(ipc_guard::unknown_columns(&stream, columns));
        sound(ipc_guard::stream_len(&stream));
    }
    // What the walk lets through, arrow must stand.
    if guarded.is_some() {
        sound(decode_stream(stream.clone()));
        sound(Manifest::decode(&stream, 1 << 20));
    }
}

/// A segment, and what is asked of one.
pub fn segment(data: &[u8]) {
    let stream = Program::new(data).stream(true);
    let Some(segment) = sound(Segment::decode_alone(stream, 1 << 40)) else { return };
    for row in 0..segment.rows() {
        let found = segment.row(row);
        assert!(names::check(segment.path(row)).is_ok() || found.attributes.is_none());
    }
    for entry in 0..segment.entries() {
        assert_eq!(segment.lower_bound(segment.path(segment.first_row(entry))), entry);
    }
}

/// Frames, the blob table, extended attributes, recovery records.
pub fn blob(data: &[u8]) {
    let mut program = Program::new(data);
    let frame = program.frame();
    let mut decompressor = Decompressor::new().unwrap_or_else(|error| panic!("{error}"));
    let (mut block, mut whole) = (vec![0; 70_000], Vec::new());
    // Small and large, and what the frame says, where it does.
    let said = codec::block_len(&frame).map_or(600, |len| len.min(70_000) as usize);
    for len in [said, if program.number().is_multiple_of(16) { 70_000 } else { 100 }] {
        sound(decompressor.decompress(&frame, &mut block[..len]));
        sound(decompressor.decompress_into(&frame, len, &mut whole));
        sound(decompressor.decompress_to(&frame, len, len / 2, &mut whole));
        sound(decompressor.decompress_start(&frame, &mut block[..len]));
    }
    sound(blobs::decode(data, (data.len() as u64).saturating_sub(8) / 56, 1 << 20));
    if let Some(sets) = sound(XattrSets::decode(data.to_vec(), data.first().copied().unwrap_or(0).into())) {
        (0..sets.len() as u32).for_each(|id| drop(sets.get(id).map(Iterator::count)));
    }
    let _ = recovery::Rows::decode(data);
    let record = recovery::encode(recovery::What::Rows, 1, data, 500, None).unwrap_or_else(|error| panic!("{error}"));
    let back = recovery::decode(&record, 500).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back.map(|back| back.content), Some(data.to_vec()));
}

/// Everything that reads, on an archive with hashes that are right.
pub fn read_at(data: &[u8]) {
    let mut program = Program::new(data);
    let Some(archive) = open_bytes(program.archive()) else { return };
    let mut buffer = [0; 5000];
    if let Some(listing) = sound(archive.list(0, 40)) {
        for at in 0..listing.len() {
            let Some(entry) = listing.get(at) else { continue };
            let offset = u64::from(program.number()) % (entry.size + 10);
            if let Some(read) = sound(archive.read_at(entry.index, offset, &mut buffer)) {
                assert!(read as u64 <= entry.size.saturating_sub(offset));
            }
            // Holes of any size cost time and no bytes.
            if entry.size < 1 << 24 {
                sound(archive.read(entry.index, 1 << 24));
                sound(archive.verify_entry(entry.index));
            }
        }
    }
    sound(archive.tree_digest());
    sound(archive.verify_quick(&two_threads()));
    if seeds::holes(&archive) < 1 << 24 {
        sound(archive.verify(&two_threads()));
    }
}

/// Extraction, with and without `untrusted`; nothing may stand outside the destination.
pub fn extract(data: &[u8]) {
    let mut program = Program::new(data);
    let untrusted = program.number() % 2;
    let Some(archive) = open_bytes(program.archive()) else { return };
    let work = work_directory().unwrap_or_else(|error| panic!("{error}"));
    let mut options = two_threads();
    // As a rule one thread, which is cheaper to start than two.
    options
        .set(Key::Threads, if program.number().is_multiple_of(8) { 2 } else { 1 })
        .map(drop)
        .unwrap_or_else(|error| panic!("{error}"));
    for (key, value) in [(Key::Untrusted, i64::from(untrusted)), (Key::MaxBytes, 1 << 24), (Key::KeepGoing, 1)] {
        options.set(key, value).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }
    sound(extract_tree(&archive, &work.path().join("tree"), &options));
    let others =
        std::fs::read_dir(work.path()).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "tree");
    assert_eq!(others.count(), 0, "something stands beside the destination");
}

/// Salvage of an archive whose hashes are right or wrong: what comes out is whole.
pub fn salvage(data: &[u8]) {
    let mut program = Program::new(data);
    let sealed = program.number().is_multiple_of(2);
    let bytes = if sealed { program.archive() } else { program.damaged() };
    let work = work_directory().unwrap_or_else(|error| panic!("{error}"));
    let (from, to) = (work.path().join("damaged"), work.path().join("new"));
    std::fs::write(&from, bytes).unwrap_or_else(|error| panic!("{error}"));
    let Some(outcome) = sound(salvage_small(&from, &to)) else {
        assert!(!to.exists());
        return;
    };
    let archive = Archive::open(&to, &two_threads()).unwrap_or_else(|error| panic!("{error}"));
    archive.verify(&two_threads()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(archive.entry_count(), outcome.report.entries_kept + outcome.report.blocks_nameless);
}

/// Huge holes would only cost time.
fn salvage_small(from: &Path, to: &Path) -> Result<znippy::salvage::Outcome> {
    if Archive::open(from, &two_threads()).is_ok_and(|archive| seeds::holes(&archive) >= 1 << 24) {
        return Err(Error::cancelled());
    }
    znippy::salvage::salvage(from, to, &two_threads())
}

/// Rules for names.
pub fn path(data: &[u8]) {
    let shown = names::display(data);
    assert_eq!(std::str::from_utf8(data).is_ok_and(|text| text == shown), std::str::from_utf8(data).is_ok());
    if names::check(data).is_ok() {
        assert!(!data.is_empty() && !data.contains(&0) && data[0] != b'/' && !data.ends_with(b"/"));
        for component in data.split(|byte| *byte == b'/') {
            assert!(!component.is_empty() && component != b"." && component != b"..");
            if portable::why_not(component).is_none()
                && let Ok(text) = std::str::from_utf8(component)
            {
                assert!(!text.ends_with(['.', ' ']) && !text.contains(['\\', ':', '*', '?', '"', '<', '>', '|']));
                assert_eq!(portable::fold(&portable::fold(text)), portable::fold(text));
            }
        }
        let (directory, name) = names::split(data);
        assert!(data.ends_with(name) && data.starts_with(directory));
        assert!(names::ancestors(data).all(|above| names::check(above).is_ok()));
    }
    let half = data.len() / 2;
    if names::check(&data[..half]).is_ok() {
        assert_eq!(names::check_after(&data[..half], &data[half..]).is_ok(), names::check(&data[half..]).is_ok());
    }
}

/// Options keep what they take, and take nothing out of bounds.
pub fn options(data: &[u8]) {
    let mut options = Options::new();
    let mut program = Program::new(data);
    while let Some(choice) = program.next() {
        let spec = &OPTION_TABLE[usize::from(choice) % OPTION_TABLE.len()];
        if spec.kind.is_bytes() {
            let len = usize::from(program.next().unwrap_or(0)) % 40;
            sound(options.set_bytes(spec.key, &program.bytes(len)).map(drop));
            continue;
        }
        let value = program.integer();
        let before = options.get(spec.key);
        let set = sound(options.set(spec.key, value).map(drop)).is_some();
        assert_eq!(options.get(spec.key), if set { value } else { before });
        assert!(!set || (value >= spec.min && value <= spec.max));
        options.layout();
        options.overwrite();
    }
}

/// What was added comes back, whatever the options.
pub fn round_trip(data: &[u8]) {
    let mut program = Program::new(data);
    let mut options = two_threads();
    for (key, least, most) in [
        (Key::Level, -2, 5),
        (Key::SmallFile, 0, 9000),
        (Key::BlockSize, 4096, 20_000),
        (Key::Order, 0, 1),
        (Key::NoSkip, 0, 1),
        (Key::PlainIndex, 0, 1),
        (Key::Recovery, 0, 1),
        (Key::Modes, 0, 1),
        (Key::Mtimes, 0, 3),
    ] {
        let value = least + i64::from(program.number()) % (most - least + 1);
        options.set(key, value).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }
    options.set(Key::SliceSize, 65_536).map(drop).unwrap_or_else(|error| panic!("{error}"));
    let out = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut writer = Writer::to_sink(Box::new(Memory(Arc::clone(&out))), &options);
    let mut files: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = std::collections::BTreeMap::new();
    for number in 0..program.number() % 20 {
        let path =
            format!("{}/{}{}", program.number() % 3, number, ["", ".png", ".txt"][program.number() as usize % 3]);
        let bytes = program.content();
        let entry =
            NewEntry { mode: Some(program.number() & 0o7777), ..NewEntry::new(path.as_bytes(), EntryKind::File) };
        if sound(writer.add_bytes(&entry, &bytes)).is_some() {
            files.insert(path.into_bytes(), bytes);
        }
    }
    writer.finish().unwrap_or_else(|error| panic!("{error}"));
    let bytes = std::mem::take(&mut *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let archive = open_bytes(bytes).unwrap_or_else(|| panic!("an archive that was just made does not open"));
    archive.verify(&two_threads()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(archive.entry_count(), files.len() as u64);
    let listing = archive.list(0, usize::MAX).unwrap_or_else(|error| panic!("{error}"));
    for at in 0..listing.len() {
        let entry = listing.get(at).unwrap_or_else(|| panic!("an entry is missing"));
        let bytes = archive.read(entry.index, 1 << 24).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(files.get(entry.path), Some(&bytes));
    }
}

struct Memory(Arc<std::sync::Mutex<Vec<u8>>>);

impl Sink for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How many archives the programs start from.
pub fn seed_count() -> usize {
    SEEDS.len()
}
