//! Schedules of threads: packing, reading, checking and extraction under an order of steps that shuttle chooses, at random
//! and by priorities that change at few places. None may end in a deadlock, lose a slice, or change a byte.
//!
//! `scripts/campaign-schedules.sh` runs it, since it takes the feature `schedules`; `ZNIPPY_SCHEDULES` is how many of each
//! kind a test tries, `ZNIPPY_SCHEDULES_SEED` where they begin.

#![cfg(feature = "schedules")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use shuttle::rand::RngCore;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};
use znippy::archive::{Archive, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::extract::extract_tree;
use znippy::format::row::EntryKind;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Sink, Writer};
use znippy::progress::CancelToken;
use znippy::provider::{ColumnType, Provider, ProviderColumn, ProviderRow};
use znippy::sync::ahead;
use znippy::sync::schedules::LOSE_WAKE_UPS;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Tries schedules of `scenario`, of which a share of 1 in `every` of the wanted number is enough.
fn explore(name: &str, every: u64, scenario: fn()) {
    let iterations = variable("ZNIPPY_SCHEDULES", 200) / every + 1;
    let seed = variable("ZNIPPY_SCHEDULES_SEED", 1);
    let begin = Instant::now();
    let config = || {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.max_steps = MaxSteps::FailAfter(200_000);
        config.silence_warnings = true;
        config
    };
    Runner::new(RandomScheduler::new_from_seed(seed, iterations as usize), config()).run(scenario);
    // Few changes of priority find what few steps at the wrong time cause.
    for depth in [1, 2, 3, 5] {
        let scheduler = PctScheduler::new_from_seed(seed, depth, (iterations / 4 + 1) as usize);
        Runner::new(scheduler, config()).run(scenario);
    }
    let count = iterations + 4 * (iterations / 4 + 1);
    println!("schedules: {name}: {count} without a finding, seed {seed}, {:.0} s", begin.elapsed().as_secs_f64());
}

fn random(bound: u64) -> u64 {
    shuttle::rand::thread_rng().next_u64() % bound
}

fn options(values: &[(Key, i64)]) -> Options {
    let mut options = Options::new();
    let small = [(Key::Level, 1), (Key::SmallFile, 4096), (Key::BlockSize, 4096), (Key::SliceSize, 65_536)];
    for (key, value) in small.iter().chain(values) {
        options.set(*key, *value).unwrap();
    }
    options
}

fn content(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32 / 64 * (number + 1)) as u8 ^ (at as u8 & 3)).collect()
}

/// Small files that fill several blocks, one that is there twice, one of three slices, twice too.
fn entries() -> &'static [(&'static [u8], Vec<u8>)] {
    static ENTRIES: LazyLock<Vec<(&[u8], Vec<u8>)>> = LazyLock::new(make_entries);
    &ENTRIES
}

fn make_entries() -> Vec<(&'static [u8], Vec<u8>)> {
    let big = content(9, 140_000);
    vec![
        (b"a", content(1, 3000)),
        (b"b", content(2, 2500)),
        (b"big", big.clone()),
        (b"c", content(1, 3000)),
        (b"d", content(3, 4000)),
        (b"e", Vec::new()),
        (b"f", content(4, 3900)),
        (b"same", big),
        (b"z", content(5, 10)),
    ]
}

/// Keeps what it gets, until it fails.
struct Kept {
    bytes: Arc<std::sync::Mutex<Vec<u8>>>,
    writes_left: u64,
}

impl Sink for Kept {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.writes_left = self.writes_left.checked_sub(1).ok_or_else(|| Error::new(Status::NoSpace, "full"))?;
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn pack(options: &Options, writes: u64) -> Result<Vec<u8>> {
    let bytes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Kept { bytes: Arc::clone(&bytes), writes_left: writes };
    let mut writer = Writer::to_sink(Box::new(sink), options);
    for (path, content) in entries() {
        writer.add_bytes(&NewEntry { mode: Some(0o640), ..NewEntry::new(path, EntryKind::File) }, content)?;
    }
    writer.finish()?;
    drop(writer);
    let packed = std::mem::take(&mut *bytes.lock().unwrap());
    Ok(packed)
}

fn open(bytes: Vec<u8>, options: &Options) -> Archive {
    Archive::open_source(Box::new(MemorySource::new(Arc::new(bytes))), options).unwrap()
}

/// The archive of the first schedule, which all others must give too.
fn expect_same(first: &'static OnceLock<Vec<u8>>, packed: Vec<u8>) {
    if first.get_or_init(|| packed.clone()) != &packed {
        panic!("another schedule made another archive");
    }
}

/// An archive that was made before any schedule is explored.
fn sample() -> Vec<u8> {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| pack(&options(&[(Key::Threads, 1)]), u64::MAX).unwrap()).clone()
}

