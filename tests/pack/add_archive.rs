//! Archives that are added to a writer: their entries as they were, their blobs as they are, nothing of them believed that
//! others would rest on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;
use crate::pack_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extract_support::{Builder, noise};
use pack_support::{Random, make_tree, options, pack, read_back};
use znippy::archive::{Archive, IndexBatches, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::format::row::{Attributes, EntryKind};
use znippy::format::xattrs::SetBuilder;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Sink, Writer};
use znippy::provider::{ColumnType, Provider, ProviderColumn, ProviderRow};
use znippy::stats::Stats;

struct Shared(Archive);

impl AsRef<Archive> for Shared {
    fn as_ref(&self) -> &Archive {
        &self.0
    }
}

type Source = Arc<dyn AsRef<Archive> + Send + Sync>;

fn source(path: &Path) -> Source {
    Arc::new(Shared(open(path)))
}

fn source_of(bytes: Vec<u8>) -> Source {
    let memory = MemorySource::new(Arc::new(bytes));
    Arc::new(Shared(Archive::open_source(Box::new(memory), &Options::new()).unwrap()))
}

fn open(path: &Path) -> Archive {
    Archive::open(path, &Options::new()).unwrap()
}

/// A new archive of these, in order, each below its prefix.
fn merge(out: &Path, sources: &[(&Source, &str)], values: &[(Key, i64)]) -> Result<(Archive, Stats)> {
    let mut writer = Writer::create(out, &options(&[values, &[(Key::Overwrite, 1)]].concat()))?;
    for (archive, prefix) in sources {
        writer.add_archive(Arc::clone(archive), prefix.as_bytes())?;
    }
    let stats = writer.finish()?;
    let archive = open(out);
    let verified = archive.verify(&Options::new())?;
    assert_eq!((stats.entries, stats.files, stats.hardlinks), (verified.entries, verified.files, verified.hardlinks));
    assert_eq!((stats.bytes_in, stats.slices), (verified.bytes_in, verified.slices));
    Ok((archive, stats))
}

fn hashes(archive: &Archive) -> Vec<[u8; 32]> {
    archive.blob_records().unwrap().iter().map(|blob| blob.hash).collect()
}

fn bytes_of(archive: &Archive, path: &str) -> Vec<u8> {
    archive.read(archive.find(path.as_bytes()).unwrap().unwrap(), 1 << 30).unwrap()
}

/// A place with two trees, which share directories and no file, packed with other levels and sizes.
struct Trees {
    folder: tempfile::TempDir,
    one: PathBuf,
    two: PathBuf,
    out: PathBuf,
}

