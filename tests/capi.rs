//! The C functions, called as C calls them, over a small archive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::{CStr, CString, c_void};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};

use znippy::capi::*;

/// A packed tree, open.
struct Fixture {
    folder: tempfile::TempDir,
    archive: CString,
    bytes: Vec<u8>,
    reader: *mut znippy_reader,
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Bytes that don't compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("dir")).unwrap();
        std::fs::write(tree.join("dir/a.txt"), b"first file").unwrap();
        std::fs::write(tree.join("dir/b.txt"), b"second").unwrap();
        // More than what opening reads of the tail, so that reading an entry goes to the source.
        std::fs::write(tree.join("dir/noise"), noise(300_000)).unwrap();
        std::os::unix::fs::symlink("a.txt", tree.join("dir/link")).unwrap();
        let path = folder.path().join("tree.znippy");
        let (tree, archive) = (c_path(&tree), c_path(&path));
        let mut stats = stats(size_of::<znippy_stats>() as u32);
        let mut reader = null_mut();
        // SAFETY: live strings and places.
        unsafe {
            let status = znippy_compress_dir(tree.as_ptr(), archive.as_ptr(), null(), &raw mut stats, null_mut());
            assert_eq!((status, stats.files, stats.symlinks), (ZNIPPY_OK, 3, 1));
            assert_eq!(stats.struct_size as usize, size_of::<znippy_stats>());
            assert_eq!(znippy_reader_open(archive.as_ptr(), null(), &raw mut reader, null_mut()), ZNIPPY_OK);
        }
        let bytes = std::fs::read(path).unwrap();
        Fixture { folder, archive, bytes, reader }
    }

    fn find(&self, path: &str) -> Result<u64, i32> {
        let mut index = 99;
        // SAFETY: live reader, string and place.
        match unsafe { znippy_reader_find(self.reader, path.as_ptr().cast(), path.len(), &raw mut index, null_mut()) } {
            ZNIPPY_OK => Ok(index),
            status => Err(status),
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // SAFETY: the fixture's own reference.
        unsafe { znippy_reader_free(self.reader) }
    }
}

fn stats(struct_size: u32) -> znippy_stats {
    // SAFETY: a struct of numbers.
    znippy_stats { struct_size, ..unsafe { std::mem::zeroed() } }
}

fn read(reader: *const znippy_reader, index: u64, offset: u64, room: usize) -> Result<Vec<u8>, i32> {
    let mut buffer = vec![0; room];
    let mut len = 0;
    let place = buffer.as_mut_ptr().cast();
    // SAFETY: live reader, buffer and place.
    match unsafe { znippy_reader_read_at(reader, index, offset, place, room, &raw mut len, null_mut()) } {
        ZNIPPY_OK => Ok(buffer[..len].to_vec()),
        status => Err(status),
    }
}

