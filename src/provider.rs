//! Metadata providers: the host finds values in the bytes of files, and they stand in columns of the index.
//!
//! Packing offers each file to the providers in the order in which they were added, while its bytes are in memory.
//! The first one that wants it and finds something claims it: its number stands in `pkg_type` and its values in its
//! own columns. Everything else is null there.

use std::sync::Arc;

use crate::error::{Error, Result, Status};
use crate::format::ipc_guard::MAX_FIELDS;
use crate::format::manifest::SECTION_TYPE;
use crate::format::schema::{INDEX, RESERVED};

/// Files of more bytes are not offered.
pub const MAX_FILE: u64 = 64 << 20;
/// Most bytes of text and binary values that a provider gives one file, all columns together.
pub const MAX_ROW: usize = 256 << 10;
/// Most bytes of the name of a column or of a provider.
pub const MAX_NAME: usize = 255;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ColumnType {
    /// Text in UTF-8.
    Utf8 = 1,
    /// Signed numbers of 64 bits.
    Int64 = 2,
    /// Floating point numbers of 64 bits.
    Float64 = 3,
    /// Any bytes.
    Binary = 4,
}

impl ColumnType {
    /// The type with this number.
    pub fn from_number(number: u32) -> Option<ColumnType> {
        use ColumnType::*;
        [Utf8, Int64, Float64, Binary].into_iter().find(|known| *known as u32 == number)
    }
}

/// A column that a provider fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderColumn {
    /// Its name in the index.
    pub name: String,
    /// What it holds.
    pub column_type: ColumnType,
}

/// Finds values in the bytes of files. Called by the threads that read, by several at a time.
pub trait Provider: Send + Sync {
    /// What errors call it.
    fn name(&self) -> &str;

    /// What stands in `pkg_type` of the files that it claims; not -128.
    fn pkg_type(&self) -> i8;

    /// The columns that it fills.
    fn columns(&self) -> &[ProviderColumn];

    /// Whether the bytes of the file with this path in the archive are to be looked at.
    fn wants(&self, path: &[u8], size: u64) -> Result<bool>;

    /// Whether a job that begins on this thread may call it.
    ///
    /// # Errors
    /// `E_BUSY` inside one of its own calls where calls take turns: the job would wait for that one forever.
    fn check_reentry(&self) -> Result<()> {
        Ok(())
    }

    /// Looks at all bytes of a file and fills `row`; `false` where the file isn't one of its own after all.
    fn extract(&self, path: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool>;
}

/// Checks a provider against what the index holds without it, and against those that were added before.
pub(crate) fn check_provider(provider: &dyn Provider, before: &[Arc<dyn Provider>]) -> Result<()> {
    let name = provider.name();
    let refuse = |why: String| Err(Error::new(Status::InvalidArgument, why));
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return refuse(format!("the name of a provider must have 1 to {MAX_NAME} bytes and no NUL byte"));
    }
    if provider.pkg_type() == SECTION_TYPE {
        return refuse(format!("provider {name}: pkg_type {SECTION_TYPE} is reserved"));
    }
    let others: usize = before.iter().map(|other| other.columns().len()).sum();
    if INDEX.len() + others + provider.columns().len() > MAX_FIELDS {
        return refuse(format!("provider {name}: the index would have over {MAX_FIELDS} columns"));
    }
    for (number, column) in provider.columns().iter().enumerate() {
        let column = column.name.as_str();
        if column.is_empty() || column.len() > MAX_NAME || column.contains('\0') {
            return refuse(format!(
                "provider {name}: the name of column {number} must have 1 to {MAX_NAME} bytes and no NUL byte"
            ));
        }
        // Query engines take `Name` and `name` for one.
        let same = |other: &str| other.eq_ignore_ascii_case(column);
        if INDEX.iter().any(|fixed| same(fixed.name)) || column.to_ascii_lowercase().starts_with(RESERVED) {
            return refuse(format!("provider {name}: the column name {column} is taken by the index itself"));
        }
        let mine = provider.columns()[..number].iter();
        if before.iter().flat_map(|other| other.columns()).chain(mine).any(|other| same(&other.name)) {
            return refuse(format!("provider {name}: there is a column {column} already"));
        }
    }
    Ok(())
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Of a column of type Int64.
    Int64(i64),
    /// Of a column of type Float64.
    Float64(f64),
    /// Of a column of type Utf8 or Binary.
    Bytes(&'a [u8]),
}

#[derive(Clone, Copy, Debug)]
enum Cell {
    Null,
    Int64(i64),
    Float64(f64),
    /// A range of [`ProviderRow::arena`].
    Bytes(usize, usize),
}

/// The values of one file, while its provider looks at it: null until they are set.
#[derive(Clone, Debug)]
pub struct ProviderRow {
    types: Vec<ColumnType>,
    cells: Vec<Cell>,
    /// The bytes of all values, and of values that were replaced.
    arena: Vec<u8>,
    /// Bytes of values that stand.
    bytes: usize,
}

impl ProviderRow {
    /// Nulls for these columns.
    pub fn new(columns: &[ProviderColumn]) -> ProviderRow {
        let types: Vec<ColumnType> = columns.iter().map(|column| column.column_type).collect();
        ProviderRow { cells: vec![Cell::Null; types.len()], types, arena: Vec::new(), bytes: 0 }
    }

