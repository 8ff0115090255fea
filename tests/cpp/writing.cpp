// Writers: every kind of entry, to a file and to a function; appending; what callbacks throw; nothing left behind.
#include "harness.hpp"

#include <fstream>
#include <sstream>
#include <vector>

static_assert(!std::is_copy_constructible_v<znippy::writer> && std::is_nothrow_move_constructible_v<znippy::writer>);

struct full {
    int value;
};

static std::size_t files_in(const std::string &dir) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(dir), {}));
}

TEST(everything_that_is_added_is_in_the_archive) {
    packed fixture;
    znippy::attributes attributes;
    attributes.mode = 0640;
    attributes.mtime = znippy::file_time(std::chrono::nanoseconds(-5));
    attributes.uid = 7;
    std::istringstream stream(noise(200000));
    znippy::writer writer(fixture.place / "all.znippy");
    int part = 0;
    writer.add("dir/with", "bytes", attributes)
        .add("dir/without", "")
        .add_stream("stream", stream)
        .add_stream("function", [&](void *data, std::size_t size) { return std::string("ab").copy(static_cast<char *>(data), part++ < 2 ? size : 0); })
        .add_tree(fixture.tree, "tree")
        .add_file(fixture.tree + "/README.md", "alone")
        .add_directory("empty", attributes)
        .add_symlink("symlink", "../anywhere")
        .add_hard_link("z-name", "dir/with")
        .add_special(ZNIPPY_KIND_FIFO, "fifo")
        .set_xattr("user.kind", "pipe")
        .set_root(attributes);
    znippy::stats stats = writer.finish();
    CHECK(stats.symlinks == 2 && stats.hardlinks == 1 && stats.specials == 1);
    znippy::reader reader(fixture.place / "all.znippy");
    reader.verify();
    znippy::entry with = reader.at("dir/with");
    CHECK(with.mode() == 0640u && with.uid() == 7u && !with.gid() && with.mtime() == attributes.mtime);
    CHECK(!reader.at("stream").mode() && !reader.at("stream").mtime());
    CHECK(reader.read("dir/with").view() == "bytes" && reader.read("dir/without").empty());
    CHECK(reader.read("stream").str() == noise(200000) && reader.read("function").view() == "abab");
    CHECK(reader.read("tree/dir/a.txt").view() == "first file" && reader.read("alone").view() == "read me\n");
    CHECK(reader.read("z-name").view() == "bytes" && reader.at("symlink").link_target() == "../anywhere");
    CHECK(reader.find_data(reader.at("stream").index(), 7) == std::make_pair(std::uint64_t(7), std::uint64_t(200000)));
    std::size_t count = 0;
    CHECK(znippy_reader_xattr_count(reader.get(), reader.at("fifo").index(), &count, nullptr) == ZNIPPY_OK && count == 1);
    CHECK(reader.metadata("root_mode") == "640");
    CHECK(reader.at("empty").is_directory() && reader.at("fifo").kind() == ZNIPPY_KIND_FIFO);
    // An archive that is made of another one's entries has the same tree.
    znippy::writer copy(fixture.place / "copy.znippy");
    for (const znippy::entry &entry : reader.entries()) {
        if (entry.is_file() && entry.kind() == ZNIPPY_KIND_FILE)
            copy.add(entry, reader.read(entry.index()));
    }
    for (const znippy::entry &entry : reader.entries()) {
        if (entry.kind() != ZNIPPY_KIND_FILE)
            copy.add(entry);
    }
    copy.finish();
    CHECK(znippy::reader(fixture.place / "copy.znippy").tree_digest() == reader.tree_digest());
}

TEST(refusals_leave_the_writer_usable) {
    scratch place;
    znippy::writer writer(place / "a.znippy");
    writer.add("a", "first");
    THROWS(znippy::error, writer.add("a", "second"), caught.status() == ZNIPPY_E_EXISTS && caught.path() == "a");
    THROWS(znippy::error, writer.add("../a", "x"), caught.status() == ZNIPPY_E_UNSAFE_PATH);
    THROWS(znippy::error, writer.add_file(place / "nothing", "b"), caught.status() == ZNIPPY_E_NOT_FOUND);
    THROWS(full, writer.add_stream("c", [](void *, std::size_t) -> std::size_t { throw full{3}; }), caught.value == 3);
    std::ifstream bad(place / "nothing");
    bad.setstate(std::ios::badbit);
    THROWS(znippy::error, writer.add_stream("d", bad), caught.status() == ZNIPPY_E_IO);
    writer.add("c", "after all");
    writer.finish();
    THROWS(znippy::error, writer.add("e", "late"), caught.status() == ZNIPPY_E_INVALID_STATE);
    znippy::reader reader(place / "a.znippy");
    CHECK(reader.size() == 2 && reader.read("a").view() == "first" && reader.read("c").view() == "after all");
}

