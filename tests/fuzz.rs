//! The fuzz targets of `fuzz/`, with a plain random generator in place of one that sees which code was reached: a short
//! run of each with every test run, longer ones by `scripts/campaign-fuzz.sh`.
//!
//! `ZNIPPY_FUZZ_TARGET`, `ZNIPPY_FUZZ_SECONDS` and `ZNIPPY_FUZZ_SEED` make a campaign of it. A finding is written to the
//! working directory, as `finding-TARGET`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// No input may take more time of processors in a campaign.
const SLOWEST: Duration = Duration::from_secs(1);
/// The same without optimisation; and nothing may take longer, so that what hangs is found.
const SLOWEST_OF_A_TEST: Duration = Duration::from_secs(20);
/// Most bytes that an input may have allocated at a time. zstd's contexts are not counted, which no input decides.
const MOST_MEMORY: usize = 256 << 20;

/// The system's allocator, which counts.
struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize, less: usize) {
    let held = HELD.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
    HELD.fetch_sub(less, Ordering::Relaxed);
    if held > MOST_HELD.load(Ordering::Relaxed) {
        MOST_HELD.fetch_max(held, Ordering::Relaxed);
    }
}

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Random inputs, and those of the corpus with random changes.
struct Inputs {
    state: u64,
    corpus: Vec<Vec<u8>>,
}

impl Inputs {
    fn new(target: &str, seed: u64) -> Inputs {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut files: Vec<_> =
            std::fs::read_dir(directory).into_iter().flatten().flatten().map(|file| file.path()).collect();
        files.sort();
        let corpus = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
        Inputs { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, corpus }
    }

    fn number(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn next(&mut self) -> Vec<u8> {
        let mut input = Vec::new();
        if !self.corpus.is_empty() && self.number().is_multiple_of(3) {
            let choice = self.number() as usize % self.corpus.len();
            input.clone_from(&self.corpus[choice]);
            for _ in 0..self.number() % 4 {
                if !input.is_empty() {
                    let at = self.number() as usize % input.len();
                    input[at] = self.number() as u8;
                }
            }
        }
        let more = if input.is_empty() || self.number().is_multiple_of(4) { self.number() as usize % 160 } else { 0 };
        input.extend((0..more).map(|_| self.number() as u8));
        input
    }
}

/// What became of an input: its time and memory, or what is wrong with it.
fn try_input(target: fn(&[u8]), input: &[u8], slowest: Duration) -> Result<(Duration, usize), String> {
    let attempt = || {
        let before = HELD.load(Ordering::Relaxed);
        MOST_HELD.store(before, Ordering::Relaxed);
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
        let memory = MOST_HELD.load(Ordering::Relaxed).saturating_sub(before);
        (outcome.is_ok(), started.elapsed(), memory)
    };
    let (sound, mut took, memory) = attempt();
    if sound && took > slowest && took <= SLOWEST_OF_A_TEST {
        // The machine may have been busy with something else: once more, by the time of processors alone.
        let before = processor_time();
        attempt();
        took = processor_time().saturating_sub(before);
    }
    match sound {
        false => Err("panicked".into()),
        true if took > slowest => Err(format!("took {took:?}")),
        true if memory > MOST_MEMORY => Err(format!("took {memory} bytes")),
        true => Ok((took, memory)),
    }
}

/// What all threads of this process took so far, in steps of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, which may hold anything, ends with the last parenthesis; 11 numbers follow before these.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Runs a target for so long; how many inputs it had.
fn run(name: &str, target: fn(&[u8]), seed: u64, time: Duration, slowest: Duration) -> u64 {
    let mut inputs = Inputs::new(name, seed);
    let mut corpus = inputs.corpus.clone().into_iter();
    let (begin, mut count, mut most) = (Instant::now(), 0u64, (Duration::ZERO, 0));
    while corpus.len() > 0 || !count.is_multiple_of(64) || begin.elapsed() < time {
        let input = corpus.next().unwrap_or_else(|| inputs.next());
        match try_input(target, &input, slowest) {
            Ok((took, memory)) => most = (most.0.max(took), most.1.max(memory)),
            Err(what) => {
                let file = format!("finding-{name}");
                std::fs::write(&file, &input).unwrap();
                panic!("{name}: input {count} of seed {seed} {what}; it is in {file}");
            }
        }
        count += 1;
    }
    println!(
        "{name}: {count} inputs, slowest {:.3} s, most memory {} KiB, seed {seed}, no findings",
        most.0.as_secs_f64(),
        most.1 >> 10
    );
    count
}

#[test]
fn no_input_of_a_fuzz_target_is_a_finding() {
    assert!(targets::seed_count() > 1);
    let only = variable("ZNIPPY_FUZZ_TARGET").filter(|name| !name.is_empty());
    let seconds = variable("ZNIPPY_FUZZ_SECONDS").map(|text| text.parse::<f64>().unwrap());
    let slowest = if seconds.is_some() { SLOWEST } else { SLOWEST_OF_A_TEST };
    let time = Duration::from_secs_f64(seconds.unwrap_or(0.7));
    let seed = variable("ZNIPPY_FUZZ_SEED").map(|text| text.parse().unwrap()).unwrap_or(1);
    let chosen = targets::TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let mut ran = 0;
    for (name, target) in chosen {
        assert!(run(name, *target, seed, time, slowest) > 0);
        ran += 1;
    }
    assert!(ran > 0, "no such target");
}