fn packing() {
    static FIRST: OnceLock<Vec<u8>> = OnceLock::new();
    let packed = pack(&options(&[(Key::Threads, 3)]), u64::MAX).unwrap();
    expect_same(&FIRST, packed);
}

#[test]
fn every_schedule_of_packing_makes_the_same_archive() {
    explore("packing", 1, packing);
}

#[test]
fn every_schedule_of_packing_with_one_worker_and_the_fewest_buffers_makes_the_same_archive() {
    explore("packing with the least memory", 1, || {
        static FIRST: OnceLock<Vec<u8>> = OnceLock::new();
        static LEAST: OnceLock<i64> = OnceLock::new();
        let with = |limit| pack(&options(&[(Key::Threads, 3), (Key::MemoryLimit, limit)]), u64::MAX);
        let is_too_low = |limit: &i64| with(*limit).is_err_and(|error| error.status() == Status::Limit);
        let least = *LEAST.get_or_init(|| (8 << 20..).step_by(64 << 10).find(|limit| !is_too_low(limit)).unwrap());
        expect_same(&FIRST, with(least).unwrap());
    });
}

#[test]
fn a_sink_that_fails_ends_packing_in_its_error_in_every_schedule() {
    explore("failing sink", 2, || {
        let writes = random(20);
        match pack(&options(&[(Key::Threads, 2)]), writes) {
            Ok(packed) => drop(open(packed, &Options::new()).verify(&options(&[(Key::Threads, 1)])).unwrap()),
            Err(error) => assert_eq!(error.status(), Status::NoSpace, "{error}"),
        }
    });
}

#[test]
fn cancelling_at_any_moment_ends_packing_in_every_schedule() {
    explore("cancel", 2, || {
        static FIRST: OnceLock<Vec<u8>> = OnceLock::new();
        let cancel = CancelToken::new();
        let mut options = options(&[(Key::Threads, 2)]);
        options.set_cancel(cancel.clone());
        let canceller = shuttle::thread::spawn(move || cancel.trigger());
        match pack(&options, u64::MAX) {
            Ok(packed) => expect_same(&FIRST, packed),
            Err(error) => assert_eq!(error.status(), Status::Cancelled, "{error}"),
        }
        canceller.join().unwrap();
    });
}

/// Looks at files, one call at a time.
struct Turns {
    columns: Vec<ProviderColumn>,
    turn: shuttle::sync::Mutex<()>,
}

