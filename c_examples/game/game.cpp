/*
 * A program that carries its assets: levels, sprites and texts are an archive inside the executable, which
 * znippy_add_archive() packs and znippy_embed() puts there. Nothing is unpacked; a file is decoded when it is read.
 *
 *     game [LANGUAGE]        draws every level
 *     game --list            names the assets
 *     game --cat ASSET       writes one asset to standard output
 */
#include <algorithm>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <znippy.hpp>

#include "game_assets.h"

namespace {

/* The assets by name. One reader serves all threads of a game. */
class assets {
public:
    assets() : reader_(opened()) {}

    std::string text(const std::string &name) const { return reader_.read(name).str(); }

    std::vector<std::string> below(const std::string &directory) const {
        std::vector<std::string> names;
        for (const znippy::entry &entry : reader_.entries()) {
            std::string path(entry.path());
            if (path.compare(0, directory.size(), directory) == 0 && entry.kind() == ZNIPPY_KIND_FILE) names.push_back(path);
        }
        return names;
    }

private:
    static znippy_reader *opened() {
        znippy_reader *reader = nullptr;
        znippy_error *error = nullptr;
        znippy_status status = game_assets_open(nullptr, &reader, &error);
        if (status != ZNIPPY_OK) throw znippy::error(status, error);
        return reader;
    }

    znippy::reader reader_;
};

/* Lines KEY=VALUE, or KEY VALUE. */
std::map<std::string, std::string> table(const std::string &text, char separator) {
    std::map<std::string, std::string> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::size_t at = line.find(separator);
        if (at != std::string::npos) found[line.substr(0, at)] = line.substr(at + 1);
    }
    return found;
}

void play(const assets &all, const std::string &language) {
    auto texts = table(all.text("text/" + language + ".txt"), '=');
    auto legend = table(all.text("sprites/legend.txt"), ' ');
    std::cout << texts["welcome"] << "\n\n";
    for (const std::string &level : all.below("levels/")) {
        std::string map = all.text(level);
        std::cout << level << '\n' << map << std::count(map.begin(), map.end(), 'o') << ' ' << texts["coins"] << '\n';
        for (const auto &[sprite, meaning] : legend)
            if (map.find(sprite) != std::string::npos) std::cout << "  " << sprite << ' ' << meaning << '\n';
        std::cout << '\n';
    }
}

} // namespace

int main(int argc, char **argv) try {
    assets all;
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
        for (const std::string &name : all.below("")) std::cout << name << '\n';
    } else if (argc == 3 && std::strcmp(argv[1], "--cat") == 0) {
        std::cout << all.text(argv[2]);
    } else if (argc <= 2) {
        play(all, argc == 2 ? argv[1] : "en");
    } else {
        std::cerr << "usage: game [LANGUAGE | --list | --cat ASSET]\n";
        return 2;
    }
    return 0;
} catch (const znippy::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
