/* With keep-going each failure is in the error's list, and the report is written all the same. */
#include "harness.h"

enum { FILES = 8 };

/* Every file in a block of its own, and damage in three of them. */
static void make_damaged(const char *archive) {
    struct path tree = in_scratch("tree");
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_SMALL_FILE, 0);
    make_dir(tree.text);
    for (uint32_t i = 0; i < FILES; i++) {
        char name[] = {'f', (char)('0' + i), '\0'};
        struct bytes noise = random_bytes(100000, i + 1);
        write_file(join(tree.text, name).text, noise.data, noise.len);
        free(noise.data);
    }
    EXPECT_OK(znippy_compress_dir(tree.text, archive, options, NULL, &error), &error);
    znippy_options_free(options);
    struct bytes bytes = read_file(archive);
    for (size_t i = 1; i < 6; i += 2) {
        bytes.data[16 + i * 100000 + 50000] ^= 1;
    }
    write_file(archive, bytes.data, bytes.len);
    free(bytes.data);
}

static void check_list(znippy_status status, znippy_error *error, const znippy_stats *stats) {
    static const char *const NAMES[] = {"f1", "f3", "f5"};
    CHECK(error && status == ZNIPPY_E_PARTIAL);
    CHECK(znippy_error_status(error) == ZNIPPY_E_PARTIAL);
    CHECK(stats->failed == 3 && stats->files == FILES - 3);
    CHECK(znippy_error_failure_count(error) == 3 && znippy_error_failure(error, 3) == NULL);
    bool found[3] = {false, false, false};
    for (size_t i = 0; i < 3; i++) {
        const znippy_error *failure = znippy_error_failure(error, i);
        size_t len = 0;
        const char *path = znippy_error_path(failure, &len);
        CHECK(znippy_error_status(failure) == ZNIPPY_E_CHECKSUM && len == 2);
        CHECK(strstr(znippy_error_message(failure), path) == znippy_error_message(failure));
        CHECK(strcmp(znippy_error_rule(failure), "slice.hash") == 0);
        CHECK(znippy_error_failure_count(failure) == 0);
        for (size_t j = 0; j < 3; j++) {
            found[j] = found[j] || strcmp(path, NAMES[j]) == 0;
        }
    }
    CHECK(found[0] && found[1] && found[2]);
    znippy_error_free(error);
}

int main(void) {
    struct path archive = in_scratch("tree.znippy"), one = in_scratch("one"), two = in_scratch("two");
    znippy_stats stats = {.struct_size = sizeof stats}, again = {.struct_size = sizeof again};
    znippy_error *error = NULL;
    make_damaged(archive.text);
    znippy_options *options = options_with(ZNIPPY_OPT_KEEP_GOING, 1);
    znippy_status status = znippy_extract_archive(archive.text, one.text, options, &stats, &error);
    check_list(status, error, &stats);
    znippy_reader *reader = open_reader(archive.text);
    status = znippy_reader_extract_all(reader, two.text, options, &again, &error);
    check_list(status, error, &again);
    same_tree(one.text, two.text);

    /* An error of another kind lists nothing, and neither does no error. */
    CHECK(znippy_reader_verify(reader, NULL, NULL, &error) == ZNIPPY_E_CHECKSUM);
    CHECK(znippy_error_failure_count(error) == 0 && znippy_error_failure(error, 0) == NULL);
    znippy_error_free(error);
    CHECK(znippy_error_failure_count(NULL) == 0 && znippy_error_failure(NULL, 0) == NULL);
    znippy_reader_free(reader);
    znippy_options_free(options);
    return 0;
}
