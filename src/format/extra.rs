//! Columns behind the fixed ones: what metadata providers found, and whatever an archive had that is appended to.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::array::{BinaryBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_schema::{DataType, Field};

use super::interleave::interleave;
use crate::error::{Error, Result, Status};

/// Most bytes that the numbers of one row take in all extra columns together.
const MAX_ROW_WIDTH: usize = 1 << 20;
/// Most bytes of a row's additional columns, which together with what a segment has before stay below its limit.
const MAX_ROW_BYTES: usize = 32 << 20;
/// Arrays that values are held in before they are copied together, so that few values don't keep much in memory.
const MAX_HELD: usize = 8;

/// A column by name, with its type; always nullable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraColumn {
    /// The name; no fixed column has it.
    pub name: String,
    /// One of the flat types that the format allows.
    pub data_type: DataType,
}

impl ExtraColumn {
    /// The field of a schema.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), true)
    }
}

/// A value of an extra column.
#[derive(Clone, Copy, Debug)]
pub enum ExtraValue<'a> {
    /// Of a column of type Int64.
    Int64(i64),
    /// Of a column of type Float64.
    Float64(f64),
    /// Of a column of type Utf8 or Binary.
    Bytes(&'a [u8]),
    /// One of an array of the column's type, which may be null there.
    Of(&'a ArrayRef, usize),
}

/// These rows of a column, in an array that holds nothing else.
pub fn compact(column: &ArrayRef, rows: &[usize]) -> Result<ArrayRef> {
    let mut picks = Vec::new();
    crate::error::reserve(&mut picks, rows.len())?;
    picks.extend(rows.iter().map(|row| (0, *row)));
    interleave(column.data_type(), std::slice::from_ref(column), &picks)
}

/// Collects the values of one segment.
#[derive(Default)]
pub(super) struct ExtraBuilder {
    columns: Vec<Column>,
    /// Bytes of numbers and offsets a row.
    width: usize,
    rows: usize,
}

struct Column {
    data_type: DataType,
    own: Own,
    own_len: usize,
    /// Arrays of others; in `picks` they count from 1.
    held: Vec<ArrayRef>,
    /// For each row: which array, and where in it.
    picks: Vec<(usize, usize)>,
}

/// Values that are made here.
enum Own {
    Utf8(StringBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Binary(BinaryBuilder),
    /// Nothing but nulls.
    Other(usize),
}

impl ExtraBuilder {
    /// # Errors
    /// `E_LIMIT` where a row of nulls alone would take over 1 MiB.
    pub(super) fn new(columns: &[ExtraColumn]) -> Result<ExtraBuilder> {
        let width = columns.iter().fold(0usize, |sum, column| sum.saturating_add(width(&column.data_type)));
        if width > MAX_ROW_WIDTH {
            return Err(Error::new(Status::Limit, "the additional columns of the index take over 1 MiB a row"));
        }
        let columns = columns.iter().map(|column| Column::new(column.data_type.clone())).collect();
        Ok(ExtraBuilder { columns, width, rows: 0 })
    }

    /// Adds a row; null where there is no value. Returns the bytes that it takes in the segment, rounded up.
    pub(super) fn push<'a>(&mut self, values: impl IntoIterator<Item = (usize, ExtraValue<'a>)>) -> Result<usize> {
        let mut bytes = self.width;
        for (number, value) in values {
            let column = self.columns.get_mut(number).filter(|column| column.picks.len() == self.rows);
            let more = column.ok_or_else(|| internal("a value for no column"))?.push(value)?;
            bytes = bytes.saturating_add(more);
        }
        if bytes > MAX_ROW_BYTES {
            return Err(Error::new(Status::Limit, "the additional columns of an entry take over 32 MiB"));
        }
        self.rows = self.rows.saturating_add(1);
        for column in self.columns.iter_mut().filter(|column| column.picks.len() < self.rows) {
            column.push_null();
        }
        Ok(bytes)
    }

    /// The columns, and no rows again.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

impl Column {
    fn new(data_type: DataType) -> Column {
        let own = match data_type {
            DataType::Utf8 => Own::Utf8(StringBuilder::new()),
            DataType::Int64 => Own::Int64(Int64Builder::new()),
            DataType::Float64 => Own::Float64(Float64Builder::new()),
            DataType::Binary => Own::Binary(BinaryBuilder::new()),
            _ => Own::Other(0),
        };
        Column { data_type, own, own_len: 0, held: Vec::new(), picks: Vec::new() }
    }

    fn push(&mut self, value: ExtraValue<'_>) -> Result<usize> {
        let mut bytes = 0;
        match (&mut self.own, value) {
            (Own::Int64(builder), ExtraValue::Int64(value)) => builder.append_value(value),
            (Own::Float64(builder), ExtraValue::Float64(value)) => builder.append_value(value),
            (Own::Binary(builder), ExtraValue::Bytes(value)) => {
                builder.append_value(value);
                bytes = value.len();
            }
            (Own::Utf8(builder), ExtraValue::Bytes(value)) => {
                builder.append_value(std::str::from_utf8(value).map_err(|_| internal("text that is not UTF-8"))?);
                bytes = value.len();
            }
            (_, ExtraValue::Of(array, at)) if *array.data_type() == self.data_type && at < array.len() => {
                return self.hold(array, at);
            }
            _ => return Err(internal("a value of another type than its column")),
        }
        self.own_row();
        Ok(bytes)
    }

    fn push_null(&mut self) {
        match &mut self.own {
            Own::Utf8(builder) => builder.append_null(),
            Own::Int64(builder) => builder.append_null(),
            Own::Float64(builder) => builder.append_null(),
            Own::Binary(builder) => builder.append_null(),
            Own::Other(nulls) => *nulls = nulls.saturating_add(1),
        }
        self.own_row();
    }

    fn own_row(&mut self) {
        self.picks.push((0, self.own_len));
        self.own_len = self.own_len.saturating_add(1);
    }

    fn hold(&mut self, array: &ArrayRef, at: usize) -> Result<usize> {
        if !self.held.last().is_some_and(|last| Arc::ptr_eq(last, array)) {
            if self.held.len() == MAX_HELD {
                let together = self.take()?;
                self.picks = (0..together.len()).map(|row| (1, row)).collect();
                self.held.push(together);
            }
            self.held.push(Arc::clone(array));
        }
        self.picks.push((self.held.len(), at));
        let value = array.slice(at, 1);
        Ok(if matches!(self.data_type, DataType::FixedSizeBinary(_)) { 0 } else { variable_bytes(&value) })
    }

    /// All rows so far as one array; no values again.
    fn take(&mut self) -> Result<ArrayRef> {
        let own: ArrayRef = match &mut self.own {
            Own::Utf8(builder) => Arc::new(builder.finish()),
            Own::Int64(builder) => Arc::new(builder.finish()),
            Own::Float64(builder) => Arc::new(builder.finish()),
            Own::Binary(builder) => Arc::new(builder.finish()),
            Own::Other(nulls) => new_null_array(&self.data_type, std::mem::take(nulls)),
        };
        self.own_len = 0;
        let (held, picks) = (std::mem::take(&mut self.held), std::mem::take(&mut self.picks));
        if held.is_empty() {
            return Ok(own);
        }
        let arrays: Vec<ArrayRef> = std::iter::once(own).chain(held).collect();
        interleave(&self.data_type, &arrays, &picks)
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        self.take()
    }
}

/// Bytes that a value takes whatever it is: the number, or the offset, and its bit of validity rounded up.
fn width(data_type: &DataType) -> usize {
    let value = match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(usize::MAX),
        DataType::Utf8 | DataType::Binary => 4,
        other => other.primitive_width().unwrap_or(8),
    };
    value.saturating_add(1)
}

