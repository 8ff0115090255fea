#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| znippy_fuzz::open(data));
