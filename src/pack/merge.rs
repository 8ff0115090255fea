//! Entries of several batches in one order of paths.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::error::{Error, Result, Status, reserve};
use crate::pack::batch::Batch;
use crate::pack::scan::Record;

/// Goes through all entries by path. Holds one path a batch.
pub(super) struct InOrder<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The next path of each batch that has one.
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    last: Option<(Vec<u8>, usize)>,
}

struct Cursor<'a> {
    batch: &'a Batch,
    /// Record numbers in order of path; none where the records are in this order.
    order: Option<Vec<u32>>,
    next: usize,
}

/// An entry on its way past.
pub(super) struct Passing<'a, 'b> {
    pub(super) batch: &'a Batch,
    pub(super) record: &'a Record,
    pub(super) number: u32,
    pub(super) path: &'b [u8],
}

impl<'a> InOrder<'a> {
    pub(super) fn new(batches: &'a [Arc<Batch>]) -> Result<InOrder<'a>> {
        let mut cursors = Vec::new();
        reserve(&mut cursors, batches.len())?;
        for batch in batches {
            cursors.push(Cursor { batch, order: batch.order()?, next: 0 });
        }
        let mut all = InOrder { cursors, heap: BinaryHeap::new(), last: None };
        for number in 0..batches.len() {
            all.advance(number, Vec::new());
        }
        Ok(all)
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Option<Passing<'a, '_>> {
        if let Some((path, number)) = self.last.take() {
            self.advance(number, path);
        }
        let Reverse((path, number)) = self.heap.pop()?;
        let cursor = &self.cursors[number];
        let (batch, at) = (cursor.batch, cursor.at(cursor.next - 1));
        let (path, _) = self.last.insert((path, number));
        Some(Passing { batch, record: &batch.tree.records[at], number: batch.first + at as u32, path })
    }

    fn advance(&mut self, number: usize, mut path: Vec<u8>) {
        let cursor = &mut self.cursors[number];
        if cursor.next == cursor.batch.tree.records.len() {
            return;
        }
        cursor.batch.path(&cursor.batch.tree.records[cursor.at(cursor.next)], &mut path);
        cursor.next += 1;
        self.heap.push(Reverse((path, number)));
    }
}

impl Cursor<'_> {
    fn at(&self, position: usize) -> usize {
        self.order.as_ref().map_or(position, |order| order[position] as usize)
    }
}

/// Refuses entries below what is not a directory, in one order of paths.
#[derive(Default)]
pub(super) struct Parents {
    path: Vec<u8>,
    /// Lengths of the prefixes of `path` that are entries and not directories, in ascending order.
    blocking: Vec<u16>,
}

impl Parents {
    /// The next entry.
    ///
    /// # Errors
    /// `E_EXISTS` where an entry above it is not a directory.
    pub(super) fn pass(&mut self, path: &[u8], is_directory: bool) -> Result<()> {
        let common = self.path.iter().zip(path).take_while(|(a, b)| a == b).count();
        self.blocking.retain(|length| usize::from(*length) <= common);
        let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        if slashes.any(|(at, _)| self.blocking.binary_search(&(at as u16)).is_ok()) {
            let why = "an entry above it in the archive is not a directory";
            return Err(Error::new(Status::Exists, why).with_entry(path));
        }
        if !is_directory {
            // Paths have at most 65,535 bytes.
            self.blocking.push(path.len() as u16);
        }
        self.path.clear();
        self.path.extend_from_slice(path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_below_what_is_no_directory() {
        let mut parents = Parents::default();
        for (path, is_directory) in [("a", true), ("a-b", false), ("a/b", false), ("a/b-c", true), ("a/b-c/d", false)] {
            parents.pass(path.as_bytes(), is_directory).unwrap();
        }
        assert_eq!(parents.pass(b"a/b/c/d", false).unwrap_err().status(), Status::Exists);
        parents.pass(b"a/c/d", false).unwrap();
    }
}
