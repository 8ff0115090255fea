//! An archive from blobs and rows that are there already: for salvage. Nothing is compressed but the index.

use std::path::Path;

use crate::error::Result;
use crate::format::blobs::Blob;
use crate::format::container;
use crate::format::extra::ExtraColumn;
use crate::format::hash::hash;
use crate::format::manifest::Manifest;
use crate::format::schema::Metadata;
use crate::options::{Key, Options};
use crate::pack::finish::{INDEX_LEVEL, IndexWriter, seal, write_blob_table};
use crate::pack::output::Output;
use crate::pack::xattrs::write_section;

/// Takes blobs, then rows.
pub(crate) struct Rewriter {
    output: Output,
    blobs: Vec<Blob>,
}

impl Rewriter {
    /// # Errors
    /// `E_EXISTS` where the name is taken and `overwrite` is not set.
    pub(crate) fn create(archive: &Path, options: &Options) -> Result<Rewriter> {
        Ok(Rewriter { output: Output::file(archive, options.overwrite(), options)?, blobs: Vec::new() })
    }

    /// Writes a blob as it is; where it stands now.
    pub(crate) fn blob(&mut self, stored: &[u8], decoded: u64) -> Result<u64> {
        self.begin()?;
        let offset = self.output.position();
        self.output.append(stored)?;
        self.blobs.push(Blob { offset, stored: stored.len() as u64, decoded, hash: hash(stored) });
        Ok(offset)
    }

    /// Writes the index, whose rows `fill` gives in order, and gives the archive its name; its bytes.
    pub(crate) fn finish(
        mut self,
        metadata: Metadata,
        columns: &[ExtraColumn],
        xattrs: Option<(&[u8], u64)>,
        options: &Options,
        fill: impl FnOnce(&mut IndexWriter<'_>) -> Result<()>,
    ) -> Result<u64> {
        self.begin()?;
        let output = &mut self.output;
        let mut manifest = Manifest { metadata, ..Manifest::default() };
        manifest.sections.push(write_blob_table(&self.blobs, output)?);
        let level = (!options.flag(Key::PlainIndex)).then_some(INDEX_LEVEL);
        if let Some((bytes, sets)) = xattrs {
            manifest.sections.push(write_section(bytes, sets, level, output)?);
        }
        let mut writer = IndexWriter::new(columns, &manifest.metadata, options, output)?;
        fill(&mut writer)?;
        manifest.segments = writer.end()?;
        seal(&manifest, output)?;
        output.commit()?;
        Ok(output.position())
    }

    fn begin(&mut self) -> Result<()> {
        match self.output.position() {
            0 => self.output.append(&container::head()),
            _ => Ok(()),
        }
    }
}
