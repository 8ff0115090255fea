//! `znippy_listing`: entries, owned, with paths that C can use.

use std::ffi::c_char;
use std::ptr;

use super::boundary::{guarded, shielded};
use super::constants::*;
use super::error::znippy_error;
use super::handle::{Handle, Opaque, enter, find, give, take_back};
use super::pointer::{Out, invalid, required};
use super::reader::{Call, znippy_reader};
use super::types::{znippy_entry_info, znippy_status};
use crate::archive::{Entry, Listing};
use crate::error::{Error, Result, Status};

/// A run of entries: immutable, any number of threads at once. It outlives the reader that it came from.
pub struct znippy_listing(());

impl Opaque for znippy_listing {
    type Inside = Entries;
    const TAG: u32 = u32::from_be_bytes(*b"ZLst");
}

/// A listing and the strings of its entries, which stand in the index without the NULs that C needs.
pub(super) struct Entries {
    listing: Listing,
    /// Path, NUL, target, NUL of each entry that has them. Never changed once it is filled: C points into it.
    text: Vec<u8>,
    /// Where each entry's path starts in `text`.
    starts: Vec<usize>,
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Handle<Entries>>();
};

impl Entries {
    fn new(listing: Listing) -> Result<Entries> {
        let count = listing.len();
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        crate::error::reserve(&mut starts, count)?;
        for position in 0..count {
            let (path, target) = listing.names(position).ok_or_else(|| missing(position))?;
            starts.push(text.len());
            append(&mut text, path)?;
            if let Some(target) = target {
                append(&mut text, target)?;
            }
        }
        Ok(Entries { listing, text, starts })
    }

    fn info(&self, position: usize) -> Result<znippy_entry_info> {
        let (entry, start) = self
            .listing
            .get(position)
            .zip(self.starts.get(position).copied())
            .ok_or_else(|| invalid(format!("position {position} is not below {}", self.starts.len())))?;
        Ok(describe(&entry, self.text.get(start..).unwrap_or_default()))
    }
}

/// An entry's strings as [`describe`] wants them.
pub(super) fn strings(path: &[u8], target: Option<&[u8]>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    append(&mut text, path)?;
    target.map_or(Ok(()), |target| append(&mut text, target))?;
    Ok(text)
}

pub(super) fn append(text: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    // Grows by doubling, as the total isn't known before; still an error and not an abort.
    text.try_reserve(bytes.len().saturating_add(1))
        .map_err(|_| Error::new(Status::NoMemory, "no memory for the paths of a listing; ask for fewer entries"))?;
    text.extend_from_slice(bytes);
    text.push(0);
    Ok(())
}

fn missing(position: usize) -> Error {
    Error::new(Status::Corrupt, format!("the index has no entry at position {position} of the listing"))
}

/// An entry as C sees it; `text` starts with its path and target.
pub(super) fn describe(entry: &Entry<'_>, text: &[u8]) -> znippy_entry_info {
    let attributes = &entry.attributes;
    let flag = |present: bool, bit: u32| if present { bit } else { 0 };
    let target = attributes
        .link_target
        .map(|target| (text.as_ptr().wrapping_add(entry.path.len().saturating_add(1)), target.len()));
    znippy_entry_info {
        struct_size: 0,
        kind: u32::from(entry.kind),
        index: entry.index,
        path: text.as_ptr().cast::<c_char>(),
        path_len: entry.path.len(),
        link_target: target.map_or(ptr::null(), |target| target.0.cast()),
        link_target_len: target.map_or(0, |target| target.1),
        size: entry.size,
        stored_size: entry.stored_size,
        mtime_ns: attributes.mtime_ns.unwrap_or(0),
        rdev: attributes.rdev.unwrap_or(0),
        mode: attributes.mode.unwrap_or(0),
        uid: attributes.uid.unwrap_or(0),
        gid: attributes.gid.unwrap_or(0),
        slice_count: entry.slices,
        flags: flag(attributes.mode.is_some(), ZNIPPY_ENTRY_HAS_MODE)
            | flag(attributes.mtime_ns.is_some(), ZNIPPY_ENTRY_HAS_MTIME)
            | flag(attributes.uid.is_some(), ZNIPPY_ENTRY_HAS_UID)
            | flag(attributes.gid.is_some(), ZNIPPY_ENTRY_HAS_GID)
            | flag(attributes.rdev.is_some(), ZNIPPY_ENTRY_HAS_RDEV)
            | flag(entry.hash.is_some(), ZNIPPY_ENTRY_HAS_HASH)
            | flag(entry.unverified, ZNIPPY_ENTRY_UNVERIFIED),
        reserved0: 0,
        hash: entry.hash.unwrap_or([0; 32]),
    }
}