impl Trees {
    fn new() -> Trees {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let trees = Trees { one: at("one.znippy"), two: at("two.znippy"), out: at("out.znippy"), folder };
        fs::create_dir(trees.at("one")).unwrap();
        make_tree(&trees.at("one"), 1);
        let mut random = Random::new(77);
        for number in 0..300 {
            let len = random.below(9000) as usize;
            trees.write("two", &format!("src/module{}/other{number}.c", number % 20), &random.text(len));
        }
        trees.write("two", "data/big two", &random.text(3 << 20));
        trees.write("two", "data/zz twice.noise", &Random::new(11).noise(3 << 20));
        pack(&trees.at("one"), &trees.one, &[]).unwrap();
        let values =
            [(Key::Level, 7), (Key::BlockSize, 128 << 10), (Key::SliceSize, 256 << 10), (Key::SmallFile, 64 << 10)];
        pack(&trees.at("two"), &trees.two, &values).unwrap();
        trees
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, tree: &str, name: &str, bytes: &[u8]) {
        let path = self.at(tree).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn names(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[test]
fn one_archive_alone_comes_out_as_it_was() {
    let trees = Trees::new();
    for path in [&trees.one, &trees.two] {
        let (merged, _) = merge(&trees.out, &[(&source(path), "")], &[]).unwrap();
        let (mut now, mut then) = (read_back(&merged).unwrap(), read_back(&open(path)).unwrap());
        now.pop();
        then.pop();
        assert_eq!(now, then);
        assert_eq!(hashes(&merged), hashes(&open(path)));
        let root = |archive: &Archive| archive.manifest().metadata.get("root_mtime_ns").cloned();
        assert_eq!(root(&merged), root(&open(path)));
    }
}

#[test]
fn two_archives_are_the_union_of_their_trees_and_no_blob_is_made_anew() {
    let trees = Trees::new();
    let (one, two) = (source(&trees.one), source(&trees.two));
    let (merged, _) = merge(&trees.out, &[(&one, ""), (&two, "")], &[]).unwrap();
    let entries = |archive: &Archive| {
        let mut all = read_back(archive).unwrap();
        all.pop();
        all.into_iter().filter(|line| !line.contains(" 1 Attributes")).collect::<BTreeSet<_>>()
    };
    let union: BTreeSet<String> = entries(&open(&trees.one)).union(&entries(&open(&trees.two))).cloned().collect();
    assert_eq!(entries(&merged), union);
    // In the order in which they were added. What all of is elsewhere is left out: twelve slices of noise.
    let (first, second) = (hashes(&open(&trees.one)), hashes(&open(&trees.two)));
    let now = hashes(&merged);
    assert_eq!(now[..first.len()], first);
    assert!(now[first.len()..].iter().all(|hash| second.contains(hash)));
    // The directories that both have, with the attributes of what came last.
    let listing = merged.list(0, usize::MAX).unwrap();
    let directories = (0..listing.len()).filter(|at| listing.get(*at).unwrap().kind == 1).count();
    let paths = |archive: &Archive| {
        let listing = archive.list(0, usize::MAX).unwrap();
        let all = (0..listing.len()).map(|at| listing.get(at).unwrap()).filter(|entry| entry.kind == 1);
        all.map(|entry| (entry.path.to_vec(), entry.attributes.mtime_ns)).collect::<BTreeMap<_, _>>()
    };
    let (a, b, both) = (paths(&open(&trees.one)), paths(&open(&trees.two)), paths(&merged));
    assert_eq!(directories, both.len());
    assert!(both.iter().all(|(path, mtime)| mtime == b.get(path).unwrap_or_else(|| &a[path])));
}

#[test]
fn threads_and_memory_do_not_change_a_byte_and_a_sink_gets_the_same() {
    struct Collect(Arc<std::sync::Mutex<Vec<u8>>>);
    impl Sink for Collect {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let trees = Trees::new();
    let (one, two) = (source(&trees.one), source(&trees.two));
    // Files on their way before, between and after, some of which the archives have.
    let fill = |mut writer: Writer| {
        let mut random = Random::new(5);
        for round in 0..3 {
            for number in 0..50 {
                let path = format!("more {round}/{number}");
                writer.add_bytes(&NewEntry::file(path.as_bytes()), &random.text(5000)).unwrap();
            }
            let name = format!("again {round}");
            writer.add_bytes(&NewEntry::file(name.as_bytes()), &Random::new(11).noise(3 << 20)).unwrap();
            match round {
                0 => writer.add_archive(Arc::clone(&one), b"").unwrap(),
                1 => writer.add_archive(Arc::clone(&two), b"two").unwrap(),
                _ => writer.add_tree(&trees.at("two"), b"two once more").unwrap(),
            }
        }
        writer.finish().unwrap();
    };
    let mut digests = BTreeSet::new();
    for values in [
        [(Key::Threads, 1), (Key::MemoryLimit, 0)],
        [(Key::Threads, 2), (Key::MemoryLimit, 100 << 20)],
        [(Key::Threads, 8), (Key::MemoryLimit, 0)],
    ] {
        fill(Writer::create(&trees.out, &options(&[&values[..], &[(Key::Overwrite, 1)]].concat())).unwrap());
        digests.insert(blake3::hash(&fs::read(&trees.out).unwrap()).to_hex());
    }
    let collected = Arc::default();
    fill(Writer::to_sink(Box::new(Collect(Arc::clone(&collected))), &Options::new()));
    digests.insert(blake3::hash(&collected.lock().unwrap()).to_hex());
    assert_eq!(digests.len(), 1);
    let archive = open(&trees.out);
    archive.verify(&Options::new()).unwrap();
    let noise = blake3::hash(&Random::new(11).noise(3 << 20));
    for name in
        ["again 0", "again 2", "data/again.noise", "two/data/zz twice.noise", "two once more/data/zz twice.noise"]
    {
        assert_eq!(blake3::hash(&bytes_of(&archive, name)), noise, "{name}");
    }
}

#[test]
fn what_is_there_already_is_not_stored_again() {
    let trees = Trees::new();
    let one = source(&trees.one);
    let (merged, stats) = merge(&trees.out, &[(&one, "a"), (&one, "b"), (&one, "a c/d")], &[]).unwrap();
    assert_eq!(hashes(&merged), hashes(&open(&trees.one)));
    assert_eq!(bytes_of(&merged, "a/data/big.txt"), bytes_of(&merged, "a c/d/data/big.txt"));
    assert_eq!(stats.entries, 3 * open(&trees.one).entry_count() + 3, "the roots have become directories");
    // The same files at another level: no blob of theirs is needed.
    let again = trees.at("again.znippy");
    pack(&trees.at("one"), &again, &[(Key::Level, 1), (Key::BlockSize, 64 << 10)]).unwrap();
    let mut whole = vec![(&one, "a")];
    let second = source(&again);
    whole.push((&second, "b"));
    let (merged, stats) = merge(&trees.out, &whole, &[]).unwrap();
    // Slices of big files are cut alike, small files are slices anyway.
    assert_eq!(hashes(&merged), hashes(&open(&trees.one)));
    assert!(stats.duplicate_bytes > 9 << 20, "{}", stats.duplicate_bytes);
}

#[test]
fn a_path_that_is_taken_is_refused_by_name_or_replaced_and_the_writer_goes_on() {
    let trees = Trees::new();
    trees.write("three", "src/module1/file1.c", b"another one, of which there is a hard link");
    trees.write("three", "new", b"new");
    let three = trees.at("three.znippy");
    pack(&trees.at("three"), &three, &[]).unwrap();
    let (one, three) = (source(&trees.one), source(&three));
    let mut writer = Writer::create(&trees.out, &Options::new()).unwrap();
    writer.add_archive(Arc::clone(&one), b"").unwrap();
    let error = writer.add_archive(Arc::clone(&three), b"").unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Exists, Some("entry.duplicate")));
    assert_eq!(error.path(), Some(&b"src/module1/file1.c"[..]));
    // Below what is a file, and a file where there are others below.
    let error = writer.add_archive(Arc::clone(&three), b"empty/deep/er").unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::InvalidArgument, Some("entry.below")), "{error}");
    writer.finish().unwrap();
    let (mut now, mut then) = (read_back(&open(&trees.out)).unwrap(), read_back(&open(&trees.one)).unwrap());
    now.pop();
    then.pop();
    assert_eq!(now, then, "as if the others had not been tried");

