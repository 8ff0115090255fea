/*
 * Writers: archives from trees, files, memory and streams. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_WRITER_HPP
#define ZNIPPY_WRITER_HPP

#include "entry.hpp"
#include "memory.hpp"
#include "options.hpp"
#include "reader.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace znippy {

/** What is recorded of an entry beside its bytes; what is not set is not recorded. */
struct attributes {
    std::optional<std::uint32_t> mode = std::nullopt;
    std::optional<file_time> mtime = std::nullopt;
    std::optional<std::uint32_t> uid = std::nullopt;
    std::optional<std::uint32_t> gid = std::nullopt;
    /** Of devices. */
    std::optional<std::uint64_t> rdev = std::nullopt;
};

/** Takes all bytes, which follow those before; may throw. Runs inside calls of the writer, on their thread. */
using write_function = std::function<void(const void *data, std::size_t size)>;
/** Called once after the last byte of an archive that is whole; may throw. */
using finish_function = std::function<void()>;
/** Reads up to size bytes into data and returns how many, 0 at the end; may throw. */
using read_function = std::function<std::size_t(void *data, std::size_t size)>;

/**
 * An archive on its way: one call at a time, from any thread. It stands under its name when finish() succeeds; a writer
 * that goes without it leaves nothing.
 */
class writer : public detail::owner<znippy_writer, znippy_writer_free> {
public:
    /** Takes over a handle of the C interface. */
    explicit writer(znippy_writer *handle) noexcept : owner(handle) {}

    /** Begins an archive under this name. */
    explicit writer(const std::string &archive_path, options_ref options = {})
        : writer(made(options, [&](znippy_writer **out, znippy_error **err) {
              return znippy_writer_create(detail::host_path(archive_path), options.get(), out, err);
          })) {}

    /** Opens an archive to add to it; see znippy_writer_append(). */
    static writer append(const std::string &archive_path, options_ref options = {}) {
        return made(options, [&](znippy_writer **out, znippy_error **err) {
            return znippy_writer_append(detail::host_path(archive_path), options.get(), out, err);
        });
    }

    /** Begins an archive whose bytes go to a function, from the first to the last. */
    static writer to_function(write_function write, finish_function finish = nullptr, options_ref options = {}) {
        znippy_sink table = detail::with_size<znippy_sink>();
        table.write = sink::write_some;
        table.finish = finish ? sink::finished : nullptr;
        table.release = detail::delete_as<sink>;
        table.user_data = new sink{std::move(write), std::move(finish)};
        return made(options, [&](znippy_writer **out, znippy_error **err) {
            return znippy_writer_create_sink(&table, options.get(), out, err);
        });
    }

    /** Adds everything below a directory, which becomes the entry prefix; without one, the archive's root. */
    writer &add_tree(const std::string &src_path, std::string_view prefix = {}) {
        return ask([&](znippy_error **err) {
            return znippy_writer_add_tree(get(), detail::host_path(src_path), prefix.data(), prefix.size(), err);
        });
    }

    /** Adds all entries of an archive, whose root becomes the entry prefix; see znippy_writer_add_archive(). */
    writer &add_archive(const reader &archive, std::string_view prefix = {}) {
        if (archive.box_)
            boxes_.push_back(archive.box_);
        return ask([&](znippy_error **err) {
            return znippy_writer_add_archive(get(), archive.get(), prefix.data(), prefix.size(), err);
        });
    }

    /** Adds a regular file with its mode and time. */
    writer &add_file(const std::string &src_path, std::string_view path) {
        return ask([&](znippy_error **err) {
            return znippy_writer_add_file(get(), detail::host_path(src_path), path.data(), path.size(), err);
        });
    }

    /** Adds a file of these bytes. */
    writer &add(std::string_view path, const_bytes bytes, const attributes &attributes = {}) {
        return add(described(ZNIPPY_KIND_FILE, path, attributes), bytes);
    }

    /** Adds an entry as another archive has it, a file with these bytes. */
    writer &add(const entry_view &entry, const_bytes bytes = const_bytes(nullptr, 0)) { return add(entry.info(), bytes); }

    /** Adds a file of the bytes that a function gives. */
    writer &add_stream(std::string_view path, read_function read, const attributes &attributes = {}) {
        znippy_entry_info info = described(ZNIPPY_KIND_FILE, path, attributes);
        znippy_stream table = detail::with_size<znippy_stream>();
        table.read = read_some;
        table.release = detail::delete_as<read_function>;
        table.user_data = new read_function(std::move(read));
        return ask([&](znippy_error **err) { return znippy_writer_add_stream(get(), &info, &table, err); });
    }

    /** Adds a file of what is left of a stream; one that goes bad is an error. */
    writer &add_stream(std::string_view path, std::istream &stream, const attributes &attributes = {}) {
        return add_stream(
            path,
            [&stream](void *data, std::size_t size) {
                stream.read(static_cast<char *>(data), static_cast<std::streamsize>(size));
                if (stream.bad())
                    throw error(ZNIPPY_E_IO, "the stream can't be read");
                return static_cast<std::size_t>(stream.gcount());
            },
            attributes);
    }

