// Opening, finding, reading, listing and restoring.
#include "harness.hpp"

#include <znippy/arrow_abi.h>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <iterator>
#include <unistd.h>
#include <vector>

#if __cplusplus >= 202002L
#include <ranges>
#include <span>
static_assert(std::ranges::input_range<znippy::entry_range>);
#endif
static_assert(!std::is_copy_constructible_v<znippy::reader> && std::is_nothrow_move_constructible_v<znippy::reader>);
static_assert(!std::is_copy_constructible_v<znippy::buffer> && std::is_nothrow_move_assignable_v<znippy::buffer>);

TEST(an_archive_opens_from_everywhere) {
    packed fixture;
    std::string text = read_file(fixture.archive);
    int fd = open(fixture.archive.c_str(), O_RDONLY);
    znippy::reader by_fd = znippy::reader::open_fd(fd);
    close(fd);
    znippy::reader owned = znippy::reader::open_memory(std::vector<std::uint8_t>(text.begin(), text.end()));
    auto shared = std::make_shared<const std::string>(text);
    znippy::reader kept = znippy::reader::open_memory(*shared, shared);
    std::weak_ptr<const std::string> watch = shared;
    shared.reset();
    for (const znippy::reader *reader : {&by_fd, &owned, &kept}) {
        CHECK(reader->size() == 6);
        CHECK(reader->read("README.md").view() == "read me\n");
    }
    znippy::reader second = kept.share();
    { znippy::reader gone = std::move(kept); }
    CHECK(!watch.expired() && second.read("dir/a.txt").str() == "first file");
    { znippy::reader gone = std::move(second); }
    CHECK(watch.expired());
}

TEST(entries_have_their_facts) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    znippy::entry file = reader.at("dir/a.txt");
    CHECK(file.is_file() && file.size() == 10 && file.mode() && file.mtime() && file.hash() && !file.uid());
    CHECK(file.path() == "dir/a.txt" && file.index() == reader.find("dir/a.txt"));
    znippy::entry link = reader.at("dir/link");
    CHECK(link.is_symlink() && link.link_target() == "a.txt" && !link.hash());
    CHECK(reader.at("dir").is_directory());
    CHECK(!reader.find("nothing") && !reader.find("dir/a"));
    THROWS(znippy::error, reader.at("nothing"), caught.status() == ZNIPPY_E_NOT_FOUND);
    THROWS(znippy::error, reader.at(1000), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
}

TEST(ranges_give_every_entry_in_order) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    std::vector<znippy::entry> all;
    std::vector<std::string> names;
    for (const znippy::entry &entry : reader.entries()) {
        names.emplace_back(entry.path());
        all.push_back(entry);
    }
    CHECK(names.size() == reader.size() && std::is_sorted(names.begin(), names.end()));
    // Copies outlive the range, and entries their batch.
    for (std::size_t i = 0; i < all.size(); i++)
        CHECK(all[i].path() == names[i] && all[i].index() == i);
    znippy::entry_range below = reader.entries("dir");
    CHECK(below.size() == 5 && below.begin()->path() == "dir");
    CHECK(std::distance(below.begin(), below.end()) == 5);
    CHECK(reader.entries("nothing").empty() && reader.entries("nothing").begin() == reader.entries("nothing").end());
    CHECK(reader.entries(4, 1000).size() == 2 && reader.entries(6, 1).empty());
}

TEST(ranges_cross_batches) {
    scratch place;
    std::filesystem::create_directories(place / "many");
    for (int i = 0; i < 2500; i++)
        write_file(place / ("many/" + std::to_string(100000 + i)), std::to_string(i));
    znippy::compress_dir(place / "many", place / "many.znippy");
    znippy::reader reader(place / "many.znippy");
    std::uint64_t expected = 0;
    for (const znippy::entry &entry : reader.entries()) {
        CHECK(entry.index() == expected);
        expected++;
    }
    CHECK(expected == reader.size() && expected == 2500);
}

TEST(bytes_are_read_into_what_looks_like_a_span) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    std::uint64_t index = reader.index_of("dir/a.txt");
    std::array<char, 5> array{};
    CHECK(reader.read_at(index, 0, array) == 5 && std::string(array.data(), 5) == "first");
    std::vector<std::uint8_t> vector(100);
    CHECK(reader.read_at(index, 6, vector) == 4 && vector[0] == 'f');
    std::string text(4, ' ');
    CHECK(reader.read_at(index, 1, text) == 4 && text == "irst");
    CHECK(reader.read_at(index, 10, text) == 0);
#if __cplusplus >= 202002L
    std::array<std::byte, 3> bytes{};
    CHECK(reader.read_at(index, 0, std::span<std::byte>(bytes)) == 3 && bytes[2] == std::byte{'r'});
#endif
    znippy::buffer buffer = reader.read(index);
    znippy::buffer moved = std::move(buffer);
    CHECK(buffer.empty() && moved.size() == 10 && moved[0] == 'f');
    CHECK(std::string(moved.begin(), moved.end()) == "first file");
    znippy::options limited;
    limited.set(ZNIPPY_OPT_MAX_ENTRY_SIZE, 5);
    THROWS(znippy::error, reader.read(index, limited), caught.status() == ZNIPPY_E_LIMIT);
}

TEST(jobs_and_facts_of_the_whole) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    CHECK(reader.info().entries == 6 && reader.info().format_version == 4);
    CHECK(reader.metadata("zstd_version") && !reader.metadata("nothing"));
    CHECK(reader.verify().files == 3);
    reader.verify_quick();
    reader.verify_entry(reader.index_of("dir/noise"));
    znippy::stats stats = reader.extract_all(fixture.place / "out");
    CHECK(stats.files == 3 && stats.symlinks == 1);
    CHECK(read_file(fixture.place / "out/dir/noise") == noise(300000));
    znippy::compress_dir(fixture.place / "out", fixture.place / "again.znippy");
    CHECK(znippy::reader(fixture.place / "again.znippy").tree_digest() == reader.tree_digest());
}

TEST(one_entry_is_restored_to_a_name) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    reader.extract("dir/a.txt", fixture.place / "one");
    reader.extract(reader.index_of("dir/link"), fixture.place / "two");
    CHECK(read_file(fixture.place / "one") == "first file");
    CHECK(std::filesystem::read_symlink(fixture.place / "two") == "a.txt");
    THROWS(znippy::error, reader.extract("dir/a.txt", fixture.place / "one"), caught.status() == ZNIPPY_E_EXISTS);
    znippy::options replace;
    replace.set(ZNIPPY_OPT_OVERWRITE, 1);
    reader.extract(std::string_view("README.md"), fixture.place / "one", replace);
    CHECK(read_file(fixture.place / "one") == "read me\n");
}

TEST(index_is_exported) {
    packed fixture;
    ArrowSchema schema;
    ArrowArrayStream stream;
    {
        znippy::reader reader(fixture.archive);
        reader.export_schema(schema);
        reader.export_index(stream);
    }
    CHECK(schema.n_children >= 8);
    schema.release(&schema);
    ArrowArray array;
    CHECK(stream.get_next(&stream, &array) == 0 && array.length >= 6);
    array.release(&array);
    stream.release(&stream);
}
