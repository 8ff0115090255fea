//! One entry: its rows from what the sequencer knows of its bytes and the tree of its attributes.

use crate::error::{Error, Result, Status};
use crate::format::extra::ExtraValue;
use crate::format::hash::{Digest, hash};
use crate::format::row::{Attributes, CODEC_STORED, EntryKind, Location, Row};
use crate::pack::claims::Claim;
use crate::pack::finish::{IndexWriter, Packed, Places, count};
use crate::pack::policy::Policy;
use crate::pack::scan::{NO_MODE, NO_MTIME, Record, Tree};
use crate::pack::sequence::{FileContent, Slice};
use crate::pack::xattrs::XattrTable;
use crate::stats::Stats;

/// One entry on its way into the index.
pub(super) struct Entry<'a> {
    pub(super) tree: &'a Tree,
    pub(super) packed: &'a Packed<'a>,
    pub(super) xattrs: &'a XattrTable,
    pub(super) policy: Policy,
    pub(super) record: &'a Record,
    pub(super) number: u32,
    pub(super) path: &'a [u8],
    /// For a hard link: the first path of its group.
    pub(super) target: Option<&'a [u8]>,
    /// Package type and repo.
    pub(super) labels: (Option<i8>, &'a str),
    /// What a metadata provider found in it.
    pub(super) claim: Option<Claim<'a>>,
    pub(super) places: &'a Places,
}

impl Entry<'_> {
    pub(super) fn write(&self, file: u32, writer: &mut IndexWriter<'_>, stats: &mut Stats) -> Result<()> {
        let record = self.record;
        let kind = if self.target.is_some() { EntryKind::Hardlink } else { record.kind };
        count(Some(kind), stats);
        let mut attributes = self.attributes(kind);
        if !kind.has_bytes() {
            return writer.push(&self.row(kind, 0, 0, None, [0; 32], Some(attributes)), self.values());
        }
        stats.bytes_in += record.size;
        match self.packed.sequencer.content(file) {
            FileContent::Empty => {
                writer.push(&self.row(kind, 0, 0, None, hash(&[]), Some(attributes)), self.values())?;
                stats.files_stored += u64::from(kind == EntryKind::File);
            }
            FileContent::One(slice) => {
                stats.slices += 1;
                self.count_codec(kind, &[slice], stats);
                writer.push(&self.row(kind, 0, 0, Some(slice), slice.checksum, Some(attributes)), self.values())?;
            }
            FileContent::Many(slices, whole) => {
                attributes.file_hash = Some(whole);
                stats.slices += slices.len() as u64;
                let all: Vec<&Slice> =
                    slices.iter().map(|(_, number)| self.packed.sequencer.slices.get(*number)).collect();
                self.count_codec(kind, &all, stats);
                let held: u64 = all.iter().map(|slice| u64::from(slice.len)).sum();
                stats.bytes_holes += record.size - held;
                if slices.is_empty() {
                    writer.push(&self.row(kind, 0, 0, None, hash(&[]), Some(attributes)), self.values())?;
                }
                for (seq, ((offset, _), slice)) in slices.iter().zip(all).enumerate() {
                    let seq = u32::try_from(seq).map_err(|_| {
                        Error::new(Status::Limit, "the file has over four billion slices").with_entry(self.path)
                    })?;
                    let attributes = (seq == 0).then_some(attributes);
                    let values = self.values().take(if seq == 0 { usize::MAX } else { 0 });
                    writer.push(&self.row(kind, seq, *offset, Some(slice), slice.checksum, attributes), values)?;
                }
            }
        }
        Ok(())
    }

    fn values(&self) -> impl Iterator<Item = (usize, ExtraValue<'_>)> {
        let claimed = self.claim.iter().flat_map(Claim::values);
        let carried = self.packed.carried.values(self.number);
        let claimed = claimed.map(|(column, value)| (self.places.claimed[column], value));
        claimed.chain(carried.map(|(column, value)| (self.places.carried[column], value)))
    }

    fn row<'b>(
        &'b self,
        kind: EntryKind,
        chunk_seq: u32,
        offset: u64,
        slice: Option<&Slice>,
        checksum: Digest,
        attributes: Option<Attributes<'b>>,
    ) -> Row<'b> {
        let location = slice.map(|slice| {
            let written = &self.packed.written[slice.block as usize];
            Location {
                blob_offset: written.blob.offset,
                blob_size: written.blob.stored,
                block_offset: u64::from(slice.start),
                block_size: written.blob.decoded,
                codec: written.codec,
            }
        });
        let size = slice.map_or(0, |slice| u64::from(slice.len));
        Row { path: self.path, chunk_seq, offset, size, checksum, kind: kind as u8, location, attributes }
    }

    fn attributes(&self, kind: EntryKind) -> Attributes<'_> {
        let record = self.record;
        let extra = self.tree.extra(record);
        Attributes {
            // The mode of a symbolic link means nothing and differs between systems.
            mode: (kind != EntryKind::Symlink && record.mode != NO_MODE)
                .then(|| self.policy.mode(record.kind, u32::from(record.mode))),
            mtime_ns: Some(self.policy.mtime(record.mtime_ns)).filter(|mtime| *mtime != NO_MTIME),
            uid: extra.and_then(|extra| extra.uid),
            gid: extra.and_then(|extra| extra.gid),
            link_target: match kind {
                EntryKind::Symlink => extra.map(|extra| extra.target.as_slice()),
                _ => self.target,
            },
            file_size: kind.has_bytes().then_some(record.size),
            xattr_id: extra.and_then(|extra| extra.xattrs.as_ref()).and_then(|set| self.xattrs.number(set)),
            rdev: extra.and_then(|extra| extra.rdev),
            pkg_type: self.labels.0,
            repo: Some(self.labels.1).filter(|repo| !repo.is_empty()),
            ..Attributes::default()
        }
    }

    fn count_codec(&self, kind: EntryKind, slices: &[&Slice], stats: &mut Stats) {
        if kind != EntryKind::File {
            return;
        }
        let stored = |slice: &&Slice| self.packed.written[slice.block as usize].codec == CODEC_STORED;
        if slices.iter().all(stored) { stats.files_stored += 1 } else { stats.files_compressed += 1 }
    }
}
