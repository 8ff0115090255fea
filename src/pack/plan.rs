//! Plan: what is read together, in which order. Everything behind it is numbered by it, so that the archive does
//! not depend on who finishes first.

pub(super) mod similar;
mod units;

use std::collections::HashMap;

use crate::error::{Error, Result, Status, reserve};
use crate::format::path;
use crate::format::row::EntryKind;
use crate::options::{Layout, Order};
use crate::pack::plan::units::Units;
use crate::pack::probe;
use crate::pack::scan::{Record, Tree};

/// Most files in one unit, so that tiny files keep all readers busy.
pub(super) const MAX_UNIT_FILES: usize = 4096;

/// Which files share blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Files that may compress.
    Ordinary = 0,
    /// Files whose extension says that they are compressed already.
    Packed = 1,
}

/// What one reader reads in one go.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// Small files: a range of [`Plan::small`].
    Small { from: u32, to: u32, bytes: usize, class: Class },
    /// Windows of big files; several where those share blocks.
    Windows(Vec<Window>),
}

/// A window of a big file, which has `windows` in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) record: u32,
    pub(super) big: u32,
    pub(super) number: u32,
    pub(super) windows: u32,
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl Window {
    /// How many windows the file has, where this is the last.
    pub(super) fn last_of(&self) -> Option<u32> {
        (self.number + 1 == self.windows).then_some(self.windows)
    }
}

/// A file that is read in windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct BigFile {
    pub(super) record: u32,
    pub(super) windows: u32,
    /// It and so many files behind it are read in turns.
    followers: u32,
    /// It is one of several that are read in turns.
    pub(super) in_turns: bool,
    /// The extension is one of a compressed format.
    pub(super) packed: bool,
}

/// What is to be done for a tree.
#[derive(Default)]
pub(super) struct Plan {
    /// Small files in the order of the archive, by their record numbers.
    pub(super) small: Vec<u32>,
    /// Big files by path, those that are read in turns side by side.
    pub(super) big: Vec<BigFile>,
    /// Units of small files, which come before the windows of big ones.
    groups: Vec<Unit>,
    /// Number of the first unit of [`Class::Packed`].
    first_packed: usize,
    /// Names beyond the first of files with several: record number -> number of the first.
    pub(super) hardlinks: HashMap<u32, u32>,
    /// Bytes of the longest unit.
    pub(super) longest: usize,
    /// Bytes of all files.
    pub(super) bytes: u64,
    slice_size: u64,
    /// Most bytes of windows that are read in one go; less than a slice where those don't share blocks.
    shared: usize,
}

impl Plan {
    /// Nothing to read: further names of files, by their record numbers.
    pub(super) fn of_links(hardlinks: HashMap<u32, u32>) -> Plan {
        Plan { hardlinks, ..Plan::default() }
    }

    /// All units, in order. Windows are made up as they are asked for: a sparse file may have billions.
    pub(super) fn units<'a>(&'a self, tree: &'a Tree) -> Units<'a> {
        Units::new(self, tree)
    }

    /// Whether nothing is to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.big.is_empty()
    }

    /// Has files that resemble one another read in turns: `groups` are numbers of [`Plan::big`], every one once.
    pub(super) fn read_in_turns(&mut self, groups: &[Vec<u32>]) -> Result<()> {
        let mut big = Vec::new();
        reserve(&mut big, self.big.len())?;
        for group in groups {
            let (first, in_turns) = (big.len(), group.len() > 1);
            big.extend(group.iter().map(|number| BigFile { in_turns, ..self.big[*number as usize] }));
            big[first].followers = group.len() as u32 - 1;
        }
        self.big = big;
        Ok(())
    }

    /// Whether other files begin with this unit, so that it shares no block with those before.
    pub(super) fn begins_class(&self, number: usize) -> bool {
        number == self.first_packed || number == self.groups.len()
    }
}

