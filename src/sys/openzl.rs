//! OpenZL's own decoder, for frames that zstd alone can't decode.

use std::ffi::c_void;

use openzl_sys::{ZL_Report, ZL_decompress, ZL_getDecompressedSize};

/// What a call reports: a number, or the number of an error.
fn outcome(report: ZL_Report) -> Result<usize, u32> {
    // SAFETY: the code is part of every variant of the union and comes first in each; without an error it is 0, and the
    // value is there.
    unsafe { if report._code == 0 { Ok(report._value._value) } else { Err(report._code) } }
}

/// Decodes a frame that must fill `target` exactly; what goes wrong has a number of OpenZL's, or 0 where the size is
/// another one. What the frame takes in between is OpenZL's to allocate, and the frame decides how much.
pub(crate) fn decompress(frame: &[u8], target: &mut [u8]) -> Result<(), u32> {
    let (start, len) = (frame.as_ptr().cast::<c_void>(), frame.len());
    // SAFETY: both calls read `len` bytes of the frame at most, and the second writes to at most the whole of `target`,
    // which nobody else has; neither keeps a pointer, and neither shares anything between threads.
    unsafe {
        if outcome(ZL_getDecompressedSize(start, len))? != target.len() {
            return Err(0);
        }
        match outcome(ZL_decompress(target.as_mut_ptr().cast(), target.len(), start, len))? {
            written if written == target.len() => Ok(()),
            _ => Err(0),
        }
    }
}
