/*
 * Bytes to read and room to write. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_MEMORY_HPP
#define ZNIPPY_MEMORY_HPP

#include "../znippy.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace znippy {

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

} // namespace znippy

#endif /* ZNIPPY_MEMORY_HPP */
