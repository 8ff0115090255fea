//! Another Rust library in the same program, which panics and survives it by itself.

/// 7 where a panic inside was caught, as it should be.
#[unsafe(no_mangle)]
pub extern "C" fn other_catches_a_panic(divisor: u32) -> u32 {
    std::panic::set_hook(Box::new(|_| {}));
    std::panic::catch_unwind(|| 100 / divisor).unwrap_or(7)
}
