/* Archives of archives: merged, below prefixes, refused by name, replaced, and from readers that are gone by then. */
#include "harness.h"

#include <unistd.h>

static znippy_writer *create(const char *archive, const znippy_options *options) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    EXPECT_OK(znippy_writer_create(archive, options, &writer, &error), &error);
    return writer;
}

static znippy_status add(znippy_writer *writer, const char *archive, const char *prefix, znippy_error **error) {
    znippy_reader *reader = open_reader(archive);
    znippy_status status = znippy_writer_add_archive(writer, reader, prefix, strlen(prefix), error);
    znippy_reader_free(reader);
    return status;
}

static void finish(znippy_writer *writer, znippy_stats *stats) {
    znippy_error *error = NULL;
    EXPECT_OK(znippy_writer_finish(writer, stats, &error), &error);
    znippy_writer_free(writer);
}

static void digest_of(const char *archive, uint8_t digest[32]) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    EXPECT_OK(znippy_reader_tree_digest(reader, digest, &error), &error);
    znippy_reader_free(reader);
}

static void same_archives(const char *left, const char *right) {
    uint8_t digests[2][32];
    digest_of(left, digests[0]);
    digest_of(right, digests[1]);
    CHECK(memcmp(digests[0], digests[1], 32) == 0);
}

static void pack_at_level(const char *tree, const char *archive, int64_t level) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_LEVEL, level);
    EXPECT_OK(znippy_compress_dir(tree, archive, options, NULL, &error), &error);
    znippy_options_free(options);
}

/* What a merge of the parts is, packed at once. */
static void union_of_trees(const char *one, const char *two, const char *out) {
    znippy_error *error = NULL;
    znippy_stats stats = {.struct_size = sizeof stats};
    struct path both = in_scratch("both"), whole = in_scratch("both.znippy");
    make_tree(both.text);
    make_big_tree(join(both.text, "more").text, 3, MIB);
    pack(both.text, whole.text);
    znippy_writer *writer = create(out, NULL);
    EXPECT_OK(add(writer, one, "", &error), &error);
    EXPECT_OK(add(writer, two, "more", &error), &error);
    finish(writer, &stats);
    same_archives(out, whole.text);
    CHECK(stats.blocks > 0 && stats.bytes_in > 3 * MIB);
}

static void the_same_bytes_at_any_threads(const char *one, const char *two, const char *out) {
    struct bytes first = {NULL, 0};
    const int64_t threads[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        znippy_error *error = NULL;
        znippy_options *options = options_with(ZNIPPY_OPT_THREADS, threads[i]);
        CHECK(unlink(out) == 0);
        znippy_writer *writer = create(out, options);
        EXPECT_OK(znippy_writer_set_repo(writer, "label", 5, &error), &error);
        EXPECT_OK(add(writer, one, "a", &error), &error);
        EXPECT_OK(add(writer, two, "b", &error), &error);
        finish(writer, NULL);
        znippy_options_free(options);
        struct bytes bytes = read_file(out);
        if (i == 0) {
            first = bytes;
            continue;
        }
        CHECK(bytes.len == first.len && memcmp(bytes.data, first.data, first.len) == 0);
        free(bytes.data);
    }
    free(first.data);
}

static void refusals(const char *one, const char *out) {
    znippy_error *error = NULL;
    CHECK(unlink(out) == 0);
    znippy_writer *writer = create(out, NULL);
    EXPECT_OK(add(writer, one, "", &error), &error);
    CHECK(add(writer, one, "", &error) == ZNIPPY_E_EXISTS);
    CHECK(znippy_error_path(error, NULL) != NULL);
    znippy_error_free(error);
    EXPECT(add(writer, one, "../out", &error), ZNIPPY_E_UNSAFE_PATH, &error);
    EXPECT(znippy_writer_add_archive(writer, NULL, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_archive(writer, (const znippy_reader *)writer, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    znippy_reader *reader = open_reader(one);
    EXPECT(znippy_writer_add_archive(NULL, reader, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_archive(writer, reader, NULL, 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    znippy_reader_free(reader);
    finish(writer, NULL);
    same_archives(one, out);
}

static void replacing(const char *one, const char *out) {
    znippy_error *error = NULL;
    struct path over = in_scratch("over"), packed = in_scratch("over.znippy");
    CHECK(unlink(out) == 0);
    make_tree(over.text);
    write_string(join(over.text, "hello.txt").text, "another hello");
    pack(over.text, packed.text);
    znippy_options *options = options_with(ZNIPPY_OPT_DUPLICATE_PATHS, 1);
    znippy_writer *writer = create(out, options);
    EXPECT_OK(add(writer, one, "", &error), &error);
    EXPECT_OK(add(writer, packed.text, "", &error), &error);
    finish(writer, NULL);
    znippy_options_free(options);
    same_archives(packed.text, out);
}

static void damage(const char *one, const char *out) {
    znippy_error *error = NULL;
    struct bytes bytes = read_file(one);
    struct path damaged = in_scratch("damaged.znippy");
    CHECK(unlink(out) == 0);
    bytes.data[20] ^= 1;
    write_file(damaged.text, bytes.data, bytes.len);
    size_t names = count_names(scratch());
    znippy_writer *writer = create(out, NULL);
    EXPECT(add(writer, damaged.text, "", &error), ZNIPPY_E_CHECKSUM, &error);
    EXPECT(znippy_writer_finish(writer, NULL, &error), ZNIPPY_E_INVALID_STATE, &error);
    znippy_writer_free(writer);
    CHECK(count_names(scratch()) == names);
    free(bytes.data);
}

int main(void) {
    struct path tree = in_scratch("tree"), more = in_scratch("more tree");
    struct path one = in_scratch("one.znippy"), two = in_scratch("two.znippy"), out = in_scratch("out.znippy");
    make_tree(tree.text);
    make_big_tree(more.text, 3, MIB);
    pack(tree.text, one.text);
    pack_at_level(more.text, two.text, 9);
    union_of_trees(one.text, two.text, out.text);
    the_same_bytes_at_any_threads(one.text, two.text, out.text);
    refusals(one.text, out.text);
    replacing(one.text, out.text);
    damage(one.text, out.text);
    return 0;
}
