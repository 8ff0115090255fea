//! Packing works where the process may have few descriptors. Alone in its program: the limit is everybody's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use znippy::error::Result;
use znippy::options::{Key, Options};
use znippy::pack::pack_directory;
use znippy::stats::Stats;

fn pack_with(descriptors: u64, tree: &Path, archive: &Path) -> Result<Stats> {
    let mut options = Options::new();
    options.set(Key::Threads, 8).unwrap();
    options.set(Key::Overwrite, 1).unwrap();
    // What can't be opened for want of descriptors must not be left out.
    options.set(Key::OnError, 1).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(descriptors), maximum: limit.maximum }).unwrap();
    let result = pack_directory(tree, archive, &options);
    setrlimit(Resource::Nofile, limit).unwrap();
    result
}

#[test]
fn eight_threads_pack_with_64_descriptors_and_fewer_never_leave_anything_out() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, archive) = (dir.path().join("tree"), dir.path().join("archive"));
    for i in 0..600 {
        // Deep, so that the walk over the names wants many directories open.
        let deep =
            tree.join(format!("d{:02}", i % 40)).join("e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w").join(i.to_string());
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![b'x'; i]).unwrap();
    }
    let whole = pack_with(64, &tree, &archive).unwrap();
    assert_eq!((whole.files, whole.skipped), (600, 0));
    let mut packed = 0;
    for descriptors in 4..40 {
        match pack_with(descriptors, &tree, &archive) {
            Ok(stats) => {
                assert_eq!((stats.files, stats.skipped), (600, 0), "{descriptors} descriptors");
                packed += 1;
            }
            Err(error) => assert_eq!(error.os_code(), libc::EMFILE, "{descriptors} descriptors: {error:?}"),
        }
    }
    assert!(packed > 10, "only {packed} of 36");
}
