//! Rows of several arrays put together into one.
//!
//! By layout, for the flat types that the format allows: arrow's own function does it for every type there is, which is a
//! tenth of a megabyte of code that never runs here.

use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::DataType;

use super::ipc_guard::{Buffers, buffers_of};
use crate::error::{Error, Result, Status};

/// One row for each of `picks`: which of the arrays, and where in it.
///
/// # Errors
/// `E_LIMIT` where the values of a type with offsets of 32 bits have 2 GiB or more.
pub(super) fn interleave(data_type: &DataType, arrays: &[ArrayRef], picks: &[(usize, usize)]) -> Result<ArrayRef> {
    let sources: Vec<ArrayData> = arrays.iter().map(|array| array.to_data()).collect();
    if sources.iter().any(|source| source.data_type() != data_type) {
        return Err(failed("an array has another type"));
    }
    // Where a row's value is in the buffers of its array; nothing where it is null.
    let rows = || {
        picks.iter().map(|(number, at)| {
            let source = sources.get(*number).filter(|source| *at < source.len())?;
            source.is_valid(*at).then(|| Some((source, source.offset().checked_add(*at)?)))?
        })
    };
    let mut made = ArrayData::builder(data_type.clone()).len(picks.len());
    match buffers_of(data_type) {
        Buffers::Bits => {
            let bits = rows().map(|row| row.is_some_and(|(source, at)| bit(source.buffers(), at)));
            made = made.add_buffer(BooleanBuffer::from_iter(bits).into_inner());
        }
        Buffers::Fixed(width) => {
            let mut values = Vec::with_capacity(picks.len().saturating_mul(width));
            for row in rows() {
                let value = row.and_then(|(source, at)| nth(source.buffers().first()?, at, width));
                match value {
                    Some(value) => values.extend_from_slice(value),
                    None => values.extend(std::iter::repeat_n(0, width)),
                }
            }
            made = made.add_buffer(Buffer::from_vec(values));
        }
        Buffers::Variable(width) => {
            let mut offsets = vec![0; width];
            offsets.reserve(picks.len().saturating_mul(width));
            let mut values = Vec::new();
            for row in rows() {
                if let Some((source, at)) = row {
                    values.extend_from_slice(value(source.buffers(), at, width).unwrap_or_default());
                }
                if width == 4 && i32::try_from(values.len()).is_err() {
                    return Err(failed("a column has 2 GiB or more"));
                }
                offsets.extend(values.len().to_le_bytes().into_iter().take(width));
            }
            made = made.add_buffer(Buffer::from_vec(offsets)).add_buffer(Buffer::from_vec(values));
        }
        Buffers::List => {
            let (offsets, items) = interleave_lists(data_type, &sources, picks)?;
            made = made.add_buffer(offsets).add_child_data(items);
        }
    }
    let nulls: NullBuffer = rows().map(|row| row.is_some()).collect();
    let made = made.nulls((nulls.null_count() > 0).then_some(nulls)).align_buffers(true);
    Ok(make_array(made.build().map_err(|error| failed(&error.to_string()))?))
}

/// The offsets of lists, which version 3 has, and what is in them.
fn interleave_lists(
    data_type: &DataType,
    sources: &[ArrayData],
    picks: &[(usize, usize)],
) -> Result<(Buffer, ArrayData)> {
    let DataType::List(item) = data_type else { return Err(failed("a column is no list")) };
    let items = sources.iter().map(|source| source.child_data().first().map(|items| make_array(items.clone())));
    let items: Vec<ArrayRef> = items.collect::<Option<_>>().ok_or_else(|| failed("a list has no items"))?;
    let (mut offsets, mut inner) = (vec![0i32], Vec::new());
    for (number, at) in picks {
        let source = sources.get(*number).filter(|source| *at < source.len() && source.is_valid(*at));
        if let Some(range) = source.and_then(|source| list(source.buffers(), source.offset().checked_add(*at)?)) {
            inner.extend(range.map(|item| (*number, item)));
        }
        offsets.push(i32::try_from(inner.len()).map_err(|_| failed("a column of lists has over two billion items"))?);
    }
    let items = interleave(item.data_type(), &items, &inner)?;
    Ok((Buffer::from_vec(offsets), items.to_data()))
}

