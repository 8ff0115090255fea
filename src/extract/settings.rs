//! What the options say of an extraction, in one place.

use crate::archive::filter::Filter;
use crate::beneath;
use crate::error::{Error, Result, Status};
use crate::extract::duplicates::Duplicates;
use crate::extract::limits::Limits;
use crate::extract::metadata::Policy;
use crate::options::{Key, Options, Overwrite};
use crate::progress::CancelToken;

/// How files are recognised that needn't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unchanged {
    /// Not at all.
    Rewrite,
    /// Size, modification time and mode are equal.
    ByTime,
    /// Size and BLAKE3 are equal; mode and time are put right.
    ByHash,
}

/// The settings of an extraction.
pub(super) struct Settings {
    pub(super) filter: Filter,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) duplicates: Duplicates,
    pub(super) overwrite: Overwrite,
    pub(super) unchanged: Unchanged,
    /// What is not in the archive is deleted.
    pub(super) prune: bool,
    /// Nothing is done, only said.
    pub(super) dry_run: bool,
    /// Also small files and links get their names when they are complete, and not while they are written.
    pub(super) named_last: bool,
    pub(super) threads: usize,
    pub(super) cancel: CancelToken,
}

impl Settings {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Result<Settings> {
        let unchanged = match options.get(Key::SkipUnchanged) {
            1 => Unchanged::ByTime,
            2 => Unchanged::ByHash,
            _ => Unchanged::Rewrite,
        };
        let prune = options.flag(Key::Prune);
        // Who asks for these wants the rest brought up to date.
        let implied = !options.is_set(Key::Overwrite) && (prune || unchanged != Unchanged::Rewrite);
        let overwrite = if implied { Overwrite::Replace } else { options.overwrite() };
        if prune && overwrite != Overwrite::Replace {
            let why = "prune makes the tree equal to the archive, which takes overwrite=1 (replace)";
            return Err(Error::new(Status::InvalidArgument, why));
        }
        Ok(Settings {
            filter: Filter::new(options)?,
            policy: Policy::new(options),
            limits: Limits::new(options),
            duplicates: Duplicates::new(options),
            overwrite,
            unchanged,
            prune,
            dry_run: options.flag(Key::DryRun),
            named_last: false,
            threads: beneath::threads_within_descriptors(options.threads()),
            cancel: options.cancel().clone(),
        })
    }

    /// The same for one entry: what selects entries, and what is about whole trees, means nothing then.
    pub(super) fn of_entry(options: &Options) -> Result<Settings> {
        let mut options = options.clone();
        for key in [Key::Prune, Key::StripComponents] {
            options.set(key, 0)?;
        }
        for key in [Key::Include, Key::Exclude, Key::Prefix] {
            options.set_bytes(key, b"")?;
        }
        options.set_filter(None);
        Ok(Settings { named_last: true, ..Settings::new(&options)? })
    }

    /// Whether what exists has to be looked at before anything is written.
    pub(super) fn needs_survey(&self) -> bool {
        self.prune
            || self.unchanged != Unchanged::Rewrite
            || matches!(self.overwrite, Overwrite::Keep | Overwrite::KeepNewer)
    }

    /// Whether files and links that exist are replaced.
    pub(super) fn replaces(&self) -> bool {
        matches!(self.overwrite, Overwrite::Replace | Overwrite::KeepNewer)
    }

    /// Whether something with this modification time stays.
    pub(super) fn keeps(&self, existing: i64, recorded: Option<i64>) -> bool {
        match self.overwrite {
            Overwrite::Keep => true,
            Overwrite::KeepNewer => recorded.is_none_or(|recorded| existing >= recorded),
            _ => false,
        }
    }
}
