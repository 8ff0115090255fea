/*
 * Options and cancel tokens. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_OPTIONS_HPP
#define ZNIPPY_OPTIONS_HPP

#include "call.hpp"
#include "entry.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace znippy {

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
/** Says whether a job is to have an entry. Runs on the thread that made the call. */
using filter_function = std::function<bool(const entry_view &)>;

class reader;
struct provider;

/** Values that calls work with; each call takes a snapshot when it begins. */
class options : public detail::owner<znippy_options, znippy_options_free> {
public:
    options() : owner(detail::allocated(znippy_options_new())) {}
    /** Takes over a handle of the C interface. */
    explicit options(znippy_options *handle) noexcept : owner(handle) {}

    /** A copy, which shares functions, base and cancel token. */
    options clone() const {
        options copy(detail::allocated(znippy_options_clone(get())));
        copy.boxes_ = boxes_;
        return copy;
    }

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

    /** Installs the function that extraction and comparison ask about each entry; an empty one removes it. */
    options &filter_by(filter_function function) {
        if (!function) {
            znippy_options_set_filter(get(), nullptr, nullptr, nullptr);
            return *this;
        }
        znippy_options_set_filter(get(), takes, new filter_function(std::move(function)),
                                  detail::delete_as<filter_function>);
        return *this;
    }

    /** Has packing find values in files, for columns of the index; see znippy::provider. */
    options &add_provider(provider provider);

    /** Packing takes what is unchanged from this archive; see znippy_options_set_base(). */
    options &base_on(const reader &base);
    /** Packing takes nothing from an archive any more. */
    options &without_base() {
        detail::call call;
        call.finish(znippy_options_set_base(get(), nullptr, call.err()));
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

    static std::int32_t takes(void *user_data, const znippy_entry_info *info) noexcept {
        if (detail::call::has_failed())
            return ZNIPPY_E_CALLBACK;
        try {
            return (*static_cast<filter_function *>(user_data))(entry_view(*info)) ? 1 : 0;
        } catch (...) {
            detail::call::note(nullptr);
            return ZNIPPY_E_CALLBACK;
        }
    }

    friend class options_ref;
    /** Exceptions of providers and of a base, which are thrown on threads of the library. */
    detail::box_list boxes_;
};

/** Options of a call, or none, which are the defaults. */
class options_ref {
public:
    options_ref() noexcept = default;
    options_ref(const options &options) noexcept : handle_(options.get()), boxes_(&options.boxes_) {}
    /** Exceptions of providers don't come out of calls with a C handle, which end with ZNIPPY_E_CALLBACK instead. */
    options_ref(const znippy_options *handle) noexcept : handle_(handle) {}
    const znippy_options *get() const noexcept { return handle_; }
    /** Where exceptions of other threads are kept; NULL for nowhere. */
    const detail::box_list *boxes() const noexcept { return boxes_; }

private:
    const znippy_options *handle_ = nullptr;
    const detail::box_list *boxes_ = nullptr;
};

} // namespace znippy

#endif /* ZNIPPY_OPTIONS_HPP */
