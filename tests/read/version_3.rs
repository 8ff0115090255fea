//! Archives that znippy 0.7.2 and 0.10.1 wrote are read whole, byte for byte, by every way of reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::version_3_support as support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int8Type, UInt32Type, UInt64Type};
use support::{Expected, Fixture, fixtures};
use znippy::archive::{Archive, IndexBatches, Listing};
use znippy::error::Status;
use znippy::extract;
use znippy::format::hash::hash;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};
use znippy::pack;

struct Shared(Arc<Archive>);

impl AsRef<Archive> for Shared {
    fn as_ref(&self) -> &Archive {
        &self.0
    }
}

fn open(fixture: &Fixture) -> Archive {
    Archive::open(&fixture.path, &Options::new())
        .unwrap_or_else(|error| panic!("{}: {error:?}", fixture.path.display()))
}

fn all(archive: &Archive) -> Listing {
    archive.list(0, usize::MAX).unwrap()
}

#[test]
fn every_fixture_is_there() {
    let names: Vec<String> = fixtures().iter().map(|fixture| fixture.name.clone()).collect();
    for name in ["0.7.2/basic", "0.7.2/names", "0.7.2/many", "0.7.2/crates"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    for name in ["basic", "basic-appended", "names", "many", "crates", "crates-rust"] {
        assert!(names.iter().any(|found| *found == format!("0.10.1/{name}")), "{name}");
    }
}

#[test]
fn every_entry_is_listed_with_what_is_recorded_of_it() {
    for fixture in fixtures() {
        let archive = open(&fixture);
        let listing = all(&archive);
        let mut found = BTreeMap::new();
        for position in 0..listing.len() {
            let entry = listing.get(position).unwrap();
            let path = String::from_utf8(entry.path.to_vec()).unwrap();
            assert_eq!(archive.find(entry.path).unwrap(), Some(position as u64), "{path}");
            assert!(!entry.unverified, "{path}");
            let is_file = entry.kind == EntryKind::File as u8;
            let expected = Expected { is_file, mode: entry.attributes.mode, size: entry.size, hash: entry.hash };
            found.insert(path, expected);
        }
        let expected = fixture.expected();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", fixture.name);
        for (path, expected) in expected {
            let found = &found[&path];
            assert_eq!(
                (found.is_file, found.mode, found.size),
                (expected.is_file, expected.mode, expected.size),
                "{path}"
            );
            // Of several slices the hash of the whole is not recorded.
            assert!(found.hash.is_none() || found.hash == expected.hash, "{path}");
        }
        let info = archive.info();
        assert_eq!((info.format_version, info.entries, info.digest), (3, listing.len() as u64, [0; 32]));
        assert_eq!(archive.list(1, 2).unwrap().len(), 2);
        assert_eq!(archive.find(b"nothing/has/this/name").unwrap(), None);
    }
}

#[test]
fn every_file_is_read_whole_and_in_pieces() {
    for fixture in fixtures() {
        let archive = open(&fixture);
        for (path, expected) in fixture.expected() {
            let index = archive.find(path.as_bytes()).unwrap().unwrap();
            if !expected.is_file {
                assert_eq!(archive.read(index, u64::MAX).unwrap_err().status(), Status::InvalidArgument);
                continue;
            }
            let whole = archive.read(index, u64::MAX).unwrap();
            assert_eq!((whole.len() as u64, Some(hash(&whole))), (expected.size, expected.hash), "{path}");
            archive.verify_entry(index).unwrap();
            let len = whole.len();
            let mut starts =
                vec![0, 1, len / 3, len / 2, len.saturating_sub(1), len, len + 7, 104_857_599, 104_857_601];
            starts.retain(|start| *start <= len + 7);
            for start in starts {
                let mut piece = vec![0xAA; 4099];
                let read = archive.read_at(index, start as u64, &mut piece).unwrap();
                let rest = whole.get(start..).unwrap_or_default();
                assert_eq!(piece[..read], rest[..rest.len().min(4099)], "{path} {start}");
            }
        }
    }
}

#[test]
fn every_fixture_is_extracted_as_the_tree_that_it_came_from() {
    for fixture in fixtures() {
        let (archive, out) = (open(&fixture), tempfile::tempdir().unwrap());
        let stats = extract::extract_all(&archive, &out.path().join("tree"), &Options::new()).unwrap();
        let expected = fixture.expected();
        assert_eq!(stats.files as usize, expected.values().filter(|expected| expected.is_file).count());
        let mut on_disk = 0;
        for entry in walkdir::WalkDir::new(out.path().join("tree")).min_depth(1) {
            on_disk += usize::from(entry.unwrap().file_type().is_file());
        }
        assert_eq!(on_disk as u64, stats.files);
        for (path, expected) in expected {
            let place = out.path().join("tree").join(&path);
            let metadata = place.symlink_metadata().unwrap();
            assert_eq!(metadata.is_file(), expected.is_file, "{path}");
            if expected.is_file {
                assert_eq!(Some(hash(&std::fs::read(&place).unwrap())), expected.hash, "{path}");
            }
            if let Some(mode) = expected.mode {
                assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
            }
        }
        let index = archive.find(fixture.expected().iter().find(|(_, e)| e.is_file).unwrap().0.as_bytes()).unwrap();
        extract::extract_entry(&archive, index.unwrap(), &out.path().join("one"), &Options::new()).unwrap();
        // Directories alone differ: those that have no entry of their own.
        for difference in archive.diff_directory(&out.path().join("tree"), &Options::new()).unwrap() {
            let kind = difference.new.as_ref().map(|side| side.kind);
            assert_eq!((difference.old.is_none(), kind), (true, Some(EntryKind::Directory as u8)), "{difference:?}");
        }
    }
}

#[test]
fn every_row_is_in_the_arrow_export() {
    for fixture in fixtures() {
        let archive = Arc::new(open(&fixture));
        let batches = IndexBatches::new(Shared(Arc::clone(&archive)), &Options::new()).unwrap();
        let expected = fixture.expected();
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for batch in batches {
            let batch = batch.unwrap();
            let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("{name}"));
            let (paths, sequence) = (column("relative_path").as_string::<i32>(), column("chunk_seq"));
            let lens = column("uncompressed_size").as_primitive::<UInt64Type>();
            let checksums = column("checksum").as_fixed_size_binary();
            for row in 0..batch.num_rows() {
                let path = paths.value(row);
                *sizes.entry(path.to_owned()).or_default() += lens.value(row);
                let expected = &expected[path];
                let whole = lens.value(row) == expected.size && sequence.as_primitive::<UInt32Type>().value(row) == 0;
                if expected.is_file && whole {
                    assert_eq!(Some(checksums.value(row)), expected.hash.as_ref().map(|hash| &hash[..]), "{path}");
                }
            }
        }
        assert_eq!(sizes.len(), expected.len());
        assert!(expected.iter().all(|(path, expected)| sizes[path] == expected.size));
    }
}

