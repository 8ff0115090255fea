//! Somebody who may write in the destination swaps directories for links while an archive is restored.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use znippy::extract::extract_tree;
use znippy::options::{Key, Options};

use crate::destination::{Place, State};
use crate::extract_support::{Builder, noise};
use crate::seccomp;

fn archive() -> Builder {
    let mut builder = Builder::new();
    for directory in 0..4 {
        builder.directory(&format!("d{directory}"), 0o755, 1);
        for file in 0..6 {
            builder.file(&format!("d{directory}/f{file}"), &noise(file, 200));
        }
        builder.sparse(&format!("d{directory}/g-big"), 3000, &[(0, &noise(1, 1000)), (2000, &noise(2, 1000))]);
        builder.hardlink(&format!("d{directory}/h-link"), "d0/f0", &noise(0, 200));
        builder.directory(&format!("d{directory}/sub"), 0o700, 2);
        builder.file(&format!("d{directory}/sub/x"), b"deeper");
        builder.symlink(&format!("d{directory}/z-link"), "f0");
    }
    builder
}

/// Restores again and again while a thread swaps each directory for a link to the tree outside, and back.
fn race(runs: usize, overwrite: i64) -> (u64, usize, usize) {
    let archive = archive().archive();
    let mut place = Place::new(false);
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut restored, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let out = place.destination();
        let (stop, swaps) = (&stop, &swaps);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for (name, target) in [
                    ("d0", "../sentinel/dir"),
                    ("d1", ".."),
                    ("d2/sub", "../../sentinel/dir"),
                    ("d3", "../sentinel"),
                    ("d1/f3", "../../sentinel/secret"),
                ] {
                    let (victim, evil) = (out.join(name), out.join(format!("evil-{}", name.replace('/', "-"))));
                    let _ = symlink(target, &evil);
                    for _ in 0..2 {
                        if rustix::fs::renameat_with(CWD, &evil, CWD, &victim, RenameFlags::EXCHANGE).is_ok() {
                            swaps.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
        let mut options = Options::new();
        options.set(Key::Threads, 2).unwrap();
        options.set(Key::Overwrite, overwrite).unwrap();
        for run in 0..runs {
            if run % 8 == 0 {
                // The other thread may put something in while this is being removed.
                while fs::remove_dir_all(place.destination()).is_err() && place.destination().exists() {}
                place.prepare(State::Missing, &[]);
            }
            match extract_tree(&archive, &place.destination(), &options) {
                Ok(_) => restored += 1,
                Err(_) => refused += 1,
            }
            if let Some(harm) = place.harm() {
                stop.store(true, Ordering::Relaxed);
                panic!("ESCAPED in run {run}: {harm}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    place.clear();
    (swaps.load(Ordering::Relaxed), restored, refused)
}

fn race_without_openat2(runs: usize) -> (u64, usize, usize) {
    let runs = std::thread::spawn(move || {
        seccomp::forbid_openat2();
        race(runs, 1)
    });
    runs.join().unwrap()
}

#[test]
fn who_swaps_directories_for_links_leads_nothing_outside() {
    for overwrite in [0, 1] {
        let (swaps, ..) = race(60, overwrite);
        assert!(swaps > 0);
    }
    let (swaps, ..) = race_without_openat2(60);
    assert!(swaps > 0);
}

#[test]
#[ignore = "scripts/campaign-hostile.sh"]
fn campaign_race() {
    let runs = std::env::var("ZNIPPY_RACE_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(2000);
    let mut sums = (0, 0, 0);
    for (swaps, restored, refused) in [race(runs, 0), race(runs, 1), race_without_openat2(runs)] {
        sums = (sums.0 + swaps, sums.1 + restored, sums.2 + refused);
    }
    println!("race: 0 escapes in {} runs ({} refused), {} swaps", sums.1 + sums.2, sums.2, sums.0);
}
