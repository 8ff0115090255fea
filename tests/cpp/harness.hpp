// What the tests of the C++ header share: a list of tests, a check, a scratch directory and a small archive.
#ifndef ZNIPPY_CPP_HARNESS_HPP
#define ZNIPPY_CPP_HARNESS_HPP

#include <znippy.hpp>

#include <filesystem>
#include <string>

using test_function = void (*)();

/** Adds a test to the list that main() runs. */
struct registered {
    registered(const char *name, test_function run);
};

#define TEST(name)                               \
    static void name();                          \
    static const registered add_##name(#name, name); \
    static void name()

#define CHECK(condition) check_at(__FILE__, __LINE__, (condition), #condition)

/** The statement must throw an exception of this type; it is called `caught` in the check that follows. */
#define THROWS(type, statement, condition)                      \
    do {                                                        \
        bool thrown_ = false;                                   \
        try {                                                   \
            statement;                                          \
        } catch (const type &caught) {                          \
            thrown_ = true;                                     \
            static_cast<void>(caught);                          \
            CHECK(condition);                                   \
        }                                                       \
        check_at(__FILE__, __LINE__, thrown_, #statement " throws " #type); \
    } while (false)

void check_at(const char *file, int line, bool good, const char *condition);

/** A directory of its own, gone with the object. */
class scratch {
public:
    scratch();
    ~scratch();
    scratch(const scratch &) = delete;
    scratch &operator=(const scratch &) = delete;
    std::string operator/(const std::string &name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

void write_file(const std::string &path, const std::string &text);
std::string read_file(const std::string &path);
/** Text that doesn't compress much, the same each time. */
std::string noise(std::size_t size);

/** A directory with files, a link and an empty directory, packed: tree.znippy beside tree. */
struct packed {
    scratch place;
    std::string tree = place / "tree";
    std::string archive = place / "tree.znippy";
    packed();
};

#endif
