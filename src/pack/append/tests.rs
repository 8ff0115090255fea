//! Archives that were appended to are those of the union of the trees.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{Archive, IndexBatches};
use crate::error::{Error, Result, Status};
use crate::options::{Key, Options};
use crate::pack::{Writer, pack_directory};
use crate::provider::{ColumnType, Provider, ProviderColumn, ProviderRow};

/// Bytes that don't compress, the same for the same seed.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

struct Trees {
    folder: tempfile::TempDir,
    archive: PathBuf,
}

impl Trees {
    /// Two trees, which have a directory in common, and the archive of the first.
    fn new(options: &Options) -> Trees {
        let folder = tempfile::tempdir().unwrap();
        let trees = Trees { archive: folder.path().join("archive"), folder };
        for number in 0..300u32 {
            trees.write("a", &format!("src/{number:03}.txt"), format!("text number {}\n", number % 250).repeat(20));
        }
        trees.write("a", "big", noise(9 << 20, 1));
        trees.write("a", "empty", "");
        trees.write("a", "hole", [&noise(5000, 2)[..], &vec![0; 200_000]].concat());
        fs::hard_link(trees.at("a/big"), trees.at("a/link to big")).unwrap();
        std::os::unix::fs::symlink("nowhere", trees.at("a/symlink")).unwrap();
        trees.write("b", "src/001a.txt", "between two old ones");
        trees.write("b", "src/zz.txt", "behind all old ones");
        trees.write("b", "a first one", "text number 7\n".repeat(20));
        trees.write("b", "big again", noise(9 << 20, 1));
        trees.write("b", "new", noise(300_000, 3));
        pack_directory(&trees.at("a"), &trees.archive, options).unwrap();
        trees
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, tree: &str, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.at(tree).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn append(&self, options: &Options) -> Result<crate::stats::Stats> {
        let mut writer = Writer::append(&self.archive, options)?;
        writer.add_sole_tree(&self.at("b"))?;
        writer.finish()
    }

    fn open(&self) -> Archive {
        Archive::open(&self.archive, &Options::new()).unwrap()
    }

    /// The archive of both trees in one.
    fn union(&self) -> Archive {
        copy_tree(&self.at("a"), &self.at("union"));
        copy_tree(&self.at("b"), &self.at("union"));
        let path = self.at("union archive");
        pack_directory(&self.at("union"), &path, &Options::new()).unwrap();
        Archive::open(&path, &Options::new()).unwrap()
    }
}

/// Hard links become files of their own, which the tree digest doesn't tell apart.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&entry).unwrap(), target).unwrap();
        } else if entry.is_dir() {
            copy_tree(&entry, &target);
        } else {
            fs::copy(&entry, target).unwrap();
        }
    }
}

#[test]
fn tree_digest_is_that_of_the_union_and_old_bytes_stay() {
    let trees = Trees::new(&Options::new());
    let before = fs::read(&trees.archive).unwrap();
    let payload = trees.open().manifest().payload_end() as usize;
    let stats = trees.append(&Options::new()).unwrap();
    let (after, union) = (trees.open(), trees.union());
    let verified = after.verify(&Options::new()).unwrap();
    assert_eq!(after.tree_digest().unwrap(), union.tree_digest().unwrap());
    assert_eq!(fs::read(&trees.archive).unwrap()[..payload], before[..payload]);
    // The copies of old bytes cost nothing.
    let new: u64 = after.blob_records().unwrap().iter().filter(|b| b.offset >= payload as u64).map(|b| b.decoded).sum();
    assert_eq!(new, 300_000 + 20 + 19);
    assert_eq!((stats.entries, stats.files, stats.hardlinks), (verified.entries, verified.files, verified.hardlinks));
    assert_eq!((stats.bytes_in, stats.slices, stats.blocks), (verified.bytes_in, verified.slices, verified.blocks));
    assert_eq!(fs::read_dir(trees.folder.path()).unwrap().count(), 5, "trees and archives, nothing else");
}