/// Plans the packing of a tree. Records that are `settled` are not read; there may be fewer marks than records.
pub(super) fn plan(tree: &Tree, layout: &Layout, settled: &[bool]) -> Result<Plan> {
    let mut plan = Plan { hardlinks: hardlinks(tree), slice_size: layout.slice_size as u64, ..Plan::default() };
    let mut packed_small = Vec::new();
    for (number, record) in tree.records.iter().enumerate() {
        let is_settled = settled.get(number) == Some(&true);
        let number = number as u32;
        if record.kind != EntryKind::File || record.skipped || is_settled {
            continue;
        }
        plan.bytes = plan.bytes.saturating_add(record.size);
        if plan.hardlinks.contains_key(&number) {
            continue;
        }
        let packed = !layout.no_skip && probe::is_packed_extension(path::extension(tree.names.name(record.name)));
        if record.size > layout.small_file {
            let windows = u32::try_from(record.size.div_ceil(layout.slice_size as u64)).map_err(|_| {
                let why = "the file has over four billion slices; pack with a bigger slice-size";
                Error::new(Status::Limit, why).with_path(tree.host_path(record))
            })?;
            plan.big.push(BigFile { record: number, windows, followers: 0, in_turns: false, packed });
        } else if packed {
            packed_small.push(number);
        } else {
            if plan.small.len() == plan.small.capacity() {
                let more = (plan.small.len() / 4).max(1024);
                reserve(&mut plan.small, more)?;
            }
            plan.small.push(number);
        }
    }
    if layout.order == Order::Name {
        sort_by_name(tree, &mut plan.small);
        sort_by_name(tree, &mut packed_small);
    }
    let ordinary = plan.small.len();
    plan.small.append(&mut packed_small);
    group(tree, &mut plan, 0..ordinary, Class::Ordinary, layout);
    plan.first_packed = plan.groups.len();
    let all = plan.small.len();
    group(tree, &mut plan, ordinary..all, Class::Packed, layout);
    let mut in_windows = 0u64;
    for file in &plan.big {
        let size = tree.records[file.record as usize].size;
        plan.longest = plan.longest.max(size.min(layout.slice_size as u64) as usize);
        in_windows = in_windows.saturating_add(size);
    }
    if layout.shares_slices() {
        plan.shared = layout.block_size;
        plan.longest = plan.longest.max(in_windows.min(layout.block_size as u64) as usize);
    }
    Ok(plan)
}

/// Files with several names: the first in order of path is the file, the others are links to it.
fn hardlinks(tree: &Tree) -> HashMap<u32, u32> {
    let mut firsts = HashMap::new();
    let mut links = HashMap::new();
    for (number, record) in tree.records.iter().enumerate() {
        let Some(extra) = tree.extra(record).filter(|extra| extra.links > 1 && !record.skipped) else { continue };
        let first = *firsts.entry((extra.device, record.inode)).or_insert(number as u32);
        if first != number as u32 {
            links.insert(number as u32, first);
        }
    }
    links
}

fn sort_by_name(tree: &Tree, files: &mut [u32]) {
    let record = |number: u32| -> &Record { &tree.records[number as usize] };
    files.sort_by(|a, b| {
        let (a, b) = (tree.names.name(record(*a).name), tree.names.name(record(*b).name));
        // Files come in order of path and the sort is stable, so equal names stay in that order.
        path::extension(a).cmp(path::extension(b)).then_with(|| a.cmp(b))
    });
}

fn group(tree: &Tree, plan: &mut Plan, range: std::ops::Range<usize>, class: Class, layout: &Layout) {
    let before = plan.groups.len();
    let mut from = range.start;
    let mut bytes = 0;
    for at in range.clone() {
        let size = tree.records[plan.small[at] as usize].size as usize;
        if at > from && (bytes + size > layout.block_size || at - from == MAX_UNIT_FILES) {
            plan.groups.push(Unit::Small { from: from as u32, to: at as u32, bytes, class });
            plan.longest = plan.longest.max(bytes);
            (from, bytes) = (at, 0);
        }
        bytes += size;
    }
    if from < range.end {
        plan.groups.push(Unit::Small { from: from as u32, to: range.end as u32, bytes, class });
        plan.longest = plan.longest.max(bytes);
    }
    if plan.groups.len() > before + 1 {
        // What duplicates leave of several units is put together into blocks of full size.
        plan.longest = plan.longest.max(layout.block_size);
    }
}
