//! What the benches work on: this repository's own text, cut into as many files as are asked for, and archives of them in memory.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use znippy::archive::{Archive, MemorySource};
use znippy::error::Result;
use znippy::options::{Key, Options};
use znippy::pack::{NewEntry, Sink, Writer};

/// At least `len` bytes of sources and documents, which compress as such things do.
pub fn text(len: usize) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = Vec::new();
    for folder in ["src", "c_examples", "tests/c", "docs"] {
        gather(&root.join(folder), &mut text);
    }
    let once = text.clone();
    let mut turn = 0u8;
    while text.len() < len {
        // Not the same again: bytes of names change, so that matches stay short.
        turn = turn.wrapping_add(1);
        text.extend(once.iter().map(|byte| if byte % 7 == turn % 7 { byte ^ 1 } else { *byte }));
    }
    text.truncate(len);
    text
}

fn gather(folder: &Path, text: &mut Vec<u8>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            gather(&path, text);
        } else if let Ok(bytes) = std::fs::read(&path) {
            text.extend(bytes);
        }
    }
}

/// Files of 60 to 4,000 bytes below a few hundred directories.
pub fn files(count: usize) -> Vec<(String, Vec<u8>)> {
    let text = text(4 << 20);
    let file = |number: usize| {
        let len = 60 + number.wrapping_mul(2_654_435_761) % 3941;
        let start = number.wrapping_mul(40_503) % (text.len() - len);
        (format!("tree/{:03}/some_file_{number:06}.rs", number / 256), text[start..start + len].to_vec())
    };
    (0..count).map(file).collect()
}

/// A sink into memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Sink for Memory {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The files as an archive, made by one thread.
pub fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let memory = Memory::default();
    let mut options = Options::new();
    options.set(Key::Threads, 1).unwrap();
    let mut writer = Writer::to_sink(Box::new(memory.clone()), &options);
    for (path, bytes) in files {
        writer.add_bytes(&NewEntry::file(path.as_bytes()), bytes).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    std::mem::take(&mut *memory.0.lock().unwrap())
}

/// Opens an archive in memory.
pub fn open(bytes: &Arc<Vec<u8>>) -> Archive {
    let shared: Arc<dyn AsRef<[u8]> + Send + Sync> = bytes.clone();
    Archive::open_source(Box::new(MemorySource::new(shared)), &Options::new()).unwrap()
}
