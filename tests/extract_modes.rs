//! Files have the modes that are recorded, whatever mask and lists say, and the process's mask stays. Alone in its program: the
//! mask is everybody's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod extract_support;

use std::path::Path;

use extract_support::{Builder, mode, noise, walk};
use rustix::fs::{Mode, XattrFlags};
use znippy::extract::extract_all;
use znippy::options::{Key, Options};

/// An access control list in the system's own form: owner rwx, group ---, others ---, in version 2.
const CLOSED_LIST: &[u8] =
    b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\0\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

const RECORDED: [u32; 7] = [0o644, 0o755, 0o400, 0o666, 0o777, 0o4755, 0o000];

fn sample() -> Builder {
    let mut builder = Builder::new();
    let set = |builder: &mut Builder, mode| builder.rows.last_mut().unwrap().attributes.as_mut().unwrap().mode = mode;
    for (number, recorded) in RECORDED.into_iter().enumerate() {
        for copy in 0..3 {
            builder.file(&format!("d{number}/{copy}"), &noise(number as u64 * 3 + copy, 300));
            set(&mut builder, Some(recorded));
        }
    }
    builder.file("e/none", b"no mode is recorded");
    set(&mut builder, None);
    builder.sparse("f/big", 9000, &[(0, &noise(77, 3000)), (6000, &noise(78, 3000))]);
    builder
}

fn check(root: &Path, unrecorded: u32) {
    let found = walk(root);
    for (number, recorded) in RECORDED.into_iter().enumerate() {
        for copy in 0..3 {
            let name = format!("d{number}/{copy}");
            assert_eq!(mode(&found[&name]), recorded & 0o777, "{name}");
        }
    }
    assert_eq!(mode(&found["e/none"]), unrecorded);
    assert_eq!(mode(&found["f/big"]), extract_support::MODE);
}

#[test]
fn recorded_modes_win_over_the_mask_and_inherited_lists_and_the_mask_counts_where_none_is_recorded() {
    let (archive, parent) = (sample().archive(), tempfile::tempdir().unwrap());
    let mut options = Options::new();
    options.set(Key::Threads, 3).unwrap();
    for mask in [0o022, 0o077, 0] {
        let mask = Mode::from_raw_mode(mask);
        let before = rustix::process::umask(mask);
        let root = parent.path().join(format!("new-{mask:?}"));
        extract_all(&archive, &root, &options).unwrap();
        // A destination that has something in it already.
        let used = parent.path().join(format!("used-{mask:?}"));
        std::fs::create_dir(&used).unwrap();
        std::fs::write(used.join("other"), b"").unwrap();
        extract_all(&archive, &used, &options).unwrap();
        assert_eq!(rustix::process::umask(before), mask, "the process's mask is the host's");
        check(&root, 0o666 & !mask.as_raw_mode());
        check(&used, 0o666 & !mask.as_raw_mode());
    }

    let listed = parent.path().join("listed");
    std::fs::create_dir(&listed).unwrap();
    match rustix::fs::setxattr(&listed, c"system.posix_acl_default", CLOSED_LIST, XattrFlags::empty()) {
        Ok(()) => {
            extract_all(&archive, &listed.join("made"), &options).unwrap();
            check(&listed.join("made"), 0o600);
        }
        Err(errno) => eprintln!("skipped: no access control lists here: {errno}"),
    }
}
