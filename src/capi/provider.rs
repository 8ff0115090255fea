//! Metadata providers of the host: `znippy_provider` as packing sees it, and the row that `extract` fills.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Arc;

use super::boundary::guarded;
use super::callback::{Inside, UserData, Visit, terminated};
use super::constants::ZNIPPY_PROVIDER_CONCURRENT;
use super::error::znippy_error;
use super::handle::{Handle, Opaque, enter};
use super::options::{lock, znippy_options};
use super::pointer::{bytes, invalid, struct_size};
use super::types::{Sized32, znippy_column, znippy_provider, znippy_status};
use crate::error::{Error, Result, Status};
use crate::provider::{ColumnType, Provider, ProviderColumn, ProviderRow};
use crate::sync::{Mutex, MutexGuard};

/// The values of one file: lives while znippy_provider.extract runs, and is used by nobody else.
pub struct znippy_row(());

impl Opaque for znippy_row {
    /// The lock makes a host harmless that hands the row to other threads.
    type Inside = Mutex<ProviderRow>;
    const TAG: u32 = u32::from_be_bytes(*b"ZRow");
}

/// Adds a metadata provider behind those that the options have; packing with them offers it each file.
///
/// Ownership: the table, its columns and names are copied. provider->user_data is the library's when the call
/// begins, whatever it returns, save for a struct_size that is too small; provider->release gives it back once: on
/// failure before the call returns, else when the last options and jobs that share it are gone. Threads: one at a
/// time; the callbacks run on the library's threads, and jobs that share a provider without
/// ZNIPPY_PROVIDER_CONCURRENT take turns; one that begins inside a callback of such a provider is ZNIPPY_E_BUSY. A callback
/// of such a provider must not wait for another thread that packs with the same provider: that job waits for its turn,
/// which comes when the callback returns, and neither would end. A cancel does not end it, for the library can't leave a
/// callback. With ZNIPPY_PROVIDER_CONCURRENT, or another provider for that thread, nothing waits.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT for a malformed table, and for names of columns that are taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_options_add_provider(
    options: *mut znippy_options,
    provider: *const znippy_provider,
    err: *mut *mut znippy_error,
) -> znippy_status {
    let body = || {
        // SAFETY: null or as the header demands.
        let provider = unsafe { CallbackProvider::new(provider) }?;
        // SAFETY: null or live as the header demands.
        let options = unsafe { enter(options, "options") }?;
        // What is refused is released here, which is the host's code: not under the lock.
        let provider: Arc<dyn Provider> = Arc::new(provider);
        let copy = Arc::clone(&provider);
        let added = lock(&options).add_provider(copy).map(drop);
        drop(provider);
        added
    };
    // SAFETY: null or writable as the header demands.
    unsafe { guarded(err, body) }
}

/// Sets a value of a column of type ZNIPPY_COLUMN_INT64. Columns count from 0.
///
/// Ownership: takes nothing. Threads: that of the call of extract which the row came with.
/// Errors: ZNIPPY_E_INVALID_ARGUMENT for a column that isn't there or has another type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_row_set_i64(row: *mut znippy_row, column: usize, value: i64) -> znippy_status {
    // SAFETY: as promised by the caller.
    unsafe { set(row, |row| row.set_i64(column, value)) }
}

/// Sets a value of a column of type ZNIPPY_COLUMN_FLOAT64.
///
/// Ownership: takes nothing. Threads: as for znippy_row_set_i64(). Errors: those of znippy_row_set_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_row_set_f64(row: *mut znippy_row, column: usize, value: f64) -> znippy_status {
    // SAFETY: as promised by the caller.
    unsafe { set(row, |row| row.set_f64(column, value)) }
}

