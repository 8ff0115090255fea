//! Extended attributes, access control lists and capabilities come back, and nothing in the section is believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::extract_support;
use crate::pack_support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use extract_support::Builder;
use rustix::fs::XattrFlags;
use znippy::archive::Archive;
use znippy::error::{Error, Status};
use znippy::extract::{extract_all, extract_tree};
use znippy::format::container::Trailer;
use znippy::format::hash::hash;
use znippy::format::manifest::Manifest;
use znippy::format::row::{Attributes, EntryKind};
use znippy::format::xattrs::{SECTION_NAME, SetBuilder};
use znippy::options::{Key, Options};
use znippy::pack::{Writer, pack_directory};

/// u32 version 2, then tag, permissions and id of the owner, user 1234, the group, the mask and the others.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\x04\0\xff\xff\xff\xff\
    \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
/// Revision 2, effective, the permission to bind ports below 1024.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn set(path: &Path, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
}

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65_536];
    let len = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(len);
    Some(value)
}

fn names(path: &Path) -> Vec<String> {
    let mut list = vec![0; 65_536];
    let len = rustix::fs::llistxattr(path, &mut list).unwrap_or(0);
    let mut names: Vec<String> =
        list[..len].split(|byte| *byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    // Labels of the system are its own business.
    names.retain(|name| !name.is_empty() && !name.starts_with("security.") || name == "security.capability");
    names.sort();
    names
}

fn options(values: &[(Key, i64)]) -> Options {
    pack_support::options(values)
}

fn packed(tree: &Path, values: &[(Key, i64)]) -> Archive {
    Archive::open_source(Box::new(source(packed_bytes(tree, values))), &Options::new()).unwrap()
}

fn packed_bytes(tree: &Path, values: &[(Key, i64)]) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("archive");
    pack_directory(tree, &path, &options(&[&[(Key::Xattrs, 1)], values].concat())).unwrap();
    fs::read(path).unwrap()
}

fn source(bytes: Vec<u8>) -> znippy::archive::MemorySource {
    let bytes: std::sync::Arc<dyn AsRef<[u8]> + Send + Sync> = std::sync::Arc::new(bytes);
    znippy::archive::MemorySource::new(bytes)
}

/// Directories on the file systems that there are here to write to and that hold attributes.
fn places() -> Vec<tempfile::TempDir> {
    let all = [std::env::temp_dir(), "/dev/shm".into(), env!("CARGO_TARGET_TMPDIR").into()];
    let mut places: Vec<tempfile::TempDir> = all.iter().filter_map(|place| tempfile::tempdir_in(place).ok()).collect();
    places.retain(|place| set(place.path(), "user.try", b"").is_ok());
    if places.is_empty() {
        eprintln!("skipped: no file system here holds extended attributes");
    }
    places
}

