//! What a reader of version 3 must tolerate, what it must refuse, and that damage never passes for right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::version_3_support as support;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use support::craft::{self, Slice};
use support::fixtures;
use znippy::archive::{Archive, IndexBatches, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::extract;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};

fn open(bytes: Vec<u8>) -> Result<Archive> {
    let source = MemorySource::new(Arc::new(bytes));
    Archive::open_source(Box::new(source), &Options::new())
}

/// Everything that is readable, by path; and why the rest isn't.
fn contents(archive: &Archive) -> (BTreeMap<String, Vec<u8>>, BTreeMap<String, Error>) {
    let (mut found, mut failed) = (BTreeMap::new(), BTreeMap::new());
    let listing = archive.list(0, usize::MAX).unwrap();
    for position in 0..listing.len() {
        let entry = listing.get(position).unwrap();
        let path = String::from_utf8(entry.path.to_vec()).unwrap();
        if entry.kind == EntryKind::Directory as u8 {
            found.insert(path + "/", Vec::new());
            continue;
        }
        match archive.read(entry.index, 64 << 20) {
            Ok(bytes) => drop(found.insert(path, bytes)),
            Err(error) => drop(failed.insert(path, error)),
        }
    }
    (found, failed)
}

fn text<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, Vec<u8>> {
    files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn parts_with_other_columns_batches_and_orders_are_one_sorted_tree() {
    let mut made = craft::Archive::default();
    made.bytes.extend_from_slice(b"dead bytes of something that was replaced");
    let z = made.stored("z.txt", b"last");
    let pieces = [made.stored("m/two.txt", b"first half, "), made.stored("m/two.txt", b"second half")];
    let two: Vec<Slice> = vec![Slice { seq: 1, offset: 12, ..pieces[1].clone() }, pieces[0].clone()];
    let (a, b) = (made.stored("a.txt", b"first"), made.stored("b.txt", b""));
    made.data("", &[vec![z, two[0].clone()], vec![], vec![two[1].clone()]], true);
    made.bytes.extend_from_slice(b"more dead bytes");
    made.data_with("label", &[vec![b, a]], true, Some(("colour", "red")));
    made.fsmeta(&[
        ("", 2, 0o640),
        ("m", 0, 0o750),
        ("z.txt", 1, 0o600),
        ("gone.txt", 1, 0o777),
        ("odd", 9, 1),
        ("n/o", 0, 0),
    ]);
    made.part(-128, "", "__znippy_trie__", b"\x03not an Arrow stream", 0);
    made.part(-128, "", "__gunnar_objects__", b"neither", 7);
    made.behind = b"a trailer of any bytes".to_vec();
    let archive = Arc::new(open(made.finish()).unwrap());
    let (found, failed) = contents(&archive);
    assert!(failed.is_empty(), "{failed:?}");
    let expected = [
        ("a.txt", "first"),
        ("b.txt", ""),
        ("m/", ""),
        ("m/two.txt", "first half, second half"),
        ("n/o/", ""),
        ("z.txt", "last"),
    ];
    assert_eq!(found, text(expected));
    let listing = archive.list(0, usize::MAX).unwrap();
    let modes: Vec<Option<u32>> = (0..listing.len()).map(|at| listing.get(at).unwrap().attributes.mode).collect();
    assert_eq!(modes, [Some(0o640), Some(0o640), Some(0o750), Some(0o640), None, Some(0o600)]);
    assert_eq!(listing.get(0).unwrap().attributes.repo, Some("label"));
    assert_eq!(listing.get(3).unwrap().slices, 2);
    assert_eq!(archive.verify(&Options::new()).unwrap().unverified, 0);
    let batch =
        IndexBatches::new(Shared(Arc::clone(&archive)), &Options::new()).unwrap().next_batch().unwrap().unwrap();
    let colours = batch.column_by_name("colour").unwrap().as_string::<i32>();
    let red: Vec<usize> = (0..batch.num_rows()).filter(|row| colours.is_valid(*row)).collect();
    assert_eq!(red, [0]);
    let mut piece = [0; 8];
    assert_eq!(archive.read_at(3, 8, &mut piece).unwrap(), 8);
    assert_eq!(&piece, b"lf, seco");
}

struct Shared(Arc<Archive>);

impl AsRef<Archive> for Shared {
    fn as_ref(&self) -> &Archive {
        &self.0
    }
}

#[test]
fn what_has_no_checksum_is_read_and_said_to_be_unverified() {
    for how in ["no column", "null", "zeros"] {
        let mut made = craft::Archive::default();
        let mut rows =
            vec![made.stored("plain", b"one"), made.stored("sliced", b"two"), made.stored("sliced", b"three")];
        rows[2] = Slice { seq: 1, offset: 3, ..rows[2].clone() };
        rows.push(made.stored("empty", b""));
        rows.iter_mut().for_each(|row| row.checksum = (how == "zeros").then_some([0; 32]));
        made.data("", &[rows], how != "no column");
        let sure = made.stored("sure", b"four");
        made.data("", &[vec![sure]], true);
        let archive = open(made.finish()).unwrap();
        let (found, failed) = contents(&archive);
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(found, text([("empty", ""), ("plain", "one"), ("sliced", "twothree"), ("sure", "four")]), "{how}");
        let listing = archive.list(0, usize::MAX).unwrap();
        let entries: Vec<_> = (0..4).map(|at| listing.get(at).unwrap()).collect();
        let flags: Vec<bool> = entries.iter().map(|entry| entry.unverified).collect();
        assert_eq!(flags, [true, true, true, false], "{how}");
        assert_eq!(entries.iter().map(|entry| entry.hash.is_some()).collect::<Vec<_>>(), [false, false, false, true]);
        let stats = archive.verify(&Options::new()).unwrap();
        assert_eq!((stats.files, stats.unverified), (4, 3), "{how}");
        let out = tempfile::tempdir().unwrap();
        let mut options = Options::new();
        options.set(Key::Duplicates, 2).unwrap();
        extract::extract_all(&archive, &out.path().join("t"), &options).unwrap();
        assert_eq!(std::fs::read(out.path().join("t/sliced")).unwrap(), b"twothree");
        assert_eq!(std::fs::read(out.path().join("t/plain")).unwrap(), b"one");
        // Files whose hash nobody knows are compared by their bytes.
        assert_eq!(archive.diff_directory(&out.path().join("t"), &Options::new()).unwrap(), []);
        std::fs::write(out.path().join("t/plain"), "eno").unwrap();
        std::fs::write(out.path().join("t/sliced"), "twothreE").unwrap();
        assert_eq!(archive.diff_directory(&out.path().join("t"), &Options::new()).unwrap().len(), 2);
    }
}

#[test]
fn wrong_bytes_are_found_by_every_way_of_reading() {
    let mut made = craft::Archive::default();
    let mut rows = vec![made.stored("good", b"good"), made.stored("bad", b"right")];
    let at = rows[1].blob.0 as usize;
    made.bytes[at] ^= 1;
    rows.reverse();
    made.data("", &[rows], true);
    let archive = open(made.finish()).unwrap();
    let (found, failed) = contents(&archive);
    assert_eq!(found, text([("good", "good")]));
    assert_eq!(failed["bad"].status(), Status::Checksum);
    assert_eq!(archive.read_at(0, 2, &mut [0; 2]).unwrap_err().status(), Status::Checksum);
    let error = archive.verify(&Options::new()).unwrap_err();
    assert_eq!((error.status(), error.path()), (Status::Checksum, Some(&b"bad"[..])));
    let out = tempfile::tempdir().unwrap();
    let error = extract::extract_all(&archive, &out.path().join("t"), &Options::new()).unwrap_err();
    assert_eq!(error.status(), Status::Checksum);
    assert!(!out.path().join("t/bad").exists());
}

#[test]
fn deltas_and_frames_that_need_openzl_are_refused_and_nothing_else() {
    let mut made = craft::Archive::default();
    let plain = made.stored("plain", b"plain");
    let delta = made.stored("delta", b"\x05\x05copy and insert");
    let mut frame = made.stored("frame", &[0xD9, 0xA5, 0xB1, 0xD7, 0, 2, 9, 9, 9]);
    frame.compressed = true;
    made.data("", &[vec![plain, delta, frame]], true);
    made.deltas(&[("delta", 0, "plain"), ("delta", 7, "plain"), ("nothing", 0, "plain")]);
    let bytes = made.finish();
    let archive = open(bytes).unwrap();
    let (found, failed) = contents(&archive);
    assert_eq!(found, text([("plain", "plain")]));
    assert_eq!((failed["delta"].status(), failed["delta"].rule()), (Status::Unsupported, Some("older.delta")));
    assert_eq!((failed["frame"].status(), failed["frame"].rule()), (Status::Unsupported, Some("openzl.shape")));
    assert!(failed["frame"].message().contains("feature openzl"));
    let out = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::KeepGoing, 1).unwrap();
    let outcome = extract::extract_tree(&archive, &out.path().join("t"), &options).unwrap();
    assert_eq!((outcome.stats.files, outcome.stats.failed), (1, 2));
    assert_eq!(std::fs::read(out.path().join("t/plain")).unwrap(), b"plain");
    assert!(!out.path().join("t/delta").exists() && !out.path().join("t/frame").exists());
}

