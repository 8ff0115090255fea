//! Packing against a base archive gives the tree that a full pack gives, without reading what has not changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pack_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pack_support::{Random, make_tree, options, read_back};
use znippy::archive::{Archive, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::options::{Key, Options};
use znippy::pack::pack_directory;
use znippy::provider::{Provider, ProviderColumn, ProviderRow};
use znippy::stats::Stats;

struct Base(Archive);

impl AsRef<Archive> for Base {
    fn as_ref(&self) -> &Archive {
        &self.0
    }
}

fn with_base(archive: &Path, values: &[(Key, i64)]) -> Options {
    let mut options = options(values);
    options.set_base(Some(Arc::new(Base(Archive::open(archive, &Options::new()).unwrap()))));
    options
}

struct Trees {
    folder: tempfile::TempDir,
    tree: PathBuf,
    old: PathBuf,
    new: PathBuf,
}

impl Trees {
    /// A tree with everything, and its archive.
    fn new() -> Trees {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let trees = Trees { tree: at("tree"), old: at("old"), new: at("new"), folder };
        fs::create_dir(&trees.tree).unwrap();
        make_tree(&trees.tree, 1);
        pack_directory(&trees.tree, &trees.old, &Options::new()).unwrap();
        trees
    }

    fn repack(&self, values: &[(Key, i64)]) -> Result<Stats> {
        pack_directory(&self.tree, &self.new, &with_base(&self.old, &[values, &[(Key::Overwrite, 1)]].concat()))
    }

    /// What was packed against the base is what a full pack has, and sound.
    fn check(&self) -> Archive {
        let full = self.folder.path().join("full");
        pack_directory(&self.tree, &full, &options(&[(Key::Overwrite, 1)])).unwrap();
        let (full, new) = (open(&full), open(&self.new));
        new.verify(&Options::new()).unwrap();
        assert_eq!(new.tree_digest().unwrap(), full.tree_digest().unwrap());
        assert_eq!(read_back(&new).unwrap(), read_back(&full).unwrap());
        new
    }

    /// Other bytes of the same length under the same time, which nothing but reading tells.
    fn change_secretly(&self, name: &str) {
        let path = self.tree.join(name);
        let mtime = fs::metadata(&path).unwrap().modified().unwrap();
        let bytes: Vec<u8> = fs::read(&path).unwrap().iter().map(|byte| byte ^ 1).collect();
        fs::write(&path, bytes).unwrap();
        fs::File::open(&path).unwrap().set_modified(mtime).unwrap();
    }
}

fn open(path: &Path) -> Archive {
    Archive::open(path, &Options::new()).unwrap()
}

fn bytes_of(archive: &Archive, path: &str) -> Vec<u8> {
    archive.read(archive.find(path.as_bytes()).unwrap().unwrap(), 1 << 30).unwrap()
}

#[test]
fn nothing_changed_nothing_is_compressed() {
    let trees = Trees::new();
    let stats = trees.repack(&[]).unwrap();
    let new = trees.check();
    let hashes = |archive: &Archive| archive.blob_records().unwrap().iter().map(|blob| blob.hash).collect::<Vec<_>>();
    assert_eq!(hashes(&new), hashes(&open(&trees.old)));
    assert_eq!(
        stats.bytes_in,
        pack_directory(&trees.tree, &trees.new, &options(&[(Key::Overwrite, 1)])).unwrap().bytes_in
    );
}

#[test]
fn changes_of_all_kinds_give_the_tree_of_a_full_pack() {
    let trees = Trees::new();
    let at = |name: &str| trees.tree.join(name);
    fs::write(at("src/module1/file1.c"), "changed through one of its names").unwrap();
    fs::write(at("src/module2/file2.c"), Random::new(99).text(70_000)).unwrap();
    fs::write(at("new file"), Random::new(98).noise(6 << 20)).unwrap();
    fs::remove_file(at("data/big.noise")).unwrap();
    fs::remove_dir_all(at("src/module7")).unwrap();
    fs::rename(at("src/module5"), at("src/moved")).unwrap();
    fs::set_permissions(at("a/c"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(at("empty")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::copy(at("data/big.txt"), at("copy of big.txt")).unwrap();
    let mut big = fs::OpenOptions::new().write(true).open(at("data/holes")).unwrap();
    std::io::Write::write_all(&mut big, b"other start").unwrap();
    drop(big);
    trees.repack(&[]).unwrap();
    trees.check();
    // And against what was packed against a base.
    fs::rename(&trees.new, &trees.old).unwrap();
    fs::write(at("src/module3/file3.c"), "again").unwrap();
    trees.repack(&[]).unwrap();
    trees.check();
}

#[test]
fn files_with_an_unchanged_key_are_read_only_where_that_is_asked_for() {
    let trees = Trees::new();
    let before = bytes_of(&open(&trees.old), "data/big.txt");
    trees.change_secretly("data/big.txt");
    trees.change_secretly("src/module4/file4.c");
    trees.repack(&[]).unwrap();
    let new = open(&trees.new);
    new.verify(&Options::new()).unwrap();
    assert!(bytes_of(&new, "data/big.txt") == before, "the documented limit");
    trees.repack(&[(Key::BaseCheck, 1)]).unwrap();
    assert!(bytes_of(&trees.check(), "data/big.txt") != before);
}

#[test]
fn what_was_modified_just_now_is_read() {
    let trees = Trees::new();
    let path = trees.tree.join("just now");
    fs::write(&path, "one").unwrap();
    pack_directory(&trees.tree, &trees.old, &options(&[(Key::Overwrite, 1)])).unwrap();
    trees.change_secretly("just now");
    trees.repack(&[]).unwrap();
    assert_eq!(bytes_of(&open(&trees.new), "just now"), fs::read(&path).unwrap());
}

/// A file of the first tree that changes again within a tick of the clock after it was packed has the time that the base
/// has. However long ago that is: what counts is when the base was packed.
#[test]
fn what_was_modified_just_before_the_base_was_packed_is_read() {
    let trees = Trees::new();
    fs::write(trees.tree.join("just then"), "one").unwrap();
    pack_directory(&trees.tree, &trees.old, &options(&[(Key::Overwrite, 1)])).unwrap();
    trees.change_secretly("just then");
    trees.change_secretly("a-b");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    trees.repack(&[]).unwrap();
    let new = open(&trees.new);
    assert_eq!(bytes_of(&new, "just then"), fs::read(trees.tree.join("just then")).unwrap());
    assert_eq!(bytes_of(&new, "a-b"), b"sorts before a/", "an old file is not read");
}

#[test]
fn a_base_without_a_file_proves_by_its_newest_entry_when_it_was_packed() {
    let trees = Trees::new();
    let at = |seconds: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (name, seconds) in
        [("newest", now - 100), ("new", now - 101), ("old", now - 103), ("of the future", now + 9999)]
    {
        fs::write(trees.tree.join(name), name).unwrap();
        fs::File::open(trees.tree.join(name)).unwrap().set_modified(at(seconds)).unwrap();
    }
    for directory in ["", "data"] {
        fs::File::open(trees.tree.join(directory)).unwrap().set_modified(at(now - 105)).unwrap();
    }
    pack_directory(&trees.tree, &trees.old, &options(&[(Key::Overwrite, 1)])).unwrap();
    let bytes = fs::read(&trees.old).unwrap();
    let base = Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), &Options::new()).unwrap();
    let mut options = Options::new();
    options.set_base(Some(Arc::new(Base(base))));
    let names = ["newest", "new", "old", "of the future"];
    names.iter().for_each(|name| trees.change_secretly(name));
    pack_directory(&trees.tree, &trees.new, &options).unwrap();
    let new = open(&trees.new);
    let read = |name: &str| bytes_of(&new, name) != name.as_bytes();
    assert_eq!(names.map(read), [true, true, false, true]);
}

#[test]
fn files_are_compared_with_what_is_recorded_of_them() {
    let trees = Trees::new();
    fs::set_permissions(trees.tree.join("a-b"), fs::Permissions::from_mode(0o664)).unwrap();
    let seconds = 1_600_000_000;
    let policies = [
        (&[(Key::Modes, 1)][..], false),
        (&[(Key::Mtimes, 1), (Key::MtimeLimit, seconds + 1)], false),
        // Times that are not recorded as they are would make files equal that are not.
        (&[(Key::Mtimes, 1), (Key::MtimeLimit, seconds)], true),
        (&[(Key::Mtimes, 2)], true),
        (&[(Key::Mtimes, 3), (Key::MtimeLimit, seconds)], true),
    ];
    for (policy, read) in policies {
        pack_directory(&trees.tree, &trees.old, &options(&[policy, &[(Key::Overwrite, 1)]].concat())).unwrap();
        let before = fs::read(trees.tree.join("a-b")).unwrap();
        trees.change_secretly("a-b");
        trees.repack(policy).unwrap();
        let new = open(&trees.new);
        new.verify(&Options::new()).unwrap();
        assert_eq!(bytes_of(&new, "a-b") != before, read, "{policy:?}");
    }
}

#[test]
fn blocks_of_which_little_is_left_are_not_copied() {
    let trees = Trees::new();
    for module in 0..12 {
        let _ = fs::remove_dir_all(trees.tree.join(format!("src/module{module}")));
    }
    fs::remove_dir_all(trees.tree.join("copies")).unwrap();
    trees.repack(&[]).unwrap();
    let new = trees.check();
    let full = open(&trees.folder.path().join("full"));
    let stored = |archive: &Archive| archive.blob_records().unwrap().iter().map(|blob| blob.stored).sum::<u64>();
    assert!(stored(&new) <= stored(&full) * 2, "{} of {}", stored(&new), stored(&full));
    assert_eq!(new.blob_records().unwrap().len(), full.blob_records().unwrap().len());
}

#[test]
fn threads_and_memory_do_not_change_a_byte() {
    let trees = Trees::new();
    fs::write(trees.tree.join("src/module2/file2.c"), Random::new(99).text(70_000)).unwrap();
    let mut digests = std::collections::BTreeSet::new();
    for threads in [1, 2, 8] {
        for memory in [0, 100 << 20] {
            trees.repack(&[(Key::Threads, threads), (Key::MemoryLimit, memory)]).unwrap();
            digests.insert(blake3::hash(&fs::read(&trees.new).unwrap()).to_hex());
        }
    }
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_damaged_blob_of_the_base_is_not_copied_on() {
    let trees = Trees::new();
    let mut bytes = fs::read(&trees.old).unwrap();
    bytes[1000] ^= 1;
    let base = Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), &Options::new()).unwrap();
    let base: Arc<dyn AsRef<Archive> + Send + Sync> = Arc::new(Base(base));
    for check in 0..=2 {
        let mut options = options(&[(Key::BaseCheck, check)]);
        options.set_base(Some(Arc::clone(&base)));
        let error = pack_directory(&trees.tree, &trees.new, &options).unwrap_err();
        assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("blob.hash")));
        assert_eq!(fs::read_dir(trees.folder.path()).unwrap().count(), 2, "tree and old archive");
    }
}

