//! `znippy_writer`: an archive on its way, from trees, files, buffers and streams, to a file or to the host.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::boundary::{guarded, shielded};
use super::constants::{
    ZNIPPY_ENTRY_HAS_GID, ZNIPPY_ENTRY_HAS_HASH, ZNIPPY_ENTRY_HAS_MODE, ZNIPPY_ENTRY_HAS_MTIME, ZNIPPY_ENTRY_HAS_RDEV,
    ZNIPPY_ENTRY_HAS_UID,
};
use super::error::znippy_error;
use super::flow::{CallbackSink, CallbackStream};
use super::handle::{Entered, Handle, Opaque, enter, find};
use super::oneshot::write_stats;
use super::options::{snapshot, znippy_options};
use super::pointer::{Out, bytes, host_path, invalid, required, struct_size};
use super::reader::{self, znippy_reader};
use super::types::{znippy_entry_info, znippy_sink, znippy_stats, znippy_status, znippy_stream};
use crate::error::{Error, Result, Status};
use crate::format::row::EntryKind;
use crate::pack::{self, NewEntry};
use crate::sync::Mutex;

/// An archive on its way: one thread at a time, any thread. It keeps worker threads from the first call that adds
/// something to znippy_writer_finish() or znippy_writer_free().
pub struct znippy_writer(());

impl Opaque for znippy_writer {
    type Inside = Writer;
    const TAG: u32 = u32::from_be_bytes(*b"ZWrt");
}

/// What stands behind a writer, by an `Arc` pointer.
pub(super) struct Writer {
    /// The process whose threads work for it.
    process: u32,
    /// Held by the call that is going on: any other, from a callback too, is refused and not kept waiting.
    writer: Mutex<pack::Writer>,
}

impl Writer {
    fn share(writer: pack::Writer) -> *mut znippy_writer {
        let inside = Writer { process: std::process::id(), writer: Mutex::new(writer) };
        Arc::into_raw(Arc::new(Handle::new(znippy_writer::TAG, inside))).cast_mut().cast()
    }

    fn check_process(&self) -> Result<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        Err(Error::new(Status::Forked, "writer was made before fork(); only the process that made it can use it"))
    }
}

/// A call of a writer. It has a reference of its own, so that the host may free the writer in a callback.
struct Call<'a> {
    entered: Entered<'a, Writer>,
    // After `entered`, which looks into it when it is dropped.
    _keep: Arc<Handle<Writer>>,
}

impl Call<'_> {
    /// Begins a call.
    ///
    /// # Safety
    /// `writer` is null or readable; if it is a writer, it is not freed before the call has begun.
    unsafe fn begin<'a>(writer: *mut znippy_writer) -> Result<Call<'a>> {
        // SAFETY: as promised by the caller. In a child process nothing but the tag and the process is looked at.
        unsafe { find(writer, "writer") }?.check_process()?;
        // SAFETY: as promised by the caller; the tag says that `share` made it, and the count goes up for the
        // reference that is made of it.
        unsafe {
            let entered = enter(writer.cast_const(), "writer")?;
            let handle = writer.cast_const().cast::<Handle<Writer>>();
            Arc::increment_strong_count(handle);
            Ok(Call { entered, _keep: Arc::from_raw(handle) })
        }
    }

    /// Does what the call is for.
    fn work<T>(&self, work: impl FnOnce(&mut pack::Writer) -> Result<T>) -> Result<T> {
        let Some(mut writer) = self.entered.writer.try_lock() else {
            let why = "writer is busy: it is called from one of its own callbacks, or from two threads at once";
            return Err(Error::new(Status::Busy, why));
        };
        self.entered.pass(work(&mut writer))
    }
}

