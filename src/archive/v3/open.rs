//! From the footer to an index in memory.

use crate::archive::source::Source;
use crate::archive::v3::labels::Labels;
use crate::archive::v3::order::{Order, Pick};
use crate::error::{Error, Result, Status, zeroed};
use crate::format::container::{FOOTER_LEN, footer_alone, read_u64};
use crate::format::manifest::Manifest;
use crate::format::schema::VERSION_KEY;
use crate::format::v3::columns::{self, Rows};
use crate::format::v3::manifest::{self, Part};
use crate::format::v3::sections::{self, Deltas, FsKind, FsMeta, Meta};
use crate::format::v3::{MAX_INDEX, VERSION};
use crate::options::{Key, Options};

/// The index of an open archive of version 3.
pub(in crate::archive) struct Index {
    /// Data, batch by batch.
    pub(super) rows: Vec<Rows>,
    /// Which part each batch is of.
    pub(super) part_of: Vec<usize>,
    pub(super) parts: Vec<Part>,
    pub(super) fsmeta: Vec<FsMeta>,
    /// Modes of files that have one of their own: batch and record of `fsmeta`, in order of path.
    pub(super) modes: Vec<Pick>,
    pub(super) default_mode: Option<u32>,
    /// Slices that are deltas, in order.
    pub(super) deltas: Vec<(Vec<u8>, u32)>,
    pub(super) labels: Labels,
    pub(super) order: Order,
    /// Blobs end before this offset.
    pub(super) payload_end: u64,
    /// Bytes of the longest slice.
    pub(super) longest: u64,
    /// Bytes of all parts, sections and the manifest.
    pub(super) index_size: u64,
}

/// Whether a file ends as those of versions before 4 do. `tail` is its end.
pub(in crate::archive) fn is_version_3(tail: &[u8]) -> bool {
    footer_alone(tail).is_some()
}

impl Index {
    /// Reads and sorts the index; also makes the manifest that version 4 would have.
    pub(in crate::archive) fn open(source: &dyn Source, tail: &[u8], options: &Options) -> Result<(Index, Manifest)> {
        let offset = footer_alone(tail).ok_or_else(|| Error::corrupt("footer.magic", "the footer is missing"))?;
        let range = manifest::range(offset, source.size())?;
        let bytes = read(source, range.start, range.end.saturating_sub(range.start))?;
        let parts = manifest::decode(bytes, offset)?;
        let mut loader = Loader { source, left: budget(options), used: range.end.saturating_sub(range.start) };
        let (data, private): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(Part::is_data);
        let (mut rows, mut part_of) = (Vec::new(), Vec::new());
        for (number, part) in data.iter().enumerate() {
            let batches = columns::decode(loader.load(part)?)?;
            if batches.iter().map(|batch| batch.len() as u64).sum::<u64>() != part.rows {
                return Err(Error::corrupt("index.rows", "a part has another number of rows than its manifest row"));
            }
            part_of.extend(batches.iter().map(|_| number));
            rows.extend(batches);
        }
        let mut section = |name: &str| -> Result<Vec<Vec<u8>>> {
            let named = private.iter().filter(|part| part.module_name == name);
            named.map(|part| loader.load(part)).collect()
        };
        let fsmeta = flat(section(sections::FSMETA)?, FsMeta::decode)?;
        let meta = flat(section(sections::META)?, Meta::decode)?;
        let deltas = flat(section(sections::DELTA)?, Deltas::decode)?;
        let index_size = loader.used.saturating_add(FOOTER_LEN);
        let order = Order::new(&rows, &fsmeta)?;
        let mut deltas: Vec<(Vec<u8>, u32)> =
            deltas.iter().flat_map(|batch| batch.keys().map(|(path, seq)| (path.as_bytes().to_vec(), seq))).collect();
        deltas.sort_unstable();
        let longest = rows.iter().flat_map(|batch| (0..batch.len()).map(|i| batch.get(i).size)).max().unwrap_or(0);
        let mut index = Index {
            labels: Labels::new(&rows, meta)?,
            rows,
            part_of,
            parts: data,
            modes: file_modes(&fsmeta),
            default_mode: default_mode(&fsmeta),
            fsmeta,
            deltas,
            order,
            payload_end: offset,
            longest,
            index_size,
        };
        let mut manifest =
            Manifest { segments: index.order.take_segments(&index.rows, &index.fsmeta)?, ..Manifest::default() };
        manifest.metadata.extend(index.labels.of_archive());
        manifest.metadata.insert(VERSION_KEY.into(), VERSION.into());
        Ok((index, manifest))
    }

