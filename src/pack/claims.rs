//! What metadata providers find in the files that are read.
//!
//! Readers ask while a file is in memory: a small file lies in its unit's buffer; the windows of a big one, which
//! several readers hold, are put together in a buffer of its own, and whoever brings the last one asks. Who that is
//! depends on timing, what is found does not. A file that is read in turns with others is read once more, whole.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::DataType;

use crate::error::{Error, Result, Status, reserve, zeroed};
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::provider::{ColumnType, MAX_FILE, Provider, ProviderRow, Value};
use crate::sync::{Mutex, OnceCell};

/// What a provider found in one file, packed: the provider's number, then columns and values that are not null.
pub(super) type Found = Vec<u8>;
/// By provider: what its values are collected in.
pub(super) type Rows = Vec<ProviderRow>;

/// Asks the providers. Shared by all readers.
pub(super) struct Claimer {
    providers: Vec<Arc<dyn Provider>>,
    /// Files of several windows that are being put together.
    assemblies: Mutex<HashMap<u32, Arc<Assembly>>>,
}

struct Assembly {
    /// The first provider that wants the file.
    wanted: OnceCell<Result<Option<usize>>>,
    parts: Mutex<Parts>,
}

struct Parts {
    bytes: Vec<u8>,
    missing: u32,
    abandoned: bool,
}

/// A window of a file.
pub(super) struct PartOfFile<'a> {
    /// A number that no other file has.
    pub(super) file: u32,
    /// Windows of the file.
    pub(super) parts: u32,
    /// Where it starts in the file.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
    /// Bytes of the file.
    pub(super) size: u64,
}

impl Claimer {
    pub(super) fn new(providers: &[Arc<dyn Provider>]) -> Claimer {
        Claimer { providers: providers.to_vec(), assemblies: Mutex::default() }
    }

    /// Whether there is nobody to ask.
    pub(super) fn is_idle(&self) -> bool {
        self.providers.is_empty()
    }

    /// A row for each provider, for the use of one reader.
    pub(super) fn rows(&self) -> Rows {
        self.providers.iter().map(|provider| ProviderRow::new(provider.columns())).collect()
    }

    /// Offers a file that is in memory as a whole.
    ///
    /// # Errors
    /// What a provider reports, which ends the job whatever is to be done with files that can't be read.
    pub(super) fn offer(&self, rows: &mut Rows, path: &[u8], bytes: &[u8]) -> Result<Option<Found>> {
        if self.is_idle() || bytes.len() as u64 > MAX_FILE {
            return Ok(None);
        }
        match self.wanted(0, path, bytes.len() as u64)? {
            Some(first) => self.ask(first, rows, path, bytes),
            None => Ok(None),
        }
    }

    /// Takes a window of a file; asks with the last one that is missing.
    pub(super) fn part(&self, rows: &mut Rows, path: &[u8], part: &PartOfFile<'_>) -> Result<Option<Found>> {
        if self.is_idle() || part.size > MAX_FILE {
            return Ok(None);
        }
        let assembly = self.assembly(part.file, part.parts);
        let wanted = assembly.wanted.get_or_init(|| self.wanted(0, path, part.size)).clone()?;
        let mut parts = assembly.parts.lock();
        if wanted.is_some() && !parts.abandoned {
            if parts.bytes.is_empty() {
                parts.bytes = zeroed(part.size as usize)?;
            }
            let start = part.offset as usize;
            if let Some(place) = parts.bytes.get_mut(start..start + part.bytes.len()) {
                place.copy_from_slice(part.bytes);
            }
        }
        parts.missing -= 1;
        if parts.missing > 0 {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut parts.bytes);
        drop(parts);
        self.assemblies.lock().remove(&part.file);
        match wanted {
            Some(first) => self.ask(first, rows, path, &bytes),
            None => Ok(None),
        }
    }

    /// A window of the file, which has so many, can't be read, so that it is left out: nothing more is kept of it.
    pub(super) fn abandon(&self, file: u32, windows: u32) {
        if self.is_idle() {
            return;
        }
        // Also where this is the first window, so that those to come know. Never complete, since this one doesn't come.
        let assembly = self.assembly(file, windows);
        let mut parts = assembly.parts.lock();
        (parts.bytes, parts.abandoned) = (Vec::new(), true);
    }