/// Begins an archive that is to stand under exactly the name archive_path. It appears there, complete and synced, when
/// znippy_writer_finish() succeeds, and not before.
///
/// Ownership: *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
/// Errors: any of I/O, ZNIPPY_E_EXISTS where the name is taken and ZNIPPY_OPT_OVERWRITE doesn't say otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_create(
    archive_path: *const c_char,
    options: *const znippy_options,
    writer_out: *mut *mut znippy_writer,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (archive, options) = unsafe { (host_path(archive_path, "archive_path")?, snapshot(options)?) };
        let place = required(writer_out, "writer_out")?;
        let writer = Writer::share(pack::Writer::create(archive, &options)?);
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(writer) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Opens an archive to add to it. All that it holds stays byte for byte; new bytes that it has are not stored again.
/// znippy_writer_finish() puts the result, complete and synced, in its place; until then, and where anything fails,
/// the old archive stands. Options that decide the layout are those that the archive records, where they are not set.
///
/// Paths that the archive has are taken: they are refused, or replaced where ZNIPPY_OPT_DUPLICATE_PATHS says so, which
/// leaves the old bytes in the archive, unused, until it is appended to with ZNIPPY_OPT_COMPACT; nothing need be added
/// then. Directories only get new attributes. The archive's columns and extended attributes are kept.
///
/// Ownership: *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
/// Errors: any of I/O and format, ZNIPPY_E_UNSUPPORTED for an archive with something that could not be kept,
/// ZNIPPY_E_CHECKSUM at the end where new bytes would rest on old ones that are not what the archive says,
/// ZNIPPY_E_CHANGED at the end where another archive stands there by then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_append(
    archive_path: *const c_char,
    options: *const znippy_options,
    writer_out: *mut *mut znippy_writer,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (archive, options) = unsafe { (host_path(archive_path, "archive_path")?, snapshot(options)?) };
        let place = required(writer_out, "writer_out")?;
        let writer = Writer::share(pack::Writer::append(archive, &options)?);
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(writer) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Begins an archive whose bytes go to callbacks, from the first to the last, as a pipe or an upload needs them. They
/// are those that the file would have. The callbacks run inside calls of the writer, on the thread that made them.
///
/// Ownership: the struct is copied. sink->user_data is the library's when the call begins, whatever it returns, save
/// for a struct_size that is too small; sink->release gives it back once, on failure before the call returns, else
/// when the writer is freed. *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT. The sink isn't called yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_create_sink(
    sink: *const znippy_sink,
    options: *const znippy_options,
    writer_out: *mut *mut znippy_writer,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (sink, options) = unsafe { (CallbackSink::new(sink)?, snapshot(options)?) };
        let place = required(writer_out, "writer_out")?;
        let writer = Writer::share(pack::Writer::to_sink(Box::new(sink), &options));
        // SAFETY: not null, and writable as the header demands.
        unsafe { place.write(writer) };
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Labels what is added from here on, trees and entries, in the index column `repo`, in place of what ZNIPPY_OPT_REPO
/// said. With repo_len 0 there is no label.
///
/// Ownership: the bytes are copied. Threads: one at a time.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT for what is no UTF-8 or has over 4,096 bytes, ZNIPPY_E_BUSY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_set_repo(
    writer: *mut znippy_writer,
    repo: *const c_char,
    repo_len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, repo) = unsafe { (Call::begin(writer)?, bytes(repo.cast(), repo_len, "repo")?) };
        writer.work(|writer| writer.set_repo(repo))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Adds everything below the directory src_path, with prefix and a slash in front of each path; the directory itself
/// becomes the entry prefix. With prefix_len 0 its attributes are those of the archive's own root. A directory that
/// was added before gets the attributes of this one. All of it has been read when this returns.
///
/// Ownership: takes nothing. Threads: one at a time.
/// Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_EXISTS and ZNIPPY_E_INVALID_ARGUMENT for paths that are taken or lie
/// below a file, ZNIPPY_E_CANCELLED. Once files are being packed an error is final, see znippy_writer_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_add_tree(
    writer: *mut znippy_writer,
    src_path: *const c_char,
    prefix: *const c_char,
    prefix_len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, source, prefix) = unsafe {
            (Call::begin(writer)?, host_path(src_path, "src_path")?, bytes(prefix.cast(), prefix_len, "prefix")?)
        };
        writer.work(|writer| writer.add_tree(source, prefix))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Adds all entries of an archive, with prefix and a slash in front of each path, as with a tree; what is recorded of the
