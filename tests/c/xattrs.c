/* Extended attributes of entries, by number, as they were recorded. */
#include "harness.h"

#include <errno.h>
#include <sys/xattr.h>

struct xattr {
    const char *name;
    size_t name_len;
    const void *value;
    size_t value_len;
};

static struct xattr get(const znippy_reader *reader, uint64_t index, size_t number) {
    znippy_error *error = NULL;
    struct xattr xattr = {NULL, 0, NULL, 0};
    EXPECT_OK(znippy_reader_xattr(reader, index, number, &xattr.name, &xattr.name_len, &xattr.value, &xattr.value_len,
                                  &error), &error);
    return xattr;
}

static bool is(struct xattr xattr, const char *name, const void *value, size_t len) {
    bool same_name = xattr.name_len == strlen(name) && memcmp(xattr.name, name, xattr.name_len) == 0;
    return same_name && xattr.value_len == len && (len == 0 || memcmp(xattr.value, value, len) == 0);
}

/* Labels of the system may stand among them, in order of names before those of users. */
static size_t first_of_user(const znippy_reader *reader, uint64_t index, size_t count) {
    size_t number = 0;
    while (number < count && strncmp(get(reader, index, number).name, "user.", 5) != 0) {
        number++;
    }
    return number;
}

static void refusals(const znippy_reader *reader, uint64_t index, size_t count) {
    znippy_error *error = NULL;
    struct xattr x = {NULL, 0, NULL, 0};
    EXPECT(znippy_reader_xattr(reader, index, count, &x.name, &x.name_len, &x.value, &x.value_len, &error),
           ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_reader_xattr(reader, UINT64_MAX, 0, &x.name, &x.name_len, &x.value, &x.value_len, &error),
           ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_xattr(reader, index, 0, &x.name, NULL, &x.value, &x.value_len, &error), ZNIPPY_E_INVALID_ARGUMENT,
           &error);
    EXPECT(znippy_reader_xattr_count(reader, index, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_xattr_count(NULL, index, &count, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
}

int main(void) {
    znippy_error *error = NULL;
    struct path tree = in_scratch("tree"), file = join(tree.text, "file"), archive = in_scratch("archive");
    make_dir(tree.text);
    write_string(file.text, "bytes");
    write_string(join(tree.text, "plain").text, "bytes");
    if (setxattr(file.text, "user.one", "first\0value", 11, 0) != 0 || setxattr(file.text, "user.two", "", 0, 0) != 0) {
        skip(strerror(errno));
    }
    znippy_options *options = options_with(ZNIPPY_OPT_XATTRS, 1);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, options, NULL, &error), &error);
    znippy_options_free(options);

    znippy_reader *reader = open_reader(archive.text);
    uint64_t index = find(reader, "file");
    size_t count = 0, none = 1;
    EXPECT_OK(znippy_reader_xattr_count(reader, index, &count, &error), &error);
    size_t first = first_of_user(reader, index, count);
    CHECK(count == first + 2);
    CHECK(is(get(reader, index, first), "user.one", "first\0value", 11));
    CHECK(is(get(reader, index, first + 1), "user.two", NULL, 0));
    EXPECT_OK(znippy_reader_xattr_count(reader, find(reader, "plain"), &none, &error), &error);
    CHECK(none == first);
    refusals(reader, index, count);
    znippy_reader_free(reader);
    return 0;
}
