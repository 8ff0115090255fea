//! Hostile archives, by class. All hashes are right, so that what is looked at is the structure.

use std::collections::BTreeMap;

use znippy::format::codec::Compressor;
use znippy::format::container::{FOOTER_LEN, TRAILER_LEN, Trailer};
use znippy::format::hash::hash;
use znippy::format::manifest::{Manifest, Part};
use znippy::format::row::{Attributes, EntryKind, Location};
use znippy::progress::CancelToken;

use crate::extract_support::{Builder, noise};

/// What becomes of an archive where nothing stands in its way.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// It is restored, and nothing of it does harm.
    Harmless,
    /// A rule whose name starts with one of these refuses it and names the entry.
    Entry(&'static [&'static str]),
    /// The same for the archive as a whole.
    Whole(&'static [&'static str]),
}

use Expected::{Entry, Harmless, Whole};

/// One hostile archive.
pub struct Case {
    pub class: &'static str,
    pub name: String,
    pub bytes: Vec<u8>,
    /// As it comes.
    pub plain: Expected,
    /// With the option `untrusted`.
    pub untrusted: Expected,
}

const STRUCTURE: Expected = Entry(&["index.", "codec.", "slice.", "file."]);
const PATH: Expected = Entry(&["path."]);
const NAME: Expected = Entry(&["untrusted.name"]);
const NAME_OR_STRUCTURE: Expected = Entry(&["untrusted.", "index."]);

/// All of them, in the same order every time.
pub fn all() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    traversal(&mut cases);
    absolute(&mut cases);
    components(&mut cases);
    bytes(&mut cases);
    reserved(&mut cases);
    through_links(&mut cases);
    link_targets(&mut cases);
    hard_links(&mut cases);
    duplicates(&mut cases);
    collisions(&mut cases);
    special(&mut cases);
    counts(&mut cases);
    bombs(&mut cases);
    slices(&mut cases);
    cases.0
}

struct Cases(Vec<Case>);

impl Cases {
    fn add(
        &mut self,
        class: &'static str,
        name: impl Into<String>,
        builder: &mut Builder,
        plain: Expected,
        untrusted: Expected,
    ) {
        // What every archive has, so that every state of a destination has something to bite on.
        builder.directory("benign", 0o755, 1);
        builder.file("benign/inner/file", b"from the archive");
        // A row keeps its place among rows of the same path.
        builder.rows.sort_by(|a, b| (&a.path, a.chunk_seq > 0).cmp(&(&b.path, b.chunk_seq > 0)));
        self.raw(class, name, builder.bytes(), plain, untrusted);
    }

    fn raw(
        &mut self,
        class: &'static str,
        name: impl Into<String>,
        bytes: Vec<u8>,
        plain: Expected,
        untrusted: Expected,
    ) {
        self.0.push(Case { class, name: name.into(), bytes, plain, untrusted });
    }

    /// A name as a file, a directory or a link.
    fn named(&mut self, class: &'static str, path: &[u8], plain: Expected, untrusted: Expected) {
        let mut builder = Builder::new();
        match self.0.len() % 4 {
            0 => builder.file_as(path, b"bytes", EntryKind::File, None),
            1 => {
                let attributes = Attributes { mode: Some(0o777), mtime_ns: Some(1), ..Attributes::default() };
                builder.entry(path, EntryKind::Directory, attributes);
            }
            2 => {
                let attributes = Attributes { link_target: Some(b"x"), ..Attributes::default() };
                builder.entry(path, EntryKind::Symlink, attributes);
            }
            _ => builder.file_as(path, &noise(1, 3000), EntryKind::Hardlink, Some(b"benign/inner/file")),
        }
        let shown: String = String::from_utf8_lossy(path).chars().take(60).collect();
        self.add(class, format!("{shown:?}"), &mut builder, plain, untrusted);
    }
}

