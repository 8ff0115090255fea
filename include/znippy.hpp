/*
 * libznippy for C++17 and later: the C interface of znippy.h with owners, exceptions and ranges. Header only.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Failures are exceptions of the type znippy::error. Owners are move-only and free what they own; get() lends the C
 * handle, release() gives it away. What znippy.h says of threads, paths and ownership holds here too.
 *
 * A function that the library calls back (progress, log, a source, a sink, a stream, a provider) may throw: the call
 * that it belongs to stops, and the same exception comes out of it. No exception crosses the library.
 *
 *     znippy::compress_dir("project", "project.znippy");
 *     znippy::reader reader("project.znippy");
 *     for (const znippy::entry &entry : reader.entries())
 *         std::cout << entry.path() << '\n';
 *     std::string text = reader.read("README.md").str();
 *
 * Compiles with -fno-rtti. Exceptions are needed.
 */
#ifndef ZNIPPY_HPP
#define ZNIPPY_HPP

#include "znippy.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <istream>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace znippy {

/** Version of the library that runs: major * 1000000 + minor * 1000 + patch. */
inline std::uint32_t version_number() noexcept { return znippy_version_number(); }

/** The same as text. */
inline const char *version_string() noexcept { return znippy_version_string(); }

/* ---- errors ---- */

/** Why a call failed. */
class error : public std::runtime_error {
public:
    error(znippy_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /** Takes over an error object of the C interface, which may be NULL. */
    error(znippy_status status, znippy_error *object)
        : std::runtime_error(object ? znippy_error_message(object) : znippy_status_message(status)), status_(status) {
        std::unique_ptr<znippy_error, void (*)(znippy_error *)> owner(object, znippy_error_free);
        if (object) {
            std::size_t len = 0;
            const char *path = znippy_error_path(object, &len);
            const char *rule = znippy_error_rule(object);
            path_ = path ? std::string(path, len) : std::string();
            rule_ = rule ? rule : "";
            os_code_ = znippy_error_os_code(object);
        }
    }

    /** One of ZNIPPY_E_*. */
    znippy_status status() const noexcept { return status_; }
    /** Its name, such as "ZNIPPY_E_CORRUPT". */
    const char *status_name() const noexcept { return znippy_status_name(status_); }
    /** The path or entry that the error is about, or nothing; exact bytes. */
    const std::string &path() const noexcept { return path_; }
    /** The operating system's error number, or 0. */
    std::int32_t os_code() const noexcept { return os_code_; }
    /** The stable name of the check that refused something, or nothing. */
    const std::string &rule() const noexcept { return rule_; }

private:
    znippy_status status_;
    std::int32_t os_code_ = 0;
    std::string path_;
    std::string rule_;
};

/** A job was done in part (ZNIPPY_E_PARTIAL): its report came all the same. */
class partial_error : public error {
public:
    partial_error(znippy_error *object, const znippy_stats &stats)
        : error(ZNIPPY_E_PARTIAL, object), stats_(stats) {}

    /** What was done and what was not. */
    const znippy_stats &stats() const noexcept { return stats_; }

private:
    znippy_stats stats_;
};

namespace detail {

/** Keeps the first exception of a function that runs on any thread. */
class failure_box {
public:
    void keep(std::exception_ptr failure) noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_)
            failure_ = std::move(failure);
    }
    std::exception_ptr take() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        return std::exchange(failure_, nullptr);
    }

private:
    std::mutex mutex_;
    std::exception_ptr failure_;
};

/**
 * One call of the C interface. Functions called back on the calling thread leave their exceptions here, those of
 * other threads in a box; both come out when the call is over.
 */
class call {
public:
    explicit call(std::shared_ptr<failure_box> box = nullptr) noexcept : box_(std::move(box)), outer_(current()) {
        current() = this;
    }
    ~call() {
        current() = outer_;
        znippy_error_free(object_);
    }
    call(const call &) = delete;
    call &operator=(const call &) = delete;

    /** Where the C function stores its error. */
    znippy_error **err() noexcept { return &object_; }

    /** Ends the call: throws what a callback threw, or the error that it ended with. */
    void finish(znippy_status status) {
        rethrow(status);
        if (status < 0)
            throw error(status, std::exchange(object_, nullptr));
    }

    /** The same for jobs with a report. */
    void finish(znippy_status status, const znippy_stats &stats) {
        rethrow(status);
        if (status == ZNIPPY_E_PARTIAL)
            throw partial_error(std::exchange(object_, nullptr), stats);
        finish(status);
    }

