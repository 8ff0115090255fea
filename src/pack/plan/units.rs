//! The units of a plan, one after the other: small files first, then the windows of big ones.

use std::ops::Range;

use crate::pack::plan::{MAX_UNIT_FILES, Plan, Unit, Window};
use crate::pack::scan::Tree;

/// All units of a plan, in order.
pub(in crate::pack) struct Units<'a> {
    plan: &'a Plan,
    /// Units of small files so far.
    groups: usize,
    windows: std::iter::Peekable<Windows<'a>>,
}

impl<'a> Units<'a> {
    pub(super) fn new(plan: &'a Plan, tree: &'a Tree) -> Units<'a> {
        let windows = Windows { plan, tree, turn: 0..0, next: Vec::new() };
        Units { plan, groups: 0, windows: windows.peekable() }
    }
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        if let Some(group) = self.plan.groups.get(self.groups) {
            self.groups += 1;
            return Some(group.clone());
        }
        let first = self.windows.next()?;
        let (plan, mut len, mut windows) = (self.plan, first.len, vec![first]);
        let fits = |len: usize, windows: &[Window], next: &Window| {
            // What is noise, most likely, doesn't stand among other bytes.
            let is_alike = plan.big[next.big as usize].packed == plan.big[windows[0].big as usize].packed;
            len + next.len <= plan.shared && windows.len() < MAX_UNIT_FILES && is_alike
        };
        while let Some(window) = self.windows.next_if(|next| fits(len, &windows, next)) {
            len += window.len;
            windows.push(window);
        }
        Some(Unit::Windows(windows))
    }
}

/// The windows of all big files, those of files that resemble one another in turns.
struct Windows<'a> {
    plan: &'a Plan,
    tree: &'a Tree,
    /// The big files that are read in turns now, and the next window of each.
    turn: Range<usize>,
    next: Vec<u32>,
}

impl Windows<'_> {
    /// The file that has its turn: the one of which the smallest share has been read, so that what stands at about the
    /// same place in files of different lengths comes together.
    fn has_turn(&self) -> Option<usize> {
        let files = &self.plan.big[self.turn.clone()];
        let left = (0..files.len()).filter(|&at| self.next[at] < files[at].windows);
        // next / windows, compared without rounding.
        let share = |at: usize, other: usize| u64::from(self.next[at]) * u64::from(files[other].windows);
        left.reduce(|first, at| if share(at, first) < share(first, at) { at } else { first })
    }
}

impl Iterator for Windows<'_> {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let at = loop {
            if let Some(at) = self.has_turn() {
                break at;
            }
            let first = self.turn.end;
            let followers = self.plan.big.get(first)?.followers as usize;
            self.turn = first..first + 1 + followers;
            self.next.clear();
            self.next.resize(self.turn.len(), 0);
        };
        let big = self.turn.start + at;
        let file = &self.plan.big[big];
        let number = self.next[at];
        self.next[at] += 1;
        let offset = u64::from(number) * self.plan.slice_size;
        let len = (self.tree.records[file.record as usize].size - offset).min(self.plan.slice_size) as usize;
        Some(Window { record: file.record, big: big as u32, number, windows: file.windows, offset, len })
    }
}
