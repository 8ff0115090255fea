/* An existing archive is refused, and replaced only where that was asked for. */
#include "harness.h"

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    znippy_error *error = NULL;
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes\n");
    write_string(archive.text, "old");

    EXPECT(znippy_compress_dir(tree.text, archive.text, NULL, NULL, &error), ZNIPPY_E_EXISTS, &error);
    struct bytes old = read_file(archive.text);
    CHECK(old.len == 3 && memcmp(old.data, "old", 3) == 0);
    free(old.data);
    CHECK(count_names(scratch()) == 2);

    znippy_options *replace = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, replace, NULL, &error), &error);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, NULL, NULL, &error), &error);
    same_tree(tree.text, back.text);
    CHECK(count_names(scratch()) == 3);
    znippy_options_free(replace);
    return 0;
}
