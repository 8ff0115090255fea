//! The documents in `docs/` say what the code says.
//!
//! `OPTIONS.md` and `ERRORS.md` hold tables between markers, `FORMAT.md` holds hex dumps of an example archive; all of
//! them are made here and compared. With `ZNIPPY_UPDATE_DOCS=1` in the environment they are rewritten instead.
//! The example archive itself is a fixture that stays as it is; it is made only where it is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use znippy::error::STATUS_TABLE;
use znippy::format::blobs::{self, Blob};
use znippy::format::container::{self, FOOTER_LEN, HEAD_LEN, SEGMENT_ALIGN, TRAILER_LEN, Trailer};
use znippy::format::digest::TreeDigest;
use znippy::format::hash::{hash, hex};
use znippy::format::index::{Expected, Segment, SegmentBuilder};
use znippy::format::manifest::{Manifest, Part, SECTION_TYPE};
use znippy::format::row::{Attributes, CODEC_STORED, EntryKind, Location, Row};
use znippy::format::schema::{self, Column, Metadata};
use znippy::options::{Key, Kind, OPTION_TABLE, Options, calls};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn updating() -> bool {
    std::env::var_os("ZNIPPY_UPDATE_DOCS").is_some_and(|value| value == "1")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("can't read {name}: {error}"))
}

/// Compares what stands between `<!-- begin NAME` and `<!-- end NAME -->` with `made`, or rewrites it.
fn check_part(document: &str, name: &str, made: &str) {
    // Tests run side by side and several may rewrite parts of one document.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let text = read(document);
    let begin = text.find(&format!("<!-- begin {name}:")).unwrap_or_else(|| panic!("{document} has no part {name}"));
    let start = begin + text[begin..].find("-->").expect("end of the marker") + "-->\n".len();
    let end = text.find(&format!("<!-- end {name} -->")).unwrap_or_else(|| panic!("{document}: {name} has no end"));
    let wanted = format!("\n{}\n\n", made.trim_end());
    if text[start..end] == wanted {
        return;
    }
    assert!(
        updating(),
        "{document}: the part {name} is out of date; `ZNIPPY_UPDATE_DOCS=1 cargo test --test docs` makes it:\n{made}"
    );
    fs::write(root().join(document), format!("{}{wanted}{}", &text[..start], &text[end..])).expect("document");
}

/// The rows of all tables of a document, as cells without code marks.
fn table_rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

/// The part of a document under one heading, up to the next heading of any level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &text[start + heading.len() + 2..];
    &body[..body.find("\n#").unwrap_or(body.len())]
}

fn size(value: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| value >= *unit && value % unit == 0) {
        Some((unit, name)) => format!("{value} ({} {name})", value / unit),
        None => value.to_string(),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "number",
        Kind::Flag => "flag",
        Kind::Choice => "choice",
        Kind::Bytes => "text",
        Kind::List => "list",
    }
}

fn call_names(bits: u32) -> String {
    let names = [
        (calls::PACK, "pack"),
        (calls::EXTRACT, "extract"),
        (calls::READ, "read"),
        (calls::VERIFY, "verify"),
        (calls::DIFF, "diff"),
    ];
    let named: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    assert_eq!(names.iter().fold(0, |all, (bit, _)| all | bit) & bits, bits, "a call without a name here");
    named.join(", ")
}

#[test]
fn options_document_has_the_rows_of_the_table() {
    let mut made = String::from(
        "| number | name | type | default | least | most | calls | recorded | meaning |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for spec in OPTION_TABLE {
        // Options that can be a MiB or more are sizes or limits in bytes.
        let size = |value: i64| if spec.max < 1 << 20 { value.to_string() } else { size(value) };
        let default = if spec.kind.is_bytes() { "empty".to_owned() } else { size(spec.default) };
        let most = if spec.max == i64::MAX { "2^63 - 1".to_owned() } else { size(spec.max) };
        let (number, name, kind) = (spec.key as u32, spec.name, kind_name(spec.kind));
        let (least, calls) = (size(spec.min), call_names(spec.calls));
        let recorded = if spec.recorded { "yes" } else { "no" };
        let help = spec.help;
        writeln!(
            made,
            "| {number} | `{name}` | {kind} | {default} | {least} | {most} | {calls} | {recorded} | {help} |"
        )
        .expect("text");
    }
    check_part("docs/OPTIONS.md", "options", &made);
}