fn variable_bytes(value: &ArrayRef) -> usize {
    use arrow::array::AsArray;
    match value.data_type() {
        DataType::Utf8 => value.as_string::<i32>().value(0).len(),
        DataType::Binary => value.as_binary::<i32>().value(0).len(),
        DataType::LargeUtf8 => value.as_string::<i64>().value(0).len(),
        DataType::LargeBinary => value.as_binary::<i64>().value(0).len(),
        _ => 0,
    }
}

fn internal(what: &str) -> Error {
    Error::new(Status::Panic, format!("{what} reached the index"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::array::{BooleanArray, FixedSizeBinaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    fn column(name: &str, data_type: DataType) -> ExtraColumn {
        ExtraColumn { name: name.into(), data_type }
    }

    #[test]
    fn rows_without_values_are_null() {
        let columns = [column("t", DataType::Utf8), column("n", DataType::Int64), column("b", DataType::Boolean)];
        let mut builder = ExtraBuilder::new(&columns).unwrap();
        for _ in 0..2 {
            builder.push([]).unwrap();
            builder.push([(0, ExtraValue::Bytes(b"x"))]).unwrap();
            builder.push([(1, ExtraValue::Int64(7))]).unwrap();
            let made = builder.finish().unwrap();
            assert_eq!(made[0].as_string::<i32>(), &StringArray::from(vec![None, Some("x"), None]));
            assert_eq!(made[1].as_primitive::<Int64Type>(), &Int64Array::from(vec![None, None, Some(7)]));
            assert_eq!(made[2].null_count(), 3);
        }
    }

    #[test]
    fn values_of_many_arrays_are_put_together_in_order() {
        let mut builder = ExtraBuilder::new(&[column("t", DataType::Utf8), column("f", DataType::Boolean)]).unwrap();
        let (mut texts, mut flags) = (Vec::new(), Vec::new());
        for number in 0..100usize {
            let text: ArrayRef = Arc::new(StringArray::from(vec![Some(format!("text {number}")), None]));
            let flag: ArrayRef = Arc::new(BooleanArray::from(vec![Some(number % 3 == 0), None]));
            let at = usize::from(number % 5 == 0);
            builder.push([(0, ExtraValue::Of(&text, at)), (1, ExtraValue::Of(&flag, at))]).unwrap();
            builder.push([(0, ExtraValue::Bytes(b"own"))]).unwrap();
            builder.push([]).unwrap();
            texts.extend([(at == 0).then(|| format!("text {number}")), Some("own".into()), None]);
            flags.extend([(at == 0).then_some(number % 3 == 0), None, None]);
            assert!(builder.columns.iter().all(|column| column.held.len() <= MAX_HELD));
        }
        let made = builder.finish().unwrap();
        assert_eq!(made[0].as_string::<i32>(), &StringArray::from(texts));
        assert_eq!(made[1].as_boolean(), &BooleanArray::from(flags));
    }

    #[test]
    fn rows_count_what_they_take_and_too_wide_ones_are_refused() {
        let mut builder = ExtraBuilder::new(&[column("t", DataType::Binary)]).unwrap();
        assert_eq!(builder.push([(0, ExtraValue::Bytes(&[0; 100]))]).unwrap(), 105);
        assert_eq!(builder.push([]).unwrap(), 5);
        let wide: Vec<ExtraColumn> =
            (0..17).map(|number| column(&format!("c{number}"), DataType::FixedSizeBinary(65_536))).collect();
        assert_eq!(ExtraBuilder::new(&wide).map(drop).unwrap_err().status(), Status::Limit);
        let mut builder = ExtraBuilder::new(&wide[..1]).unwrap();
        let array: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([vec![1u8; 65_536]].into_iter()).unwrap());
        assert_eq!(builder.push([(0, ExtraValue::Of(&array, 0))]).unwrap(), 65_537);
    }

    #[test]
    fn values_of_other_types_are_refused() {
        let mut builder = ExtraBuilder::new(&[column("n", DataType::Int64)]).unwrap();
        let array: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        for (number, value) in [
            (0, ExtraValue::Bytes(b"x")),
            (0, ExtraValue::Float64(1.0)),
            (0, ExtraValue::Of(&array, 0)),
            (1, ExtraValue::Int64(1)),
        ] {
            assert_eq!(builder.push([(number, value)]).unwrap_err().status(), Status::Panic);
        }
    }
}
