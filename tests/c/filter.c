/* The filter function says which entries are restored: it is asked about each, in order, and may end the job. */
#include "harness.h"

#include <pthread.h>

struct asked {
    pthread_t caller;
    int count, released;
    int32_t answer; /* for directories */
    const znippy_reader *reader;
    char last[256];
};

static int32_t on_entry(void *user_data, const znippy_entry_info *entry) {
    struct asked *asked = user_data;
    znippy_error *error = NULL;
    uint64_t index = 0;
    CHECK(pthread_equal(asked->caller, pthread_self()));
    CHECK(entry->struct_size >= sizeof *entry && entry->path[entry->path_len] == '\0');
    CHECK(strcmp(asked->last, entry->path) < 0);
    CHECK(entry->index == (uint64_t)asked->count);
    CHECK((entry->flags & ZNIPPY_ENTRY_HAS_MODE) || entry->kind == ZNIPPY_KIND_SYMLINK);
    snprintf(asked->last, sizeof asked->last, "%s", entry->path);
    asked->count++;
    if (asked->reader) {
        EXPECT(znippy_reader_find(asked->reader, "x", 1, &index, &error), ZNIPPY_E_BUSY, &error);
    }
    if (entry->kind == ZNIPPY_KIND_DIRECTORY) {
        return asked->answer;
    }
    if (strcmp(entry->path, "hello.txt") == 0) {
        CHECK(entry->size == 13 && (entry->flags & ZNIPPY_ENTRY_HAS_HASH));
        return 1;
    }
    return entry->kind == ZNIPPY_KIND_SYMLINK ? entry->link_target_len > 0 : 0;
}

static void on_release(void *user_data) {
    ((struct asked *)user_data)->released++;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    struct asked asked = {.caller = pthread_self()};
    znippy_stats stats = {.struct_size = sizeof stats};
    znippy_error *error = NULL;
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    znippy_options *options = znippy_options_new();
    znippy_options_set_filter(options, on_entry, &asked, on_release);

    EXPECT_OK(znippy_extract_archive(archive.text, in_scratch("one").text, options, &stats, &error), &error);
    CHECK((uint64_t)asked.count == znippy_reader_entry_count(reader));
    CHECK(stats.files == 1 && stats.symlinks == 2 && stats.directories == 0 && stats.blocks == 1);
    CHECK(exists(join(in_scratch("one").text, "hello.txt").text));

    /* The reader that is being asked about is busy meanwhile. */
    asked.count = 0;
    asked.last[0] = '\0';
    asked.reader = reader;
    EXPECT_OK(znippy_reader_extract_all(reader, in_scratch("two").text, options, &stats, &error), &error);
    same_tree(in_scratch("one").text, in_scratch("two").text);

    /* A number of the library ends the job with it, any other negative one with E_CALLBACK. */
    static const int32_t ANSWERS[][2] = {{ZNIPPY_E_LIMIT, ZNIPPY_E_LIMIT}, {-12345, ZNIPPY_E_CALLBACK}};
    for (size_t i = 0; i < 2; i++) {
        asked.count = 0;
        asked.last[0] = '\0';
        asked.answer = ANSWERS[i][0];
        znippy_status status = znippy_reader_extract_all(reader, in_scratch("three").text, options, NULL, &error);
        EXPECT(status, ANSWERS[i][1], &error);
        CHECK(!exists(in_scratch("three").text) || count_names(in_scratch("three").text) == 0);
    }
    CHECK(asked.released == 0);
    znippy_options_set_filter(options, NULL, NULL, NULL);
    CHECK(asked.released == 1);
    znippy_options_set_filter(NULL, on_entry, &asked, on_release);
    CHECK(asked.released == 2);
    znippy_options_set_filter(options, on_entry, &asked, on_release);
    znippy_options_free(options);
    CHECK(asked.released == 3);
    znippy_reader_free(reader);
    return 0;
}
