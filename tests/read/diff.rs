//! A comparison finds everything that differs and nothing else, whatever the archives look like inside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use extract_support::{Builder, noise};
use znippy::archive::{Archive, Difference, Flags, MemorySource, What};
use znippy::extract::extract_all;
use znippy::format::row::{Attributes, EntryKind};
use znippy::options::{Candidate, Key, Options};
use znippy::pack::pack_directory;

fn options(numbers: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    for (key, value) in numbers {
        options.set(*key, *value).unwrap();
    }
    options
}

fn packed(tree: &Path, numbers: &[(Key, i64)]) -> Archive {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.znippy");
    pack_directory(tree, &path, &options(numbers)).unwrap();
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(fs::read(path).unwrap());
    Archive::open_source(Box::new(MemorySource::new(bytes)), &Options::new()).unwrap()
}

fn make_tree(root: &Path) {
    for directory in ["a", "a/b", "a/b/c", "a-b", "empty", "z"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for i in 0..120 {
        let directory = ["a", "a/b", "a/b/c", "a-b", "z", "."][i as usize % 6];
        fs::write(root.join(directory).join(format!("f{i:03}")), noise(i, 50 + 37 * i as usize)).unwrap();
    }
    fs::write(root.join("big"), noise(7, 6_000_000)).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(3_000_000).unwrap();
    fs::hard_link(root.join("big"), root.join("z/hard")).unwrap();
    symlink("a/b", root.join("link")).unwrap();
}

/// `A path`, `D path` or `M path BITS`.
fn lines(found: &[Difference]) -> BTreeMap<String, String> {
    let text = |difference: &Difference| {
        let path = String::from_utf8(difference.path.clone()).unwrap();
        match difference.what {
            What::Added => (path, "A".to_owned()),
            What::Removed => (path, "D".to_owned()),
            What::Changed => (path, format!("M{}", difference.flags.0)),
        }
    };
    assert!(found.is_sorted_by(|a, b| a.path < b.path), "in order of path");
    found.iter().map(text).collect()
}

fn differences(archive: &Archive, root: &Path, numbers: &[(Key, i64)]) -> BTreeMap<String, String> {
    lines(&archive.diff_directory(root, &options(numbers)).unwrap())
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Changes one name of the tree and says what that makes of the comparison; a name is changed once.
fn mutate(root: &Path, random: &mut Random, expected: &mut BTreeMap<String, String>, step: usize) {
    let number = random.below(120);
    let directory = ["a", "a/b", "a/b/c", "a-b", "z", "."][number % 6];
    let path = root.join(directory).join(format!("f{number:03}"));
    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace("./", "");
    if expected.contains_key(&name) {
        return;
    }
    let size = 50 + 37 * number;
    let what = match random.below(9) {
        0 => {
            fs::remove_file(&path).unwrap();
            "D".to_owned()
        }
        1 => {
            // Another byte, the same size and time.
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let at = random.below(size);
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            File::options().write(true).open(&path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
            format!("M{}", Flags::BYTES.0)
        }
        2 => {
            fs::write(&path, noise(number as u64, size + 1)).unwrap();
            format!("M{}", Flags::BYTES.0)
        }
        3 => {
            fs::set_permissions(&path, Permissions::from_mode(0o600 + 1 + step as u32 % 7)).unwrap();
            format!("M{}", Flags::MODE.0)
        }
        4 => {
            fs::remove_file(&path).unwrap();
            symlink("elsewhere", &path).unwrap();
            format!("M{}", Flags::KIND.0)
        }
        5 => {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inside"), "1").unwrap();
            expected.insert(format!("{name}/inside"), "A".to_owned());
            format!("M{}", Flags::KIND.0)
        }
        6 => {
            let new = format!("{name}.{step}");
            fs::write(root.join(&new), "1").unwrap();
            expected.insert(new, "A".to_owned());
            return;
        }
        7 => {
            // The same bytes under a new inode and time.
            let mode = fs::metadata(&path).unwrap().permissions();
            fs::remove_file(&path).unwrap();
            fs::write(&path, noise(number as u64, size)).unwrap();
            fs::set_permissions(&path, mode).unwrap();
            return;
        }
        _ => {
            let time = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(step as u64 + 1));
            File::options().write(true).open(&path).unwrap().set_times(time).unwrap();
            return;
        }
    };
    expected.insert(name, what);
}

#[test]
fn random_changes_of_a_tree_are_all_found_and_nothing_else() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let archive = packed(tree.path(), &[]);
    for seed in 0..6 {
        let copy = tempfile::tempdir().unwrap();
        extract_all(&archive, copy.path(), &Options::new()).unwrap();
        assert!(differences(&archive, copy.path(), &[(Key::DiffMtime, 1)]).is_empty(), "just restored");
        let (mut random, mut expected) = (Random(seed), BTreeMap::new());
        for step in 0..40 {
            mutate(copy.path(), &mut random, &mut expected, step);
        }
        assert_eq!(differences(&archive, copy.path(), &[(Key::Threads, 3)]), expected, "seed {seed}");
        // An archive of the changed tree differs in the same, however it was packed.
        for numbers in [&[(Key::Level, 9), (Key::Order, 1)][..], &[(Key::Preset, 4)], &[(Key::SliceSize, 65536)]] {
            let other = packed(copy.path(), numbers);
            assert_eq!(lines(&archive.diff(&other, &Options::new()).unwrap()), expected, "seed {seed} {numbers:?}");
            let back = lines(&other.diff(&archive, &Options::new()).unwrap());
            let turned = |line: &String| match line.as_str() {
                "A" => "D".to_owned(),
                "D" => "A".to_owned(),
                other => other.to_owned(),
            };
            assert_eq!(back, expected.iter().map(|(path, line)| (path.clone(), turned(line))).collect());
        }
        // What brings the tree up to date leaves nothing different.
        extract_all(&archive, copy.path(), &options(&[(Key::Prune, 1), (Key::SkipUnchanged, 2)])).unwrap();
        assert!(differences(&archive, copy.path(), &[]).is_empty(), "seed {seed}");
    }
}

#[test]
fn equal_trees_are_equal_whatever_level_layout_and_order_and_no_block_is_read() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let one = packed(tree.path(), &[]);
    for numbers in [&[(Key::Preset, 4), (Key::Order, 1)][..], &[(Key::Level, -3), (Key::SliceSize, 131_072)]] {
        assert!(one.diff(&packed(tree.path(), numbers), &options(&[(Key::DiffMtime, 1)])).unwrap().is_empty());
    }
    let mut damaged = Builder::new();
    let mut whole = Builder::new();
    for builder in [&mut damaged, &mut whole] {
        builder.file("x", &noise(1, 5000));
        builder.hardlink("y", "x", &noise(1, 5000));
    }
    damaged.break_frame(0);
    assert!(damaged.archive().diff(&whole.archive(), &Options::new()).unwrap().is_empty());
}

