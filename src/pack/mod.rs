//! STUB.
use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::stats::Stats;
use std::path::Path;
/// Packs a directory into an archive.
pub fn pack_directory(_source: &Path, _archive: &Path, _options: &Options) -> Result<Stats> {
    Err(Error::new(Status::Unsupported, "stub"))
}
