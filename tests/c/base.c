/* Packing against a base: the tree of a full pack, from a reader that may go before the archive is packed. */
#include "harness.h"

static void digest_of(const char *archive, uint8_t digest[32]) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    EXPECT_OK(znippy_reader_tree_digest(reader, digest, &error), &error);
    znippy_reader_free(reader);
}

int main(void) {
    struct path tree = in_scratch("tree"), old = in_scratch("old.znippy"), new = in_scratch("new.znippy");
    struct path full = in_scratch("full.znippy");
    znippy_error *error = NULL;
    uint8_t digests[2][32];
    make_tree(tree.text);
    make_big_tree(join(tree.text, "big").text, 3, MIB);
    pack(tree.text, old.text);
    write_string(join(tree.text, "hello.txt").text, "something else");
    write_string(join(tree.text, "new.txt").text, "new");

    znippy_options *options = znippy_options_new();
    znippy_reader *base = open_reader(old.text);
    EXPECT_OK(znippy_options_set_base(options, base, &error), &error);
    znippy_options *copy = znippy_options_clone(options);
    znippy_reader_free(base); /* the options have references of their own */
    znippy_options_free(options);
    EXPECT_OK(znippy_compress_dir(tree.text, new.text, copy, NULL, &error), &error);
    pack(tree.text, full.text);
    digest_of(new.text, digests[0]);
    digest_of(full.text, digests[1]);
    CHECK(memcmp(digests[0], digests[1], 32) == 0);

    EXPECT(znippy_options_set_base(NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_options_set_base(copy, (const znippy_reader *)copy, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT_OK(znippy_options_set_base(copy, NULL, &error), &error);
    znippy_options_free(copy);
    return 0;
}