fn traversal(cases: &mut Cases) {
    let long = "../".repeat(200) + "x";
    for path in [
        "..",
        "../x",
        "../../x",
        "a/..",
        "a/../x",
        "a/../../x",
        "a/../..",
        "../sentinel/secret",
        "../sentinel",
        "benign/../../sentinel/secret",
        "benign/inner/../../../sentinel/dir/file",
        "a/b/c/../../../../x",
        "./../x",
        "a/./../../x",
        "...//../x",
        "../.",
        "a/b/../../..",
        &long,
        "a/../b/../../sentinel/new",
        "..\u{0}/x",
    ] {
        cases.named("traversal", path.as_bytes(), PATH, PATH);
    }
}

fn absolute(cases: &mut Cases) {
    for path in [
        "/",
        "//",
        "/x",
        "//x",
        "/etc/passwd",
        "/tmp/x",
        "/sentinel/secret",
        "/../x",
        "/./x",
        "/proc/self/cwd/x",
        "/dev/null",
        "//../..",
        "/benign",
        "/a/b/c",
    ] {
        cases.named("absolute", path.as_bytes(), PATH, PATH);
    }
}

fn components(cases: &mut Cases) {
    let (long, deep, huge) = ("c".repeat(256), "d/".repeat(1024) + "d", "e/".repeat(32_768) + "e");
    // The manifest repeats the path as a bound.
    let bound = Whole(&["path.", "manifest.parts"]);
    let twice = "benign//inner";
    for path in [
        "",
        ".",
        "a/",
        "a//b",
        "a///b",
        "./a",
        "a/.",
        "a/./b",
        "benign/",
        "benign/.",
        twice,
        "benign/inner/",
        &long,
        &deep,
        &format!("a/{long}/b"),
    ] {
        cases.named("components", path.as_bytes(), PATH, PATH);
    }
    cases.named("components", huge.as_bytes(), bound, bound);
}

fn bytes(cases: &mut Cases) {
    for path in [&b"\0"[..], b"a\0b", b"a/\0", b"a/b\0/c", b"benign\0", b"benign/inner/file\0"] {
        cases.named("bytes", path, PATH, PATH);
    }
    for path in [
        &b"\xff"[..],
        b"a/\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xc0\xae\xc0\xae/x",
        b"new\nline",
        b"tab\t",
        b"\x1b[2J",
        b"bell\x07",
        b"del\x7f",
        b"a\\b",
        b"..\\..\\x",
        b"c1\xc2\x85",
    ] {
        cases.named("bytes", path, Harmless, NAME);
    }
}

fn reserved(cases: &mut Cases) {
    for path in [
        "nul",
        "NUL",
        "con",
        "CON.txt",
        "prn",
        "aux",
        "aux.tar.gz",
        "com1",
        "COM9.x",
        "lpt1",
        "LPT\u{b2}",
        "conin$",
        "CONOUT$",
        "clock$",
        "C:",
        "C:x",
        "C:\\x",
        "\\\\server\\share",
        "\\\\?\\C:\\x",
        "file:stream",
        "x:Zone.Identifier:$DATA",
        "tail.",
        "tail ",
        "...",
        "what?",
        "a/b|c/d",
        "benign/nul",
    ] {
        cases.named("reserved names", path.as_bytes(), Harmless, NAME);
    }
}

