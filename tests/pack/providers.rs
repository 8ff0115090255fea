//! Metadata providers: what they find stands on the rows of the files that they claim, and changes nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pack_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Float64Type, Int8Type, Int64Type, UInt32Type};
use pack_support::{Random, make_tree};
use znippy::archive::{Archive, IndexBatches, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::format::index::{Expected, Segment};
use znippy::format::row::Codecs;
use znippy::format::{ipc_guard, schema};
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Writer, pack_directory};
use znippy::provider::{ColumnType, MAX_FILE, Provider, ProviderColumn, ProviderRow};

/// Claims files whose length is a multiple of `every`, save those with `not` in their path.
struct Lengths {
    name: &'static str,
    pkg_type: i8,
    every: u64,
    not: &'static str,
    columns: Vec<ProviderColumn>,
    offered: Mutex<Vec<(String, usize)>>,
}

fn lengths(name: &'static str, pkg_type: i8, every: u64, not: &'static str) -> Arc<Lengths> {
    let column = |kind: &str, column_type| ProviderColumn { name: format!("{name}_{kind}"), column_type };
    let columns = vec![
        column("len", ColumnType::Int64),
        column("mean", ColumnType::Float64),
        column("path", ColumnType::Utf8),
        column("ends", ColumnType::Binary),
    ];
    Arc::new(Lengths { name, pkg_type, every, not, columns, offered: Mutex::default() })
}

/// First and last bytes, which shows that big files are put together in the right order.
fn ends(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..bytes.len().min(40)], &bytes[bytes.len().saturating_sub(40)..]].concat()
}

fn mean(bytes: &[u8]) -> f64 {
    bytes.iter().map(|byte| f64::from(*byte)).sum::<f64>() / bytes.len().max(1) as f64
}

impl Provider for Lengths {
    fn name(&self) -> &str {
        self.name
    }
    fn pkg_type(&self) -> i8 {
        self.pkg_type
    }
    fn columns(&self) -> &[ProviderColumn] {
        &self.columns
    }
    fn wants(&self, path: &[u8], _: u64) -> Result<bool> {
        Ok(!String::from_utf8_lossy(path).contains(self.not))
    }
    fn extract(&self, path: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool> {
        let path = String::from_utf8_lossy(path).into_owned();
        self.offered.lock().unwrap().push((path.clone(), bytes.len()));
        row.set_i64(0, bytes.len() as i64)?;
        if !bytes.is_empty() {
            row.set_f64(1, mean(bytes))?;
        }
        row.set_bytes(2, path.as_bytes())?;
        row.set_bytes(3, &ends(bytes))?;
        Ok((bytes.len() as u64).is_multiple_of(self.every))
    }
}

/// Fails on one path.
struct Fails(&'static str);

impl Provider for Fails {
    fn name(&self) -> &str {
        "fails"
    }
    fn pkg_type(&self) -> i8 {
        9
    }
    fn columns(&self) -> &[ProviderColumn] {
        &[]
    }
    fn wants(&self, path: &[u8], _: u64) -> Result<bool> {
        Ok(path == self.0.as_bytes())
    }
    fn extract(&self, _: &[u8], _: &[u8], _: &mut ProviderRow) -> Result<bool> {
        Err(Error::new(Status::Corrupt, "extract of provider fails reported -42"))
    }
}

fn options_with(values: &[(Key, i64)], providers: &[Arc<dyn Provider>]) -> Options {
    let mut options = pack_support::options(values);
    for provider in providers {
        options.add_provider(Arc::clone(provider)).unwrap();
    }
    options
}

fn pack(tree: &Path, values: &[(Key, i64)], providers: &[Arc<dyn Provider>]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    pack_directory(tree, &path, &options_with(values, providers)).unwrap();
    fs::read(path).unwrap()
}

fn open(bytes: &[u8]) -> Arc<Archive> {
    Arc::new(Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes.to_vec()))), &Options::new()).unwrap())
}

fn batches(archive: &Arc<Archive>) -> Vec<RecordBatch> {
    IndexBatches::new(Arc::clone(archive), &Options::new()).unwrap().map(Result::unwrap).collect()
}