#[test]
fn appending_again_and_again_keeps_everything() {
    let trees = Trees::new(&Options::new());
    for number in 0..5u32 {
        fs::remove_dir_all(trees.at("b")).unwrap();
        for file in 0..40u32 {
            trees.write("b", &format!("round {number}/{file}"), noise(3000, number * 1000 + file));
        }
        trees.append(&Options::new()).unwrap();
        copy_tree(&trees.at("b"), &trees.at("union"));
    }
    let after = trees.open();
    after.verify(&Options::new()).unwrap();
    assert_eq!(after.tree_digest().unwrap(), trees.union().tree_digest().unwrap());
}

#[test]
fn names_that_the_archive_has_are_refused_and_it_stays() {
    let trees = Trees::new(&Options::new());
    let before = fs::read(&trees.archive).unwrap();
    for (name, entry) in [("src/007.txt", "src/007.txt"), ("symlink", "symlink"), ("big/below", "big/below")] {
        fs::remove_dir_all(trees.at("b")).unwrap();
        trees.write("b", name, "new");
        let error = trees.append(&Options::new()).unwrap_err();
        assert_eq!(error.status(), Status::Exists, "{error}");
        assert!(error.path().unwrap().starts_with(&entry.as_bytes()[..3]), "{error}");
        assert!(fs::read(&trees.archive).unwrap() == before);
    }
    fs::remove_dir_all(trees.at("b")).unwrap();
    trees.write("b", "src", "a file where a directory was");
    assert_eq!(trees.append(&Options::new()).unwrap_err().status(), Status::Exists);
    assert_eq!(fs::read_dir(trees.folder.path()).unwrap().count(), 3);
}

#[test]
fn mode_and_options_of_the_archive_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let mut options = Options::new();
    options.set(Key::Level, 7).unwrap().set(Key::BlockSize, 8192).unwrap().set(Key::PlainIndex, 1).unwrap();
    let trees = Trees::new(&options);
    fs::set_permissions(&trees.archive, fs::Permissions::from_mode(0o600)).unwrap();
    let mut set = Options::new();
    set.set(Key::Level, 5).unwrap();
    trees.append(&set).unwrap();
    let after = trees.open();
    let metadata = &after.manifest().metadata;
    let recorded = |name: &str| metadata.get(name).map(String::as_str);
    assert_eq!(
        (recorded("level"), recorded("block-size"), recorded("plain-index")),
        (Some("5"), Some("8192"), Some("1"))
    );
    assert!(after.blob_records().unwrap().iter().all(|blob| blob.decoded <= 9 << 20));
    assert_eq!(fs::metadata(&trees.archive).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_link_to_an_archive_stays_one() {
    let trees = Trees::new(&Options::new());
    let link = trees.at("link");
    std::os::unix::fs::symlink("archive", &link).unwrap();
    let mut writer = Writer::append(&link, &Options::new()).unwrap();
    writer.add_sole_tree(&trees.at("b")).unwrap();
    writer.finish().unwrap();
    assert!(link.is_symlink());
    assert!(trees.open().find(b"new").unwrap().is_some());
}

#[test]
fn nothing_is_appended_where_new_bytes_would_rest_on_damaged_ones() {
    let trees = Trees::new(&Options::new());
    let mut bytes = fs::read(&trees.archive).unwrap();
    let blobs = trees.open().blob_records().unwrap();
    let last = blobs.last().unwrap();
    bytes[last.offset as usize + 10] ^= 1;
    fs::write(&trees.archive, &bytes).unwrap();
    // The big file lies in the last blobs, and the new tree has a copy of it.
    let error = trees.append(&Options::new()).unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("blob.hash")));
    assert!(fs::read(&trees.archive).unwrap() == bytes);
    fs::remove_file(trees.at("b/big again")).unwrap();
    fs::remove_file(trees.at("b/a first one")).unwrap();
    trees.append(&Options::new()).unwrap();
}

