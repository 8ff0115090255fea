//! Salvage: what is whole is kept, what is kept is what was packed, and a damaged block costs its own files alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod pack_support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use pack_support::{Random, make_tree, options, pack, read_back};
use tempfile::TempDir;
use znippy::archive::Archive;
use znippy::error::Status;
use znippy::format::blobs::Blob;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Writer};
use znippy::salvage::{Index, Outcome, salvage};

/// What a file or link of an archive holds, by its path.
type Contents = BTreeMap<Vec<u8>, (u8, Option<Vec<u8>>, Vec<u8>)>;

fn contents(path: &Path) -> Contents {
    let archive = Archive::open(path, &Options::new()).unwrap();
    archive.verify(&Options::new()).unwrap();
    let listing = archive.list(0, usize::MAX).unwrap();
    let entries = (0..listing.len()).map(|at| listing.get(at).unwrap());
    let content = |entry: &znippy::archive::Entry<'_>| match entry.hash {
        Some(_) => archive.read(entry.index, 1 << 30).unwrap(),
        None => Vec::new(),
    };
    entries
        .map(|entry| {
            // A hard link whose first name is lost has become the file.
            let kind = if entry.kind == 3 { 0 } else { entry.kind };
            let target = entry.attributes.link_target.filter(|_| kind == 2).map(<[u8]>::to_vec);
            (entry.path.to_vec(), (kind, target, content(&entry)))
        })
        .collect()
}

fn blobs(path: &Path) -> Vec<Blob> {
    Archive::open(path, &Options::new()).unwrap().blob_records().unwrap()
}

struct Lab {
    work: TempDir,
    bytes: Vec<u8>,
    contents: Contents,
}

/// A tree of a few files, packed in small blocks.
fn small_tree(root: &Path) {
    let mut random = Random::new(3);
    fs::create_dir_all(root.join("d/e")).unwrap();
    for number in 0..12 {
        fs::write(root.join(format!("d/text{number}")), random.text(3000)).unwrap();
    }
    fs::write(root.join("d/noise"), random.noise(9000)).unwrap();
    fs::write(root.join("big"), random.text(200_000)).unwrap();
    let mut sparse = vec![0; 400_000];
    sparse[..70_000].copy_from_slice(&random.text(70_000));
    fs::write(root.join("sparse"), sparse).unwrap();
    fs::copy(root.join("d/text3"), root.join("d/again")).unwrap();
    fs::hard_link(root.join("d/text1"), root.join("d/e/name")).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    symlink("d/text1", root.join("link")).unwrap();
}

const SMALL: &[(Key, i64)] =
    &[(Key::BlockSize, 8192), (Key::SmallFile, 8192), (Key::SliceSize, 65536), (Key::Threads, 1)];

impl Lab {
    fn new(tree: impl Fn(&Path), values: &[(Key, i64)]) -> Lab {
        let work = tempfile::tempdir().unwrap();
        let (source, archive) = (work.path().join("tree"), work.path().join("a"));
        fs::create_dir(&source).unwrap();
        tree(&source);
        pack(&source, &archive, values).unwrap();
        let (bytes, contents) = (fs::read(&archive).unwrap(), contents(&archive));
        Lab { work, bytes, contents }
    }

    fn small(recovery: bool, plain: bool) -> Lab {
        Lab::new(
            small_tree,
            &[SMALL, &[(Key::Recovery, i64::from(recovery)), (Key::PlainIndex, i64::from(plain))]].concat(),
        )
    }

    fn archive(&self) -> std::path::PathBuf {
        self.work.path().join("a")
    }

    /// Salvages these bytes; the new archive is whole, and what it holds under a name is what was packed under it.
    fn salvage(&self, damaged: &[u8]) -> (Outcome, Contents) {
        self.try_salvage(damaged).unwrap()
    }

    fn try_salvage(&self, damaged: &[u8]) -> Result<(Outcome, Contents), znippy::error::Error> {
        let (from, to) = (self.work.path().join("damaged"), self.work.path().join("salvaged"));
        fs::write(&from, damaged).unwrap();
        let outcome = salvage(&from, &to, &options(&[(Key::Overwrite, 1), (Key::Threads, 1)]))?;
        let kept = contents(&to);
        for (path, content) in kept.iter().filter(|(path, _)| !path.starts_with(b"lost+found/")) {
            assert!(Some(content) == self.contents.get(path), "{}", String::from_utf8_lossy(path));
        }
        assert_eq!(outcome.report.entries_kept + outcome.report.blocks_nameless, kept.len() as u64);
        Ok((outcome, kept))
    }

