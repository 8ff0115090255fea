//! What is left out leaves no trace: the archive is that of a tree that has no more than what is wanted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pack_support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use pack_support::Random;
use znippy::archive::Archive;
use znippy::error::{Error, Status};
use znippy::options::{Key, Options};
use znippy::pack::pack_directory;
use znippy::stats::Stats;

fn write(root: &Path, path: &[u8], bytes: &[u8]) {
    let path = root.join(OsStr::from_bytes(path));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn options(lists: &[(Key, &str)], values: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    options.set(Key::Mtimes, 2).unwrap();
    for (key, value) in lists {
        options.set_bytes(*key, value.as_bytes()).unwrap();
    }
    for (key, value) in values {
        options.set(*key, *value).unwrap();
    }
    options
}

fn pack(tree: &Path, options: &Options) -> Result<(Vec<String>, Vec<u8>, Stats), Error> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("archive");
    let stats = pack_directory(tree, &path, options)?;
    let archive = Archive::open(&path, &Options::new()).unwrap();
    archive.verify(&Options::new()).unwrap();
    let listing = archive.list(0, usize::MAX).unwrap();
    let names = (0..listing.len()).map(|i| listing.get(i).unwrap().path.escape_ascii().to_string()).collect();
    Ok((names, fs::read(&path).unwrap(), stats))
}

fn names(tree: &Path, lists: &[(Key, &str)]) -> Vec<String> {
    pack(tree, &options(lists, &[])).unwrap().0
}

fn sample() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for path in ["a/b/x.c", "a/b/x.o", "a/y.o", "a-b", "d/z.c", "d/deep/er/z.h", "top.c", "build/out/x.c"] {
        write(tree.path(), path.as_bytes(), path.as_bytes());
    }
    write(tree.path(), b"d/\xff\xfe.c", b"not UTF-8");
    fs::create_dir(tree.path().join("empty")).unwrap();
    tree
}

#[test]
fn globs_choose_what_is_packed_and_directories_come_along_where_something_is_in_them() {
    use Key::{Exclude, Include};
    let tree = sample();
    for (chosen, expected) in [
        (&[(Include, "*.c")][..], "a a/b a/b/x.c build build/out build/out/x.c d d/z.c d/\\xff\\xfe.c top.c"),
        (&[(Include, "*.c"), (Exclude, "build")], "a a/b a/b/x.c d d/z.c d/\\xff\\xfe.c top.c"),
        (&[(Include, "/d/*.c"), (Include, "empty/")], "d d/z.c d/\\xff\\xfe.c empty"),
        (&[(Include, "deep")], "d d/deep d/deep/er d/deep/er/z.h"),
        (&[(Exclude, "*.c"), (Exclude, "a/b"), (Exclude, "d/**")], "a a-b a/y.o build build/out d empty"),
        (&[(Include, "a/**"), (Exclude, "*.o")], "a a/b a/b/x.c"),
        (&[(Include, "nothing")], ""),
    ] {
        assert_eq!(names(tree.path(), chosen).join(" "), expected, "{chosen:?}");
    }
}

#[test]
fn an_archive_of_a_part_is_the_archive_of_a_tree_that_has_no_more() {
    let (whole, part) = (sample(), tempfile::tempdir().unwrap());
    for path in ["a/b/x.c", "d/z.c", "top.c"] {
        write(part.path(), path.as_bytes(), path.as_bytes());
    }
    write(part.path(), b"d/\xff\xfe.c", b"not UTF-8");
    write(whole.path(), b"big", &[7; 5000]);
    let chosen =
        options(&[(Key::Include, "*.c"), (Key::Include, "big"), (Key::Exclude, "build")], &[(Key::MaxFileSize, 100)]);
    let (_, bytes, stats) = pack(whole.path(), &chosen).unwrap();
    assert_eq!(stats.skipped, 1, "what is too big is counted, what the globs leave out is not");
    let (_, expected, _) = pack(part.path(), &options(&[], &[])).unwrap();
    assert!(bytes == expected, "the filters have left a trace");
}

