/* A dry run leaves every inode alone, and its report is that of the run that follows. */
#include "harness.h"

#include <sys/stat.h>

static void on_action(void *user_data, int32_t level, const char *message, size_t len) {
    uint64_t *actions = user_data;
    CHECK(level == ZNIPPY_LOG_INFO && message[len] == '\0');
    CHECK(strncmp(message, "create ", 7) == 0 || strncmp(message, "replace ", 8) == 0 ||
          strncmp(message, "delete ", 7) == 0);
    ++*actions;
}

static void same_counts(const znippy_stats *dry, const znippy_stats *real) {
    CHECK(dry->created == real->created && dry->replaced == real->replaced);
    CHECK(dry->kept == real->kept && dry->pruned == real->pruned);
    CHECK(dry->entries == real->entries && dry->files == real->files && dry->bytes_out == real->bytes_out);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    struct stat before, after;
    znippy_stats dry = {.struct_size = sizeof dry}, real = {.struct_size = sizeof real};
    znippy_error *error = NULL;
    uint64_t actions = 0;
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_options *run = options_with(ZNIPPY_OPT_PRUNE, 1);
    znippy_options *rehearse = options_with(ZNIPPY_OPT_PRUNE, 1);
    EXPECT_OK(znippy_options_set_i64(rehearse, ZNIPPY_OPT_DRY_RUN, 1, &error), &error);
    EXPECT_OK(znippy_options_set_i64(rehearse, ZNIPPY_OPT_SKIP_UNCHANGED, 1, &error), &error);
    EXPECT_OK(znippy_options_set_i64(run, ZNIPPY_OPT_SKIP_UNCHANGED, 1, &error), &error);
    znippy_options_set_log(rehearse, ZNIPPY_LOG_INFO, on_action, &actions, NULL);

    EXPECT_OK(znippy_extract_archive(archive.text, back.text, rehearse, &dry, &error), &error);
    CHECK(!exists(back.text));
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, run, &real, &error), &error);
    same_counts(&dry, &real);
    CHECK(dry.created == actions && dry.created == dry.entries && dry.replaced == 0 && dry.kept == 0);

    write_string(join(back.text, "stray").text, "1");
    write_string(join(back.text, "hello.txt").text, "other");
    CHECK(stat(back.text, &before) == 0);
    actions = 0;
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, rehearse, &dry, &error), &error);
    CHECK(stat(back.text, &after) == 0 && exists(join(back.text, "stray").text));
    CHECK(before.st_ctim.tv_sec == after.st_ctim.tv_sec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, run, &real, &error), &error);
    same_counts(&dry, &real);
    CHECK(dry.replaced > 0 && dry.pruned == 1 && actions == dry.created + dry.replaced + dry.pruned);
    znippy_options_free(run);
    znippy_options_free(rehearse);
    return 0;
}
