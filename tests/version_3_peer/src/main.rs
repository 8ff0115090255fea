//! A reader of znippy 0.10.1 as a process that can be asked: for each path of an archive on standard input, a line a file on
//! standard output, and an empty line behind them.
//!
//! `file PATH HASH` or `refused PATH`, in hexadecimal digits, or `closed TEXT` where not even the index can be read. A line `panic`
//! stands in front of what a panic ended.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use arrow::array::StringArray;
use znippy_common::decompress::get_file;
use znippy_common::index::read_znippy_index;

/// Who takes longer for one archive hangs.
const LONGEST: Duration = Duration::from_secs(20);
/// Number of archives that were begun or ended; odd while one is read.
static STEPS: AtomicU64 = AtomicU64::new(0);

fn main() -> io::Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::spawn(watch);
    for line in io::stdin().lock().lines() {
        let line = line?;
        STEPS.fetch_add(1, Ordering::SeqCst);
        let mut answer = answer(Path::new(&line));
        STEPS.fetch_add(1, Ordering::SeqCst);
        answer.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(answer.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// Ends the process when one archive takes too long: nothing else ends a loop.
fn watch() {
    loop {
        let before = STEPS.load(Ordering::SeqCst);
        std::thread::sleep(LONGEST);
        if before % 2 == 1 && STEPS.load(Ordering::SeqCst) == before {
            std::process::exit(3);
        }
    }
}

fn answer(archive: &Path) -> String {
    let paths = match catch_unwind(|| paths(archive)) {
        Ok(Ok(paths)) => paths,
        Ok(Err(error)) => return format!("closed {}\n", error.to_string().replace('\n', " ")),
        Err(_) => return "panic\nclosed\n".into(),
    };
    let mut answer = String::new();
    for path in paths {
        let name = hex(path.as_bytes());
        match catch_unwind(|| get_file(archive, &path)) {
            Ok(Ok(bytes)) => answer += &format!("file {name} {}\n", blake3::hash(&bytes).to_hex()),
            Ok(Err(_)) => answer += &format!("refused {name}\n"),
            Err(_) => answer += &format!("panic\nrefused {name}\n"),
        }
    }
    answer
}

fn paths(archive: &Path) -> Result<BTreeSet<String>> {
    let (_, batches) = read_znippy_index(archive)?;
    let mut paths = BTreeSet::new();
    for batch in &batches {
        let column = batch.column_by_name("relative_path").context("no column of paths")?;
        let column = column.as_any().downcast_ref::<StringArray>().context("paths are no strings")?;
        paths.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(paths)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