#[test]
fn entries_are_found_listed_and_read() {
    let fixture = Fixture::new();
    let reader = fixture.reader;
    let index = fixture.find("dir/a.txt").unwrap();
    assert_eq!(read(reader, index, 0, 100).unwrap(), b"first file");
    assert_eq!(read(reader, index, 6, 2).unwrap(), b"fi");
    assert_eq!(read(reader, index, 1000, 2).unwrap(), b"");
    assert_eq!(fixture.find("dir/missing"), Err(ZNIPPY_E_NOT_FOUND));
    assert_eq!(fixture.find(""), Err(ZNIPPY_E_INVALID_ARGUMENT));
    // SAFETY: live handles and places; each is freed once.
    unsafe {
        let mut buffer = znippy_buffer { data: null_mut(), len: 0, priv_: 0 };
        assert_eq!(znippy_reader_read(reader, index, null(), &raw mut buffer, null_mut()), ZNIPPY_OK);
        assert_eq!(std::slice::from_raw_parts(buffer.data, buffer.len), b"first file");
        znippy_buffer_free(&raw mut buffer);

        let (mut first, mut count) = (0, 0);
        let status = znippy_reader_find_prefix(reader, null(), 0, &raw mut first, &raw mut count, null_mut());
        assert_eq!((status, first, count), (ZNIPPY_OK, 0, znippy_reader_entry_count(reader)));

        let mut listing = null_mut();
        assert_eq!(znippy_reader_list(reader, first, usize::MAX >> 1, &raw mut listing, null_mut()), ZNIPPY_OK);
        assert_eq!(znippy_listing_count(listing) as u64, count);
        let mut info: znippy_entry_info = std::mem::zeroed();
        info.struct_size = size_of::<znippy_entry_info>() as u32;
        let mut names = Vec::new();
        for position in 0..znippy_listing_count(listing) {
            assert_eq!(znippy_listing_get(listing, position, &raw mut info, null_mut()), ZNIPPY_OK);
            names.push(CStr::from_ptr(info.path).to_str().unwrap().to_owned());
            assert_eq!(info.path_len, names[position].len());
            if info.kind == ZNIPPY_KIND_SYMLINK {
                assert_eq!(CStr::from_ptr(info.link_target), c"a.txt");
            }
        }
        assert_eq!(names, ["dir", "dir/a.txt", "dir/b.txt", "dir/link", "dir/noise"]);
        let status = znippy_listing_get(listing, names.len(), &raw mut info, null_mut());
        assert_eq!(status, ZNIPPY_E_INVALID_ARGUMENT);
        znippy_listing_free(listing);
    }
}

#[test]
fn facts_and_checks_of_the_whole_archive() {
    let fixture = Fixture::new();
    let reader = fixture.reader;
    // SAFETY: live handles and places.
    unsafe {
        let mut info: znippy_archive_info = std::mem::zeroed();
        info.struct_size = size_of::<znippy_archive_info>() as u32;
        assert_eq!(znippy_reader_info(reader, &raw mut info, null_mut()), ZNIPPY_OK);
        assert_eq!((info.archive_size, info.format_version), (fixture.bytes.len() as u64, 4));
        let mut value = null();
        assert_eq!(znippy_reader_metadata(reader, c"znippy_format_version".as_ptr(), &raw mut value), ZNIPPY_OK);
        assert_eq!(CStr::from_ptr(value), c"4");
        assert_eq!(znippy_reader_metadata(reader, c"no such name".as_ptr(), &raw mut value), ZNIPPY_OK);
        assert!(value.is_null());
        let mut digest = [0; 32];
        assert_eq!(znippy_reader_tree_digest(reader, digest.as_mut_ptr(), null_mut()), ZNIPPY_OK);
        assert_ne!(digest, [0; 32]);
        assert_eq!(znippy_reader_verify(reader, null(), null_mut(), null_mut()), ZNIPPY_OK);
        assert_eq!(znippy_reader_verify_quick(reader, null(), null_mut(), null_mut()), ZNIPPY_OK);
        assert_eq!(znippy_reader_verify_entry(reader, fixture.find("dir/a.txt").unwrap(), null_mut()), ZNIPPY_OK);
        assert_eq!(znippy_reader_verify_entry(reader, u64::MAX, null_mut()), ZNIPPY_E_INVALID_ARGUMENT);
    }
}

#[test]
fn trees_come_back_by_path_and_through_a_reader() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.folder.path().join("first"), fixture.folder.path().join("second"));
    let (c_first, c_second) = (c_path(&first), c_path(&second));
    let mut stats = stats(size_of::<znippy_stats>() as u32);
    // SAFETY: live reader, strings and places.
    unsafe {
        let (archive, out) = (fixture.archive.as_ptr(), &raw mut stats);
        assert_eq!(znippy_extract_archive(archive, c_first.as_ptr(), null(), out, null_mut()), ZNIPPY_OK);
        assert_eq!(stats.files, 3);
        let again = znippy_extract_archive(archive, c_first.as_ptr(), null(), null_mut(), null_mut());
        assert_eq!(again, ZNIPPY_E_EXISTS);
        let status = znippy_reader_extract_all(fixture.reader, c_second.as_ptr(), null(), null_mut(), null_mut());
        assert_eq!(status, ZNIPPY_OK);
    }
    for tree in [first, second] {
        assert_eq!(std::fs::read(tree.join("dir/a.txt")).unwrap(), b"first file");
        assert_eq!(std::fs::read(tree.join("dir/noise")).unwrap(), noise(300_000));
        assert_eq!(std::fs::read_link(tree.join("dir/link")).unwrap(), Path::new("a.txt"));
    }
}