/// By path: pkg_type and the four values of a provider, from first rows; later rows must have none.
type Values = (Option<i8>, Option<i64>, Option<f64>, Option<String>, Option<Vec<u8>>);
fn values(archive: &Arc<Archive>, provider: &str) -> BTreeMap<String, Values> {
    let mut found = BTreeMap::new();
    for batch in batches(archive) {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let own = |kind: &str| column(&format!("{provider}_{kind}"));
        for row in 0..batch.num_rows() {
            let valid = |array: &dyn Array| array.is_valid(row);
            let (pkg_type, len, mean) = (column("pkg_type"), own("len"), own("mean"));
            let (path, ends) = (own("path"), own("ends"));
            let values: Values = (
                valid(pkg_type).then(|| pkg_type.as_primitive::<Int8Type>().value(row)),
                valid(len).then(|| len.as_primitive::<Int64Type>().value(row)),
                valid(mean).then(|| mean.as_primitive::<Float64Type>().value(row)),
                valid(path).then(|| path.as_string::<i32>().value(row).to_owned()),
                valid(ends).then(|| ends.as_binary::<i32>().value(row).to_vec()),
            );
            if column("chunk_seq").as_primitive::<UInt32Type>().value(row) == 0 {
                found.insert(column("relative_path").as_string::<i32>().value(row).to_owned(), values);
            } else {
                assert_eq!(values, (None, None, None, None, None), "a later row has values");
            }
        }
    }
    found
}

fn tree_of_everything() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path(), 1);
    tree
}

#[test]
fn first_provider_that_says_yes_fills_its_columns() {
    let tree = tree_of_everything();
    let (even, all) = (lengths("even", 2, 2, "src/"), lengths("all", -127, 1, "copies/"));
    let providers: [Arc<dyn Provider>; 2] = [even.clone(), all.clone()];
    let archive = open(&pack(tree.path(), &[], &providers));
    archive.verify(&Options::new()).unwrap();
    let (of_even, of_all) = (values(&archive, "even"), values(&archive, "all"));
    let mut claimed = [0, 0, 0];
    let listing = archive.list(0, usize::MAX).unwrap();
    for i in 0..listing.len() {
        let entry = listing.get(i).unwrap();
        let name = schema_path(entry.path);
        let (by_even, by_all) = (&of_even[&name], &of_all[&name]);
        let is_file = entry.kind == 0 || entry.kind == 3;
        // A hard link has what its first name has.
        let asked = entry.attributes.link_target.filter(|_| entry.kind == 3).unwrap_or(entry.path);
        let asked = String::from_utf8_lossy(asked).into_owned();
        let bytes = if is_file { archive.read(entry.index, 1 << 30).unwrap() } else { Vec::new() };
        let some = (
            Some(bytes.len() as i64),
            (!bytes.is_empty()).then(|| mean(&bytes)),
            Some(asked.clone()),
            Some(ends(&bytes)),
        );
        let expected = |pkg_type| (Some(pkg_type), some.0, some.1, some.2.clone(), some.3.clone());
        let nothing = |pkg_type| (pkg_type, None, None, None, None);
        if is_file && !asked.contains("src/") && bytes.len().is_multiple_of(2) {
            assert_eq!((by_even, by_all), (&expected(2), &nothing(Some(2))), "{name}");
            claimed[0] += 1;
        } else if is_file && !asked.contains("copies/") {
            assert_eq!((by_even, by_all), (&nothing(Some(-127)), &expected(-127)), "{name}");
            claimed[1] += 1;
        } else {
            assert_eq!((by_even, by_all), (&nothing(None), &nothing(None)), "{name}");
            claimed[2] += 1;
        }
    }
    assert!(claimed.iter().all(|count| *count > 10), "{claimed:?}");
    // Each path once, with all of its bytes, hard links and duplicates included.
    let offered = all.offered.lock().unwrap();
    let paths: std::collections::BTreeSet<_> = offered.iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), offered.len());
    assert!(!paths.iter().any(|path| path.contains("zz-link")));
}

/// The column `relative_path`.
fn schema_path(path: &[u8]) -> String {
    znippy::format::path::display(path).into_owned()
}

#[test]
fn threads_and_memory_do_not_change_a_byte() {
    let tree = tree_of_everything();
    let mut digests = std::collections::BTreeSet::new();
    for threads in [1, 2, 3, 8] {
        for memory in [0, 100 << 20] {
            let providers: [Arc<dyn Provider>; 1] = [lengths("all", 1, 1, "none")];
            let values = [(Key::Threads, threads), (Key::MemoryLimit, memory)];
            digests.insert(blake3::hash(&pack(tree.path(), &values, &providers)).to_hex());
        }
    }
    assert_eq!(digests.len(), 1);
}