fn sample(tree: &Path) {
    fs::create_dir_all(tree.join("d/inner")).unwrap();
    fs::write(tree.join("d/file"), b"bytes").unwrap();
    fs::write(tree.join("d/plain"), b"bytes").unwrap();
    fs::write(tree.join("locked"), b"locked").unwrap();
    fs::hard_link(tree.join("d/file"), tree.join("d/link")).unwrap();
    set(&tree.join("d/file"), "user.z", b"last").unwrap();
    set(&tree.join("d/file"), "user.a", &[7; 3000]).unwrap();
    set(&tree.join("d/inner"), "user.empty", b"").unwrap();
    set(&tree.join("locked"), "user.locked", b"\0\xff").unwrap();
    set(tree, "user.root", b"root").unwrap();
    fs::set_permissions(tree.join("locked"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(tree.join("d/inner"), fs::Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn attributes_come_back_on_files_directories_and_the_root_and_only_when_asked() {
    for place in places() {
        let tree = place.path().join("tree");
        sample(&tree);
        let archive = packed(&tree, &[]);
        archive.verify(&Options::new()).unwrap();
        for (restore, expected) in [(0, false), (1, true), (2, true)] {
            let root = place.path().join(format!("out{restore}"));
            extract_all(&archive, &root, &options(&[(Key::RestoreXattrs, restore)])).unwrap();
            for (path, wanted) in [
                ("d/file", &["user.a", "user.z"][..]),
                ("d/link", &["user.a", "user.z"]),
                ("d/plain", &[]),
                ("d/inner", &["user.empty"]),
                ("locked", &["user.locked"]),
                ("", &["user.root"]),
            ] {
                let found = names(&root.join(path));
                assert_eq!(found, if expected { wanted } else { &[] }, "{path} with {restore}");
            }
            if expected {
                assert_eq!(get(&root.join("d/file"), "user.a").unwrap(), [7; 3000]);
                assert_eq!(get(&root.join("locked"), "user.locked").unwrap(), b"\0\xff");
                assert_eq!(fs::metadata(root.join("d/file")).unwrap().nlink(), 2);
                let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o7777;
                assert_eq!((mode("locked"), mode("d/inner")), (0o444, 0o555));
            }
        }
        let without = packed(&tree, &[(Key::Xattrs, 0)]);
        assert!(without.manifest().sections.len() == 1 && without.root_xattr_id().unwrap().is_none());
        assert_eq!(archive.tree_digest().unwrap(), without.tree_digest().unwrap());
    }
}

#[test]
fn lists_and_capabilities_survive_a_change_of_owner_and_exact_modes() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may set capabilities");
        return;
    }
    let places = places();
    for (from, to) in places.iter().flat_map(|from| places.iter().map(move |to| (from.path(), to.path()))) {
        let tree = tempfile::tempdir_in(from).unwrap();
        let file = tree.path().join("server");
        fs::write(&file, b"program").unwrap();
        fs::create_dir(tree.path().join("shared")).unwrap();
        std::os::unix::fs::chown(&file, Some(4321), Some(8765)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4750)).unwrap();
        set(&file, "security.capability", CAPABILITY).unwrap();
        set(&file, "system.posix_acl_access", ACL).unwrap();
        set(&file, "user.comment", b"ours").unwrap();
        set(&file, "trusted.note", b"of root").unwrap();
        set(&tree.path().join("shared"), "system.posix_acl_default", ACL).unwrap();
        let mode = fs::metadata(&file).unwrap().mode();
        let archive = packed(tree.path(), &[(Key::RecordIds, 1)]);
        let out = tempfile::tempdir_in(to).unwrap();
        let all = [(Key::RestoreXattrs, 2), (Key::RestoreIds, 1), (Key::RestoreSetuid, 1)];
        extract_all(&archive, &out.path().join("out"), &options(&all)).unwrap();
        let restored = out.path().join("out/server");
        for (name, value) in [
            ("security.capability", CAPABILITY),
            ("system.posix_acl_access", ACL),
            ("user.comment", b"ours"),
            ("trusted.note", b"of root"),
        ] {
            assert_eq!(get(&restored, name).as_deref(), Some(value), "{name} from {from:?} to {to:?}");
        }
        let found = fs::metadata(&restored).unwrap();
        assert_eq!((found.mode(), found.uid(), found.gid()), (mode, 4321, 8765));
        assert_eq!(get(&out.path().join("out/shared"), "system.posix_acl_default").as_deref(), Some(ACL));
        // What a stranger's archive may set is no more than user.*.
        let untrusted = [(Key::RestoreXattrs, 2), (Key::Untrusted, 1)];
        extract_all(&archive, &out.path().join("untrusted"), &options(&untrusted)).unwrap();
        assert_eq!(names(&out.path().join("untrusted/server")), ["user.comment"]);
    }
}

#[test]
fn what_an_entry_does_not_have_is_taken_away_and_what_is_equal_is_not_touched() {
    for place in places() {
        let tree = place.path().join("tree");
        sample(&tree);
        let (archive, root) = (packed(&tree, &[]), place.path().join("out"));
        let update = |unchanged: i64, restore: i64| {
            let values = [(Key::SkipUnchanged, unchanged), (Key::RestoreXattrs, restore)];
            extract_all(&archive, &root, &options(&values)).unwrap()
        };
        update(0, 1);
        let files = 4;
        assert_eq!(update(1, 1).kept, files);
        assert_eq!(update(2, 1).kept, files);
        for unchanged in [1, 2] {
            set(&root.join("d/plain"), "user.more", b"1").unwrap();
            set(&root.join("d/file"), "user.a", b"other").unwrap();
            set(&root.join("d/inner"), "user.more", b"1").unwrap();
            let inode = |path: &str| fs::metadata(root.join(path)).unwrap().ino();
            let before = inode("locked");
            assert_eq!(update(unchanged, 0).kept, files, "who doesn't ask gets no comparison");
            let stats = update(unchanged, 1);
            // By time they are rewritten; by hash the attributes are put right.
            assert!(if unchanged == 1 { stats.kept < files } else { stats.kept == files }, "{}", stats.kept);
            assert_eq!(names(&root.join("d/plain")), [""; 0]);
            assert_eq!(get(&root.join("d/file"), "user.a").unwrap(), [7; 3000]);
            assert_eq!((names(&root.join("d/inner")), inode("locked")), (vec!["user.empty".to_owned()], before));
        }
    }
}

#[test]
fn a_list_that_is_inherited_from_the_destination_does_not_stay() {
    for place in places() {
        let tree = place.path().join("tree");
        sample(&tree);
        let parent = place.path().join("parent");
        fs::create_dir(&parent).unwrap();
        if set(&parent, "system.posix_acl_default", ACL).is_err() {
            eprintln!("skipped: no access control lists on {}", parent.display());
            continue;
        }
        extract_all(&packed(&tree, &[]), &parent.join("out"), &options(&[(Key::RestoreXattrs, 2)])).unwrap();
        assert_eq!(names(&parent.join("out/d/plain")), [""; 0]);
        assert_eq!(names(&parent.join("out/d/file")), ["user.a", "user.z"]);
        assert_eq!(fs::metadata(parent.join("out/locked")).unwrap().mode() & 0o777, 0o444);
    }
}

#[test]
fn equal_sets_stand_once_in_the_order_of_paths_whatever_the_threads() {
    let Some(place) = places().pop() else { return };
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for i in 0..2000 {
        let path = tree.join(format!("f{i:04}"));
        fs::write(&path, b"x").unwrap();
        set(&path, "user.a", format!("{}", i % 3).as_bytes()).unwrap();
    }
    let one = packed_bytes(&tree, &[(Key::Threads, 1)]);
    assert!((2..9).all(|threads| packed_bytes(&tree, &[(Key::Threads, threads)]) == one));
    let archive = packed(&tree, &[]);
    let listing = archive.list(0, usize::MAX).unwrap();
    let ids = (0..listing.len()).map(|i| listing.get(i).unwrap().attributes.xattr_id);
    assert!(ids.enumerate().all(|(i, id)| id == Some(i as u32 % 3)));
    assert_eq!(archive.xattr_sets().unwrap().len(), 3);
    let found: Vec<_> = archive.entry_xattrs(4).unwrap().collect();
    assert_eq!(found, [(&b"user.a"[..], &b"1"[..])]);
}

/// What is done to the section and to the number of its sets.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>, &mut u64);

/// Changes the section and seals the archive again.
fn with_section(bytes: &[u8], change: impl Fn(&mut Vec<u8>, &mut u64)) -> Vec<u8> {
    let trailer = Trailer::decode(bytes, bytes.len() as u64).unwrap();
    let start = trailer.manifest_offset as usize;
    let mut manifest =
        Manifest::decode(&bytes[start..start + trailer.manifest_len as usize], trailer.manifest_offset).unwrap();
    let part = manifest.sections.iter_mut().find(|part| part.module_name == SECTION_NAME).unwrap();
    let range = part.offset as usize..part.end() as usize;
    let mut section = bytes[range.clone()].to_vec();
    change(&mut section, &mut part.rows);
    assert_eq!(section.len(), range.len());
    part.hash = hash(&section);
    let mut all = bytes[..start].to_vec();
    all[range].copy_from_slice(&section);
    let stream = manifest.encode().unwrap();
    let trailer = Trailer::seal(&stream, start as u64);
    all.extend_from_slice(&stream);
    all.extend_from_slice(&trailer.encode());
    all
}

#[test]
fn a_malformed_section_behind_right_hashes_is_refused_before_anything_is_written() {
    let Some(place) = places().pop() else { return };
    let tree = place.path().join("tree");
    sample(&tree);
    let bytes = packed_bytes(&tree, &[(Key::PlainIndex, 1)]);
    let open = |bytes| Archive::open_source(Box::new(source(bytes)), &Options::new()).unwrap();
    open(with_section(&bytes, |_, _| {})).verify(&Options::new()).unwrap();
    let changes: [Change<'_>; 5] = [
        &|section, _| section[0] = 0,
        &|section, _| section[2] = 0xff,
        &|section, _| section[3] = 0,
        &|_, rows| *rows += 1,
        &|_, rows| *rows -= 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let archive = open(with_section(&bytes, change));
        let rule = |error: Error| {
            assert_eq!(error.status(), Status::Corrupt, "change {number}");
            error.rule()
        };
        let expected = Some("xattrs.table");
        assert_eq!(rule(archive.verify(&Options::new()).unwrap_err()), expected, "change {number}");
        let index = archive.find(b"locked").unwrap().unwrap();
        assert_eq!(rule(archive.entry_xattrs(index).map(|_| ()).unwrap_err()), expected, "change {number}");
        let root = place.path().join("refused");
        let restore = options(&[(Key::RestoreXattrs, 1)]);
        assert_eq!(rule(extract_all(&archive, &root, &restore).unwrap_err()), expected, "change {number}");
        assert!(!root.exists(), "change {number}");
        // Who doesn't ask for attributes gets the files; who goes on gets them without.
        extract_all(&archive, &root, &Options::new()).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let outcome = extract_tree(&archive, &root, &options(&[(Key::RestoreXattrs, 1), (Key::KeepGoing, 1)])).unwrap();
        assert_eq!((outcome.failures.len(), fs::read(root.join("locked")).unwrap()), (1, b"locked".to_vec()));
        fs::remove_dir_all(&root).unwrap();
    }
    // Damage that no hash was made right for.
    let part = open(bytes.clone()).manifest().section(SECTION_NAME).unwrap().clone();
    let mut damaged = bytes;
    damaged[part.offset as usize + 5] ^= 1;
    assert_eq!(open(damaged).verify(&Options::new()).unwrap_err().rule(), Some("part.hash"));
}

#[test]
fn an_entry_with_a_set_that_is_not_there_is_refused() {
    let mut builder = Builder::new();
    let attributes = Attributes { mode: Some(0o700), xattr_id: Some(0), ..Attributes::default() };
    builder.entry(b"d", EntryKind::Directory, attributes);
    let archive = builder.archive();
    assert_eq!(archive.verify(&Options::new()).unwrap_err().rule(), Some("index.xattr"));
    let error = archive.entry_xattrs(0).map(|_| ()).unwrap_err();
    assert_eq!((error.rule(), error.path()), (Some("index.xattr"), Some(&b"d"[..])));
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("out");
    let error = extract_all(&archive, &root, &options(&[(Key::RestoreXattrs, 2)])).unwrap_err();
    assert_eq!((error.rule(), root.exists()), (Some("index.xattr"), false));
    let mut builder = Builder::new();
    builder.metadata.insert("root_xattr_id".into(), "0".into());
    assert_eq!(builder.archive().verify(&Options::new()).unwrap_err().rule(), Some("index.xattr"));
    builder.metadata.insert("root_xattr_id".into(), "x".into());
    assert_eq!(builder.archive().verify(&Options::new()).unwrap_err().rule(), Some("manifest.root"));
}

#[test]
fn a_file_system_that_can_not_hold_them_is_an_error_that_names_the_entry() {
    let Some(place) = places().pop() else { return };
    let tree = place.path().join("tree");
    sample(&tree);
    let archive = packed(&tree, &[]);
    let mounted = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "ramfs", "ramfs"]).arg(mounted.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a file system without extended attributes can't be mounted here");
        return;
    }
    let restore = |name: &str, keep_going: i64| {
        let values = [(Key::RestoreXattrs, 1), (Key::KeepGoing, keep_going)];
        extract_tree(&archive, &mounted.path().join(name), &options(&values))
    };
    let error = restore("a", 0).unwrap_err();
    let outcome = restore("b", 1).unwrap();
    let plain = fs::read(mounted.path().join("b/d/plain"));
    Command::new("umount").arg(mounted.path()).status().unwrap();
    assert!(error.message().contains("user.") && error.message().contains("can't hold"), "{error}");
    assert!(error.path().is_some(), "{error}");
    assert_eq!(plain.unwrap(), b"bytes");
    assert!(outcome.failures.len() >= 2, "{:?}", outcome.failures);
}

