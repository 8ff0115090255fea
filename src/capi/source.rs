//! Bytes that come from the host: through callbacks, or in its memory.

use std::ffi::c_void;
use std::sync::Arc;

use super::callback::{Inside, UserData};
use super::constants::ZNIPPY_SOURCE_CONCURRENT;
use super::pointer::{bytes, invalid, struct_size};
use super::types::{znippy_release_fn, znippy_source};
use crate::archive::Source;
use crate::error::{Error, Result, Status};
use crate::sync::Mutex;

type ReadAt = unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize) -> i64;

/// Random access through the host's `read_at`.
pub(super) struct CallbackSource {
    read_at: ReadAt,
    user_data: UserData,
    size: u64,
    /// Where the host wants one call at a time.
    turn: Option<Mutex<()>>,
    inside: Arc<Inside>,
}

impl CallbackSource {
    /// Takes the host's table over. Once the struct's size is right, `user_data` is released whatever happens.
    ///
    /// # Safety
    /// `source` is null, or its first four bytes are set and as many bytes as they say are readable.
    pub(super) unsafe fn new(source: *const znippy_source, inside: Arc<Inside>) -> Result<CallbackSource> {
        if source.is_null() {
            return Err(invalid("source is NULL"));
        }
        // SAFETY: not null, and as large as it says; fields are read only once the size covers all of them.
        let source = unsafe {
            struct_size(source, "source")?;
            source.read_unaligned()
        };
        let user_data = UserData::new(source.user_data, source.release);
        if source.flags & !ZNIPPY_SOURCE_CONCURRENT != 0 {
            return Err(invalid(format!("source->flags has unknown bits: {:#x}", source.flags)));
        }
        let Some(read_at) = source.read_at else {
            return Err(invalid("source->read_at is NULL"));
        };
        let turn = (source.flags & ZNIPPY_SOURCE_CONCURRENT == 0).then(|| Mutex::new(()));
        Ok(CallbackSource { read_at, user_data, size: source.size, turn, inside })
    }

    /// One call of the host's function; how many bytes it read, at least one.
    fn read_some(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let _turn = self.turn.as_ref().map(|turn| turn.lock());
        let _visit = self.inside.visit();
        // SAFETY: the host's function and pointer, and a buffer that is ours and as long as it says.
        let outcome =
            unsafe { (self.read_at)(self.user_data.get(), offset, buffer.as_mut_ptr().cast::<c_void>(), buffer.len()) };
        if outcome < 0 {
            let status = i32::try_from(outcome).ok().and_then(Status::from_number).unwrap_or(Status::Callback);
            return Err(Error::new(
                status,
                format!("the source's read_at reported {outcome} for {} bytes at {offset}", buffer.len()),
            ));
        }
        match usize::try_from(outcome) {
            Ok(0) => Err(Error::refused(
                Status::Callback,
                "source.short",
                format!("the source's read_at returned 0 at {offset}, but its size is {}", self.size),
            )),
            Ok(read) if read <= buffer.len() => Ok(read),
            _ => Err(Error::refused(
                Status::Callback,
                "source.overlong",
                format!("the source's read_at returned {outcome} for {} bytes at {offset}", buffer.len()),
            )),
        }
    }
}

impl Source for CallbackSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        // The header promises that the host is never asked for bytes beyond the end.
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(Error::corrupt(
                "source.range",
                format!("{} bytes at {offset} reach beyond the end at {}", buffer.len(), self.size),
            ));
        }
        let mut done = 0usize;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = self.read_some(offset.saturating_add(done as u64), rest)?;
            done = done.saturating_add(read);
        }
        Ok(())
    }
}

/// The host's memory, which is released when the last reader of it is gone.
pub(super) struct HostMemory {
    data: *const u8,
    len: usize,
    _user_data: UserData,
}

// SAFETY: the header demands that nobody writes to the bytes while they are lent, so they may be read anywhere.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// Borrows the bytes until `user_data` is released.
    ///
    /// # Safety
    /// `data` is null or readable for `len` bytes, which don't change until then.
    pub(super) unsafe fn new(
        data: *const c_void,
        len: usize,
        user_data: *mut c_void,
        release: znippy_release_fn,
    ) -> Result<HostMemory> {
        let user_data = UserData::new(user_data, release);
        // SAFETY: as promised by the caller.
        let bytes = unsafe { bytes(data, len, "data") }?;
        Ok(HostMemory { data: bytes.as_ptr(), len: bytes.len(), _user_data: user_data })
    }
}

