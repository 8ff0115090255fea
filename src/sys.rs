//! The few system calls that rustix lacks. The only `unsafe` outside the C facade.

use std::mem::MaybeUninit;

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
