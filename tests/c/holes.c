/* Where the bytes of a file are that are no hole: runs, from any offset on, in files with and without holes. */
#include "harness.h"

static znippy_error *error;

static void runs(const znippy_reader *reader, const char *path, uint64_t from, uint64_t start, uint64_t end) {
    uint64_t found_start = 77, found_end = 77;
    EXPECT_OK(znippy_reader_find_data(reader, find(reader, path), from, &found_start, &found_end, &error), &error);
    if (found_start != start || found_end != end) {
        fprintf(stderr, "%s from %llu: %llu to %llu\n", path, (unsigned long long)from, (unsigned long long)found_start,
                (unsigned long long)found_end);
    }
    CHECK(found_start == start && found_end == end);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("archive");
    struct bytes noise = random_bytes(30 * MIB, 3);
    make_dir(tree.text);
    /* Bytes in the slices 0, 2 and 3, with a hole in front, in between, within a slice, and behind. */
    memset(noise.data, 0, MIB);
    memset(noise.data + 3 * MIB, 0, 7 * MIB);
    memset(noise.data + 11 * MIB, 0, MIB);
    write_file(join(tree.text, "holes").text, noise.data, 20 * MIB);
    write_file(join(tree.text, "full").text, noise.data + 20 * MIB, 9 * MIB);
    write_file(join(tree.text, "zeros").text, noise.data + 3 * MIB, 5 * MIB);
    write_string(join(tree.text, "small").text, "small");
    write_string(join(tree.text, "empty").text, "");
    make_dir(join(tree.text, "directory").text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    runs(reader, "holes", 0, MIB, 3 * MIB);
    runs(reader, "holes", 2 * MIB + 1, 2 * MIB + 1, 3 * MIB);
    runs(reader, "holes", 3 * MIB, 10 * MIB, 11 * MIB);
    runs(reader, "holes", 11 * MIB, 12 * MIB, 20 * MIB);
    runs(reader, "holes", 20 * MIB, 20 * MIB, 20 * MIB);
    runs(reader, "holes", UINT64_MAX, 20 * MIB, 20 * MIB);
    runs(reader, "full", 0, 0, 9 * MIB);
    runs(reader, "full", 9 * MIB - 1, 9 * MIB - 1, 9 * MIB);
    runs(reader, "zeros", 0, 5 * MIB, 5 * MIB);
    runs(reader, "small", 1, 1, 5);
    runs(reader, "small", 5, 5, 5);
    runs(reader, "empty", 0, 0, 0);
    uint64_t start = 0, end = 0;
    EXPECT(znippy_reader_find_data(reader, find(reader, "directory"), 0, &start, &end, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_find_data(reader, UINT64_MAX, 0, &start, &end, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_find_data(reader, 0, 0, NULL, &end, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_find_data(NULL, 0, 0, &start, &end, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    znippy_reader_free(reader);
    free(noise.data);
    return 0;
}