    let (merged, _) = merge(&trees.out, &[(&one, ""), (&three, "")], &[(Key::DuplicatePaths, 1)]).unwrap();
    assert_eq!(bytes_of(&merged, "src/module1/file1.c"), b"another one, of which there is a hard link");
    // Its other name is the file now.
    let link = merged.list(merged.find(b"names/link").unwrap().unwrap(), 1).unwrap();
    assert_eq!(link.get(0).unwrap().kind, EntryKind::File as u8);
    assert_eq!(bytes_of(&merged, "names/link"), bytes_of(&open(&trees.one), "names/link"));
    // The other way round the link is what it was.
    let (merged, _) = merge(&trees.out, &[(&three, ""), (&one, "")], &[(Key::DuplicatePaths, 1)]).unwrap();
    let link = merged.list(merged.find(b"src/module1/file1.c").unwrap().unwrap(), 1).unwrap();
    assert_eq!(link.get(0).unwrap().attributes.link_target, Some(&b"names/link"[..]));
    assert_eq!(bytes_of(&merged, "new"), b"new");
}

#[test]
fn archives_are_added_to_one_that_is_appended_to() {
    let trees = Trees::new();
    let (mut union, _) = merge(&trees.out, &[(&source(&trees.one), ""), (&source(&trees.two), "below")], &[]).unwrap();
    let digest = union.tree_digest().unwrap();
    let before = fs::read(&trees.one).unwrap();
    let payload = open(&trees.one).manifest().payload_end() as usize;
    let mut writer = Writer::append(&trees.one, &Options::new()).unwrap();
    writer.add_archive(source(&trees.two), b"below").unwrap();
    writer.finish().unwrap();
    union = open(&trees.one);
    union.verify(&Options::new()).unwrap();
    assert_eq!(union.tree_digest().unwrap(), digest);
    assert_eq!(fs::read(&trees.one).unwrap()[..payload], before[..payload]);
    // A path that the old one has.
    let mut writer = Writer::append(&trees.one, &Options::new()).unwrap();
    assert_eq!(writer.add_archive(source(&trees.two), b"below").unwrap_err().status(), Status::Exists);
}