#[test]
fn the_packer_and_the_format_agree_about_limits() {
    let mut builder = SetBuilder::default();
    builder.add(&[b'n'; 255], &[0; 65_536]).unwrap();
    assert_eq!(builder.finish().unwrap().len(), 2 + 1 + 255 + 4 + 65_536);
}

/// Names and values of an entry's attributes that are not the system's own business.
fn recorded(archive: &Archive, path: &str) -> Vec<(String, Vec<u8>)> {
    let index = archive.find(path.as_bytes()).unwrap().unwrap();
    let all = archive.entry_xattrs(index).unwrap();
    let all = all.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    all.filter(|(name, _)| !name.starts_with("security.")).collect()
}

fn one(name: &str, value: &[u8]) -> Vec<(String, Vec<u8>)> {
    vec![(name.to_owned(), value.to_vec())]
}

#[test]
fn files_that_are_added_by_name_and_roots_below_prefixes_have_theirs() {
    for place in places() {
        let tree = place.path().join("tree");
        sample(&tree);
        for (wanted, expected) in [(1, true), (0, false)] {
            let path = place.path().join(format!("archive{wanted}"));
            let mut writer = Writer::create(&path, &options(&[(Key::Xattrs, wanted)])).unwrap();
            writer.add_file(&tree.join("locked"), b"one file").unwrap();
            writer.add_tree(&tree, b"below/here").unwrap();
            writer.finish().unwrap();
            let archive = Archive::open(&path, &Options::new()).unwrap();
            archive.verify(&Options::new()).unwrap();
            for (path, name, value) in [
                ("one file", "user.locked", &b"\0\xff"[..]),
                ("below/here", "user.root", b"root"),
                ("below/here/d/inner", "user.empty", b""),
            ] {
                assert_eq!(recorded(&archive, path), if expected { one(name, value) } else { Vec::new() }, "{path}");
            }
        }
    }
}

