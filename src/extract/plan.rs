//! What is to be done, from one walk over the index, before anything is written.
//!
//! What spans segments is checked on the way ([`StructureWalk`]), and what this version can't restore is refused.
//! Slices are grouped by block, in the order in which the blocks lie in the archive. A record is 24 bytes a file and
//! 48 a slice, so that a million files of ordinary names take some 90 MB.

mod arrange;
mod rows;
mod walk;

use std::collections::HashMap;

use crate::archive::Archive;
use crate::archive::filter::Filter;
use crate::error::Result;
use crate::extract::duplicates::Duplicates;
use crate::extract::failures::Failures;
use crate::extract::limits::Guard;
use crate::extract::records::{Big, Block, Hardlink, Piece, Slice, Symlink, Target};
use crate::extract::settings::Settings;
use crate::extract::survey::Standing;
use crate::extract::tree::{Node, Tree};
use crate::format::row::Codecs;
use crate::progress::Reporter;

/// Everything that is restored.
pub(super) struct Plan {
    /// Names and directories.
    pub(super) tree: Tree,
    /// Files and hard links, in the order of their paths.
    pub(super) files: Vec<Node>,
    /// Slices, in the order of their blocks, and within a block of their paths.
    pub(super) slices: Vec<Slice>,
    /// Slices that are a part of a file.
    pub(super) pieces: Vec<Piece>,
    /// Files of several slices or with holes.
    pub(super) bigs: Vec<Big>,
    /// Blobs, in the order in which they lie in the archive.
    pub(super) blocks: Vec<Block>,
    /// Numbers of the files' entries; empty where nobody needs them.
    pub(super) entry_numbers: Vec<u64>,
    /// Hard links, and duplicates that are made like them: those whose bytes are those of a file before
    /// them.
    pub(super) hardlinks: Vec<Hardlink>,
    /// Symbolic links.
    pub(super) symlinks: Vec<Symlink>,
    /// FIFOs.
    pub(super) fifos: Vec<Node>,
    /// Directories that have an entry.
    pub(super) directories: u64,
    /// Devices and sockets, which are left out.
    pub(super) left_out: u64,
    /// Their names.
    pub(super) others: Vec<Node>,
    /// What becomes of each file whose name is taken; empty where nobody looked.
    pub(super) standing: Vec<Standing>,
    /// Links and FIFOs that stand as they should.
    pub(super) standing_links: Vec<Node>,
    /// Entries that are to be restored, those that are left out for their kind included.
    pub(super) entries: u64,
    /// Paths in the archive that the host's function left out, in order; empty where that doesn't matter.
    refused: Vec<Vec<u8>>,
    numbers_entries: bool,
    /// The components that are taken off the front of every path.
    stripped: Vec<u8>,
    block_numbers: HashMap<u64, u32>,
    /// What blobs may be.
    codecs: Codecs,
    /// What the options allow of an archive.
    guard: Guard,
    /// Where the slices of the entry that is being walked go.
    open: Open,
}

#[derive(Clone, Copy)]
enum Open {
    /// Nowhere: the entry is not restored.
    Unwanted,
    /// Nowhere: they are those of the file that a hard link is of, or the entry takes none.
    Nowhere,
    /// To the last file, which one slice makes up.
    Whole,
    /// To the last big file.
    Big,
}

impl Plan {
    /// Walks the index, as far as the filter may want something of it.
    ///
    /// # Errors
    /// `E_CORRUPT` for what breaks a rule, `E_UNSUPPORTED` for kinds and codecs of later versions, `E_LIMIT` and
    /// `E_UNSAFE_PATH` for what the options don't allow; all name the entry.
    pub(super) fn new(
        archive: &Archive,
        settings: &Settings,
        failures: &Failures,
        reporter: &mut Reporter,
    ) -> Result<Plan> {
        let filter = &settings.filter;
        let mut plan = Plan::empty(settings, archive.codecs());
        let read = archive.manifest().segments.iter().filter(|part| filter.reads(part));
        let index = read.fold(0u64, |sum, part| sum.saturating_add(part.raw_len.max(part.len)));
        settings.limits.check_index(index, archive.size())?;
        plan.walk(archive, filter, failures, settings.threads, Some(reporter), |plan, row| plan.take(row, filter))?;
        if plan.entries == 0 {
            filter.found_nothing()?;
        }
        plan.group()?;
        plan.check_ratio(archive)?;
        Ok(plan)
    }

