//! What a job did, whole: the report that every job fills and every front end prints.

/// Counts and sizes of one finished (or stopped) job. Sizes are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Entries of every kind.
    pub entries: u64,
    /// Regular files, hard links not counted.
    pub files: u64,
    /// Files none of whose bytes are compressed.
    pub files_stored: u64,
    /// Files some or all of whose bytes are compressed.
    pub files_compressed: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Hard links beyond the first name of a file.
    pub hardlinks: u64,
    /// FIFOs, devices and sockets that are recorded.
    pub specials: u64,
    /// Slices: runs of file bytes, the rows of the index.
    pub slices: u64,
    /// Blocks: what is compressed as one unit.
    pub blocks: u64,
    /// Files whose bytes another file of the archive has already.
    pub duplicate_files: u64,
    /// Bytes that duplicates did not cost.
    pub duplicate_bytes: u64,
    /// Entries left out and named: by `on-error` and `max-file-size` when packing, devices and sockets when restoring.
    /// What globs and ignore files leave out is not counted: nobody looks at it.
    pub skipped: u64,
    /// Entries that failed.
    pub failed: u64,
    /// Original bytes of all files, holes and duplicates included.
    pub bytes_in: u64,
    /// Bytes of the archive (packing) or bytes written (extraction).
    pub bytes_out: u64,
    /// Original bytes of blocks that are stored as they are.
    pub bytes_stored: u64,
    /// Original bytes of blocks that are compressed.
    pub bytes_compressed_in: u64,
    /// What the compressed blocks take in the archive.
    pub bytes_compressed_out: u64,
    /// Bytes of holes, which take no room.
    pub bytes_holes: u64,
    /// Bytes of index, sections, manifest and frame.
    pub bytes_index: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Entries that were not written: they stood as they should, or the options keep what was there.
    pub kept: u64,
    /// Names that were deleted because the archive doesn't have them.
    pub pruned: u64,
    /// Names that extraction made, directories included.
    pub created: u64,
    /// Files, links and FIFOs that took the place of others.
    pub replaced: u64,
    /// Entries that verification found nothing to check by: archives of version 3 may lack checksums.
    pub unverified: u64,
}

impl Stats {
    /// Adds what a later step of an extraction did.
    pub(crate) fn add_written(&mut self, more: &Stats) {
        self.files += more.files;
        self.hardlinks += more.hardlinks;
        self.duplicate_files += more.duplicate_files;
        self.duplicate_bytes += more.duplicate_bytes;
        self.slices += more.slices;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.created += more.created;
        self.replaced += more.replaced;
    }

    /// Counts a name that was made, or what took the place of something else.
    pub(crate) fn count_made(&mut self, replaced: bool) {
        if replaced { self.replaced += 1 } else { self.created += 1 }
    }

    /// Original bytes by archive bytes: 3.0 means a third of the size. 0 where nothing was written.
    pub fn ratio(&self) -> f64 {
        if self.bytes_out == 0 { 0.0 } else { self.bytes_in as f64 / self.bytes_out as f64 }
    }
}