    fn assembly(&self, file: u32, windows: u32) -> Arc<Assembly> {
        Arc::clone(self.assemblies.lock().entry(file).or_insert_with(|| {
            let parts = Mutex::new(Parts { bytes: Vec::new(), missing: windows, abandoned: false });
            Arc::new(Assembly { wanted: OnceCell::new(), parts })
        }))
    }

    /// The first provider from this number on that wants a file of this path and size.
    pub(super) fn wanted(&self, from: usize, path: &[u8], size: u64) -> Result<Option<usize>> {
        for (number, provider) in self.providers.iter().enumerate().skip(from) {
            if provider.wants(path, size)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Asks the provider that wants the file, and those behind it where it turns out not to be one of its own.
    pub(super) fn ask(&self, first: usize, rows: &mut Rows, path: &[u8], bytes: &[u8]) -> Result<Option<Found>> {
        let mut next = Some(first);
        while let Some(number) = next {
            let provider = &self.providers[number];
            let row = &mut rows[number];
            row.clear();
            if provider.extract(path, bytes, row)? {
                return Ok(Some(pack(number, row)));
            }
            next = self.wanted(number + 1, path, bytes.len() as u64)?;
        }
        Ok(None)
    }
}

/// Provider, number of values, and each value behind the number of its column.
fn pack(provider: usize, row: &ProviderRow) -> Found {
    // Providers and columns are at most as many as a schema has fields.
    let mut packed = Vec::new();
    packed.extend_from_slice(&(provider as u16).to_le_bytes());
    packed.extend_from_slice(&(row.values().count() as u16).to_le_bytes());
    for (column, value) in row.values() {
        packed.extend_from_slice(&(column as u16).to_le_bytes());
        match value {
            Value::Int64(value) => packed.extend_from_slice(&value.to_le_bytes()),
            Value::Float64(value) => packed.extend_from_slice(&value.to_le_bytes()),
            Value::Bytes(value) => {
                packed.extend_from_slice(&(value.len() as u32).to_le_bytes());
                packed.extend_from_slice(value);
            }
        }
    }
    packed
}

/// What was found, by file: 16 bytes and the values for each file that was claimed, nothing for the others.
pub(super) struct Claims {
    columns: Vec<ExtraColumn>,
    /// By provider: its number for `pkg_type`, its first column, and their types.
    providers: Vec<(i8, usize, Vec<ColumnType>)>,
    packed: Vec<u8>,
    /// Numbers of files, and where the values of each start in `packed`.
    files: Vec<(u32, u64)>,
    sorted: bool,
}

/// Columns that are there already and those of providers behind them; and where each of a provider's is.
///
/// # Errors
/// `E_INVALID_ARGUMENT` where one is there already with another type.
pub(super) fn put_behind(old: &[ExtraColumn], own: &[ExtraColumn]) -> Result<(Vec<ExtraColumn>, Vec<usize>)> {
    let mut columns = old.to_vec();
    let mut places = Vec::new();
    for column in own {
        let place = old.iter().position(|other| other.name == column.name);
        match place {
            Some(place) if old[place].data_type == column.data_type => places.push(place),
            Some(_) => {
                let why = format!("the archive has a column {} of another type than the provider's", column.name);
                return Err(Error::new(Status::InvalidArgument, why));
            }
            None => {
                places.push(columns.len());
                columns.push(column.clone());
            }
        }
    }
    Ok((columns, places))
}

/// What stands on a claimed file's row.
pub(super) struct Claim<'a> {
    pub(super) pkg_type: i8,
    first: usize,
    types: &'a [ColumnType],
    packed: &'a [u8],
    count: u16,
}

impl Claims {
    pub(super) fn new(providers: &[Arc<dyn Provider>]) -> Claims {
        let mut claims =
            Claims { columns: Vec::new(), providers: Vec::new(), packed: Vec::new(), files: Vec::new(), sorted: true };
        for provider in providers {
            let types = provider.columns().iter().map(|column| column.column_type).collect();
            claims.providers.push((provider.pkg_type(), claims.columns.len(), types));
            claims.columns.extend(provider.columns().iter().map(|column| ExtraColumn {
                name: column.name.clone(),
                data_type: match column.column_type {
                    ColumnType::Utf8 => DataType::Utf8,
                    ColumnType::Int64 => DataType::Int64,
                    ColumnType::Float64 => DataType::Float64,
                    ColumnType::Binary => DataType::Binary,
                },
            }));
        }
        claims
    }