#[test]
fn payload_and_tree_digest_are_those_without_providers() {
    let tree = tree_of_everything();
    let without = pack(tree.path(), &[], &[]);
    let with = pack(tree.path(), &[], &[lengths("all", 1, 1, "none")]);
    let (plain, provided) = (open(&without), open(&with));
    let end = plain.manifest().payload_end() as usize;
    assert_eq!(provided.manifest().payload_end() as usize, end);
    assert_eq!(without[..end], with[..end]);
    assert_eq!(plain.tree_digest().unwrap(), provided.tree_digest().unwrap());
    assert_eq!(plain.index_schema().unwrap().fields().len() + 4, provided.index_schema().unwrap().fields().len());
    // Nothing is claimed: the columns are there all the same.
    let idle = open(&pack(tree.path(), &[], &[lengths("all", 1, 1, "")]));
    assert_eq!(idle.index_schema().unwrap(), provided.index_schema().unwrap());
    assert!(values(&idle, "all").values().all(|values| *values == (None, None, None, None, None)));
}

#[test]
fn every_segment_has_the_same_columns_and_says_what_it_has_throughout() {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..20_000 {
        // The directory itself is claimed by nobody, so the files are not in one.
        fs::write(tree.path().join(format!("{number:05}")), if number < 12_000 { "ab" } else { "abc" }).unwrap();
    }
    let even = || -> [Arc<dyn Provider>; 1] { [lengths("even", 5, 2, "none")] };
    let mut options = options_with(&[], &even());
    options.set_bytes(Key::Repo, b"stable").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    pack_directory(tree.path(), &path, &options).unwrap();
    let archive = open(&fs::read(&path).unwrap());
    let parts = &archive.manifest().segments;
    let labels: Vec<(i8, &str)> = parts.iter().map(|part| (part.pkg_type, part.repo.as_str())).collect();
    assert_eq!(labels, [(5, "stable"), (0, "stable"), (0, "stable")]);
    let names = |number: usize| {
        let schema = archive.load_segment(number).unwrap().batch().schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(0), names(2));
    assert_eq!(names(0)[schema::INDEX.len()..], ["even_len", "even_mean", "even_path", "even_ends"]);
}

#[test]
fn a_segment_of_later_rows_has_the_label_of_their_entry() {
    let tree = tempfile::tempdir().unwrap();
    // Bytes and holes in turn: 9,000 slices and so two segments.
    let file = fs::File::create(tree.path().join("slices")).unwrap();
    let mut piece = vec![0; 68 << 10];
    for number in 0..900u32 {
        piece[..4].copy_from_slice(&(number + 1).to_le_bytes());
        std::os::unix::fs::FileExt::write_at(&file, &piece[..4096], u64::from(number) * (68 << 10)).unwrap();
    }
    drop(file);
    let all: [Arc<dyn Provider>; 1] = [lengths("all", 7, 1, "none")];
    let archive = open(&pack(tree.path(), &[], &all));
    assert_eq!(archive.manifest().segments[0].pkg_type, 7);
    assert_eq!(values(&archive, "all")["slices"].1, Some(900 * (68 << 10) - (64 << 10)));
    // Slices of 64 KiB over 9,000 rows: the file is over 64 MiB, so that nobody is asked, and the label is none.
    let file = fs::File::create(tree.path().join("big")).unwrap();
    file.set_len(MAX_FILE + 1).unwrap();
    let all = lengths("all", 7, 1, "none");
    let providers: [Arc<dyn Provider>; 1] = [all.clone()];
    let archive = open(&pack(tree.path(), &[], &providers));
    assert_eq!(archive.manifest().segments[0].pkg_type, 0);
    assert_eq!(values(&archive, "all")["big"], (None, None, None, None, None));
    assert!(all.offered.lock().unwrap().iter().all(|(path, _)| path == "slices"));
}

#[test]
fn a_file_of_the_greatest_size_is_offered_whole() {
    let tree = tempfile::tempdir().unwrap();
    let bytes = Random::new(3).text(MAX_FILE as usize);
    fs::write(tree.path().join("file"), &bytes).unwrap();
    let all = lengths("all", 1, 1, "none");
    let archive = open(&pack(tree.path(), &[(Key::Level, 1), (Key::SliceSize, 1 << 20)], &[all]));
    let values = &values(&archive, "all")["file"];
    assert_eq!((values.1, values.2), (Some(64 << 20), Some(mean(&bytes))));
    assert_eq!(values.4.as_deref(), Some(&ends(&bytes)[..]));
}

