//! What an archive says of its own bytes is checked before bytes that were read rest on it: a base, and one that is appended
//! to. What a base says of files that are not read is checked by option.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::extract_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use extract_support::{Builder, MODE, MTIME, OwnRow, noise};
use znippy::archive::Archive;
use znippy::error::{Error, Result, Status};
use znippy::format::codec::Compressor;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Writer, pack_directory};
use znippy::progress::CancelToken;

struct Base(Archive);

impl AsRef<Archive> for Base {
    fn as_ref(&self) -> &Archive {
        &self.0
    }
}

struct Place {
    folder: tempfile::TempDir,
    tree: PathBuf,
    old: PathBuf,
    new: PathBuf,
}

impl Place {
    /// A tree of these files, with the times and modes of what a builder makes, and an archive to start from.
    fn new(files: &[(&str, &[u8])], old: &Builder) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let place = Place { tree: at("tree"), old: at("old"), new: at("new"), folder };
        for (name, bytes) in files {
            place.write(name, bytes);
        }
        fs::write(&place.old, old.bytes()).unwrap();
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.tree.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).unwrap();
        fs::File::open(&path).unwrap().set_modified(UNIX_EPOCH + Duration::from_nanos(MTIME as u64)).unwrap();
    }

    fn options(&self, check: i64) -> Options {
        let mut options = Options::new();
        options.set(Key::BaseCheck, check).unwrap();
        options.set_base(Some(Arc::new(Base(open(&self.old)))));
        options
    }

    fn pack(&self, check: i64) -> Result<Archive> {
        pack_directory(&self.tree, &self.new, &self.options(check))?;
        let archive = open(&self.new);
        archive.verify(&Options::new())?;
        Ok(archive)
    }

    /// An error that names entry and archive, and leaves nothing behind.
    fn check_refused(&self, refused: Result<Archive>, rule: &str, entry: &str) {
        let error = refused.map(drop).unwrap_err();
        assert_eq!((error.status(), error.rule()), (Status::Checksum, Some(rule)), "{error}");
        assert_eq!(error.path(), Some(entry.as_bytes()), "{error}");
        assert!(error.message().contains(self.old.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2, "tree and old archive");
    }

    fn append(&self) -> Result<Archive, Error> {
        let mut writer = Writer::append(&self.old, &Options::new())?;
        writer.add_tree(&self.tree, b"")?;
        writer.finish()?;
        let archive = open(&self.old);
        archive.verify(&Options::new())?;
        Ok(archive)
    }
}

fn open(path: &Path) -> Archive {
    Archive::open(path, &Options::new()).unwrap()
}

fn bytes_of(archive: &Archive, path: &str) -> Vec<u8> {
    archive.read(archive.find(path.as_bytes()).unwrap().unwrap(), 1 << 30).unwrap()
}

/// An archive in which `name` is said to hold `said` where `held` stands; both are equally long.
fn liar(name: &str, said: &[u8], held: &[u8], compress: bool) -> Builder {
    let mut builder = Builder::new();
    builder.file("honest", b"some bytes that really are there");
    let at = builder.block(held, compress);
    builder.slice_file(name.as_bytes(), said, Some(at), EntryKind::File, None);
    builder
}

const SAID: &[u8] = b"bytes that are all the same length";
const HELD: &[u8] = b"bytes that are no what they should";

#[test]
fn a_base_that_lies_about_a_file_that_is_not_read_is_refused_where_that_is_asked_for() {
    for compress in [false, true] {
        let place = Place::new(&[("wrong", SAID)], &liar("wrong", SAID, HELD, compress));
        place.check_refused(place.pack(2), "slice.hash", "wrong");
        // Else it is believed, as it is about which file that is.
        pack_directory(&place.tree, &place.new, &place.options(0)).unwrap();
    }
}

#[test]
fn a_blob_that_is_no_frame_of_its_block_is_refused_without_decoding() {
    let mut builder = Builder::new();
    let (short, mut frame) = (noise(3, 60_000).repeat(2), Vec::new());
    Compressor::new(3, 4 << 20).unwrap().compress(&short, &mut frame, &CancelToken::new()).unwrap();
    let longer = [&short[..], b"and more"].concat();
    let at = builder.stored_block(&frame, longer.len() as u64);
    builder.slice_file(b"longer", &longer, Some(at), EntryKind::File, None);
    let place = Place::new(&[("longer", &longer)], &builder);
    for check in [0, 2] {
        let error = place.pack(check).map(drop).unwrap_err();
        assert_eq!((error.status(), error.rule()), (Status::Corrupt, Some("codec.frame")), "{error}");
    }
}

#[test]
fn a_base_that_lies_about_bytes_that_were_read_is_refused() {
    for (name, check) in [("wrong", 1), ("another name", 0), ("another name", 2)] {
        // What makes the blob worth copying is another file in it, of which all is true.
        let mut builder = Builder::new();
        let at = builder.block(&[HELD, SAID, SAID].concat(), false);
        let later = znippy::format::row::Location { block_offset: HELD.len() as u64, ..at };
        builder.slice_file(b"right", &[SAID, SAID].concat(), Some(later), EntryKind::File, None);
        builder.slice_file(b"wrong", SAID, Some(at), EntryKind::File, None);
        let place = Place::new(&[("right", &[SAID, SAID].concat()), (name, SAID)], &builder);
        place.check_refused(place.pack(check), "slice.hash", "wrong");
        // Where nothing rests on it, it does no harm.
        fs::remove_file(place.tree.join(name)).unwrap();
        place.pack(check).unwrap();
    }
}