    /// The columns of all providers.
    pub(super) fn columns(&self) -> &[ExtraColumn] {
        &self.columns
    }

    /// Takes what was found in a file.
    pub(super) fn add(&mut self, file: u32, found: &Found) -> Result<()> {
        // Both grow by a quarter: doubling would hold twice what is needed.
        if self.packed.capacity() - self.packed.len() < found.len() {
            let more = (self.packed.len() / 4).max(found.len()).max(4096);
            reserve(&mut self.packed, more)?;
        }
        if self.files.len() == self.files.capacity() {
            let more = (self.files.len() / 4).max(256);
            reserve(&mut self.files, more)?;
        }
        self.sorted &= self.files.last().is_none_or(|(last, _)| *last < file);
        self.files.push((file, self.packed.len() as u64));
        self.packed.extend_from_slice(found);
        Ok(())
    }

    /// After the last file: brings them in order, so that they can be found.
    pub(super) fn seal(&mut self) {
        if !self.sorted {
            self.files.sort_unstable();
            self.sorted = true;
        }
    }

    /// What was found in a file.
    pub(super) fn get(&self, file: u32) -> Option<Claim<'_>> {
        let at = self.files.binary_search_by_key(&file, |(number, _)| *number).ok()?;
        let mut packed = self.packed.get(self.files[at].1 as usize..)?;
        let (provider, count) = (take_u16(&mut packed)?, take_u16(&mut packed)?);
        let (pkg_type, first, types) = self.providers.get(usize::from(provider))?;
        Some(Claim { pkg_type: *pkg_type, first: *first, types, packed, count })
    }
}