    /** Notes the exception in flight for the call that this thread is in, else in the box. */
    static void note(failure_box *box) noexcept {
        if (call *call = current()) {
            if (!call->failure_)
                call->failure_ = std::current_exception();
        } else if (box) {
            box->keep(std::current_exception());
        }
    }

    /** Whether a callback of this thread's call threw already. */
    static bool has_failed() noexcept { return current() && current()->failure_; }

private:
    static call *&current() noexcept {
        static thread_local call *innermost = nullptr;
        return innermost;
    }

    void rethrow(znippy_status status) {
        // What is in the box belongs to this call only if the call failed by a callback.
        if (!failure_ && box_ && (status == ZNIPPY_E_CALLBACK || status == ZNIPPY_E_PARTIAL))
            failure_ = box_->take();
        if (failure_)
            std::rethrow_exception(std::exchange(failure_, nullptr));
    }

    std::shared_ptr<failure_box> box_;
    call *outer_;
    znippy_error *object_ = nullptr;
    std::exception_ptr failure_;
};

template <auto Free>
struct free_with {
    template <typename T>
    void operator()(T *handle) const noexcept { Free(handle); }
};

/** An owner of a C handle, of the size of a pointer. */
template <typename T, auto Free>
class owner {
public:
    owner() noexcept = default;
    explicit owner(T *handle) noexcept : handle_(handle) {}

    /** The C handle, which stays this object's; NULL after a move. */
    T *get() const noexcept { return handle_.get(); }
    /** Gives the C handle away. */
    T *release() noexcept { return handle_.release(); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

private:
    std::unique_ptr<T, free_with<Free>> handle_;
};

/** What the library allocates and can't. */
template <typename T>
T *allocated(T *handle) {
    if (!handle)
        throw std::bad_alloc();
    return handle;
}

/** A path of the host: NUL-terminated, so that none may be inside. */
inline const char *host_path(const std::string &path) {
    if (path.find('\0') != std::string::npos)
        throw error(ZNIPPY_E_INVALID_ARGUMENT, "a path has a NUL inside");
    return path.c_str();
}

/** Frees what a callback table owns. */
template <typename T>
void delete_as(void *user_data) noexcept { delete static_cast<T *>(user_data); }

template <typename T>
T with_size() noexcept {
    T value{};
    value.struct_size = sizeof value;
    return value;
}

} // namespace detail

/* ---- memory ---- */

/** Bytes to read: a pointer and a size, or anything with data() and size(), such as std::string_view or std::span. */
class const_bytes {
public:
    const_bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <typename C, typename = std::enable_if_t<std::is_pointer_v<decltype(std::declval<const C &>().data())>>>
    const_bytes(const C &container) noexcept
        : data_(container.data()), size_(container.size() * sizeof *container.data()) {
        static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(*container.data())>>, "bytes");
    }
    const_bytes(const char *text) noexcept : const_bytes(std::string_view(text)) {}

    const void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    const void *data_;
    std::size_t size_;
};

/** Room to write: a pointer and a size, or anything with data() and size(), such as std::vector or std::span. */
class mutable_bytes {
public:
    mutable_bytes(void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <typename C, typename = std::enable_if_t<std::is_pointer_v<decltype(std::declval<C &>().data())> &&
                                                      !std::is_same_v<std::decay_t<C>, mutable_bytes>>>
    mutable_bytes(C &&container) noexcept
        : data_(container.data()), size_(container.size() * sizeof *container.data()) {
        static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(*container.data())>>, "bytes");
    }

    void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    void *data_;
    std::size_t size_;
};

/** Library memory that holds the bytes of one entry. */
class buffer {
public:
    buffer() noexcept = default;
    /** Takes over a buffer of the C interface. */
    explicit buffer(const znippy_buffer &raw) noexcept : raw_(raw) {}
    buffer(buffer &&other) noexcept : raw_(other.release()) {}
    buffer &operator=(buffer &&other) noexcept {
        if (this != &other) {
            znippy_buffer_free(&raw_);
            raw_ = other.release();
        }
        return *this;
    }
    ~buffer() { znippy_buffer_free(&raw_); }