/// Sets a value of a column of type ZNIPPY_COLUMN_UTF8 or ZNIPPY_COLUMN_BINARY; data may be NULL where len is 0. All
/// values of a file together have at most 256 KiB.
///
/// Ownership: the bytes are copied. Threads: as for znippy_row_set_i64().
/// Errors: those of znippy_row_set_i64(), ZNIPPY_E_INVALID_ARGUMENT for text that is not UTF-8, ZNIPPY_E_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_row_set_bytes(
    row: *mut znippy_row,
    column: usize,
    data: *const c_void,
    len: usize,
) -> znippy_status {
    // SAFETY: as promised by the caller.
    unsafe { set(row, |row| row.set_bytes(column, bytes(data, len, "data")?)) }
}

/// Makes a value null again, which all are before they are set.
///
/// Ownership: takes nothing. Threads: as for znippy_row_set_i64().
/// Errors: ZNIPPY_E_INVALID_ARGUMENT for a column that isn't there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn znippy_row_set_null(row: *mut znippy_row, column: usize) -> znippy_status {
    // SAFETY: as promised by the caller.
    unsafe { set(row, |row| row.set_null(column)) }
}

/// # Safety
/// `row` is null or readable.
unsafe fn set(row: *mut znippy_row, change: impl FnOnce(&mut ProviderRow) -> Result<()>) -> znippy_status {
    // SAFETY: as promised by the caller; null is allowed for the error.
    unsafe { guarded(ptr::null_mut(), || change(&mut enter(row, "row")?.lock())) }
}

type Wants = unsafe extern "C" fn(*mut c_void, *const c_char, usize, u64) -> i32;
type Extract = unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const u8, usize, *mut znippy_row) -> i32;

/// A provider that is the host's table.
struct CallbackProvider {
    name: String,
    pkg_type: i8,
    columns: Vec<ProviderColumn>,
    wants: Option<Wants>,
    extract: Extract,
    user_data: UserData,
    /// Where the host wants one call at a time.
    turn: Option<Turn>,
}

/// Calls that take turns.
#[derive(Default)]
struct Turn {
    lock: Mutex<()>,
    inside: Inside,
}

impl Turn {
    /// Waits until nobody else is inside.
    fn take(&self) -> (Visit<'_>, MutexGuard<'_, ()>) {
        let guard = self.lock.lock();
        (self.inside.visit(), guard)
    }
}

impl CallbackProvider {
    /// Takes the host's table over. Once the struct's size is right, `user_data` is released whatever happens.
    ///
    /// # Safety
    /// `provider` is null, or its first four bytes are set and as many bytes as they say are readable, and what the
    /// fields point to is what the header demands.
    unsafe fn new(provider: *const znippy_provider) -> Result<CallbackProvider> {
        if provider.is_null() {
            return Err(invalid("provider is NULL"));
        }
        // SAFETY: not null, and as large as it says; fields are read only once the size covers all of them.
        let provider = unsafe {
            struct_size(provider, "provider")?;
            provider.read_unaligned()
        };
        let user_data = UserData::new(provider.user_data, provider.release);
        if provider.flags & !ZNIPPY_PROVIDER_CONCURRENT != 0 {
            return Err(invalid(format!("provider->flags has unknown bits: {:#x}", provider.flags)));
        }
        let Some(extract) = provider.extract else {
            return Err(invalid("provider->extract is NULL"));
        };
        let pkg_type = i8::try_from(provider.pkg_type)
            .map_err(|_| invalid(format!("provider->pkg_type is {}, but at most 127", provider.pkg_type)))?;
        // SAFETY: null or as the header demands.
        let (name, columns) = unsafe { (text(provider.name, "provider->name")?, columns(&provider)?) };
        let turn = (provider.flags & ZNIPPY_PROVIDER_CONCURRENT == 0).then(Turn::default);
        Ok(CallbackProvider { name, pkg_type, columns, wants: provider.wants, extract, user_data, turn })
    }

    /// What a callback's answer means.
    fn verdict(&self, callback: &str, answer: i32) -> Result<bool> {
        match answer {
            0 => Ok(false),
            1 => Ok(true),
            _ => {
                let status = Status::from_number(answer).filter(|_| answer < 0).unwrap_or(Status::Callback);
                Err(Error::new(status, format!("{callback} of provider {} reported {answer}", self.name)))
            }
        }
    }
}

