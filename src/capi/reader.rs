//! `znippy_reader`: an open archive, shared by any number of threads.

use std::ffi::{CStr, CString, c_char};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use super::boundary::{guarded, shielded};
use super::callback::Inside;
use super::error::znippy_error;
use super::handle::{Entered, Handle, Opaque, enter, find};
use super::options::{snapshot, znippy_options};
use super::pointer::{Out, invalid, required};
use super::types::{znippy_archive_info, znippy_status};
use crate::archive::Archive;
use crate::error::Result;
use crate::options::Options;

/// An open archive: immutable, counted references, any number of threads at once. It keeps no threads.
pub struct znippy_reader(());

impl Opaque for znippy_reader {
    type Inside = Reader;
    const TAG: u32 = u32::from_be_bytes(*b"ZRdr");
}

/// What stands behind a reader. C holds counted references to it, as `Arc` pointers.
pub(super) struct Reader {
    archive: Archive,
    /// Who is inside a callback that a call of this reader made.
    inside: Arc<Inside>,
    /// Schema metadata with the NULs that C needs.
    metadata: Vec<(CString, CString)>,
}

// Readers go to any thread; this stops compiling should an archive ever lose that.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Handle<Reader>>();
};

impl Reader {
    /// A reader of an archive.
    pub(super) fn new(archive: Archive, inside: Arc<Inside>) -> Reader {
        let pairs = archive.manifest().metadata.iter();
        // What has a NUL inside can't be asked for, or answered, in C.
        let pair = |(name, value): (&String, &String)| {
            Some((CString::new(name.as_str()).ok()?, CString::new(value.as_str()).ok()?))
        };
        let metadata = pairs.filter_map(pair).collect();
        Reader { archive, inside, metadata }
    }

    /// The first counted reference.
    pub(super) fn share(self) -> *mut znippy_reader {
        Arc::into_raw(Arc::new(Handle::new(znippy_reader::TAG, self))).cast_mut().cast()
    }
}

/// A call of a reader. It has a reference of its own, so that the host may drop its last one in a callback.
pub(super) struct Call<'a> {
    entered: Entered<'a, Reader>,
    // After `entered`, which looks into it when it is dropped.
    keep: Arc<Handle<Reader>>,
}

impl Call<'_> {
    /// Begins a call: the reader must be there, sound, and not inside one of its own callbacks on this thread.
    ///
    /// # Safety
    /// `reader` is null or readable; if it is a reader, the host holds a reference while the call begins.
    pub(super) unsafe fn begin<'a>(reader: *const znippy_reader) -> Result<Call<'a>> {
        // SAFETY: as promised by the caller.
        let entered = unsafe { enter(reader, "reader") }?;
        entered.inside.check("reader")?;
        // SAFETY: the tag says that `share` made it.
        let keep = unsafe { keep(reader) };
        Ok(Call { entered, keep })
    }

    /// Asks the archive.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Archive) -> Result<T>) -> Result<T> {
        self.entered.pass(question(&self.entered.archive))
    }

    /// A reference for what outlives the call.
    pub(super) fn share(&self) -> Arc<Handle<Reader>> {
        Arc::clone(&self.keep)
    }

    /// The archive, for what outlives the call.
    pub(super) fn share_archive(&self) -> Arc<dyn AsRef<Archive> + Send + Sync> {
        struct Shared(Arc<Handle<Reader>>);
        impl AsRef<Archive> for Shared {
            fn as_ref(&self) -> &Archive {
                &self.0.archive
            }
        }
        Arc::new(Shared(self.share()))
    }

    /// The options of this call. Its progress, log and filter functions count as inside the reader.
    ///
    /// # Safety
    /// `options` is null or readable.
    pub(super) unsafe fn options(&self, options: *const znippy_options) -> Result<Options> {
        // SAFETY: as promised by the caller.
        let mut options = unsafe { snapshot(options) }?;
        let function = options.progress().map(|function| Inside::watch(&self.entered.inside, function));
        options.set_progress(function);
        let log = options.log_function().map(|function| Inside::watch_log(&self.entered.inside, function));
        options.set_log(log);
        let filter = options.filter().map(|function| Inside::watch_filter(&self.entered.inside, function));
        options.set_filter(filter);
        Ok(options)
    }
}

