//! Two sequences of entries in order of path become one of pairs.

use std::cmp::Ordering;

use crate::archive::diff::sides::Side;
use crate::archive::filter::Filter;
use crate::error::Result;
use crate::progress::Reporter;

/// Entries in order of path.
pub(super) trait Sorted {
    /// The next entry.
    fn peek(&mut self, reporter: &mut Reporter) -> Result<Option<&(Vec<u8>, Side)>>;

    /// Takes what [`Sorted::peek`] showed.
    fn take(&mut self) -> Option<(Vec<u8>, Side)>;
}

/// Calls `each` with every path that one side or both have, and that the host's function takes.
pub(super) fn merge(
    mut old: impl Sorted,
    mut new: impl Sorted,
    filter: &Filter,
    reporter: &mut Reporter,
    mut each: impl FnMut(Vec<u8>, Option<Side>, Option<Side>, &mut Reporter) -> Result<()>,
) -> Result<()> {
    loop {
        let order = match (old.peek(reporter)?, new.peek(reporter)?) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let (path, before, after) = match order {
            Ordering::Less => old.take().map(|(path, side)| (path, Some(side), None)),
            Ordering::Greater => new.take().map(|(path, side)| (path, None, Some(side))),
            Ordering::Equal => new.take().and_then(|(path, side)| Some((path, Some(old.take()?.1), Some(side)))),
        }
        .unwrap_or_default();
        // A path is asked about once: as it was, if it was.
        let asked = before.as_ref().or(after.as_ref());
        if asked.map_or(Ok(false), |side| side.is_taken(&path, filter))? {
            each(path, before, after, reporter)?;
        }
    }
}