#[test]
fn times_count_only_when_they_are_asked_about_and_are_believed_only_when_that_is() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let archive = packed(tree.path(), &[]);
    let file = tree.path().join("big");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    let set =
        |time| File::options().write(true).open(&file).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    set(time + Duration::from_nanos(1));
    assert!(differences(&archive, tree.path(), &[]).is_empty());
    let found = differences(&archive, tree.path(), &[(Key::DiffMtime, 1)]);
    let expected = ["big", "z/hard"].map(|name| (name.to_owned(), format!("M{}", Flags::MTIME.0)));
    assert_eq!(found, expected.into_iter().collect());
    // Changed bytes behind an unchanged time are seen by hashing alone.
    let mut bytes = fs::read(&file).unwrap();
    bytes[3_000_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    set(time);
    assert!(differences(&archive, tree.path(), &[(Key::SkipUnchanged, 1)]).is_empty());
    assert_eq!(differences(&archive, tree.path(), &[]).len(), 2);
    set(time + Duration::from_nanos(1));
    assert_eq!(differences(&archive, tree.path(), &[(Key::SkipUnchanged, 1)]).len(), 2);
}

#[test]
fn what_extraction_does_not_restore_is_no_difference() {
    let mut builder = Builder::new();
    let attributes = Attributes { mode: Some(0o600), rdev: Some(259), ..Attributes::default() };
    builder.entry(b"device", EntryKind::CharDevice, attributes);
    builder.file("setuid", b"1");
    builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().mode = Some(0o4755);
    let attributes = Attributes { mode: Some(0o600), ..Attributes::default() };
    builder.entry(b"socket", EntryKind::Socket, attributes);
    let root = tempfile::tempdir().unwrap();
    extract_all(&builder.archive(), root.path(), &Options::new()).unwrap();
    assert!(differences(&builder.archive(), root.path(), &[]).is_empty());
    let found = differences(&builder.archive(), root.path(), &[(Key::RestoreSetuid, 1)]);
    assert_eq!(found, BTreeMap::from([("setuid".to_owned(), format!("M{}", Flags::MODE.0))]));
}

