/*
 * What archives and trees differ in. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_DIFFERENCE_HPP
#define ZNIPPY_DIFFERENCE_HPP

#include "reader.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace znippy {

/** One difference. Its strings live as long as the differences that it came from. */
class difference {
public:
    explicit difference(const znippy_difference &info) noexcept : info_(info) {}

    /** The exact path in the archive, not always UTF-8; NUL-terminated. */
    std::string_view path() const noexcept { return {info_.path, info_.path_len}; }
    /** Only the second side has the entry. */
    bool is_added() const noexcept { return info_.what == ZNIPPY_DIFF_ADDED; }
    /** Only the first side has the entry. */
    bool is_removed() const noexcept { return info_.what == ZNIPPY_DIFF_REMOVED; }
    /** Both sides have the entry, and not the same. */
    bool is_changed() const noexcept { return info_.what == ZNIPPY_DIFF_CHANGED; }
    /** Whether an entry of both sides differs in this, one of ZNIPPY_DIFFERS_*. */
    bool differs_in(std::uint32_t flag) const noexcept { return (info_.flags & flag) != 0; }
    /** Everything, as the C interface has it. */
    const znippy_difference &info() const noexcept { return info_; }

private:
    znippy_difference info_;
};

/** What two sides differ in, in order of path: immutable, and independent of what was compared. An input range. */
class differences : public detail::owner<znippy_diff, znippy_diff_free> {
public:
    /** Takes over a handle of the C interface. */
    explicit differences(znippy_diff *handle) noexcept : owner(handle) {}

    std::uint64_t size() const noexcept { return znippy_diff_count(get()); }
    bool empty() const noexcept { return size() == 0; }

    difference at(std::uint64_t position) const {
        detail::call call;
        znippy_difference info = detail::with_size<znippy_difference>();
        call.finish(znippy_diff_get(get(), position, &info, call.err()));
        return difference(info);
    }

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = difference;
        using difference_type = std::ptrdiff_t;
        using pointer = const difference *;
        using reference = const difference &;

        iterator() noexcept = default;
        reference operator*() const noexcept { return *current_; }
        pointer operator->() const noexcept { return &*current_; }
        iterator &operator++() {
            position_++;
            load();
            return *this;
        }
        iterator operator++(int) {
            iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.position_ == b.position_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.position_ != b.position_; }

    private:
        friend class differences;
        iterator(const differences *all, std::uint64_t position) : all_(all), position_(position) { load(); }
        void load() {
            current_.reset();
            if (position_ < all_->size())
                current_.emplace(all_->at(position_));
        }

        const differences *all_ = nullptr;
        std::uint64_t position_ = 0;
        std::optional<difference> current_;
    };

    iterator begin() const { return iterator(this, 0); }
    iterator end() const { return iterator(this, size()); }
};

inline differences reader::compare(const reader &other, options_ref options) const {
    // Either archive may be read through functions.
    detail::box_list boxes;
    if (other.box_)
        boxes.push_back(other.box_);
    detail::call call(box_, &boxes);
    znippy_diff *handle = nullptr;
    znippy_status status = znippy_reader_diff(get(), other.get(), options.get(), &handle, call.err());
    differences result(handle);
    call.finish(status);
    return result;
}

inline differences reader::compare_dir(const std::string &dir, options_ref options) const {
    detail::call call(box_);
    znippy_diff *handle = nullptr;
    znippy_status status = znippy_reader_diff_dir(get(), detail::host_path(dir), options.get(), &handle, call.err());
    differences result(handle);
    call.finish(status);
    return result;
}

} // namespace znippy

#endif /* ZNIPPY_DIFFERENCE_HPP */