#[test]
fn providers_are_asked_about_every_file() {
    struct All(Vec<ProviderColumn>);
    impl Provider for All {
        fn name(&self) -> &str {
            "all"
        }
        fn pkg_type(&self) -> i8 {
            4
        }
        fn columns(&self) -> &[ProviderColumn] {
            &self.0
        }
        fn wants(&self, _: &[u8], _: u64) -> Result<bool, Error> {
            Ok(true)
        }
        fn extract(&self, _: &[u8], _: &[u8], _: &mut ProviderRow) -> Result<bool, Error> {
            Ok(true)
        }
    }
    let trees = Trees::new();
    let mut options = with_base(&trees.old, &[]);
    options.add_provider(Arc::new(All(Vec::new()))).unwrap();
    pack_directory(&trees.tree, &trees.new, &options).unwrap();
    let new = open(&trees.new);
    new.verify(&Options::new()).unwrap();
    assert_eq!(new.tree_digest().unwrap(), open(&trees.old).tree_digest().unwrap());
    let listing = new.list(0, usize::MAX).unwrap();
    for entry in (0..listing.len()).map(|at| listing.get(at).unwrap()) {
        let file = entry.kind == 0 || entry.kind == 3;
        assert_eq!(entry.attributes.pkg_type, file.then_some(4), "{:?}", entry.path);
    }
    let stored = |archive: &Archive| archive.blob_records().unwrap().len();
    assert_eq!(stored(&new), stored(&open(&trees.old)), "blobs are taken over all the same");
}
