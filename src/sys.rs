//! The few system calls that rustix lacks, those that are tried again when they are interrupted, and the one allocation that
//! the standard library does. The only `unsafe` outside the C facade.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::path::Arg;

#[cfg(feature = "openzl")]
pub(crate) mod openzl;

/// Zeroed memory, or none where there is none. Fresh pages of the system are zeros already, and are not touched before
/// they are used: that is what `try_reserve` and `resize` can't do, and what matters for blocks of megabytes.
pub(crate) fn zeroed(len: usize) -> Option<Vec<u8>> {
    if len == 0 {
        return Some(Vec::new());
    }
    let layout = std::alloc::Layout::array::<u8>(len).ok()?;
    // SAFETY: the layout is not empty; where there is memory, it has `len` initialised bytes with the layout that a
    // vector of that capacity frees.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout);
        (!start.is_null()).then(|| Vec::from_raw_parts(start, len, len))
    }
}

/// Gives the calling thread a mask of new files' modes of its own, which hides nothing, and returns the process's;
/// `None`, and nothing changed, where the system doesn't allow that. For threads that are the library's own: the working
/// directory is the thread's own from then on too.
pub(crate) fn take_umask_away() -> Option<u32> {
    // SAFETY: changes no memory; from then on this thread alone has the mask that is changed below.
    let own = unsafe { libc::unshare(libc::CLONE_FS) } == 0;
    own.then(|| rustix::process::umask(Mode::empty()).as_raw_mode())
}

/// A thread's signal mask.
pub(crate) struct SignalMask(libc::sigset_t);

/// Blocks all signals in this thread and returns the mask that was in force.
pub(crate) fn block_all_signals() -> SignalMask {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut old = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are plain data, valid when zeroed, and live across the calls; sigfillset initialises
    // the first before pthread_sigmask reads it.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        SignalMask(old.assume_init())
    }
}

/// Puts a mask back that [`block_all_signals`] returned.
pub(crate) fn restore_signals(mask: &SignalMask) {
    // SAFETY: the set was filled in by pthread_sigmask, and a null third argument asks for nothing back.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, std::ptr::null_mut());
    }
}

/// Opens a path. An interruption, as file systems behind a network or a process may give it, doesn't show.
pub(crate) fn open<P: Arg>(path: P, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, flags, mode)
}

/// Opens a path relative to a directory; an interruption doesn't show.
pub(crate) fn openat<P: Arg, D: AsFd>(directory: D, path: P, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
    path.into_with_c_str(|path| retry_on_intr(|| rustix::fs::openat(&directory, path, flags, mode)))
}

/// Begins to list a directory; an interruption doesn't show. The standard library's shows.
pub(crate) fn read_dir(path: &Path) -> std::io::Result<std::fs::ReadDir> {
    loop {
        match std::fs::read_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            begun => return begun,
        }
    }
}

/// Gives a file another size; an interruption doesn't show.
pub(crate) fn ftruncate<F: AsFd>(file: F, size: u64) -> rustix::io::Result<()> {
    retry_on_intr(|| rustix::fs::ftruncate(&file, size))
}
