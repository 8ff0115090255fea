// Runs every test that the other files registered, and says which one failed where.
#include "harness.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include <unistd.h>

namespace fs = std::filesystem;

namespace {
struct test {
    const char *name;
    test_function run;
};

std::vector<test> &tests() {
    static std::vector<test> list;
    return list;
}

const char *running = "nothing";
} // namespace

registered::registered(const char *name, test_function run) { tests().push_back({name, run}); }

void check_at(const char *file, int line, bool good, const char *condition) {
    if (good)
        return;
    std::fprintf(stderr, "%s: %s:%d: %s\n", running, file, line, condition);
    std::exit(1);
}

scratch::scratch() {
    std::string pattern = (fs::temp_directory_path() / "znippy-cpp.XXXXXX").string();
    CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

scratch::~scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

void write_file(const std::string &path, const std::string &text) {
    std::ofstream(path, std::ios::binary) << text;
}

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string noise(std::size_t size) {
    std::string text(size, '\0');
    std::uint64_t state = 1;
    for (char &byte : text) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<char>(state >> 56);
    }
    return text;
}

packed::packed() {
    fs::create_directories(tree + "/dir/empty");
    write_file(tree + "/README.md", "read me\n");
    write_file(tree + "/dir/a.txt", "first file");
    write_file(tree + "/dir/noise", noise(300000));
    fs::create_symlink("a.txt", tree + "/dir/link");
    znippy::compress_dir(tree, archive);
}

int main() {
    for (const test &test : tests()) {
        running = test.name;
        try {
            test.run();
        } catch (const std::exception &failure) {
            check_at(test.name, 0, false, failure.what());
        }
    }
    std::printf("%zu tests passed\n", tests().size());
    return tests().empty();
}