#[test]
fn verification_counts_every_file() {
    for fixture in fixtures() {
        for quick in [false, true] {
            let archive = open(&fixture);
            let stats =
                if quick { archive.verify_quick(&Options::new()) } else { archive.verify(&Options::new()) }.unwrap();
            let files = fixture.expected().values().filter(|expected| expected.is_file).count() as u64;
            assert_eq!((stats.files, stats.unverified, stats.failed), (files, 0, 0), "{}", fixture.name);
            assert_eq!(stats.bytes_in, fixture.expected().values().map(|expected| expected.size).sum::<u64>());
        }
    }
}

#[test]
fn columns_of_packages_and_metadata_are_columns_of_the_index() {
    let rust = fixtures().into_iter().find(|fixture| fixture.name == "0.10.1/crates-rust").unwrap();
    let archive = Arc::new(open(&rust));
    let mut batches = IndexBatches::new(Shared(archive), &Options::new()).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    let names = batch.column_by_name("crate_name").unwrap().as_string::<i32>();
    assert_eq!(names.iter().collect::<Vec<_>>(), [Some("alpha"), Some("beta-core"), Some("gamma"), None]);
    let versions = batch.column_by_name("version").unwrap().as_string::<i32>();
    assert_eq!(versions.value(2), "0.4.0-rc.1");
    let types = batch.column_by_name("pkg_type").unwrap().as_primitive::<Int8Type>();
    assert_eq!(types.iter().collect::<Vec<_>>(), [Some(1), Some(1), Some(1), None]);
    assert_eq!(batch.column_by_name("deps").unwrap().as_list::<i32>().len(), 4);
    assert!(batches.next_batch().unwrap().is_none());

    let appended = fixtures().into_iter().find(|fixture| fixture.name == "0.10.1/basic-appended").unwrap();
    let archive = Arc::new(open(&appended));
    assert_eq!(archive.manifest().metadata.get("meta.build").map(String::as_str), Some("42"));
    let mut batches = IndexBatches::new(Shared(archive), &Options::new()).unwrap();
    let batch = batches.next_batch().unwrap().unwrap();
    let origins = batch.column_by_name("meta.origin").unwrap().as_string::<i32>();
    let paths = batch.column_by_name("relative_path").unwrap().as_string::<i32>();
    for (path, origin) in paths.iter().zip(origins.iter()) {
        assert_eq!(origin, (path == Some("a.txt")).then_some("patch"), "{path:?}");
    }
}

#[test]
fn what_takes_blobs_as_they_are_refuses_version_3() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a.txt"), "a").unwrap();
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == "0.10.1/basic").unwrap();
    let archive = Arc::new(open(&fixture));
    let mut options = Options::new();
    options.set_base(Some(Arc::new(Shared(archive))));
    let error = pack::pack_directory(&tree, &dir.path().join("new.znippy"), &options).unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Unsupported, Some("older.read_only")));
    let copy = dir.path().join("copy.znippy");
    std::fs::copy(&fixture.path, &copy).unwrap();
    let error = pack::Writer::append(&copy, &Options::new()).err().unwrap();
    assert_eq!((error.status(), error.rule()), (Status::Unsupported, Some("older.read_only")));
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&fixture.path).unwrap());
}

#[test]
fn a_memory_limit_that_the_index_exceeds_is_an_error() {
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == "0.10.1/many").unwrap();
    let mut options = Options::new();
    options.set(Key::MemoryLimit, 10_000).unwrap();
    let error = Archive::open(&fixture.path, &options).err().unwrap();
    assert_eq!((error.status(), error.rule()), (Status::Limit, Some("limit.index")));
}

#[test]
fn trees_of_both_versions_differ_in_nothing_but_what_the_older_one_does_not_keep() {
    let find = |name: &str| open(&fixtures().into_iter().find(|fixture| fixture.name == name).unwrap());
    for name in ["basic", "many", "names"] {
        let (old, new) = (find(&format!("0.7.2/{name}")), find(&format!("0.10.1/{name}")));
        let differences = old.diff(&new, &Options::new()).unwrap();
        for difference in differences {
            let kind = difference.new.as_ref().map(|side| side.kind);
            assert_eq!(kind, Some(EntryKind::Directory as u8), "{difference:?}");
            assert!(difference.old.is_none());
        }
    }
}