    /// One entry alone, under another name. A hard link is the file that it is a name of, a directory has nothing in it.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and `E_INVALID_ARGUMENT` for a number that no entry has.
    pub(super) fn of_entry(archive: &Archive, index: u64, name: &[u8], settings: &Settings) -> Result<Plan> {
        let mut plan = Plan::empty(settings, archive.codecs());
        plan.walk_entry(archive, index, |plan, row| match row.row.chunk_seq {
            0 => plan.take_entry(row, name),
            _ => plan.take_slice(row),
        })?;
        plan.group()?;
        plan.check_ratio(archive)?;
        Ok(plan)
    }

    fn check_ratio(&self, archive: &Archive) -> Result<()> {
        let decoded = self.blocks.iter().map(|block| u64::from(block.block_size)).sum();
        self.guard.check_ratio(decoded, archive.size())
    }

    fn empty(settings: &Settings, codecs: Codecs) -> Plan {
        Plan {
            tree: Tree::new(),
            files: Vec::new(),
            slices: Vec::new(),
            pieces: Vec::new(),
            bigs: Vec::new(),
            blocks: Vec::new(),
            entry_numbers: Vec::new(),
            hardlinks: Vec::new(),
            symlinks: Vec::new(),
            fifos: Vec::new(),
            directories: 0,
            left_out: 0,
            others: Vec::new(),
            standing: Vec::new(),
            standing_links: Vec::new(),
            entries: 0,
            refused: Vec::new(),
            numbers_entries: settings.duplicates != Duplicates::Copies,
            stripped: Vec::new(),
            block_numbers: HashMap::new(),
            codecs,
            guard: Guard::new(settings.limits),
            open: Open::Nowhere,
        }
    }

    /// Makes the slices those of these hard links, so that they can be written as files of their own.
    pub(super) fn take_hardlinks(
        &mut self,
        archive: &Archive,
        filter: &Filter,
        failures: &Failures,
        links: &[Hardlink],
    ) -> Result<()> {
        self.slices.clear();
        self.pieces.clear();
        self.bigs.clear();
        self.blocks.clear();
        let mut links = links.iter().peekable();
        self.walk(archive, filter, failures, 1, None, |plan, row| {
            while links.next_if(|link| link.entry < row.entry).is_some() {}
            match links.peek().filter(|link| link.entry == row.entry) {
                Some(link) if row.row.chunk_seq == 0 => plan.take_first_slice(row, link.file),
                Some(_) => plan.take_slice(row),
                None => {
                    plan.open = Open::Nowhere;
                    Ok(())
                }
            }
        })?;
        self.group()
    }

    /// The path in the archive of something in the destination.
    pub(super) fn archive_path(&self, path: &[u8]) -> Vec<u8> {
        if self.stripped.is_empty() { path.to_vec() } else { [&self.stripped[..], b"/", path].concat() }
    }

    /// Whether the host's function left out the entry with this path in the archive.
    pub(super) fn is_refused(&self, path: &[u8]) -> bool {
        self.refused.binary_search_by(|refused| refused.as_slice().cmp(path)).is_ok()
    }

    /// What of the archive a file is written from, if it was surveyed.
    pub(super) fn standing(&self, file: u32) -> Standing {
        self.standing.get(file as usize).copied().unwrap_or(Standing::Write)
    }

    /// The file that a slice belongs to.
    pub(super) fn file_of(&self, slice: &Slice) -> &Node {
        &self.files[self.file_number(slice) as usize]
    }

    /// Its number.
    pub(super) fn file_number(&self, slice: &Slice) -> u32 {
        file_number(slice, &self.pieces, &self.bigs)
    }
}

fn file_number(slice: &Slice, pieces: &[Piece], bigs: &[Big]) -> u32 {
    match slice.target() {
        Target::File(file) => file,
        Target::Piece(piece) => bigs[pieces[piece as usize].big as usize].file,
    }
}
