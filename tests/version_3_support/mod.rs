//! The fixtures of version 3 and what is in them.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub mod damaged;
pub mod parsed;

/// What an archive must have of a path.
#[derive(Debug)]
pub struct Expected {
    pub is_file: bool,
    pub mode: Option<u32>,
    pub size: u64,
    pub hash: Option<[u8; 32]>,
}

/// An archive of the fixtures.
pub struct Fixture {
    /// Version and name.
    pub name: String,
    pub path: PathBuf,
}

/// All fixtures, and those of another folder too where `ZNIPPY_FIXTURES_V3` names one: the big ones, for instance.
pub fn fixtures() -> Vec<Fixture> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v3");
    let other = std::env::var_os("ZNIPPY_FIXTURES_V3").map(PathBuf::from);
    let mut fixtures = Vec::new();
    for root in [Some(own), other].into_iter().flatten() {
        for version in ["0.7.2", "0.10.1"] {
            for entry in std::fs::read_dir(root.join(version)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{version}/{}", path.file_stem().unwrap().to_str().unwrap());
                fixtures.push(Fixture { name, path });
            }
        }
    }
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    fixtures.dedup_by(|a, b| a.name == b.name);
    fixtures
}

impl Fixture {
    /// Everything that is in it, by path.
    pub fn expected(&self) -> BTreeMap<String, Expected> {
        let (version, name) = self.name.split_once('/').unwrap();
        let mut expected = match name {
            "basic-appended" => tree("basic"),
            "crates-rust" => tree("crates"),
            name => tree(name),
        };
        if name == "basic-appended" {
            expected.extend(tree("patch"));
            // Appending records directories of nothing but what was there before.
            expected.remove("new");
        }
        if version == "0.7.2" {
            expected.retain(|_, expected| expected.is_file);
            expected.values_mut().for_each(|expected| expected.mode = None);
        }
        expected
    }
}

fn tree(name: &str) -> BTreeMap<String, Expected> {
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v3/trees.txt"));
    let mut found = BTreeMap::new();
    for line in list.unwrap().lines() {
        let fields: Vec<&str> = line.splitn(6, '|').collect();
        let [tree, kind, mode, size, hash, path] = fields[..] else { panic!("{line}") };
        if tree != name {
            continue;
        }
        let digit = |at: usize| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap();
        let expected = Expected {
            is_file: kind == "file",
            mode: Some(u32::from_str_radix(mode, 8).unwrap()),
            size: size.parse().unwrap(),
            hash: (hash.len() == 64).then(|| std::array::from_fn(digit)),
        };
        found.insert(path.to_owned(), expected);
    }
    assert!(!found.is_empty(), "{name}");
    found
}

/// xorshift64*, so that a failure can be had again from its seed and round.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, round: u64) -> Dice {
        Dice((seed << 32 | round).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.roll(last + 1));
        }
    }
}