    const std::uint8_t *data() const noexcept { return raw_.data; }
    std::size_t size() const noexcept { return raw_.len; }
    bool empty() const noexcept { return raw_.len == 0; }
    const std::uint8_t *begin() const noexcept { return raw_.data; }
    const std::uint8_t *end() const noexcept { return raw_.data + raw_.len; }
    std::uint8_t operator[](std::size_t position) const noexcept { return raw_.data[position]; }
    /** The bytes as text, which lives as long as the buffer. */
    std::string_view view() const noexcept { return {reinterpret_cast<const char *>(raw_.data), raw_.len}; }
    /** A copy. */
    std::string str() const { return std::string(view()); }

    const znippy_buffer &get() const noexcept { return raw_; }
    /** Gives the memory away. */
    znippy_buffer release() noexcept { return std::exchange(raw_, znippy_buffer{nullptr, 0, 0}); }

private:
    znippy_buffer raw_{nullptr, 0, 0};
};

/* ---- cancel ---- */

/** Stops the calls whose options have it. Any thread may trigger and query it. */
class cancel : public detail::owner<znippy_cancel, znippy_cancel_free> {
public:
    cancel() : owner(detail::allocated(znippy_cancel_new())) {}

    void trigger() const noexcept { znippy_cancel_trigger(get()); }
    bool is_triggered() const noexcept { return znippy_cancel_is_triggered(get()) != 0; }
};

/* ---- options ---- */

/** How far a job is; see znippy_progress. Path and struct end with the callback. */
using progress = znippy_progress;
/** Returns false to stop the job with ZNIPPY_E_CANCELLED. Runs on the thread that made the call. */
using progress_function = std::function<bool(const progress &)>;
/** Gets ZNIPPY_LOG_* and a message. Runs on the thread that made the call. */
using log_function = std::function<void(std::int32_t level, std::string_view message)>;

/** Values that calls work with; each call takes a snapshot when it begins. */
class options : public detail::owner<znippy_options, znippy_options_free> {
public:
    options() : owner(detail::allocated(znippy_options_new())) {}
    /** Takes over a handle of the C interface. */
    explicit options(znippy_options *handle) noexcept : owner(handle) {}

    /** A copy, which shares functions and cancel token. */
    options clone() const { return options(detail::allocated(znippy_options_clone(get()))); }

    /** Sets a number, a flag or a choice; the key is a ZNIPPY_OPT_*. */
    options &set(std::uint32_t key, std::int64_t value) {
        detail::call call;
        call.finish(znippy_options_set_i64(get(), key, value, call.err()));
        return *this;
    }

    /** Sets bytes; a list gets a further value, or is emptied by no bytes. */
    options &set(std::uint32_t key, std::string_view bytes) {
        detail::call call;
        call.finish(znippy_options_set_bytes(get(), key, bytes.data(), bytes.size(), call.err()));
        return *this;
    }

    /** The value in force. */
    std::int64_t get(std::uint32_t key) const {
        detail::call call;
        std::int64_t value = 0;
        call.finish(znippy_options_get_i64(get(), key, &value, call.err()));
        return value;
    }
    using owner::get;

    /** Installs the progress function in place of the one before; an empty one removes it. */
    options &on_progress(progress_function function) {
        if (!function) {
            znippy_options_set_progress(get(), nullptr, nullptr, nullptr);
            return *this;
        }
        znippy_options_set_progress(get(), report, new progress_function(std::move(function)),
                                    detail::delete_as<progress_function>);
        return *this;
    }

    /** Installs the log function, which gets messages of up to max_level; an empty one removes it. */
    options &on_log(std::int32_t max_level, log_function function) {
        if (!function) {
            znippy_options_set_log(get(), max_level, nullptr, nullptr, nullptr);
            return *this;
        }
        znippy_options_set_log(get(), max_level, log, new log_function(std::move(function)),
                               detail::delete_as<log_function>);
        return *this;
    }

    /** Attaches a token in place of the one before; the options keep a reference of their own. */
    options &cancel_with(const cancel &token) noexcept {
        znippy_options_set_cancel(get(), token.get());
        return *this;
    }

private:
    static std::int32_t report(void *user_data, const znippy_progress *now) noexcept {
        if (detail::call::has_failed())
            return 1;
        try {
            return (*static_cast<progress_function *>(user_data))(*now) ? 0 : 1;
        } catch (...) {
            detail::call::note(nullptr);
            return 1;
        }
    }

    static void log(void *user_data, std::int32_t level, const char *message, std::size_t len) noexcept {
        if (detail::call::has_failed())
            return;
        try {
            (*static_cast<log_function *>(user_data))(level, std::string_view(message, len));
        } catch (...) {
            detail::call::note(nullptr);
        }
    }
};

