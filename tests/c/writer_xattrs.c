/* Entries of a writer get extended attributes one by one, the root mode, time and attributes; a refusal changes nothing. */
#include "harness.h"

static znippy_error *error;

static znippy_entry_info meta(uint32_t kind, const char *path) {
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.kind = kind;
    info.path = path;
    info.path_len = strlen(path);
    return info;
}

static znippy_status add(znippy_writer *writer, uint32_t kind, const char *path) {
    znippy_entry_info info = meta(kind, path);
    return znippy_writer_add_buffer(writer, &info, NULL, 0, &error);
}

static znippy_status label(znippy_writer *writer, const char *name, const char *value) {
    return znippy_writer_set_xattr(writer, name, strlen(name), value, strlen(value), &error);
}

static int64_t nothing(void *user_data, void *buffer, size_t len) {
    (void)user_data, (void)buffer, (void)len;
    return 0;
}

static size_t count(const znippy_reader *reader, const char *path) {
    size_t found = 99;
    EXPECT_OK(znippy_reader_xattr_count(reader, find(reader, path), &found, &error), &error);
    return found;
}

static void has(const znippy_reader *reader, const char *path, size_t number, const char *name, const char *value) {
    const char *found = NULL;
    const void *bytes = NULL;
    size_t name_len = 0, len = 0;
    EXPECT_OK(znippy_reader_xattr(reader, find(reader, path), number, &found, &name_len, &bytes, &len, &error), &error);
    CHECK(name_len == strlen(name) && memcmp(found, name, name_len) == 0);
    CHECK(len == strlen(value) && (len == 0 || memcmp(bytes, value, len) == 0));
}

static void refusals(znippy_writer *writer, const char *tree) {
    static const char LONG[70000] = {0};
    EXPECT(label(writer, "user.one", "twice"), ZNIPPY_E_LIMIT, &error);
    EXPECT(label(writer, "", "no name"), ZNIPPY_E_LIMIT, &error);
    EXPECT(znippy_writer_set_xattr(writer, "n", 1, LONG, sizeof LONG, &error), ZNIPPY_E_LIMIT, &error);
    EXPECT(znippy_writer_set_xattr(writer, LONG, 300, "v", 1, &error), ZNIPPY_E_LIMIT, &error);
    EXPECT(znippy_writer_set_xattr(writer, NULL, 1, "v", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_set_xattr(NULL, "n", 1, "v", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    /* What was refused, a tree and a file of the host have nothing to give it to. */
    EXPECT(add(writer, ZNIPPY_KIND_FILE, "first"), ZNIPPY_E_EXISTS, &error);
    EXPECT(label(writer, "user.x", "x"), ZNIPPY_E_INVALID_STATE, &error);
    EXPECT_OK(znippy_writer_add_tree(writer, tree, "tree", 4, &error), &error);
    EXPECT(label(writer, "user.x", "x"), ZNIPPY_E_INVALID_STATE, &error);
    EXPECT_OK(znippy_writer_add_file(writer, join(tree, "file").text, "alone", 5, &error), &error);
    EXPECT(label(writer, "user.x", "x"), ZNIPPY_E_INVALID_STATE, &error);
}

int main(void) {
    struct path archive = in_scratch("archive"), tree = in_scratch("tree");
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes");
    znippy_writer *writer = NULL;
    EXPECT_OK(znippy_writer_create(archive.text, NULL, &writer, &error), &error);
    EXPECT(label(writer, "user.x", "x"), ZNIPPY_E_INVALID_STATE, &error);
    EXPECT_OK(add(writer, ZNIPPY_KIND_FILE, "first"), &error);
    EXPECT_OK(label(writer, "user.two", ""), &error);
    EXPECT_OK(label(writer, "user.one", "value"), &error);
    refusals(writer, tree.text);
    znippy_entry_info info = meta(ZNIPPY_KIND_FILE, "stream");
    znippy_stream stream = {sizeof stream, 0, NULL, nothing, NULL};
    EXPECT_OK(znippy_writer_add_stream(writer, &info, &stream, &error), &error);
    EXPECT_OK(label(writer, "user.one", "value"), &error);
    EXPECT_OK(add(writer, ZNIPPY_KIND_DIRECTORY, "directory"), &error);
    EXPECT_OK(label(writer, "system.posix_acl_default", "bytes"), &error);
    EXPECT_OK(add(writer, ZNIPPY_KIND_FILE, "plain"), &error);
    /* The root is no entry, and needs a mode. */
    EXPECT(add(writer, ZNIPPY_KIND_DIRECTORY, ""), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add(writer, ZNIPPY_KIND_FILE, ""), ZNIPPY_E_UNSAFE_PATH, &error);
    info = meta(ZNIPPY_KIND_DIRECTORY, "");
    info.mode = 0751;
    info.mtime_ns = 1234567890123456789;
    info.flags = ZNIPPY_ENTRY_HAS_MODE | ZNIPPY_ENTRY_HAS_MTIME;
    EXPECT_OK(znippy_writer_add_buffer(writer, &info, NULL, 0, &error), &error);
    EXPECT_OK(label(writer, "user.root", "yes"), &error);
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    EXPECT(label(writer, "user.x", "x"), ZNIPPY_E_INVALID_STATE, &error);
    znippy_writer_free(writer);

    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    CHECK(znippy_reader_entry_count(reader) == 7);
    CHECK(count(reader, "first") == 2 && count(reader, "plain") == 0 && count(reader, "alone") == 0);
    has(reader, "first", 0, "user.one", "value");
    has(reader, "first", 1, "user.two", "");
    CHECK(count(reader, "stream") == 1);
    has(reader, "stream", 0, "user.one", "value");
    has(reader, "directory", 0, "system.posix_acl_default", "bytes");
    const char *text = NULL;
    CHECK(znippy_reader_metadata(reader, "root_mode", &text) == ZNIPPY_OK && strcmp(text, "751") == 0);
    CHECK(znippy_reader_metadata(reader, "root_mtime_ns", &text) == ZNIPPY_OK && strcmp(text, "1234567890123456789") == 0);
    CHECK(znippy_reader_metadata(reader, "root_xattr_id", &text) == ZNIPPY_OK && text != NULL);
    znippy_reader_free(reader);
    return 0;
}