impl<'a> Claim<'a> {
    /// The values, by the numbers of their columns among those of all providers.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, ExtraValue<'a>)> + use<'a> {
        let (first, types, mut packed) = (self.first, self.types, self.packed);
        (0..self.count).map_while(move |_| {
            let column = usize::from(take_u16(&mut packed)?);
            let value = match types.get(column)? {
                ColumnType::Int64 => ExtraValue::Int64(i64::from_le_bytes(*take(&mut packed)?)),
                ColumnType::Float64 => ExtraValue::Float64(f64::from_le_bytes(*take(&mut packed)?)),
                ColumnType::Utf8 | ColumnType::Binary => {
                    let len = u32::from_le_bytes(*take(&mut packed)?) as usize;
                    let (value, rest) = packed.split_at_checked(len)?;
                    packed = rest;
                    ExtraValue::Bytes(value)
                }
            };
            Some((first + column, value))
        })
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

fn take_u16(bytes: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*take(bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ProviderColumn;

    /// Claims files whose bytes begin with its letter; its values are their length, half of it, and their start.
    struct Letter {
        letter: u8,
        columns: Vec<ProviderColumn>,
    }

    fn letter(letter: u8) -> Arc<dyn Provider> {
        let column = |name: &str, column_type| ProviderColumn { name: format!("{name}_{letter}"), column_type };
        let columns = vec![
            column("len", ColumnType::Int64),
            column("unset", ColumnType::Utf8),
            column("half", ColumnType::Float64),
            column("start", ColumnType::Binary),
        ];
        Arc::new(Letter { letter, columns })
    }

    impl Provider for Letter {
        fn name(&self) -> &str {
            "letter"
        }
        fn pkg_type(&self) -> i8 {
            self.letter as i8
        }
        fn columns(&self) -> &[ProviderColumn] {
            &self.columns
        }
        fn wants(&self, path: &[u8], _: u64) -> Result<bool> {
            if path == b"bad" { Err(Error::new(Status::Callback, "bad")) } else { Ok(path != b"unwanted") }
        }
        fn extract(&self, _: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool> {
            row.set_i64(0, bytes.len() as i64)?;
            row.set_f64(2, bytes.len() as f64 / 2.0)?;
            row.set_bytes(3, &bytes[..bytes.len().min(3)])?;
            Ok(bytes.first() == Some(&self.letter))
        }
    }

    fn shown(claims: &Claims, file: u32) -> Option<(i8, Vec<String>)> {
        let claim = claims.get(file)?;
        Some((claim.pkg_type, claim.values().map(|value| format!("{value:?}")).collect()))
    }

    #[test]
    fn first_provider_that_finds_something_claims_the_file() {
        let providers = [letter(b'a'), letter(b'b')];
        let claimer = Claimer::new(&providers);
        let mut claims = Claims::new(&providers);
        assert_eq!(claims.columns().len(), 8);
        for (file, bytes) in [(7, &b"beta"[..]), (2, b"a"), (5, b"c"), (4, b"")] {
            if let Some(found) = claimer.offer(&mut claimer.rows(), b"path", bytes).unwrap() {
                claims.add(file, &found).unwrap();
            }
        }
        claims.seal();
        assert_eq!(claims.get(5).map(|_| ()), None);
        assert_eq!(claims.get(4).map(|_| ()), None);
        let expected = |first: usize, len: usize, start: &[u8]| {
            vec![
                format!("({first}, Int64({len}))"),
                format!("({}, Float64({:?}))", first + 2, len as f64 / 2.0),
                format!("({}, Bytes({start:?}))", first + 3),
            ]
        };
        assert_eq!(shown(&claims, 2), Some((b'a' as i8, expected(0, 1, b"a"))));
        assert_eq!(shown(&claims, 7), Some((b'b' as i8, expected(4, 4, b"bet"))));
        assert!(claimer.offer(&mut claimer.rows(), b"unwanted", b"a").unwrap().is_none());
        assert_eq!(claimer.offer(&mut claimer.rows(), b"bad", b"a").unwrap_err().status(), Status::Callback);
        assert!(claimer.offer(&mut claimer.rows(), b"big", &vec![b'a'; MAX_FILE as usize + 1]).unwrap().is_none());
    }

    #[test]
    fn windows_are_put_together_in_any_order() {
        let claimer = Claimer::new(&[letter(b'a')]);
        let bytes: Vec<u8> = (0..25u8).map(|at| b'a' + at).collect();
        let window = |number: usize| {
            let part = &bytes[number * 10..(number * 10 + 10).min(25)];
            PartOfFile { file: 1, parts: 3, offset: number as u64 * 10, bytes: part, size: 25 }
        };
        let whole = claimer.offer(&mut claimer.rows(), b"path", &bytes).unwrap();
        assert!(whole.is_some());
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let found = order.map(|number| claimer.part(&mut claimer.rows(), b"path", &window(number)).unwrap());
            assert_eq!((&found[0], &found[1]), (&None, &None));
            assert_eq!(found[2], whole);
            assert!(claimer.assemblies.lock().is_empty());
        }
        for number in 0..3 {
            assert_eq!(claimer.part(&mut claimer.rows(), b"unwanted", &window(number)).unwrap(), None);
        }
        assert!(claimer.assemblies.lock().is_empty());
    }

    #[test]
    fn nothing_is_kept_of_a_file_that_is_left_out_whichever_window_fails() {
        for failing in 0..3u32 {
            let claimer = Claimer::new(&[letter(b'a')]);
            for number in 0..3 {
                let part = PartOfFile { file: 1, parts: 3, offset: u64::from(number) * 10, bytes: b"a", size: 25 };
                if number == failing {
                    claimer.abandon(1, 3);
                } else {
                    assert_eq!(claimer.part(&mut claimer.rows(), b"path", &part).unwrap(), None);
                }
            }
            assert_eq!(claimer.assemblies.lock()[&1].parts.lock().bytes.capacity(), 0);
        }
    }
}