/** Options of a call, or none, which are the defaults. */
class options_ref {
public:
    options_ref() noexcept = default;
    options_ref(const options &options) noexcept : handle_(options.get()) {}
    options_ref(const znippy_options *handle) noexcept : handle_(handle) {}
    const znippy_options *get() const noexcept { return handle_; }

private:
    const znippy_options *handle_ = nullptr;
};

/* ---- one call each ---- */

/** What a job did; see znippy_stats. */
using stats = znippy_stats;

/** Packs a directory into an archive, which appears complete or not at all. */
inline stats compress_dir(const std::string &src_dir, const std::string &archive_path, options_ref options = {}) {
    detail::call call;
    stats report = detail::with_size<stats>();
    call.finish(znippy_compress_dir(detail::host_path(src_dir), detail::host_path(archive_path), options.get(), &report,
                                    call.err()),
                report);
    return report;
}

/** Restores a whole archive below a directory; partial_error where it was told to keep going and something failed. */
inline stats extract_archive(const std::string &archive_path, const std::string &dest_dir, options_ref options = {}) {
    detail::call call;
    stats report = detail::with_size<stats>();
    call.finish(znippy_extract_archive(detail::host_path(archive_path), detail::host_path(dest_dir), options.get(),
                                       &report, call.err()),
                report);
    return report;
}

/** What a salvage kept and lost; see znippy_salvage_report. */
using salvage_report = znippy_salvage_report;

/** Writes what is whole of a damaged archive into a new one. That something is lost is no exception: the report tells. */
inline salvage_report salvage(const std::string &damaged, const std::string &archive_path, options_ref options = {}) {
    detail::call call;
    salvage_report report = detail::with_size<salvage_report>();
    znippy_status status = znippy_salvage(detail::host_path(damaged), detail::host_path(archive_path), options.get(),
                                          &report, call.err());
    call.finish(status == ZNIPPY_E_PARTIAL ? ZNIPPY_OK : status);
    return report;
}

/* ---- entries ---- */

/** A run of entries: immutable, and independent of the reader that it came from. */
class listing : public detail::owner<znippy_listing, znippy_listing_free> {
public:
    listing() noexcept = default;
    explicit listing(znippy_listing *handle) noexcept : owner(handle) {}

    std::size_t size() const noexcept { return znippy_listing_count(get()); }
    bool empty() const noexcept { return size() == 0; }

    /** An entry by its position; its pointers live as long as the listing. */
    znippy_entry_info info(std::size_t position) const {
        detail::call call;
        znippy_entry_info info = detail::with_size<znippy_entry_info>();
        call.finish(znippy_listing_get(get(), position, &info, call.err()));
        return info;
    }
};

/** Nanoseconds since the epoch. */
using file_time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;
/** A BLAKE3 hash. */
using digest = std::array<std::uint8_t, 32>;

/** An entry. It keeps alive what its path and link target point to, so that it may be copied and stored. */
class entry {
public:
    entry(std::shared_ptr<const listing> keep, std::size_t position)
        : keep_(std::move(keep)), info_(keep_->info(position)) {}

    /** Number of the entry in the archive. */
    std::uint64_t index() const noexcept { return info_.index; }
    /** The exact path, not always UTF-8; NUL-terminated. */
    std::string_view path() const noexcept { return {info_.path, info_.path_len}; }
    /** ZNIPPY_KIND_*; may be a number of a later version. */
    std::uint32_t kind() const noexcept { return info_.kind; }
    bool is_directory() const noexcept { return info_.kind == ZNIPPY_KIND_DIRECTORY; }
    bool is_symlink() const noexcept { return info_.kind == ZNIPPY_KIND_SYMLINK; }
    /** A file under its first or a further name: what has bytes to read. */
    bool is_file() const noexcept { return info_.kind == ZNIPPY_KIND_FILE || info_.kind == ZNIPPY_KIND_HARDLINK; }
    /** Target of a symbolic link, or first path of a hard link's group; else empty. */
    std::string_view link_target() const noexcept {
        return info_.link_target ? std::string_view(info_.link_target, info_.link_target_len) : std::string_view();
    }
    /** Bytes, holes included. */
    std::uint64_t size() const noexcept { return info_.size; }
    /** Its share of the stored bytes. */
    std::uint64_t stored_size() const noexcept { return info_.stored_size; }
    /** The low 12 mode bits, where they are recorded; so with the others. */
    std::optional<std::uint32_t> mode() const noexcept { return field(ZNIPPY_ENTRY_HAS_MODE, info_.mode); }
    std::optional<std::uint32_t> uid() const noexcept { return field(ZNIPPY_ENTRY_HAS_UID, info_.uid); }
    std::optional<std::uint32_t> gid() const noexcept { return field(ZNIPPY_ENTRY_HAS_GID, info_.gid); }
    std::optional<std::uint64_t> rdev() const noexcept { return field(ZNIPPY_ENTRY_HAS_RDEV, info_.rdev); }
    std::optional<file_time> mtime() const noexcept {
        return field(ZNIPPY_ENTRY_HAS_MTIME, file_time(std::chrono::nanoseconds(info_.mtime_ns)));
    }
    /** BLAKE3 of the whole file. */
    std::optional<digest> hash() const noexcept {
        digest bytes{};
        for (std::size_t i = 0; i < bytes.size(); i++)
            bytes[i] = info_.hash[i];
        return field(ZNIPPY_ENTRY_HAS_HASH, bytes);
    }
    /** Everything, as the C interface has it. */
    const znippy_entry_info &info() const noexcept { return info_; }

private:
    template <typename T>
    std::optional<T> field(std::uint32_t flag, T value) const noexcept {
        return info_.flags & flag ? std::optional<T>(value) : std::nullopt;
    }

