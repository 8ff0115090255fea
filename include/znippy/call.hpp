/*
 * How the C++ interface calls the C one: owners, and exceptions of callbacks. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_CALL_HPP
#define ZNIPPY_CALL_HPP

#include "error.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace znippy {

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

/** The boxes of all functions that a call may call back on other threads. */
using box_list = std::vector<std::shared_ptr<failure_box>>;

/**
 * One call of the C interface. Functions called back on the calling thread leave their exceptions here, those of
 * other threads in a box; both come out when the call is over.
 */
class call {
public:
    /** box, which may be none, is that of the handle, more are those of what goes with it. */
    explicit call(std::shared_ptr<failure_box> box = nullptr, const box_list *more = nullptr) noexcept
        : box_(std::move(box)), more_(more), outer_(current()) {
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
        if (status == ZNIPPY_E_CALLBACK || status == ZNIPPY_E_PARTIAL) {
            if (!failure_ && box_)
                failure_ = box_->take();
            for (std::size_t i = 0; more_ && !failure_ && i < more_->size(); i++)
                failure_ = (*more_)[i]->take();
        }
        if (failure_)
            std::rethrow_exception(std::exchange(failure_, nullptr));
    }

    std::shared_ptr<failure_box> box_;
    const box_list *more_;
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

} // namespace znippy

#endif /* ZNIPPY_CALL_HPP */