    /// Files none of whose blobs touch a range of the archive.
    fn untouched(&self, from: u64, to: u64) -> Vec<Vec<u8>> {
        let archive = Archive::open(&self.archive(), &Options::new()).unwrap();
        let mut touched = std::collections::BTreeSet::new();
        let mut walk = znippy::archive::StructureWalk::new();
        for number in 0..archive.manifest().segments.len() {
            let segment = archive.load_segment(number).unwrap();
            walk.segment(&segment, |walked| {
                if let Some(at) = walked.row.location
                    && at.blob_offset < to
                    && from < at.blob_offset + at.blob_size
                {
                    touched.insert(walked.path.to_vec());
                }
                Ok(())
            })
            .unwrap();
        }
        self.contents.keys().filter(|path| !touched.contains(*path)).cloned().collect()
    }
}

#[test]
fn a_whole_archive_is_salvaged_whole() {
    for recovery in [0, 1] {
        let lab = Lab::new(|root| make_tree(root, 1), &[(Key::Recovery, recovery)]);
        let (outcome, kept) = lab.salvage(&lab.bytes);
        assert!(kept == lab.contents);
        assert_eq!((outcome.report.index, outcome.report.entries_lost), (Index::Whole, 0));
        assert!(outcome.error().is_none());
        let open = |name: &str| Archive::open(&lab.work.path().join(name), &Options::new()).unwrap();
        let (old, new) = (open("a"), open("salvaged"));
        assert_eq!(old.tree_digest().unwrap(), new.tree_digest().unwrap());
        if recovery == 0 {
            assert_eq!(read_back(&old).unwrap(), read_back(&new).unwrap());
        }
    }
}

#[test]
fn recovery_records_do_not_depend_on_threads_and_no_reader_minds_them() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("tree");
    fs::create_dir(&source).unwrap();
    make_tree(&source, 1);
    let archive = |threads: i64, recovery: i64| {
        let path = work.path().join(format!("{threads}-{recovery}"));
        pack(&source, &path, &[(Key::Threads, threads), (Key::Recovery, recovery)]).unwrap();
        path
    };
    let (one, four, without) = (archive(1, 1), archive(4, 1), archive(2, 0));
    assert!(fs::read(&one).unwrap() == fs::read(&four).unwrap());
    assert!(contents(&one) == contents(&without));
    let fillers = blobs(&one).iter().filter(|blob| blob.decoded == 0).count();
    assert!(fillers > 5, "{fillers}");
    assert!(blobs(&without).iter().all(|blob| blob.decoded > 0));
}

#[test]
fn a_damaged_block_costs_its_own_files_and_nothing_else() {
    for recovery in [false, true] {
        let lab = Lab::small(recovery, false);
        for blob in blobs(&lab.archive()) {
            let mut damaged = lab.bytes.clone();
            damaged[(blob.offset + blob.stored / 2) as usize] ^= 0x40;
            let (outcome, kept) = lab.salvage(&damaged);
            for path in lab.untouched(blob.offset, blob.offset + blob.stored) {
                assert!(kept.contains_key(&path), "{}", String::from_utf8_lossy(&path));
            }
            let lost = (lab.contents.len() - kept.len()) as u64;
            assert_eq!(outcome.report.entries_lost, lost);
            assert_eq!(outcome.error().is_some(), lost > 0);
            assert_eq!(outcome.failures.len() as u64, lost);
            assert!(outcome.failures.iter().all(|error| lab.contents.contains_key(error.path().unwrap())));
        }
    }
}

#[test]
fn any_flipped_bit_costs_no_more_than_the_blob_that_it_is_in() {
    for (recovery, plain) in [(false, false), (true, false), (false, true)] {
        let lab = Lab::small(recovery, plain);
        let mut random = Random::new(9);
        let end = blobs(&lab.archive()).last().map_or(16, |blob| blob.offset + blob.stored);
        for round in 0..40 {
            // Half of the flips behind the payload, where there is less of the archive.
            let at = if round % 2 == 0 {
                random.below(lab.bytes.len() as u64)
            } else {
                end + random.below(lab.bytes.len() as u64 - end)
            };
            let mut damaged = lab.bytes.clone();
            damaged[at as usize] ^= 1 << random.below(8);
            let (_, kept) = lab.salvage(&damaged);
            let there: Vec<Vec<u8>> = lab.untouched(at, at + 1);
            // Without recovery records a flip in the one segment costs all names.
            let names_lost = !recovery && !kept.contains_key(&b"d/text0"[..]) && at >= end;
            if names_lost {
                assert!(kept.keys().all(|path| path.starts_with(b"lost+found/")) && !kept.is_empty());
                continue;
            }
            for path in there {
                assert!(kept.contains_key(&path), "byte {at}: {}", String::from_utf8_lossy(&path));
            }
        }
    }
}