#[test]
fn a_directory_that_is_left_out_is_not_even_opened() {
    let tree = sample();
    let reads =
        |path: &str| fs::metadata(tree.path().join(path)).map(|data| (data.atime(), data.atime_nsec())).unwrap();
    // The first read after a change brings the access time up to date, also with relatime.
    let before = (reads("build"), reads("a"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    names(tree.path(), &[(Key::Exclude, "build")]);
    if reads("a") == before.1 {
        eprintln!("skipped: this file system keeps no access times");
        return;
    }
    assert_eq!(reads("build"), before.0);
}

#[test]
fn of_a_file_whose_first_name_is_left_out_the_next_name_is_the_file() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), b"a/first", b"shared");
    fs::create_dir(tree.path().join("b")).unwrap();
    fs::hard_link(tree.path().join("a/first"), tree.path().join("b/second")).unwrap();
    fs::hard_link(tree.path().join("a/first"), tree.path().join("b/third")).unwrap();
    let (names, _, stats) = pack(tree.path(), &options(&[(Key::Exclude, "a")], &[])).unwrap();
    assert_eq!((names.join(" ").as_str(), stats.files, stats.hardlinks), ("b b/second b/third", 1, 1));
    let (_, _, stats) = pack(tree.path(), &options(&[], &[(Key::HardLinks, 1)])).unwrap();
    assert_eq!((stats.files, stats.hardlinks, stats.duplicate_bytes), (3, 0, 12));
}

#[test]
fn files_that_are_too_big_are_named_and_counted() {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), b"small", &[1; 100]);
    write(tree.path(), b"big", &[1; 101]);
    write(tree.path(), b"z/big", &[1; 102]);
    symlink("big", tree.path().join("link")).unwrap();
    let mut options = options(&[], &[(Key::MaxFileSize, 100)]);
    let log = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&log);
    options.set_log(Some(Arc::new(move |_, message| told.lock().unwrap().push(message.to_owned()))));
    let (names, _, stats) = pack(tree.path(), &options).unwrap();
    assert_eq!((names.join(" ").as_str(), stats.skipped, stats.failed), ("link small z", 2, 0));
    let log = log.lock().unwrap();
    assert!(log.len() == 2 && log[0].contains("/big: it has 101 bytes") && log[1].contains("/z/big: "), "{log:?}");
}

#[test]
fn ignore_files_are_heeded_where_they_stand_and_the_nearest_one_wins() {
    let tree = tempfile::tempdir().unwrap();
    for path in ["keep.o", "x.o", "logs/a.log", "sub/x.o", "sub/keep.o", "sub/mine/x.o", "sub/own/x", "t/x.o", "x.log"]
    {
        write(tree.path(), path.as_bytes(), b"");
    }
    write(tree.path(), b".gitignore", b"*.o\n!keep.o\nlogs/\n/sub/own\n");
    write(tree.path(), b"sub/mine/.gitignore", b"!*.o\n");
    write(tree.path(), b".znippyignore", b"*.log\r\n!x.o # not a comment\n");
    // Neither links nor directories are ignore files.
    symlink("../.znippyignore", tree.path().join("t/.gitignore")).unwrap();
    fs::create_dir(tree.path().join("t/.znippyignore")).unwrap();
    let chosen = [(Key::IgnoreFile, ".gitignore"), (Key::IgnoreFile, ".znippyignore")];
    assert_eq!(
        names(tree.path(), &chosen).join(" "),
        ".gitignore .znippyignore keep.o sub sub/keep.o sub/mine sub/mine/.gitignore sub/mine/x.o t t/.gitignore \
         t/.znippyignore"
    );
    assert_eq!(names(tree.path(), &[(Key::IgnoreFile, "absent")]).len(), 19);
}

#[test]
fn ignore_files_that_can_not_be_read_or_are_too_long_are_an_error_that_names_them() {
    let tree = sample();
    write(tree.path(), b"a/.ignore", &vec![b'x'; (1 << 20) + 1]);
    let error = pack(tree.path(), &options(&[(Key::IgnoreFile, ".ignore")], &[])).unwrap_err();
    assert_eq!(error.status(), Status::Limit);
    assert!(error.message().contains(".ignore") && error.path().unwrap().ends_with(b"/a"), "{error}");
    write(tree.path(), b"a/.ignore", &vec![b'x'; 5000]);
    assert_eq!(pack(tree.path(), &options(&[(Key::IgnoreFile, ".ignore")], &[])).unwrap_err().status(), Status::Limit);
    let mut options = Options::new();
    for bad in ["a/b", ".", "..", "/x"] {
        assert_eq!(options.set_bytes(Key::IgnoreFile, bad.as_bytes()).err().unwrap().status(), Status::InvalidArgument);
    }
}

