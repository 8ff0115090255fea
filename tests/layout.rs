//! The layout of the public structs on 64-bit platforms, which no version may change; later ones append.

#![cfg(target_pointer_width = "64")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use znippy::capi::*;

/// One struct: its name, its size, and the offset of each field, as frozen.
struct Layout {
    name: &'static str,
    size: (usize, usize),
    fields: Vec<(&'static str, usize, usize)>,
}

/// Each number is written down by hand here and compared with what Rust says.
macro_rules! layout {
    ($name:ident: $size:literal { $($field:ident: $offset:literal),* $(,)? }) => {
        Layout {
            name: stringify!($name),
            size: (size_of::<$name>(), $size),
            fields: vec![$((stringify!($field), offset_of!($name, $field), $offset)),*],
        }
    };
}

fn layouts() -> Vec<Layout> {
    vec![
        layout!(znippy_buffer: 24 { data: 0, len: 8, priv_: 16 }),
        layout!(znippy_entry_info: 136 {
            struct_size: 0, kind: 4, index: 8, path: 16, path_len: 24, link_target: 32, link_target_len: 40,
            size: 48, stored_size: 56, mtime_ns: 64, rdev: 72, mode: 80, uid: 84, gid: 88, slice_count: 92,
            flags: 96, reserved0: 100, hash: 104,
        }),
        layout!(znippy_stats: 232 {
            struct_size: 0, reserved0: 4, entries: 8, files: 16, files_stored: 24, files_compressed: 32,
            directories: 40, symlinks: 48, hardlinks: 56, specials: 64, slices: 72, blocks: 80,
            duplicate_files: 88, duplicate_bytes: 96, skipped: 104, failed: 112, bytes_in: 120, bytes_out: 128,
            bytes_stored: 136, bytes_compressed_in: 144, bytes_compressed_out: 152, bytes_holes: 160,
            bytes_index: 168, ratio: 176, seconds: 184, kept: 192, pruned: 200, created: 208, replaced: 216,
            unverified: 224,
        }),
        layout!(znippy_salvage_report: 128 {
            struct_size: 0, index: 4, entries_kept: 8, entries_lost: 16, blocks_nameless: 24, blocks_unchecked: 32,
            bytes_kept: 40, bytes_lost: 48, blobs: 56, blobs_damaged: 64, segments: 72, segments_lost: 80, records: 88,
            xattrs_lost: 96, bytes_in: 104, bytes_out: 112, seconds: 120,
        }),
        layout!(znippy_archive_info: 88 {
            struct_size: 0, format_version: 4, archive_size: 8, entries: 16, segments: 24, blobs: 32,
            payload_size: 40, index_size: 48, archive_digest: 56,
        }),
        layout!(znippy_difference: 144 {
            struct_size: 0, what: 4, flags: 8, reserved0: 12, path: 16, path_len: 24, old_target: 32,
            old_target_len: 40, new_target: 48, new_target_len: 56, old_index: 64, new_index: 72, old_size: 80,
            new_size: 88, old_mtime_ns: 96, new_mtime_ns: 104, old_kind: 112, new_kind: 116, old_mode: 120,
            new_mode: 124, old_uid: 128, new_uid: 132, old_gid: 136, new_gid: 140,
        }),
        layout!(znippy_progress: 56 {
            struct_size: 0, phase: 4, entries_done: 8, entries_total: 16, bytes_done: 24, bytes_total: 32,
            path: 40, path_len: 48,
        }),
        layout!(znippy_source: 40 {
            struct_size: 0, flags: 4, user_data: 8, size: 16, read_at: 24, release: 32,
        }),
        layout!(znippy_sink: 40 { struct_size: 0, flags: 4, user_data: 8, write: 16, finish: 24, release: 32 }),
        layout!(znippy_stream: 32 { struct_size: 0, flags: 4, user_data: 8, read: 16, release: 24 }),
        layout!(znippy_column: 24 { struct_size: 0, column_type: 4, name: 8, flags: 16, reserved0: 20 }),
        layout!(znippy_provider: 72 {
            struct_size: 0, flags: 4, user_data: 8, name: 16, pkg_type: 24, reserved0: 28, columns: 32,
            column_count: 40, wants: 48, extract: 56, release: 64,
        }),
    ]
}

#[test]
fn rust_has_the_frozen_layout() {
    for layout in layouts() {
        for (field, offset, frozen) in &layout.fields {
            assert_eq!(offset, frozen, "{}.{field}", layout.name);
        }
        assert_eq!(layout.size.0, layout.size.1, "{}", layout.name);
    }
}

/// `abi/layout.txt`, which scripts compare with what C compilers make of the header.
fn table() -> String {
    let mut text = String::from(
        "# Size of each public struct and offset of each field on 64-bit platforms; see tests/layout.rs.\n",
    );
    let mut layouts = layouts();
    layouts.sort_by_key(|layout| layout.name);
    for Layout { name, size: (_, size), fields } in layouts {
        writeln!(text, "{name} {size}").unwrap();
        for (field, _, offset) in fields {
            writeln!(text, "{name}.{field} {offset}").unwrap();
        }
    }
    text
}

#[test]
fn committed_table_is_the_frozen_layout() {
    // Where the test runs, which may be a copy of the sources.
    let path =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(env!("CARGO_MANIFEST_DIR").into(), std::path::PathBuf::from);
    let path = path.join("abi/layout.txt");
    if std::env::var_os("ZNIPPY_UPDATE_LAYOUT").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == table(),
        "abi/layout.txt is out of date: ZNIPPY_UPDATE_LAYOUT=1 cargo test --test layout, then review and commit"
    );
}

#[test]
fn c_has_the_frozen_layout() {
    let mut text = String::from("#include <znippy.h>\n");
    for Layout { name, size: (_, size), fields } in layouts() {
        writeln!(text, "_Static_assert(sizeof({name}) == {size}, \"{name}\");").unwrap();
        for (field, _, offset) in fields {
            writeln!(text, "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layout.c");
    std::fs::write(&file, text).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-Wpadded", "-Werror", "-fsyntax-only", "-I"]).arg(include).arg(&file);
    // Without a C compiler there is nothing to compare with.
    if let Ok(output) = command.output() {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