#[test]
fn attributes_of_links_directories_and_the_root_come_along() {
    let mut builder = Builder::new();
    builder.metadata.insert("root_mode".into(), "2751".into());
    builder.metadata.insert("root_mtime_ns".into(), "-5".into());
    builder.directory("d", 0o2711, 7);
    let row = builder.entry(
        b"dev",
        EntryKind::CharDevice,
        Attributes { rdev: Some(0x105), mode: Some(0o600), ..Attributes::default() },
    );
    row.attributes.as_mut().unwrap().uid = Some(12);
    builder.file("e", b"some bytes");
    builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().gid = Some(34);
    builder.hardlink("f", "e", b"some bytes");
    builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().gid = Some(34);
    builder.rows.last_mut().unwrap().location = builder.rows[2].location;
    builder.symlink("g", "../somewhere");
    let folder = tempfile::tempdir().unwrap();
    let (merged, _) = merge(&folder.path().join("out"), &[(&source_of(builder.bytes()), "p")], &[]).unwrap();
    let listing = merged.list(0, usize::MAX).unwrap();
    let entries: Vec<_> = (0..listing.len()).map(|at| listing.get(at).unwrap()).collect();
    let paths: Vec<_> = entries.iter().map(|entry| std::str::from_utf8(entry.path).unwrap()).collect();
    assert_eq!(paths, ["p", "p/d", "p/dev", "p/e", "p/f", "p/g"]);
    let attributes: Vec<_> = entries.iter().map(|entry| entry.attributes).collect();
    assert_eq!((attributes[0].mode, attributes[0].mtime_ns), (Some(0o2751), Some(-5)));
    assert_eq!((attributes[1].mode, attributes[1].mtime_ns), (Some(0o2711), Some(7)));
    assert_eq!((attributes[2].rdev, attributes[2].mode, attributes[2].uid), (Some(0x105), Some(0o600), Some(12)));
    assert_eq!((attributes[4].gid, attributes[4].link_target), (Some(34), Some(&b"p/e"[..])));
    assert_eq!((attributes[5].link_target, attributes[5].mode), (Some(&b"../somewhere"[..]), None));
    // Without anything recorded of its root, a prefix gets no entry.
    builder.metadata.remove("root_mode");
    let (merged, _) = merge(&folder.path().join("out"), &[(&source_of(builder.bytes()), "p")], &[]).unwrap();
    assert!(merged.find(b"p").unwrap().is_none() && merged.find(b"p/d").unwrap().is_some());
    // And an archive of nothing adds nothing.
    let (merged, _) = merge(&folder.path().join("out"), &[(&source_of(Builder::new().bytes()), "p")], &[]).unwrap();
    assert_eq!(merged.entry_count(), 0);
}

#[test]
fn extended_attributes_are_numbered_anew() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let trees: Vec<Source> = ["one", "two"]
        .iter()
        .map(|name| {
            let tree = folder.path().join(name);
            fs::create_dir(&tree).unwrap();
            for (file, value) in [("same", "same"), ("own", *name), ("none", "")] {
                let path = tree.join(format!("{name} {file}"));
                fs::write(&path, file).unwrap();
                if !value.is_empty() {
                    rustix::fs::lsetxattr(&path, "user.test", value.as_bytes(), rustix::fs::XattrFlags::empty())
                        .unwrap();
                }
            }
            let archive = folder.path().join(format!("{name}.znippy"));
            pack(&tree, &archive, &[(Key::Xattrs, 1)]).unwrap();
            source(&archive)
        })
        .collect();
    let (merged, _) = merge(&out, &[(&trees[0], ""), (&trees[1], "")], &[]).unwrap();
    assert_eq!(merged.xattr_sets().unwrap().len(), 3);
    for (path, value) in [("one same", "same"), ("two same", "same"), ("one own", "one"), ("two own", "two")] {
        let index = merged.find(path.as_bytes()).unwrap().unwrap();
        let all: Vec<_> = merged.entry_xattrs(index).unwrap().collect();
        assert_eq!(all, [(&b"user.test"[..], value.as_bytes())], "{path}");
    }
    assert_eq!(merged.entry_xattrs(merged.find(b"one none").unwrap().unwrap()).unwrap().count(), 0);
    let mut set = SetBuilder::default();
    set.add(b"user.test", b"same").unwrap();
    assert!(set.finish().is_some());
}

