//! Hostile archives: nothing is written outside the destination, whatever it looked like before, whoever runs it and
//! whoever walks; each ends in an error that names its entry, or is restored without harm.
//!
//! A part runs with every test run. The whole is `scripts/campaign-hostile.sh`.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::type_complexity)]

#[path = "../extract_support/mod.rs"]
mod extract_support;

mod archives;
mod destination;
mod race;
mod seccomp;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archives::{Case, Expected};
use destination::{Place, STATES, State};
use znippy::archive::{Archive, MemorySource};
use znippy::error::{Error, Result, Status};
use znippy::extract::extract_tree;
use znippy::options::{Key, Options};

/// No archive of the corpus may take longer.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Nor make the process grow by more: buffers of two threads, and the index of the largest.
const MEMORY_LIMIT_KIB: u64 = 400 << 10;

/// What the runs came to.
#[derive(Default)]
struct Totals {
    runs: usize,
    escapes: usize,
    panics: usize,
    refused: usize,
    restored: usize,
    slowest: Duration,
    peak_kib: u64,
    problems: Vec<String>,
}

impl Totals {
    fn line(&self) -> String {
        format!(
            "runs {} escapes {} panics {} problems {} refused {} restored {} slowest {:.2} s growth {} MiB",
            self.runs,
            self.escapes,
            self.panics,
            self.problems.len(),
            self.refused,
            self.restored,
            self.slowest.as_secs_f64(),
            self.peak_kib >> 10,
        )
    }

    fn problem(&mut self, case: &Case, how: &str, what: &str) {
        if self.problems.len() < 20 {
            eprintln!("{}: {} ({how}): {what}", case.class, case.name);
        }
        self.problems.push(what.to_owned());
    }
}

/// One archive, into one state of a destination.
fn run(totals: &mut Totals, place: &mut Place, case: &Case, state: State, untrusted: bool, number: usize) {
    let expected = if untrusted { case.untrusted } else { case.plain };
    if matches!(expected, Expected::Whole(&["only with a limit"])) {
        return;
    }
    let mut options = Options::new();
    options.set(Key::Threads, 2).unwrap();
    options.set(Key::Untrusted, i64::from(untrusted)).unwrap();
    options.set(Key::Overwrite, (number % 2) as i64).unwrap();
    let how = format!("{state:?}, untrusted {untrusted}, overwrite {}", number % 2);
    place.clear();
    let (result, names) = (open(case), names_of(case));
    place.prepare(state, &names);
    let before = peak_kib(true);
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let archive = result?;
        let outcome = extract_tree(&archive, &place.destination(), &options)?;
        Ok::<_, Error>((archive, outcome))
    }));
    let (time, growth) = (started.elapsed(), peak_kib(false).saturating_sub(before));
    totals.runs += 1;
    totals.slowest = totals.slowest.max(time);
    totals.peak_kib = totals.peak_kib.max(growth);
    if let Some(harm) = place.harm() {
        totals.escapes += 1;
        totals.problem(case, &how, &format!("ESCAPED: {harm}"));
    }
    if time > TIME_LIMIT || growth > MEMORY_LIMIT_KIB {
        totals.problem(case, &how, &format!("took {time:?} and {growth} KiB"));
    }
    let Ok(result) = result else {
        totals.panics += 1;
        return totals.problem(case, &how, "PANICKED");
    };
    match &result {
        Ok(_) => totals.restored += 1,
        Err(_) => totals.refused += 1,
    }
    if let Some(what) = wrong_result(&result.as_ref().map(|_| ()).map_err(Error::clone), expected, state) {
        totals.problem(case, &how, &what);
    }
    if let Some(what) = wrong_tree(&place.destination(), state) {
        totals.problem(case, &how, &what);
    }
    if let Ok((archive, _)) = &result
        && let Some(what) = wrong_bytes(archive, &place.destination(), state)
    {
        totals.problem(case, &how, &what);
    }
}

fn open(case: &Case) -> Result<Archive> {
    let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(case.bytes.clone());
    Archive::open_source(Box::new(MemorySource::new(bytes)), &Options::new())
}

/// Names that the archive has, as far as it can be read.
fn names_of(case: &Case) -> Vec<Vec<u8>> {
    let mut names = vec![b"benign/inner/file".to_vec()];
    if let Ok(archive) = open(case)
        && let Ok(listing) = archive.list(0, 20)
    {
        names.extend((0..20).map_while(|i| listing.get(i)).map(|entry| entry.path.to_vec()));
    }
    names
}

fn wrong_result(result: &Result<()>, expected: Expected, state: State) -> Option<String> {
    let clean = matches!(state, State::Missing | State::Empty | State::OtherFileSystem);
    match (result, expected) {
        (Ok(()), Expected::Harmless) => None,
        (Ok(()), expected) => Some(format!("restored, but expected {expected:?}")),
        (Err(error), _) if error.status() == Status::Panic || error.message().is_empty() => Some(format!("{error:?}")),
        // What stands in the way may be noticed first, and is named.
        (Err(error), _) if !clean && error.path().is_some() => None,
        (Err(error), Expected::Harmless) => Some(format!("expected to be harmless: {error:?} ({:?})", error.rule())),
        (Err(error), Expected::Entry(rules) | Expected::Whole(rules)) => {
            let rule = error.rule().unwrap_or("none");
            let named = error.path().is_some() || matches!(expected, Expected::Whole(_));
            let known = rules.iter().any(|expected| rule.starts_with(expected));
            (!named || !known).then(|| format!("expected {expected:?}: {error:?} ({rule})"))
        }
    }
}

