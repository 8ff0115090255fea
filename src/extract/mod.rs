//! STUB.
use crate::archive::Archive;
use crate::error::{Error, Result, Status};
use crate::options::Options;
use crate::stats::Stats;
use std::path::Path;
/// Restores a tree. `destination` is made where it doesn't exist; its parent must exist.
pub fn extract_all(_archive: &Archive, _destination: &Path, _options: &Options) -> Result<Stats> {
    Err(Error::new(Status::Unsupported, "stub"))
}