impl Provider for Turns {
    fn name(&self) -> &str {
        "turns"
    }
    fn pkg_type(&self) -> i8 {
        5
    }
    fn columns(&self) -> &[ProviderColumn] {
        &self.columns
    }
    fn wants(&self, path: &[u8], _: u64) -> Result<bool> {
        let _turn = self.turn.lock().unwrap();
        shuttle::thread::yield_now();
        Ok(path != b"d")
    }
    fn extract(&self, _: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool> {
        let _turn = self.turn.lock().unwrap();
        shuttle::thread::yield_now();
        row.set_i64(0, bytes.len() as i64)?;
        Ok(true)
    }
}

#[test]
fn a_provider_whose_calls_take_turns_finds_the_same_in_every_schedule() {
    explore("provider", 2, || {
        static FIRST: OnceLock<Vec<u8>> = OnceLock::new();
        let column = ProviderColumn { name: "found".into(), column_type: ColumnType::Int64 };
        let mut options = options(&[(Key::Threads, 2)]);
        let provider = Turns { columns: vec![column], turn: shuttle::sync::Mutex::new(()) };
        options.add_provider(Arc::new(provider)).unwrap();
        expect_same(&FIRST, pack(&options, u64::MAX).unwrap());
    });
}

#[test]
fn readers_of_one_archive_that_share_a_cache_of_any_size_read_what_was_packed() {
    explore("readers", 1, || {
        let cache = [0, 5000, 70_000, 1 << 20][random(4) as usize];
        let archive = Arc::new(open(sample(), &options(&[(Key::CacheSize, cache)])));
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let archive = Arc::clone(&archive);
                shuttle::thread::Builder::new()
                    .stack_size(1 << 20)
                    .spawn(move || {
                        let entries = entries();
                        for round in 0..3 {
                            let (path, content) = &entries[(reader * 2 + round * 3) % entries.len()];
                            let index = archive.find(path).unwrap().unwrap();
                            let offset = random(content.len() as u64 + 1);
                            let mut buffer = vec![0; 70_000];
                            let read = archive.read_at(index, offset, &mut buffer).unwrap();
                            let expected = &content[offset as usize..];
                            assert_eq!(buffer[..read], expected[..expected.len().min(buffer.len())]);
                        }
                    })
                    .unwrap()
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn verification_finds_a_damaged_blob_and_nothing_else_in_every_schedule() {
    explore("verify", 1, || {
        let mut bytes = sample();
        let damaged = random(2) == 1;
        bytes[20] ^= u8::from(damaged);
        let result = open(bytes, &options(&[])).verify(&options(&[(Key::Threads, 3)]));
        assert_eq!(result.err().map(|error| error.status()), damaged.then_some(Status::Checksum));
    });
}

/// Files below a directory, with their bytes.
fn files(directory: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    use std::os::unix::ffi::OsStringExt;
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> =
        entries.map(|entry| (entry.file_name().into_vec(), std::fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn extraction_restores_every_slice_or_says_which_files_failed_in_every_schedule() {
    // Files are made in each of them, which takes most of the time.
    explore("extraction", 10, || {
        let mut bytes = sample();
        let damaged = random(3) == 1;
        bytes[20] ^= u8::from(damaged);
        let archive = open(bytes, &options(&[]));
        let place = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm").into() } else { std::env::temp_dir() };
        let work = tempfile::tempdir_in(place).unwrap();
        let destination = work.path().join("tree");
        let outcome =
            extract_tree(&archive, &destination, &options(&[(Key::Threads, 3), (Key::KeepGoing, 1)])).unwrap();
        let found = files(&destination);
        let expected: Vec<_> = entries().iter().map(|(path, content)| (path.to_vec(), content.clone())).collect();
        assert!(found.iter().all(|file| expected.contains(file)), "a file is not as it was packed");
        assert_eq!(found.len() as u64 + outcome.stats.failed, expected.len() as u64);
        assert_eq!(outcome.stats.failed > 0, damaged);
    });
}

#[test]
fn values_that_are_made_ahead_come_in_order_and_once_in_every_schedule() {
    explore("values made ahead", 1, || {
        // Some keys are skipped, some are not among those that are made ahead, one fails, and the job stops somewhere.
        let (skip, fails, stop) = (random(3), random(12) as usize, random(9) as usize);
        let there = shuttle::sync::Mutex::new(0usize);
        struct Value<'a>(usize, &'a shuttle::sync::Mutex<usize>);
        impl Drop for Value<'_> {
            fn drop(&mut self) {
                *self.1.lock().unwrap() -= 1;
            }
        }
        let make = |key: usize| {
            let mut count = there.lock().unwrap();
            *count += 1;
            assert!(*count <= 3, "more values than are promised");
            drop(count);
            let value = Value(key, &there);
            if key == fails { Err(Error::new(Status::Corrupt, "damaged")) } else { Ok(value) }
        };
        let mut asked = 0;
        let done = ahead(2, "test", vec![0, 1, 2, 4, 5, 6, 7], &make, &mut |values| {
            for key in (0..8).filter(|key| skip == 0 || key % (skip as usize + 1) == 0).take(stop) {
                match values.get(key) {
                    Ok(value) => assert_eq!(value.0, key),
                    Err(error) => assert_eq!((key, error.status()), (fails, Status::Corrupt)),
                }
                asked += 1;
            }
            if stop % 2 == 0 { Ok(()) } else { Err(Error::cancelled()) }
        });
        assert_eq!(done.is_ok(), stop % 2 == 0);
        assert!(asked <= stop && *there.lock().unwrap() == 0);
    });
}

#[test]
fn a_wake_up_that_is_lost_is_found() {
    LOSE_WAKE_UPS.set(true);
    let found = std::panic::catch_unwind(|| explore("a defect on purpose", 1, packing));
    LOSE_WAKE_UPS.set(false);
    let payload = found.expect_err("no schedule found the lost wake-up");
    let text = payload.downcast_ref::<String>().map_or("", String::as_str);
    assert!(text.contains("deadlock"), "{text}");
}