struct Notes(&'static str, ColumnType, i8, Vec<ProviderColumn>);

fn notes(name: &'static str, column_type: ColumnType, pkg_type: i8) -> Arc<dyn Provider> {
    Arc::new(Notes(name, column_type, pkg_type, vec![ProviderColumn { name: name.into(), column_type }]))
}

impl Provider for Notes {
    fn name(&self) -> &str {
        self.0
    }
    fn pkg_type(&self) -> i8 {
        self.2
    }
    fn columns(&self) -> &[ProviderColumn] {
        &self.3
    }
    fn wants(&self, path: &[u8], _: u64) -> Result<bool> {
        Ok(!path.ends_with(b"0"))
    }
    fn extract(&self, path: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool> {
        match self.1 {
            ColumnType::Int64 => row.set_i64(0, bytes.len() as i64)?,
            _ => row.set_bytes(0, path)?,
        }
        Ok(true)
    }
}

/// By path: what stands in a column, as text.
fn column(archive: Archive, name: &str) -> BTreeMap<String, String> {
    use arrow::array::{Array, AsArray};
    let mut values = BTreeMap::new();
    for batch in IndexBatches::new(Shared(archive), &Options::new()).unwrap().map(|batch| batch.unwrap()) {
        let paths = batch.column_by_name("relative_path").unwrap().as_string::<i32>().clone();
        let Some(column) = batch.column_by_name(name) else { continue };
        for row in (0..batch.num_rows()).filter(|row| column.is_valid(*row)) {
            values.insert(paths.value(row).to_owned(), format!("{:?}", column.slice(row, 1)));
        }
    }
    values
}

#[test]
fn columns_and_labels_come_along_and_types_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let make = |name: &str, provider: Arc<dyn Provider>, repo: &str| {
        let mut options = Options::new();
        options.add_provider(provider).unwrap();
        options.set_bytes(Key::Repo, repo.as_bytes()).unwrap();
        let mut writer = Writer::create(&at(name), &options).unwrap();
        // More than a segment.
        for number in 0..9000 {
            let path = format!("{name}/{number}");
            writer.add_bytes(&NewEntry::file(path.as_bytes()), path.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        source(&at(name))
    };
    let sources = [
        make("a", notes("len", ColumnType::Int64, 1), "first"),
        make("b", notes("len", ColumnType::Int64, 2), ""),
        make("c", notes("text", ColumnType::Utf8, 3), "third"),
        make("d", notes("len", ColumnType::Utf8, 4), ""),
    ];
    let mut options = Options::new();
    options.set_bytes(Key::Repo, b"own").unwrap();
    options.add_provider(notes("text", ColumnType::Utf8, 5)).unwrap();
    let mut writer = Writer::create(&at("out"), &options).unwrap();
    for source in [&sources[2], &sources[0], &sources[1]] {
        writer.add_archive(Arc::clone(source), b"p").unwrap();
    }
    let error = writer.add_archive(Arc::clone(&sources[3]), b"q").unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::InvalidArgument, Some("column.type")));
    assert!(error.message().contains("column len"), "{error}");
    writer.add_bytes(&NewEntry::file(b"plain"), b"of a provider").unwrap();
    writer.finish().unwrap();
    open(&at("out")).verify(&Options::new()).unwrap();
    let below = |values: BTreeMap<String, String>| values.into_iter().map(|(path, value)| (format!("p/{path}"), value));
    let mut lengths = BTreeMap::new();
    lengths.extend(below(column(open(&at("a")), "len")));
    lengths.extend(below(column(open(&at("b")), "len")));
    assert_eq!(lengths.len(), 2 * 8100);
    assert_eq!(column(open(&at("out")), "len"), lengths);
    let texts = column(open(&at("out")), "text");
    assert_eq!(texts.len(), 8101);
    assert!(texts["p/c/7"].contains("\"c/7\"") && texts["plain"].contains("\"plain\""));
    let repos = column(open(&at("out")), "repo");
    assert!(repos["p/a/5"].contains("first") && repos["p/b/5"].contains("own") && repos["p/c/10"].contains("third"));
    let types = column(open(&at("out")), "pkg_type");
    assert_eq!(types.len(), 3 * 8100 + 1);
    assert!(types["p/b/5"].contains("2,") && types["plain"].contains("5,"), "{}", types["p/b/5"]);
    // A provider whose column has another type than what is there.
    let mut options = Options::new();
    options.add_provider(notes("len", ColumnType::Utf8, 5)).unwrap();
    let mut writer = Writer::create(&at("other"), &options).unwrap();
    assert_eq!(writer.add_archive(Arc::clone(&sources[0]), b"").unwrap_err().rule(), Some("column.type"));
}

#[test]
fn a_damaged_blob_is_found_and_nothing_is_left() {
    let trees = Trees::new();
    let bytes = fs::read(&trees.one).unwrap();
    let blobs = open(&trees.one).blob_records().unwrap();
    let names = trees.names();
    for blob in [blobs.first().unwrap(), blobs.last().unwrap()] {
        let mut damaged = bytes.clone();
        damaged[(blob.offset + blob.stored / 2) as usize] ^= 4;
        let error = merge(&trees.out, &[(&source_of(damaged), "")], &[]).map(drop).unwrap_err();
        assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("blob.hash")));
        assert_eq!(trees.names(), names);
    }
    // Any flipped bit is found, in whatever it is, or changes nothing.
    let small = Builder::new();
    let small = {
        let mut small = small;
        small.file("a", &noise(1, 300));
        small.file("b", b"stored");
        small.bytes()
    };
    let (clean, _) = merge(&trees.out, &[(&source_of(small.clone()), "")], &[]).unwrap();
    let clean = read_back(&clean).unwrap();
    let mut found = 0;
    for bit in (0..small.len() * 8).step_by(7) {
        let mut flipped = small.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let memory = MemorySource::new(Arc::new(flipped));
        let Ok(archive) = Archive::open_source(Box::new(memory), &Options::new()) else {
            found += 1;
            continue;
        };
        match merge(&trees.out, &[(&(Arc::new(Shared(archive)) as Source), "")], &[]) {
            Ok((merged, _)) => assert_eq!(read_back(&merged).unwrap(), clean, "bit {bit}"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 1000, "{found}");
}

const SAID: &[u8] = b"bytes that are all the same length";
const HELD: &[u8] = b"bytes that are no what they should";

/// An archive in which `name` is said to hold `SAID` where `HELD` stands.
fn liar(name: &str, compress: bool) -> Source {
    let mut builder = Builder::new();
    let at = builder.block(HELD, compress);
    builder.slice_file(name.as_bytes(), SAID, Some(at), EntryKind::File, None);
    source_of(builder.bytes())
}

#[test]
fn a_lie_harms_nobody_but_the_liar() {
    let folder = tempfile::tempdir().unwrap();
    let (out, other) = (folder.path().join("out"), folder.path().join("other"));
    let honest = {
        let mut builder = Builder::new();
        builder.file("true", SAID);
        source_of(builder.bytes())
    };
    let refused = |sources: &[&Source], bytes: Option<&[u8]>, values: &[(Key, i64)]| {
        let mut writer = Writer::create(&out, &options(values)).unwrap();
        for (number, source) in sources.iter().enumerate() {
            writer.add_archive(Arc::clone(source), format!("p{number}").as_bytes()).unwrap();
        }
        if let Some(bytes) = bytes {
            writer.add_bytes(&NewEntry::file(b"new"), bytes).unwrap();
        }
        let error = writer.finish().map(drop).unwrap_err();
        assert_eq!((error.status(), error.rule()), (Status::Checksum, Some("slice.hash")), "{error}");
        assert_eq!(error.path(), Some(&b"wrong"[..]), "{error}");
        assert!(error.message().contains("added archive"), "{error}");
        assert!(!out.exists());
    };
    for compress in [false, true] {
        let liar = liar("wrong", compress);
        // Bytes of another archive, bytes that were added, and the lie itself where everything is to be proven.
        refused(&[&liar, &honest], None, &[]);
        refused(&[&liar], Some(SAID), &[]);
        refused(&[&liar], None, &[(Key::BaseCheck, 2)]);
        // What is true is taken from where it is true.
        let mut writer = Writer::create(&other, &options(&[(Key::Overwrite, 1)])).unwrap();
        writer.add_archive(Arc::clone(&honest), b"").unwrap();
        writer.add_archive(Arc::clone(&liar), b"").unwrap();
        writer.finish().unwrap();
        let merged = open(&other);
        merged.verify(&Options::new()).unwrap();
        assert_eq!((bytes_of(&merged, "true"), bytes_of(&merged, "wrong")), (SAID.to_vec(), SAID.to_vec()));
        assert_eq!(merged.blob_records().unwrap().len(), 1);
    }
    // Whole files are proven too where that is asked for.
    let (first, second) = (noise(1, 70_000), noise(2, 50_000));
    let mut builder = Builder::new();
    let at = builder.block(&first, false);
    builder.slice_file(b"big", &first, Some(at), EntryKind::File, None);
    let at = builder.block(&second, false);
    let attributes = builder.rows[0].attributes.as_mut().unwrap();
    (attributes.file_size, attributes.file_hash) = (Some(120_000), Some([7; 32]));
    let next = extract_support::OwnRow {
        chunk_seq: 1,
        offset: 70_000,
        size: 50_000,
        checksum: *blake3::hash(&second).as_bytes(),
        location: Some(at),
        attributes: None,
        ..builder.rows[0].clone()
    };
    builder.rows.push(next);
    let error = merge(&out, &[(&source_of(builder.bytes()), "")], &[(Key::BaseCheck, 2)]).map(drop).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some("file.hash"), Some(&b"big"[..])), "{error}");
    // The same archive without the lie.
    let whole = *blake3::hash(&[&first[..], &second].concat()).as_bytes();
    builder.rows[0].attributes.as_mut().unwrap().file_hash = Some(whole);
    merge(&out, &[(&source_of(builder.bytes()), "")], &[(Key::BaseCheck, 2)]).unwrap();
}

