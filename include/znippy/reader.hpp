/*
 * Open archives. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_READER_HPP
#define ZNIPPY_READER_HPP

#include "entry.hpp"
#include "memory.hpp"
#include "options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace znippy {

/** Packs a directory into an archive, which appears complete or not at all. */
inline stats compress_dir(const std::string &src_dir, const std::string &archive_path, options_ref options = {}) {
    detail::call call(nullptr, options.boxes());
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
    detail::call call(nullptr, options.boxes());
    salvage_report report = detail::with_size<salvage_report>();
    znippy_status status = znippy_salvage(detail::host_path(damaged), detail::host_path(archive_path), options.get(),
                                          &report, call.err());
    call.finish(status == ZNIPPY_E_PARTIAL ? ZNIPPY_OK : status);
    return report;
}

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

/** Reads up to size bytes at offset into data and returns how many, at least 1; may throw. */
using read_at_function = std::function<std::size_t(std::uint64_t offset, void *data, std::size_t size)>;

class entry_stream;
class differences;

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

    /** The first run of bytes at or after offset that is no hole, from its start to its end; empty where there is none. */
    std::pair<std::uint64_t, std::uint64_t> find_data(std::uint64_t index, std::uint64_t offset) const {
        std::pair<std::uint64_t, std::uint64_t> run(0, 0);
        ask([&](znippy_error **err) {
            return znippy_reader_find_data(get(), index, offset, &run.first, &run.second, err);
        });
        return run;
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

    /** Restores one entry to exactly this path, whose directory must exist; see znippy_reader_extract(). */
    void extract(std::uint64_t index, const std::string &dest_path, options_ref options = {}) const {
        ask([&](znippy_error **err) {
            return znippy_reader_extract(get(), index, detail::host_path(dest_path), options.get(), err);
        });
    }
    void extract(std::string_view path, const std::string &dest_path, options_ref options = {}) const {
        extract(index_of(path), dest_path, options);
    }
    void extract(const char *path, const std::string &dest_path, options_ref options = {}) const {
        extract(std::string_view(path), dest_path, options);
    }

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

    /** What another archive has more, less and different. That they differ is no error. */
    differences compare(const reader &other, options_ref options = {}) const;
    /** What a directory has more, less and different. */
    differences compare_dir(const std::string &dir, options_ref options = {}) const;

    /** Stores the schema of the index in the caller's struct. */
    void export_schema(ArrowSchema &schema) const {
        ask([&](znippy_error **err) { return znippy_reader_export_schema(get(), &schema, err); });
    }

    /** Stores a fresh stream over the index in the caller's struct. Its get_next never throws. */
    void export_index(ArrowArrayStream &stream, options_ref options = {}) const {
        ask([&](znippy_error **err) { return znippy_reader_export_index(get(), options.get(), &stream, err); });
    }

private:
    friend class options;
    friend class writer;
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

inline options &options::base_on(const reader &base) {
    detail::box_list boxes = boxes_;
    if (base.box_)
        boxes.push_back(base.box_);
    detail::call call(base.box_);
    call.finish(znippy_options_set_base(get(), base.get(), call.err()));
    boxes_ = std::move(boxes);
    return *this;
}

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

} // namespace znippy

#endif /* ZNIPPY_READER_HPP */