/// A version 3 archive made by hand: every part is the caller's.
pub mod craft {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, FixedSizeBinaryArray, Int8Array, RecordBatch, StringArray, UInt8Array, UInt32Array,
        UInt64Array,
    };
    use arrow::ipc::writer::StreamWriter;
    use arrow_schema::{Field, Schema};
    use znippy::format::hash::hash;

    /// A row of a data part.
    #[derive(Clone)]
    pub struct Slice {
        pub path: String,
        pub seq: u32,
        pub offset: u64,
        pub compressed: bool,
        pub size: u64,
        pub blob: (u64, u64),
        pub checksum: Option<[u8; 32]>,
    }

    /// A row of the manifest, in the order of its columns.
    pub type Part = (i8, String, String, u64, u64, u64);

    #[derive(Default)]
    pub struct Archive {
        pub bytes: Vec<u8>,
        pub parts: Vec<Part>,
        /// What stands between the manifest and the footer.
        pub behind: Vec<u8>,
    }

    impl Archive {
        /// A stored blob; the row is of a file that is this one slice.
        pub fn stored(&mut self, path: &str, data: &[u8]) -> Slice {
            let at = self.bytes.len() as u64;
            self.bytes.extend_from_slice(data);
            let size = data.len() as u64;
            let checksum = Some(hash(data));
            Slice { path: path.into(), seq: 0, offset: 0, compressed: false, size, blob: (at, size), checksum }
        }

        /// A part of one batch for each list of rows.
        pub fn data(&mut self, repo: &str, batches: &[Vec<Slice>], with_checksum: bool) {
            self.data_with(repo, batches, with_checksum, None);
        }

        /// The same with a column of text.
        pub fn data_with(
            &mut self,
            repo: &str,
            batches: &[Vec<Slice>],
            with_checksum: bool,
            extra: Option<(&str, &str)>,
        ) {
            let batches: Vec<Vec<(&str, bool, ArrayRef)>> =
                batches.iter().map(|rows| columns(rows, with_checksum, extra)).collect();
            let rows = batches.iter().map(|columns| columns[0].2.len() as u64).sum();
            let stream = stream(&batches);
            self.part(0, repo, "", &stream, rows);
        }

        pub fn part(&mut self, pkg_type: i8, repo: &str, name: &str, bytes: &[u8], rows: u64) {
            let at = self.bytes.len() as u64;
            self.bytes.extend_from_slice(bytes);
            self.parts.push((pkg_type, repo.into(), name.into(), at, bytes.len() as u64, rows));
        }

        pub fn fsmeta(&mut self, records: &[(&str, u8, u32)]) {
            let stream = stream(&[vec![
                ("relative_path", false, text(records.iter().map(|record| record.0))),
                ("kind", false, Arc::new(UInt8Array::from_iter_values(records.iter().map(|record| record.1)))),
                ("mode", false, Arc::new(UInt32Array::from_iter_values(records.iter().map(|record| record.2)))),
            ]]);
            self.part(-128, "", "__znippy_fsmeta__", &stream, 0);
        }

        pub fn deltas(&mut self, records: &[(&str, u32, &str)]) {
            let stream = stream(&[vec![
                ("relative_path", false, text(records.iter().map(|record| record.0))),
                ("chunk_seq", false, Arc::new(UInt32Array::from_iter_values(records.iter().map(|record| record.1)))),
                ("base_path", false, text(records.iter().map(|record| record.2))),
            ]]);
            self.part(-128, "", "__znippy_delta__", &stream, 0);
        }

        pub fn finish(mut self) -> Vec<u8> {
            let numbers = |of: fn(&Part) -> u64| -> ArrayRef {
                Arc::new(UInt64Array::from_iter_values(self.parts.iter().map(of)))
            };
            let manifest = stream(&[vec![
                (
                    "pkg_type",
                    false,
                    Arc::new(Int8Array::from_iter_values(self.parts.iter().map(|part| part.0))) as ArrayRef,
                ),
                ("repo", false, text(self.parts.iter().map(|part| part.1.as_str()))),
                ("module_name", false, text(self.parts.iter().map(|part| part.2.as_str()))),
                ("index_offset", false, numbers(|part| part.3)),
                ("index_len", false, numbers(|part| part.4)),
                ("row_count", false, numbers(|part| part.5)),
            ]]);
            let at = self.bytes.len() as u64;
            self.bytes.extend_from_slice(&manifest);
            self.bytes.extend_from_slice(&self.behind);
            self.bytes.extend_from_slice(b"ZNPYMIDX");
            self.bytes.extend_from_slice(&at.to_le_bytes());
            self.bytes
        }
    }

    fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }

    fn columns<'a>(
        rows: &[Slice],
        with_checksum: bool,
        extra: Option<(&'a str, &'a str)>,
    ) -> Vec<(&'a str, bool, ArrayRef)> {
        let numbers =
            |of: fn(&Slice) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(rows.iter().map(of))) };
        let mut columns: Vec<(&str, bool, ArrayRef)> = vec![
            ("relative_path", false, text(rows.iter().map(|row| row.path.as_str()))),
            ("chunk_seq", false, Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.seq)))),
            ("fdata_offset", false, numbers(|row| row.offset)),
            ("compressed", false, Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.compressed))))),
            ("uncompressed_size", false, numbers(|row| row.size)),
            ("blob_offset", false, numbers(|row| row.blob.0)),
            ("blob_size", false, numbers(|row| row.blob.1)),
        ];
        if with_checksum {
            let checksums = rows.iter().map(|row| row.checksum);
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(checksums, 32).unwrap();
            columns.push(("checksum", true, Arc::new(array)));
        }
        if let Some((name, value)) = extra {
            let odd = rows.iter().enumerate().map(|(at, _)| (at % 2 == 1).then_some(value));
            columns.insert(0, (name, true, Arc::new(StringArray::from_iter(odd))));
        }
        columns
    }

    fn stream(batches: &[Vec<(&str, bool, ArrayRef)>]) -> Vec<u8> {
        let fields: Vec<Field> = batches[0]
            .iter()
            .map(|(name, nullable, array)| Field::new(*name, array.data_type().clone(), *nullable))
            .collect();
        let metadata = HashMap::from([("znippy_format_version".to_owned(), "3".to_owned())]);
        let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &schema).unwrap();
        for batch in batches {
            let columns = batch.iter().map(|(_, _, array)| Arc::clone(array)).collect();
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }
}