TEST(archives_are_added_from_readers_that_go) {
    packed fixture;
    znippy::writer writer(fixture.place / "merged.znippy");
    {
        znippy::reader reader(fixture.archive);
        writer.add_archive(reader).add_archive(reader, "again");
        THROWS(znippy::error, writer.add_archive(reader), caught.status() == ZNIPPY_E_EXISTS);
    }
    // What a function throws comes out of the call that needed its bytes.
    bool broken = false;
    std::string bytes = read_file(fixture.archive);
    znippy::reader reader = znippy::reader::open_source(bytes.size(), [&](std::uint64_t offset, void *data, std::size_t size) {
        if (broken)
            throw full{4};
        return bytes.copy(static_cast<char *>(data), size, static_cast<std::size_t>(offset));
    });
    broken = true;
    znippy::writer other(fixture.place / "other.znippy");
    THROWS(full, other.add_archive(reader), caught.value == 4);
    broken = false;
    writer.add_archive(reader, "third");
    writer.finish();
    znippy::reader merged(fixture.place / "merged.znippy");
    merged.verify();
    CHECK(merged.read("dir/a.txt").str() == merged.read("again/dir/a.txt").str());
    CHECK(merged.read("third/dir/a.txt").view() == "first file");
}

TEST(a_writer_that_goes_leaves_nothing) {
    scratch place;
    std::filesystem::create_directory(place / "out");
    {
        znippy::writer writer(place / "out/a.znippy");
        writer.add("a", noise(3000000));
        znippy::writer moved = std::move(writer);
        moved.add("b", "b");
    }
    CHECK(files_in(place / "out") == 0);
}

TEST(a_function_gets_the_bytes_of_the_file) {
    packed fixture;
    std::string bytes;
    int finished = 0;
    znippy::writer writer = znippy::writer::to_function(
        [&](const void *data, std::size_t size) { bytes.append(static_cast<const char *>(data), size); },
        [&] { finished++; });
    writer.add_tree(fixture.tree);
    CHECK(finished == 0);
    writer.finish();
    CHECK(finished == 1 && bytes == read_file(fixture.archive));
}

TEST(exceptions_of_a_sink_come_out) {
    packed fixture;
    auto witness = std::make_shared<int>(1);
    std::weak_ptr<int> watch = witness;
    {
        znippy::writer writer =
            znippy::writer::to_function([witness](const void *, std::size_t) { throw full{*witness}; });
        witness.reset();
        THROWS(full, writer.add_tree(fixture.tree).finish(), caught.value == 1);
        THROWS(znippy::error, writer.finish(), caught.status() == ZNIPPY_E_INVALID_STATE);
        CHECK(!watch.expired());
    }
    CHECK(watch.expired());
    znippy::writer last = znippy::writer::to_function([](const void *, std::size_t) {}, [] { throw full{2}; });
    last.add("a", "a");
    THROWS(full, last.finish(), caught.value == 2);
}

TEST(archives_are_appended_to) {
    packed fixture;
    znippy::options replace;
    replace.set(ZNIPPY_OPT_DUPLICATE_PATHS, 1);
    znippy::writer writer = znippy::writer::append(fixture.archive, replace);
    writer.add("dir/b.txt", "second file").add("README.md", "read me again\n");
    // Until it is finished, the old archive stands.
    CHECK(znippy::reader(fixture.archive).size() == 6);
    writer.finish();
    znippy::reader reader(fixture.archive);
    reader.verify();
    CHECK(reader.size() == 7 && reader.read("dir/b.txt").view() == "second file");
    CHECK(reader.read("README.md").view() == "read me again\n" && reader.read("dir/noise").str() == noise(300000));
    THROWS(znippy::error, znippy::writer::append(fixture.place / "nothing"), caught.status() == ZNIPPY_E_NOT_FOUND);
}
