/* Progress is reported on the calling thread, counts never go back, and the end is reported. */
#include "harness.h"

#include <pthread.h>

struct seen {
    pthread_t caller;
    znippy_progress last;
    int calls, phases;
};

static int32_t watch(void *user_data, const znippy_progress *progress) {
    struct seen *seen = user_data;
    CHECK(pthread_equal(pthread_self(), seen->caller));
    CHECK(progress->struct_size >= sizeof *progress);
    CHECK(progress->phase >= seen->last.phase);
    if (progress->phase == seen->last.phase) {
        CHECK(progress->bytes_done >= seen->last.bytes_done && progress->entries_done >= seen->last.entries_done);
    } else {
        seen->phases++;
    }
    CHECK(progress->bytes_total == ZNIPPY_UNKNOWN || progress->bytes_done <= progress->bytes_total);
    CHECK(progress->entries_total == ZNIPPY_UNKNOWN || progress->entries_done <= progress->entries_total);
    CHECK(!progress->path || strlen(progress->path) == progress->path_len);
    seen->last = *progress;
    seen->calls++;
    return 0;
}

static znippy_options *watched(struct seen *seen) {
    memset(seen, 0, sizeof *seen);
    seen->caller = pthread_self();
    znippy_options *options = options_with(ZNIPPY_OPT_PROGRESS_INTERVAL, 0);
    znippy_options_set_progress(options, watch, seen, NULL);
    return options;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    struct seen seen;
    znippy_error *error = NULL;
    make_tree(tree.text);

    znippy_options *options = watched(&seen);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, options, NULL, &error), &error);
    CHECK(seen.last.phase == ZNIPPY_PHASE_FINISH && seen.phases == 3 && seen.calls >= 4);
    znippy_options_free(options);

    options = watched(&seen);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, options, NULL, &error), &error);
    CHECK(seen.last.phase == ZNIPPY_PHASE_EXTRACT);
    CHECK(seen.last.bytes_done == seen.last.bytes_total && seen.last.entries_done == seen.last.entries_total);
    znippy_options_free(options);

    options = watched(&seen);
    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, options, NULL, &error), &error);
    CHECK(seen.last.phase == ZNIPPY_PHASE_VERIFY && seen.last.bytes_done == seen.last.bytes_total);
    znippy_reader_free(reader);
    znippy_options_free(options);
    return 0;
}