/// archive's root becomes the entry prefix. With prefix_len 0 that is recorded of the new archive's own root. So archives are
/// merged: create a writer, or open an archive by znippy_writer_append(), and add others to it.
///
/// Blobs are copied as they are, each after its stored bytes were checked; one that is there already, or all of whose bytes are,
/// is not stored again. Attributes, hard links, extended attributes, labels and columns come along; an entry without a
/// label gets that of znippy_writer_set_repo(). Directories that were there before get the attributes of these. Filters
/// and providers don't see the entries; ZNIPPY_OPT_MTIMES and ZNIPPY_OPT_MODES count for them. Where bytes from elsewhere
/// would rest on a slice of the archive, it is decoded and hashed at znippy_writer_finish(), and everything is where
/// ZNIPPY_OPT_BASE_CHECK is 2.
///
/// Ownership: the writer takes a reference to the reader, until it is freed; the caller may free its own. Threads: one at a
/// time; the reader may be in use elsewhere.
/// Errors: those of reading the archive, ZNIPPY_E_EXISTS and ZNIPPY_E_INVALID_ARGUMENT for paths as with
/// znippy_writer_add_tree(), ZNIPPY_E_INVALID_ARGUMENT for a column that is there with another type, ZNIPPY_E_UNSUPPORTED
/// for an archive of format version 3 or with something that could not be kept, ZNIPPY_E_BUSY from a callback of the
/// reader, ZNIPPY_E_CANCELLED. Once blobs are being copied an error is final, see znippy_writer_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_add_archive(
    writer: *mut znippy_writer,
    archive: *const znippy_reader,
    prefix: *const c_char,
    prefix_len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, prefix) = unsafe { (Call::begin(writer)?, bytes(prefix.cast(), prefix_len, "prefix")?) };
        // SAFETY: null or live as the header demands.
        let archive = unsafe { reader::Call::begin(archive) }?.share_archive();
        writer.work(|writer| writer.add_archive(archive, prefix))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Adds the regular file src_path, which may be a symbolic link to one, as path, with its mode and modification time,
/// with its owner where ZNIPPY_OPT_RECORD_IDS is set, and with its extended attributes where ZNIPPY_OPT_XATTRS is. The
/// file has been read when this returns and may go.
///
/// Ownership: takes nothing. Threads: one at a time.
/// Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_EXISTS, ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_INVALID_ARGUMENT,
/// ZNIPPY_E_CANCELLED. Those of reading the file leave the writer usable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_add_file(
    writer: *mut znippy_writer,
    src_path: *const c_char,
    path: *const c_char,
    path_len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, source, path) =
            unsafe { (Call::begin(writer)?, host_path(src_path, "src_path")?, bytes(path.cast(), path_len, "path")?) };
        writer.work(|writer| writer.add_file(source, path))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Adds a file of len bytes, or with len 0 an entry of any kind. Of meta the kind and the path count, the link_target
/// of links (of a hard link: the path of a file that was added before), and mode, mtime_ns, uid, gid and rdev as far as
/// flags name them; what flags don't name is not recorded. So the record of an entry of another archive will do.
///
/// A directory with path_len 0 is the archive's own root: its mode and mtime_ns are recorded, and it is no entry.
///
/// Ownership: takes nothing; meta and bytes may go when this returns. Threads: one at a time.
/// Errors: ZNIPPY_E_EXISTS where the path was added before, unless both are directories or ZNIPPY_OPT_DUPLICATE_PATHS
/// says otherwise,
/// ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_UNSUPPORTED for an unknown kind, any of I/O,
/// ZNIPPY_E_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_add_buffer(
    writer: *mut znippy_writer,
    meta: *const znippy_entry_info,
    data: *const c_void,
    len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, entry, data) = unsafe { (Call::begin(writer)?, new_entry(meta)?, bytes(data, len, "data")?) };
        writer.work(|writer| writer.add_bytes(&entry, data))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Adds a file of the bytes that stream->read gives, up to its end. Of meta the same counts as for
/// znippy_writer_add_buffer(); the size need not be known.
///
/// Ownership: the structs are copied. stream->user_data is the library's when the call begins, whatever it returns,
/// save for a struct_size that is too small; stream->release gives it back once, before the call returns.
/// Threads: one at a time; read runs on the thread that made the call.
/// Errors: those of znippy_writer_add_buffer(), and what read reports, which leaves the writer usable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_add_stream(
    writer: *mut znippy_writer,
    meta: *const znippy_entry_info,
    stream: *const znippy_stream,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands. The stream is first: it is released whatever else is wrong.
        let (stream, writer, entry) = unsafe { (CallbackStream::new(stream)?, Call::begin(writer)?, new_entry(meta)?) };
        writer.work(|writer| writer.add_stream(&entry, |buffer| stream.read(buffer)))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Gives what the last call added an extended attribute, such as "user.mime_type", whatever ZNIPPY_OPT_XATTRS says. The
