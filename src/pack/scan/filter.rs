//! Which names are wanted: the globs of the options `include` and `exclude`.

use crate::error::Result;
use crate::globs::{self, Globs};
use crate::options::{Key, Options};

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is packed.
    Wanted,
    /// A directory in which something wanted may lie.
    OnTheWay,
    /// It is left out, with all that is below it.
    Out,
}

/// The globs.
pub(super) struct Filter {
    include: Option<Globs>,
    exclude: Option<Globs>,
    /// Directories that everything included lies in or is; empty where it may lie anywhere.
    bounds: Vec<Vec<u8>>,
}

impl Filter {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Result<Filter> {
        let bounds: Vec<Vec<u8>> =
            options.bytes(Key::Include).map(|glob| globs::literal_directory(glob).to_vec()).collect();
        Ok(Filter {
            include: Globs::new(options.bytes(Key::Include))?,
            exclude: Globs::new(options.bytes(Key::Exclude))?,
            bounds: if bounds.iter().any(Vec::is_empty) { Vec::new() } else { bounds },
        })
    }

    /// What becomes of a path, of which nothing above was left out.
    pub(super) fn verdict(&self, path: &[u8], is_directory: bool) -> Verdict {
        if self.exclude.as_ref().is_some_and(|globs| globs.matches(path)) {
            return Verdict::Out;
        }
        match &self.include {
            None => Verdict::Wanted,
            Some(globs) if globs.matches(path) => Verdict::Wanted,
            Some(_) if is_directory && self.leads_somewhere(path) => Verdict::OnTheWay,
            Some(_) => Verdict::Out,
        }
    }

    fn leads_somewhere(&self, directory: &[u8]) -> bool {
        let near = |bound: &Vec<u8>| is_at_or_below(directory, bound) || is_at_or_below(bound, directory);
        self.bounds.is_empty() || self.bounds.iter().any(near)
    }
}

fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