/// Lists up to capacity entries from number first on, in the order of the index; fewer, or none, at the end.
///
/// Ownership: *listing_out is the caller's, freed by znippy_listing_free(); it keeps what it needs of the index.
/// Threads: any number. Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_list(
    reader: *const znippy_reader,
    first: u64,
    capacity: usize,
    listing_out: *mut *mut znippy_listing,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let place = required(listing_out, "listing_out")?;
        let entries = Entries::new(reader.ask(|archive| archive.list(first, capacity))?)?;
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(give(entries)) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Number of entries in the listing; 0 for NULL.
///
/// Ownership: takes nothing. Threads: any number. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_listing_count(listing: *const znippy_listing) -> usize {
    // SAFETY: null or live as the header demands.
    shielded(0, || unsafe { find(listing, "listing") }.map_or(0, |entries| entries.starts.len()))
}

/// The entry at a position of the listing, from 0.
///
/// Ownership: the caller's struct, with struct_size set; path and link_target live as long as the listing.
/// Threads: any number. Errors: ZNIPPY_E_INVALID_ARGUMENT, also for a position beyond the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_listing_get(
    listing: *const znippy_listing,
    position: usize,
    info_out: *mut znippy_entry_info,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (entries, out) = unsafe { (enter(listing, "listing")?, Out::required(info_out, "info_out")?) };
        out.write(&entries.info(position)?);
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Frees a listing and with it the paths that came from it; NULL is fine.
///
/// Ownership: takes the listing. Threads: any, once, and not while another thread uses it. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_listing_free(listing: *mut znippy_listing) {
    // SAFETY: the host gives up its only pointer.
    shielded((), || unsafe { drop(take_back(listing)) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::row::{Attributes, EntryKind};
    use std::ffi::CStr;

    #[test]
    fn entry_keeps_every_attribute_and_says_which_it_has() {
        let attributes = Attributes {
            mode: Some(0o755),
            mtime_ns: Some(-5),
            uid: Some(0),
            link_target: Some(b"../t"),
            ..Attributes::default()
        };
        let entry = Entry {
            index: 7,
            path: b"dir/\xFF",
            kind: EntryKind::Symlink as u8,
            attributes,
            size: 0,
            stored_size: 0,
            slices: 0,
            hash: None,
            unverified: false,
        };
        let mut text = Vec::new();
        append(&mut text, entry.path).unwrap();
        append(&mut text, b"../t").unwrap();
        let info = describe(&entry, &text);
        // SAFETY: `text` is live and holds both with their NULs.
        let (path, target) = unsafe { (CStr::from_ptr(info.path), CStr::from_ptr(info.link_target)) };
        assert_eq!((path, info.path_len), (c"dir/\xFF", 5));
        assert_eq!((target, info.link_target_len), (c"../t", 4));
        assert_eq!((info.kind, info.index, info.mode, info.mtime_ns), (ZNIPPY_KIND_SYMLINK, 7, 0o755, -5));
        assert_eq!(info.flags, ZNIPPY_ENTRY_HAS_MODE | ZNIPPY_ENTRY_HAS_MTIME | ZNIPPY_ENTRY_HAS_UID);

        let plain = Entry { attributes: Attributes::default(), hash: Some([3; 32]), ..entry };
        let info = describe(&plain, &text);
        assert!(info.link_target.is_null());
        assert_eq!((info.flags, info.hash), (ZNIPPY_ENTRY_HAS_HASH, [3; 32]));
        let unverified = Entry { hash: None, unverified: true, ..plain };
        assert_eq!(describe(&unverified, &text).flags, ZNIPPY_ENTRY_UNVERIFIED);
    }
}