impl Provider for CallbackProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn pkg_type(&self) -> i8 {
        self.pkg_type
    }

    fn columns(&self) -> &[ProviderColumn] {
        &self.columns
    }

    fn check_reentry(&self) -> Result<()> {
        self.turn.as_ref().map_or(Ok(()), |turn| turn.inside.check(&format!("provider {}", self.name)))
    }

    fn wants(&self, path: &[u8], size: u64) -> Result<bool> {
        let Some(wants) = self.wants else { return Ok(true) };
        let name = terminated(path).ok_or_else(no_memory)?;
        let _turn = self.turn.as_ref().map(Turn::take);
        // SAFETY: the host's function and pointer; the path lives until it returns.
        let answer = unsafe { wants(self.user_data.get(), name.as_ptr().cast(), path.len(), size) };
        self.verdict("wants", answer)
    }

    fn extract(&self, path: &[u8], bytes: &[u8], row: &mut ProviderRow) -> Result<bool> {
        let name = terminated(path).ok_or_else(no_memory)?;
        let handle: Handle<Mutex<ProviderRow>> =
            Handle::new(znippy_row::TAG, Mutex::new(std::mem::replace(row, ProviderRow::new(&[]))));
        let data = if bytes.is_empty() { ptr::null() } else { bytes.as_ptr() };
        let answer = {
            let _turn = self.turn.as_ref().map(Turn::take);
            // SAFETY: the host's function and pointer; path, bytes and row live until it returns.
            unsafe {
                (self.extract)(
                    self.user_data.get(),
                    name.as_ptr().cast(),
                    path.len(),
                    data,
                    bytes.len(),
                    (&raw const handle).cast_mut().cast(),
                )
            }
        };
        *row = std::mem::replace(&mut *handle.lock(), ProviderRow::new(&[]));
        self.verdict("extract", answer)
    }
}

/// # Safety
/// The columns and their names are null or what the header demands.
unsafe fn columns(provider: &znippy_provider) -> Result<Vec<ProviderColumn>> {
    if provider.columns.is_null() && provider.column_count != 0 {
        return Err(invalid("provider->columns is NULL"));
    }
    // More columns than the format has are refused before so many are looked at.
    if provider.column_count > crate::format::ipc_guard::MAX_FIELDS {
        return Err(invalid(format!("provider->column_count is {}, too many", provider.column_count)));
    }
    let mut columns = Vec::new();
    let mut place = provider.columns;
    for number in 0..provider.column_count {
        let argument = format!("provider->columns[{number}]");
        // SAFETY: not null; readable as far as its size field says, and that is the distance to the next one.
        let column = unsafe {
            let size = place.cast::<u32>().read_unaligned() as usize;
            if size < znippy_column::MINIMUM {
                let least = znippy_column::MINIMUM;
                return Err(invalid(format!("{argument}.struct_size is {size}, but at least {least}")));
            }
            let column = place.read_unaligned();
            place = place.byte_add(size);
            column
        };
        let column_type = ColumnType::from_number(column.column_type).ok_or_else(|| {
            invalid(format!("{argument}.column_type is {}, not a ZNIPPY_COLUMN_*", column.column_type))
        })?;
        if column.flags != 0 {
            return Err(invalid(format!("{argument}.flags has unknown bits: {:#x}", column.flags)));
        }
        // SAFETY: null or as the header demands.
        let name = unsafe { text(column.name, &format!("{argument}.name")) }?;
        columns.push(ProviderColumn { name, column_type });
    }
    Ok(columns)
}

/// # Safety
/// `place` is null or NUL-terminated.
unsafe fn text(place: *const c_char, argument: &str) -> Result<String> {
    if place.is_null() {
        return Err(invalid(format!("{argument} is NULL")));
    }
    // SAFETY: not null, and NUL-terminated as promised.
    let text = unsafe { CStr::from_ptr(place) }.to_str();
    text.map(str::to_owned).map_err(|_| invalid(format!("{argument} is not UTF-8")))
}

