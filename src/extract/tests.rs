//! What only the inside can ask for: the walk that replaces openat2, and names that no index lets through.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::error::Result;
use crate::extract::extract;
use crate::extract::failures::Failures;
use crate::extract::plan::Plan;
use crate::extract::sandbox::Root;
use crate::extract::settings::Settings;
use crate::options::Options;
use crate::progress::{CancelToken, Reporter};

#[path = "../../tests/extract_support/mod.rs"]
mod support;

use support::{Builder, names, noise};

type Open = fn(&Path) -> Result<Root>;

/// The kernel walks, and component by component.
const BOTH: [Open; 2] = [Root::open, open_by_hand];

fn open_by_hand(destination: &Path) -> Result<Root> {
    let root = Root::open(destination)?;
    root.walk_by_hand();
    Ok(root)
}

fn sample() -> Builder {
    let mut builder = Builder::new();
    builder.directory("d", 0o750, 5);
    builder.sparse("d/e/f/big", 2000, &[(0, &noise(1, 1000)), (1000, &noise(2, 1000))]);
    builder.file("d/e/g", b"small");
    builder
}

#[test]
fn both_ways_to_resolve_restore_the_same_tree() {
    for open in BOTH {
        let root = tempfile::tempdir().unwrap();
        extract(&sample().archive(), root.path(), &Options::new(), open).unwrap();
        assert_eq!(names(root.path()), ["d", "d/e", "d/e/f", "d/e/f/big", "d/e/g"]);
        assert_eq!(fs::read(root.path().join("d/e/g")).unwrap(), b"small");
    }
}

#[test]
fn neither_way_to_resolve_follows_a_planted_link() {
    for open in BOTH {
        for planted in ["d", "d/e", "d/e/f"] {
            let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(root.path().join(planted).parent().unwrap()).unwrap();
            symlink(outside.path(), root.path().join(planted)).unwrap();
            let error = extract(&sample().archive(), root.path(), &Options::new(), open).unwrap_err();
            assert_eq!(error.rule(), Some("sandbox.directory"));
            assert!(names(outside.path()).is_empty());
        }
    }
}

#[test]
fn directories_outside_are_not_opened_whatever_the_path() {
    for open in BOTH {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("outside")).unwrap();
        let root = open(&parent.path().join("root")).unwrap();
        symlink("../outside", parent.path().join("root/link")).unwrap();
        symlink("/proc/self/cwd", parent.path().join("root/magic")).unwrap();
        for path in [&b".."[..], b"../outside", b"/", b"/tmp", b"link", b"link/.", b"magic", b"a/../../outside"] {
            assert!(root.directory(path).is_err(), "{path:?}");
            assert!(root.readable_directory(path).is_err(), "{path:?}");
        }
    }
}

#[test]
fn names_that_are_not_one_component_create_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let root = Root::open(&parent.path().join("root")).unwrap();
    let directory = root.directory(b"").unwrap();
    for name in [&b""[..], b".", b"..", b"../x", b"/tmp/x", b"a/b", b"a\0b"] {
        assert!(directory.make_directory(name, 0o700).is_err());
        assert!(directory.create(Cow::Borrowed(name), 0o600).is_err());
        assert!(directory.symlink(b"target", name).is_err());
        assert!(directory.fifo(name).is_err());
        assert!(directory.link(name, &directory, b"x").is_err());
        assert!(directory.replace(b"x", name).is_err());
        assert!(directory.rename_new(b"x", name).is_err());
    }
    assert_eq!(names(parent.path()), ["root"]);
}

#[test]
fn a_file_swapped_for_another_is_not_opened_again() {
    let parent = tempfile::tempdir().unwrap();
    let root = Root::open(parent.path()).unwrap();
    let directory = root.directory(b"").unwrap();
    let file = directory.create(Cow::Borrowed(b"x"), 0o600).unwrap();
    let identity = file.identity().unwrap();
    drop(file.keep());
    assert!(directory.reopen(b"x", identity).is_ok());
    fs::write(parent.path().join("other"), b"").unwrap();
    fs::rename(parent.path().join("other"), parent.path().join("x")).unwrap();
    assert_eq!(directory.reopen(b"x", identity).unwrap_err().rule(), Some("sandbox.swapped"));
}

#[test]
fn hard_links_that_can_not_be_made_become_files_from_their_own_rows() {
    let mut builder = Builder::new();
    builder.sparse("a", 2000, &[(0, &noise(1, 1000)), (1000, &noise(2, 1000))]);
    builder.file("b", b"bytes");
    for (path, of, rows) in [("c", "a", 0..2), ("d", "b", 2..3)] {
        for row in rows {
            let mut row = builder.rows[row].clone();
            (row.path, row.kind) = (path.into(), 3);
            if let Some(attributes) = &mut row.attributes {
                attributes.link_target = Some(of.as_bytes());
            }
            builder.rows.push(row);
        }
    }
    builder.rows_per_segment = 2;
    let archive = builder.archive();
    let mut reporter = Reporter::new(None, CancelToken::new(), std::time::Duration::ZERO);
    let settings = Settings::new(&Options::new()).unwrap();
    let failures = Failures::new(false);
    let mut plan = Plan::new(&archive, &settings, &failures, &mut reporter).unwrap();
    assert_eq!((plan.hardlinks.len(), plan.slices.len(), plan.bigs.len()), (2, 3, 1));
    let links = plan.hardlinks.clone();
    plan.take_hardlinks(&archive, &settings.filter, &failures, &links).unwrap();
    assert_eq!((plan.slices.len(), plan.bigs.len()), (3, 1));
    let mut paths: Vec<Vec<u8>> =
        plan.slices.iter().map(|slice| plan.tree.path(plan.file_of(slice), &mut Vec::new()).to_vec()).collect();
    paths.sort();
    assert_eq!(paths, [b"c", b"c", b"d"]);
}