fn through_links(cases: &mut Cases) {
    const CLASS: &str = "written through a link";
    let targets = ["../sentinel/dir", "../sentinel", "..", "/", "/tmp", ".", "benign", "a", "../sentinel/secret"];
    for target in targets {
        for rows_per_segment in [8192, 1] {
            let mut builder = Builder::new();
            builder.rows_per_segment = rows_per_segment;
            builder.symlink("a", target);
            builder.file("a/x", b"through the link");
            cases.add(
                CLASS,
                format!("a -> {target}, a/x, {rows_per_segment} rows a segment"),
                &mut builder,
                STRUCTURE,
                NAME_OR_STRUCTURE,
            );
        }
    }
    let between = |deep: &str, entry: EntryKind| {
        let mut builder = Builder::new();
        builder.symlink("a", "../sentinel/dir");
        builder.file("a-b", b"sorts between");
        let attributes = Attributes { mode: Some(0o777), mtime_ns: Some(1), ..Attributes::default() };
        match entry {
            EntryKind::Directory => {
                builder.entry(deep.as_bytes(), entry, attributes);
            }
            EntryKind::Symlink => builder.symlink(deep, "x"),
            _ => builder.file(deep, b"through the link"),
        }
        builder
    };
    for kind in [EntryKind::File, EntryKind::Directory, EntryKind::Symlink] {
        for deep in ["a/x", "a/b/c/d"] {
            cases.add(
                CLASS,
                format!("a, a-b, {deep} as {kind:?}"),
                &mut between(deep, kind),
                STRUCTURE,
                NAME_OR_STRUCTURE,
            );
        }
    }
    for kind in [EntryKind::Fifo, EntryKind::File, EntryKind::Hardlink] {
        let mut builder = Builder::new();
        match kind {
            EntryKind::Fifo => {
                builder.entry(b"a", kind, Attributes { mode: Some(0o644), ..Attributes::default() });
            }
            kind => builder.file_as(
                b"a",
                b"bytes",
                kind,
                (kind == EntryKind::Hardlink).then_some(&b"benign/inner/file"[..]),
            ),
        }
        builder.file("a/x", b"below");
        cases.add(CLASS, format!("a as {kind:?}, a/x"), &mut builder, STRUCTURE, NAME_OR_STRUCTURE);
    }
}

fn link_targets(cases: &mut Cases) {
    const LINK: Expected = Entry(&["untrusted.link"]);
    let outside = [
        "/",
        "/etc/passwd",
        "//x",
        "..",
        "../x",
        "../sentinel/secret",
        "../sentinel/dir",
        "../../../../etc",
        "benign/..",
        "benign/../../sentinel",
        "benign/inner/../../..",
        "./..",
        "C:\\x",
        "..\\x",
        "/proc/self/root",
        "/proc/self/fd/0",
        "/dev/tty",
        "nul",
    ];
    for target in outside {
        let mut builder = Builder::new();
        builder.symlink("link", target);
        cases.add("link targets", format!("link -> {target}"), &mut builder, Harmless, LINK);
    }
    for target in ["..", "../benign", "../../benign", "../../../sentinel"] {
        let mut builder = Builder::new();
        builder.symlink("benign/inner/link", target);
        let untrusted = if target == "../../../sentinel" { LINK } else { Harmless };
        cases.add("link targets", format!("benign/inner/link -> {target}"), &mut builder, Harmless, untrusted);
    }
    for (name, targets) in [("chain", ["b", "c", "../sentinel"]), ("loop", ["b", "c", "a"])] {
        let mut builder = Builder::new();
        for (link, target) in ["a", "b", "c"].iter().zip(targets) {
            builder.symlink(link, target);
        }
        cases.add("link targets", name, &mut builder, Harmless, if name == "chain" { LINK } else { Harmless });
    }
    for (name, target) in [("empty", &b""[..]), ("NUL", b"a\0b")] {
        let mut builder = Builder::new();
        builder.entry(b"link", EntryKind::Symlink, Attributes { link_target: Some(target), ..Attributes::default() });
        cases.add("link targets", name, &mut builder, STRUCTURE, STRUCTURE);
    }
}

/// A hard link that can't be one becomes a file of its own: its rows say what it holds.
fn hard_links(cases: &mut Cases) {
    const CLASS: &str = "hard links";
    let of = [
        "missing",
        "../sentinel/secret",
        "/etc/passwd",
        "link",
        "benign",
        "hard",
        "zz-later",
        "fifo",
        "benign/inner",
        "..",
        ".",
        "benign/../benign/inner/file",
        "benign/inner/file/",
        "/proc/self/exe",
        "benign/inner/file",
    ];
    for of in of {
        let mut builder = Builder::new();
        builder.symlink("aa-link", "benign/inner");
        builder.file("zz-later", b"later");
        builder.hardlink("hard", of, b"bytes of the link itself");
        cases.add(CLASS, format!("hard = {of}"), &mut builder, Harmless, Harmless);
    }
    // To a symbolic link that leads outside.
    let mut builder = Builder::new();
    builder.symlink("aa", "../sentinel/secret");
    builder.hardlink("hard", "aa", b"bytes of the link itself");
    cases.add(CLASS, "hard = aa -> ../sentinel/secret", &mut builder, Harmless, Entry(&["untrusted.link"]));
    let mut builder = Builder::new();
    builder.file("aa", b"one content");
    builder.hardlink("hard", "aa", b"another one");
    cases.add(CLASS, "with bytes that its first name has not", &mut builder, Harmless, Harmless);
    let mut builder = Builder::new();
    builder.hardlink("hard", "benign/inner/file", b"from the archive");
    builder.rows[0].attributes.as_mut().unwrap().link_target = None;
    cases.add(CLASS, "without a target", &mut builder, STRUCTURE, STRUCTURE);
    let mut builder = Builder::new();
    builder.file("aa", &noise(3, 3000));
    builder.hardlink("hard", "aa", &noise(3, 3000));
    builder.rows[1].location = None;
    cases.add(CLASS, "without its bytes", &mut builder, STRUCTURE, STRUCTURE);
}