#[test]
fn short_structs_are_refused_before_anything_is_done() {
    let fixture = Fixture::new();
    let target = c_path(&fixture.folder.path().join("never"));
    let tree = c_path(&fixture.folder.path().join("tree"));
    for size in [0, 4, size_of::<znippy_stats>() as u32 - 1] {
        let mut stats = stats(size);
        // SAFETY: live strings and places.
        unsafe {
            let out = &raw mut stats;
            for status in [
                znippy_compress_dir(tree.as_ptr(), target.as_ptr(), null(), out, null_mut()),
                znippy_extract_archive(fixture.archive.as_ptr(), target.as_ptr(), null(), out, null_mut()),
                znippy_reader_extract_all(fixture.reader, target.as_ptr(), null(), out, null_mut()),
                znippy_reader_verify(fixture.reader, null(), out, null_mut()),
            ] {
                assert_eq!(status, ZNIPPY_E_INVALID_ARGUMENT);
            }
        }
    }
    assert!(!fixture.folder.path().join("never").exists());
}

/// A host with the archive's bytes, which may call the reader back from inside its `read_at`.
struct Host {
    bytes: Vec<u8>,
    reader: AtomicPtr<znippy_reader>,
    status_inside: AtomicI32,
    released: AtomicUsize,
}

impl Host {
    fn new(bytes: &[u8]) -> Host {
        Host {
            bytes: bytes.to_vec(),
            reader: AtomicPtr::default(),
            status_inside: AtomicI32::new(ZNIPPY_OK),
            released: AtomicUsize::new(0),
        }
    }

    fn user_data(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }

    /// What a call of the reader from inside a callback answers.
    fn call_back(&self) {
        let reader = self.reader.load(Ordering::SeqCst);
        if !reader.is_null() {
            let status = read(reader, 1, 0, 4).err().unwrap_or(ZNIPPY_OK);
            self.status_inside.store(status, Ordering::SeqCst);
        }
    }
}

unsafe extern "C" fn read_at(user_data: *mut c_void, offset: u64, buffer: *mut c_void, len: usize) -> i64 {
    // SAFETY: a live host; the library asks for bytes within the size only.
    unsafe {
        let host = &*user_data.cast::<Host>();
        host.call_back();
        // Short reads are allowed, so that is what the host does.
        let len = len.min(100);
        std::ptr::copy_nonoverlapping(host.bytes.as_ptr().add(offset as usize), buffer.cast(), len);
        len as i64
    }
}

unsafe extern "C" fn release(user_data: *mut c_void) {
    // SAFETY: a live host.
    unsafe { (*user_data.cast::<Host>()).released.fetch_add(1, Ordering::SeqCst) };
}

unsafe extern "C" fn call_back(user_data: *mut c_void, _: *const znippy_progress) -> i32 {
    // SAFETY: a live host.
    unsafe { (*user_data.cast::<Host>()).call_back() };
    0
}

/// The last reference goes away inside the callback.
unsafe extern "C" fn let_go(user_data: *mut c_void, _: *const znippy_progress) -> i32 {
    // SAFETY: a live host, which gives up its reference once.
    unsafe { znippy_reader_free((*user_data.cast::<Host>()).reader.swap(null_mut(), Ordering::SeqCst)) };
    0
}