#[test]
fn appending_keeps_what_entries_have_and_compacting_what_they_still_have() {
    for place in places() {
        let (tree, more) = (place.path().join("tree"), place.path().join("more"));
        sample(&tree);
        let path = place.path().join("archive");
        fs::write(&path, packed_bytes(&tree, &[])).unwrap();
        fs::create_dir_all(more.join("d")).unwrap();
        fs::write(more.join("d/file"), "replaced").unwrap();
        fs::write(more.join("like one before"), "new").unwrap();
        set(&more.join("like one before"), "user.locked", b"\0\xff").unwrap();
        set(&more.join("d/file"), "user.new", b"new").unwrap();
        let append = |values: &[(Key, i64)], tree: Option<&Path>| {
            let mut writer = Writer::append(&path, &options(values)).unwrap();
            if let Some(tree) = tree {
                writer.add_tree(tree, b"").unwrap();
            }
            writer.finish().unwrap();
            let archive = Archive::open(&path, &Options::new()).unwrap();
            archive.verify(&Options::new()).unwrap();
            archive
        };
        let check = |archive: &Archive| {
            assert_eq!(recorded(archive, "d/file"), one("user.new", b"new"));
            assert_eq!(recorded(archive, "like one before"), one("user.locked", b"\0\xff"));
            assert_eq!(recorded(archive, "locked"), one("user.locked", b"\0\xff"));
            assert_eq!(recorded(archive, "d/inner"), one("user.empty", b""));
            // The other name of the file that was replaced is the file now.
            assert_eq!(recorded(archive, "d/link"), [one("user.a", &[7; 3000]), one("user.z", b"last")].concat());
            assert!(recorded(archive, "d/plain").is_empty());
        };
        let archive = append(&[(Key::Xattrs, 1), (Key::DuplicatePaths, 1)], Some(&more));
        check(&archive);
        let sets = archive.xattr_sets().unwrap().len();
        // The root of the second tree has none.
        assert_eq!(archive.root_xattr_id().unwrap(), None);
        let archive = append(&[(Key::Compact, 1)], None);
        check(&archive);
        assert_eq!(archive.xattr_sets().unwrap().len(), sets - 1, "the root's set went with the root");
        // Without being asked to record anything, what is there is kept.
        fs::remove_dir_all(&more).unwrap();
        fs::create_dir_all(&more).unwrap();
        fs::write(more.join("plain"), "plain").unwrap();
        check(&append(&[], Some(&more)));
    }
}

#[test]
fn a_set_that_is_not_there_is_not_taken_from_what_is_appended() {
    for place in places() {
        let mut builder = Builder::new();
        let attributes = Attributes { mode: Some(0o755), xattr_id: Some(0), ..Attributes::default() };
        builder.entry(b"liar", EntryKind::Directory, attributes);
        let path = place.path().join("archive");
        fs::write(&path, builder.bytes()).unwrap();
        let tree = place.path().join("tree");
        sample(&tree);
        let mut writer = Writer::append(&path, &options(&[(Key::Xattrs, 1)])).unwrap();
        writer.add_tree(&tree, b"").unwrap();
        let error = writer.finish().map(drop).unwrap_err();
        assert_eq!((error.rule(), error.path()), (Some("index.xattr"), Some(&b"liar"[..])));
    }
}
