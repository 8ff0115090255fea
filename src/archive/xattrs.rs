//! Extended attributes of entries.

use std::sync::Arc;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::format::row::Row;
use crate::format::xattrs::{self, Attributes, XattrSets};

impl Archive {
    /// The archive's sets of extended attributes, loaded and checked by the first who asks.
    ///
    /// # Errors
    /// `E_CORRUPT` or `E_CHECKSUM` where the section is damaged, or lacks the root's set.
    pub fn xattr_sets(&self) -> Result<&Arc<XattrSets>> {
        self.xattrs.get_or_try_init(|| {
            let sets = match self.manifest().section(xattrs::SECTION_NAME) {
                Some(part) => XattrSets::decode(self.read_part(part)?, part.rows)?,
                None => XattrSets::default(),
            };
            if let Some(id) = self.root_xattr_id()? {
                sets.get(id)?;
            }
            Ok(Arc::new(sets))
        })
    }

    /// The extended attributes of an entry, in order of their names; none where none are recorded.
    pub fn entry_xattrs(&self, index: u64) -> Result<Attributes<'_>> {
        let place = self.place(index)?;
        let row = place.first_row();
        match row.attributes.and_then(|attributes| attributes.xattr_id) {
            Some(id) => self.xattr_sets()?.get(id).map_err(|error| error.with_entry(row.path)),
            None => Ok(Attributes::default()),
        }
    }

    /// The number of the root directory's own set.
    pub fn root_xattr_id(&self) -> Result<Option<u32>> {
        let text = self.manifest().metadata.get(xattrs::ROOT_KEY);
        let number = text.map(|text| {
            let malformed = || Error::corrupt("manifest.root", "the manifest's root_xattr_id is not a number");
            text.parse().map_err(|_| malformed())
        });
        number.transpose()
    }
}

/// Whether the set that a row names is there.
pub(super) fn check_row(row: &Row<'_>, sets: &XattrSets) -> Result<()> {
    match row.attributes.and_then(|attributes| attributes.xattr_id) {
        Some(id) => sets.get(id).map(|_| ()),
        None => Ok(()),
    }
}
