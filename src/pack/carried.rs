//! What entries of archives that were added have beside their attributes: labels, and columns that this version doesn't
//! know.
//!
//! Values stay in arrays of their own, one a segment and column, as long as the archive is being made. Labels are few, so
//! they stand once for a run of entries.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use crate::error::{Error, Result, Status, printable, push, reserve};
use crate::format::extra::{ExtraColumn, ExtraValue, compact};
use crate::format::index::Segment;
use crate::format::row::Attributes;

/// What all archives that were added brought along.
#[derive(Default)]
pub(super) struct Carried {
    columns: Vec<ExtraColumn>,
    /// In the order of their first numbers.
    parts: Vec<(u32, Values)>,
}

/// What one archive brings along. Entries count from its first.
pub(super) struct Values {
    columns: Vec<ExtraColumn>,
    /// For each of them: its number in [`Carried::columns`].
    numbers: Vec<usize>,
    segments: Vec<SegmentValues>,
    labels: Vec<Label>,
    count: u32,
}

/// The columns of a segment that are not null throughout.
struct SegmentValues {
    first: u32,
    arrays: Vec<(usize, ArrayRef)>,
}

/// Labels of the entries from one on.
struct Label {
    first: u32,
    pkg_type: Option<i8>,
    repo: Arc<str>,
}

impl Carried {
    /// The columns of all archives, in the order in which they came.
    pub(super) fn columns(&self) -> &[ExtraColumn] {
        &self.columns
    }

    /// Whether these columns go together with those before them and with `others`.
    ///
    /// # Errors
    /// `E_INVALID_ARGUMENT`, naming a column that has two types.
    pub(super) fn check(&self, values: &Values, others: &[&[ExtraColumn]]) -> Result<()> {
        for column in &values.columns {
            let same = |other: &&ExtraColumn| other.name == column.name;
            let known = others.iter().copied().flatten().chain(&self.columns).find(same);
            if let Some(other) = known.filter(|other| other.data_type != column.data_type) {
                let why = format!(
                    "its column {} has the type {}, and what was added before has it with the type {}",
                    printable(column.name.as_bytes()),
                    column.data_type,
                    other.data_type
                );
                return Err(Error::refused(Status::InvalidArgument, "column.type", why));
            }
        }
        Ok(())
    }

    /// Takes the values of entries with numbers from `first` on, which were checked.
    pub(super) fn accept(&mut self, mut values: Values, first: u32) -> Result<()> {
        for column in std::mem::take(&mut values.columns) {
            let known = self.columns.iter().position(|other| other.name == column.name);
            push(&mut values.numbers, known.unwrap_or(self.columns.len()))?;
            if known.is_none() {
                push(&mut self.columns, column)?;
            }
        }
        push(&mut self.parts, (first, values))
    }

    /// Package type and label of an entry.
    pub(super) fn label(&self, entry: u32) -> (Option<i8>, &str) {
        let label = self.part(entry).and_then(|(values, at)| {
            values.labels.partition_point(|label| label.first <= at).checked_sub(1).map(|number| &values.labels[number])
        });
        label.map_or((None, ""), |label| (label.pkg_type, &label.repo))
    }

    /// The values of an entry, by the numbers of their columns.
    pub(super) fn values(&self, entry: u32) -> impl Iterator<Item = (usize, ExtraValue<'_>)> {
        let found = self.part(entry).and_then(|(values, at)| {
            let number = values.segments.partition_point(|segment| segment.first <= at).checked_sub(1)?;
            let segment = &values.segments[number];
            Some((values, segment, (at - segment.first) as usize))
        });
        found.into_iter().flat_map(|(values, segment, at)| {
            let there = segment.arrays.iter().filter(move |(_, array)| at < array.len() && array.is_valid(at));
            there.map(move |(column, array)| (values.numbers[*column], ExtraValue::Of(array, at)))
        })
    }

    fn part(&self, entry: u32) -> Option<(&Values, u32)> {
        let (first, values) = &self.parts[self.parts.partition_point(|(first, _)| *first <= entry).checked_sub(1)?];
        (entry - first < values.count).then_some((values, entry - first))
    }
}

impl Values {
    /// None yet, of an archive that has these columns.
    pub(super) fn new(columns: Vec<ExtraColumn>) -> Values {
        Values { columns, numbers: Vec::new(), segments: Vec::new(), labels: Vec::new(), count: 0 }
    }

    /// The next entry's labels.
    pub(super) fn entry(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        let (pkg_type, repo) = (attributes.pkg_type, attributes.repo.unwrap_or_default());
        let same = self.labels.last().is_some_and(|last| last.pkg_type == pkg_type && *last.repo == *repo);
        if !same {
            push(&mut self.labels, Label { first: self.count, pkg_type, repo: repo.into() })?;
        }
        self.count += 1;
        Ok(())
    }

    /// After the last entry of a segment that begins in it: `rows` are the first rows of them.
    pub(super) fn segment(&mut self, segment: &Segment, rows: &[usize]) -> Result<()> {
        let (batch, schema) = (segment.batch(), segment.batch().schema());
        let mut arrays = Vec::new();
        reserve(&mut arrays, self.columns.len())?;
        for (number, column) in self.columns.iter().enumerate() {
            let place = schema.fields().iter().position(|field| *field.name() == column.name);
            let Some(array) = place.map(|place| batch.column(place)) else { continue };
            if rows.iter().any(|row| array.is_valid(*row)) {
                arrays.push((number, compact(array, rows)?));
            }
        }
        if arrays.is_empty() && self.segments.is_empty() {
            return Ok(());
        }
        push(&mut self.segments, SegmentValues { first: self.count - rows.len() as u32, arrays })
    }
}
