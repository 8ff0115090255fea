//! What a library may not do to its host: print, read the environment, change the state of the process, end it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

/// Calls that would, as the code would have them.
const FORBIDDEN: &[&str] = &[
    "print!(",
    "println!(",
    "eprint!(",
    "eprintln!(",
    "dbg!(",
    "env::var",
    "env::set_",
    "env::temp_dir",
    "env::current_dir",
    "set_current_dir",
    "process::exit",
    "process::abort",
    "umask(",
    "sigaction(",
    "signal(",
    "setlocale(",
    "chdir(",
    "static mut ",
    "getenv",
];

#[test]
fn the_library_prints_nothing_reads_no_environment_and_changes_nothing_of_the_process() {
    let mut places = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut files, mut found) = (0, Vec::new());
    while let Some(path) = places.pop() {
        if path.is_dir() {
            places.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        files += 1;
        let text = fs::read_to_string(&path).unwrap();
        // Tests of a module stand at its end.
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            // The mask can only be read by setting it, which a thread does that shares it with no other.
            let allowed = path.ends_with("sys.rs") && line.contains("own.then(|| rustix::process::umask(");
            let bad = FORBIDDEN.iter().find(|call| line.contains(*call) && !allowed);
            found.extend(bad.map(|call| format!("{}: {call}", path.display())));
        }
    }
    assert!(files > 100, "{files}");
    assert!(found.is_empty(), "{found:#?}");
}