fn no_memory() -> Error {
    Error::new(Status::NoMemory, "can't allocate a path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::{
        ZNIPPY_COLUMN_INT64, ZNIPPY_COLUMN_UTF8, ZNIPPY_E_BUSY, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_OK,
        znippy_compress_dir, znippy_options_clone, znippy_options_free, znippy_options_new,
    };
    use std::ffi::CString;
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

    /// A host that sets its first column to the length of the file and answers `answer`.
    #[derive(Default)]
    struct Host {
        answer: AtomicI32,
        released: AtomicUsize,
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    unsafe extern "C" fn extract(
        user_data: *mut c_void,
        path: *const c_char,
        path_len: usize,
        _: *const u8,
        len: usize,
        row: *mut znippy_row,
    ) -> i32 {
        // SAFETY: the tests pass a live host; the library a terminated path and a live row.
        unsafe {
            let host = &*user_data.cast::<Host>();
            assert_eq!(CStr::from_ptr(path).count_bytes(), path_len);
            host.most.fetch_max(host.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            host.inside.fetch_sub(1, Ordering::SeqCst);
            assert_eq!(znippy_row_set_i64(row, 0, len as i64), ZNIPPY_OK);
            assert_eq!(znippy_row_set_i64(row, 1, 1), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_row_set_bytes(row, 1, ptr::null(), 1), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_row_set_bytes(row, 1, b"\xFF".as_ptr().cast(), 1), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_row_set_bytes(row, 1, b"ok".as_ptr().cast(), 2), ZNIPPY_OK);
            assert_eq!(znippy_row_set_null(row, 1), ZNIPPY_OK);
            assert_eq!(znippy_row_set_null(row, 2), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_row_set_null(ptr::null_mut(), 0), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(znippy_row_set_f64(user_data.cast(), 0, 1.0), ZNIPPY_E_INVALID_ARGUMENT);
            host.answer.load(Ordering::Relaxed)
        }
    }

    unsafe extern "C" fn release(user_data: *mut c_void) {
        // SAFETY: the tests pass a live host.
        unsafe { (*user_data.cast::<Host>()).released.fetch_add(1, Ordering::Relaxed) };
    }

    fn column(name: &'static CStr, column_type: u32) -> znippy_column {
        let struct_size = size_of::<znippy_column>() as u32;
        znippy_column { struct_size, column_type, name: name.as_ptr(), flags: 0, reserved0: 0 }
    }

    fn table(host: &Host, columns: &[znippy_column]) -> znippy_provider {
        znippy_provider {
            struct_size: size_of::<znippy_provider>() as u32,
            flags: 0,
            user_data: (&raw const *host).cast_mut().cast(),
            name: c"test".as_ptr(),
            pkg_type: 3,
            reserved0: 0,
            columns: columns.as_ptr(),
            column_count: columns.len(),
            wants: None,
            extract: Some(extract),
            release: Some(release),
        }
    }

    fn columns_of_two() -> [znippy_column; 2] {
        [column(c"len", ZNIPPY_COLUMN_INT64), column(c"word", ZNIPPY_COLUMN_UTF8)]
    }

    fn make(table: &znippy_provider) -> Result<CallbackProvider> {
        // SAFETY: a live table that is as large as it says, or says that it is smaller.
        unsafe { CallbackProvider::new(table) }
    }

    #[test]
    fn answers_are_claims_refusals_or_errors_that_name_the_provider() {
        let host = Host::default();
        let columns = columns_of_two();
        let provider = make(&table(&host, &columns)).unwrap();
        assert!(provider.wants(b"a", 1).unwrap());
        let ask = |answer: i32| {
            host.answer.store(answer, Ordering::Relaxed);
            let mut row = ProviderRow::new(provider.columns());
            let claimed = provider.extract(b"a/b", b"four", &mut row);
            assert_eq!(row.values().collect::<Vec<_>>(), [(0, crate::provider::Value::Int64(4))]);
            claimed
        };
        assert!(ask(1).unwrap());
        assert!(!ask(0).unwrap());
        for (answer, status) in
            [(-42, Status::Corrupt), (-9999, Status::Callback), (2, Status::Callback), (i32::MIN, Status::Callback)]
        {
            let error = ask(answer).unwrap_err();
            assert_eq!(error.status(), status);
            assert!(error.message().contains("extract of provider test"), "{error}");
        }
    }

    #[test]
    fn malformed_tables_are_refused_and_released_once() {
        let host = Host::default();
        let columns = columns_of_two();
        let good = table(&host, &columns);
        let released = || host.released.load(Ordering::Relaxed);
        let bad_columns = [
            znippy_column { struct_size: 8, ..columns[0] },
            znippy_column { column_type: 9, ..columns[0] },
            znippy_column { column_type: 0, ..columns[0] },
            znippy_column { flags: 1, ..columns[0] },
            znippy_column { name: ptr::null(), ..columns[0] },
            column(c"\xFF", ZNIPPY_COLUMN_UTF8),
        ];
        let mut bad = vec![
            znippy_provider { flags: 2, ..good },
            znippy_provider { extract: None, ..good },
            znippy_provider { name: ptr::null(), ..good },
            znippy_provider { pkg_type: 128, ..good },
            znippy_provider { pkg_type: -129, ..good },
            znippy_provider { columns: ptr::null(), ..good },
            znippy_provider { column_count: usize::MAX, ..good },
        ];
        bad.extend(bad_columns.iter().map(|column| znippy_provider { columns: column, column_count: 1, ..good }));
        for (number, table) in bad.iter().enumerate() {
            assert_eq!(make(table).err().map(|error| error.status()), Some(Status::InvalidArgument), "{number}");
            assert_eq!(released(), number + 1);
        }
        assert!(make(&znippy_provider { struct_size: 71, ..good }).is_err());
        assert_eq!(released(), bad.len(), "nothing beyond the size is read");
    }

    #[test]
    fn options_share_a_provider_and_release_it_once() {
        let host = Host::default();
        let columns = columns_of_two();
        let good = table(&host, &columns);
        // SAFETY: live handles and tables.
        unsafe {
            let add = |options| znippy_options_add_provider(options, &raw const good, ptr::null_mut());
            let options = znippy_options_new();
            assert_eq!(add(options), ZNIPPY_OK);
            assert_eq!(host.released.load(Ordering::Relaxed), 0);
            // The same columns a second time.
            assert_eq!(add(options), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(add(ptr::null_mut()), ZNIPPY_E_INVALID_ARGUMENT);
            assert_eq!(host.released.load(Ordering::Relaxed), 2);
            let copy = znippy_options_clone(options);
            znippy_options_free(options);
            assert_eq!(host.released.load(Ordering::Relaxed), 2);
            znippy_options_free(copy);
            assert_eq!(host.released.load(Ordering::Relaxed), 3);
            let status = znippy_options_add_provider(ptr::null_mut(), ptr::null(), ptr::null_mut());
            assert_eq!(status, ZNIPPY_E_INVALID_ARGUMENT);
        }
    }

    #[test]
    fn columns_of_a_later_version_are_read_by_their_own_size() {
        #[repr(C)]
        struct Longer(znippy_column, u64);
        let host = Host::default();
        let longer = |column: znippy_column| {
            Longer(znippy_column { struct_size: size_of::<Longer>() as u32, ..column }, u64::MAX)
        };
        let columns = columns_of_two().map(longer);
        let table = znippy_provider { columns: columns.as_ptr().cast(), column_count: 2, ..table(&host, &[]) };
        let names: Vec<String> = make(&table).unwrap().columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(names, ["len", "word"]);
    }

    #[test]
    fn calls_are_one_at_a_time_unless_the_host_allows_more() {
        for (flags, expected) in [(0, 1), (ZNIPPY_PROVIDER_CONCURRENT, 2)] {
            let host = Host::default();
            let columns = columns_of_two();
            let provider = make(&znippy_provider { flags, ..table(&host, &columns) }).unwrap();
            let calls = || {
                for _ in 0..5 {
                    provider.extract(b"a", b"", &mut ProviderRow::new(provider.columns())).unwrap();
                }
            };
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(calls)).collect();
                // ThreadSanitizer sees a thread end where it is joined, not where a scope does.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            let most = host.most.into_inner();
            assert!(if expected == 1 { most == 1 } else { most >= expected }, "{most}");
        }
    }

    #[test]
    fn jobs_that_share_a_provider_take_turns_and_all_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| CString::new(folder.path().join(name).to_str().unwrap()).unwrap();
        std::fs::create_dir(folder.path().join("tree")).unwrap();
        (0..20).for_each(|number| std::fs::write(folder.path().join(format!("tree/{number}")), "bytes").unwrap());
        let (host, columns) = (Host::default(), columns_of_two());
        let good = table(&host, &columns);
        // SAFETY: live handles and tables; jobs only read the options.
        unsafe {
            let options = znippy_options_new();
            assert_eq!(znippy_options_add_provider(options, &raw const good, ptr::null_mut()), ZNIPPY_OK);
            let shared = options as usize;
            let jobs: Vec<_> = (0..3).map(|job| (path("tree"), path(&format!("archive {job}")))).collect();
            let packs = jobs.into_iter().map(|(source, archive)| {
                std::thread::spawn(move || {
                    let options = shared as *const znippy_options;
                    znippy_compress_dir(source.as_ptr(), archive.as_ptr(), options, ptr::null_mut(), ptr::null_mut())
                })
            });
            let packs: Vec<_> = packs.collect();
            assert!(packs.into_iter().all(|pack| pack.join().unwrap() == ZNIPPY_OK));
            znippy_options_free(options);
        }
        assert_eq!(host.most.load(Ordering::SeqCst), 1);
    }

    /// A host that packs a directory with its own options in `extract`, and notes what comes of it.
    struct Nested {
        options: *mut znippy_options,
        source: CString,
        archive: CString,
        status: AtomicI32,
    }

    unsafe extern "C" fn pack_again(
        user_data: *mut c_void,
        _: *const c_char,
        _: usize,
        _: *const u8,
        _: usize,
        _: *mut znippy_row,
    ) -> i32 {
        // SAFETY: the test passes a live host, with live options.
        unsafe {
            let host = &*user_data.cast::<Nested>();
            if host.status.swap(1, Ordering::SeqCst) == 2 {
                let (source, archive) = (host.source.as_ptr(), host.archive.as_ptr());
                let status = znippy_compress_dir(source, archive, host.options, ptr::null_mut(), ptr::null_mut());
                host.status.store(status, Ordering::SeqCst);
            }
        }
        0
    }

    #[test]
    fn packing_inside_a_callback_is_busy_where_calls_take_turns_and_works_where_they_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| CString::new(folder.path().join(name).to_str().unwrap()).unwrap();
        std::fs::create_dir(folder.path().join("tree")).unwrap();
        std::fs::write(folder.path().join("tree/file"), "bytes").unwrap();
        for (flags, expected) in [(0, ZNIPPY_E_BUSY), (ZNIPPY_PROVIDER_CONCURRENT, ZNIPPY_OK)] {
            // SAFETY: live handles and tables.
            unsafe {
                let options = znippy_options_new();
                let (source, status) = (path("tree"), AtomicI32::new(2));
                let host = Nested { options, source, archive: path(&format!("inner {flags}")), status };
                let unused = Host::default();
                let user_data = (&raw const host).cast_mut().cast();
                let extract: Extract = pack_again;
                let table =
                    znippy_provider { flags, user_data, extract: Some(extract), release: None, ..table(&unused, &[]) };
                assert_eq!(znippy_options_add_provider(options, &raw const table, ptr::null_mut()), ZNIPPY_OK);
                let outer = path(&format!("outer {flags}"));
                let (source, no_stats) = (host.source.as_ptr(), ptr::null_mut());
                assert_eq!(znippy_compress_dir(source, outer.as_ptr(), options, no_stats, ptr::null_mut()), ZNIPPY_OK);
                assert_eq!(host.status.load(Ordering::SeqCst), expected);
                znippy_options_free(options);
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "tree, two archives, and an inner one");
    }
}