/// What a writer is given one by one is offered as the files of a tree are.
#[test]
fn files_buffers_and_streams_are_offered_like_the_files_of_a_tree() {
    let tree = tree_of_everything();
    let all = lengths("all", 3, 2, "copies/");
    let providers: [Arc<dyn Provider>; 1] = [all.clone()];
    let packed = open(&pack(tree.path(), &[], &providers));
    let expected = values(&packed, "all");
    let mut offered = all.offered.lock().unwrap().split_off(0);
    offered.sort();
    let listing = packed.list(0, usize::MAX).unwrap();
    let names = (0..listing.len()).map(|at| listing.get(at).unwrap());
    // A hard link is a file of its own here, and offered as one.
    let names: Vec<Vec<u8>> = names.filter(|entry| entry.kind == 0).map(|entry| entry.path.to_vec()).collect();
    for way in 0..3 {
        for threads in [1, 3] {
            let all = lengths("all", 3, 2, "copies/");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("archive");
            let providers: [Arc<dyn Provider>; 1] = [all.clone()];
            let mut writer = Writer::create(&path, &options_with(&[(Key::Threads, threads)], &providers)).unwrap();
            for name in &names {
                let source = tree.path().join(std::ffi::OsStr::from_bytes(name));
                let entry = NewEntry::file(name);
                match way {
                    0 => writer.add_file(&source, name).unwrap(),
                    1 => writer.add_bytes(&entry, &fs::read(&source).unwrap()).unwrap(),
                    _ => {
                        let mut file = fs::File::open(&source).unwrap();
                        let read = |buffer: &mut [u8]| {
                            let most = buffer.len().min(300_000);
                            Ok(std::io::Read::read(&mut file, &mut buffer[..most]).unwrap())
                        };
                        writer.add_stream(&entry, read).unwrap();
                    }
                }
            }
            writer.finish().unwrap();
            let archive = open(&fs::read(&path).unwrap());
            archive.verify(&Options::new()).unwrap();
            let mut found = all.offered.lock().unwrap().split_off(0);
            found.sort();
            assert!(found == offered, "way {way}, {threads} threads");
            let found = values(&archive, "all");
            let links = expected.keys().filter(|path| !names.iter().any(|name| schema_path(name) == **path)).count();
            assert_eq!(found.len() + links, expected.len());
            assert!(found.iter().all(|(path, values)| expected[path] == *values));
        }
    }
}

#[test]
fn a_stream_that_turns_out_too_long_is_not_offered() {
    let all = lengths("all", 3, 1, "none");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let providers: [Arc<dyn Provider>; 1] = [all.clone()];
    let mut writer = Writer::create(&path, &options_with(&[], &providers)).unwrap();
    for more in [0, 1] {
        let mut left = MAX_FILE as usize + more;
        let read = |buffer: &mut [u8]| {
            let len = left.min(buffer.len());
            buffer[..len].fill(0);
            left -= len;
            Ok(len)
        };
        writer.add_stream(&NewEntry::file(format!("{more}").as_bytes()), read).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(*all.offered.lock().unwrap(), [("0".to_owned(), MAX_FILE as usize)]);
}

#[test]
fn each_tree_and_entry_has_the_label_of_when_it_was_added() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "bytes").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let mut options = Options::new();
    options.set_bytes(Key::Repo, b"from the options").unwrap();
    let mut writer = Writer::create(&path, &options).unwrap();
    let mut add = |label: Option<&[u8]>, prefix: &str| {
        if let Some(label) = label {
            writer.set_repo(label).unwrap();
        }
        writer.add_tree(tree.path(), prefix.as_bytes()).unwrap();
        writer.add_bytes(&NewEntry::file(format!("{prefix} bytes").as_bytes()), b"1").unwrap();
    };
    add(None, "a");
    add(Some(b"second"), "b");
    add(Some("dritte, für c".as_bytes()), "c");
    add(Some(b""), "d");
    assert_eq!(writer.set_repo(b"\xff").unwrap_err().status(), Status::InvalidArgument);
    writer.finish().unwrap();
    let archive = Archive::open(&path, &Options::new()).unwrap();
    let listing = archive.list(0, usize::MAX).unwrap();
    let entries = (0..listing.len()).map(|at| listing.get(at).unwrap());
    let labels: Vec<_> = entries.map(|entry| (entry.path.to_vec(), entry.attributes.repo.map(str::to_owned))).collect();
    assert_eq!(labels.len(), 12);
    for (path, label) in labels {
        let expected = match path[0] {
            b'a' => Some("from the options"),
            b'b' => Some("second"),
            b'c' => Some("dritte, für c"),
            _ => None,
        };
        assert_eq!(label.as_deref(), expected, "{}", path.escape_ascii());
    }
}

