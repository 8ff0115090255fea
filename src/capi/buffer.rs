//! `znippy_buffer`: the bytes of one entry in library memory.

use std::ptr;

use super::boundary::shielded;
use super::types::znippy_buffer;

/// Hands bytes to the host.
pub(super) fn hand_over(bytes: Vec<u8>) -> znippy_buffer {
    let mut bytes = std::mem::ManuallyDrop::new(bytes);
    match bytes.capacity() {
        0 => znippy_buffer { data: ptr::null_mut(), len: 0, priv_: 0 },
        capacity => znippy_buffer { data: bytes.as_mut_ptr(), len: bytes.len(), priv_: capacity },
    }
}

/// Frees the bytes and zeroes the struct, so that a second call does nothing; NULL is fine. The struct itself is
/// the caller's.
///
/// Ownership: takes the bytes. Threads: any, once. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_buffer_free(buffer: *mut znippy_buffer) {
    if buffer.is_null() {
        return;
    }
    // SAFETY: not null, and the host's live struct.
    let taken = unsafe { buffer.replace(znippy_buffer { data: ptr::null_mut(), len: 0, priv_: 0 }) };
    if !taken.data.is_null() && taken.priv_ != 0 {
        // SAFETY: `hand_over` took pointer and capacity from a vector; bytes need no drop, so the length is
        // of no matter, and the host may have changed it.
        shielded((), || unsafe { drop(Vec::from_raw_parts(taken.data, 0, taken.priv_)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_freed_once_and_zeroed() {
        for bytes in [Vec::new(), b"entry".to_vec(), Vec::with_capacity(9)] {
            let len = bytes.len();
            let mut buffer = hand_over(bytes);
            assert_eq!(buffer.len, len);
            // SAFETY: `hand_over` made it; the second time it is zeroed.
            unsafe {
                znippy_buffer_free(&raw mut buffer);
                assert!(buffer.data.is_null() && buffer.len == 0 && buffer.priv_ == 0);
                znippy_buffer_free(&raw mut buffer);
                znippy_buffer_free(ptr::null_mut());
            }
        }
    }
}
