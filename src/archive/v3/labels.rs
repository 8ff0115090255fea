//! What version 3 knows of entries beside their bytes: columns of packages, and the records of `__znippy_meta__`. Both
//! become columns behind the fixed ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::archive::v3::order::Pick;
use crate::error::Result;
use crate::format::extra::{ExtraColumn, ExtraValue};
use crate::format::v3::columns::Rows;
use crate::format::v3::sections::Meta;

/// What the columns of metadata are called: this and the key.
const PREFIX: &str = "meta.";

/// The columns behind the fixed ones.
pub(in crate::archive) struct Labels {
    columns: Vec<ExtraColumn>,
    numbers: HashMap<String, usize>,
    /// Columns that have two types, or a name that is taken.
    left_out: BTreeSet<String>,
    meta: Vec<Meta>,
    /// Records of entries, in order of path.
    of_entries: Vec<Pick>,
}

impl Labels {
    pub(super) fn new(rows: &[Rows], meta: Vec<Meta>) -> Result<Labels> {
        let mut labels = Labels {
            columns: Vec::new(),
            numbers: HashMap::new(),
            left_out: BTreeSet::new(),
            of_entries: Vec::new(),
            meta: Vec::new(),
        };
        for (column, _) in rows.iter().flat_map(|batch| batch.extras()) {
            labels.add(&column.name, &column.data_type);
        }
        for records in &meta {
            for i in 0..records.len() {
                if let (Some(_), Some(values)) = (records.path(i), records.value(i)) {
                    labels.add(&format!("{PREFIX}{}", records.key(i)), values.data_type());
                }
            }
        }
        let left_out = &labels.left_out;
        labels.columns.retain(|column| !left_out.contains(&column.name));
        labels.numbers = labels.columns.iter().enumerate().map(|(i, column)| (column.name.clone(), i)).collect();
        let of_batch = |(batch, records): (usize, &Meta)| {
            let picks = (0..records.len()).filter(|i| records.path(*i).is_some()).map(|i| Pick::new(batch, i));
            picks.collect::<Vec<_>>()
        };
        labels.of_entries = meta.iter().enumerate().flat_map(of_batch).collect();
        labels.of_entries.sort_by_key(|pick| Some(meta.get(pick.batch())?.path(pick.row())?.to_owned()));
        labels.meta = meta;
        Ok(labels)
    }

    fn add(&mut self, name: &str, data_type: &DataType) {
        match self.numbers.get(name) {
            Some(number) if self.columns.get(*number).is_some_and(|column| column.data_type != *data_type) => {
                self.left_out.insert(name.to_owned());
            }
            Some(_) => {}
            None => {
                self.numbers.insert(name.to_owned(), self.columns.len());
                self.columns.push(ExtraColumn { name: name.to_owned(), data_type: data_type.clone() });
            }
        }
    }

    /// The columns, in the order in which they first appear.
    pub(in crate::archive) fn columns(&self) -> &[ExtraColumn] {
        &self.columns
    }

    /// Columns that are left out.
    pub(in crate::archive) fn left_out(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter()
    }

    /// Metadata of the archive itself.
    pub(super) fn of_archive(&self) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        for records in &self.meta {
            for i in (0..records.len()).filter(|i| records.path(*i).is_none()) {
                if let Some(text) = records.text(i) {
                    pairs.insert(format!("{PREFIX}{}", records.key(i)), text);
                }
            }
        }
        pairs
    }

    /// Values of a row's package columns; those of an entry's first row include its metadata.
    pub(super) fn values<'a>(&'a self, rows: &'a Rows, row: usize, first: bool) -> Vec<(usize, ExtraValue<'a>)> {
        let mut values: Vec<(usize, ExtraValue<'a>)> = Vec::new();
        let mut push = |name: &str, array: &'a ArrayRef, at: usize| {
            let number = self.numbers.get(name).filter(|_| array.is_valid(at));
            if let Some(number) = number.filter(|number| values.iter().all(|(taken, _)| taken != *number)) {
                values.push((*number, ExtraValue::Of(array, at)));
            }
        };
        for (column, array) in rows.extras() {
            push(&column.name, array, row);
        }
        if first && !self.of_entries.is_empty() {
            let path = rows.key(row).0;
            let path_of =
                |pick: &Pick| self.meta.get(pick.batch()).and_then(|meta| meta.path(pick.row())).unwrap_or_default();
            let from = self.of_entries.partition_point(|pick| path_of(pick) < path);
            for pick in self.of_entries.iter().skip(from).take_while(|pick| path_of(pick) == path) {
                let Some(records) = self.meta.get(pick.batch()) else { continue };
                if let Some(array) = records.value(pick.row()) {
                    push(&format!("{PREFIX}{}", records.key(pick.row())), array, pick.row());
                }
            }
        }
        values
    }
}