#[test]
fn malformed_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let rule_of = |builder: &Builder| {
        let error: Error = merge(&out, &[(&source_of(builder.bytes()), "")], &[]).map(drop).unwrap_err();
        assert!(!out.exists());
        error.rule()
    };
    // A hard link with other bytes than its first name, and ones without a first name.
    let mut builder = Builder::new();
    builder.file("a", SAID);
    builder.hardlink("b", "a", HELD);
    assert_eq!(rule_of(&builder), Some("index.link.target"));
    let mut builder = Builder::new();
    builder.symlink("a", "x");
    builder.hardlink("b", "a", HELD);
    assert_eq!(rule_of(&builder), Some("index.link.target"));
    let mut builder = Builder::new();
    builder.hardlink("b", "a", HELD);
    assert_eq!(rule_of(&builder), Some("index.link.target"));
    // Two rows that disagree about a blob.
    let mut builder = Builder::new();
    let at = builder.block(SAID, false);
    builder.slice_file(b"a", SAID, Some(at), EntryKind::File, None);
    builder.slice_file(b"b", SAID, Some(znippy::format::row::Location { codec: 9, ..at }), EntryKind::File, None);
    assert_eq!(rule_of(&builder), Some("blobs.match"));
    // Out of order, and below what is no directory.
    let mut builder = Builder::new();
    builder.file("a", SAID);
    builder.file("c", SAID);
    builder.file("b", SAID);
    assert_eq!(rule_of(&builder), Some("index.bounds"));
    let mut builder = Builder::new();
    builder.file("a", SAID);
    builder.file("a/b", SAID);
    assert_eq!(rule_of(&builder), Some("index.parent"));
    // A kind of a later version.
    let mut builder = Builder::new();
    builder.directory("a", 0o755, 0);
    builder.rows[0].kind = 99;
    assert_eq!(rule_of(&builder), Some("index.kind.unknown"));
}

