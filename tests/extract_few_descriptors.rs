//! Extraction works where the process may have few descriptors. Alone in its program: the limit is everybody's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod extract_support;

use extract_support::{Builder, noise};
use znippy::extract::extract_all;
use znippy::options::{Key, Options};

#[test]
fn eight_threads_work_with_64_descriptors() {
    let mut builder = Builder::new();
    for i in 0..600 {
        builder.sparse(&format!("d{i:03}/big"), 4000, &[(0, &noise(i, 1000)), (2000, &noise(i + 1, 1000))]);
    }
    let archive = builder.archive();
    let root = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Threads, 8).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let low = rustix::process::Rlimit { current: Some(64), maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
    let result = extract_all(&archive, root.path(), &options);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    assert_eq!(result.unwrap().files, 600);
}
