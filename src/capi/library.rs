//! Facts about the library itself, and the tables as text.

use std::ffi::{CStr, c_char};
use std::ptr;

use super::boundary::shielded;
use super::constants::ZNIPPY_FEATURE_ZSTD;
use super::types::znippy_status;
use crate::error::STATUS_TABLE;
use crate::options::OPTION_TABLE;

/// Version of the library that runs: major * 1000000 + minor * 1000 + patch. ZNIPPY_VERSION_NUMBER is that of the
/// header that the caller was built with.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_version_number() -> u32 {
    const VERSION: u32 = decimal(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
        + decimal(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
        + decimal(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// The same as text.
///
/// Ownership: static. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_version_string() -> *const c_char {
    static VERSION: [u8; 32] = padded(env!("CARGO_PKG_VERSION"));
    VERSION.as_ptr().cast()
}

/// What this build holds: ZNIPPY_FEATURE_* bits.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_features() -> u64 {
    ZNIPPY_FEATURE_ZSTD
}

/// The name of a status, such as "ZNIPPY_E_CORRUPT"; "ZNIPPY_E_UNKNOWN" for numbers of later versions. Never NULL.
///
/// Ownership: static. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_status_name(status: znippy_status) -> *const c_char {
    static NAMES: [[u8; 32]; STATUS_TABLE.len()] = status_texts(false);
    status_text(status, &NAMES, c"ZNIPPY_E_UNKNOWN")
}

/// One sentence about a status, for people. Never NULL.
///
/// Ownership: static. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_status_message(status: znippy_status) -> *const c_char {
    static SENTENCES: [[u8; 128]; STATUS_TABLE.len()] = status_texts(true);
    status_text(status, &SENTENCES, c"a status that this version of the library does not know")
}

/// The name of an option, such as "block-size"; NULL for unknown keys.
///
/// Ownership: static. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_option_name(key: u32) -> *const c_char {
    static NAMES: [[u8; 32]; OPTION_TABLE.len()] = option_texts(false);
    option_text(key, &NAMES)
}

/// One sentence about an option, with units; NULL for unknown keys.
///
/// Ownership: static. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn znippy_option_help(key: u32) -> *const c_char {
    static HELP: [[u8; 384]; OPTION_TABLE.len()] = option_texts(true);
    option_text(key, &HELP)
}

/// The key of the option with this name; 0 for unknown names and for NULL.
///
/// Ownership: takes nothing. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_option_key(name: *const c_char) -> u32 {
    if name.is_null() {
        return 0;
    }
    // SAFETY: not null, and NUL-terminated as the header demands.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let find = || OPTION_TABLE.iter().find(|spec| spec.name.as_bytes() == name).map_or(0, |spec| spec.key as u32);
    shielded(0, find)
}

fn status_text<const W: usize>(
    status: znippy_status,
    texts: &'static [[u8; W]],
    unknown: &'static CStr,
) -> *const c_char {
    let find = || STATUS_TABLE.iter().zip(texts).find(|(row, _)| row.1 == status);
    shielded(unknown.as_ptr(), || find().map_or(unknown.as_ptr(), |(_, text)| text.as_ptr().cast()))
}

fn option_text<const W: usize>(key: u32, texts: &'static [[u8; W]]) -> *const c_char {
    let find = || OPTION_TABLE.iter().zip(texts).find(|(spec, _)| spec.key as u32 == key);
    shielded(ptr::null(), || find().map_or(ptr::null(), |(_, text)| text.as_ptr().cast()))
}

// The tables hold Rust strings, which have no NUL at the end. These copies have; they are made by the compiler,
// which also finds a text that is too long for its row.

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the compiler runs it")
)]
const fn status_texts<const W: usize>(sentences: bool) -> [[u8; W]; STATUS_TABLE.len()] {
    let mut texts = [[0; W]; STATUS_TABLE.len()];
    let mut i = 0;
    while i < texts.len() {
        texts[i] = padded(if sentences { STATUS_TABLE[i].3 } else { STATUS_TABLE[i].2 });
        i += 1;
    }
    texts
}

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the compiler runs it")
)]
const fn option_texts<const W: usize>(help: bool) -> [[u8; W]; OPTION_TABLE.len()] {
    let mut texts = [[0; W]; OPTION_TABLE.len()];
    let mut i = 0;
    while i < texts.len() {
        texts[i] = padded(if help { OPTION_TABLE[i].help } else { OPTION_TABLE[i].name });
        i += 1;
    }
    texts
}

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the compiler runs it")
)]
const fn padded<const W: usize>(text: &str) -> [u8; W] {
    assert!(text.len() < W, "the text and its NUL must fit the row");
    let mut row = [0; W];
    let mut i = 0;
    while i < text.len() {
        row[i] = text.as_bytes()[i];
        i += 1;
    }
    row
}

#[cfg_attr(
    not(test),
    expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the compiler runs it")
)]
const fn decimal(digits: &str) -> u32 {
    let mut number = 0;
    let mut i = 0;
    while i < digits.len() {
        number = number * 10 + (digits.as_bytes()[i] - b'0') as u32;
        i += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<'a>(pointer: *const c_char) -> &'a str {
        // SAFETY: all of these are static.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn texts_are_those_of_the_tables() {
        for (_, number, name, sentence) in STATUS_TABLE {
            assert_eq!(text(znippy_status_name(*number)), *name);
            assert_eq!(text(znippy_status_message(*number)), *sentence);
        }
        for spec in OPTION_TABLE {
            let key = spec.key as u32;
            assert_eq!(text(znippy_option_name(key)), spec.name);
            assert_eq!(text(znippy_option_help(key)), spec.help);
            // SAFETY: the name is static.
            assert_eq!(unsafe { znippy_option_key(znippy_option_name(key)) }, key);
        }
    }

    #[test]
    fn unknown_numbers_and_names_have_answers() {
        assert_eq!(text(znippy_status_name(-9999)), "ZNIPPY_E_UNKNOWN");
        assert!(!text(znippy_status_message(i32::MIN)).is_empty());
        assert!(znippy_option_name(0).is_null() && znippy_option_help(u32::MAX).is_null());
        // SAFETY: null or static.
        unsafe {
            assert_eq!(znippy_option_key(ptr::null()), 0);
            assert_eq!(znippy_option_key(c"no-such-option".as_ptr()), 0);
        }
    }

    #[test]
    fn version_is_that_of_the_package() {
        assert_eq!(text(znippy_version_string()), env!("CARGO_PKG_VERSION"));
        let parts: Vec<u32> = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap()).collect();
        assert_eq!(znippy_version_number(), parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2]);
    }
}
