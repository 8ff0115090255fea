/* The same archive, from a path, a descriptor, memory and callbacks, is the same archive. */
#include "harness.h"

#include <fcntl.h>
#include <unistd.h>

static int released;

static void count_release(void *user_data) {
    (void)user_data;
    released++;
}

/* Short on purpose: a host may return less than what was asked for. */
static int64_t read_a_little(void *user_data, uint64_t offset, void *buffer, size_t len) {
    const struct bytes *bytes = user_data;
    size_t rest = offset < bytes->len ? bytes->len - (size_t)offset : 0;
    size_t step = len < rest ? len : rest;
    step = step < 1000 ? step : 1000;
    memcpy(buffer, bytes->data + offset, step);
    return (int64_t)step;
}

static void from_descriptor(const char *archive, const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_reader *other = NULL;
    int fd = open(archive, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    EXPECT_OK(znippy_reader_open_fd(fd, NULL, &other, &error), &error);
    CHECK(close(fd) == 0); /* it was duplicated */
    same_entries(reader, other);
    EXPECT_OK(znippy_reader_verify(other, NULL, NULL, &error), &error);
    znippy_reader_free(other);
    CHECK(znippy_reader_open_fd(fd, NULL, &other, NULL) < 0);
    CHECK(znippy_reader_open_fd(-1, NULL, &other, NULL) < 0);
}

static void from_memory(struct bytes bytes, const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_reader *other = NULL;
    released = 0;
    EXPECT_OK(znippy_reader_open_memory(bytes.data, bytes.len, count_release, NULL, NULL, &other, &error), &error);
    same_entries(reader, other);
    EXPECT_OK(znippy_reader_verify(other, NULL, NULL, &error), &error);
    znippy_reader *second = znippy_reader_retain(other);
    znippy_reader_free(other);
    CHECK(released == 0);
    znippy_reader_free(second);
    CHECK(released == 1);
}

static void from_callbacks(struct bytes bytes, const znippy_reader *reader, uint32_t flags) {
    znippy_error *error = NULL;
    znippy_reader *other = NULL;
    znippy_source source = {sizeof source, flags, &bytes, bytes.len, read_a_little, count_release};
    released = 0;
    EXPECT_OK(znippy_reader_open_source(&source, NULL, &other, &error), &error);
    memset(&source, 0, sizeof source); /* the table was copied */
    same_entries(reader, other);
    EXPECT_OK(znippy_reader_verify(other, NULL, NULL, &error), &error);
    znippy_reader_free(other);
    CHECK(released == 1);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    struct bytes bytes = read_file(archive.text);
    from_descriptor(archive.text, reader);
    from_memory(bytes, reader);
    from_callbacks(bytes, reader, 0);
    from_callbacks(bytes, reader, ZNIPPY_SOURCE_CONCURRENT);
    znippy_reader_free(reader);
    free(bytes.data);
    return 0;
}