#[test]
fn a_damaged_trailer_does_not_make_it_another_version() {
    let lab = Lab::small(true, false);
    let end = lab.bytes.len() - 16;
    for at in end - 56..end - 48 {
        let mut damaged = lab.bytes.clone();
        damaged[at] ^= 1;
        let (_, kept) = lab.salvage(&damaged);
        assert!(kept == lab.contents, "byte {at}");
    }
}

#[test]
fn with_recovery_records_everything_survives_the_loss_of_the_index() {
    let lab = Lab::small(true, false);
    let end = blobs(&lab.archive()).last().map(|blob| blob.offset + blob.stored).unwrap() as usize;
    let mut damaged = lab.bytes.clone();
    damaged[end..].fill(0xA5);
    let (outcome, kept) = lab.salvage(&damaged);
    assert_eq!((outcome.report.index, outcome.report.entries_lost), (Index::Recovered, 0));
    assert!(outcome.error().is_none());
    assert!(kept == lab.contents);
    let (_, kept) = lab.salvage(&lab.bytes[..end]);
    assert!(kept == lab.contents);
    // Modes, times and links are those of the index.
    let open = |name: &str| Archive::open(&lab.work.path().join(name), &Options::new()).unwrap();
    assert_eq!(open("a").tree_digest().unwrap(), open("salvaged").tree_digest().unwrap());
    assert_eq!(read_back(&open("a")).unwrap()[..20], read_back(&open("salvaged")).unwrap()[..20]);
}

#[test]
fn a_cut_archive_with_recovery_records_gives_all_files_before_the_cut() {
    let lab = Lab::small(true, false);
    let table = blobs(&lab.archive());
    let end = table.iter().rfind(|blob| blob.decoded > 0).unwrap().offset as usize;
    let mut best = 0;
    for cut in (16..end).step_by(end / 25) {
        // What records before the cut tell.
        let Ok((outcome, kept)) = lab.try_salvage(&lab.bytes[..cut]) else {
            assert!(cut < table[2].offset as usize);
            continue;
        };
        assert!(matches!(outcome.report.index, Index::Partial | Index::Lost));
        assert!(outcome.error().is_some());
        let whole: Vec<&Blob> =
            table.iter().filter(|blob| blob.decoded == 0 && blob.offset + blob.stored <= cut as u64).collect();
        best = best.max(kept.len());
        assert!(kept.len() >= whole.len().saturating_sub(6), "cut {cut}: {} of {}", kept.len(), whole.len());
    }
    assert!(best > 10, "{best}");
}

#[test]
fn without_names_whole_blobs_are_kept_without_names() {
    let lab = Lab::small(false, false);
    let table = blobs(&lab.archive());
    let end = table.last().map(|blob| blob.offset + blob.stored).unwrap() as usize;
    // The blob table survives: 8 bytes and 56 a blob.
    let mut damaged = lab.bytes.clone();
    damaged[end + 8 + 56 * table.len()..].fill(0xA5);
    let (outcome, kept) = lab.salvage(&damaged);
    assert_eq!(outcome.report.index, Index::Lost);
    assert_eq!((outcome.report.blocks_nameless, outcome.report.blocks_unchecked), (table.len() as u64, 0));
    let noise = fs::read(lab.work.path().join("tree/d/noise")).unwrap();
    assert!(kept.values().any(|(_, _, bytes)| *bytes == noise), "stored blocks are among them");
    // It doesn't: frames are found, and nobody knows a hash of them.
    damaged[end..].fill(0xA5);
    let (outcome, kept) = lab.salvage(&damaged);
    assert!(outcome.report.blocks_nameless > 3);
    assert_eq!(outcome.report.blocks_unchecked, outcome.report.blocks_nameless);
    assert!(kept.keys().all(|path| path.starts_with(b"lost+found/unchecked-")));
}

#[test]
fn a_damaged_trailer_costs_nothing() {
    for plain in [false, true] {
        let lab = Lab::small(false, plain);
        let len = lab.bytes.len();
        for at in [len - 1, len - 40, len - 100] {
            let mut damaged = lab.bytes.clone();
            damaged[at] ^= 1;
            let (outcome, kept) = lab.salvage(&damaged);
            assert!(kept == lab.contents, "byte {at}");
            assert_eq!(outcome.report.entries_lost, 0);
        }
    }
}

#[test]
fn an_archive_in_an_archive_is_not_mistaken_for_it() {
    let inner = Lab::small(true, false);
    let lab = Lab::new(
        |root| {
            fs::write(root.join("inner"), &inner.bytes).unwrap();
            fs::write(root.join("zz"), b"something else").unwrap();
        },
        &[(Key::Recovery, 1), (Key::NoSkip, 1)],
    );
    let end = blobs(&lab.archive()).last().map(|blob| blob.offset + blob.stored).unwrap() as usize;
    let (_, kept) = lab.salvage(&lab.bytes[..end]);
    assert!(kept == lab.contents);
    for cut in (100..lab.bytes.len()).step_by(4500) {
        if let Ok((_, kept)) = lab.try_salvage(&lab.bytes[..cut]) {
            assert!(!kept.keys().any(|path| path.starts_with(b"d/")));
        }
    }
}

