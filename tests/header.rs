//! `include/znippy.h` is what `src/capi` says, complete, and clean for every compiler mode that hosts use.
//!
//! `ZNIPPY_UPDATE_HEADER=1 cargo test --test header` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use znippy::error::STATUS_TABLE;
use znippy::format::row::EntryKind;
use znippy::options::OPTION_TABLE;

/// The files in the order of the header's sections.
const SOURCES: [&str; 16] = [
    "constants",
    "types",
    "library",
    "error",
    "options",
    "provider",
    "cancel",
    "oneshot",
    "writer",
    "open",
    "reader",
    "entries",
    "listing",
    "diff",
    "buffer",
    "arrow",
];

/// Where the test runs, which may be a copy of the sources.
fn root() -> &'static Path {
    static ROOT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from))
}

fn header_path() -> PathBuf {
    root().join("include/znippy.h")
}

/// The committed header, after it was brought up to date where that is asked for.
fn header() -> String {
    static WRITTEN: std::sync::Once = std::sync::Once::new();
    WRITTEN.call_once(|| {
        if std::env::var_os("ZNIPPY_UPDATE_HEADER").is_some() {
            fs::write(header_path(), generated()).unwrap();
        }
    });
    fs::read_to_string(header_path()).unwrap()
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root().join("src/capi").join(source).with_extension("rs"));
    }
    let mut text = Vec::new();
    builder.generate().expect("src/capi is what the generator understands").write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Numbers of the macros that begin with `prefix`, by the rest of their names.
fn macros(header: &str, prefix: &str) -> BTreeMap<String, i64> {
    let lines = header.lines().filter_map(|line| line.strip_prefix("#define ")?.strip_prefix(prefix)?.split_once(' '));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.split(' ').next()?.parse().ok()?))).collect()
}

#[test]
fn committed_header_is_the_generated_one() {
    assert!(
        header() == generated(),
        "include/znippy.h is out of date: ZNIPPY_UPDATE_HEADER=1 cargo test --test header, then review and commit"
    );
}

#[test]
fn every_row_of_the_tables_has_its_macro() {
    let header = header();
    let options = OPTION_TABLE.iter().map(|spec| {
        let name = spec.name.to_uppercase().replace('-', "_");
        (name, i64::from(spec.key as u32))
    });
    assert_eq!(macros(&header, "ZNIPPY_OPT_"), options.collect());

    let failures = STATUS_TABLE.iter().filter_map(|row| Some((row.2.strip_prefix("ZNIPPY_E_")?, i64::from(row.1))));
    assert_eq!(macros(&header, "ZNIPPY_E_"), failures.map(|(name, number)| (name.to_owned(), number)).collect());
    assert_eq!((macros(&header, "ZNIPPY_OK")[""], macros(&header, "ZNIPPY_DONE")[""]), (0, 1));

    let kinds = (0..=u8::MAX).filter_map(EntryKind::from_number);
    let plain = |name: &str| name.to_uppercase().replace('_', "");
    let named = macros(&header, "ZNIPPY_KIND_").into_iter().map(|(name, number)| (plain(&name), number));
    let expected = kinds.map(|kind| (plain(&format!("{kind:?}")), kind as i64));
    assert_eq!(named.collect::<BTreeMap<_, _>>(), expected.collect());
}

#[test]
fn version_macros_are_those_of_the_package() {
    let header = header();
    let version = macros(&header, "ZNIPPY_VERSION_");
    let part = |digits: &str| digits.parse::<i64>().unwrap();
    assert_eq!(version["MAJOR"], part(env!("CARGO_PKG_VERSION_MAJOR")));
    assert_eq!(version["MINOR"], part(env!("CARGO_PKG_VERSION_MINOR")));
    assert_eq!(version["PATCH"], part(env!("CARGO_PKG_VERSION_PATCH")));
    assert_eq!(version["NUMBER"], i64::from(znippy::capi::znippy_version_number()));
    assert!(header.contains(&format!("#define ZNIPPY_VERSION_STRING \"{}\"", env!("CARGO_PKG_VERSION"))));
}

/// The comment above each function, by the function's name.
fn functions(header: &str) -> BTreeMap<String, String> {
    let parts = header.split("/**").skip(1).filter_map(|part| part.split_once("*/"));
    let named = parts.filter_map(|(comment, declaration)| {
        let declaration = declaration.trim_start().strip_prefix("ZNIPPY_API")?;
        let name = declaration.split_once('(')?.0.rsplit([' ', '*']).next()?;
        Some((name.to_owned(), comment.to_owned()))
    });
    named.collect()
}

#[test]
fn every_function_says_who_owns_what_which_threads_and_which_errors() {
    let header = header();
    let functions = functions(&header);
    for (name, comment) in &functions {
        for topic in ["Ownership:", "Threads:", "Errors:"] {
            assert!(comment.contains(topic), "{name} says nothing of {topic}");
        }
    }
    let mut exported = Vec::new();
    for entry in fs::read_dir(root().join("src/capi")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in source.lines().filter(|line| line.starts_with("pub ") && line.contains("extern \"C\" fn ")) {
            let name = line.split_once("fn ").unwrap().1;
            exported.push(name.split('(').next().unwrap().to_owned());
        }
    }
    exported.sort();
    assert_eq!(functions.into_keys().collect::<Vec<_>>(), exported, "the header lacks a file of src/capi");
}

#[test]
fn header_is_clean_in_every_language_mode() {
    header();
    const COMMON: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only"];
    const C_ONLY: &[&str] = &["-Wc++-compat", "-Wstrict-prototypes"];
    let folder = tempfile::tempdir().unwrap();
    // The version is used, and the header included twice.
    let text = "#include <znippy.h>\n#include <znippy.h>\nznippy_status use(void);\n\
                znippy_status use(void) { return ZNIPPY_VERSION_NUMBER > 0 ? ZNIPPY_E_IO : ZNIPPY_OK; }\n";
    let mut compiled = 0;
    for (compilers, extension, modes, extra) in [
        (["gcc", "clang"], "c", ["c99", "c11", "c17"], C_ONLY),
        (["g++", "clang++"], "cpp", ["c++11", "c++17", "c++20"], &[]),
    ] {
        let file = folder.path().join("twice").with_extension(extension);
        fs::write(&file, text).unwrap();
        for (compiler, mode) in compilers.iter().flat_map(|compiler| modes.map(|mode| (*compiler, mode))) {
            let mut command = Command::new(compiler);
            command.arg(format!("-std={mode}")).args(COMMON).args(extra).arg("-I").arg(root().join("include"));
            // A compiler that isn't there can't object; one that is must not.
            let Ok(output) = command.arg(&file).output() else { continue };
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{compiler} -std={mode}:\n{complaints}");
            compiled += 1;
        }
    }
    eprintln!("{compiled} compilations");
}
