/* A comparison tells what two archives, or an archive and a directory, differ in: all of it, in order, and no more. */
#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

struct expected {
    uint32_t what, flags;
    const char *path;
};

static void check_diff(const znippy_diff *diff, const struct expected *expected, size_t count) {
    znippy_error *error = NULL;
    znippy_difference found = {.struct_size = sizeof found};
    CHECK(znippy_diff_count(diff) == count);
    for (size_t i = 0; i < count; i++) {
        EXPECT_OK(znippy_diff_get(diff, i, &found, &error), &error);
        CHECK(strcmp(found.path, expected[i].path) == 0 && found.path_len == strlen(found.path));
        CHECK(found.what == expected[i].what && found.flags == expected[i].flags);
        CHECK((found.old_kind == ZNIPPY_NO_KIND) == (found.what == ZNIPPY_DIFF_ADDED));
        CHECK((found.new_kind == ZNIPPY_NO_KIND) == (found.what == ZNIPPY_DIFF_REMOVED));
        if (strcmp(found.path, "link") == 0) {
            CHECK(strcmp(found.old_target, "one") == 0 && found.old_target_len == 3);
            CHECK(strcmp(found.new_target, "other") == 0 && found.new_target_len == 5);
        } else {
            CHECK(found.old_target == NULL && found.new_target == NULL);
        }
        if (strcmp(found.path, "grown") == 0) {
            CHECK(found.old_size == 3 && found.new_size == 6 && found.old_index != ZNIPPY_UNKNOWN);
        }
    }
    EXPECT(znippy_diff_get(diff, count, &found, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
}

static void make_small_tree(const char *tree) {
    make_dir(tree);
    make_dir(join(tree, "dir").text);
    write_string(join(tree, "dir/file").text, "same");
    write_string(join(tree, "gone").text, "1");
    write_string(join(tree, "grown").text, "old");
    CHECK(symlink("one", join(tree, "link").text) == 0);
    write_string(join(tree, "mode").text, "1");
    CHECK(chmod(join(tree, "mode").text, 0644) == 0);
}

int main(void) {
    struct path tree = in_scratch("tree"), one = in_scratch("one.znippy"), two = in_scratch("two.znippy");
    static const struct expected EXPECTED[] = {
        {ZNIPPY_DIFF_ADDED, 0, "dir/new"},
        {ZNIPPY_DIFF_REMOVED, 0, "gone"},
        {ZNIPPY_DIFF_CHANGED, ZNIPPY_DIFFERS_BYTES, "grown"},
        {ZNIPPY_DIFF_CHANGED, ZNIPPY_DIFFERS_TARGET, "link"},
        {ZNIPPY_DIFF_CHANGED, ZNIPPY_DIFFERS_MODE, "mode"},
    };
    znippy_error *error = NULL;
    znippy_diff *diff = NULL;
    make_small_tree(tree.text);
    pack(tree.text, one.text);
    znippy_reader *first = open_reader(one.text);
    EXPECT_OK(znippy_reader_diff_dir(first, tree.text, NULL, &diff, &error), &error);
    check_diff(diff, NULL, 0);
    znippy_diff_free(diff);
    EXPECT_OK(znippy_reader_diff(first, first, NULL, &diff, &error), &error);
    check_diff(diff, NULL, 0);
    znippy_diff_free(diff);

    write_string(join(tree.text, "dir/new").text, "1");
    CHECK(unlink(join(tree.text, "gone").text) == 0 && unlink(join(tree.text, "link").text) == 0);
    write_string(join(tree.text, "grown").text, "longer");
    CHECK(symlink("other", join(tree.text, "link").text) == 0);
    CHECK(chmod(join(tree.text, "mode").text, 0755) == 0);
    pack(tree.text, two.text);
    znippy_reader *second = open_reader(two.text);
    EXPECT_OK(znippy_reader_diff(first, second, NULL, &diff, &error), &error);
    znippy_diff *of_dir = NULL;
    EXPECT_OK(znippy_reader_diff_dir(first, tree.text, NULL, &of_dir, &error), &error);
    /* Both outlive what was compared. */
    znippy_reader_free(first);
    check_diff(diff, EXPECTED, 5);
    check_diff(of_dir, EXPECTED, 5);
    znippy_diff_free(diff);
    znippy_diff_free(of_dir);

    EXPECT(znippy_reader_diff_dir(second, in_scratch("none").text, NULL, &diff, &error), ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_reader_diff_dir(second, NULL, NULL, &diff, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_diff(second, NULL, NULL, &diff, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_diff(second, second, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_diff_get(NULL, 0, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(znippy_diff_count(NULL) == 0);
    znippy_diff_free(NULL);
    znippy_reader_free(second);
    return 0;
}
