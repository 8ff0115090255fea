//! The C interface: one file per handle, and no logic. Each function checks its pointers, converts, calls,
//! and converts back. `include/znippy.h` is generated from the comments and declarations in here; its top
//! says what holds for all functions, so the comments below repeat only what differs.
//!
//! ```text
//! constants  statuses, options, kinds, phases, flags      types     public structs and their sizes
//! boundary   panics end here                              handle    tags, poison, entering a handle
//! pointer    arguments from C                             callback  user data, progress, re-entry
//! library  error  options  cancel  oneshot  open  reader  entries  listing  diff   the functions
//! writer     archives from what the host adds            flow      its sinks and streams
//! source     bytes through the host's callbacks           buffer    library memory for one entry
//! provider   columns of the index that the host fills while it packs
//! arrow      the index through the Arrow C data and stream interfaces
//! ```

// C names; and the safety contract of all functions is the top of the header plus the declaration: pointers
// are null or point to what their type says, for as long as the call lasts.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]
// What a host passes can't make it panic: nothing is indexed, added or narrowed unchecked here.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

#[cfg(panic = "abort")]
compile_error!("the C interface promises that no defect ends the host: build with panic = \"unwind\"");

mod arrow;
mod boundary;
mod buffer;
mod callback;
mod cancel;
mod constants;
mod diff;
mod entries;
mod error;
mod flow;
mod handle;
mod library;
mod listing;
mod oneshot;
mod open;
mod options;
mod pointer;
mod provider;
mod reader;
mod source;
mod types;
mod writer;

pub use arrow::*;
pub use buffer::*;
pub use cancel::*;
pub use constants::*;
pub use diff::*;
pub use entries::*;
pub use error::*;
pub use library::*;
pub use listing::*;
pub use oneshot::*;
pub use open::*;
pub use options::*;
pub use provider::*;
pub use reader::*;
pub use types::*;
pub use writer::*;