fn duplicates(cases: &mut Cases) {
    const CLASS: &str = "duplicate and nested names";
    let order = Expected::Entry(&["index.order", "index.parent"]);
    let kinds = ["file", "directory", "link", "hard link"];
    let put = |builder: &mut Builder, path: &str, kind: &str| match kind {
        "file" => builder.file(path, b"bytes"),
        "directory" => builder.directory(path, 0o755, 1),
        "link" => builder.symlink(path, "x"),
        _ => builder.hardlink(path, "benign/inner/file", b"from the archive"),
    };
    for one in kinds {
        for other in kinds {
            let mut builder = Builder::new();
            put(&mut builder, "twice", one);
            put(&mut builder, "twice", other);
            cases.add(CLASS, format!("twice: {one}, {other}"), &mut builder, order, order);
        }
    }
    for rows_per_segment in [8192, 1] {
        let mut builder = Builder::new();
        builder.rows_per_segment = rows_per_segment;
        builder.file("f", b"file");
        builder.file("f/x", b"below a file");
        cases.add(CLASS, format!("f, f/x, {rows_per_segment} rows a segment"), &mut builder, order, order);
    }
    // Where each has a segment of its own, the manifest is what is out of order.
    let mut builder = Builder::new();
    builder.rows_per_segment = 1;
    builder.file("twice", b"1");
    builder.file("twice", b"2");
    let manifest = Whole(&["manifest.parts"]);
    cases.add(CLASS, "twice, in two segments", &mut builder, manifest, manifest);
    let mut builder = Builder::new();
    builder.file("b", b"1");
    builder.file("a", b"2");
    let bytes = builder.bytes();
    cases.raw(CLASS, "b before a", bytes, Whole(&["manifest.parts", "index."]), Whole(&["manifest.parts", "index."]));
    let mut builder = Builder::new();
    builder.file("benign", b"a file where others have a directory");
    cases.add(CLASS, "benign as a file too", &mut builder, order, order);
}

fn collisions(cases: &mut Cases) {
    const COLLISION: Expected = Entry(&["untrusted.collision"]);
    for (one, other) in [
        ("A", "a"),
        ("README", "readme"),
        ("Makefile", "makefile"),
        (".GIT/config", ".git/config"),
        ("D/x", "d/y"),
        ("STRASSE", "stra\u{df}e"),
        ("ss", "\u{df}"),
        ("\u{c4}", "\u{e4}"),
        ("A\u{308}", "\u{e4}"),
        ("a\u{308}", "\u{e4}"),
        ("\u{1e9e}", "\u{df}"),
        ("k", "\u{212a}"),
        ("s", "\u{17f}"),
        ("fi", "\u{fb01}"),
        ("\u{3a3}", "\u{3c2}"),
        ("\u{1100}\u{1161}", "\u{ac00}"),
        (".git", ".g\u{200c}it"),
        ("\u{3c9}", "\u{2126}"),
        ("I", "\u{131}"),
        ("benign/INNER/file", "benign/inner/other"),
        ("\u{10400}", "\u{10428}"),
        ("\u{1c4}", "\u{1c6}"),
    ] {
        let mut builder = Builder::new();
        builder.file(one, b"1");
        builder.file(other, b"2");
        cases.add("collisions", format!("{one:?} and {other:?}"), &mut builder, Harmless, COLLISION);
    }
    let mut builder = Builder::new();
    builder.symlink("LINK", "benign");
    builder.file("link/x", b"through the link where case does not count");
    cases.add("collisions", "LINK and link/x", &mut builder, Harmless, COLLISION);
}