#[test]
fn an_archive_that_was_replaced_meanwhile_is_not_overwritten() {
    let trees = Trees::new(&Options::new());
    let mut first = Writer::append(&trees.archive, &Options::new()).unwrap();
    first.add_sole_tree(&trees.at("b")).unwrap();
    trees.append(&Options::new()).unwrap();
    let kept = fs::read(&trees.archive).unwrap();
    assert_eq!(first.finish().map(drop).unwrap_err().status(), Status::Changed);
    assert!(fs::read(&trees.archive).unwrap() == kept);
}

#[test]
fn compacting_drops_what_no_entry_uses_and_keeps_everything_else() {
    let compact = |trees: &Trees, add: bool| {
        let mut options = Options::new();
        options.set(Key::Compact, 1).unwrap();
        let mut writer = Writer::append(&trees.archive, &options).unwrap();
        if add {
            writer.add_tree(&trees.at("b"), b"added").unwrap();
        }
        writer.finish().unwrap()
    };
    let trees = Trees::new(&Options::new());
    // Nothing is dead yet: the same archive comes out.
    let before = fs::read(&trees.archive).unwrap();
    compact(&trees, false);
    assert!(fs::read(&trees.archive).unwrap() == before);

    fs::remove_dir_all(trees.at("b")).unwrap();
    trees.write("b", "big", "no longer big");
    trees.write("b", "link to big", "nor this");
    trees.write("b", "hole", noise(5001, 9));
    let mut options = Options::new();
    options.set(Key::DuplicatePaths, 1).unwrap();
    trees.append(&options).unwrap();
    let (digest, blobs) = (trees.open().tree_digest().unwrap(), trees.open().blob_records().unwrap());
    fs::set_permissions(&trees.archive, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let stats = compact(&trees, false);
    let after = trees.open();
    let verified = after.verify(&Options::new()).unwrap();
    assert_eq!(after.tree_digest().unwrap(), digest);
    assert_eq!((stats.entries, stats.bytes_in, stats.blocks), (verified.entries, verified.bytes_in, verified.blocks));
    let left = after.blob_records().unwrap();
    let decoded = |blobs: &[crate::format::blobs::Blob]| blobs.iter().map(|blob| blob.decoded).sum::<u64>();
    assert_eq!(decoded(&blobs) - decoded(&left), 9 << 20, "the big file");
    assert!(fs::metadata(&trees.archive).unwrap().len() < before.len() as u64 - (9 << 20) + 20_000);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&trees.archive).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o640);

    // What is left is still looked for, and what was added stands behind it.
    trees.write("b", "hole again", noise(5001, 9));
    trees.write("b", "new", noise(200_000, 10));
    compact(&trees, true);
    let last = trees.open();
    last.verify(&Options::new()).unwrap();
    assert_eq!(decoded(&last.blob_records().unwrap()), decoded(&left) + 200_000);
    assert_eq!(fs::read_dir(trees.folder.path()).unwrap().count(), 3, "trees and archive");
}

#[test]
fn compacting_refuses_a_damaged_archive_and_leaves_it() {
    let trees = Trees::new(&Options::new());
    fs::remove_dir_all(trees.at("b")).unwrap();
    trees.write("b", "big", "no longer big");
    trees.write("b", "link to big", "nor this");
    let mut options = Options::new();
    options.set(Key::DuplicatePaths, 1).unwrap().set(Key::Compact, 1).unwrap();
    trees.append(&options).unwrap();
    let mut bytes = fs::read(&trees.archive).unwrap();
    bytes[100] ^= 1;
    fs::write(&trees.archive, &bytes).unwrap();
    let error = Writer::append(&trees.archive, &options).map(drop).unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("blob.hash")));
    assert!(fs::read(&trees.archive).unwrap() == bytes);
    assert_eq!(fs::read_dir(trees.folder.path()).unwrap().count(), 3, "trees and archive");
}