/// last call was znippy_writer_add_buffer(), znippy_writer_add_stream() or this one. Access control lists,
/// capabilities and labels are attributes too, with the values that the kernel gives them.
///
/// Ownership: the bytes are copied. Threads: one at a time.
/// Errors: ZNIPPY_E_INVALID_STATE where the last call failed or added something else, ZNIPPY_E_LIMIT for a name that is
/// empty, has over 255 bytes or was given before, and for a value of over 64 KiB, ZNIPPY_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_set_xattr(
    writer: *mut znippy_writer,
    name: *const c_char,
    name_len: usize,
    value: *const c_void,
    value_len: usize,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, name, value) =
            unsafe { (Call::begin(writer)?, bytes(name.cast(), name_len, "name")?, bytes(value, value_len, "value")?) };
        writer.work(|writer| writer.set_xattr(name, value))
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Writes what is left and the index, joins the threads, and gives the archive its name, or calls the sink's finish.
/// The writer can only be freed afterwards.
///
/// Ownership: takes nothing; stats_out may be NULL. Threads: one at a time.
/// Errors: any of I/O, ZNIPPY_E_EXISTS, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED; all are final.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_finish(
    writer: *mut znippy_writer,
    stats_out: *mut znippy_stats,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let (writer, out) = unsafe { (Call::begin(writer)?, Out::optional(stats_out, "stats_out")?) };
        write_stats(out, &writer.work(pack::Writer::finish)?);
        Ok(())
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Frees a writer; NULL is fine. One that isn't finished leaves nothing: no archive, no temporary file, no thread. In
/// one of its callbacks it takes effect when the call ends. In a child process after fork() the memory is given up and
/// nothing else happens.
///
/// An error of a writer is final where something was half done: failures of writing the archive, of reading a tree
/// whose files were being packed, a cancel. Its threads have ended then, and all calls but this one answer
/// ZNIPPY_E_INVALID_STATE. All other errors leave the writer as if the call had not been made.
///
/// Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_writer_free(writer: *mut znippy_writer) {
    // SAFETY: null or live as the header demands; the tag says that `share` made it, and the host gives up its
    // reference.
    let free = || unsafe {
        if find(writer, "writer").is_ok_and(|inside| inside.check_process().is_ok()) {
            drop(Arc::from_raw(writer.cast_const().cast::<Handle<Writer>>()));
        }
    };
    shielded((), free)
}

/// What the host says of an entry.
///
/// # Safety
/// `meta` is null, or its first four bytes are set and as many bytes as they say are readable; its path and target
/// are readable for their lengths and don't change for `'a`.
unsafe fn new_entry<'a>(meta: *const znippy_entry_info) -> Result<NewEntry<'a>> {
    if meta.is_null() {
        return Err(invalid("meta is NULL"));
    }
    // SAFETY: not null, and as large as it says; fields are read only once the size covers all of them.
    let meta = unsafe {
        struct_size(meta, "meta")?;
        meta.read_unaligned()
    };
    // SAFETY: as promised by the caller.
    let (path, target) = unsafe {
        (
            bytes(meta.path.cast(), meta.path_len, "meta->path")?,
            bytes(meta.link_target.cast(), meta.link_target_len, "meta->link_target")?,
        )
    };
    let known = ZNIPPY_ENTRY_HAS_MODE
        | ZNIPPY_ENTRY_HAS_MTIME
        | ZNIPPY_ENTRY_HAS_UID
        | ZNIPPY_ENTRY_HAS_GID
        | ZNIPPY_ENTRY_HAS_RDEV
        | ZNIPPY_ENTRY_HAS_HASH;
    if meta.flags & !known != 0 {
        return Err(invalid(format!("meta->flags has unknown bits: {:#x}", meta.flags)).with_entry(path));
    }
    let kind = u8::try_from(meta.kind).ok().and_then(EntryKind::from_number).ok_or_else(|| {
        let why = format!("kind {} is not known to this version of the library", meta.kind);
        Error::new(Status::Unsupported, why).with_entry(path)
    })?;
    let has = |flag| meta.flags & flag != 0;
    Ok(NewEntry {
        path,
        kind,
        mode: has(ZNIPPY_ENTRY_HAS_MODE).then_some(meta.mode),
        mtime_ns: has(ZNIPPY_ENTRY_HAS_MTIME).then_some(meta.mtime_ns),
        uid: has(ZNIPPY_ENTRY_HAS_UID).then_some(meta.uid),
        gid: has(ZNIPPY_ENTRY_HAS_GID).then_some(meta.gid),
        rdev: has(ZNIPPY_ENTRY_HAS_RDEV).then_some(meta.rdev),
        target,
    })
}
