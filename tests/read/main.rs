//! Reading, checking and comparing archives, one property a test.

#[path = "../extract_support/mod.rs"]
mod extract_support;
#[path = "../pack_support/mod.rs"]
mod pack_support;
#[path = "../version_3_support/mod.rs"]
mod version_3_support;

mod batches;
mod damage_is_detected;
mod diff;
mod refuses;
mod version_3;
mod version_3_oddities;
