/* What is whole of a damaged archive comes into a new one, and the report and the error tell what doesn't. */
#include "harness.h"

#include <stdlib.h>
#include <unistd.h>

struct seen {
    int lost, kept;
};

static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    struct seen *seen = user_data;
    CHECK(strlen(message) == len);
    seen->lost += level == ZNIPPY_LOG_WARNING && strncmp(message, "lost ", 5) == 0;
    seen->kept += level == ZNIPPY_LOG_INFO && strncmp(message, "kept ", 5) == 0;
}

static void make_three(const char *tree) {
    struct bytes one = text_bytes(300000, 1), two = random_bytes(2 * MIB, 2);
    make_dir(tree);
    write_file(join(tree, "one").text, one.data, one.len);
    write_file(join(tree, "two").text, two.data, two.len);
    write_string(join(tree, "three").text, "small");
    free(one.data);
    free(two.data);
}

/* A file of noise, which is stored as it is, is damaged: it alone is lost. */
static void a_damaged_block(const char *tree, const char *archive, const char *damaged, const char *out) {
    struct bytes bytes = read_file(archive);
    struct seen seen = {0};
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, 2);
    znippy_salvage_report report = {.struct_size = sizeof report};
    struct bytes two = read_file(join(tree, "two").text);
    size_t at = 16;
    while (memcmp(bytes.data + at, two.data, two.len) != 0) {
        at++;
        CHECK(at + two.len < bytes.len);
    }
    bytes.data[at + 1000] ^= 1;
    free(two.data);
    write_file(damaged, bytes.data, bytes.len);
    znippy_options_set_log(options, ZNIPPY_LOG_INFO, on_log, &seen, NULL);
    EXPECT(znippy_salvage(damaged, out, options, &report, &error), ZNIPPY_E_PARTIAL, &error);
    CHECK(report.index == ZNIPPY_SALVAGE_INDEX_WHOLE && report.entries_kept == 2 && report.entries_lost == 1);
    CHECK(report.bytes_lost == 2 * MIB && report.bytes_kept == 300005 && report.blobs_damaged == 1);
    CHECK(seen.lost == 1 && seen.kept == 2);
    EXPECT(znippy_salvage(damaged, out, options, &report, &error), ZNIPPY_E_EXISTS, &error);
    znippy_reader *reader = open_reader(out);
    uint64_t index;
    find(reader, "one");
    find(reader, "three");
    EXPECT(znippy_reader_find(reader, "two", 3, &index, &error), ZNIPPY_E_NOT_FOUND, &error);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    znippy_reader_free(reader);
    znippy_options_free(options);
    free(bytes.data);
}

static void failures_are_listed(const char *damaged, const char *out) {
    znippy_error *error = NULL;
    CHECK(unlink(out) == 0);
    CHECK(znippy_salvage(damaged, out, NULL, NULL, &error) == ZNIPPY_E_PARTIAL);
    CHECK(znippy_error_failure_count(error) == 1);
    size_t len = 0;
    const char *path = znippy_error_path(znippy_error_failure(error, 0), &len);
    CHECK(path && len == 3 && memcmp(path, "two", 3) == 0);
    znippy_error_free(error);
}

/* With recovery records, nothing is lost with the index. */
static void a_lost_index(const char *tree, const char *archive, const char *damaged, const char *out) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_RECOVERY, 1);
    znippy_salvage_report report = {.struct_size = sizeof report};
    CHECK(unlink(archive) == 0 && unlink(out) == 0);
    EXPECT_OK(znippy_compress_dir(tree, archive, options, NULL, &error), &error);
    struct bytes bytes = read_file(archive);
    write_file(damaged, bytes.data, bytes.len - 3000);
    EXPECT_OK(znippy_salvage(damaged, out, NULL, &report, &error), &error);
    CHECK(report.index == ZNIPPY_SALVAGE_INDEX_RECOVERED && report.entries_kept == 3 && report.records > 3);
    struct path back = in_scratch("back");
    EXPECT_OK(znippy_extract_archive(out, back.text, NULL, NULL, &error), &error);
    znippy_options_free(options);
    free(bytes.data);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("a"), damaged = in_scratch("damaged"), out = in_scratch("new");
    znippy_error *error = NULL;
    make_three(tree.text);
    pack(tree.text, archive.text);
    a_damaged_block(tree.text, archive.text, damaged.text, out.text);
    failures_are_listed(damaged.text, out.text);
    a_lost_index(tree.text, archive.text, damaged.text, out.text);
    write_string(damaged.text, "no archive at all");
    CHECK(unlink(out.text) == 0);
    EXPECT(znippy_salvage(damaged.text, out.text, NULL, NULL, &error), ZNIPPY_E_NOT_ARCHIVE, &error);
    CHECK(!exists(out.text));
    EXPECT(znippy_salvage(NULL, out.text, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    return 0;
}
