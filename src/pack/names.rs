//! Many paths in little memory: a path is a directory's number and a name, and each directory's path stands
//! once. A million files of ordinary names take some 25 MB.

use std::collections::HashMap;

use crate::error::{Result, reserve};
use crate::format::path;

/// A name in a directory; 12 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// Where the name starts in the arena, in units of bytes; 40 bits would do, 48 are there.
    start: [u8; 6],
    length: u8,
    _spare: u8,
    /// The directory's number.
    pub(super) directory: u32,
}

/// Names and directories.
#[derive(Default)]
pub(super) struct Names {
    arena: Vec<u8>,
    directories: Vec<(u64, u32)>,
    numbers: HashMap<Box<[u8]>, u32>,
    last: Option<(Box<[u8]>, u32)>,
}

impl Names {
    /// No names; directory 0 is the root, whose path is empty.
    pub(super) fn new() -> Names {
        Names { directories: vec![(0, 0)], ..Names::default() }
    }

    /// Takes up a path that keeps the rules of [`path::check`].
    pub(super) fn add(&mut self, full: &[u8]) -> Result<Name> {
        let (directory, name) = path::split(full);
        let directory = self.directory_number(directory)?;
        let start = self.store(name)?;
        let mut packed = [0; 6];
        packed.copy_from_slice(&start.to_le_bytes()[..6]);
        Ok(Name { start: packed, length: name.len() as u8, _spare: 0, directory })
    }

    /// The name without its directory.
    pub(super) fn name(&self, name: Name) -> &[u8] {
        let mut start = [0; 8];
        start[..6].copy_from_slice(&name.start);
        let start = u64::from_le_bytes(start) as usize;
        &self.arena[start..start + usize::from(name.length)]
    }

    /// The path of a directory; empty for the root.
    pub(super) fn directory(&self, number: u32) -> &[u8] {
        let (start, length) = self.directories[number as usize];
        &self.arena[start as usize..start as usize + length as usize]
    }

    /// Whether this is the whole path.
    pub(super) fn is(&self, name: Name, full: &[u8]) -> bool {
        let (directory, last) = path::split(full);
        self.name(name) == last && self.directory(name.directory) == directory
    }

    /// The paths of all directories, the empty one of the root among them.
    pub(super) fn directories(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.directories.len()).map(|number| self.directory(number as u32))
    }

    /// Writes the whole path into `buffer`.
    pub(super) fn path<'a>(&self, name: Name, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        buffer.clear();
        self.append_path(name, buffer);
        buffer
    }

    /// Writes the whole path behind what `buffer` holds.
    pub(super) fn append_path(&self, name: Name, buffer: &mut Vec<u8>) {
        let directory = self.directory(name.directory);
        if !directory.is_empty() {
            buffer.extend_from_slice(directory);
            buffer.push(b'/');
        }
        buffer.extend_from_slice(self.name(name));
    }

    /// The whole path as a new vector.
    pub(super) fn to_path(&self, name: Name) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.path(name, &mut buffer);
        buffer
    }

    /// Whole paths, byte by byte.
    pub(super) fn compare(&self, a: Name, b: Name) -> std::cmp::Ordering {
        if a.directory == b.directory {
            return self.name(a).cmp(self.name(b));
        }
        compare(self.parts(a), self.parts(b))
    }

    /// A whole path and another one that isn't held here.
    pub(super) fn compare_with(&self, name: Name, other: &[u8]) -> std::cmp::Ordering {
        compare(self.parts(name), [other, b"", b""])
    }

    fn parts(&self, name: Name) -> [&[u8]; 3] {
        let directory = self.directory(name.directory);
        [directory, if directory.is_empty() { b"" } else { b"/" }, self.name(name)]
    }

    fn directory_number(&mut self, directory: &[u8]) -> Result<u32> {
        if directory.is_empty() {
            return Ok(0);
        }
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| **last == *directory) {
            return Ok(*number);
        }
        let number = match self.numbers.get(directory) {
            Some(number) => *number,
            None => {
                let start = self.store(directory)?;
                let number = self.directories.len() as u32;
                self.directories.push((start, directory.len() as u32));
                self.numbers.insert(directory.into(), number);
                number
            }
        };
        self.last = Some((directory.into(), number));
        Ok(number)
    }

    fn store(&mut self, bytes: &[u8]) -> Result<u64> {
        let start = self.arena.len();
        if self.arena.capacity() - start < bytes.len() {
            // Grows by an eighth: doubling would hold twice what a million entries need.
            reserve(&mut self.arena, (start / 8).max(bytes.len()).max(64 << 10))?;
        }
        self.arena.extend_from_slice(bytes);
        Ok(start as u64)
    }
}

/// Two paths that are given in parts. By whole parts, since byte by byte this was most of sorting a tree.
fn compare(a: [&[u8]; 3], b: [&[u8]; 3]) -> std::cmp::Ordering {
    let ([mut left, a @ ..], [mut right, b @ ..]) = (a, b);
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    loop {
        while let (true, Some(next)) = (left.is_empty(), a.as_slice().first()) {
            left = next;
            a.next();
        }
        while let (true, Some(next)) = (right.is_empty(), b.as_slice().first()) {
            right = next;
            b.next();
        }
        let len = left.len().min(right.len());
        if len == 0 {
            return left.len().cmp(&right.len());
        }
        match left[..len].cmp(&right[..len]) {
            std::cmp::Ordering::Equal => (left, right) = (&left[len..], &right[len..]),
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_and_compare_byte_by_byte() {
        let paths: &[&[u8]] =
            &[b"a", b"a-b", b"a/b", b"a/b/c", b"a/b-c", b"b", b"\xff/x", b"a/b/c/d", b"a/b/cc", b"aa/b", b"a/bb/c"];
        let mut names = Names::new();
        let taken: Vec<Name> = paths.iter().map(|path| names.add(path).expect("memory")).collect();
        for (i, path) in paths.iter().enumerate() {
            assert_eq!(names.to_path(taken[i]), *path);
            for (j, other) in paths.iter().enumerate() {
                assert_eq!(names.compare(taken[i], taken[j]), path.cmp(other));
                assert_eq!(names.compare_with(taken[i], other), path.cmp(other));
            }
        }
    }
}
