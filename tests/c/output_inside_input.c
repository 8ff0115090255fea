/* An archive that is written into the tree that it is made of doesn't hold itself, nor its older self. */
#include "harness.h"

static void tree_digest(const char *archive, uint8_t digest[32]) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    uint64_t index = 0;
    EXPECT_OK(znippy_reader_tree_digest(reader, digest, &error), &error);
    EXPECT(znippy_reader_find(reader, "out.znippy", 10, &index, &error), ZNIPPY_E_NOT_FOUND, &error);
    CHECK(znippy_reader_entry_count(reader) == 2);
    znippy_reader_free(reader);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = join(tree.text, "out.znippy");
    uint8_t first[32], second[32];
    znippy_error *error = NULL;
    make_dir(tree.text);
    make_dir(join(tree.text, "dir").text);
    write_string(join(tree.text, "dir/file").text, "bytes\n");
    pack(tree.text, archive.text);
    tree_digest(archive.text, first);

    znippy_options *replace = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, replace, NULL, &error), &error);
    tree_digest(archive.text, second);
    CHECK(memcmp(first, second, sizeof first) == 0);
    CHECK(count_names(tree.text) == 2);
    znippy_options_free(replace);
    return 0;
}
