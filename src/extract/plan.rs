//! What is to be done, from one walk over the index, before anything is written.
//!
//! What spans segments is checked on the way ([`StructureWalk`]), and what this version can't restore is refused.
//! Slices are grouped by block, in the order in which the blocks lie in the archive. A record is 24 bytes a file and
//! 48 a slice, so that a million files of ordinary names take some 90 MB.

mod arrange;

use std::collections::HashMap;

use crate::archive::{Archive, StructureWalk, WalkedRow};
use crate::error::{Error, Result, Status, printable};
use crate::extract::failures::Failures;
use crate::extract::filter::Filter;
use crate::extract::limits::{self, Guard};
use crate::extract::records::{Big, Block, Hardlink, NO_BLOCK, PIECE, Piece, Slice, Symlink, Target};
use crate::extract::settings::Settings;
use crate::extract::survey::Standing;
use crate::extract::tree::{Node, Tree, push};
use crate::extract::untrusted;
use crate::format::codec;
use crate::format::manifest::Part;
use crate::format::row::{CODEC_STORED, CODEC_ZSTD, EntryKind, Location};
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
    /// Hard links whose bytes are those of a file before them.
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
    /// The components that are taken off the front of every path.
    stripped: Vec<u8>,
    block_numbers: HashMap<u64, u32>,
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
        let mut plan = Plan {
            tree: Tree::new(),
            files: Vec::new(),
            slices: Vec::new(),
            pieces: Vec::new(),
            bigs: Vec::new(),
            blocks: Vec::new(),
            hardlinks: Vec::new(),
            symlinks: Vec::new(),
            fifos: Vec::new(),
            directories: 0,
            left_out: 0,
            others: Vec::new(),
            standing: Vec::new(),
            standing_links: Vec::new(),
            entries: 0,
            stripped: Vec::new(),
            block_numbers: HashMap::new(),
            guard: Guard::new(settings.limits),
            open: Open::Nowhere,
        };
        let read = archive.manifest().segments.iter().filter(|part| filter.reads(part));
        let index = read.fold(0u64, |sum, part| sum.saturating_add(part.raw_len.max(part.len)));
        settings.limits.check_index(index, archive.size())?;
        plan.walk(archive, filter, failures, Some(reporter), |plan, row| plan.take(row, filter))?;
        if plan.entries == 0 {
            filter.found_nothing()?;
        }
        plan.group()?;
        let decoded = plan.blocks.iter().map(|block| u64::from(block.block_size)).sum();
        plan.guard.check_ratio(decoded, archive.size())?;
        Ok(plan)
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
        self.walk(archive, filter, failures, None, |plan, row| {
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

    /// Calls `visit` for each row of the segments that the filter may want something of.
    fn walk(
        &mut self,
        archive: &Archive,
        filter: &Filter,
        failures: &Failures,
        mut reporter: Option<&mut Reporter>,
        mut visit: impl FnMut(&mut Plan, &WalkedRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut walk = StructureWalk::new();
        let mut expected = 0;
        for (number, part) in archive.manifest().segments.iter().enumerate() {
            // The slices of a big file may go on in a segment that holds nothing else of interest.
            let goes_on = number == expected && matches!(self.open, Open::Big);
            if !goes_on && !filter.reads(part) {
                continue;
            }
            if let Some(reporter) = &mut reporter {
                reporter.tick(None)?;
            }
            if number != expected {
                walk.skip_to(part.first_entry);
            }
            expected = number + 1;
            let segment = match archive.load_segment(number) {
                Ok(segment) => segment,
                Err(error) => {
                    // On the second walk the loss was noted already.
                    if reporter.is_some() || !failures.keep_going() {
                        self.lose_segment(part, error, failures)?;
                    }
                    expected = number;
                    continue;
                }
            };
            walk.segment(&segment, |row| match visit(self, row) {
                Err(error) if error.status() == Status::Unsupported && failures.keep_going() => {
                    self.lose_entry(error.with_entry(row.path), failures)
                }
                result => result.map_err(|error| error.with_entry(row.path)),
            })?;
            if let Some(reporter) = &mut reporter {
                reporter.counters().add(segment.entries() as u64, 0);
            }
        }
        Ok(())
    }

    /// The path in the archive of something in the destination.
    pub(super) fn archive_path(&self, path: &[u8]) -> Vec<u8> {
        if self.stripped.is_empty() { path.to_vec() } else { [&self.stripped[..], b"/", path].concat() }
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

    /// Goes on without a segment that can't be read.
    fn lose_segment(&mut self, part: &Part, error: Error, failures: &Failures) -> Result<()> {
        if !failures.keep_going() {
            return Err(error);
        }
        if let (Open::Big, Some(big)) = (self.open, self.bigs.last()) {
            let end = self.pieces.last().map_or(0, |piece| piece.offset)
                + self.slices.last().map_or(0, |slice| u64::from(slice.size));
            let goes_on = part.rows > part.entries && end < big.size;
            if goes_on {
                let why = "its further slices stand in an index segment that is damaged";
                let node = self.files[big.file as usize];
                self.lose_entry(self.tree.named(&node, Error::new(error.status(), why)), failures)?;
            }
        }
        self.open = Open::Unwanted;
        let last = printable(&part.last_path);
        let why = format!("{error}: this and all up to '{last}' are lost, {} entries", part.entries);
        failures.note(part.entries, Error::new(error.status(), why).with_entry(&part.first_path))
    }

    /// Takes back what there is of the entry that is being walked.
    fn lose_entry(&mut self, error: Error, failures: &Failures) -> Result<()> {
        if let Open::Big = self.open
            && let Some(big) = self.bigs.pop()
        {
            self.pieces.truncate(self.pieces.len() - big.slices as usize);
            self.slices.truncate(self.slices.len() - big.slices as usize);
        }
        self.open = Open::Unwanted;
        failures.note(1, error)
    }

    fn take(&mut self, row: &WalkedRow<'_>, filter: &Filter) -> Result<()> {
        if row.row.chunk_seq > 0 {
            return match self.open {
                Open::Unwanted => Ok(()),
                _ => self.take_slice(row),
            };
        }
        self.open = Open::Unwanted;
        let Some(path) = self.wanted_path(row, filter)? else { return Ok(()) };
        self.open = Open::Nowhere;
        self.entries += 1;
        let Some(kind) = EntryKind::from_number(row.row.kind) else {
            return Err(Error::refused(
                Status::Unsupported,
                "index.kind.unknown",
                format!("the entry's kind ({}) is not known to this version", row.row.kind),
            ));
        };
        let attributes = row.row.attributes.unwrap_or_default();
        self.guard.admit(path, kind, row)?;
        let known = self.tree.directories().len();
        let node = self.tree.add(path, kind, &attributes)?;
        self.check_new_names(known, &node, kind)?;
        match kind {
            EntryKind::Directory => self.directories += 1,
            EntryKind::File => {
                let file = self.push_file(node)?;
                self.take_first_slice(row, file)?;
            }
            EntryKind::Hardlink => {
                let file = self.push_file(node)?;
                match self.file_with_the_bytes_of(row, file) {
                    Some(of) => push(&mut self.hardlinks, Hardlink { file, of, entry: row.entry })?,
                    None => self.take_first_slice(row, file)?,
                }
            }
            EntryKind::Symlink => {
                let target = self.tree.store(attributes.link_target.unwrap_or_default())?;
                push(&mut self.symlinks, Symlink { node, target })?;
            }
            EntryKind::Fifo => push(&mut self.fifos, node)?,
            EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Socket => {
                self.left_out += 1;
                push(&mut self.others, node)?;
            }
        }
        Ok(())
    }

    /// The path that an entry is restored under; `None` where it isn't.
    fn wanted_path<'r>(&mut self, row: &WalkedRow<'r>, filter: &Filter) -> Result<Option<&'r [u8]>> {
        let wanted = filter.wants(row.path);
        let is_directory = EntryKind::from_number(row.row.kind) == Some(EntryKind::Directory);
        if !wanted && !is_directory {
            return Ok(None);
        }
        let Some((front, path)) = filter.split(row.path) else { return Ok(None) };
        if front != self.stripped {
            if self.entries > 0 && wanted {
                let (one, other) = (printable(&self.stripped), printable(front));
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!("strip-components would mix what is in '{one}' and in '{other}'; choose one by a prefix"),
                ));
            }
            if self.entries > 0 {
                return Ok(None);
            }
            self.stripped = front.to_vec();
            self.tree.forget_aside();
        }
        if !wanted {
            self.tree.set_aside(path, &row.row.attributes.unwrap_or_default());
        }
        Ok(wanted.then_some(path))
    }

    /// Looks at the directories from number `known` on, and at the entry, which have just become part of the tree.
    fn check_new_names(&mut self, known: usize, node: &Node, kind: EntryKind) -> Result<()> {
        let made_up = self.tree.directories().len() as u64 - 1 - self.directories;
        let itself = u64::from(kind == EntryKind::Directory);
        self.guard.check_count(self.entries + made_up - itself)?;
        let tree = &self.tree;
        let others = (kind != EntryKind::Directory).then_some(node);
        for new in tree.directories()[known..].iter().chain(others) {
            let name = tree.name(new);
            if !self.guard.may_collide(new.directory, name) {
                continue;
            }
            let files = self.files.iter().chain(tree.directories()).chain(self.symlinks.iter().map(|link| &link.node));
            let twin = files
                .filter(|node| node.directory == new.directory && tree.name(node) != name)
                .find(|node| untrusted::folded(tree.name(node)) == untrusted::folded(name));
            if let Some(twin) = twin {
                return Err(limits::collision(tree.path(twin, &mut Vec::new())));
            }
        }
        Ok(())
    }

    fn push_file(&mut self, node: Node) -> Result<u32> {
        let number = self.files.len() as u32;
        if number & PIECE != 0 {
            return Err(Error::new(Status::Limit, "the archive has more than 2,147,483,648 files"));
        }
        push(&mut self.files, node)?;
        Ok(number)
    }

    fn take_first_slice(&mut self, row: &WalkedRow<'_>, file: u32) -> Result<()> {
        let attributes = row.row.attributes.unwrap_or_default();
        let size = attributes.file_size.unwrap_or(0);
        // Without a hash of its own the file is this one slice; the segment's check made sure of that.
        let Some(hash) = attributes.file_hash else {
            self.open = Open::Whole;
            return self.push_slice(row, file);
        };
        self.open = Open::Big;
        push(&mut self.bigs, Big { file, size, slices: 0, hash })?;
        self.take_slice(row)
    }

    fn take_slice(&mut self, row: &WalkedRow<'_>) -> Result<()> {
        match self.open {
            Open::Nowhere | Open::Unwanted => {
                let takes_none = !EntryKind::from_number(row.row.kind).is_some_and(EntryKind::has_bytes);
                if takes_none {
                    return Err(Error::corrupt("index.kind", "an entry of a kind without bytes has some"));
                }
                check_codec(row)
            }
            Open::Whole => Err(Error::corrupt("index.slice", "the file has more slices than bytes")),
            Open::Big => {
                let big = self.bigs.len().checked_sub(1).map_or(0, |big| big as u32);
                let number = self.pieces.len() as u32;
                if number & PIECE != 0 {
                    return Err(Error::new(Status::Limit, "the archive has more than 2,147,483,648 slices"));
                }
                check_codec(row)?;
                push(&mut self.pieces, Piece { big, offset: row.row.offset })?;
                self.push_slice(row, PIECE | number)?;
                if let Some(big) = self.bigs.last_mut() {
                    big.slices += 1;
                }
                Ok(())
            }
        }
    }

    fn push_slice(&mut self, row: &WalkedRow<'_>, target: u32) -> Result<()> {
        check_codec(row)?;
        // Blocks are at most 64 MiB, so what lies in one fits 32 bits.
        let (block, block_offset) = match &row.row.location {
            Some(at) => (self.block_number(at)?, at.block_offset as u32),
            None => (NO_BLOCK, 0),
        };
        push(
            &mut self.slices,
            Slice { target, block, block_offset, size: row.row.size as u32, checksum: row.row.checksum },
        )
    }

    fn block_number(&mut self, at: &Location) -> Result<u32> {
        let blob_size =
            u32::try_from(at.blob_size).ok().filter(|size| *size as usize <= codec::bound(at.block_size as usize));
        let blob_size = blob_size
            .ok_or_else(|| Error::corrupt("index.blob", "the slice's blob is larger than its block can need"))?;
        let number = match self.block_numbers.get(&at.blob_offset) {
            Some(number) => *number,
            None => {
                let number = self.blocks.len() as u32;
                let block =
                    Block { blob_offset: at.blob_offset, blob_size, block_size: at.block_size as u32, codec: at.codec };
                push(&mut self.blocks, block)?;
                self.block_numbers.insert(at.blob_offset, number);
                number
            }
        };
        let block = self.blocks[number as usize].location();
        if (Location { block_offset: at.block_offset, ..block }) != *at {
            return Err(Error::corrupt("index.blob", "two slices contradict each other about their blob"));
        }
        Ok(number)
    }

    /// The file before this hard link that it names and that has the same bytes. Where there is none, the link's
    /// own rows say what it holds, and it becomes a file of its own.
    fn file_with_the_bytes_of(&self, row: &WalkedRow<'_>, file: u32) -> Option<u32> {
        let attributes = row.row.attributes?;
        let mut target = attributes.link_target?;
        if !self.stripped.is_empty() {
            target = target.strip_prefix(self.stripped.as_slice())?.strip_prefix(b"/")?;
        }
        let mut buffer = Vec::new();
        let before = &self.files[..file as usize];
        let at = before.binary_search_by(|node| self.tree.path(node, &mut buffer).cmp(target)).ok()? as u32;
        match attributes.file_hash {
            Some(hash) => {
                let big = &self.bigs[self.bigs.binary_search_by_key(&at, |big| big.file).ok()?];
                (big.size == attributes.file_size? && big.hash == hash).then_some(at)
            }
            None => {
                let key = |slice: &Slice| file_number(slice, &self.pieces, &self.bigs);
                let slice = &self.slices[self.slices.binary_search_by_key(&at, key).ok()?];
                let same = matches!(slice.target(), Target::File(_))
                    && u64::from(slice.size) == row.row.size
                    && slice.checksum == row.row.checksum;
                same.then_some(at)
            }
        }
    }
}

fn file_number(slice: &Slice, pieces: &[Piece], bigs: &[Big]) -> u32 {
    match slice.target() {
        Target::File(file) => file,
        Target::Piece(piece) => bigs[pieces[piece as usize].big as usize].file,
    }
}

fn check_codec(row: &WalkedRow<'_>) -> Result<()> {
    match row.row.location.map(|at| at.codec) {
        None | Some(CODEC_STORED | CODEC_ZSTD) => Ok(()),
        Some(codec) => Err(Error::refused(
            Status::Unsupported,
            "index.codec.unknown",
            format!("the entry's codec ({codec}) is not known to this version"),
        )),
    }
}
