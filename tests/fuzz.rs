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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// No input may take longer, on a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(20);

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

/// Runs a target for so long; how many inputs it had.
fn run(name: &str, target: fn(&[u8]), seed: u64, time: Duration) -> u64 {
    let mut inputs = Inputs::new(name, seed);
    let corpus = inputs.corpus.clone();
    let (begin, mut count, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let mut corpus = corpus.into_iter();
    while begin.elapsed() < time || corpus.len() > 0 {
        let input = corpus.next().unwrap_or_else(|| inputs.next());
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        slowest = slowest.max(started.elapsed());
        if outcome.is_err() || started.elapsed() > SLOWEST {
            let file = format!("finding-{name}");
            std::fs::write(&file, &input).unwrap();
            panic!("{name}: input {count} of seed {seed} is in {file}; it took {:?}", started.elapsed());
        }
        count += 1;
    }
    println!("{name}: {count} inputs, slowest {:.3} s, seed {seed}, no findings", slowest.as_secs_f64());
    count
}

#[test]
fn no_input_of_a_fuzz_target_is_a_finding() {
    assert!(targets::seed_count() > 1);
    let only = variable("ZNIPPY_FUZZ_TARGET").filter(|name| !name.is_empty());
    let seconds = variable("ZNIPPY_FUZZ_SECONDS").map(|text| text.parse::<f64>().unwrap()).unwrap_or(0.7);
    let seed = variable("ZNIPPY_FUZZ_SEED").map(|text| text.parse().unwrap()).unwrap_or(1);
    let chosen = targets::TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let mut ran = 0;
    for (name, target) in chosen {
        assert!(run(name, *target, seed, Duration::from_secs_f64(seconds)) > 0);
        ran += 1;
    }
    assert!(ran > 0, "no such target");
}
