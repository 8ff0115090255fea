//! The exchange profile: archives of format version 3 that carry files and their bytes, and say what they don't carry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pack_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pack_support::make_tree;
use znippy::archive::Archive;
use znippy::error::{Result, Status};
use znippy::format::row::EntryKind;
use znippy::format::v3::columns;
use znippy::format::v3::manifest;
use znippy::format::v3::openzl::{self, Content};
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Sink, Writer, pack_directory};
use znippy::{extract, stats::Stats};

fn profile() -> Options {
    let mut options = Options::new();
    options.set(Key::Profile, 1).unwrap();
    options
}

/// Files of a tree by path.
fn files(root: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            found.insert(path, fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn pack(tree: &Path, archive: &Path, options: &mut Options) -> (Stats, Vec<String>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let messages = Arc::clone(&log);
    options.set_log(Some(Arc::new(move |_, message: &str| messages.lock().unwrap().push(message.to_owned()))));
    let stats = pack_directory(tree, archive, options).unwrap();
    options.set_log(None);
    let messages = log.lock().unwrap().clone();
    (stats, messages)
}

#[test]
fn files_come_back_and_all_else_is_counted_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    make_tree(&tree, 1);
    fs::create_dir_all(tree.join("void/inner")).unwrap();
    fs::create_dir_all(tree.join("used/inner")).unwrap();
    fs::write(tree.join("used/inner/file"), "x").unwrap();
    std::os::unix::fs::symlink("used", tree.join("a-link")).unwrap();
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"odd-\xFF")), "not UTF-8").unwrap();
    fs::hard_link(tree.join("used/inner/file"), tree.join("second-name")).unwrap();
    fs::write(tree.join("holes"), vec![0; 300_000]).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    let archive = dir.path().join("a.znippy");
    let (stats, log) = pack(&tree, &archive, &mut profile());
    let mut expected = files(&tree);
    expected.retain(|path, _| std::str::from_utf8(path).is_ok());
    for left_out in ["left out: a-link: symbolic links", "left out: odd-\\xff: names", "left out: void/inner: empty"] {
        assert!(log.iter().any(|line| line.starts_with(left_out)), "{left_out}: {log:?}");
    }
    assert!(!log.iter().any(|line| line.starts_with("left out: void:") || line.contains("out: used")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("hard links are files")), "{log:?}");
    assert!(log.iter().any(|line| line.starts_with("modes, modification times")), "{log:?}");
    let named = log.iter().filter(|line| line.starts_with("left out: ")).count() as u64;
    assert_eq!((stats.skipped, stats.files), (named, expected.len() as u64));

    let opened = Archive::open(&archive, &Options::new()).unwrap();
    assert_eq!((opened.info().format_version, opened.entry_count()), (3, expected.len() as u64));
    assert_eq!(opened.verify(&Options::new()).unwrap().unverified, 0);
    extract::extract_all(&opened, &dir.path().join("back"), &Options::new()).unwrap();
    assert!(files(&dir.path().join("back")) == expected);
}

