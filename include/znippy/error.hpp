/*
 * Errors of the C++ interface, as exceptions. A part of znippy.hpp, which includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_ERROR_HPP
#define ZNIPPY_ERROR_HPP

#include "../znippy.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace znippy {

/** What a job did; see znippy_stats. */
using stats = znippy_stats;

/** Why a call failed. Copies share what it knows. */
class error : public std::runtime_error {
public:
    error(znippy_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /** Takes over an error object of the C interface, which may be NULL. */
    error(znippy_status status, znippy_error *object)
        : error(status, std::shared_ptr<const znippy_error>(object, [](znippy_error *it) { znippy_error_free(it); })) {}

    /** One of ZNIPPY_E_*. */
    znippy_status status() const noexcept { return status_; }
    /** Its name, such as "ZNIPPY_E_CORRUPT". */
    const char *status_name() const noexcept { return znippy_status_name(status_); }
    /** The path or entry that the error is about, or nothing; exact bytes. They live as long as the error. */
    std::string_view path() const noexcept {
        std::size_t len = 0;
        const char *path = object_ ? znippy_error_path(object_.get(), &len) : nullptr;
        return path ? std::string_view(path, len) : std::string_view();
    }
    /** The operating system's error number, or 0. */
    std::int32_t os_code() const noexcept { return object_ ? znippy_error_os_code(object_.get()) : 0; }
    /** The stable name of the check that refused something, or nothing. */
    std::string_view rule() const noexcept {
        const char *rule = object_ ? znippy_error_rule(object_.get()) : nullptr;
        return rule ? std::string_view(rule) : std::string_view();
    }

    /** How many failures failures() has. */
    std::size_t failure_count() const noexcept { return object_ ? znippy_error_failure_count(object_.get()) : 0; }
    /** The failures of a job that was done in part: the first 10,000, each with an entry's path as a rule. */
    std::vector<error> failures() const {
        std::vector<error> list;
        list.reserve(failure_count());
        for (std::size_t position = 0; position < failure_count(); position++) {
            const znippy_error *one = znippy_error_failure(object_.get(), position);
            // The failure is a part of this error's object, and keeps it alive.
            list.push_back(error(znippy_error_status(one), std::shared_ptr<const znippy_error>(object_, one)));
        }
        return list;
    }

private:
    error(znippy_status status, std::shared_ptr<const znippy_error> object)
        : std::runtime_error(object ? znippy_error_message(object.get()) : znippy_status_message(status)),
          status_(status), object_(std::move(object)) {}

    znippy_status status_;
    std::shared_ptr<const znippy_error> object_;
};

/** A job was done in part (ZNIPPY_E_PARTIAL): its report came all the same. */
class partial_error : public error {
public:
    partial_error(znippy_error *object, const znippy::stats &stats) : error(ZNIPPY_E_PARTIAL, object), stats_(stats) {}

    /** What was done and what was not. */
    const znippy::stats &stats() const noexcept { return stats_; }

private:
    znippy::stats stats_;
};

} // namespace znippy

#endif /* ZNIPPY_ERROR_HPP */
