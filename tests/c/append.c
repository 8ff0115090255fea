/* Appending: the union of two trees, old bytes as they were, and the old archive wherever that doesn't succeed. */
#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

static znippy_writer *append_to(const char *archive, const znippy_options *options) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    EXPECT_OK(znippy_writer_append(archive, options, &writer, &error), &error);
    return writer;
}

static void finish(znippy_writer *writer) {
    znippy_error *error = NULL;
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    znippy_writer_free(writer);
}

static void add_text(znippy_writer *writer, const char *path, const char *text) {
    znippy_error *error = NULL;
    znippy_entry_info meta = {.struct_size = sizeof meta, .kind = ZNIPPY_KIND_FILE, .path = path, .path_len = strlen(path)};
    EXPECT_OK(znippy_writer_add_buffer(writer, &meta, text, strlen(text), &error), &error);
}

static void same_digest(const char *left, const char *right) {
    uint8_t digests[2][32];
    const char *archives[] = {left, right};
    for (int i = 0; i < 2; i++) {
        znippy_error *error = NULL;
        znippy_reader *reader = open_reader(archives[i]);
        EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
        EXPECT_OK(znippy_reader_tree_digest(reader, digests[i], &error), &error);
        znippy_reader_free(reader);
    }
    CHECK(memcmp(digests[0], digests[1], 32) == 0);
}

static bool contents_are(const char *archive, const char *path, const char *text) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    znippy_buffer buffer = {NULL, 0, 0};
    EXPECT_OK(znippy_reader_read(reader, find(reader, path), NULL, &buffer, &error), &error);
    bool same = buffer.len == strlen(text) && memcmp(buffer.data, text, buffer.len) == 0;
    znippy_buffer_free(&buffer);
    znippy_reader_free(reader);
    return same;
}

static void same_file(const char *path, struct bytes bytes) {
    struct bytes now = read_file(path);
    CHECK(now.len == bytes.len && memcmp(now.data, bytes.data, now.len) == 0);
    free(now.data);
}

static void union_of_trees(const char *tree, const char *archive) {
    znippy_error *error = NULL;
    struct path more = in_scratch("more"), both = in_scratch("both"), whole = in_scratch("both.znippy");
    make_big_tree(more.text, 3, MIB);
    make_tree(both.text);
    make_big_tree(join(both.text, "more").text, 3, MIB);
    pack(both.text, whole.text);
    pack(tree, archive);
    znippy_writer *writer = append_to(archive, NULL);
    EXPECT_OK(znippy_writer_add_tree(writer, more.text, "more", 4, &error), &error);
    finish(writer);
    same_digest(archive, whole.text);
}

static void nothing_half_done(const char *archive) {
    znippy_error *error = NULL;
    struct bytes before = read_file(archive);
    size_t names = count_names(scratch());
    znippy_writer *writer = append_to(archive, NULL);
    add_text(writer, "new", "never finished");
    znippy_writer_free(writer);
    same_file(archive, before);
    CHECK(count_names(scratch()) == names);

    writer = append_to(archive, NULL);
    znippy_entry_info meta = {.struct_size = sizeof meta, .kind = ZNIPPY_KIND_FILE, .path = "hello.txt", .path_len = 9};
    EXPECT(znippy_writer_add_buffer(writer, &meta, "x", 1, &error), ZNIPPY_E_EXISTS, &error);
    meta.path = "hello.txt/below";
    meta.path_len = strlen(meta.path);
    CHECK(znippy_writer_add_buffer(writer, &meta, "x", 1, NULL) != ZNIPPY_OK || znippy_writer_finish(writer, NULL, NULL) != ZNIPPY_OK);
    znippy_writer_free(writer);
    same_file(archive, before);
    free(before.data);
}

static void replacing(const char *archive) {
    znippy_options *options = options_with(ZNIPPY_OPT_DUPLICATE_PATHS, 1);
    struct stat before, after;
    CHECK(chmod(archive, 0600) == 0 && stat(archive, &before) == 0);
    znippy_writer *writer = append_to(archive, options);
    add_text(writer, "hello.txt", "replaced");
    finish(writer);
    znippy_options_free(options);
    CHECK(contents_are(archive, "hello.txt", "replaced"));
    CHECK(stat(archive, &after) == 0 && (after.st_mode & 07777) == 0600);
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    znippy_reader_free(reader);
}

static void refusals(const char *archive) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    struct path file = in_scratch("no archive");
    write_string(file.text, "no archive");
    EXPECT(znippy_writer_append(in_scratch("missing").text, NULL, &writer, &error), ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_writer_append(file.text, NULL, &writer, &error), ZNIPPY_E_NOT_ARCHIVE, &error);
    EXPECT(znippy_writer_append(NULL, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_append(archive, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(writer == NULL);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_tree(tree.text);
    union_of_trees(tree.text, archive.text);
    nothing_half_done(archive.text);
    replacing(archive.text);
    refusals(archive.text);
    return 0;
}