/// Nothing unfinished, no device, no set-user-id bit.
fn wrong_tree(out: &Path, state: State) -> Option<String> {
    if !out.is_dir() {
        return None;
    }
    extract_support::walk(out).into_iter().find_map(|(name, status)| {
        let kind = status.file_type();
        let device = kind.is_block_device() || kind.is_char_device() || kind.is_socket();
        let privileged = status.mode() & 0o7000 != 0 && state != State::ReadOnly;
        (device || privileged || name.contains(".znippy-"))
            .then(|| format!("{name} stands there, mode {:o}", status.mode()))
    })
}

/// What is restored into a clean place has the bytes that the archive has.
fn wrong_bytes(archive: &Archive, out: &Path, state: State) -> Option<String> {
    if !matches!(state, State::Missing | State::Empty) || archive.entry_count() > 50 {
        return None;
    }
    let listing = archive.list(0, archive.entry_count() as usize).ok()?;
    (0..archive.entry_count() as usize).find_map(|i| {
        use std::os::unix::ffi::OsStrExt;
        let entry = listing.get(i)?;
        if !matches!(entry.kind, 0 | 3) || entry.size > 1 << 20 {
            return None;
        }
        let there = fs::read(out.join(std::ffi::OsStr::from_bytes(entry.path)));
        let same = there.as_ref().ok() == archive.read(i as u64, u64::MAX).as_ref().ok();
        (!same).then(|| format!("{} has other bytes", String::from_utf8_lossy(entry.path)))
    })
}

/// The most memory that this process had since it was last asked to forget.
fn peak_kib(forget: bool) -> u64 {
    if forget {
        let _ = fs::write("/proc/self/clear_refs", "5");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn run_all(cases: &[Case], wanted: impl Fn(usize, State) -> bool) -> Totals {
    let mut totals = Totals::default();
    let (mut here, mut elsewhere) = (Place::new(false), Place::new(true));
    for (number, case) in cases.iter().enumerate() {
        for state in STATES.into_iter().filter(|state| wanted(number, *state)) {
            let place = if state == State::OtherFileSystem { &mut elsewhere } else { &mut here };
            run(&mut totals, place, case, state, false, number);
            run(&mut totals, place, case, state, true, number + 1);
        }
    }
    totals
}

/// The whole corpus into an empty destination and one more state each.
fn sample(number: usize, state: State) -> bool {
    state == State::Empty || state == STATES[number % STATES.len()]
}

#[test]
fn there_are_250_hostile_archives_in_14_classes() {
    let cases = archives::all();
    let classes = archives::classes(&cases);
    assert!(cases.len() >= 250 && classes.len() == 14, "{} {classes:?}", cases.len());
    assert!(classes.values().all(|count| *count >= 10), "{classes:?}");
}

#[test]
fn a_sample_of_runs_has_no_escape_and_each_archive_ends_as_expected() {
    let totals = run_all(&archives::all(), sample);
    assert!(totals.problems.is_empty(), "{}", totals.line());
    assert!(totals.runs > 1000, "{}", totals.line());
}

#[test]
fn the_same_sample_without_openat2() {
    // The filter holds for this thread and the workers that it starts.
    let runs = std::thread::spawn(|| {
        seccomp::forbid_openat2();
        let nowhere = rustix::fs::openat2(
            rustix::fs::CWD,
            c"/",
            rustix::fs::OFlags::PATH,
            rustix::fs::Mode::empty(),
            rustix::fs::ResolveFlags::empty(),
        );
        assert_eq!(nowhere.unwrap_err(), rustix::io::Errno::NOSYS);
        run_all(&archives::all(), |number, state| state == STATES[(number + 3) % STATES.len()])
    });
    let totals = runs.join().unwrap();
    assert!(totals.problems.is_empty(), "{}", totals.line());
}

/// A quarter of the campaign: as this user, with or without openat2.
#[test]
#[ignore = "a part of the campaign"]
fn campaign_part() {
    if std::env::var_os("ZNIPPY_HOSTILE_WALK").is_some() {
        seccomp::forbid_openat2();
    }
    let totals = run_all(&archives::all(), |_, _| true);
    println!("PART {}", totals.line());
}

#[test]
#[ignore = "scripts/campaign-hostile.sh"]
fn campaign() {
    let cases = archives::all();
    println!(
        "{} archives in {} classes, digest {}",
        cases.len(),
        archives::classes(&cases).len(),
        archives::digest(&cases)
    );
    let shared = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let program = shared.path().join("hostile");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let mut sums = [0; 4];
    for user in [None, Some(65534)] {
        if user.is_some() && !is_root {
            println!("not root: only as this user");
            continue;
        }
        for walk in [false, true] {
            let mut command = Command::new(&program);
            command.args(["--ignored", "--exact", "campaign_part", "--nocapture"]).current_dir("/");
            command.env("TMPDIR", shared.path());
            if walk {
                command.env("ZNIPPY_HOSTILE_WALK", "1");
            }
            if let Some(user) = user {
                command.uid(user).gid(user);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text.lines().find_map(|line| Some(line.split_once("PART ")?.1.to_owned()));
            let line = line.unwrap_or_else(|| panic!("no result: {text} {}", String::from_utf8_lossy(&output.stderr)));
            let (who, how) =
                (if user.is_some() { "nobody" } else { "root" }, if walk { "fallback" } else { "openat2" });
            println!("{who:7} {how:9} {line}");
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            for (sum, word) in sums.iter_mut().zip(["runs ", "escapes ", "panics ", "problems "]) {
                let number = line.split_once(word).and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok());
                *sum += number.unwrap();
            }
        }
    }
    println!("hostile: {} escapes, {} panics and {} other problems in {} runs", sums[1], sums[2], sums[3], sums[0]);
    assert_eq!(sums[1] + sums[2] + sums[3], 0);
}