    std::shared_ptr<const listing> keep_;
    znippy_entry_info info_;
};

class reader;

/** Entries by number, fetched in batches. An input range; each call of begin() starts again. */
class entry_range {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const entry *;
        using reference = const entry &;

        iterator() noexcept = default;
        reference operator*() const noexcept { return *entry_; }
        pointer operator->() const noexcept { return &*entry_; }
        iterator &operator++() {
            next_++;
            left_--;
            load();
            return *this;
        }
        iterator operator++(int) {
            iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.left_ == b.left_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.left_ != b.left_; }

    private:
        friend class entry_range;
        iterator(std::shared_ptr<const reader> source, std::uint64_t first, std::uint64_t count)
            : reader_(std::move(source)), next_(first), left_(count) {
            load();
        }
        void load();

        std::shared_ptr<const reader> reader_;
        std::uint64_t next_ = 0;
        std::uint64_t left_ = 0;
        std::uint64_t batch_first_ = 0;
        std::shared_ptr<const listing> batch_;
        std::optional<entry> entry_;
    };

    iterator begin() const { return iterator(reader_, first_, count_); }
    iterator end() const noexcept { return iterator(); }
    /** Number of entries. */
    std::uint64_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    /** Number of the first entry. */
    std::uint64_t first() const noexcept { return first_; }

private:
    friend class reader;
    entry_range(std::shared_ptr<const reader> source, std::uint64_t first, std::uint64_t count) noexcept
        : reader_(std::move(source)), first_(first), count_(count) {}

    std::shared_ptr<const reader> reader_;
    std::uint64_t first_;
    std::uint64_t count_;
};

/* ---- reader ---- */

/** Reads up to size bytes at offset into data and returns how many, at least 1; may throw. */
using read_at_function = std::function<std::size_t(std::uint64_t offset, void *data, std::size_t size)>;

class entry_stream;

/** An open archive. All const functions may be called by any number of threads at once. */
class reader : public detail::owner<znippy_reader, znippy_reader_free> {
public:
    /** Takes over a handle of the C interface. */
    explicit reader(znippy_reader *handle) noexcept : owner(handle) {}

    /** Opens an archive by path. */
    explicit reader(const std::string &archive_path, options_ref options = {})
        : reader(made(nullptr, [&](znippy_reader **out, znippy_error **err) {
              return znippy_reader_open(detail::host_path(archive_path), options.get(), out, err);
          })) {}

    /** Opens an archive over a descriptor, which is duplicated. */
    static reader open_fd(std::intptr_t fd, options_ref options = {}) {
        return made(nullptr, [&](znippy_reader **out, znippy_error **err) {
            return znippy_reader_open_fd(fd, options.get(), out, err);
        });
    }

    /** Opens an archive in memory. The owner is kept as long as the bytes are needed; without one they must outlive
     * the reader. */
    static reader open_memory(const_bytes bytes, std::shared_ptr<const void> keep = nullptr, options_ref options = {}) {
        using keeper = std::shared_ptr<const void>;
        auto *kept = new keeper(std::move(keep));
        return made(nullptr, [&](znippy_reader **out, znippy_error **err) {
            return znippy_reader_open_memory(bytes.data(), bytes.size(), detail::delete_as<keeper>, kept, options.get(),
                                             out, err);
        });
    }

