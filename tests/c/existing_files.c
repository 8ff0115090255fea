/* Extraction refuses names that exist and leaves them alone; with the option it replaces files. */
#include "harness.h"

#include <sys/stat.h>

/* A destination that was there keeps its own mode and time, so they are made equal by hand. */
static void same_inside(const char *tree, const char *back) {
    CHECK(chmod(back, 0750) == 0);
    set_mtime(back, 1300000000, 7);
    same_tree(tree, back);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    znippy_error *error = NULL;
    make_tree(tree.text);
    pack(tree.text, archive.text);
    make_dir(back.text);
    write_string(join(back.text, "hello.txt").text, "mine");

    EXPECT(znippy_extract_archive(archive.text, back.text, NULL, NULL, &error), ZNIPPY_E_EXISTS, &error);
    struct bytes mine = read_file(join(back.text, "hello.txt").text);
    CHECK(mine.len == 4 && memcmp(mine.data, "mine", 4) == 0);
    free(mine.data);

    znippy_options *replace = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, replace, NULL, &error), &error);
    same_inside(tree.text, back.text);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, replace, NULL, &error), &error);
    same_inside(tree.text, back.text);
    znippy_options_free(replace);
    return 0;
}