#[test]
fn sizes_that_are_not_there_reserve_nothing() {
    for (size, status) in [(u64::MAX, Status::Limit), (1 << 40, Status::Limit), (1 << 30, Status::Corrupt)] {
        let mut made = craft::Archive::default();
        let mut row = made.stored("bomb", &[0xD9, 0xA5, 0xB1, 0xD7, 3, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 1, 0, 0]);
        row.compressed = true;
        row.size = size;
        made.data("", &[vec![row]], true);
        let archive = open(made.finish()).unwrap();
        let error = archive.read_at(0, 0, &mut [0; 10]).unwrap_err();
        assert!(error.status() == status || error.rule() == Some("openzl.shape"), "{error:?}");
    }
}

#[test]
fn an_index_that_contradicts_itself_is_refused_with_the_name_of_the_entry() {
    let refused = |make: fn(&mut craft::Archive) -> Vec<Slice>| -> Error {
        let mut made = craft::Archive::default();
        let rows = make(&mut made);
        made.data("", &[rows], true);
        match open(made.finish()) {
            Ok(archive) => archive.verify(&Options::new()).unwrap_err(),
            Err(error) => error,
        }
    };
    let error = refused(|made| vec![made.stored("a", b"1"), made.stored("a", b"2")]);
    assert_eq!((error.rule(), error.path()), (Some("older.duplicate"), Some(&b"a"[..])));
    let error = refused(|made| vec![Slice { seq: 1, ..made.stored("a", b"1") }]);
    assert_eq!((error.rule(), error.path()), (Some("older.slices"), Some(&b"a"[..])));
    let error = refused(|made| vec![made.stored("a", b"11"), Slice { seq: 1, offset: 3, ..made.stored("a", b"2") }]);
    assert_eq!(error.rule(), Some("older.slices"), "a gap would read as zeros");
    let error = refused(|made| vec![Slice { offset: 1, ..made.stored("a", b"1") }]);
    assert_eq!(error.rule(), Some("older.slices"));
    let error = refused(|made| vec![made.stored("a", b"1"), made.stored("a/b", b"1")]);
    assert_eq!(error.rule(), Some("index.parent"));
    let error = refused(|made| vec![made.stored("../a", b"1")]);
    assert_eq!((error.status(), error.rule()), (Status::UnsafePath, Some("path.dotdot")));
    let error = refused(|made| vec![made.stored("/etc/passwd", b"1")]);
    assert_eq!(error.rule(), Some("path.absolute"));
    let error = refused(|made| vec![Slice { blob: (1 << 40, 1), ..made.stored("a", b"1") }]);
    assert_eq!(error.rule(), Some("index.blob"));
    let error = refused(|made| vec![Slice { blob: (0, 2), ..made.stored("a", b"1") }]);
    assert_eq!(error.rule(), Some("index.codec"));
}

