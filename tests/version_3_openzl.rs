//! OpenZL frames that zstd alone can't decode: read with the feature `openzl`, and refused by name without it.
//!
//! `ZNIPPY_UPDATE_FIXTURES=1` makes the fixture anew, with the feature.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::undocumented_unsafe_blocks)]

#[path = "version_3_support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use znippy::archive::Archive;
use znippy::error::Status;
use znippy::extract;
use znippy::options::{Key, Options};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v3/openzl-frames.znippy")
}

/// What is in the fixture: numbers of several widths, text, and bytes that are all the same.
fn content(kind: &str) -> Vec<u8> {
    let numbers = 0..3000u32;
    match kind {
        "text" => numbers.flat_map(|i| format!("line {} of some text\n", i * i % 977).into_bytes()).collect(),
        "numbers" => numbers.flat_map(|i| (i * 3 + i % 7).to_le_bytes()).collect(),
        "same" => vec![7; 9000],
        "plain" => b"plain".to_vec(),
        other => panic!("{other}"),
    }
}

#[test]
fn without_openzl_its_frames_are_refused_by_name_and_the_rest_is_read() {
    let archive = Archive::open(&fixture(), &Options::new()).unwrap();
    let listing = archive.list(0, usize::MAX).unwrap();
    let mut refused = 0;
    for position in 0..listing.len() {
        let path = String::from_utf8(listing.get(position).unwrap().path.to_vec()).unwrap();
        let kind = path.split('.').next().unwrap();
        let is_plain = kind == "plain" || path.ends_with(".store") || path.ends_with(".zstd");
        match archive.read(position as u64, 1 << 20) {
            Ok(bytes) => assert!(bytes == content(kind), "{path}"),
            Err(error) => {
                assert!(!is_plain && cfg!(not(feature = "openzl")), "{path}: {error:?}");
                assert_eq!((error.status(), error.rule()), (Status::Unsupported, Some("openzl.shape")));
                assert!(error.message().contains("feature openzl"));
                refused += 1;
            }
        }
    }
    assert!(listing.len() >= 20 && (refused >= 15 || cfg!(feature = "openzl")), "{refused} of {}", listing.len());
    assert_eq!(archive.verify(&Options::new()).is_ok(), cfg!(feature = "openzl"));
}