    /** The same of bytes that the reader owns. */
    static reader open_memory(std::vector<std::uint8_t> &&bytes, options_ref options = {}) {
        auto kept = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
        return open_memory(const_bytes(*kept), kept, options);
    }

    /** Opens an archive through a function, which is called on any thread, one call at a time unless it is said to be
     * concurrent. An exception of it comes out of the call that needed the bytes; if several calls of the reader need
     * bytes at the same time, out of one of them. */
    static reader open_source(std::uint64_t size, read_at_function read_at, bool concurrent = false,
                              options_ref options = {}) {
        auto box = std::make_shared<detail::failure_box>();
        znippy_source table = detail::with_size<znippy_source>();
        table.flags = concurrent ? ZNIPPY_SOURCE_CONCURRENT : 0;
        table.size = size;
        table.user_data = new source{std::move(read_at), box};
        table.read_at = source::read_at;
        table.release = detail::delete_as<source>;
        return made(box, [&](znippy_reader **out, znippy_error **err) {
            return znippy_reader_open_source(&table, options.get(), out, err);
        });
    }

    /** Another reference to the same archive. */
    reader share() const {
        reader other(znippy_reader_retain(get()));
        other.box_ = box_;
        return other;
    }

    /** Number of entries. */
    std::uint64_t size() const noexcept { return znippy_reader_entry_count(get()); }

    /** Facts about the archive. */
    znippy_archive_info info() const {
        znippy_archive_info info = detail::with_size<znippy_archive_info>();
        ask([&](znippy_error **err) { return znippy_reader_info(get(), &info, err); });
        return info;
    }

    /** What the archive records about itself under a name; the text lives as long as the reader. */
    std::optional<std::string_view> metadata(const std::string &name) const {
        const char *value = nullptr;
        ask([&](znippy_error **) { return znippy_reader_metadata(get(), name.c_str(), &value); });
        return value ? std::optional<std::string_view>(value) : std::nullopt;
    }

    /** The digest of the tree: equal for equal trees. */
    digest tree_digest() const {
        digest bytes{};
        ask([&](znippy_error **err) { return znippy_reader_tree_digest(get(), bytes.data(), err); });
        return bytes;
    }

    /** The number of the entry with exactly this path, or nothing. */
    std::optional<std::uint64_t> find(std::string_view path) const {
        std::uint64_t index = 0;
        detail::call call(box_);
        znippy_status status = znippy_reader_find(get(), path.data(), path.size(), &index, call.err());
        if (status == ZNIPPY_E_NOT_FOUND)
            return std::nullopt;
        call.finish(status);
        return index;
    }

    /** The number of the entry with exactly this path; an error where there is none. */
    std::uint64_t index_of(std::string_view path) const {
        std::uint64_t index = 0;
        ask([&](znippy_error **err) { return znippy_reader_find(get(), path.data(), path.size(), &index, err); });
        return index;
    }

    /** An entry by its number. */
    entry at(std::uint64_t index) const {
        auto one = std::make_shared<const listing>(list(index, 1));
        return entry(std::move(one), 0);
    }

    /** An entry by its path. */
    entry at(std::string_view path) const { return at(index_of(path)); }
    entry at(const char *path) const { return at(std::string_view(path)); }

    /** Up to capacity entries from number first on. */
    listing list(std::uint64_t first, std::size_t capacity) const {
        znippy_listing *handle = nullptr;
        detail::call call(box_);
        znippy_status status = znippy_reader_list(get(), first, capacity, &handle, call.err());
        listing result(handle);
        call.finish(status);
        return result;
    }

    /** All entries, in the order of the index. */
    entry_range entries() const { return entries(0, size()); }

    /** The entries at and below a path. */
    entry_range entries(std::string_view prefix) const {
        std::uint64_t first = 0, count = 0;
        ask([&](znippy_error **err) {
            return znippy_reader_find_prefix(get(), prefix.data(), prefix.size(), &first, &count, err);
        });
        return entries(first, count);
    }

    /** Up to count entries from number first on. */
    entry_range entries(std::uint64_t first, std::uint64_t count) const {
        std::uint64_t left = first < size() ? size() - first : 0;
        return entry_range(std::make_shared<const reader>(share()), first, count < left ? count : left);
    }

