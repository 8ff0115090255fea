//! What of modes and times is recorded: as they are, or so that archives of the same files by two users are the same.

use crate::format::row::EntryKind;
use crate::options::{Key, Options};
use crate::pack::scan::NO_MTIME;

/// What is done to modes and modification times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    mtimes: Mtimes,
    normal_modes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Mtimes {
    Keep,
    /// Later ones become this.
    Clamp(i64),
    Drop,
    /// All become this.
    Set(i64),
}

impl Policy {
    /// What the options say.
    pub(super) fn new(options: &Options) -> Policy {
        // The bounds of the option are those of nanoseconds in 64 bits.
        let limit = options.get(Key::MtimeLimit).saturating_mul(1_000_000_000);
        let mtimes = match options.get(Key::Mtimes) {
            1 => Mtimes::Clamp(limit),
            2 => Mtimes::Drop,
            3 => Mtimes::Set(limit),
            _ => Mtimes::Keep,
        };
        Policy { mtimes, normal_modes: options.get(Key::Modes) == 1 }
    }

    /// The modification time to record, or [`NO_MTIME`]; what has none gets one only where all are set.
    pub(super) fn mtime(self, mtime_ns: i64) -> i64 {
        match self.mtimes {
            Mtimes::Keep => mtime_ns,
            Mtimes::Clamp(limit) => mtime_ns.min(limit),
            Mtimes::Drop => NO_MTIME,
            Mtimes::Set(limit) => limit,
        }
    }

    /// Whether a recorded time that is equal to this one of a file tells that the file had it. Times that are not
    /// recorded as they are would make files equal that are not.
    pub(super) fn tells_by_mtime(self, mtime_ns: i64) -> bool {
        match self.mtimes {
            Mtimes::Keep => true,
            Mtimes::Clamp(limit) => mtime_ns < limit,
            Mtimes::Drop | Mtimes::Set(_) => false,
        }
    }

    /// The mode bits to record.
    pub(super) fn mode(self, kind: EntryKind, mode: u32) -> u32 {
        match (self.normal_modes, kind) {
            (false, _) => mode,
            (true, EntryKind::Directory) => 0o755,
            (true, EntryKind::File | EntryKind::Hardlink) if mode & 0o111 != 0 => 0o755,
            (true, _) => 0o644,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_modes_are_what_the_options_say() {
        let mut options = Options::new();
        options.set(Key::MtimeLimit, 5).unwrap();
        for (choice, expected) in [
            (0, [7_000_000_000, 3, NO_MTIME]),
            (1, [5_000_000_000, 3, NO_MTIME]),
            (2, [NO_MTIME; 3]),
            (3, [5_000_000_000; 3]),
        ] {
            options.set(Key::Mtimes, choice).unwrap();
            let policy = Policy::new(&options);
            assert_eq!([7_000_000_000, 3, NO_MTIME].map(|mtime| policy.mtime(mtime)), expected);
        }
        assert_eq!(Policy::new(&options).mode(EntryKind::File, 0o4711), 0o4711);
        options.set(Key::Modes, 1).unwrap();
        let policy = Policy::new(&options);
        let kinds = [EntryKind::Directory, EntryKind::File, EntryKind::File, EntryKind::Fifo];
        let modes = [0o2700, 0o4610, 0o600, 0o777];
        let normal: Vec<u32> = kinds.iter().zip(modes).map(|(kind, mode)| policy.mode(*kind, mode)).collect();
        assert_eq!(normal, [0o755, 0o755, 0o644, 0o644]);
    }
}