    /// Bytes of the longest slice.
    pub(in crate::archive) fn longest_slice(&self) -> u64 {
        self.longest
    }

    /// Bytes of everything that is no blob.
    pub(in crate::archive) fn index_size(&self) -> u64 {
        self.index_size
    }

    /// Slices, those without bytes included.
    pub(in crate::archive) fn slices(&self) -> u64 {
        self.rows.iter().map(|batch| batch.len() as u64).sum()
    }

    /// Columns of packages and metadata, and those that have no one type.
    pub(in crate::archive) fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// What of the index may be read into memory: nothing of it is compressed, so it is as big as it says.
fn budget(options: &Options) -> u64 {
    match options.get(Key::MemoryLimit) {
        0 => MAX_INDEX,
        limit => limit.unsigned_abs().min(MAX_INDEX),
    }
}

struct Loader<'a> {
    source: &'a dyn Source,
    left: u64,
    used: u64,
}

impl Loader<'_> {
    fn load(&mut self, part: &Part) -> Result<Vec<u8>> {
        self.left = self.left.checked_sub(part.len).ok_or_else(|| {
            let why = "the archive's index, which is read as a whole, is over the memory limit";
            Error::refused(Status::Limit, "limit.index", why)
        })?;
        self.used = self.used.saturating_add(part.len);
        read(self.source, part.offset, part.len)
    }
}

fn read(source: &dyn Source, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = zeroed(usize::try_from(len).map_err(|_| Error::new(Status::Limit, "the index is too big"))?)?;
    source.read_exact_at(offset, &mut bytes)?;
    Ok(bytes)
}

fn flat<T>(streams: Vec<Vec<u8>>, decode: fn(Vec<u8>) -> Result<Vec<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for stream in streams {
        all.extend(decode(stream)?);
    }
    Ok(all)
}

fn picks(fsmeta: &[FsMeta], kind: FsKind) -> impl Iterator<Item = Pick> {
    let of_batch = move |(batch, records): (usize, &FsMeta)| {
        let picks: Vec<Pick> =
            (0..records.len()).filter(|i| records.kind(*i) == kind).map(|i| Pick::new(batch, i)).collect();
        picks
    };
    fsmeta.iter().enumerate().flat_map(of_batch)
}

fn file_modes(fsmeta: &[FsMeta]) -> Vec<Pick> {
    let mut modes: Vec<Pick> = picks(fsmeta, FsKind::File).collect();
    let path_of = |pick: &Pick| fsmeta.get(pick.batch()).map(|records| records.path(pick.row()));
    modes.sort_by(|a, b| path_of(a).cmp(&path_of(b)));
    modes
}

fn default_mode(fsmeta: &[FsMeta]) -> Option<u32> {
    picks(fsmeta, FsKind::DefaultMode).find_map(|pick| fsmeta.get(pick.batch())?.mode(pick.row()))
}

/// Why a file without a footer is no archive, as far as its end tells: versions before 0.7 had no magic, and a writer
/// that was stopped leaves blobs alone.
pub(in crate::archive) fn without_footer(source: &dyn Source, tail: &[u8], error: Error) -> Error {
    let Some(at) = tail.len().checked_sub(8).map(|at| read_u64(tail, at)) else { return error };
    let mut start = [0; 8];
    let is_stream = at < source.size().saturating_sub(16)
        && source.read_exact_at(at, &mut start).is_ok()
        && matches!(start, [0xFF, 0xFF, 0xFF, 0xFF, rest @ ..] if rest != [0; 4]);
    if is_stream {
        let why = "an archive of znippy 0.6 or before, which this library doesn't read; pack it again with a later one";
        return Error::refused(Status::Version, "footer.version", why);
    }
    error
}