struct Lengths(&'static str, ColumnType, Vec<ProviderColumn>);

fn lengths(name: &'static str, column_type: ColumnType) -> Arc<dyn Provider> {
    Arc::new(Lengths(name, column_type, vec![ProviderColumn { name: name.into(), column_type }]))
}

impl Provider for Lengths {
    fn name(&self) -> &str {
        self.0
    }
    fn pkg_type(&self) -> i8 {
        self.0.len() as i8
    }
    fn columns(&self) -> &[ProviderColumn] {
        &self.2
    }
    fn wants(&self, path: &[u8], _: u64) -> Result<bool, Error> {
        Ok(!path.ends_with(b"5.txt"))
    }
    fn extract(&self, _: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool, Error> {
        match self.1 {
            ColumnType::Int64 => row.set_i64(0, bytes.len() as i64)?,
            _ => row.set_bytes(0, format!("{} bytes", bytes.len()).as_bytes())?,
        }
        Ok(true)
    }
}

/// By path: whatever stands in a column, as text.
fn column(archive: &Arc<Archive>, name: &str) -> std::collections::BTreeMap<String, String> {
    use arrow::array::Array;
    use arrow::array::AsArray;
    let mut values = std::collections::BTreeMap::new();
    for batch in IndexBatches::new(Arc::clone(archive), &Options::new()).unwrap().map(Result::unwrap) {
        let paths = batch.column_by_name("relative_path").unwrap().as_string::<i32>().clone();
        let column = batch.column_by_name(name).unwrap();
        for row in (0..batch.num_rows()).filter(|row| column.is_valid(*row)) {
            values.insert(paths.value(row).to_owned(), format!("{:?}", column.slice(row, 1)));
        }
    }
    values
}

#[test]
fn columns_of_providers_are_kept_beside_new_ones() {
    let mut options = Options::new();
    options.add_provider(lengths("len", ColumnType::Int64)).unwrap();
    let trees = Trees::new(&options);
    let before = column(&Arc::new(trees.open()), "len");
    assert!(before.len() > 200 && !before.contains_key("src/005.txt"));

    let mut options = Options::new();
    options.add_provider(lengths("text", ColumnType::Utf8)).unwrap();
    trees.append(&options).unwrap();
    let after = Arc::new(trees.open());
    after.verify(&Options::new()).unwrap();
    assert_eq!(column(&after, "len"), before);
    let texts = column(&after, "text");
    assert_eq!(texts.keys().collect::<Vec<_>>(), ["a first one", "big again", "new", "src/001a.txt", "src/zz.txt"]);
    let types = column(&after, "pkg_type");
    assert_eq!(types.len(), before.len() + texts.len());

    // The same column again, and one with its name and another type.
    fs::remove_dir_all(trees.at("b")).unwrap();
    trees.write("b", "last", "x");
    let mut options = Options::new();
    options.add_provider(lengths("len", ColumnType::Int64)).unwrap();
    trees.append(&options).unwrap();
    assert_eq!(column(&Arc::new(trees.open()), "len").len(), before.len() + 1);
    let mut options = Options::new();
    options.add_provider(lengths("len", ColumnType::Utf8)).unwrap();
    fs::rename(trees.at("b/last"), trees.at("b/very last")).unwrap();
    assert_eq!(trees.append(&options).unwrap_err().status(), Status::InvalidArgument);
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert_eq!(Writer::append(&path, &Options::new()).map(drop).unwrap_err().status(), Status::NotFound);
    fs::write(&path, "no archive").unwrap();
    assert_eq!(Writer::append(&path, &Options::new()).map(drop).unwrap_err().status(), Status::NotArchive);
    assert_eq!(fs::read(&path).unwrap(), b"no archive");
}
