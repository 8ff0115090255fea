/* The archive is the same at every thread count, memory budget and order of creation. */
#include "harness.h"

static struct bytes packed_with(const char *tree, uint32_t key, int64_t value) {
    static int number;
    char name[32];
    znippy_error *error = NULL;
    znippy_options *options = options_with(key, value);
    snprintf(name, sizeof name, "%d.znippy", number++);
    struct path archive = in_scratch(name);
    EXPECT_OK(znippy_compress_dir(tree, archive.text, options, NULL, &error), &error);
    znippy_options_free(options);
    return read_file(archive.text);
}

static void same(struct bytes left, struct bytes right) {
    CHECK(left.len == right.len && memcmp(left.data, right.data, left.len) == 0);
    free(right.data);
}

int main(void) {
    struct path tree = in_scratch("tree");
    make_tree(tree.text);
    struct bytes one = packed_with(tree.text, ZNIPPY_OPT_THREADS, 1);
    same(one, packed_with(tree.text, ZNIPPY_OPT_THREADS, 2));
    same(one, packed_with(tree.text, ZNIPPY_OPT_THREADS, 3));
    same(one, packed_with(tree.text, ZNIPPY_OPT_THREADS, 8));
    same(one, packed_with(tree.text, ZNIPPY_OPT_MEMORY_LIMIT, 96 * MIB));
    same(one, packed_with(tree.text, ZNIPPY_OPT_MEMORY_LIMIT, (int64_t)1024 * MIB));
    free(one.data);
    return 0;
}