    /** Adds a directory. Those of paths that are added need not be. */
    writer &add_directory(std::string_view path, const attributes &attributes = {}) {
        return add_special(ZNIPPY_KIND_DIRECTORY, path, attributes);
    }

    writer &add_symlink(std::string_view path, std::string_view target, const attributes &attributes = {}) {
        return add_link(ZNIPPY_KIND_SYMLINK, path, target, attributes);
    }

    /** Adds a further name of a file that was added before. */
    writer &add_hard_link(std::string_view path, std::string_view target) {
        return add_link(ZNIPPY_KIND_HARDLINK, path, target, {});
    }

    /** Adds an entry without bytes and target, such as a FIFO; the kind is a ZNIPPY_KIND_*. */
    writer &add_special(std::uint32_t kind, std::string_view path, const attributes &attributes = {}) {
        return add(described(kind, path, attributes), const_bytes(nullptr, 0));
    }

    /** Gives the archive's own root a mode, and a time where there is one; it is no entry. */
    writer &set_root(const attributes &attributes) { return add_special(ZNIPPY_KIND_DIRECTORY, {}, attributes); }

    /** Gives what the last call added, by its bytes or from a stream, an extended attribute. */
    writer &set_xattr(std::string_view name, const_bytes value) {
        return ask([&](znippy_error **err) {
            return znippy_writer_set_xattr(get(), name.data(), name.size(), value.data(), value.size(), err);
        });
    }

    /** Writes what is left and gives the archive its name. The writer is of no use afterwards. */
    stats finish() {
        detail::call call(nullptr, &boxes_);
        stats report = detail::with_size<stats>();
        call.finish(znippy_writer_finish(get(), &report, call.err()), report);
        return report;
    }

private:
    struct sink {
        write_function write;
        finish_function finish;

        static std::int64_t write_some(void *user_data, const void *data, std::size_t len) noexcept {
            if (detail::call::has_failed())
                return ZNIPPY_E_CALLBACK;
            try {
                static_cast<sink *>(user_data)->write(data, len);
                return static_cast<std::int64_t>(len);
            } catch (...) {
                detail::call::note(nullptr);
                return ZNIPPY_E_CALLBACK;
            }
        }

        static std::int32_t finished(void *user_data) noexcept {
            try {
                static_cast<sink *>(user_data)->finish();
                return 0;
            } catch (...) {
                detail::call::note(nullptr);
                return ZNIPPY_E_CALLBACK;
            }
        }
    };

    static std::int64_t read_some(void *user_data, void *data, std::size_t len) noexcept {
        try {
            return static_cast<std::int64_t>((*static_cast<read_function *>(user_data))(data, len));
        } catch (...) {
            detail::call::note(nullptr);
            return ZNIPPY_E_CALLBACK;
        }
    }

    static znippy_entry_info described(std::uint32_t kind, std::string_view path, const attributes &given) noexcept {
        znippy_entry_info info = detail::with_size<znippy_entry_info>();
        info.kind = kind;
        info.path = path.data();
        info.path_len = path.size();
        info.mode = given.mode.value_or(0);
        info.mtime_ns = given.mtime ? given.mtime->time_since_epoch().count() : 0;
        info.uid = given.uid.value_or(0);
        info.gid = given.gid.value_or(0);
        info.rdev = given.rdev.value_or(0);
        const std::uint32_t flags[] = {given.mode ? ZNIPPY_ENTRY_HAS_MODE : 0u, given.mtime ? ZNIPPY_ENTRY_HAS_MTIME : 0u,
                                       given.uid ? ZNIPPY_ENTRY_HAS_UID : 0u, given.gid ? ZNIPPY_ENTRY_HAS_GID : 0u,
                                       given.rdev ? ZNIPPY_ENTRY_HAS_RDEV : 0u};
        for (std::uint32_t flag : flags)
            info.flags |= flag;
        return info;
    }

    writer &add(const znippy_entry_info &info, const_bytes bytes) {
        return ask([&](znippy_error **err) {
            return znippy_writer_add_buffer(get(), &info, bytes.data(), bytes.size(), err);
        });
    }

    writer &add_link(std::uint32_t kind, std::string_view path, std::string_view target, const attributes &given) {
        znippy_entry_info info = described(kind, path, given);
        info.link_target = target.data();
        info.link_target_len = target.size();
        return add(info, const_bytes(nullptr, 0));
    }

    template <typename Begin>
    static writer made(options_ref options, Begin begin) {
        detail::box_list boxes = options.boxes() ? *options.boxes() : detail::box_list();
        detail::call call(nullptr, &boxes);
        znippy_writer *handle = nullptr;
        znippy_status status = begin(&handle, call.err());
        writer result(handle);
        call.finish(status);
        result.boxes_ = std::move(boxes);
        return result;
    }

    template <typename Question>
    writer &ask(Question question) {
        detail::call call(nullptr, &boxes_);
        call.finish(question(call.err()));
        return *this;
    }

    /** Exceptions of providers, which are thrown on threads of the library. */
    detail::box_list boxes_;
};

} // namespace znippy

#endif /* ZNIPPY_WRITER_HPP */
