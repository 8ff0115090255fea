//! Index segments: rows into an Arrow IPC stream and back.
//!
//! A segment that was decoded has been checked whole: its stream by [`ipc_guard`](super::ipc_guard), its arrays by arrow, and
//! the meaning of its rows here. What spans segments is checked by whoever walks them in order.

mod build;
mod check;
mod segment;

pub use build::SegmentBuilder;
pub use check::Expected;
pub use segment::Segment;
