//! Extended attributes of what is restored: an entry gets those that are recorded and loses those that are not.
//!
//! Labels that the system gives on its own (`security.*` but capabilities) and what only it understands (`trusted.*`)
//! are set where they are recorded, and never taken away.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::error::{Error, printable};
use crate::format::xattrs::Attributes;
use crate::options::{Key, Options};
use crate::xattr;

/// Names and values that a file is to have, in order of names.
type Wanted<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Which attributes are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    Nothing,
    /// `user.*`
    User,
    All,
}

impl Restored {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Restored {
        match options.get(Key::RestoreXattrs) {
            // Capabilities are set-user-id bits by another name.
            2 if !options.flag(Key::Untrusted) => Restored::All,
            1 | 2 => Restored::User,
            _ => Restored::Nothing,
        }
    }

    /// Makes a file's attributes those of its entry.
    ///
    /// # Errors
    /// The error number, and what can't be done.
    pub(super) fn apply(self, file: BorrowedFd<'_>, recorded: Attributes<'_>) -> Result<(), Refused> {
        if self == Restored::Nothing {
            return Ok(());
        }
        let (wanted, there) = self.both(file, recorded).map_err(|errno| Refused { errno, name: Vec::new() })?;
        let refused = |name: &[u8]| {
            let name = name.to_vec();
            |errno| Refused { errno, name }
        };
        for (name, _) in there.iter().filter(|(name, _)| !wanted.iter().any(|(kept, _)| kept == name)) {
            xattr::remove(file, name).map_err(refused(name))?;
        }
        for (name, value) in wanted {
            if !there.iter().any(|(set, same)| set == name && same == value) {
                xattr::set(file, name, value).map_err(refused(name))?;
            }
        }
        Ok(())
    }

    /// Whether a file has its entry's attributes already.
    pub(super) fn matches(self, file: BorrowedFd<'_>, recorded: Attributes<'_>) -> bool {
        self == Restored::Nothing
            || self.both(file, recorded).is_ok_and(|(wanted, mut there)| {
                there.sort();
                wanted.len() == there.len()
                    && wanted.iter().zip(&there).all(|(wanted, there)| *wanted == (&*there.0, &*there.1))
            })
    }

    /// What the file is to have, in order of names, and what of that or beyond it has.
    fn both<'a>(
        self,
        file: BorrowedFd<'_>,
        recorded: Attributes<'a>,
    ) -> rustix::io::Result<(Wanted<'a>, xattr::Attributes)> {
        let wanted: Wanted<'a> = recorded.filter(|(name, _)| self.restores(name)).collect();
        let counts = |name: &[u8]| self.takes_away(name) || wanted.iter().any(|(wanted, _)| *wanted == name);
        let there = xattr::read(file, counts)?;
        Ok((wanted, there))
    }

    fn restores(self, name: &[u8]) -> bool {
        self == Restored::All || name.starts_with(b"user.")
    }

    fn takes_away(self, name: &[u8]) -> bool {
        let access = name.starts_with(b"system.posix_acl_") || name == b"security.capability";
        name.starts_with(b"user.") || (self == Restored::All && access)
    }
}

/// Why an attribute could not be given or taken away; without a name, why they could not be read.
pub(super) struct Refused {
    pub(super) errno: Errno,
    name: Vec<u8>,
}

impl From<Refused> for Error {
    fn from(Refused { errno, name }: Refused) -> Error {
        if name.is_empty() {
            return Error::os("can't read the extended attributes", errno);
        }
        let hint = if errno == Errno::OPNOTSUPP { ", which this file system can't hold" } else { "" };
        Error::os(&format!("can't set the extended attribute {}{hint}", printable(&name)), errno)
    }
}