fn open_source(host: &Host, flags: u32) -> *mut znippy_reader {
    let source = znippy_source {
        struct_size: size_of::<znippy_source>() as u32,
        flags,
        user_data: host.user_data(),
        size: host.bytes.len() as u64,
        read_at: Some(read_at),
        release: Some(release),
    };
    let mut reader = null_mut();
    // SAFETY: a live table and place.
    assert_eq!(unsafe { znippy_reader_open_source(&raw const source, null(), &raw mut reader, null_mut()) }, ZNIPPY_OK);
    reader
}

#[test]
fn the_same_archive_opens_from_a_descriptor_from_memory_and_through_callbacks() {
    let fixture = Fixture::new();
    let host = Host::new(&fixture.bytes);
    let file = std::fs::File::open(Path::new(fixture.archive.to_str().unwrap())).unwrap();
    let (mut by_fd, mut in_memory) = (null_mut(), null_mut());
    // SAFETY: live bytes and places; the reader of the descriptor outlives it.
    unsafe {
        assert_eq!(znippy_reader_open_fd(file.as_raw_fd() as isize, null(), &raw mut by_fd, null_mut()), ZNIPPY_OK);
        let status = znippy_reader_open_memory(
            host.bytes.as_ptr().cast(),
            host.bytes.len(),
            Some(release),
            host.user_data(),
            null(),
            &raw mut in_memory,
            null_mut(),
        );
        assert_eq!(status, ZNIPPY_OK);
        drop(file);
        let through_callbacks = open_source(&host, 0);
        for reader in [by_fd, in_memory, through_callbacks] {
            assert_eq!(read(reader, 1, 0, 100).unwrap(), b"first file");
            let other = znippy_reader_retain(reader);
            znippy_reader_free(reader);
            assert_eq!(host.released.load(Ordering::SeqCst), usize::from(reader == through_callbacks));
            assert_eq!(read(other, 2, 0, 100).unwrap(), b"second");
            znippy_reader_free(other);
        }
    }
    assert_eq!(host.released.load(Ordering::SeqCst), 2);
}

