// The same as roundtrip.c, in C++.
#include <cstdio>
#include <string>

#include <znippy.hpp>

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    try {
        znippy::stats stats = znippy::compress_dir(argv[1], argv[2]);
        znippy::reader reader(argv[2]);
        if (reader.read(argv[3]).view().substr(0, std::string(argv[4]).size()) != argv[4])
            return 1;
        std::printf("%s: %u files\n", znippy::version_string(), static_cast<unsigned>(stats.files));
        return 0;
    } catch (const znippy::error &error) {
        std::fprintf(stderr, "%s: %s\n", error.status_name(), error.what());
        return 1;
    }
}