fn special(cases: &mut Cases) {
    use EntryKind::{BlockDevice, CharDevice, Directory, Fifo, File, Socket};
    const SPECIAL: Expected = Entry(&["untrusted.special"]);
    for kind in [CharDevice, BlockDevice, Socket, Fifo] {
        for mode in [0o666, 0o6777] {
            let mut builder = Builder::new();
            let attributes = Attributes { mode: Some(mode), rdev: Some(0x103), ..Attributes::default() };
            builder.entry(b"special", kind, attributes);
            cases.add("special files and modes", format!("{kind:?} {mode:o}"), &mut builder, Harmless, SPECIAL);
        }
    }
    for mode in [0o4755, 0o2755, 0o1777, 0o7777] {
        for kind in [File, Directory] {
            let mut builder = Builder::new();
            builder.file_as(b"set", b"#!/bin/sh\n", File, None);
            let row = builder.rows.last_mut().unwrap();
            row.attributes.as_mut().unwrap().mode = Some(mode);
            if kind == Directory {
                let attributes = Attributes { mode: Some(mode), mtime_ns: Some(1), ..Attributes::default() };
                builder.rows.pop();
                builder.entry(b"set", kind, attributes);
            }
            cases.add("special files and modes", format!("{kind:?} {mode:o}"), &mut builder, Harmless, Harmless);
        }
    }
    for mode in [0o10000, 0o140755, u32::MAX] {
        let mut builder = Builder::new();
        builder.file("mode", b"bytes");
        builder.rows[0].attributes.as_mut().unwrap().mode = Some(mode);
        cases.add("special files and modes", format!("mode {mode:o}"), &mut builder, STRUCTURE, STRUCTURE);
    }
    let mut builder = Builder::new();
    builder.entry(b"kind", File, Attributes::default()).kind = 200;
    cases.add("special files and modes", "kind 200", &mut builder, STRUCTURE, STRUCTURE);
}