#[test]
fn options_document_has_the_values_of_the_presets() {
    let mut made = String::from("| preset | level | small-file | block-size | slice-size |\n|---|---|---|---|---|\n");
    for preset in Key::Preset.spec().min..=Key::Preset.spec().max {
        let mut options = Options::new();
        options.set(Key::Preset, preset).expect("preset");
        let [small, block, slice] = [Key::SmallFile, Key::BlockSize, Key::SliceSize].map(|key| size(options.get(key)));
        writeln!(made, "| {preset} | {} | {small} | {block} | {slice} |", options.get(Key::Level)).expect("text");
    }
    check_part("docs/OPTIONS.md", "presets", &made);
}

#[test]
fn errors_document_has_the_rows_of_the_table() {
    let mut made = String::from("| number | name | meaning |\n|---|---|---|\n");
    for (_, number, name, sentence) in STATUS_TABLE {
        writeln!(made, "| {number} | `{name}` | {sentence} |").expect("text");
    }
    check_part("docs/ERRORS.md", "statuses", &made);
}

/// Every string in the sources that looks like the name of a rule: `word.word`, and more words. Tests are left out.
fn rules_in_sources() -> BTreeSet<String> {
    let mut files = vec![root().join("src")];
    let mut rules = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).expect("directory").map(|entry| entry.expect("entry").path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source");
        let text = text.split("#[cfg(test)]\nmod ").next().expect("first part");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            rules.extend(line.split('"').skip(1).step_by(2).filter(|literal| is_rule(literal)).map(str::to_owned));
        }
    }
    rules
}