#[test]
fn reader_called_from_its_own_callbacks_is_busy() {
    let fixture = Fixture::new();
    for flags in [0, ZNIPPY_SOURCE_CONCURRENT] {
        let host = Host::new(&fixture.bytes);
        let reader = open_source(&host, flags);
        host.reader.store(reader, Ordering::SeqCst);
        assert_eq!(read(reader, 1, 0, 100).unwrap(), b"first file");
        assert_eq!(host.status_inside.swap(ZNIPPY_OK, Ordering::SeqCst), ZNIPPY_E_BUSY);
        // SAFETY: live handles; each is freed once.
        unsafe {
            // Also on the library's own threads.
            assert_eq!(znippy_reader_verify(reader, null(), null_mut(), null_mut()), ZNIPPY_OK);
            assert_eq!(host.status_inside.load(Ordering::SeqCst), ZNIPPY_E_BUSY);
            znippy_reader_free(reader);
        }
    }
    // The progress function of a call of the reader, and that of a call of another.
    for (own, expected) in [(true, ZNIPPY_E_BUSY), (false, ZNIPPY_OK)] {
        let host = Host::new(&fixture.bytes);
        let called = Fixture::new();
        host.reader.store(fixture.reader, Ordering::SeqCst);
        host.status_inside.store(1, Ordering::SeqCst);
        // SAFETY: live handles; each is freed once.
        unsafe {
            let options = znippy_options_new();
            znippy_options_set_progress(options, Some(call_back), host.user_data(), Some(release));
            let reader = if own { fixture.reader } else { called.reader };
            assert_eq!(znippy_reader_verify(reader, options, null_mut(), null_mut()), ZNIPPY_OK);
            znippy_options_free(options);
        }
        assert_eq!(host.status_inside.load(Ordering::SeqCst), expected);
        assert_eq!(host.released.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn last_reference_may_go_inside_a_callback() {
    let fixture = Fixture::new();
    let host = Host::new(&fixture.bytes);
    let reader = open_source(&host, 0);
    let progress = Host::new(&[]);
    progress.reader.store(reader, Ordering::SeqCst);
    // SAFETY: live handles; each is freed once, the reader in the callback.
    unsafe {
        let options = znippy_options_new();
        znippy_options_set_progress(options, Some(let_go), progress.user_data(), None);
        assert_eq!(znippy_reader_verify(reader, options, null_mut(), null_mut()), ZNIPPY_OK);
        znippy_options_free(options);
    }
    assert_eq!(host.released.load(Ordering::SeqCst), 1);
}

#[test]
fn cancelled_calls_say_so() {
    let fixture = Fixture::new();
    // SAFETY: live handles; each is freed once.
    unsafe {
        let (cancel, options) = (znippy_cancel_new(), znippy_options_new());
        znippy_options_set_cancel(options, cancel);
        znippy_cancel_trigger(cancel);
        let mut err = null_mut();
        let status = znippy_reader_verify(fixture.reader, options, null_mut(), &raw mut err);
        assert_eq!((status, znippy_error_status(err)), (ZNIPPY_E_CANCELLED, ZNIPPY_E_CANCELLED));
        znippy_error_free(err);
        znippy_options_free(options);
        znippy_cancel_free(cancel);
    }
}

#[test]
fn missing_arguments_are_named() {
    let fixture = Fixture::new();
    let (reader, path) = (fixture.reader.cast_const(), fixture.archive.as_ptr());
    let (mut number, mut len, mut buffer) = (0u64, 0usize, [0u8; 4]);
    let (number, len, bytes) = (&raw mut number, &raw mut len, (&raw mut buffer).cast::<c_void>());
    let mut value = 0i64;
    let value = &raw mut value;
    let mut any: *mut c_void = null_mut();
    let any = &raw mut any;
    let mut text = null();
    let text = &raw mut text;
    // SAFETY: live handles and places, or null, which is what is tested.
    unsafe {
        let options = znippy_options_new();
        let check = |argument: &str, call: &dyn Fn(*mut *mut znippy_error) -> znippy_status| {
            let mut err = null_mut();
            assert_eq!(call(&raw mut err), ZNIPPY_E_INVALID_ARGUMENT, "{argument}");
            let message = CStr::from_ptr(znippy_error_message(err)).to_str().unwrap().to_owned();
            assert_eq!(message, format!("{argument} is NULL"));
            znippy_error_free(err);
            assert_eq!(call(null_mut()), ZNIPPY_E_INVALID_ARGUMENT, "{argument}");
        };
        check("options", &|err| znippy_options_set_i64(null_mut(), 1, 1, err));
        check("options", &|err| znippy_options_set_bytes(null_mut(), 13, bytes, 0, err));
        check("data", &|err| znippy_options_set_bytes(options, 13, null(), 1, err));
        check("value_out", &|err| znippy_options_get_i64(options, 1, null_mut(), err));
        assert_eq!(znippy_option_bounds(1, null_mut(), value), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(znippy_option_bounds(1, value, null_mut()), ZNIPPY_E_INVALID_ARGUMENT);
        check("src_dir", &|err| znippy_compress_dir(null(), path, null(), null_mut(), err));
        check("archive_path", &|err| znippy_compress_dir(path, null(), null(), null_mut(), err));
        check("archive_path", &|err| znippy_extract_archive(null(), path, null(), null_mut(), err));
        check("dest_dir", &|err| znippy_extract_archive(path, null(), null(), null_mut(), err));
        check("archive_path", &|err| znippy_reader_open(null(), null(), any.cast(), err));
        check("reader_out", &|err| znippy_reader_open(path, null(), null_mut(), err));
        check("reader_out", &|err| znippy_reader_open_fd(0, null(), null_mut(), err));
        check("data", &|err| znippy_reader_open_memory(null(), 9, None, null_mut(), null(), any.cast(), err));
        check("reader_out", &|err| znippy_reader_open_memory(bytes, 4, None, null_mut(), null(), null_mut(), err));
        check("source", &|err| znippy_reader_open_source(null(), null(), any.cast(), err));
        check("reader", &|err| znippy_reader_info(null(), null_mut(), err));
        check("info_out", &|err| znippy_reader_info(reader, null_mut(), err));
        assert_eq!(znippy_reader_metadata(null(), path, text), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(znippy_reader_metadata(reader, null(), text), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(znippy_reader_metadata(reader, path, null_mut()), ZNIPPY_E_INVALID_ARGUMENT);
        check("reader", &|err| znippy_reader_tree_digest(null(), null_mut(), err));
        check("digest_out", &|err| znippy_reader_tree_digest(reader, null_mut(), err));
        check("reader", &|err| znippy_reader_find(null(), path, 1, number, err));
        check("path", &|err| znippy_reader_find(reader, null(), 1, number, err));
        check("index_out", &|err| znippy_reader_find(reader, path, 1, null_mut(), err));
        check("reader", &|err| znippy_reader_find_prefix(null(), path, 1, number, number, err));
        check("prefix", &|err| znippy_reader_find_prefix(reader, null(), 1, number, number, err));
        check("first_out", &|err| znippy_reader_find_prefix(reader, path, 1, null_mut(), number, err));
        check("count_out", &|err| znippy_reader_find_prefix(reader, path, 1, number, null_mut(), err));
        check("reader", &|err| znippy_reader_list(null(), 0, 1, any.cast(), err));
        check("listing_out", &|err| znippy_reader_list(reader, 0, 1, null_mut(), err));
        check("listing", &|err| znippy_listing_get(null(), 0, null_mut(), err));
        check("reader", &|err| znippy_reader_read_at(null(), 0, 0, bytes, 4, len, err));
        check("buffer", &|err| znippy_reader_read_at(reader, 0, 0, null_mut(), 4, len, err));
        check("read_out", &|err| znippy_reader_read_at(reader, 0, 0, bytes, 4, null_mut(), err));
        check("reader", &|err| znippy_reader_read(null(), 0, null(), null_mut(), err));
        check("buffer_out", &|err| znippy_reader_read(reader, 0, null(), null_mut(), err));
        check("reader", &|err| znippy_reader_extract_all(null(), path, null(), null_mut(), err));
        check("dest_dir", &|err| znippy_reader_extract_all(reader, null(), null(), null_mut(), err));
        check("reader", &|err| znippy_reader_verify(null(), null(), null_mut(), err));
        check("reader", &|err| znippy_reader_verify_quick(null(), null(), null_mut(), err));
        check("reader", &|err| znippy_reader_verify_entry(null(), 0, err));
        assert!(znippy_reader_retain(null()).is_null());
        assert_eq!((znippy_reader_entry_count(null()), znippy_listing_count(null())), (0, 0));
        znippy_reader_free(null_mut());
        znippy_listing_free(null_mut());
        znippy_options_free(options);
        znippy_options_free(null_mut());
    }
}

#[test]
fn handle_of_another_type_is_refused() {
    let fixture = Fixture::new();
    // SAFETY: live handles; each is freed once, by the function for its type.
    unsafe {
        let options = znippy_options_new();
        assert_eq!(znippy_reader_verify_entry(options.cast(), 0, null_mut()), ZNIPPY_E_INVALID_ARGUMENT);
        assert_eq!(znippy_reader_verify(fixture.reader, fixture.reader.cast(), null_mut(), null_mut()), -1);
        assert!(znippy_reader_retain(options.cast()).is_null());
        znippy_reader_free(options.cast());
        znippy_listing_free(options.cast());
        znippy_options_free(fixture.reader.cast());
        assert_eq!(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 3, null_mut()), ZNIPPY_OK);
        assert!(read(fixture.reader, 1, 0, 4).is_ok());
        znippy_options_free(options);
    }
}
