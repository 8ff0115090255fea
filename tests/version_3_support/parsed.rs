//! An archive of version 3 taken apart, changed, and put together again with all offsets right, so that a reader gets as
//! far as to the change.

use std::io::Cursor;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int8Type, UInt32Type, UInt64Type};
use arrow::ipc::reader::StreamReader;
use znippy::format::hash::hash;

use super::Dice;
use super::craft::{self, Slice};

/// A section that is no data.
#[derive(Clone)]
pub struct Section {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Rows of one data part, batch by batch.
#[derive(Clone, Default)]
pub struct Part {
    pub repo: String,
    pub batches: Vec<Vec<Slice>>,
}

#[derive(Clone)]
pub struct Parsed {
    pub blobs: Vec<u8>,
    pub parts: Vec<Part>,
    pub sections: Vec<Section>,
}

fn batches(bytes: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(Cursor::new(bytes), None).unwrap().map(Result::unwrap).collect()
}

impl Parsed {
    pub fn new(bytes: &[u8]) -> Parsed {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let footer = number(bytes.len() - 8);
        let (mut parts, mut sections, mut blobs_end) = (Vec::new(), Vec::new(), footer);
        for batch in batches(&bytes[footer..bytes.len() - 16]) {
            let column = |name: &str| batch.column_by_name(name).unwrap().clone();
            let (types, offsets, lens) = (column("pkg_type"), column("index_offset"), column("index_len"));
            let (repos, names) = (column("repo"), column("module_name"));
            for row in 0..batch.num_rows() {
                let at = offsets.as_primitive::<UInt64Type>().value(row) as usize;
                let stream = &bytes[at..at + lens.as_primitive::<UInt64Type>().value(row) as usize];
                blobs_end = blobs_end.min(at);
                if types.as_primitive::<Int8Type>().value(row) == -128 {
                    let name = names.as_string::<i32>().value(row).to_owned();
                    sections.push(Section { name, bytes: stream.to_vec() });
                } else {
                    let repo = repos.as_string::<i32>().value(row).to_owned();
                    parts.push(Part { repo, batches: batches(stream).iter().map(slices).collect() });
                }
            }
        }
        // Appending leaves blobs behind older parts; those are blobs too, as far as rows say so.
        let rows = parts.iter().flat_map(|part| part.batches.iter().flatten());
        let last = rows.filter(|row| row.blob.1 > 0).map(|row| (row.blob.0 + row.blob.1) as usize).max();
        Parsed { blobs: bytes[..blobs_end.max(last.unwrap_or(0))].to_vec(), parts, sections }
    }

    /// The bytes of a row's blob.
    pub fn blob(&self, row: &Slice) -> &[u8] {
        &self.blobs[row.blob.0 as usize..(row.blob.0 + row.blob.1) as usize]
    }

    pub fn rows(&mut self) -> Vec<&mut Slice> {
        self.parts.iter_mut().flat_map(|part| part.batches.iter_mut().flatten()).collect()
    }

    fn row_count(&self) -> usize {
        self.parts.iter().flat_map(|part| &part.batches).map(Vec::len).sum()
    }

    /// What changes nothing of the tree: other orders, other parts, other places, other slices.
    pub fn rearrange(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.roll(3) {
            match dice.roll(7) {
                0 => dice.shuffle(&mut self.parts),
                1 => dice.shuffle(&mut self.sections),
                2 => self.parts.iter_mut().flat_map(|part| &mut part.batches).for_each(|rows| dice.shuffle(rows)),
                3 => self.cut_parts(dice),
                4 => self.glue_parts(),
                5 => self.move_blobs(dice),
                _ => self.cut_slices(dice),
            }
        }
    }

    fn cut_parts(&mut self, dice: &mut Dice) {
        let mut cut = Vec::new();
        for part in self.parts.drain(..) {
            let mut rows: Vec<Slice> = part.batches.into_iter().flatten().collect();
            while !rows.is_empty() {
                let mut made = Part { repo: part.repo.clone(), batches: Vec::new() };
                for _ in 0..=dice.roll(3) {
                    let count = dice.roll(rows.len() + 1);
                    made.batches.push(rows.split_off(rows.len() - count));
                }
                cut.push(made);
            }
        }
        self.parts = cut;
        if self.parts.len() > 40 {
            self.glue_parts();
        }
    }

    fn glue_parts(&mut self) {
        let mut glued: Vec<Part> = Vec::new();
        for part in self.parts.drain(..) {
            match glued.iter_mut().find(|before| before.repo == part.repo) {
                Some(before) => before.batches.extend(part.batches),
                None => glued.push(part),
            }
        }
        self.parts = glued;
    }

    /// Copies all blobs to other places, in another order, with dead bytes between.
    fn move_blobs(&mut self, dice: &mut Dice) {
        let old = std::mem::take(&mut self.blobs);
        let mut new = Vec::new();
        let mut rows = self.rows();
        dice.shuffle(&mut rows);
        for row in rows {
            new.resize(new.len() + dice.roll(3) * dice.roll(40), 0xA5);
            let blob = &old[row.blob.0 as usize..(row.blob.0 + row.blob.1) as usize];
            row.blob.0 = new.len() as u64;
            new.extend_from_slice(blob);
        }
        self.blobs = new;
    }

