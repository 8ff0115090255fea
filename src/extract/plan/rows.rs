//! Rows of the index into records of the plan.

use crate::archive::WalkedRow;
use crate::archive::filter::Filter;
use crate::error::{Error, Result, Status, printable};
use crate::extract::limits;
use crate::extract::plan::{Open, Plan, file_number};
use crate::extract::records::{Big, Block, Hardlink, NO_BLOCK, PIECE, Piece, Sharing, Slice, Symlink, Target};
use crate::extract::tree::{Node, push};
use crate::extract::untrusted;
use crate::format::codec;
use crate::format::row::{EntryKind, Location};

impl Plan {
    /// Takes a row that the filter means.
    pub(super) fn take(&mut self, row: &WalkedRow<'_>, filter: &Filter) -> Result<()> {
        if row.row.chunk_seq > 0 {
            return match self.open {
                Open::Unwanted => Ok(()),
                _ => self.take_slice(row),
            };
        }
        self.open = Open::Unwanted;
        match self.wanted_path(row, filter)? {
            Some(path) => self.take_entry(row, path),
            None => Ok(()),
        }
    }

    /// Takes an entry's first row; `path` is where it goes.
    pub(super) fn take_entry(&mut self, row: &WalkedRow<'_>, path: &[u8]) -> Result<()> {
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
                let file = self.push_file(node, row.entry)?;
                self.take_first_slice(row, file)?;
            }
            EntryKind::Hardlink => {
                let file = self.push_file(node, row.entry)?;
                match self.file_with_the_bytes_of(row, file) {
                    Some(of) => {
                        push(&mut self.hardlinks, Hardlink { file, of, entry: row.entry, sharing: Sharing::Name })?
                    }
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
        let mut wanted = filter.wants(row.path);
        if wanted && !filter.takes_row(row)? {
            wanted = false;
            if filter.remembers() {
                push(&mut self.refused, row.path.to_vec())?;
            }
        }
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

    fn push_file(&mut self, node: Node, entry: u64) -> Result<u32> {
        let number = self.files.len() as u32;
        if number & PIECE != 0 {
            return Err(Error::new(Status::Limit, "the archive has more than 2,147,483,648 files"));
        }
        push(&mut self.files, node)?;
        if self.numbers_entries {
            push(&mut self.entry_numbers, entry)?;
        }
        Ok(number)
    }

    pub(super) fn take_first_slice(&mut self, row: &WalkedRow<'_>, file: u32) -> Result<()> {
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

    pub(super) fn take_slice(&mut self, row: &WalkedRow<'_>) -> Result<()> {
        match self.open {
            Open::Nowhere | Open::Unwanted => {
                let takes_none = !EntryKind::from_number(row.row.kind).is_some_and(EntryKind::has_bytes);
                if takes_none {
                    return Err(Error::corrupt("index.kind", "an entry of a kind without bytes has some"));
                }
                self.check_codec(row)
            }
            Open::Whole => Err(Error::corrupt("index.slice", "the file has more slices than bytes")),
            Open::Big => {
                let big = self.bigs.len().checked_sub(1).map_or(0, |big| big as u32);
                let number = self.pieces.len() as u32;
                if number & PIECE != 0 {
                    return Err(Error::new(Status::Limit, "the archive has more than 2,147,483,648 slices"));
                }
                self.check_codec(row)?;
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
        self.check_codec(row)?;
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

    fn check_codec(&self, row: &WalkedRow<'_>) -> Result<()> {
        row.row.location.map_or(Ok(()), |at| self.codecs.check(at.codec))
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