#[test]
fn a_size_of_nothing_beside_the_checksum_of_something_is_no_empty_file() {
    let mut made = craft::Archive::default();
    let row = Slice { size: 0, ..made.stored("a", b"something") };
    made.data("", &[vec![row]], true);
    let archive = open(made.finish()).unwrap();
    let error = archive.read(0, 100).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some("index.checksum"), Some(&b"a"[..])));
    assert_eq!(archive.verify(&Options::new()).unwrap_err().rule(), Some("index.checksum"));
}

#[test]
fn an_archive_without_entries_is_one() {
    let mut made = craft::Archive::default();
    made.data("", &[vec![]], true);
    let archive = open(made.finish()).unwrap();
    assert_eq!((archive.entry_count(), archive.list(0, 9).unwrap().len()), (0, 0));
    assert_eq!(archive.verify(&Options::new()).unwrap().entries, 0);
    assert_eq!(archive.find(b"a").unwrap(), None);
}

#[test]
fn older_versions_and_unfinished_files_are_told_apart() {
    let whole = std::fs::read(&fixtures()[0].path).unwrap();
    let error = open(whole[..whole.len() / 2].to_vec()).err().unwrap();
    assert_eq!(error.status(), Status::NotArchive);
    // Version 0.6: blobs, one index, its offset.
    let mut made = craft::Archive::default();
    let row = made.stored("a", b"1");
    made.data("", &[vec![row]], true);
    let mut old = made.bytes;
    old.extend_from_slice(&1u64.to_le_bytes());
    let error = open(old).err().unwrap();
    assert_eq!((error.status(), error.rule()), (Status::Version, Some("footer.version")));
}

#[test]
fn an_archive_of_version_4_without_its_trailer_is_not_taken_for_one_of_version_3() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-4-example.znippy");
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - 72;
    bytes[at] ^= 1;
    let error = open(bytes).err().unwrap();
    assert_eq!((error.status(), error.rule()), (Status::Version, Some("trailer.magic")));
}