#[test]
fn a_base_that_lies_about_the_hash_of_a_whole_file_is_refused() {
    let mut builder = Builder::new();
    let (first, second) = (noise(1, 70_000), noise(2, 50_000));
    let whole = [&first[..], &second].concat();
    let at = builder.block(&first, false);
    builder.slice_file(b"big", &first, Some(at), EntryKind::File, None);
    let at = builder.block(&second, false);
    builder.rows[0].attributes.as_mut().unwrap().file_size = Some(whole.len() as u64);
    let next = OwnRow {
        chunk_seq: 1,
        offset: first.len() as u64,
        size: second.len() as u64,
        checksum: *blake3::hash(&second).as_bytes(),
        location: Some(at),
        attributes: None,
        ..builder.rows[0].clone()
    };
    builder.rows.push(next);
    let mut honest = true;
    for hash in [*blake3::hash(&whole).as_bytes(), [7; 32]] {
        builder.rows[0].attributes.as_mut().unwrap().file_hash = Some(hash);
        let place = Place::new(&[("big", &whole)], &builder);
        if honest {
            assert!(bytes_of(&place.pack(2).unwrap(), "big") == whole);
        } else {
            place.check_refused(place.pack(2), "file.hash", "big");
        }
        honest = false;
    }
}

#[test]
fn two_slices_of_one_checksum_are_equally_long() {
    let mut builder = Builder::new();
    let at = builder.block(SAID, false);
    builder.slice_file(b"a", SAID, Some(at), EntryKind::File, None);
    builder.slice_file(b"b", SAID, Some(at), EntryKind::File, None);
    (builder.rows[1].size, builder.rows[1].attributes.as_mut().unwrap().file_size) = (7, Some(7));
    let place = Place::new(&[("a", SAID), ("b", &SAID[..7])], &builder);
    for check in [0, 2] {
        place.check_refused(place.pack(check), "slice.hash", "b");
    }
}

#[test]
fn an_archive_that_lies_is_not_appended_to_where_new_bytes_would_rest_on_it() {
    for compress in [false, true] {
        let place = Place::new(&[("new", SAID)], &liar("wrong", SAID, HELD, compress));
        let before = fs::read(&place.old).unwrap();
        place.check_refused(place.append(), "slice.hash", "wrong");
        assert!(fs::read(&place.old).unwrap() == before);
        place.write("new", HELD);
        let mut writer = Writer::append(&place.old, &Options::new()).unwrap();
        writer.add_tree(&place.tree, b"").unwrap();
        writer.finish().unwrap();
        assert_eq!(bytes_of(&open(&place.old), "new"), HELD);
    }
}

#[test]
fn a_base_serves_trees_below_prefixes_beside_what_is_still_being_packed() {
    let mut builder = Builder::new();
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|number| (format!("{number:02}"), noise(number, 50_000))).collect();
    for part in files.chunks(10) {
        builder.files(
            &part.iter().map(|(name, bytes)| (format!("below/{name}"), bytes.clone())).collect::<Vec<_>>(),
            false,
        );
    }
    let place = Place::new(&[], &builder);
    for (name, bytes) in &files {
        place.write(name, bytes);
    }
    // A file that stands in the base under another path, with other bytes: nothing of it is believed.
    let mut writer = Writer::create(&place.new, &place.options(0)).unwrap();
    let big = noise(99, 9 << 20);
    for round in 0..3 {
        writer.add_bytes(&NewEntry::file(format!("buffer {round}").as_bytes()), &big[round..]).unwrap();
        let prefix = ["below", "again", "and again"][round];
        writer.add_tree(&place.tree, prefix.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let new = open(&place.new);
    new.verify(&Options::new()).unwrap();
    for (name, bytes) in &files {
        for prefix in ["below", "again", "and again"] {
            assert!(bytes_of(&new, &format!("{prefix}/{name}")) == *bytes);
        }
    }
    for round in 0..3 {
        assert!(bytes_of(&new, &format!("buffer {round}")) == big[round..]);
    }
    let once: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let held: u64 = new.blob_records().unwrap().iter().map(|blob| blob.decoded).sum();
    assert_eq!(held, once + 3 * big.len() as u64 - 3, "blobs are copied once");
}

#[test]
fn a_file_counts_as_unchanged_by_its_path_in_the_archive() {
    let mut builder = Builder::new();
    builder.file("below/name", HELD);
    builder.file("name", SAID);
    for (prefix, at_root) in [("", true), ("below", false)] {
        let place = Place::new(&[("name", b"bytes that nobody has seen before!")], &builder);
        let mut writer = Writer::create(&place.new, &place.options(0)).unwrap();
        writer.add_tree(&place.tree, prefix.as_bytes()).unwrap();
        writer.finish().unwrap();
        let path = if at_root { "name" } else { "below/name" };
        assert_eq!(bytes_of(&open(&place.new), path), if at_root { SAID } else { HELD }, "the documented limit");
    }
}