fn counts(cases: &mut Cases) {
    const CLASS: &str = "giant counts and sizes";
    for size in [1 << 63, u64::MAX, u64::MAX - 1] {
        let mut builder = Builder::new();
        builder.file("f", b"bytes");
        builder.rows[0].attributes.as_mut().unwrap().file_size = Some(size);
        builder.rows[0].attributes.as_mut().unwrap().file_hash = Some([7; 32]);
        cases.add(CLASS, format!("file size {size}"), &mut builder, STRUCTURE, STRUCTURE);
    }
    for (name, edit) in [
        (
            "slice of 2^63 bytes",
            (|at: &mut Location, size: &mut u64| *size = at.block_size << 50) as fn(&mut Location, &mut u64),
        ),
        ("block of 2^40 bytes", |at, _| at.block_size = 1 << 40),
        ("block of 64 MiB and 1", |at, _| at.block_size = (64 << 20) + 1),
        ("block of 2^64 - 1 bytes", |at, _| at.block_size = u64::MAX),
        ("blob of 2^64 - 1 bytes", |at, _| at.blob_size = u64::MAX),
        ("blob of 2^32 bytes", |at, _| at.blob_size = 1 << 32),
        ("blob at 2^64 - 1", |at, _| at.blob_offset = u64::MAX),
        ("place in block 2^64 - 1", |at, _| at.block_offset = u64::MAX),
    ] {
        let mut builder = Builder::new();
        builder.file("f", &noise(2, 3000));
        let row = &mut builder.rows[0];
        edit(row.location.as_mut().unwrap(), &mut row.size);
        cases.add(CLASS, name, &mut builder, STRUCTURE, STRUCTURE);
    }
    let base = || {
        let mut builder = Builder::new();
        builder.file("f", b"bytes");
        builder.bytes()
    };
    let parts = Whole(&["manifest.", "index.", "part.", "limit.", "codec.", "source."]);
    for (name, edit) in [
        ("2^64 - 1 rows", (|part: &mut Part| part.rows = u64::MAX) as fn(&mut Part)),
        ("8193 rows", |part| part.rows = 8193),
        ("no rows", |part| part.rows = 0),
        ("more entries than rows", |part| part.entries = 2),
        ("2^64 - 1 entries", |part| part.entries = u64::MAX),
        ("first entry 2^64 - 1", |part| part.first_entry = u64::MAX),
        ("segment of 2^64 - 1 bytes", |part| part.len = u64::MAX),
        ("segment of 64 MiB and 1 decoded", |part| part.raw_len = (64 << 20) + 1),
        ("segment of 64 MiB decoded", |part| part.raw_len = 64 << 20),
    ] {
        cases.raw(CLASS, name, edited(&base(), |manifest| edit(&mut manifest.segments[0])), parts, parts);
    }
    // A gigabyte and more of index that is said to be in a few kilobytes.
    let mut builder = Builder::new();
    builder.rows_per_segment = 1;
    for i in 0..20 {
        builder.file(&format!("f{i:02}"), b"bytes");
    }
    let bytes =
        edited(&builder.bytes(), |manifest| manifest.segments.iter_mut().for_each(|part| part.raw_len = 64 << 20));
    cases.raw(CLASS, "index of 1.25 GiB", bytes, Whole(&["limit.index"]), Whole(&["limit.index"]));
    // Directories without end from few bytes.
    let mut builder = Builder::new();
    builder.compress_index = true;
    for i in 0..6 {
        builder.file(&(format!("{i:03}/") + &"d/".repeat(900) + "f"), b"");
    }
    let refused = Entry(&["limit.depth", "limit.entries"]);
    cases.add(CLASS, "5,400 directories from six names", &mut builder, Harmless, refused);
    // A file of exbibytes that is all hole: only a limit can say that nobody wants it.
    let mut builder = Builder::new();
    builder.sparse("hole", 10, &[(0, b"x")]);
    builder.rows[0].attributes.as_mut().unwrap().file_size = Some(1 << 61);
    cases.add(CLASS, "hole of 2 EiB", &mut builder, Whole(&["only with a limit"]), Entry(&["limit.bytes"]));
}