#[test]
fn a_blob_of_an_unknown_codec_is_kept_and_nothing_rests_on_it() {
    let mut builder = Builder::new();
    let at = builder.stored_block(b"who knows what this is", SAID.len() as u64);
    builder.slice_file(b"later", SAID, Some(znippy::format::row::Location { codec: 9, ..at }), EntryKind::File, None);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut writer = Writer::create(&out, &Options::new()).unwrap();
    writer.add_archive(source_of(builder.bytes()), b"").unwrap();
    writer.add_bytes(&NewEntry::file(b"new"), SAID).unwrap();
    writer.finish().unwrap();
    let merged = open(&out);
    assert_eq!(bytes_of(&merged, "new"), SAID);
    let error = merged.read(merged.find(b"later").unwrap().unwrap(), 1 << 20).unwrap_err();
    assert_eq!(error.rule(), Some("index.codec.unknown"));
}

#[test]
fn version_3_is_refused_with_advice() {
    let path = walkdir::WalkDir::new("tests/fixtures/v3").into_iter().map(|entry| entry.unwrap());
    let path = path.into_iter().find(|entry| entry.path().extension().is_some_and(|it| it == "znippy")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = merge(&folder.path().join("out"), &[(&source(path.path()), "")], &[]).map(drop).unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Unsupported, Some("older.read_only")));
    assert!(error.message().contains("convert"), "{error}");
    // Nor can version 3 be written so.
    let trees = Trees::new();
    let error = merge(&trees.out, &[(&source(&trees.one), "")], &[(Key::Profile, 1)]).map(drop).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
}