#[test]
fn failures_name_provider_and_file_and_end_the_job() {
    let tree = tree_of_everything();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    for file in ["src/module3/file3.c", "data/big.txt", "empty"] {
        for on_error in [0, 1] {
            let options = options_with(&[(Key::OnError, on_error)], &[Arc::new(Fails(file))]);
            let error = pack_directory(tree.path(), &path, &options).unwrap_err();
            assert_eq!(error.status(), Status::Corrupt, "{file}");
            assert!(error.message().contains("provider fails"), "{error}");
            let named = tree.path().join(file);
            assert_eq!(error.path().unwrap(), named.as_os_str().as_encoded_bytes());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn panics_of_a_provider_end_in_an_error() {
    struct Panics;
    impl Provider for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        fn pkg_type(&self) -> i8 {
            1
        }
        fn columns(&self) -> &[ProviderColumn] {
            &[]
        }
        fn wants(&self, _: &[u8], _: u64) -> Result<bool> {
            panic!("on purpose")
        }
        fn extract(&self, _: &[u8], _: &[u8], _: &mut ProviderRow) -> Result<bool> {
            Ok(false)
        }
    }
    let tree = tree_of_everything();
    let folder = tempfile::tempdir().unwrap();
    let options = options_with(&[], &[Arc::new(Panics)]);
    let error = pack_directory(tree.path(), &folder.path().join("archive"), &options).unwrap_err();
    assert_eq!(error.status(), Status::Panic);
}

#[test]
fn providers_are_released_with_the_last_options() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Provider for Counts {
        fn name(&self) -> &str {
            "counts"
        }
        fn pkg_type(&self) -> i8 {
            1
        }
        fn columns(&self) -> &[ProviderColumn] {
            &[]
        }
        fn wants(&self, _: &[u8], _: u64) -> Result<bool> {
            Ok(true)
        }
        fn extract(&self, _: &[u8], _: &[u8], _: &mut ProviderRow) -> Result<bool> {
            Ok(true)
        }
    }
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "bytes").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let options = options_with(&[], &[Arc::new(Counts(Arc::clone(&dropped)))]);
    let copy = options.clone();
    pack_directory(tree.path(), &folder.path().join("archive"), &options).unwrap();
    drop(options);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(copy);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

/// A segment with columns of a provider, as its stream, and what its row in the manifest says.
fn stream_with_columns() -> (Vec<u8>, usize) {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..12 {
        fs::write(tree.path().join(format!("file{number}")), vec![b'x'; number * 3]).unwrap();
    }
    let bytes = pack(tree.path(), &[(Key::PlainIndex, 1)], &[lengths("all", 1, 2, "file3")]);
    let archive = open(&bytes);
    let part = &archive.manifest().segments[0];
    (bytes[part.offset as usize..part.end() as usize].to_vec(), part.rows as usize)
}

#[test]
fn no_flipped_bit_of_such_a_segment_panics_or_gives_text_that_is_not_utf8() {
    let (stream, rows) = stream_with_columns();
    ipc_guard::check(&stream, &schema::INDEX, Some(rows)).unwrap();
    let expected = Expected {
        rows,
        entries: rows,
        first_path: b"",
        last_path: b"\xFF",
        payload_end: u64::from(u32::MAX),
        codecs: Codecs::Version4,
    };
    let mut refused = 0;
    for bit in 0..stream.len() * 8 {
        let mut flipped = stream.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Without a hash in front of it, so that the guard alone stands in the way.
        match Segment::decode(flipped, &expected) {
            Err(_) => refused += 1,
            Ok(segment) => {
                for column in segment.batch().columns() {
                    // Looks at every value.
                    column.to_data().validate_full().unwrap();
                }
            }
        }
    }
    assert!(refused > stream.len(), "{refused} of {} bits", stream.len() * 8);
}

#[test]
fn every_cut_of_such_a_segment_is_refused() {
    let (stream, rows) = stream_with_columns();
    for len in 0..stream.len() {
        assert!(ipc_guard::check(&stream[..len], &schema::INDEX, Some(rows)).is_err(), "{len}");
    }
}