fn bombs(cases: &mut Cases) {
    const CLASS: &str = "bombs and lying frames";
    let data = b"0123456789abcdef".repeat(200);
    let mut frame = Vec::new();
    Compressor::new(3, 4 << 20).unwrap().compress(&data, &mut frame, &CancelToken::new()).unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &frame].concat();
    let mut wide = frame.clone();
    // The frame header's descriptor: no content size, the largest window.
    wide[4] = 0;
    wide[5] = 0xff;
    let mut dictionary = frame.clone();
    dictionary[4] |= 3;
    let mut summed = frame.clone();
    summed[4] |= 4;
    let mut reserved = frame.clone();
    reserved[4] |= 8;
    let mut magic = frame.clone();
    magic[0] ^= 0xff;
    for (name, stored) in [
        ("two frames", [&frame[..], &frame].concat()),
        ("a skippable frame before", skippable.clone()),
        ("a skippable frame alone", skippable[..12].to_vec()),
        ("bytes behind the frame", [&frame[..], b"more"].concat()),
        ("cut short", frame[..frame.len() - 1].to_vec()),
        ("half of it", frame[..frame.len() / 2].to_vec()),
        ("the largest window, no size", wide),
        ("a dictionary", dictionary),
        ("a checksum that is not there", summed),
        ("a reserved bit", reserved),
        ("another magic number", magic),
        ("noise", noise(9, frame.len())),
        ("one byte", vec![0x28]),
    ] {
        let mut builder = Builder::new();
        let at = builder.stored_block(&stored, data.len() as u64);
        builder.slice_file(b"f", &data, Some(at), EntryKind::File, None);
        cases.add(CLASS, name, &mut builder, STRUCTURE, STRUCTURE);
    }
    for (name, size) in
        [("a byte less", data.len() as u64 - 1), ("a byte more", data.len() as u64 + 1), ("64 MiB", 64 << 20)]
    {
        let mut builder = Builder::new();
        let at = builder.stored_block(&frame, size);
        let part = &data[..data.len() - 1];
        builder.slice_file(b"f", part, Some(at), EntryKind::File, None);
        let untrusted = Whole(&["index.", "codec.", "limit.ratio"]);
        cases.add(CLASS, format!("a block that is said to have {name}"), &mut builder, STRUCTURE, untrusted);
    }
    let ratio = Whole(&["limit.ratio"]);
    let mut builder = Builder::new();
    let zeros = vec![0; 16 << 20];
    let at = builder.block(&zeros, true);
    for i in 0..4 {
        builder.slice_file(format!("zeros{i}").as_bytes(), &zeros, Some(at), EntryKind::File, None);
    }
    cases.add(CLASS, "64 MiB of zeros from one block", &mut builder, Harmless, ratio);
    let mut builder = Builder::new();
    for i in 0..8 {
        let at = builder.block(&vec![i; 8 << 20], true);
        builder.slice_file(format!("byte{i}").as_bytes(), &[i], Some(at), EntryKind::File, None);
    }
    cases.add(CLASS, "blocks of which a byte is used", &mut builder, Harmless, ratio);
    // Each slice is another view of one block.
    let mut builder = Builder::new();
    let block = noise(5, 10_000);
    let at = builder.block(&block, false);
    for i in 0..2000 {
        let at = Location { block_offset: i, ..at };
        let bytes = &block[i as usize..i as usize + 8000];
        builder.slice_file(format!("view{i:04}").as_bytes(), bytes, Some(at), EntryKind::File, None);
    }
    cases.add(CLASS, "2,000 overlapping views of one block", &mut builder, Harmless, Harmless);
    let mut builder = Builder::new();
    builder.file("f", &data);
    builder.rows[0].checksum = [0; 32];
    cases.add(CLASS, "a checksum of zeros", &mut builder, STRUCTURE, STRUCTURE);
    let mut builder = Builder::new();
    builder.file("f", &data);
    builder.rows[0].location.as_mut().unwrap().codec = 77;
    cases.add(CLASS, "codec 77", &mut builder, STRUCTURE, STRUCTURE);
}

