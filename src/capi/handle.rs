//! What all handles begin with, and how a call enters one.
//!
//! The tag finds a handle of another type or one that was freed, as far as a read of its first bytes can; the
//! poison refuses handles that a panic went through. Both are for finding mistakes of the host early, and none
//! of the library's own safety rests on them.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::{Error, Result, Status};

/// An opaque type of the header and what is behind it.
pub(super) trait Opaque {
    /// What stands behind the tag.
    type Inside;
    /// Four letters that no other type has.
    const TAG: u32;
}

/// What a pointer to an opaque type points to.
#[repr(C)]
pub(super) struct Handle<T> {
    tag: AtomicU32,
    poisoned: AtomicBool,
    inside: T,
}

impl<T> Handle<T> {
    /// A handle; `tag` is that of its opaque type.
    pub(super) const fn new(tag: u32, inside: T) -> Handle<T> {
        Handle { tag: AtomicU32::new(tag), poisoned: AtomicBool::new(false), inside }
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inside
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.tag.store(0, Ordering::Relaxed);
    }
}

/// Moves a value behind a new handle that the host owns.
pub(super) fn give<H: Opaque>(inside: H::Inside) -> *mut H {
    Box::into_raw(Box::new(Handle::new(H::TAG, inside))).cast()
}

/// Takes a handle back that [`give`] made; `None` for null and for what isn't one.
///
/// # Safety
/// `pointer` is null or readable; if it came from [`give`], nobody else uses the handle now or later.
pub(super) unsafe fn take_back<H: Opaque>(pointer: *mut H) -> Option<Box<Handle<H::Inside>>> {
    // SAFETY: as promised by the caller.
    let handle = unsafe { find::<H>(pointer, "handle") }.ok()?;
    // Of two threads that free the same handle by mistake one gets it.
    handle.tag.compare_exchange(H::TAG, 0, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    // SAFETY: the tag says that `give` made it from a box, and the exchange that nobody took it back yet.
    Some(unsafe { Box::from_raw(pointer.cast()) })
}

/// The handle behind a pointer; `argument` names it in errors.
///
/// # Safety
/// `pointer` is null or readable, and stays so for `'a`.
pub(super) unsafe fn find<'a, H: Opaque>(pointer: *const H, argument: &str) -> Result<&'a Handle<H::Inside>> {
    let pointer = pointer.cast::<Handle<H::Inside>>();
    if pointer.is_null() {
        return Err(Error::new(Status::InvalidArgument, format!("{argument} is NULL")));
    }
    // SAFETY: not null, aligned, and readable as promised; all handles begin with the tag, which is an atomic
    // number, so that no value in its place is invalid.
    if !pointer.is_aligned() || unsafe { (*pointer.cast::<AtomicU32>()).load(Ordering::Acquire) } != H::TAG {
        return Err(Error::new(
            Status::InvalidArgument,
            format!("{argument} is a handle of another type, or was freed before"),
        ));
    }
    // SAFETY: the tag says what it is.
    Ok(unsafe { &*pointer })
}

/// A handle in use by a call. A panic that unwinds through it poisons it.
pub(super) struct Entered<'a, T> {
    handle: &'a Handle<T>,
    was_panicking: bool,
}

/// Enters a handle: it must be there, of the right type, and not poisoned.
///
/// # Safety
/// As for [`find`].
pub(super) unsafe fn enter<'a, H: Opaque>(pointer: *const H, argument: &str) -> Result<Entered<'a, H::Inside>> {
    // SAFETY: as promised by the caller.
    let handle = unsafe { find(pointer, argument) }?;
    if handle.poisoned.load(Ordering::Acquire) {
        return Err(Error::new(
            Status::InvalidState,
            format!("{argument} is unusable since an internal defect was caught; free it"),
        ));
    }
    let entered = Entered { handle, was_panicking: std::thread::panicking() };
    #[cfg(feature = "test-hooks")]
    crate::test_hooks::here(crate::test_hooks::HANDLE);
    Ok(entered)
}

impl<T> Entered<'_, T> {
    /// Passes a result on. A panic that a worker caught comes as an error, and poisons the handle just the same.
    pub(super) fn pass<V>(&self, result: Result<V>) -> Result<V> {
        if result.as_ref().is_err_and(|error| error.status() == Status::Panic) {
            self.handle.poisoned.store(true, Ordering::Release);
        }
        result
    }
}

impl<T> Deref for Entered<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.handle.inside
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            self.handle.poisoned.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::boundary::guarded;
    use crate::capi::{ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_INVALID_STATE, ZNIPPY_E_PANIC, ZNIPPY_OK};
    use std::mem::ManuallyDrop;
    use std::ptr::{null, null_mut};

    struct Lamp;
    impl Opaque for Lamp {
        type Inside = u64;
        const TAG: u32 = 1;
    }
    struct Chair;
    impl Opaque for Chair {
        type Inside = u64;
        const TAG: u32 = 2;
    }

    fn status_of(lamp: *const Lamp) -> i32 {
        // SAFETY: the tests pass pointers to live memory, or null.
        unsafe { guarded(null_mut(), || enter(lamp, "lamp").map(drop)) }
    }

    #[test]
    fn null_misaligned_and_other_types_are_refused() {
        let chair = give::<Chair>(5);
        assert_eq!(status_of(null()), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(status_of(chair.cast()), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(status_of(chair.wrapping_byte_add(1).cast()), ZNIPPY_E_INVALID_ARGUMENT);
        // SAFETY: `give` made it.
        unsafe {
            assert!(take_back::<Lamp>(chair.cast()).is_none());
            assert!(take_back::<Chair>(chair).is_some());
        }
    }

    #[test]
    fn freed_handle_has_no_tag() {
        // The memory outlives the handle here, so that looking at it afterwards is sound.
        let mut place = ManuallyDrop::new(Handle::new(Lamp::TAG, 5u64));
        let lamp: *const Lamp = (&raw const place).cast();
        assert_eq!(status_of(lamp), ZNIPPY_OK);
        // SAFETY: dropped once.
        unsafe { ManuallyDrop::drop(&mut place) };
        assert_eq!(status_of(lamp), ZNIPPY_E_INVALID_ARGUMENT);
    }

    #[test]
    fn panic_that_comes_as_an_error_poisons_the_handle() {
        let lamp = give::<Lamp>(5);
        // SAFETY: `give` made it, and it is freed once.
        unsafe {
            let entered = enter(lamp, "lamp").unwrap();
            assert!(entered.pass::<()>(Err(Error::new(Status::Io, "no defect"))).is_err());
            assert_eq!(status_of(lamp), ZNIPPY_OK);
            assert!(entered.pass::<()>(Err(Error::new(Status::Panic, "in a worker"))).is_err());
            drop(entered);
            assert_eq!(status_of(lamp), ZNIPPY_E_INVALID_STATE);
            drop(take_back(lamp));
        }
    }

    #[test]
    fn panic_poisons_the_handle_and_freeing_it_still_works() {
        let lamp = give::<Lamp>(5);
        // SAFETY: `give` made it, and it is freed once.
        unsafe {
            let status = guarded(null_mut(), || {
                let lamp = enter(lamp, "lamp")?;
                panic!("with {}", *lamp)
            });
            assert_eq!(status, ZNIPPY_E_PANIC);
            assert_eq!(status_of(lamp), ZNIPPY_E_INVALID_STATE);
            assert!(take_back(lamp).is_some());
        }
    }
}
