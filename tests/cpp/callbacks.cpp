// Functions of the host that throw: the call stops, and their exception comes out of it.
#include "harness.hpp"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

struct tired {
    int value;
};

TEST(progress_reports_and_stops) {
    packed fixture;
    int calls = 0;
    std::uint64_t entries = 0;
    znippy::options options;
    options.set(ZNIPPY_OPT_PROGRESS_INTERVAL, 0).set(ZNIPPY_OPT_OVERWRITE, 1);
    options.on_progress([&](const znippy::progress &progress) {
        calls++;
        entries = progress.entries_done;
        return true;
    });
    znippy::compress_dir(fixture.tree, fixture.archive, options);
    CHECK(calls > 0 && entries > 0);
    options.on_progress([](const znippy::progress &) { return false; });
    THROWS(znippy::error, znippy::compress_dir(fixture.tree, fixture.archive, options),
           caught.status() == ZNIPPY_E_CANCELLED);
    options.on_progress(nullptr);
    znippy::compress_dir(fixture.tree, fixture.archive, options);
}

TEST(exception_of_progress_comes_out_of_the_call) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    znippy::options options;
    options.on_progress([](const znippy::progress &) -> bool { throw tired{7}; });
    THROWS(tired, reader.verify(options), caught.value == 7);
    THROWS(tired, znippy::compress_dir(fixture.tree, fixture.place / "b.znippy", options), caught.value == 7);
    CHECK(!std::filesystem::exists(fixture.place / "b.znippy"));
    // The reader and the options are as good as before.
    reader.verify();
    options.on_progress([](const znippy::progress &) { return true; });
    reader.verify(options);
}

TEST(exception_of_log_stops_the_call_too) {
    packed fixture;
    std::string bytes = read_file(fixture.archive);
    bytes[150000] ^= 1;
    znippy::reader reader = znippy::reader::open_memory(bytes);
    znippy::options options;
    std::vector<std::string> messages;
    options.set(ZNIPPY_OPT_KEEP_GOING, 1).on_log(ZNIPPY_LOG_WARNING, [&](std::int32_t, std::string_view message) {
        messages.emplace_back(message);
    });
    THROWS(znippy::partial_error, reader.extract_all(fixture.place / "one", options), !messages.empty());
    CHECK(messages[0].find("dir/noise") != std::string::npos);
    options.on_log(ZNIPPY_LOG_WARNING, [](std::int32_t, std::string_view) { throw tired{8}; });
    THROWS(tired, reader.extract_all(fixture.place / "two", options), caught.value == 8);
}

TEST(a_filter_chooses_what_is_restored) {
    packed fixture;
    znippy::options options;
    options.filter_by([](const znippy::entry_view &entry) { return entry.is_symlink() || entry.size() == 10; });
    znippy::stats stats = znippy::extract_archive(fixture.archive, fixture.place / "out", options);
    CHECK(stats.files == 1 && stats.symlinks == 1 && !std::filesystem::exists(fixture.place / "out/README.md"));
    options.filter_by([](const znippy::entry_view &) -> bool { throw tired{9}; });
    THROWS(tired, znippy::extract_archive(fixture.archive, fixture.place / "out2", options), caught.value == 9);
    options.filter_by(nullptr);
    CHECK(znippy::extract_archive(fixture.archive, fixture.place / "out3", options).files == 3);
}

TEST(functions_are_freed_once_with_the_last_options) {
    auto witness = std::make_shared<int>(1);
    std::weak_ptr<int> watch = witness;
    {
        znippy::options options;
        options.on_progress([witness](const znippy::progress &) { return *witness == 1; });
        witness.reset();
        znippy::options copy = options.clone();
        options.on_progress(nullptr);
        CHECK(!watch.expired());
    }
    CHECK(watch.expired());
}

/** A source over bytes that can be told to fail. */
struct shelf {
    std::string bytes;
    std::atomic<int> fail_with{0};

    znippy::read_at_function function() {
        return [this](std::uint64_t offset, void *data, std::size_t size) {
            if (int value = fail_with)
                throw tired{value};
            return bytes.copy(static_cast<char *>(data), size, static_cast<std::size_t>(offset));
        };
    }
};

TEST(source_reads_and_its_exception_comes_out) {
    packed fixture;
    shelf shelf{read_file(fixture.archive), {0}};
    for (bool concurrent : {false, true}) {
        znippy::options small;
        small.set(ZNIPPY_OPT_CACHE_SIZE, 0);
        znippy::reader reader = znippy::reader::open_source(shelf.bytes.size(), shelf.function(), concurrent, small);
        CHECK(reader.read("dir/a.txt").view() == "first file");
        std::uint64_t index = reader.index_of("dir/noise");
        shelf.fail_with = 5;
        char byte = 0;
        THROWS(tired, reader.read_at(index, 0, {&byte, 1}), caught.value == 5);
        // Jobs read on threads of the library.
        shelf.fail_with = 6;
        THROWS(tired, reader.verify(), caught.value == 6);
        THROWS(tired, reader.extract_all(fixture.place / "out"), caught.value == 6);
        shelf.fail_with = 0;
        reader.verify();
        CHECK(reader.read(index).str() == noise(300000));
    }
    shelf.fail_with = 9;
    THROWS(tired, znippy::reader::open_source(shelf.bytes.size(), shelf.function()), caught.value == 9);
}

TEST(calls_inside_callbacks_keep_their_own_exceptions) {
    packed fixture;
    znippy::reader reader(fixture.archive), other(fixture.archive);
    znippy::options throwing, calling;
    throwing.on_progress([](const znippy::progress &) -> bool { throw tired{1}; });
    int inner = 0;
    calling.on_progress([&](const znippy::progress &) {
        THROWS(tired, other.verify(throwing), caught.value == 1);
        THROWS(znippy::error, reader.verify(), caught.status() == ZNIPPY_E_BUSY);
        inner++;
        return true;
    });
    reader.verify(calling);
    CHECK(inner > 0);
}

TEST(threads_have_their_own_exceptions) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int number = 1; number <= 4; number++) {
        threads.emplace_back([&, number] {
            for (int round = 0; round < 20; round++) {
                znippy::options options;
                options.on_progress([&](const znippy::progress &) -> bool { throw tired{number}; });
                try {
                    reader.verify(options);
                } catch (const tired &caught) {
                    right += caught.value == number;
                }
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    CHECK(right == 80);
}