#[test]
fn filters_apply_to_both_sides() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let archive = packed(tree.path(), &[]);
    fs::write(tree.path().join("a/new.o"), "1").unwrap();
    fs::write(tree.path().join("a/new.c"), "1").unwrap();
    fs::remove_file(tree.path().join("a/f000")).unwrap();
    fs::write(tree.path().join("z/new.c"), "1").unwrap();
    let mut some = Options::new();
    some.set_bytes(Key::Prefix, b"a").unwrap().set_bytes(Key::Exclude, b"*.o").unwrap();
    let found = lines(&archive.diff_directory(tree.path(), &some).unwrap());
    let expected = BTreeMap::from([("a/f000".to_owned(), "D".to_owned()), ("a/new.c".to_owned(), "A".to_owned())]);
    assert_eq!(found, expected);
    assert_eq!(lines(&archive.diff(&packed(tree.path(), &[]), &some).unwrap()), expected);
    some.set_filter(Some(Arc::new(|entry: &Candidate<'_>| Ok(entry.path != b"a/new.c"))));
    let found = lines(&archive.diff_directory(tree.path(), &some).unwrap());
    assert_eq!(found, BTreeMap::from([("a/f000".to_owned(), "D".to_owned())]));
}

#[test]
fn links_to_directories_are_links_and_are_not_followed() {
    let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(tree.path());
    let archive = packed(tree.path(), &[]);
    fs::write(outside.path().join("file"), "1").unwrap();
    fs::remove_dir(tree.path().join("empty")).unwrap();
    symlink(outside.path(), tree.path().join("empty")).unwrap();
    fs::remove_file(tree.path().join("link")).unwrap();
    symlink("a", tree.path().join("link")).unwrap();
    let found = differences(&archive, tree.path(), &[]);
    let expected =
        [("empty", Flags::KIND), ("link", Flags::TARGET)].map(|(name, flag)| (name.to_owned(), format!("M{}", flag.0)));
    assert_eq!(found, expected.into_iter().collect());
}

#[test]
fn what_goes_while_a_tree_is_compared_is_reported_as_gone_and_what_changes_as_changed() {
    let tree = tempfile::tempdir().unwrap();
    make_tree(tree.path());
    let archive = packed(tree.path(), &[]);
    let mut options = Options::new();
    let root = tree.path().to_owned();
    // The function is asked after a name was met and before its bytes are read.
    options.set_filter(Some(Arc::new(move |entry: &Candidate<'_>| {
        match entry.path {
            b"a/b/c/f002" => fs::remove_file(root.join("a/b/c/f002")).unwrap(),
            b"a/b/f001" => fs::write(root.join("a/b/f001"), b"shorter").unwrap(),
            b"a-b" => fs::rename(root.join("a-b"), root.join("a-moved")).unwrap(),
            b"z/f004" => fs::remove_dir_all(root.join("z")).unwrap(),
            _ => {}
        }
        Ok(true)
    })));
    let found = lines(&archive.diff_directory(tree.path(), &options).unwrap());
    assert_eq!(found["a/b/c/f002"], "D");
    assert_eq!(found["a/b/f001"], "M1");
    for (path, what) in &found {
        let expected = match path.as_str() {
            "a/b/f001" => "M1",
            path if path.starts_with("a-moved") => "A",
            _ => "D",
        };
        assert_eq!(what, expected, "{path}");
    }
    let below = |directory: &str| found.keys().filter(|path| path.starts_with(directory)).count();
    assert_eq!((below("a-b/"), below("z/")), (20, 21), "{found:?}");
}