#[test]
fn nothing_of_a_stranger_comes_to_openzl() {
    let archive = Archive::open(&fixture(), &Options::new()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.set(Key::Untrusted, 1).unwrap();
    let error = extract::extract_all(&archive, &out.path().join("t"), &options).unwrap_err();
    assert_eq!((error.status(), error.rule()), (Status::Unsupported, Some("openzl.shape")));
    options.set(Key::Untrusted, 0).unwrap();
    let outcome = extract::extract_all(&archive, &out.path().join("u"), &options);
    assert_eq!(outcome.is_ok(), cfg!(feature = "openzl"));
}

#[cfg(feature = "openzl")]
mod with_openzl {
    use openzl_sys::*;
    use znippy::archive::MemorySource;
    use znippy::format::hash::hash;

    use super::support::craft::{self, Slice};
    use super::support::{Dice, fixtures};
    use super::*;

    /// Graphs of OpenZL, by name: what becomes of the bytes.
    const GRAPHS: [(&str, ZL_StandardGraphID); 12] = [
        ("store", ZL_StandardGraphID_store),
        ("zstd", ZL_StandardGraphID_zstd),
        ("fse", ZL_StandardGraphID_fse),
        ("huffman", ZL_StandardGraphID_huffman),
        ("entropy", ZL_StandardGraphID_entropy),
        ("constant", ZL_StandardGraphID_constant),
        ("bitpack", ZL_StandardGraphID_bitpack),
        ("flatpack", ZL_StandardGraphID_flatpack),
        ("generic", ZL_StandardGraphID_compress_generic),
        ("backend", ZL_StandardGraphID_select_generic_lz_backend),
        ("lz4", ZL_StandardGraphID_lz4),
        ("numbers32", ZL_StandardGraphID_segment_num32_from_serial),
    ];

    fn compress(bytes: &[u8], graph: ZL_StandardGraphID, version: i32) -> Option<Vec<u8>> {
        let outcome = |report: ZL_Report| unsafe { (report._code == 0).then(|| report._value._value) };
        unsafe {
            let (context, compressor) = (ZL_CCtx_create(), ZL_Compressor_create());
            let mut frame = vec![0; ZL_compressBound(bytes.len())];
            let made = outcome(ZL_Compressor_selectStartingGraphID(compressor, ZL_GraphID { gid: graph }))
                .and_then(|_| outcome(ZL_CCtx_refCompressor(context, compressor)))
                .and_then(|_| outcome(ZL_CCtx_setParameter(context, ZL_CParam_formatVersion, version)))
                .and_then(|_| {
                    let (target, source) = (frame.as_mut_ptr().cast(), bytes.as_ptr().cast());
                    outcome(ZL_CCtx_compress(context, target, frame.len(), source, bytes.len()))
                });
            ZL_Compressor_free(compressor);
            ZL_CCtx_free(context);
            frame.truncate(made?);
            Some(frame)
        }
    }

    /// A file a kind of content and graph that takes it.
    fn made(version: i32) -> (Vec<u8>, usize) {
        let mut made = craft::Archive::default();
        let mut rows = vec![made.stored("plain", b"plain")];
        for kind in ["text", "numbers", "same"] {
            let bytes = content(kind);
            for (name, graph) in GRAPHS {
                if let Some(frame) = compress(&bytes, graph, version) {
                    let row = made.stored(&format!("{kind}.{name}"), &frame);
                    rows.push(Slice {
                        compressed: true,
                        size: bytes.len() as u64,
                        checksum: Some(hash(&bytes)),
                        ..row
                    });
                }
            }
        }
        let count = rows.len();
        made.data("", &[rows], true);
        (made.finish(), count)
    }

    fn open(bytes: Vec<u8>) -> Archive {
        let source = MemorySource::new(std::sync::Arc::new(bytes));
        Archive::open_source(Box::new(source), &Options::new()).unwrap()
    }

    #[test]
    fn frames_of_every_graph_and_version_are_decoded() {
        let mut all = 0;
        for version in ZL_MIN_FORMAT_VERSION as i32..=ZL_MAX_FORMAT_VERSION as i32 {
            let (bytes, count) = made(version);
            let archive = open(bytes);
            assert_eq!(archive.verify(&Options::new()).unwrap().unverified, 0, "{version}");
            all += count - 1;
        }
        println!("{all} frames of versions {ZL_MIN_FORMAT_VERSION} to {ZL_MAX_FORMAT_VERSION}");
        assert!(all > 300, "{all}");
        if std::env::var_os("ZNIPPY_UPDATE_FIXTURES").is_some() {
            std::fs::write(fixture(), made(25).0).unwrap();
        }
    }

    #[test]
    fn damaged_frames_are_errors() {
        let frames: Vec<(Vec<u8>, u64, [u8; 32])> = ["text", "numbers", "same"]
            .into_iter()
            .flat_map(|kind| GRAPHS.map(|graph| (kind, graph)))
            .filter_map(|(kind, (_, graph))| {
                let bytes = content(kind);
                Some((compress(&bytes, graph, 25)?, bytes.len() as u64, hash(&bytes)))
            })
            .collect();
        let mut refused = 0;
        for round in 0..1500 {
            let mut dice = Dice::new(5, round);
            let (frame, size, checksum) = &frames[dice.roll(frames.len())];
            let mut frame = frame.clone();
            for _ in 0..=dice.roll(3) {
                let at = if dice.roll(2) == 0 { dice.roll(40.min(frame.len())) } else { dice.roll(frame.len()) };
                frame[at] ^= 1 << dice.roll(8);
            }
            frame.truncate(frame.len() - dice.roll(2) * dice.roll(9));
            let mut made = craft::Archive::default();
            let row = made.stored("a", &frame);
            made.data("", &[vec![Slice { compressed: true, size: *size, checksum: Some(*checksum), ..row }]], true);
            match open(made.finish()).read(0, 1 << 20) {
                Ok(bytes) => assert_eq!(hash(&bytes), *checksum),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1000, "{refused}");
    }

    #[test]
    fn the_fixtures_are_read_as_without_it() {
        for fixture in fixtures() {
            let archive = Archive::open(&fixture.path, &Options::new()).unwrap();
            assert_eq!(archive.verify(&Options::new()).unwrap().failed, 0, "{}", fixture.name);
        }
    }
}