#[test]
fn what_was_added_to_writers_and_appended_is_recovered_too() {
    let lab = Lab::small(true, false);
    let archive = lab.work.path().join("b");
    fs::write(&archive, &lab.bytes).unwrap();
    let mut random = Random::new(5);
    let (small, big) = (random.text(500), random.text(3 << 20));
    let mut writer = Writer::append(&archive, &options(&[(Key::DuplicatePaths, 1)])).unwrap();
    writer.add_bytes(&NewEntry { mode: Some(0o600), ..NewEntry::file(b"new/small") }, &small).unwrap();
    writer.add_bytes(&NewEntry::file(b"new/big"), &big).unwrap();
    let mut rest = &big[..100_000];
    let read = |buffer: &mut [u8]| {
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        rest = &rest[len..];
        Ok(len)
    };
    writer.add_stream(&NewEntry::file(b"new/stream"), read).unwrap();
    writer.add_bytes(&NewEntry::file(b"empty"), b"replaced").unwrap();
    writer.finish().unwrap();
    let lab = Lab { contents: contents(&archive), bytes: fs::read(&archive).unwrap(), work: lab.work };
    assert_eq!(lab.contents[&b"empty"[..]].2, b"replaced");
    let table = blobs(&archive);
    let end = table.last().map(|blob| blob.offset + blob.stored).unwrap() as usize;
    let (outcome, kept) = lab.salvage(&lab.bytes[..end]);
    assert!(outcome.report.index == Index::Recovered && kept == lab.contents);
    // Cut behind the last blob of the new files: what was there before is known from its own copy of the index.
    let last = table.iter().rposition(|blob| blob.decoded > 0).unwrap();
    let cut = (table[last + 1].offset + table[last + 1].stored) as usize;
    fs::write(lab.work.path().join("damaged"), &lab.bytes[..cut]).unwrap();
    let to = lab.work.path().join("salvaged");
    salvage(&lab.work.path().join("damaged"), &to, &options(&[(Key::Overwrite, 1)])).unwrap();
    let kept = contents(&to);
    for path in [&b"new/big"[..], b"new/small", b"d/text1", b"sparse", b"link"] {
        assert!(kept.get(path) == lab.contents.get(path), "{}", String::from_utf8_lossy(path));
    }
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_nothing() {
    let lab = Lab::small(false, false);
    for bytes in [&b""[..], b"x", &[0; 5000], &Random::new(4).noise(200_000)] {
        fs::remove_file(lab.work.path().join("salvaged")).ok();
        assert_eq!(lab.try_salvage(bytes).unwrap_err().status(), Status::NotArchive);
        assert!(!lab.work.path().join("salvaged").exists());
    }
}

#[test]
fn big_files_that_a_writer_lets_share_blocks_keep_their_names_without_the_index() {
    let work = tempfile::tempdir().unwrap();
    let (archive, salvaged) = (work.path().join("a"), work.path().join("salvaged"));
    let mut random = Random::new(5);
    // Each kind of bytes has a block that waits for more while the others go on.
    let files = [
        ("big-1", random.sextets(2_300_000)),
        ("small-1", random.text(1000)),
        ("noise", random.noise(5 << 20)),
        ("big-2", random.text(3 << 20)),
        ("packed.zip", [b"PK\x03\x04".to_vec(), random.noise(70_000)].concat()),
        ("big-3", random.sextets(1_100_000)),
        ("small-2", random.text(1000)),
    ];
    let mut writer = Writer::create(&archive, &options(&[(Key::Recovery, 1)])).unwrap();
    for (path, bytes) in &files {
        writer.add_bytes(&NewEntry::file(path.as_bytes()), bytes).unwrap();
    }
    writer.finish().unwrap();
    // What is left ends with the record behind the last block: neither the index nor the copy of it.
    let blobs = blobs(&archive);
    let last = blobs.iter().rposition(|blob| blob.decoded > 0).unwrap();
    let end = blobs[last + 1].offset + blobs[last + 1].stored;
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(end).unwrap();
    salvage(&archive, &salvaged, &Options::new()).unwrap();
    let kept: BTreeMap<_, _> = contents(&salvaged).into_iter().map(|(path, (_, _, bytes))| (path, bytes)).collect();
    let expected = files.iter().map(|(path, bytes)| (path.as_bytes().to_vec(), bytes.clone())).collect();
    assert!(kept == expected, "{:?}", kept.keys().map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>());
}