    /// Nulls again. Keeps its memory for the next file.
    pub fn clear(&mut self) {
        self.cells.fill(Cell::Null);
        self.arena.clear();
        self.bytes = 0;
    }

    /// Sets a number.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT` for a column that isn't there or has another type; so do the other setters.
    pub fn set_i64(&mut self, column: usize, value: i64) -> Result<()> {
        self.expect(column, |found| found == ColumnType::Int64)?;
        self.replace(column, Cell::Int64(value));
        Ok(())
    }

    /// Sets a floating point number.
    pub fn set_f64(&mut self, column: usize, value: f64) -> Result<()> {
        self.expect(column, |found| found == ColumnType::Float64)?;
        self.replace(column, Cell::Float64(value));
        Ok(())
    }

    /// Sets text, which must be UTF-8, or bytes.
    ///
    /// # Errors
    /// `E_LIMIT` too, where the row would have over [`MAX_ROW`] bytes.
    pub fn set_bytes(&mut self, column: usize, value: &[u8]) -> Result<()> {
        let found = self.expect(column, |found| matches!(found, ColumnType::Utf8 | ColumnType::Binary))?;
        if found == ColumnType::Utf8 && std::str::from_utf8(value).is_err() {
            return Err(Error::new(Status::InvalidArgument, format!("the text for column {column} is not UTF-8")));
        }
        let held = match self.cells.get(column) {
            Some(Cell::Bytes(_, len)) => *len,
            _ => 0,
        };
        if value.len() > MAX_ROW - (self.bytes - held) {
            return Err(Error::new(Status::Limit, format!("the values of a file take over {MAX_ROW} bytes")));
        }
        self.replace(column, Cell::Null);
        if self.arena.len() + value.len() > 2 * MAX_ROW {
            self.pack_arena();
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(value);
        self.replace(column, Cell::Bytes(start, value.len()));
        Ok(())
    }

    /// Makes a value null again.
    pub fn set_null(&mut self, column: usize) -> Result<()> {
        self.expect(column, |_| true)?;
        self.replace(column, Cell::Null);
        Ok(())
    }

    /// The values that are not null, by column.
    pub fn values(&self) -> impl Iterator<Item = (usize, Value<'_>)> {
        self.cells.iter().enumerate().filter_map(|(column, cell)| {
            Some((
                column,
                match *cell {
                    Cell::Null => return None,
                    Cell::Int64(value) => Value::Int64(value),
                    Cell::Float64(value) => Value::Float64(value),
                    Cell::Bytes(start, len) => Value::Bytes(&self.arena[start..start + len]),
                },
            ))
        })
    }

    fn expect(&self, column: usize, fits: impl FnOnce(ColumnType) -> bool) -> Result<ColumnType> {
        match self.types.get(column) {
            Some(found) if fits(*found) => Ok(*found),
            Some(found) => {
                Err(Error::new(Status::InvalidArgument, format!("column {column} holds values of type {found:?}")))
            }
            None => {
                let why = format!("there is no column {column}: the provider has {}", self.types.len());
                Err(Error::new(Status::InvalidArgument, why))
            }
        }
    }

    fn replace(&mut self, column: usize, cell: Cell) {
        let len = |cell: &Cell| if let Cell::Bytes(_, len) = cell { *len } else { 0 };
        if let Some(place) = self.cells.get_mut(column) {
            self.bytes = self.bytes - len(place) + len(&cell);
            *place = cell;
        }
    }

    /// Drops the bytes of values that were replaced.
    fn pack_arena(&mut self) {
        let mut packed = Vec::with_capacity(self.bytes);
        for cell in &mut self.cells {
            if let Cell::Bytes(start, len) = cell {
                let from = std::mem::replace(start, packed.len());
                packed.extend_from_slice(&self.arena[from..from + *len]);
            }
        }
        self.arena = packed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        name: &'static str,
        pkg_type: i8,
        columns: Vec<ProviderColumn>,
    }

    impl Provider for Fixed {
        fn name(&self) -> &str {
            self.name
        }
        fn pkg_type(&self) -> i8 {
            self.pkg_type
        }
        fn columns(&self) -> &[ProviderColumn] {
            &self.columns
        }
        fn wants(&self, _: &[u8], _: u64) -> Result<bool> {
            Ok(true)
        }
        fn extract(&self, _: &[u8], _: &[u8], _: &mut ProviderRow) -> Result<bool> {
            Ok(true)
        }
    }

    fn columns(names: &[&str]) -> Vec<ProviderColumn> {
        let column = |name: &&str| ProviderColumn { name: (*name).to_owned(), column_type: ColumnType::Utf8 };
        names.iter().map(column).collect()
    }

    fn provider(name: &'static str, pkg_type: i8, names: &[&str]) -> Arc<dyn Provider> {
        Arc::new(Fixed { name, pkg_type, columns: columns(names) })
    }

    #[test]
    fn column_names_clash_with_nothing() {
        let before = [provider("first", 1, &["crate", "Version"])];
        let verdict = |names: &[&str]| check_provider(&*provider("second", 2, names), &before);
        verdict(&["license", "größe"]).unwrap();
        for bad in ["relative_path", "KIND", "repo", "version", "__znippy_x", "__ZNIPPY", "", "a\0b"] {
            assert_eq!(verdict(&["fine", bad]).unwrap_err().status(), Status::InvalidArgument, "{bad:?}");
        }
        assert!(verdict(&["twice", "TWICE"]).is_err());
        assert!(verdict(&[&"x".repeat(256)]).is_err());
        let many: Vec<String> = (0..MAX_FIELDS).map(|number| format!("c{number}")).collect();
        assert!(verdict(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
    }

    #[test]
    fn names_and_numbers_are_checked() {
        check_provider(&*provider("least", -127, &[]), &[]).unwrap();
        assert!(check_provider(&*provider("section", -128, &["c"]), &[]).is_err());
        assert!(check_provider(&*provider("", 1, &["c"]), &[]).is_err());
    }

    #[test]
    fn values_have_the_type_of_their_column() {
        let mut wanted = columns(&["text", "number", "real", "bytes"]);
        for (column, column_type) in
            wanted.iter_mut().zip([ColumnType::Utf8, ColumnType::Int64, ColumnType::Float64, ColumnType::Binary])
        {
            column.column_type = column_type;
        }
        let mut row = ProviderRow::new(&wanted);
        assert_eq!(row.values().count(), 0);
        row.set_bytes(0, "ä".as_bytes()).unwrap();
        row.set_i64(1, -1).unwrap();
        row.set_f64(2, 0.5).unwrap();
        row.set_bytes(3, b"\xFF").unwrap();
        let wrong = [
            row.set_bytes(0, b"\xFF"),
            row.set_i64(0, 1),
            row.set_f64(1, 1.0),
            row.set_bytes(2, b""),
            row.set_i64(3, 1),
            row.set_i64(4, 1),
            row.set_null(usize::MAX),
        ];
        assert!(wrong.iter().all(|result| result.as_ref().unwrap_err().status() == Status::InvalidArgument));
        row.set_null(1).unwrap();
        let values: Vec<_> = row.values().collect();
        assert_eq!(values, [(0, Value::Bytes("ä".as_bytes())), (2, Value::Float64(0.5)), (3, Value::Bytes(b"\xFF"))]);
    }

    #[test]
    fn bytes_of_a_row_are_bounded_however_often_they_are_set() {
        let mut row = ProviderRow::new(&columns(&["a", "b"]));
        let half = vec![b'x'; MAX_ROW / 2];
        for _ in 0..9 {
            row.set_bytes(0, &half).unwrap();
            row.set_bytes(1, &half).unwrap();
            assert!(row.arena.len() <= 2 * MAX_ROW);
        }
        assert!(row.values().all(|(_, value)| value == Value::Bytes(&half)));
        assert_eq!(row.set_bytes(1, &vec![b'x'; MAX_ROW / 2 + 1]).unwrap_err().status(), Status::Limit);
        row.set_null(0).unwrap();
        row.set_bytes(1, &vec![b'x'; MAX_ROW]).unwrap();
        row.clear();
        assert_eq!(row.values().count(), 0);
    }
}
