/* Null where something is needed is E_INVALID_ARGUMENT; null handed to a free, or to a query, is harmless. */
#include "harness.h"

#define REFUSES_NULL(call) EXPECT((call), ZNIPPY_E_INVALID_ARGUMENT, &error)

static void jobs(void) {
    znippy_error *error = NULL;
    REFUSES_NULL(znippy_compress_dir(NULL, "x", NULL, NULL, &error));
    REFUSES_NULL(znippy_compress_dir("x", NULL, NULL, NULL, &error));
    REFUSES_NULL(znippy_extract_archive(NULL, "x", NULL, NULL, &error));
    REFUSES_NULL(znippy_extract_archive("x", NULL, NULL, NULL, &error));
}

static void options(void) {
    znippy_error *error = NULL;
    int64_t value = 0;
    znippy_options *some = znippy_options_new();
    REFUSES_NULL(znippy_options_set_i64(NULL, ZNIPPY_OPT_LEVEL, 1, &error));
    REFUSES_NULL(znippy_options_set_bytes(NULL, ZNIPPY_OPT_REPO, "x", 1, &error));
    REFUSES_NULL(znippy_options_set_bytes(some, ZNIPPY_OPT_REPO, NULL, 1, &error));
    EXPECT_OK(znippy_options_get_i64(NULL, ZNIPPY_OPT_LEVEL, &value, &error), &error);
    CHECK(value == 3); /* no options are the defaults */
    REFUSES_NULL(znippy_options_get_i64(some, ZNIPPY_OPT_LEVEL, NULL, &error));
    CHECK(znippy_option_bounds(ZNIPPY_OPT_LEVEL, NULL, NULL) != ZNIPPY_E_UNSUPPORTED);
    znippy_options_set_progress(NULL, NULL, NULL, NULL);
    znippy_options_set_progress(some, NULL, NULL, NULL);
    znippy_options_set_cancel(NULL, NULL);
    znippy_options_set_cancel(some, NULL);
    znippy_options_free(some);
    znippy_options_free(NULL);
}

static void opening(void) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    REFUSES_NULL(znippy_reader_open(NULL, NULL, &reader, &error));
    REFUSES_NULL(znippy_reader_open("x", NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_open_fd(0, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_open_memory(NULL, 5, NULL, NULL, NULL, &reader, &error));
    REFUSES_NULL(znippy_reader_open_memory("x", 1, NULL, NULL, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_open_source(NULL, NULL, &reader, &error));
}

static void reading(const znippy_reader *reader) {
    znippy_error *error = NULL;
    uint64_t number = 0;
    const char *value = NULL;
    uint8_t digest[32];
    znippy_listing *listing = NULL;
    znippy_buffer buffer = {NULL, 0, 0};
    char byte = 0;
    size_t got = 0;
    REFUSES_NULL(znippy_reader_info(reader, NULL, &error));
    REFUSES_NULL(znippy_reader_tree_digest(NULL, digest, &error));
    REFUSES_NULL(znippy_reader_tree_digest(reader, NULL, &error));
    REFUSES_NULL(znippy_reader_find(NULL, "x", 1, &number, &error));
    REFUSES_NULL(znippy_reader_find(reader, NULL, 1, &number, &error));
    REFUSES_NULL(znippy_reader_find(reader, "x", 1, NULL, &error));
    REFUSES_NULL(znippy_reader_find_prefix(NULL, "x", 1, &number, &number, &error));
    REFUSES_NULL(znippy_reader_find_prefix(reader, "x", 1, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_list(NULL, 0, 1, &listing, &error));
    REFUSES_NULL(znippy_reader_list(reader, 0, 1, NULL, &error));
    REFUSES_NULL(znippy_listing_get(NULL, 0, NULL, &error));
    REFUSES_NULL(znippy_reader_read_at(NULL, 0, 0, &byte, 1, &got, &error));
    REFUSES_NULL(znippy_reader_read_at(reader, 0, 0, NULL, 1, &got, &error));
    REFUSES_NULL(znippy_reader_read(NULL, 0, NULL, &buffer, &error));
    REFUSES_NULL(znippy_reader_read(reader, 0, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_extract_all(NULL, "x", NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_extract_all(reader, NULL, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_verify(NULL, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_verify_quick(NULL, NULL, NULL, &error));
    REFUSES_NULL(znippy_reader_verify_entry(NULL, 0, &error));
    CHECK(znippy_reader_metadata(NULL, "x", &value) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_reader_metadata(reader, NULL, &value) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_reader_metadata(reader, "x", NULL) == ZNIPPY_E_INVALID_ARGUMENT);
}

static void harmless(void) {
    CHECK(znippy_reader_entry_count(NULL) == 0 && znippy_listing_count(NULL) == 0);
    CHECK(znippy_reader_retain(NULL) == NULL);
    znippy_cancel_trigger(NULL);
    CHECK(znippy_cancel_is_triggered(NULL) == 0);
    znippy_cancel_free(NULL);
    znippy_reader_free(NULL);
    znippy_listing_free(NULL);
    znippy_buffer_free(NULL);
    znippy_error_free(NULL);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes\n");
    jobs();
    options();
    opening();
    harmless();
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    reading(reader);
    znippy_reader_free(reader);
    return 0;
}
