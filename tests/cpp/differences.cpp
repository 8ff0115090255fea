// Comparing archives with each other and with trees.
#include "harness.hpp"

#include <algorithm>
#include <vector>

#if __cplusplus >= 202002L
#include <ranges>
static_assert(std::ranges::input_range<znippy::differences>);
#endif

struct tired {
    int value;
};

TEST(archives_differ_in_what_was_changed) {
    packed fixture;
    znippy::reader old(fixture.archive);
    write_file(fixture.tree + "/new", "new");
    write_file(fixture.tree + "/README.md", "read me again\n");
    std::filesystem::remove(fixture.tree + "/dir/a.txt");
    znippy::compress_dir(fixture.tree, fixture.place / "new.znippy");
    znippy::differences differences = old.compare(znippy::reader(fixture.place / "new.znippy"));
    std::vector<std::string> seen;
    for (const znippy::difference &difference : differences) {
        seen.push_back((difference.is_added() ? "+" : difference.is_removed() ? "-" : "~") + std::string(difference.path()));
        CHECK(difference.is_changed() == difference.differs_in(ZNIPPY_DIFFERS_BYTES));
    }
    CHECK((seen == std::vector<std::string>{"~README.md", "-dir/a.txt", "+new"}));
    CHECK(differences.at(0).info().old_size == 8 && differences.at(0).info().new_size == 14);
    CHECK(std::distance(differences.begin(), differences.end()) == 3 && differences.size() == 3);
    THROWS(znippy::error, differences.at(3), caught.status() == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(old.compare(old).empty() && old.compare(old).begin() == old.compare(old).end());
}

TEST(trees_are_compared_with_archives) {
    packed fixture;
    znippy::reader reader(fixture.archive);
    CHECK(reader.compare_dir(fixture.tree).empty());
    write_file(fixture.tree + "/dir/a.txt", "other file");
    CHECK(reader.compare_dir(fixture.tree).size() == 1);
    znippy::options options;
    options.filter_by([](const znippy::entry_view &entry) { return entry.path() != "dir/a.txt"; });
    CHECK(reader.compare_dir(fixture.tree, options).empty());
    options.filter_by([](const znippy::entry_view &) -> bool { throw tired{4}; });
    THROWS(tired, reader.compare_dir(fixture.tree, options), caught.value == 4);
    THROWS(znippy::error, reader.compare_dir(fixture.place / "nothing"), caught.status() == ZNIPPY_E_NOT_FOUND);
}
