//! Packing and writing, one property a test.

#[path = "../extract_support/mod.rs"]
mod extract_support;
#[path = "../pack_support/mod.rs"]
mod pack_support;

mod add_archive;
mod base;
mod fails_cleanly;
mod filters;
mod layout;
mod providers;
mod relies_on_nothing;
mod same_bytes;
mod similar;
mod version_3;
