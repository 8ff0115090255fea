// Failures are exceptions with everything that the C error object knows.
#include "harness.hpp"

#include <cerrno>
#include <filesystem>
#include <vector>

TEST(missing_archive_names_status_path_and_errno) {
    scratch place;
    std::string path = place / "missing.znippy";
    THROWS(znippy::error, znippy::reader{path},
           caught.status() == ZNIPPY_E_NOT_FOUND && caught.path() == path && caught.os_code() == ENOENT &&
               std::string(caught.what()).find(path) != std::string::npos &&
               std::string(caught.status_name()) == "ZNIPPY_E_NOT_FOUND");
}

TEST(refusals_name_their_rule) {
    packed fixture;
    std::string bytes = read_file(fixture.archive);
    bytes[bytes.size() - 40] ^= 1;
    THROWS(znippy::error, znippy::reader::open_memory(bytes), !caught.rule().empty() && caught.os_code() == 0);
}

TEST(paths_with_a_nul_are_refused_rather_than_cut) {
    packed fixture;
    std::string path = fixture.archive + std::string("\0.hidden", 8);
    THROWS(znippy::error, znippy::reader{path}, caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
    THROWS(znippy::error, znippy::extract_archive(fixture.archive, path), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
}

TEST(partial_jobs_bring_their_report) {
    packed fixture;
    std::string bytes = read_file(fixture.archive);
    // Payload follows the head: what is in the middle of it is the noise.
    bytes[150000] ^= 1;
    write_file(fixture.archive, bytes);
    znippy::options options;
    options.set(ZNIPPY_OPT_KEEP_GOING, 1);
    THROWS(znippy::partial_error, znippy::extract_archive(fixture.archive, fixture.place / "out", options),
           caught.status() == ZNIPPY_E_PARTIAL && caught.stats().failed == 1 && caught.stats().files >= 2);
    CHECK(read_file(fixture.place / "out/dir/a.txt") == "first file");
    THROWS(znippy::error, znippy::extract_archive(fixture.archive, fixture.place / "strict"),
           caught.status() == ZNIPPY_E_CHECKSUM);
}

TEST(failures_are_listed_and_outlive_the_error) {
    packed fixture;
    std::string bytes = read_file(fixture.archive);
    bytes[150000] ^= 1;
    znippy::options options;
    options.set(ZNIPPY_OPT_KEEP_GOING, 1);
    std::vector<znippy::error> failures;
    THROWS(znippy::partial_error, znippy::reader::open_memory(bytes).extract_all(fixture.place / "out", options),
           caught.failure_count() == 1 && (failures = caught.failures()).size() == 1);
    CHECK(failures[0].path() == "dir/noise" && failures[0].status() == ZNIPPY_E_CHECKSUM);
    CHECK(std::string(failures[0].what()).find("dir/noise") != std::string::npos && failures[0].failures().empty());
    static_assert(std::is_nothrow_copy_constructible_v<znippy::error>);
}

TEST(errors_of_the_interface_can_be_taken_over) {
    znippy_error *raw = nullptr;
    znippy_reader *reader = nullptr;
    znippy_status status = znippy_reader_open("/nonexistent/archive", nullptr, &reader, &raw);
    znippy::error error(status, raw);
    CHECK(error.status() == ZNIPPY_E_NOT_FOUND && error.path() == "/nonexistent/archive");
    CHECK(std::string(znippy::error(ZNIPPY_E_LIMIT, nullptr).what()) == znippy_status_message(ZNIPPY_E_LIMIT));
}
