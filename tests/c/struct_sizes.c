/* Public structs: too small a struct_size is refused, a bigger one of a later version is not written past ours. */
#include "harness.h"

#define OVERSIZED(type)       \
    struct {                  \
        type known;           \
        unsigned char more[64]; \
    }

static void untouched(const unsigned char more[64]) {
    for (int i = 0; i < 64; i++) {
        CHECK(more[i] == 0x5A);
    }
}

static void stats(const char *tree, const char *archive) {
    znippy_error *error = NULL;
    OVERSIZED(znippy_stats) big;
    znippy_options *replace = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    static const uint32_t SHORT[] = {0, 1, 8, sizeof(znippy_stats) - 1};
    memset(&big, 0x5A, sizeof big);
    for (size_t i = 0; i < 4; i++) {
        big.known.struct_size = SHORT[i];
        EXPECT(znippy_compress_dir(tree, archive, replace, &big.known, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        CHECK(big.known.files == 0x5A5A5A5A5A5A5A5A);
    }
    big.known.struct_size = sizeof big;
    EXPECT_OK(znippy_compress_dir(tree, archive, replace, &big.known, &error), &error);
    CHECK(big.known.files == 1);
    untouched(big.more);
    znippy_options_free(replace);
}

static void info(const znippy_reader *reader) {
    znippy_error *error = NULL;
    OVERSIZED(znippy_archive_info) big;
    memset(&big, 0x5A, sizeof big);
    big.known.struct_size = sizeof big.known - 1;
    EXPECT(znippy_reader_info(reader, &big.known, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    big.known.struct_size = sizeof big;
    EXPECT_OK(znippy_reader_info(reader, &big.known, &error), &error);
    CHECK(big.known.entries == 1);
    untouched(big.more);
}

static void entry(const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_listing *listing = list_all(reader);
    OVERSIZED(znippy_entry_info) big;
    memset(&big, 0x5A, sizeof big);
    big.known.struct_size = sizeof big.known - 1;
    EXPECT(znippy_listing_get(listing, 0, &big.known, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    big.known.struct_size = sizeof big;
    EXPECT_OK(znippy_listing_get(listing, 0, &big.known, &error), &error);
    CHECK(big.known.size == 6);
    untouched(big.more);
    znippy_listing_free(listing);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes\n");
    stats(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    info(reader);
    entry(reader);
    znippy_reader_free(reader);
    return 0;
}