fn is_rule(literal: &str) -> bool {
    let words: Vec<&str> = literal.split('.').collect();
    // Those begin the names of extended attributes.
    let is_attribute = matches!(words[0], "security" | "system" | "trusted" | "user");
    words.len() > 1
        && !is_attribute
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

#[test]
fn errors_document_names_every_refusal_rule_and_no_other() {
    let text = read("docs/ERRORS.md");
    let (_, rules) = text.split_once("\n## Refusal rules\n").expect("the section on refusal rules");
    let documented: Vec<String> =
        table_rows(rules).into_iter().map(|row| row[0].clone()).filter(|name| is_rule(name)).collect();
    let set: BTreeSet<String> = documented.iter().cloned().collect();
    assert_eq!(set.len(), documented.len(), "docs/ERRORS.md has a rule twice");
    let found = rules_in_sources();
    let missing: Vec<_> = found.difference(&set).collect();
    let stale: Vec<_> = set.difference(&found).collect();
    assert!(missing.is_empty(), "docs/ERRORS.md lacks rules that stand in src/; write a row for each: {missing:?}");
    assert!(stale.is_empty(), "docs/ERRORS.md has rules that no source has: {stale:?}");
}

fn check_columns(heading: &str, columns: &[Column]) {
    let text = read("docs/FORMAT.md");
    let rows = table_rows(section(&text, heading));
    let found: Vec<[String; 3]> =
        rows[1..].iter().map(|row| [row[0].clone(), row[1].clone(), row[2].clone()]).collect();
    let wanted: Vec<[String; 3]> = columns
        .iter()
        .map(|column| {
            let null = if column.nullable { "yes" } else { "no" };
            [column.name.to_owned(), column.data_type.to_string(), null.to_owned()]
        })
        .collect();
    assert_eq!(found, wanted, "{heading}");
}

#[test]
fn format_document_has_the_columns_the_kinds_and_the_recorded_options() {
    check_columns("### 6.2 Index columns", &schema::INDEX);
    check_columns("### 7.1 Manifest columns", &schema::MANIFEST);
    let text = read("docs/FORMAT.md");
    let numbers = |heading: &str| -> Vec<u8> {
        table_rows(section(&text, heading)).iter().filter_map(|row| row[0].parse().ok()).collect()
    };
    let kinds: Vec<u8> = (0..=u8::MAX).take_while(|number| EntryKind::from_number(*number).is_some()).collect();
    assert_eq!(numbers("### 6.3 Kinds"), kinds);
    let recorded: Vec<&str> = OPTION_TABLE.iter().filter(|spec| spec.recorded).map(|spec| spec.name).collect();
    let keys: Vec<String> =
        table_rows(section(&text, "### 7.3 Metadata")).into_iter().map(|row| row[0].clone()).collect();
    let keys: Vec<&str> = keys[1..].iter().map(String::as_str).filter(|key| !key.contains('_')).collect();
    assert_eq!(keys, recorded);
}

const FIXTURE: &str = "tests/fixtures/format-4-example.znippy";

/// The archive of the worked example, as FORMAT.md describes it.
fn make_example() -> Vec<u8> {
    const MTIME: i64 = 1_700_000_000_000_000_000;
    let block = b"hello\nworld\n";
    let metadata: Metadata = [
        ("znippy_format_version", "4"),
        ("root_mode", "755"),
        ("root_mtime_ns", "1700000000000000000"),
        ("zstd_version", "1.5.7"),
    ]
    .iter()
    .map(|(key, value)| (key.to_string(), value.to_string()))
    .chain(OPTION_TABLE.iter().filter(|spec| spec.recorded).map(|spec| {
        let value = if spec.key == Key::PlainIndex { 1 } else { spec.default };
        (spec.name.to_owned(), value.to_string())
    }))
    .collect();
    let at =
        |offset| Location { blob_offset: 16, blob_size: 12, block_offset: offset, block_size: 12, codec: CODEC_STORED };
    let row = |path, kind: EntryKind, bytes: &[u8], location, attributes| Row {
        path,
        chunk_seq: 0,
        offset: 0,
        size: bytes.len() as u64,
        checksum: if kind.has_bytes() { hash(bytes) } else { [0; 32] },
        kind: kind as u8,
        location,
        attributes: Some(attributes),
    };
    let base = |mode| Attributes { mode, mtime_ns: Some(MTIME), ..Attributes::default() };
    let file = |size| Attributes { file_size: Some(size), ..base(Some(0o644)) };
    let link = Attributes { link_target: Some(b"hello.txt"), ..base(None) };
    let rows: [Row<'_>; 5] = [
        row(b"d", EntryKind::Directory, b"", None, base(Some(0o755))),
        row(b"d/hello.txt", EntryKind::File, &block[..6], Some(at(0)), file(6)),
        row(b"d/link", EntryKind::Symlink, b"", None, link),
        row(b"d/world.txt", EntryKind::File, &block[6..], Some(at(6)), file(6)),
        row(b"empty", EntryKind::File, b"", None, file(0)),
    ];
    let mut segment = SegmentBuilder::new();
    for row in &rows {
        segment.push(row).expect("row");
    }
    let segment = segment.finish(&schema::arrow(&schema::INDEX, &metadata)).expect("segment");

    let mut archive = container::head().to_vec();
    archive.extend_from_slice(block);
    let table = blobs::encode(&[Blob { offset: HEAD_LEN, stored: 12, decoded: 12, hash: hash(block) }]);
    let blob_table = Part {
        pkg_type: SECTION_TYPE,
        module_name: blobs::SECTION_NAME.to_owned(),
        offset: archive.len() as u64,
        len: table.len() as u64,
        rows: 1,
        hash: hash(&table),
        ..Part::default()
    };
    archive.extend_from_slice(&table);
    archive.resize(archive.len().next_multiple_of(SEGMENT_ALIGN as usize), 0);
    let index = Part {
        offset: archive.len() as u64,
        len: segment.len() as u64,
        rows: rows.len() as u64,
        first_path: b"d".to_vec(),
        last_path: b"empty".to_vec(),
        entries: rows.len() as u64,
        hash: hash(&segment),
        ..Part::default()
    };
    archive.extend_from_slice(&segment);
    let manifest = Manifest { metadata, sections: vec![blob_table], segments: vec![index] }.encode().expect("manifest");
    let trailer = Trailer::seal(&manifest, archive.len() as u64);
    archive.extend_from_slice(&manifest);
    archive.extend_from_slice(&trailer.encode());
    archive
}

fn dump(bytes: &[u8], range: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for (i, line) in bytes[range.clone()].chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain: String =
            line.iter().map(|byte| if (0x20..0x7f).contains(byte) { *byte as char } else { '.' }).collect();
        writeln!(text, "{:06x}  {:<47}  {plain}", range.start + i * 16, hex.join(" ")).expect("text");
    }
    text
}