    /// Cuts stored slices in two, each with a checksum of its own.
    fn cut_slices(&mut self, dice: &mut Dice) {
        for _ in 0..1 + dice.roll(4) {
            let choice = dice.roll(self.row_count());
            let Some(row) = self.rows().into_iter().nth(choice).map(|row| row.clone()) else { return };
            if row.compressed || row.size < 2 || row.checksum.is_none() {
                continue;
            }
            let at = 1 + dice.roll(row.size as usize - 1) as u64;
            let (first, second) = self.blob(&row).split_at(at as usize);
            let sums = (Some(hash(first)), Some(hash(second)));
            let tail = Slice {
                seq: row.seq + 1,
                offset: row.offset + at,
                size: row.size - at,
                blob: (row.blob.0 + at, row.blob.1 - at),
                checksum: sums.1,
                ..row.clone()
            };
            for later in self.rows().into_iter().filter(|later| later.path == row.path && later.seq > row.seq) {
                later.seq += 1;
            }
            let same = |other: &&mut Slice| other.path == row.path && other.seq == row.seq;
            if let Some(head) = self.rows().into_iter().find(same) {
                *head = Slice { size: at, blob: (row.blob.0, at), checksum: sums.0, ..row.clone() };
            }
            let part = dice.roll(self.parts.len());
            self.parts[part].batches.push(vec![tail]);
        }
    }

    /// What a broken writer or a hostile hand may do to rows. A path keeps its checksum: who changes both makes another
    /// tree, which is no damage that a reader could see. Says whether rows went, so that files may end early.
    pub fn spoil(&mut self, dice: &mut Dice) -> bool {
        let mut rows_went = false;
        for _ in 0..=dice.roll(3) {
            let count = self.row_count();
            if count == 0 {
                break;
            }
            let (one, other) = (dice.roll(count), dice.roll(count));
            let small = dice.roll(9) as u64;
            let huge = [1 << 20, 1 << 30, (1 << 30) + 1, 1 << 40, 1 << 63, u64::MAX - 1, u64::MAX][dice.roll(7)];
            let value = if dice.roll(3) == 0 { huge } else { small };
            let blobs = self.blobs.len() as u64;
            let mut rows = self.rows();
            let taken = rows[other].clone();
            let row = &mut rows[one];
            match dice.roll(14) {
                0 => {
                    rows[other].blob = std::mem::replace(&mut rows[one].blob, taken.blob);
                }
                1 => row.blob.0 = row.blob.0.wrapping_add(value),
                2 => row.blob.0 = row.blob.0.wrapping_sub(value),
                3 => row.blob.1 = row.blob.1.wrapping_add(value),
                4 => row.blob.1 = row.blob.1.wrapping_sub(value),
                5 => row.size = row.size.wrapping_add(value),
                6 => row.size = if dice.roll(2) == 0 { 0 } else { row.size.wrapping_sub(value) },
                7 => row.offset = row.offset.wrapping_add(value),
                8 => row.seq = row.seq.wrapping_add(small as u32),
                9 => row.compressed = !row.compressed,
                10 => row.checksum = if dice.roll(2) == 0 { None } else { Some([0; 32]) },
                11 => row.blob = (dice.roll(blobs as usize + 1) as u64, taken.blob.1),
                12 => self.parts[0].batches.push(vec![taken]),
                _ => {
                    rows_went = true;
                    let part = dice.roll(self.parts.len());
                    for rows in &mut self.parts[part].batches {
                        let count = dice.roll(3).min(rows.len());
                        rows.truncate(rows.len() - count);
                    }
                }
            }
        }
        if dice.roll(8) == 0 && !self.sections.is_empty() {
            let section = dice.roll(self.sections.len());
            let (other, bytes) = (dice.roll(self.sections.len()), &mut self.sections[section].bytes);
            bytes.truncate(dice.roll(bytes.len() + 1));
            let taken = self.sections[other].bytes.clone();
            self.sections[section].bytes.extend(taken);
        }
        rows_went
    }

    pub fn craft(&self) -> craft::Archive {
        let mut made = craft::Archive { bytes: self.blobs.clone(), ..craft::Archive::default() };
        for part in &self.parts {
            let batches: Vec<Vec<Slice>> = if part.batches.is_empty() { vec![vec![]] } else { part.batches.clone() };
            made.data(&part.repo, &batches, true);
        }
        for section in &self.sections {
            made.part(-128, "", &section.name, &section.bytes, 0);
        }
        made
    }
}

fn slices(batch: &RecordBatch) -> Vec<Slice> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let number = |name: &str, row: usize| column(name).as_primitive::<UInt64Type>().value(row);
    let checksums = column("checksum").as_fixed_size_binary();
    let slice = |row: usize| Slice {
        path: column("relative_path").as_string::<i32>().value(row).to_owned(),
        seq: column("chunk_seq").as_primitive::<UInt32Type>().value(row),
        offset: number("fdata_offset", row),
        compressed: column("compressed").as_boolean().value(row),
        size: number("uncompressed_size", row),
        blob: (number("blob_offset", row), number("blob_size", row)),
        checksum: checksums.is_valid(row).then(|| checksums.value(row).try_into().unwrap()),
    };
    (0..batch.num_rows()).map(slice).collect()
}
