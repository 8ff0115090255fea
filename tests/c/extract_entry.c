/* Each entry extracted alone is what it is in the whole tree, under the name that was asked for. */
#include "harness.h"

#include <sys/stat.h>

static void same_status(const char *left, const char *right) {
    struct stat one, two;
    CHECK(lstat(left, &one) == 0 && lstat(right, &two) == 0);
    CHECK(one.st_mode == two.st_mode);
    CHECK(one.st_mtim.tv_sec == two.st_mtim.tv_sec && one.st_mtim.tv_nsec == two.st_mtim.tv_nsec);
    if (S_ISREG(one.st_mode)) {
        struct bytes want = read_file(left), got = read_file(right);
        CHECK(want.len == got.len && (want.len == 0 || memcmp(want.data, got.data, want.len) == 0));
        free(want.data);
        free(got.data);
    }
}

static void all(const znippy_reader *reader, const char *tree, const char *directory) {
    znippy_error *error = NULL;
    znippy_listing *listing = list_all(reader);
    for (size_t i = 0; i < znippy_listing_count(listing); i++) {
        znippy_entry_info entry = entry_at(listing, i);
        char name[32];
        snprintf(name, sizeof name, "entry-%zu", i);
        struct path place = join(directory, name);
        EXPECT_OK(znippy_reader_extract(reader, entry.index, place.text, NULL, &error), &error);
        same_status(join(tree, entry.path).text, place.text);
        EXPECT(znippy_reader_extract(reader, entry.index, place.text, NULL, &error), ZNIPPY_E_EXISTS, &error);
    }
    CHECK(count_names(directory) == znippy_listing_count(listing));
    znippy_listing_free(listing);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), out = in_scratch("out");
    struct path back = in_scratch("back");
    znippy_error *error = NULL;
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    /* Compared with what came back as a whole: set-user-id bits come back in neither. */
    EXPECT_OK(znippy_reader_extract_all(reader, back.text, NULL, NULL, &error), &error);
    make_dir(out.text);
    all(reader, back.text, out.text);
    uint64_t hello = find(reader, "hello.txt"), count = znippy_reader_entry_count(reader);
    EXPECT(znippy_reader_extract(reader, count, join(out.text, "x").text, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT,
           &error);
    EXPECT(znippy_reader_extract(reader, hello, join(out.text, "no/x").text, NULL, &error), ZNIPPY_E_NOT_FOUND,
           &error);
    EXPECT(znippy_reader_extract(reader, hello, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_extract(NULL, hello, "x", NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    znippy_reader_free(reader);
    return 0;
}