    /** Reads bytes of an entry at an offset; fewer than there is room for at its end only. */
    std::size_t read_at(std::uint64_t index, std::uint64_t offset, mutable_bytes room) const {
        std::size_t len = 0;
        ask([&](znippy_error **err) {
            return znippy_reader_read_at(get(), index, offset, room.data(), room.size(), &len, err);
        });
        return len;
    }

    /** Reads a whole entry. */
    buffer read(std::uint64_t index, options_ref options = {}) const {
        znippy_buffer raw{nullptr, 0, 0};
        detail::call call(box_);
        znippy_status status = znippy_reader_read(get(), index, options.get(), &raw, call.err());
        buffer result(raw);
        call.finish(status);
        return result;
    }

    /** Reads a whole entry by its path. */
    buffer read(std::string_view path, options_ref options = {}) const { return read(index_of(path), options); }
    buffer read(const char *path, options_ref options = {}) const { return read(std::string_view(path), options); }

    /** The bytes of an entry as a std::istream, which can seek; it has a reference of its own to the archive. */
    entry_stream stream(std::uint64_t index) const;
    entry_stream stream(std::string_view path) const;
    entry_stream stream(const char *path) const;

    /** Restores everything below a directory; partial_error where it was told to keep going and something failed. */
    stats extract_all(const std::string &dest_dir, options_ref options = {}) const {
        return job([&](stats *report, znippy_error **err) {
            return znippy_reader_extract_all(get(), detail::host_path(dest_dir), options.get(), report, err);
        });
    }

    /** Checks everything. */
    stats verify(options_ref options = {}) const {
        return job([&](stats *report, znippy_error **err) {
            return znippy_reader_verify(get(), options.get(), report, err);
        });
    }

    /** Checks the stored bytes without decoding them. */
    stats verify_quick(options_ref options = {}) const {
        return job([&](stats *report, znippy_error **err) {
            return znippy_reader_verify_quick(get(), options.get(), report, err);
        });
    }

    /** Checks one entry. */
    void verify_entry(std::uint64_t index) const {
        ask([&](znippy_error **err) { return znippy_reader_verify_entry(get(), index, err); });
    }

    /** Stores the schema of the index in the caller's struct. */
    void export_schema(ArrowSchema &schema) const {
        ask([&](znippy_error **err) { return znippy_reader_export_schema(get(), &schema, err); });
    }

    /** Stores a fresh stream over the index in the caller's struct. Its get_next never throws. */
    void export_index(ArrowArrayStream &stream, options_ref options = {}) const {
        ask([&](znippy_error **err) { return znippy_reader_export_index(get(), options.get(), &stream, err); });
    }

private:
    struct source {
        read_at_function function;
        std::shared_ptr<detail::failure_box> box;

        static std::int64_t read_at(void *user_data, std::uint64_t offset, void *data, std::size_t len) noexcept {
            auto *self = static_cast<source *>(user_data);
            try {
                return static_cast<std::int64_t>(self->function(offset, data, len));
            } catch (...) {
                detail::call::note(self->box.get());
                return ZNIPPY_E_CALLBACK;
            }
        }
    };

    template <typename Open>
    static reader made(std::shared_ptr<detail::failure_box> box, Open open) {
        detail::call call(box);
        znippy_reader *handle = nullptr;
        znippy_status status = open(&handle, call.err());
        reader result(handle);
        result.box_ = std::move(box);
        call.finish(status);
        return result;
    }

    template <typename Question>
    void ask(Question question) const {
        detail::call call(box_);
        call.finish(question(call.err()));
    }

    template <typename Job>
    stats job(Job run) const {
        detail::call call(box_);
        stats report = detail::with_size<stats>();
        call.finish(run(&report, call.err()), report);
        return report;
    }

    /** Exceptions of a source that were thrown on threads of the library. */
    std::shared_ptr<detail::failure_box> box_;
};

inline void entry_range::iterator::load() {
    constexpr std::size_t batch = 1024;
    entry_.reset();
    if (left_ == 0)
        return;
    if (!batch_ || next_ - batch_first_ >= batch_->size()) {
        std::size_t wanted = left_ < batch ? static_cast<std::size_t>(left_) : batch;
        batch_ = std::make_shared<const listing>(reader_->list(next_, wanted));
        batch_first_ = next_;
        if (batch_->empty()) {
            left_ = 0;
            return;
        }
    }
    entry_.emplace(batch_, static_cast<std::size_t>(next_ - batch_first_));
}

/* ---- std::istream ---- */