impl AsRef<[u8]> for HostMemory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the extent was checked, and the bytes stay until `_user_data` is dropped with this value.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    /// A host whose bytes are their offsets, which reads at most `most` bytes a call, or answers `answer`.
    #[derive(Default)]
    struct Host {
        most: usize,
        answer: AtomicI64,
        calls: AtomicUsize,
        released: AtomicUsize,
    }

    unsafe extern "C" fn read_at(user_data: *mut c_void, offset: u64, buffer: *mut c_void, len: usize) -> i64 {
        // SAFETY: the tests pass a live host; the library's buffer has `len` bytes.
        let (host, buffer) = unsafe { (&*user_data.cast::<Host>(), room(buffer, len)) };
        host.calls.fetch_add(1, Ordering::Relaxed);
        if host.most == 0 {
            return host.answer.load(Ordering::Relaxed);
        }
        let read = host.most.min(len);
        for (i, byte) in buffer[..read].iter_mut().enumerate() {
            *byte = (offset + i as u64) as u8;
        }
        read as i64
    }

    unsafe fn room<'a>(buffer: *mut c_void, len: usize) -> &'a mut [u8] {
        // SAFETY: as promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(buffer.cast(), len) }
    }

    unsafe extern "C" fn release(user_data: *mut c_void) {
        // SAFETY: the tests pass a live host.
        unsafe { (*user_data.cast::<Host>()).released.fetch_add(1, Ordering::Relaxed) };
    }

    fn table(host: &Host, flags: u32) -> znippy_source {
        znippy_source {
            struct_size: size_of::<znippy_source>() as u32,
            flags,
            user_data: (&raw const *host).cast_mut().cast(),
            size: 100,
            read_at: Some(read_at),
            release: Some(release),
        }
    }

    fn open(table: &znippy_source) -> Result<CallbackSource> {
        // SAFETY: a live table that is as large as it says, or says that it is smaller.
        unsafe { CallbackSource::new(table, Arc::default()) }
    }

    fn failure(answer: i64) -> Error {
        let host = Host { answer: answer.into(), ..Host::default() };
        let error = open(&table(&host, 0)).unwrap().read_exact_at(0, &mut [0; 10]).unwrap_err();
        assert_eq!((host.calls.into_inner(), host.released.into_inner()), (1, 1));
        error
    }

    #[test]
    fn short_reads_are_continued() {
        for flags in [0, ZNIPPY_SOURCE_CONCURRENT] {
            let host = Host { most: 3, ..Host::default() };
            let mut buffer = [0; 10];
            open(&table(&host, flags)).unwrap().read_exact_at(50, &mut buffer).unwrap();
            assert_eq!(buffer, [50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
            assert_eq!(host.calls.into_inner(), 4);
        }
    }

    #[test]
    fn answers_that_are_no_count_are_errors() {
        assert_eq!(failure(i64::from(Status::Permission as i32)).status(), Status::Permission);
        assert_eq!(failure(-9999).status(), Status::Callback);
        assert_eq!(failure(i64::MIN).status(), Status::Callback);
        assert_eq!(failure(0).rule(), Some("source.short"));
        assert_eq!(failure(11).rule(), Some("source.overlong"));
        assert_eq!(failure(i64::MAX).rule(), Some("source.overlong"));
    }

    #[test]
    fn host_is_never_asked_beyond_the_end() {
        let host = Host { most: 3, ..Host::default() };
        let source = open(&table(&host, 0)).unwrap();
        assert_eq!(source.read_exact_at(95, &mut [0; 6]).unwrap_err().status(), Status::Corrupt);
        assert_eq!(source.read_exact_at(u64::MAX, &mut [0; 6]).unwrap_err().status(), Status::Corrupt);
        source.read_exact_at(95, &mut [0; 5]).unwrap();
        source.read_exact_at(100, &mut []).unwrap();
        assert_eq!(host.calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn refused_tables_are_released_once_their_size_is_known() {
        let host = Host::default();
        assert!(open(&table(&host, 2)).is_err());
        assert_eq!(host.released.load(Ordering::Relaxed), 1);
        assert!(open(&znippy_source { read_at: None, ..table(&host, 0) }).is_err());
        assert_eq!(host.released.load(Ordering::Relaxed), 2);
        assert!(open(&znippy_source { struct_size: 39, ..table(&host, 0) }).is_err());
        assert_eq!(host.released.load(Ordering::Relaxed), 2, "nothing beyond the size is read");
    }

    #[test]
    fn calls_are_one_at_a_time_unless_the_host_allows_more() {
        /// Counts the threads inside; `user_data` is (inside, most).
        unsafe extern "C" fn crowd(user_data: *mut c_void, _: u64, _: *mut c_void, len: usize) -> i64 {
            // SAFETY: the test passes a live pair.
            let (inside, most) = unsafe { &*user_data.cast::<(AtomicUsize, AtomicUsize)>() };
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            inside.fetch_sub(1, Ordering::SeqCst);
            len as i64
        }
        let pair = (AtomicUsize::new(0), AtomicUsize::new(0));
        let host = Host::default();
        let table = znippy_source {
            user_data: (&raw const pair).cast_mut().cast(),
            read_at: Some(crowd),
            release: None,
            ..table(&host, 0)
        };
        let source = open(&table).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| source.read_exact_at(0, &mut [0; 8]).unwrap());
            }
        });
        assert_eq!(pair.1.into_inner(), 1);
    }

    #[test]
    fn memory_is_released_also_when_it_is_refused() {
        let host = Host::default();
        let user_data = (&raw const host).cast_mut().cast();
        // SAFETY: the bytes are static; null is refused.
        unsafe {
            let memory = HostMemory::new(b"bytes".as_ptr().cast(), 5, user_data, Some(release)).unwrap();
            assert_eq!(memory.as_ref(), b"bytes");
            drop(memory);
            assert_eq!(host.released.load(Ordering::Relaxed), 1);
            assert!(HostMemory::new(std::ptr::null(), 5, user_data, Some(release)).is_err());
            assert_eq!(host.released.load(Ordering::Relaxed), 2);
        }
    }
}
