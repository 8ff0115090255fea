/* A file that shrinks after it was scanned is an error that names it, and no archive appears. */
#include "harness.h"

#include <unistd.h>

struct victim {
    struct path path;
    bool cut;
};

static int32_t cut_the_file(void *user_data, const znippy_progress *progress) {
    struct victim *victim = user_data;
    if (progress->phase == ZNIPPY_PHASE_PACK && !victim->cut) {
        victim->cut = true;
        CHECK(truncate(victim->path.text, 1000) == 0);
    }
    return 0;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    struct victim victim = {.path = join(tree.text, "file-001"), .cut = false};
    znippy_error *error = NULL;
    make_big_tree(tree.text, 3, 8 * MIB);
    znippy_options *options = options_with(ZNIPPY_OPT_PROGRESS_INTERVAL, 0);
    znippy_options_set_progress(options, cut_the_file, &victim, NULL);
    znippy_status status = znippy_compress_dir(tree.text, archive.text, options, NULL, &error);
    CHECK(victim.cut);
    size_t len = 0;
    const char *path = error ? znippy_error_path(error, &len) : NULL;
    CHECK(path && strstr(victim.path.text, path) && strstr(path, "file-001"));
    EXPECT(status, ZNIPPY_E_CHANGED, &error);
    CHECK(count_names(scratch()) == 1);
    znippy_options_free(options);
    return 0;
}