#[test]
fn format_document_shows_the_example_archive_as_the_library_reads_it() {
    let path: PathBuf = root().join(FIXTURE);
    if updating() && !path.exists() {
        fs::write(&path, make_example()).expect("fixture");
    }
    let archive = fs::read(&path).expect("fixture");
    let len = archive.len();
    container::check_head(&archive[..HEAD_LEN as usize]).expect("head");
    let trailer = Trailer::decode(&archive, len as u64).expect("trailer");
    let start = trailer.manifest_offset as usize;
    let stream = &archive[start..start + trailer.manifest_len as usize];
    trailer.check(stream).expect("hash");
    let manifest = Manifest::decode(stream, trailer.manifest_offset).expect("manifest");
    let bytes = |part: &Part| archive[part.offset as usize..part.end() as usize].to_vec();
    let (table, part) = (manifest.blob_table().expect("blob table"), &manifest.segments[0]);
    assert_eq!((hash(&bytes(table)), hash(&bytes(part))), (table.hash, part.hash));
    blobs::decode(&bytes(table), table.rows, manifest.payload_end()).expect("blobs");
    let expected = Expected {
        rows: part.rows as usize,
        entries: part.entries as usize,
        first_path: &part.first_path,
        last_path: &part.last_path,
        payload_end: manifest.payload_end(),
        codecs: znippy::format::row::Codecs::Version4,
    };
    let segment = Segment::decode(bytes(part), &expected).expect("segment");
    let mut digest = TreeDigest::new();
    for i in 0..segment.rows() {
        let row = segment.row(i);
        let attributes = row.attributes.expect("first row");
        let file_hash = attributes.file_hash.unwrap_or(row.checksum);
        digest.add(row.path, row.kind, attributes.mode, attributes.link_target, &file_hash);
    }

    let mut map = String::from("| from | to | what |\n|---|---|---|\n");
    let (table_start, table_end) = (table.offset as usize, table.end() as usize);
    let (index_start, index_end) = (part.offset as usize, part.end() as usize);
    let ends = [len - (TRAILER_LEN + FOOTER_LEN) as usize, len - FOOTER_LEN as usize];
    for (from, to, what) in [
        (0, 16, "head"),
        (16, table_start, "blob 0, stored: `hello\\nworld\\n`"),
        (table_start, table_end, "blob table: 8 zero bytes and one record"),
        (table_end, index_start, "padding, zeros"),
        (index_start, index_end, "index segment 0, plain: 5 rows"),
        (index_end, ends[0], "manifest: 2 rows"),
        (ends[0], ends[1], "trailer"),
        (ends[1], len, "footer"),
    ] {
        writeln!(map, "| {from} | {to} | {what} |").expect("text");
    }
    check_part("docs/FORMAT.md", "example map", &map);

    let code = |text: String| format!("```text\n{text}```\n");
    check_part("docs/FORMAT.md", "example start", &code(dump(&archive, 0..index_start)));
    check_part(
        "docs/FORMAT.md",
        "example index",
        &code(dump(&archive, index_start..index_start + 16) + "...\n" + &dump(&archive, index_end - 8..index_end)),
    );
    check_part("docs/FORMAT.md", "example end", &code(dump(&archive, ends[0]..len)));
    let hashes = format!(
        "| what | value |\n|---|---|\n| BLAKE3 of blob 0 | `{}` |\n| checksum of `d/hello.txt` | `{}` |\n\
         | checksum of `d/world.txt` | `{}` |\n| checksum of `empty` | `{}` |\n\
         | index_hash of the blob table | `{}` |\n| index_hash of index segment 0 | `{}` |\n\
         | archive digest | `{}` |\n| tree digest | `{}` |\n",
        hex(&hash(b"hello\nworld\n")),
        hex(&hash(b"hello\n")),
        hex(&hash(b"world\n")),
        hex(&hash(b"")),
        hex(&table.hash),
        hex(&part.hash),
        hex(&trailer.digest),
        hex(&digest.finish()),
    );
    check_part("docs/FORMAT.md", "example hashes", &hashes);
}

/// All Rust sources of the library, its tests and its fuzz targets.
fn rust_sources() -> String {
    let mut places: Vec<PathBuf> = ["src", "tests", "fuzz/src"].iter().map(|name| root().join(name)).collect();
    let mut text = String::new();
    while let Some(path) = places.pop() {
        if path.is_dir() {
            places.extend(fs::read_dir(&path).expect("directory").map(|entry| entry.expect("entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("source");
        }
    }
    text
}

#[test]
fn every_promise_has_a_test_and_every_test_that_is_named_exists() {
    let sources = rust_sources();
    let document = read("docs/PROMISES.md");
    let (mut promises, mut missing) = (0, Vec::new());
    for line in document.lines().filter(|line| line.starts_with("| ") && !line.contains("| tests |")) {
        let (promise, tests) = line.trim_end_matches(" |").rsplit_once(" | ").expect("a promise and its tests");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {promise}");
        promises += 1;
        missing.extend(named.into_iter().filter(|name| {
            // A test stands behind its attribute, or behind one more that says why it is ignored.
            let is_test = ["]\n", "]\n    "].iter().any(|before| sources.contains(&format!("{before}fn {name}()")));
            if name.contains('/') { !root().join(name).is_file() } else { !is_test }
        }));
    }
    assert!(promises > 40, "{promises}");
    assert!(missing.is_empty(), "docs/PROMISES.md names tests that don't exist: {missing:?}");
}