#[test]
fn the_file_is_what_the_older_readers_demand() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    make_tree(&tree, 1);
    let big: Vec<u8> = (0..3_000_000u32).flat_map(|i| (i / 5).to_le_bytes()).collect();
    fs::write(tree.join("big"), &big).unwrap();
    fs::write(tree.join("zeros"), vec![0; 9 << 20]).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    let archive = dir.path().join("a.znippy");
    pack(&tree, &archive, &mut profile());
    let bytes = fs::read(&archive).unwrap();
    let at = u64::from_le_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
    let parts = manifest::decode(bytes[at as usize..bytes.len() - 16].to_vec(), at).unwrap();
    let [part, lookup] = &parts[..] else { panic!("{parts:?}") };
    // By this section 0.10 gets single files; it is the data part once more, so that 0.7.2 reads right what it takes for data.
    assert_eq!((lookup.pkg_type, lookup.module_name.as_str()), (-128, "__znippy_lookup__"));
    assert_eq!((lookup.offset, lookup.len, lookup.rows), (part.offset, part.len, part.rows));
    assert_eq!((part.pkg_type, part.repo.as_str(), part.module_name.as_str()), (0, "", ""));
    let batches = columns::decode(bytes[part.offset as usize..(part.offset + part.len) as usize].to_vec()).unwrap();
    let (mut seen, mut slices) = (BTreeMap::new(), 0);
    for rows in &batches {
        for i in 0..rows.len() {
            let row = rows.get(i);
            assert!(row.checksum != [0; 32]);
            assert!(row.size > 0 || (!row.compressed && row.blob_size == 0), "{row:?}");
            assert_eq!(row.offset, *seen.get(row.path).unwrap_or(&0), "{}: slices leave no hole", row.path);
            *seen.entry(row.path.to_owned()).or_insert(0) += row.size;
            if row.compressed {
                let blob = &bytes[row.blob_offset as usize..(row.blob_offset + row.blob_size) as usize];
                assert!(matches!(openzl::parse(blob, row.size).unwrap(), Content::Zstd(_)));
            } else {
                assert_eq!(row.blob_size, row.size);
            }
            slices += 1;
        }
    }
    assert_eq!(slices as u64, part.rows);
    assert_eq!((seen["big"], seen["zeros"], seen["empty"]), (12_000_000, 9 << 20, 0));
    assert!(slices > seen.len());
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    make_tree(&tree, 1);
    let mut made = Vec::new();
    for threads in [1, 2, 5] {
        let path = dir.path().join(format!("{threads}.znippy"));
        pack(&tree, &path, profile().set(Key::Threads, threads).unwrap());
        made.push(fs::read(path).unwrap());
    }
    assert!(made[0] == made[1] && made[1] == made[2]);
}

struct Collect(Arc<Mutex<Vec<u8>>>);

impl Sink for Collect {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_makes_such_archives_into_a_sink_too() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let mut writer = Writer::to_sink(Box::new(Collect(Arc::clone(&made))), &profile());
    writer.add_bytes(&NewEntry::file(b"b.txt"), b"text").unwrap();
    writer.add_bytes(&NewEntry::file(b"a/empty"), b"").unwrap();
    let mut left = 10_000_000usize;
    writer
        .add_stream(&NewEntry::file(b"a/stream"), |buffer| {
            let len = left.min(buffer.len()).min(70_001);
            buffer[..len].fill(b's');
            left -= len;
            Ok(len)
        })
        .unwrap();
    writer.add_bytes(&NewEntry::new(b"dir", EntryKind::Directory), b"").unwrap();
    let stats = writer.finish().unwrap();
    assert_eq!((stats.files, stats.skipped), (3, 1));
    let bytes = made.lock().unwrap().clone();
    let source = znippy::archive::MemorySource::new(Arc::new(bytes));
    let archive = Archive::open_source(Box::new(source), &Options::new()).unwrap();
    let read = |path: &[u8]| archive.read(archive.find(path).unwrap().unwrap(), u64::MAX).unwrap();
    assert_eq!((read(b"b.txt"), read(b"a/empty")), (b"text".to_vec(), Vec::new()));
    assert!(read(b"a/stream") == vec![b's'; 10_000_000]);
}

#[test]
fn nothing_makes_an_archive_too() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let archive = dir.path().join("a.znippy");
    pack(&tree, &archive, &mut profile());
    assert_eq!(Archive::open(&archive, &Options::new()).unwrap().entry_count(), 0);
}

#[test]
fn appending_and_bases_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    make_tree(&tree, 1);
    let archive = dir.path().join("a.znippy");
    pack_directory(&tree, &archive, &Options::new()).unwrap();
    let error = Writer::append(&archive, &profile()).err().unwrap();
    assert_eq!(error.status(), Status::InvalidArgument);
    struct Base(Archive);
    impl AsRef<Archive> for Base {
        fn as_ref(&self) -> &Archive {
            &self.0
        }
    }
    let mut options = profile();
    options.set_base(Some(Arc::new(Base(Archive::open(&archive, &Options::new()).unwrap()))));
    let error = pack_directory(&tree, &dir.path().join("b.znippy"), &options).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(!dir.path().join("b.znippy").exists());
}