fn slices(cases: &mut Cases) {
    const CLASS: &str = "overlaps, slices, manifests";
    let parts = [noise(1, 1000), noise(2, 1000), noise(3, 1000)];
    let big = || {
        let mut builder = Builder::new();
        builder.sparse("big", 3000, &[(0, &parts[0]), (1000, &parts[1]), (2000, &parts[2])]);
        builder
    };
    for (name, edit) in [
        ("slices overlap", (|builder: &mut Builder| builder.rows[1].offset = 500) as fn(&mut Builder)),
        ("slices go back", |builder| builder.rows[2].offset = 0),
        ("a slice is said to come twice", |builder| builder.rows[2].chunk_seq = 1),
        ("a number is left out", |builder| builder.rows[2].chunk_seq = 3),
        ("a slice beyond the end", |builder| builder.rows[2].offset = 2001),
        ("a slice at 2^64 - 1", |builder| builder.rows[2].offset = u64::MAX),
        ("a later slice with attributes", |builder| builder.rows[1].attributes = builder.rows[0].attributes),
        ("a later slice of another kind", |builder| builder.rows[1].kind = 2),
        ("a later slice of another name", |builder| builder.rows[1].path = b"other".to_vec()),
        ("the first slice is missing", |builder| drop(builder.rows.remove(0))),
        ("a slice is missing, the hash is not", |builder| drop(builder.rows.remove(2))),
        ("the whole has another hash", |builder| {
            builder.rows[0].attributes.as_mut().unwrap().file_hash = Some([1; 32]);
        }),
        ("no hash of the whole", |builder| builder.rows[0].attributes.as_mut().unwrap().file_hash = None),
        ("slices are swapped", |builder| {
            let (one, two) = (builder.rows[1].clone(), builder.rows[2].clone());
            (builder.rows[1].location, builder.rows[1].checksum) = (two.location, two.checksum);
            (builder.rows[2].location, builder.rows[2].checksum) = (one.location, one.checksum);
        }),
        ("blobs overlap", |builder| {
            let first = builder.rows[0].location.unwrap();
            builder.rows[1].location.as_mut().unwrap().blob_offset = first.blob_offset + 1;
        }),
        ("two slices contradict each other about a blob", |builder| {
            let first = builder.rows[0].location.unwrap();
            builder.rows[1].location = Some(Location { block_size: first.block_size + 1, ..first });
        }),
        ("a blob in the head", |builder| builder.rows[0].location.as_mut().unwrap().blob_offset = 0),
        ("a blob in the index", |builder| builder.rows[0].location.as_mut().unwrap().blob_offset += 100_000),
        ("an empty blob", |builder| builder.rows[0].location.as_mut().unwrap().blob_size = 0),
        ("a directory with bytes", |builder| builder.rows.iter_mut().for_each(|row| row.kind = 1)),
    ] {
        let mut builder = big();
        edit(&mut builder);
        let expected = if name == "blobs overlap" { Whole(&["index.", "codec.", "slice."]) } else { STRUCTURE };
        cases.add(CLASS, name, &mut builder, expected, expected);
    }
    let whole = Whole(&["manifest.", "trailer.", "footer.", "part.", "index.", "source.", "blobs.", "codec."]);
    let base = big().bytes();
    let trailer = base.len() - (TRAILER_LEN + FOOTER_LEN) as usize;
    let manifest_len = u64::from_le_bytes(base[trailer + 16..trailer + 24].try_into().unwrap());
    let end = base.len() as u64;
    for offset in [0, 1, 15, 16, end - 73, end - 72, end - 17, end - 16, end, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
        let mut bytes = base.clone();
        let manifest = bytes[(trailer as u64 - manifest_len) as usize..trailer].to_vec();
        let sealed = Trailer::seal(&manifest, offset).encode();
        bytes.truncate(trailer);
        bytes.extend_from_slice(&sealed);
        cases.raw(CLASS, format!("manifest at {offset}"), bytes, whole, whole);
    }
    for (name, edit) in [
        ("a segment in the payload", (|manifest: &mut Manifest| manifest.segments[0].offset = 64) as fn(&mut Manifest)),
        ("a segment in the manifest", |manifest| manifest.segments[0].offset += 1 << 20),
        ("a segment twice", |manifest| {
            let again = manifest.segments[0].clone();
            manifest.segments.push(again);
        }),
        ("a segment with a name", |manifest| manifest.segments[0].module_name = "evil".to_owned()),
        ("no blob table", |manifest| manifest.sections.clear()),
        ("a segment of another hash", |manifest| manifest.segments[0].hash = [0; 32]),
        ("bounds that the paths are outside of", |manifest| manifest.segments[0].last_path = b"a".to_vec()),
        ("an upper bound below the lower", |manifest| manifest.segments[0].first_path = b"zzz".to_vec()),
    ] {
        cases.raw(CLASS, name, edited(&base, edit), whole, whole);
    }
}

/// The archive with another manifest, sealed anew.
fn edited(bytes: &[u8], edit: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let trailer = Trailer::decode(bytes, bytes.len() as u64).unwrap();
    let start = trailer.manifest_offset as usize;
    let mut manifest =
        Manifest::decode(&bytes[start..start + trailer.manifest_len as usize], trailer.manifest_offset).unwrap();
    edit(&mut manifest);
    let stream = manifest.encode().unwrap();
    let mut edited = bytes[..start].to_vec();
    let sealed = Trailer::seal(&stream, edited.len() as u64).encode();
    edited.extend_from_slice(&stream);
    edited.extend_from_slice(&sealed);
    edited
}

/// How many archives each class has.
pub fn classes(cases: &[Case]) -> BTreeMap<&'static str, usize> {
    let mut classes = BTreeMap::new();
    for case in cases {
        *classes.entry(case.class).or_default() += 1;
    }
    classes
}

/// A digest over all archives, so that a report can say which ones were meant.
pub fn digest(cases: &[Case]) -> String {
    let all: Vec<u8> = cases.iter().flat_map(|case| hash(&case.bytes)).collect();
    hash(&all)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