/** Reads an entry block by block through read_at. An exception makes the stream bad; failure() has it. */
class entry_streambuf : public std::streambuf {
public:
    entry_streambuf(reader source, std::uint64_t index)
        : reader_(std::move(source)), index_(index), size_(reader_.at(index).size()), room_(1 << 16) {}

    /** The exception that made the stream bad, or nothing. */
    std::exception_ptr failure() const noexcept { return failure_; }

protected:
    int_type underflow() override {
        if (gptr() < egptr())
            return traits_type::to_int_type(*gptr());
        return fill(position_) ? traits_type::to_int_type(*gptr()) : traits_type::eof();
    }

    std::streamsize xsgetn(char *to, std::streamsize count) override {
        std::streamsize done = 0;
        while (done < count) {
            if (gptr() == egptr()) {
                // What is bigger than the buffer goes straight to its place.
                if (count - done >= static_cast<std::streamsize>(room_.size())) {
                    std::size_t len = fetch(position_, to + done, static_cast<std::size_t>(count - done));
                    position_ += len;
                    return done + static_cast<std::streamsize>(len);
                }
                if (!fill(position_))
                    break;
            }
            std::streamsize some = egptr() - gptr() < count - done ? egptr() - gptr() : count - done;
            traits_type::copy(to + done, gptr(), static_cast<std::size_t>(some));
            gbump(static_cast<int>(some));
            done += some;
        }
        return done;
    }

    std::streamsize showmanyc() override {
        return position_ < size_ ? static_cast<std::streamsize>(size_ - position_) : -1;
    }

    pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode which) override {
        off_type base = from == std::ios_base::beg   ? 0
                        : from == std::ios_base::end ? static_cast<off_type>(size_)
                                                     : static_cast<off_type>(position_) - (egptr() - gptr());
        return seekpos(pos_type(base + offset), which);
    }

    pos_type seekpos(pos_type position, std::ios_base::openmode which) override {
        off_type to = off_type(position);
        if (!(which & std::ios_base::in) || to < 0 || static_cast<std::uint64_t>(to) > size_)
            return pos_type(off_type(-1));
        // Bytes that are here already stay.
        std::uint64_t begin = position_ - static_cast<std::uint64_t>(egptr() - eback());
        if (static_cast<std::uint64_t>(to) >= begin && static_cast<std::uint64_t>(to) <= position_) {
            setg(eback(), eback() + (static_cast<std::uint64_t>(to) - begin), egptr());
        } else {
            setg(nullptr, nullptr, nullptr);
            position_ = static_cast<std::uint64_t>(to);
        }
        return position;
    }

private:
    bool fill(std::uint64_t offset) {
        std::size_t len = fetch(offset, room_.data(), room_.size());
        setg(room_.data(), room_.data(), room_.data() + len);
        position_ = offset + len;
        return len > 0;
    }

    std::size_t fetch(std::uint64_t offset, char *to, std::size_t len) {
        try {
            return reader_.read_at(index_, offset, mutable_bytes(to, len));
        } catch (...) {
            failure_ = std::current_exception();
            throw;
        }
    }

    reader reader_;
    std::uint64_t index_;
    std::uint64_t size_;
    /** Offset of what comes after the buffered bytes. */
    std::uint64_t position_ = 0;
    std::vector<char> room_;
    std::exception_ptr failure_;
};

/** The bytes of an entry as a std::istream. */
class entry_stream : public std::istream {
public:
    entry_stream(reader source, std::uint64_t index)
        : std::istream(nullptr), buffer_(std::make_unique<entry_streambuf>(std::move(source), index)) {
        rdbuf(buffer_.get());
    }
    entry_stream(entry_stream &&other) noexcept : std::istream(std::move(other)), buffer_(std::move(other.buffer_)) {
        set_rdbuf(buffer_.get());
    }

    /** The exception that made the stream bad, or nothing. */
    std::exception_ptr failure() const noexcept { return buffer_->failure(); }

private:
    std::unique_ptr<entry_streambuf> buffer_;
};

inline entry_stream reader::stream(std::uint64_t index) const { return entry_stream(share(), index); }
inline entry_stream reader::stream(std::string_view path) const { return stream(index_of(path)); }
inline entry_stream reader::stream(const char *path) const { return stream(std::string_view(path)); }

static_assert(sizeof(cancel) == sizeof(void *) && sizeof(options) == sizeof(void *) &&
                  sizeof(listing) == sizeof(void *),
              "owners have no state beyond the C handle");

} // namespace znippy

#endif /* ZNIPPY_HPP */
