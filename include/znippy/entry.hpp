/*
 * Entries and listings. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_ENTRY_HPP
#define ZNIPPY_ENTRY_HPP

#include "call.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace znippy {

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

/** What an entry is. Path and link target live as long as what the view came from: a listing, or a call of a filter. */
class entry_view {
public:
    explicit entry_view(const znippy_entry_info &info) noexcept : info_(info) {}

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

    znippy_entry_info info_;
};

/** An entry. It keeps alive what its path and link target point to, so that it may be copied and stored. */
class entry : public entry_view {
public:
    entry(std::shared_ptr<const listing> keep, std::size_t position)
        : entry_view(keep->info(position)), keep_(std::move(keep)) {}

private:
    std::shared_ptr<const listing> keep_;
};

} // namespace znippy

#endif /* ZNIPPY_ENTRY_HPP */
