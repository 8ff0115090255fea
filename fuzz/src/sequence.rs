//! Calls of the C interface in any order that the header allows: handles that are null, kept after their reader is gone,
//! numbers out of range. Nothing may panic inside, and what is handed out is freed once.

use std::ffi::{c_char, c_void};
use std::mem::zeroed;
use std::ptr::{null, null_mut};

use super::seeds::Program;
use znippy::capi::*;

/// Handles that a sequence holds; null where it holds none.
struct Held {
    options: *mut znippy_options,
    reader: *mut znippy_reader,
    listing: *mut znippy_listing,
    error: *mut znippy_error,
    /// What the reader reads; never moved while there is one.
    archive: Vec<u8>,
}

/// Runs a program as calls.
pub fn c_calls(data: &[u8]) {
    let mut program = Program::new(data);
    let archive = program.archive();
    let mut held = Held { options: null_mut(), reader: null_mut(), listing: null_mut(), error: null_mut(), archive };
    while let Some(call) = program.next() {
        let status = held.call(call, &mut program);
        assert_ne!(status, ZNIPPY_E_PANIC, "call {}", call % 18);
    }
    // SAFETY: each is null or live, and freed once.
    unsafe {
        znippy_listing_free(held.listing);
        znippy_reader_free(held.reader);
        znippy_options_free(held.options);
        znippy_error_free(held.error);
    }
}

impl Held {
    fn call(&mut self, call: u8, program: &mut Program<'_>) -> i32 {
        let number = program.integer() as u64;
        // SAFETY: handles are null or live; buffers are as long as is said; all outlive their calls.
        unsafe {
            // Errors are replaced by each call: what was there is freed before.
            znippy_error_free(self.error);
            self.error = null_mut();
            let err = &raw mut self.error;
            match call % 18 {
                0 => {
                    if self.options.is_null() {
                        self.options = znippy_options_new();
                    }
                    0
                }
                1 => {
                    znippy_options_free(self.options);
                    self.options = null_mut();
                    0
                }
                2 => {
                    // Not as many threads as the program likes, nor files that are written by its options.
                    let key = number as u32 % 70;
                    let value = if key == ZNIPPY_OPT_THREADS { 1 } else { program.integer() };
                    znippy_options_set_i64(self.options, key, value, err)
                }
                3 => {
                    let bytes = program.bytes(20);
                    znippy_options_set_bytes(self.options, number as u32 % 70, bytes.as_ptr().cast(), bytes.len(), err)
                }
                4 => {
                    let mut value = 0;
                    znippy_options_get_i64(self.options, number as u32 % 70, &raw mut value, err)
                }
                5 if self.reader.is_null() => {
                    let (data, len) = (self.archive.as_ptr().cast::<c_void>(), self.archive.len());
                    let out = &raw mut self.reader;
                    znippy_reader_open_memory(data, len, None, null_mut(), self.options, out, err)
                }
                6 => {
                    znippy_reader_free(self.reader);
                    self.reader = null_mut();
                    0
                }
                7 if self.listing.is_null() => {
                    znippy_reader_list(self.reader, number % 50, number as usize % 5000, &raw mut self.listing, err)
                }
                8 => {
                    znippy_listing_free(self.listing);
                    self.listing = null_mut();
                    0
                }
                9 => {
                    let mut info: znippy_entry_info = zeroed();
                    info.struct_size = if number.is_multiple_of(3) { number as u32 } else { size_of_val(&info) as u32 };
                    let position = number as usize % (znippy_listing_count(self.listing) + 1);
                    // A size that is too big says that there is more room than there is.
                    info.struct_size = info.struct_size.min(size_of_val(&info) as u32);
                    znippy_listing_get(self.listing, position, &raw mut info, err)
                }
                10 => {
                    let (mut buffer, mut read) = ([0u8; 3000], 0usize);
                    let index = number % 40;
                    let len = number as usize % 3000;
                    let offset = program.integer() as u64;
                    let data = buffer.as_mut_ptr().cast();
                    znippy_reader_read_at(self.reader, index, offset, data, len, &raw mut read, err)
                }
                11 => {
                    let mut buffer: znippy_buffer = zeroed();
                    let status = self.read_small(number % 40, &raw mut buffer);
                    znippy_buffer_free(&raw mut buffer);
                    status
                }
                12 => {
                    let (path, mut index) = (program.bytes(16), 0);
                    znippy_reader_find(self.reader, path.as_ptr().cast::<c_char>(), path.len(), &raw mut index, err)
                }
                13 => {
                    let mut info: znippy_archive_info = zeroed();
                    info.struct_size = size_of_val(&info) as u32;
                    znippy_reader_info(self.reader, &raw mut info, err)
                }
                14 => {
                    let mut value = null();
                    let names = [c"level", c"znippy_format_version", c"root_mode", c""];
                    znippy_reader_metadata(self.reader, names[number as usize % 4].as_ptr(), &raw mut value)
                }
                15 => {
                    let mut digest = [0u8; 32];
                    znippy_reader_tree_digest(self.reader, digest.as_mut_ptr(), err)
                }
                16 => znippy_reader_verify_quick(self.reader, null(), null_mut(), err),
                _ => {
                    let kept = znippy_reader_retain(self.reader);
                    znippy_reader_free(kept);
                    znippy_reader_entry_count(self.reader);
                    0
                }
            }
        }
    }

    /// Reads an entry whole; those with huge holes are limited by default options.
    unsafe fn read_small(&mut self, index: u64, buffer: *mut znippy_buffer) -> i32 {
        // SAFETY: handles are null or live; the buffer is the caller's.
        unsafe {
            let options = znippy_options_new();
            znippy_options_set_i64(options, ZNIPPY_OPT_MAX_ENTRY_SIZE, 1 << 24, null_mut());
            let status = znippy_reader_read(self.reader, index, options, buffer, &raw mut self.error);
            znippy_options_free(options);
            status
        }
    }
}
