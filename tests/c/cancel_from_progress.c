/* A progress function that says stop ends the call with E_CANCELLED, and nothing is left behind. */
#include "harness.h"

struct stop {
    uint32_t phase;
    uint64_t bytes;
    int calls_after;
    bool said;
};

static int32_t stop_there(void *user_data, const znippy_progress *progress) {
    struct stop *stop = user_data;
    if (stop->said) {
        stop->calls_after++;
    }
    stop->said = stop->said || (progress->phase == stop->phase && progress->bytes_done >= stop->bytes);
    return stop->said;
}

static znippy_options *stopping(struct stop *stop) {
    znippy_options *options = options_with(ZNIPPY_OPT_PROGRESS_INTERVAL, 0);
    znippy_options_set_progress(options, stop_there, stop, NULL);
    return options;
}

static void pack_until(const char *tree, uint32_t phase, uint64_t bytes) {
    struct stop stop = {.phase = phase, .bytes = bytes, .calls_after = 0, .said = false};
    znippy_error *error = NULL;
    znippy_options *options = stopping(&stop);
    struct path archive = in_scratch("tree.znippy");
    EXPECT(znippy_compress_dir(tree, archive.text, options, NULL, &error), ZNIPPY_E_CANCELLED, &error);
    CHECK(stop.said && stop.calls_after == 0);
    CHECK(count_names(scratch()) == 1);
    znippy_options_free(options);
}

static void unpack_until(const char *tree, uint64_t bytes) {
    struct stop stop = {.phase = ZNIPPY_PHASE_EXTRACT, .bytes = bytes, .calls_after = 0, .said = false};
    znippy_error *error = NULL;
    znippy_options *options = stopping(&stop);
    struct path archive = in_scratch("whole.znippy"), back = in_scratch("back");
    pack(tree, archive.text);
    EXPECT(znippy_extract_archive(archive.text, back.text, options, NULL, &error), ZNIPPY_E_CANCELLED, &error);
    CHECK(stop.said && stop.calls_after == 0);
    /* What stands under its final name is whole. */
    for (int i = 0; i < 24; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%03d", i);
        if (exists(join(back.text, name).text)) {
            struct bytes want = read_file(join(tree, name).text), got = read_file(join(back.text, name).text);
            CHECK(want.len == got.len && memcmp(want.data, got.data, want.len) == 0);
            free(want.data);
            free(got.data);
        }
    }
    znippy_options_free(options);
}

int main(void) {
    struct path tree = in_scratch("tree");
    make_big_tree(tree.text, 24, 2 * MIB);
    pack_until(tree.text, ZNIPPY_PHASE_SCAN, 0);
    pack_until(tree.text, ZNIPPY_PHASE_PACK, 0);
    pack_until(tree.text, ZNIPPY_PHASE_PACK, 1);
    pack_until(tree.text, ZNIPPY_PHASE_FINISH, 0);
    unpack_until(tree.text, 1);
    return 0;
}
