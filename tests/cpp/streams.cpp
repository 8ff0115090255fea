// An entry as a std::istream.
#include "harness.hpp"

#include <iterator>
#include <sstream>

TEST(stream_has_the_bytes_of_the_entry) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    znippy::entry_stream stream = reader.stream("dir/noise");
    std::string all(std::istreambuf_iterator<char>(stream), {});
    CHECK(all == noise(300000));
    std::string line;
    znippy::entry_stream text = reader.stream("README.md");
    CHECK(std::getline(text, line) && line == "read me" && !std::getline(text, line) && text.eof());
    znippy::entry_stream words = reader.stream("dir/a.txt");
    std::string first, second;
    CHECK(words >> first >> second && first == "first" && second == "file" && !(words >> first));
}

TEST(stream_seeks_and_reads_in_pieces) {
    packed fixture;
    znippy::entry_stream stream = znippy::reader(fixture.archive).stream("dir/noise");
    std::string expected = noise(300000), piece(100000, ' ');
    stream.seekg(0, std::ios::end);
    CHECK(stream.tellg() == std::streampos(300000));
    for (std::size_t offset : {250000u, 0u, 10u, 65536u, 65530u, 123456u, 299999u}) {
        stream.clear();
        stream.seekg(static_cast<std::streamoff>(offset));
        stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
        std::size_t len = static_cast<std::size_t>(stream.gcount());
        CHECK(len == std::min<std::size_t>(piece.size(), expected.size() - offset));
        CHECK(piece.compare(0, len, expected, offset, len) == 0);
        stream.clear();
        CHECK(stream.tellg() == std::streampos(static_cast<std::streamoff>(offset + len)));
    }
    stream.seekg(-5, std::ios::end);
    CHECK(stream.get() == static_cast<unsigned char>(expected[299995]));
    stream.seekg(-1, std::ios::cur);
    CHECK(stream.get() == static_cast<unsigned char>(expected[299995]));
    stream.seekg(300001);
    CHECK(stream.fail());
}

TEST(stream_moves_and_copies_to_another) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    znippy::entry_stream first = reader.stream("dir/a.txt");
    CHECK(first.get() == 'f');
    znippy::entry_stream second = std::move(first);
    std::ostringstream out;
    out << second.rdbuf();
    CHECK(out.str() == "irst file");
}

TEST(stream_goes_bad_on_damage_and_keeps_the_error) {
    packed fixture;
    std::string bytes = read_file(fixture.archive);
    bytes[150000] ^= 1;
    znippy::entry_stream stream = znippy::reader::open_memory(bytes).stream("dir/noise");
    std::string piece(1000, ' ');
    stream.read(piece.data(), 1000);
    CHECK(stream.bad() && stream.failure());
    THROWS(znippy::error, std::rethrow_exception(stream.failure()), caught.status() == ZNIPPY_E_CHECKSUM);
    znippy::entry_stream loud = znippy::reader::open_memory(bytes).stream("dir/noise");
    loud.exceptions(std::ios::badbit);
    THROWS(znippy::error, loud.read(piece.data(), 1000), caught.status() == ZNIPPY_E_CHECKSUM);
}