/// A line made of pieces that matter to patterns.
fn pattern(random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 30] = [
        b"a",
        b"b",
        b"c",
        b"ab",
        b"x.o",
        b".o",
        b"*",
        b"*",
        b"**",
        b"?",
        b"/",
        b"/",
        b"/",
        b"[ab]",
        b"[!a]",
        b"[a-c]",
        b"[]b]",
        b"\\",
        b"\\*",
        b" ",
        b"{a,b}",
        b"[[:alpha:]]",
        b"!",
        b"#",
        b"[",
        b"\xff",
        b"[\\]a]",
        b"-",
        b"**/",
        b"/**",
    ];
    let mut line = Vec::new();
    if random.below(6) == 0 {
        line.push(b'!');
    }
    for _ in 0..=random.below(5) {
        line.extend_from_slice(PIECES[random.below(PIECES.len() as u64) as usize]);
    }
    if random.below(5) == 0 {
        line.push(b'/');
    }
    line
}

fn git(tree: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(["-c", "core.excludesFile=", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(tree)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", tree)
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

/// The files that git would add, since nothing in the tree is known to it yet.
fn files_of_git(tree: &Path) -> BTreeSet<String> {
    let listed = git(tree, &["ls-files", "--others", "--exclude-per-directory=.gitignore", "-z"]).expect("git");
    let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    paths.map(|path| path.escape_ascii().to_string()).collect()
}

#[test]
fn what_git_ignores_is_left_out_and_nothing_else() {
    let tree = tempfile::tempdir().unwrap();
    if git(tree.path(), &["init", "-q"]).is_none() {
        eprintln!("skipped: there is no git here to compare with");
        return;
    }
    const NAMES: [&[u8]; 14] =
        [b"a", b"b", b"c", b"ab", b"x.o", b"a.o", b"a*", b"a ", b"#a", b"!b", b"{a,b}", b"\xff", b"[", b"-a"];
    let mut random = Random::new(5);
    let mut directories: Vec<Vec<u8>> = vec![Vec::new()];
    for depth in 0..3 {
        for parent in directories.clone().iter().filter(|path| path.iter().filter(|b| **b == b'/').count() == depth) {
            for name in NAMES.iter().filter(|_| random.below(3) == 0) {
                directories.push([parent, *name, b"/"].concat());
            }
        }
    }
    for directory in &directories {
        fs::create_dir_all(tree.path().join(OsStr::from_bytes(directory))).unwrap();
    }
    for directory in &directories {
        for name in NAMES {
            let path = tree.path().join(OsStr::from_bytes(&[directory, name].concat()));
            if !path.exists() {
                write(tree.path(), &[directory, name].concat(), b"");
            }
        }
    }
    let chosen = options(&[(Key::IgnoreFile, ".gitignore"), (Key::Exclude, "/.git")], &[]);
    let (mut patterns, mut ignored, mut kept) = (0, 0, 0);
    let all = files_of_git(tree.path()).len();
    for round in 0..60 {
        let mut written = Vec::new();
        for directory in &directories {
            let path = tree.path().join(OsStr::from_bytes(&[directory, &b".gitignore"[..]].concat()));
            let _ = fs::remove_file(&path);
            if !directory.is_empty() && random.below(20) != 0 {
                continue;
            }
            let lines: Vec<Vec<u8>> = (0..1 + random.below(4)).map(|_| pattern(&mut random)).collect();
            patterns += lines.len();
            written.push(format!("{}: {}", directory.escape_ascii(), lines.join(&b'\n').escape_ascii()));
            fs::write(path, lines.join(&b'\n')).unwrap();
        }
        let packed = pack(tree.path(), &chosen).unwrap();
        let directories: BTreeSet<String> =
            directories.iter().map(|path| path.strip_suffix(b"/").unwrap_or(path).escape_ascii().to_string()).collect();
        let ours: BTreeSet<String> = packed.0.into_iter().filter(|path| !directories.contains(path)).collect();
        let theirs = files_of_git(tree.path());
        ignored += all.saturating_sub(theirs.len());
        kept += theirs.len();
        let differ: Vec<&String> = ours.symmetric_difference(&theirs).take(5).collect();
        assert!(differ.is_empty(), "round {round}: {differ:?} with {written:?}");
    }
    assert!(
        patterns > 300 && ignored > 5000 && kept > 5000,
        "{patterns} patterns, {ignored} files left out, {kept} not"
    );
}
