// Providers and a base: what they find and spare, and what they throw on threads of the library.
#include "harness.hpp"

#include <znippy/arrow_abi.h>

#include <atomic>
#include <cstring>

struct broken {
    std::string path;
};

static znippy::provider lines(std::atomic<int> &calls) {
    znippy::provider provider;
    provider.name = "lines";
    provider.pkg_type = 3;
    provider.columns = {{"first_line", ZNIPPY_COLUMN_UTF8}, {"bytes", ZNIPPY_COLUMN_INT64}, {"half", ZNIPPY_COLUMN_FLOAT64}};
    provider.wants = [](std::string_view path, std::uint64_t size) { return size > 0 && path != "dir/noise"; };
    provider.extract = [&calls](std::string_view path, znippy::const_bytes bytes, znippy::row &row) {
        calls++;
        std::string_view text(static_cast<const char *>(bytes.data()), bytes.size());
        row.set_bytes(0, text.substr(0, text.find('\n')));
        row.set_i64(1, static_cast<std::int64_t>(bytes.size()));
        row.set_f64(2, static_cast<double>(bytes.size()) / 2);
        return path != "README.md";
    };
    return provider;
}

/** How many values of a column are not null in the whole index; -1 where there is no such column. */
static std::int64_t values(const znippy::reader &reader, const char *name) {
    ArrowSchema schema;
    ArrowArrayStream stream;
    reader.export_schema(schema);
    reader.export_index(stream);
    std::int64_t column = -1, found = 0;
    for (std::int64_t i = 0; i < schema.n_children; i++)
        column = std::strcmp(schema.children[i]->name, name) == 0 ? i : column;
    schema.release(&schema);
    for (;;) {
        ArrowArray array;
        CHECK(stream.get_next(&stream, &array) == 0);
        if (!array.release)
            break;
        if (column >= 0)
            found += array.length - array.children[column]->null_count;
        array.release(&array);
    }
    stream.release(&stream);
    return column < 0 ? -1 : found;
}

TEST(values_of_a_provider_are_in_the_index) {
    packed fixture;
    std::atomic<int> calls{0};
    znippy::options options;
    options.add_provider(lines(calls));
    znippy::compress_dir(fixture.tree, fixture.place / "b.znippy", options);
    CHECK(calls == 2);
    znippy::reader reader(fixture.place / "b.znippy");
    CHECK(values(reader, "first_line") == 1 && values(reader, "half") == 1 && values(reader, "nothing") == -1);
    CHECK(values(znippy::reader(fixture.archive), "first_line") == -1);
    znippy::writer writer(fixture.place / "c.znippy", options.clone());
    writer.add_tree(fixture.tree);
    writer.finish();
    CHECK(calls == 4 && values(znippy::reader(fixture.place / "c.znippy"), "bytes") == 1);
}

TEST(malformed_providers_are_refused) {
    std::atomic<int> calls{0};
    znippy::options options;
    options.add_provider(lines(calls));
    THROWS(znippy::error, options.add_provider(lines(calls)), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
    THROWS(znippy::error, options.add_provider({}), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
}

TEST(exceptions_of_a_provider_come_out_of_the_call) {
    packed fixture;
    for (bool concurrent : {false, true}) {
        znippy::provider provider;
        provider.name = "broken";
        provider.concurrent = concurrent;
        provider.columns = {{"x", ZNIPPY_COLUMN_INT64}};
        provider.extract = [](std::string_view path, znippy::const_bytes, znippy::row &) -> bool {
            throw broken{std::string(path)};
        };
        znippy::options options;
        options.add_provider(provider);
        std::string archive = fixture.place / "b.znippy";
        THROWS(broken, znippy::compress_dir(fixture.tree, archive, options), !caught.path.empty());
        CHECK(!std::filesystem::exists(archive));
        // A writer keeps what it needs of options that are gone, and copies share the provider.
        znippy::writer writer(archive, options.clone());
        THROWS(broken, writer.add_tree(fixture.tree).finish(), !caught.path.empty());
        // A row says what is wrong by an exception too, which is the provider's.
        provider.extract = [](std::string_view, znippy::const_bytes, znippy::row &row) {
            row.set_f64(0, 1);
            return true;
        };
        znippy::options other;
        other.add_provider(provider);
        THROWS(znippy::error, znippy::compress_dir(fixture.tree, archive, other), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
    }
}

TEST(a_base_spares_what_is_unchanged) {
    packed fixture;
    // What was modified just now is read again, since it may change within the tick of a clock.
    for (const auto &entry : std::filesystem::recursive_directory_iterator(fixture.tree)) {
        if (entry.is_regular_file() && !entry.is_symlink())
            std::filesystem::last_write_time(entry.path(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    }
    znippy::compress_dir(fixture.tree, fixture.place / "old.znippy");
    std::string old = read_file(fixture.place / "old.znippy");
    std::atomic<int> reads{0};
    std::atomic<bool> fails{false};
    znippy::reader base = znippy::reader::open_source(old.size(), [&](std::uint64_t offset, void *data, std::size_t size) {
        reads++;
        if (fails)
            throw broken{"base"};
        return old.copy(static_cast<char *>(data), size, static_cast<std::size_t>(offset));
    });
    znippy::options options;
    options.base_on(base);
    int before = reads;
    znippy::compress_dir(fixture.tree, fixture.place / "new.znippy", options);
    CHECK(reads > before);
    CHECK(znippy::reader(fixture.place / "new.znippy").tree_digest() == base.tree_digest());
    fails = true;
    THROWS(broken, znippy::compress_dir(fixture.tree, fixture.place / "c.znippy", options), caught.path == "base");
    options.without_base();
    znippy::compress_dir(fixture.tree, fixture.place / "c.znippy", options);
}