impl AsRef<Archive> for Reader {
    fn as_ref(&self) -> &Archive {
        &self.archive
    }
}

impl Deref for Call<'_> {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.entered
    }
}

/// Another reference.
///
/// # Safety
/// `reader` came from [`Reader::share`] and somebody holds a reference.
unsafe fn keep(reader: *const znippy_reader) -> Arc<Handle<Reader>> {
    let handle = reader.cast::<Handle<Reader>>();
    // SAFETY: as promised by the caller; the count goes up for the reference that is made of it.
    unsafe {
        Arc::increment_strong_count(handle);
        Arc::from_raw(handle)
    }
}

/// Another reference to the same reader; NULL for NULL.
///
/// Ownership: the caller's, to be dropped by a znippy_reader_free() of its own. Threads: any. Errors: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_retain(reader: *const znippy_reader) -> *mut znippy_reader {
    // SAFETY: null or live as the header demands; the tag says that `share` made it.
    let retain =
        || unsafe { find(reader, "reader").map_or(ptr::null_mut(), |_| Arc::into_raw(keep(reader)).cast_mut().cast()) };
    shielded(ptr::null_mut(), retain)
}

/// Drops a reference; with the last one the archive is closed and its source released. Listings and buffers live
/// on. NULL is fine, and so is the middle of a callback.
///
/// Ownership: takes one reference. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_free(reader: *mut znippy_reader) {
    // SAFETY: null or live as the header demands; the tag says that `share` made it, and the host gives up one
    // reference.
    let free = || unsafe {
        if find(reader, "reader").is_ok() {
            drop(Arc::from_raw(reader.cast_const().cast::<Handle<Reader>>()));
        }
    };
    shielded((), free)
}

/// Number of entries; 0 for NULL.
///
/// Ownership: takes nothing. Threads: any number. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_entry_count(reader: *const znippy_reader) -> u64 {
    // SAFETY: null or live as the header demands.
    shielded(0, || unsafe { find(reader, "reader") }.map_or(0, |reader| reader.archive.entry_count()))
}

/// Facts about the archive. No blob is decoded.
///
/// Ownership: the caller's struct, with struct_size set. Threads: any number.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_info(
    reader: *const znippy_reader,
    info_out: *mut znippy_archive_info,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (reader, out) = unsafe { (Call::begin(reader)?, Out::required(info_out, "info_out")?) };
        let info = reader.ask(|archive| Ok(archive.info()))?;
        out.write(&znippy_archive_info {
            struct_size: 0,
            format_version: info.format_version,
            archive_size: info.archive_size,
            entries: info.entries,
            segments: info.segments,
            blobs: info.blobs,
            payload_size: info.payload_size,
            index_size: info.index_size,
            archive_digest: info.digest,
        });
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// What the archive records about itself under a name, such as "level" or "zstd_version": UTF-8, or NULL where
/// there is nothing.
///
/// Ownership: *value_out lives as long as the reader. Threads: any number.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_metadata(
    reader: *const znippy_reader,
    name: *const c_char,
    value_out: *mut *const c_char,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        if name.is_null() {
            return Err(invalid("name is NULL"));
        }
        let place = required(value_out, "value_out")?;
        // SAFETY: not null, and NUL-terminated as the header demands.
        let name = unsafe { CStr::from_ptr(name) };
        let value = reader.metadata.iter().find(|pair| pair.0.as_c_str() == name);
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(value.map_or(ptr::null(), |pair| pair.1.as_ptr())) };
        Ok(())
    };
    // SAFETY: null is allowed.
    unsafe { guarded(ptr::null_mut(), body) }
}

/// The digest of the tree: equal for equal trees, whatever the options, level and version they were packed with.
/// The whole index is read, no blob is decoded.
///
/// Ownership: the caller's 32 bytes. Threads: any number.
/// Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
///
/// cbindgen:ptrs-as-arrays=[[digest_out; 32]]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_reader_tree_digest(
    reader: *const znippy_reader,
    digest_out: *mut u8,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let reader = unsafe { Call::begin(reader) }?;
        let place = required(digest_out, "digest_out")?.cast::<[u8; 32]>();
        let digest = reader.ask(Archive::tree_digest)?;
        // SAFETY: not null, and writable for 32 bytes as the header demands; bytes need no alignment.
        unsafe { place.write(digest) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}