#[test]
fn recovery_records_hold_what_was_added() {
    let trees = Trees::new();
    let (merged, _) =
        merge(&trees.out, &[(&source(&trees.one), ""), (&source(&trees.two), "")], &[(Key::Recovery, 1)]).unwrap();
    let wanted = read_back(&merged).unwrap();
    let mut bytes = fs::read(&trees.out).unwrap();
    // The index is gone.
    let end = merged.manifest().payload_end() as usize;
    bytes.truncate(end);
    let (cut, whole) = (trees.at("cut"), trees.at("whole"));
    fs::write(&cut, bytes).unwrap();
    znippy::salvage::salvage(&cut, &whole, &Options::new()).unwrap();
    let (mut now, mut then) = (read_back(&open(&whole)).unwrap(), wanted);
    now.pop();
    then.pop();
    assert_eq!(now, then);
}

#[test]
fn a_cancel_ends_it_and_leaves_nothing() {
    let trees = Trees::new();
    let names = trees.names();
    let mut options = Options::new();
    let cancel = znippy::progress::CancelToken::new();
    options.set_cancel(cancel.clone());
    options.set(Key::ProgressInterval, 0).unwrap();
    let trigger = cancel.clone();
    options.set_progress(Some(Arc::new(move |report: &znippy::progress::Progress<'_>| {
        if report.bytes_done > 0 {
            trigger.trigger();
        }
        true
    })));
    let mut writer = Writer::create(&trees.out, &options).unwrap();
    let error = writer.add_archive(source(&trees.one), b"").unwrap_err();
    assert_eq!(error.status(), Status::Cancelled);
    assert_eq!(writer.finish().map(drop).unwrap_err().status(), Status::InvalidState);
    drop(writer);
    assert_eq!(trees.names(), names);
    let _ = fs::set_permissions(trees.folder.path(), fs::Permissions::from_mode(0o755));
}

#[test]
fn progress_reaches_its_totals() {
    let trees = Trees::new();
    let last = Arc::new(std::sync::Mutex::new((0, 0, 0, 0)));
    let mut options = Options::new();
    let seen = Arc::clone(&last);
    options.set_progress(Some(Arc::new(move |report: &znippy::progress::Progress<'_>| {
        if report.phase == znippy::progress::Phase::Pack {
            *seen.lock().unwrap() = (report.entries_done, report.entries_total, report.bytes_done, report.bytes_total);
        }
        true
    })));
    let mut writer = Writer::create(&trees.out, &options).unwrap();
    writer.add_archive(source(&trees.one), b"a").unwrap();
    writer.add_archive(source(&trees.one), b"b").unwrap();
    writer.finish().unwrap();
    let (done, total, bytes, all) = *last.lock().unwrap();
    assert_eq!((done, bytes), (total, all));
    assert!(done > 800 && bytes > 50 << 20, "{done} {bytes}");
}
