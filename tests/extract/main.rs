//! Unpacking, one property a test.

#[path = "../extract_support/mod.rs"]
mod extract_support;
#[path = "../pack_support/mod.rs"]
mod pack_support;

mod atomic;
mod dry_run;
mod duplicates;
mod entry;
mod fails_cleanly;
mod filters;
mod function;
mod keeps_going;
mod mounts;
mod restores;
mod stays_inside;
mod untrusted;
mod updates;
mod xattrs;
