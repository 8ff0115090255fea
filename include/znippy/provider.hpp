/*
 * Providers: values found in files while they are packed, for columns of the index. A part of znippy.hpp, which
 * includes it.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ZNIPPY_PROVIDER_HPP
#define ZNIPPY_PROVIDER_HPP

#include "memory.hpp"
#include "options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace znippy {

/** A column of the index that a provider fills. */
struct column {
    /** Its name in the index. */
    std::string name;
    /** ZNIPPY_COLUMN_*. */
    std::uint32_t type = ZNIPPY_COLUMN_UTF8;
};

/** The values of one file, all null at first; lives while the function runs that got it. Columns count from 0. */
class row {
public:
    explicit row(znippy_row *handle) noexcept : handle_(handle) {}
    row(const row &) = delete;
    row &operator=(const row &) = delete;

    void set_i64(std::size_t column, std::int64_t value) { done(znippy_row_set_i64(handle_, column, value)); }
    void set_f64(std::size_t column, double value) { done(znippy_row_set_f64(handle_, column, value)); }
    /** For columns of text and of bytes; text must be UTF-8. */
    void set_bytes(std::size_t column, const_bytes bytes) {
        done(znippy_row_set_bytes(handle_, column, bytes.data(), bytes.size()));
    }
    void set_null(std::size_t column) { done(znippy_row_set_null(handle_, column)); }

    znippy_row *get() const noexcept { return handle_; }

private:
    static void done(znippy_status status) {
        if (status < 0)
            throw error(status, nullptr);
    }

    znippy_row *handle_;
};

/**
 * Finds values in the bytes of files that are packed; see znippy_provider. Its functions run on threads of the library,
 * one call at a time unless it is concurrent. An exception of theirs comes out of the call that packs; if several calls
 * with the same provider run at the same time, out of one of them.
 */
struct provider {
    /** What errors call it. */
    std::string name;
    /** What stands in the column pkg_type of the files that it claims: -127 to 127. */
    std::int32_t pkg_type = 0;
    /** The columns that it fills. */
    std::vector<column> columns;
    /** Looks at all bytes of a file and sets values; whether it claims the file. */
    std::function<bool(std::string_view path, const_bytes bytes, row &row)> extract;
    /** Whether extract is to look at the file with this path and size; an empty one wants everything. */
    std::function<bool(std::string_view path, std::uint64_t size)> wants = nullptr;
    /** Whether the functions may be called from several threads at once. */
    bool concurrent = false;
};

namespace detail {

struct provider_functions {
    provider functions;
    std::shared_ptr<failure_box> box;

    static std::int32_t wants(void *user_data, const char *path, std::size_t path_len, std::uint64_t size) noexcept {
        auto *self = static_cast<provider_functions *>(user_data);
        return self->answer([&] { return self->functions.wants(std::string_view(path, path_len), size); });
    }

    static std::int32_t extract(void *user_data, const char *path, std::size_t path_len, const std::uint8_t *data,
                                std::size_t data_len, znippy_row *raw) noexcept {
        auto *self = static_cast<provider_functions *>(user_data);
        return self->answer([&] {
            row row(raw);
            return self->functions.extract(std::string_view(path, path_len), const_bytes(data, data_len), row);
        });
    }

private:
    template <typename Question>
    std::int32_t answer(Question question) noexcept {
        try {
            return question() ? 1 : 0;
        } catch (...) {
            call::note(box.get());
            return ZNIPPY_E_CALLBACK;
        }
    }
};

} // namespace detail

inline options &options::add_provider(provider provider) {
    if (!provider.extract)
        throw error(ZNIPPY_E_INVALID_ARGUMENT, "a provider without an extract function");
    auto box = std::make_shared<detail::failure_box>();
    detail::box_list boxes = boxes_;
    boxes.push_back(box);
    auto functions = std::make_unique<detail::provider_functions>();
    functions->functions = std::move(provider);
    functions->box = std::move(box);
    const znippy::provider &own = functions->functions;
    std::vector<znippy_column> columns;
    for (const column &column : own.columns)
        columns.push_back({sizeof(znippy_column), column.type, column.name.c_str(), 0, 0});
    znippy_provider table = detail::with_size<znippy_provider>();
    table.flags = own.concurrent ? ZNIPPY_PROVIDER_CONCURRENT : 0;
    table.name = own.name.c_str();
    table.pkg_type = own.pkg_type;
    table.columns = columns.data();
    table.column_count = columns.size();
    table.wants = own.wants ? detail::provider_functions::wants : nullptr;
    table.extract = detail::provider_functions::extract;
    table.release = detail::delete_as<detail::provider_functions>;
    table.user_data = functions.release();
    detail::call call;
    call.finish(znippy_options_add_provider(get(), &table, call.err()));
    boxes_ = std::move(boxes);
    return *this;
}

} // namespace znippy

#endif /* ZNIPPY_PROVIDER_HPP */
