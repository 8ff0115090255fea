/*
 * The bytes of an entry as a std::istream. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_STREAM_HPP
#define ZNIPPY_STREAM_HPP

#include "reader.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <istream>
#include <memory>
#include <streambuf>
#include <string_view>
#include <utility>
#include <vector>

namespace znippy {

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

} // namespace znippy

#endif /* ZNIPPY_STREAM_HPP */