/// The items of a list.
fn list(buffers: &[Buffer], at: usize) -> Option<std::ops::Range<usize>> {
    let offset = |at: usize| {
        let bytes = nth(buffers.first()?, at, 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    Some(offset(at)?..offset(at.checked_add(1)?)?)
}

/// The value at `at` of those that have `width` bytes each.
fn nth(bytes: &[u8], at: usize, width: usize) -> Option<&[u8]> {
    let start = at.checked_mul(width)?;
    bytes.get(start..start.checked_add(width)?)
}

fn bit(buffers: &[Buffer], at: usize) -> bool {
    buffers.first().and_then(|bits| bits.get(at / 8)).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// The bytes between two offsets of `width` bytes.
fn value(buffers: &[Buffer], at: usize, width: usize) -> Option<&[u8]> {
    let [offsets, values] = buffers else { return None };
    let offset = |at: usize| {
        let mut bytes = [0; 8];
        bytes.get_mut(..width)?.copy_from_slice(nth(offsets, at, width)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    values.get(offset(at)?..offset(at.checked_add(1)?)?)
}

fn failed(why: &str) -> Error {
    Error::new(Status::Limit, format!("can't build the index: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int8Array, LargeStringArray, StringArray,
        UInt64Array,
    };
    use std::sync::Arc;

    /// The same through arrow, which takes any type.
    fn expected(arrays: &[ArrayRef], picks: &[(usize, usize)]) -> ArrayRef {
        let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
        arrow::compute::interleave(&arrays, picks).unwrap()
    }

    #[test]
    fn lists_are_those_that_arrow_gives() {
        use arrow::array::{ListBuilder, StringBuilder};
        let lists = |rows: &[Option<&[&str]>]| -> ArrayRef {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for row in rows {
                match row {
                    Some(items) => builder.append_value(items.iter().map(|item| Some(*item))),
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        };
        let one = lists(&[Some(&["a", "bc"]), None, Some(&[]), Some(&["d"])]);
        let other = lists(&[Some(&["x"]), Some(&["y", "z"]), None]).slice(1, 2);
        let arrays = [one, other];
        let picks = [(0, 3), (1, 0), (0, 1), (1, 1), (0, 0), (0, 2), (0, 0)];
        let made = interleave(arrays[0].data_type(), &arrays, &picks).unwrap();
        assert_eq!(&made, &expected(&arrays, &picks));
    }

    #[test]
    fn rows_are_those_that_arrow_gives_for_every_flat_type() {
        let fixed = |bytes: &[&[u8; 3]]| FixedSizeBinaryArray::try_from_iter(bytes.iter()).unwrap();
        let kinds: Vec<[ArrayRef; 2]> = vec![
            [
                Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
                Arc::new(BooleanArray::from(vec![false, true, true, false])),
            ],
            [
                Arc::new(Int8Array::from(vec![Some(-1), None, Some(3), None])),
                Arc::new(Int8Array::from(vec![4, 5, 6, 7])),
            ],
            [
                Arc::new(UInt64Array::from(vec![1, 2, 3, u64::MAX])),
                Arc::new(UInt64Array::from(vec![None, Some(1), None, None])),
            ],
            [
                Arc::new(Float64Array::from(vec![0.5, -0.0, 1e300, 2.0])),
                Arc::new(Float64Array::from(vec![Some(1.0), None, None, None])),
            ],
            [
                Arc::new(StringArray::from(vec![Some("one"), None, Some(""), Some("zwölf")])),
                Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
            ],
            [
                Arc::new(LargeStringArray::from(vec![Some("one"), None, Some(""), Some("four")])),
                Arc::new(LargeStringArray::from(vec!["a", "b", "c", "d"])),
            ],
            [
                Arc::new(BinaryArray::from(vec![Some(&b"\xff"[..]), None, Some(b""), Some(b"xyz")])),
                Arc::new(BinaryArray::from(vec![&b"1"[..], b"22", b"333", b"4444"])),
            ],
            [Arc::new(fixed(&[b"abc", b"def", b"ghi", b"jkl"])), Arc::new(fixed(&[b"123", b"456", b"789", b"000"]))],
        ];
        for arrays in kinds {
            let picks = [(0, 3), (1, 0), (0, 1), (1, 3), (0, 0), (0, 0), (1, 2), (0, 2)];
            let made = interleave(arrays[0].data_type(), &arrays, &picks).unwrap();
            assert_eq!(&made, &expected(&arrays, &picks), "{}", arrays[0].data_type());
            // Slices begin inside of their buffers.
            let slices = [arrays[0].slice(1, 3), arrays[1].slice(2, 2)];
            let picks = [(0, 2), (1, 1), (0, 0), (1, 0), (0, 1)];
            let made = interleave(slices[0].data_type(), &slices, &picks).unwrap();
            assert_eq!(&made, &expected(&slices, &picks), "{}", slices[0].data_type());
            assert_eq!(interleave(slices[0].data_type(), &slices, &[]).unwrap().len(), 0);
        }
    }

    #[test]
    fn arrays_of_another_type_are_refused() {
        let array: ArrayRef = Arc::new(Int8Array::from(vec![1]));
        assert_eq!(interleave(&DataType::Utf8, &[array], &[(0, 0)]).unwrap_err().status(), Status::Limit);
    }
}
