/* A writer takes buffers, streams, files, trees and links into one archive, refuses what it must, and goes on. */
#include "harness.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

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

static znippy_status add(znippy_writer *writer, const char *path, const char *text) {
    znippy_entry_info info = meta(ZNIPPY_KIND_FILE, path);
    return znippy_writer_add_buffer(writer, &info, text, strlen(text), &error);
}

static znippy_status add_link(znippy_writer *writer, uint32_t kind, const char *path, const char *target) {
    znippy_entry_info info = meta(kind, path);
    info.link_target = target;
    info.link_target_len = strlen(target);
    return znippy_writer_add_buffer(writer, &info, NULL, 0, &error);
}

struct stream {
    struct bytes bytes;
    size_t given, most;
    int64_t fails_at_end;
    int released;
};

static int64_t read_some(void *user_data, void *buffer, size_t len) {
    struct stream *stream = user_data;
    size_t left = stream->bytes.len - stream->given;
    size_t some = left < len ? left : len;
    if (some > stream->most) {
        some = stream->most;
    }
    if (some == 0) {
        return stream->fails_at_end;
    }
    memcpy(buffer, stream->bytes.data + stream->given, some);
    stream->given += some;
    return (int64_t)some;
}

static void release(void *user_data) {
    ((struct stream *)user_data)->released++;
}

static znippy_status add_stream(znippy_writer *writer, const char *path, struct stream *stream) {
    znippy_stream table = {sizeof table, 0, stream, read_some, release};
    znippy_entry_info info = meta(ZNIPPY_KIND_FILE, path);
    stream->given = 0;
    stream->released = 0;
    znippy_status status = znippy_writer_add_stream(writer, &info, &table, &error);
    CHECK(stream->released == 1);
    return status;
}

static znippy_writer *create(const char *path, const znippy_options *options) {
    znippy_writer *writer = NULL;
    EXPECT_OK(znippy_writer_create(path, options, &writer, &error), &error);
    return writer;
}

static void same_file(const znippy_reader *reader, const char *path, const void *data, size_t len) {
    znippy_buffer buffer = {NULL, 0, 0};
    EXPECT_OK(znippy_reader_read(reader, find(reader, path), NULL, &buffer, &error), &error);
    CHECK(buffer.len == len && (len == 0 || memcmp(buffer.data, data, len) == 0));
    znippy_buffer_free(&buffer);
}

static znippy_entry_info entry(const znippy_reader *reader, const char *path) {
    znippy_listing *listing = NULL;
    EXPECT_OK(znippy_reader_list(reader, find(reader, path), 1, &listing, &error), &error);
    znippy_entry_info info = entry_at(listing, 0);
    info.path = info.link_target = NULL; /* they go with the listing */
    znippy_listing_free(listing);
    return info;
}

static void everything(const char *tree) {
    struct path archive = in_scratch("all.znippy");
    struct stream stream = {text_bytes(9 * MIB + 5, 4), 0, 100000, 0, 0};
    znippy_writer *writer = create(archive.text, NULL);
    znippy_entry_info info = meta(ZNIPPY_KIND_FILE, "dir/with");
    info.mode = 0640;
    info.mtime_ns = -5;
    info.uid = 7;
    info.flags = ZNIPPY_ENTRY_HAS_MODE | ZNIPPY_ENTRY_HAS_MTIME | ZNIPPY_ENTRY_HAS_UID;
    EXPECT_OK(znippy_writer_add_buffer(writer, &info, "bytes", 5, &error), &error);
    EXPECT_OK(add(writer, "dir/without", ""), &error);
    EXPECT_OK(add_stream(writer, "stream", &stream), &error);
    EXPECT_OK(znippy_writer_add_tree(writer, tree, "tree", 4, &error), &error);
    EXPECT_OK(znippy_writer_add_file(writer, join(tree, "file").text, "alone", 5, &error), &error);
    /* The first name in order of paths is the file, whichever was added first. */
    EXPECT_OK(add_link(writer, ZNIPPY_KIND_HARDLINK, "a-name", "dir/with"), &error);
    EXPECT_OK(add_link(writer, ZNIPPY_KIND_HARDLINK, "z-name", "a-name"), &error);
    EXPECT_OK(add_link(writer, ZNIPPY_KIND_SYMLINK, "symlink", "../anywhere"), &error);
    info = meta(ZNIPPY_KIND_DIRECTORY, "empty");
    EXPECT_OK(znippy_writer_add_buffer(writer, &info, NULL, 0, &error), &error);
    info = meta(ZNIPPY_KIND_FIFO, "fifo");
    EXPECT_OK(znippy_writer_add_buffer(writer, &info, NULL, 0, &error), &error);
    info = meta(ZNIPPY_KIND_CHAR_DEVICE, "device");
    info.rdev = 0x105;
    info.flags = ZNIPPY_ENTRY_HAS_RDEV;
    EXPECT_OK(znippy_writer_add_buffer(writer, &info, NULL, 0, &error), &error);
    znippy_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(znippy_writer_finish(writer, &stats, &error), &error);
    CHECK(stats.files == 5 && stats.hardlinks == 2 && stats.symlinks == 1 && stats.specials == 2);
    EXPECT(znippy_writer_finish(writer, NULL, &error), ZNIPPY_E_INVALID_STATE, &error);
    EXPECT(add(writer, "late", "late"), ZNIPPY_E_INVALID_STATE, &error);
    znippy_writer_free(writer);

    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    CHECK(znippy_reader_entry_count(reader) == 12);
    same_file(reader, "dir/with", "bytes", 5);
    same_file(reader, "a-name", "bytes", 5);
    same_file(reader, "z-name", "bytes", 5);
    same_file(reader, "dir/without", "", 0);
    same_file(reader, "stream", stream.bytes.data, stream.bytes.len);
    same_file(reader, "tree/file", "in the tree\n", 12);
    same_file(reader, "alone", "in the tree\n", 12);
    info = entry(reader, "a-name");
    CHECK(info.kind == ZNIPPY_KIND_FILE && info.mode == 0640 && info.mtime_ns == -5 && info.uid == 7);
    CHECK((info.flags & (ZNIPPY_ENTRY_HAS_GID | ZNIPPY_ENTRY_HAS_MODE)) == ZNIPPY_ENTRY_HAS_MODE);
    CHECK(entry(reader, "dir/with").kind == ZNIPPY_KIND_HARDLINK && entry(reader, "z-name").kind == ZNIPPY_KIND_HARDLINK);
    CHECK((entry(reader, "stream").flags & (ZNIPPY_ENTRY_HAS_MODE | ZNIPPY_ENTRY_HAS_MTIME)) == 0);
    CHECK(entry(reader, "device").rdev == 0x105 && entry(reader, "tree").kind == ZNIPPY_KIND_DIRECTORY);
    CHECK(entry(reader, "symlink").link_target_len == strlen("../anywhere"));
    znippy_reader_free(reader);
    free(stream.bytes.data);
}

static void refusals_leave_it_usable(const char *tree) {
    struct path archive = in_scratch("refusals.znippy"), gone = in_scratch("gone");
    struct stream stream = {text_bytes(6 * MIB, 4), 0, MIB, ZNIPPY_E_PERMISSION, 0};
    znippy_writer *writer = create(archive.text, NULL);
    znippy_entry_info bad = meta(ZNIPPY_KIND_FILE, "x");
    EXPECT_OK(add(writer, "a/b", "first"), &error);
    EXPECT(add(writer, "a/b", "second"), ZNIPPY_E_EXISTS, &error);
    EXPECT(add(writer, "a", "below it is a/b"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add(writer, "a/b/c", "below a file"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add(writer, "a/b/c/d", "below a file"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add(writer, "../x", "x"), ZNIPPY_E_UNSAFE_PATH, &error);
    EXPECT(add(writer, "", "x"), ZNIPPY_E_UNSAFE_PATH, &error);
    EXPECT(add_link(writer, ZNIPPY_KIND_HARDLINK, "x", "nowhere"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add_link(writer, ZNIPPY_KIND_FILE, "x", "target"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add_link(writer, ZNIPPY_KIND_SYMLINK, "x", ""), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add_link(writer, 99, "x", ""), ZNIPPY_E_UNSUPPORTED, &error);
    bad.kind = ZNIPPY_KIND_DIRECTORY;
    EXPECT(znippy_writer_add_buffer(writer, &bad, "x", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    bad.kind = ZNIPPY_KIND_BLOCK_DEVICE;
    EXPECT(znippy_writer_add_buffer(writer, &bad, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    bad.kind = ZNIPPY_KIND_FILE;
    bad.flags = 1u << 31;
    EXPECT(znippy_writer_add_buffer(writer, &bad, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    bad.flags = ZNIPPY_ENTRY_HAS_MODE;
    bad.mode = 010000;
    EXPECT(znippy_writer_add_buffer(writer, &bad, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    bad.struct_size = 8;
    EXPECT(znippy_writer_add_buffer(writer, &bad, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_file(writer, gone.text, "x", 1, &error), ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_writer_add_file(writer, tree, "x", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_file(writer, "/dev/null", "x", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_tree(writer, gone.text, "x", 1, &error), ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_writer_add_tree(writer, tree, "a/b", 3, &error), ZNIPPY_E_EXISTS, &error);
    EXPECT(znippy_writer_add_tree(writer, tree, "a/b/c", 5, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    /* A stream that fails at its end, when most of it is on its way already; then the same path again. */
    EXPECT(add_stream(writer, "stream", &stream), ZNIPPY_E_PERMISSION, &error);
    stream.fails_at_end = 12345;
    stream.most = 100;
    EXPECT(add_stream(writer, "x", &stream), ZNIPPY_E_CALLBACK, &error);
    stream.fails_at_end = 0;
    EXPECT_OK(add_stream(writer, "stream", &stream), &error);
    EXPECT_OK(add(writer, "x", "free after all"), &error);
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    znippy_writer_free(writer);
    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    CHECK(znippy_reader_entry_count(reader) == 3);
    same_file(reader, "a/b", "first", 5);
    same_file(reader, "stream", stream.bytes.data, stream.bytes.len);
    znippy_reader_free(reader);
    free(stream.bytes.data);
}

static void later_ones_replace_earlier_ones(const char *tree) {
    struct path archive = in_scratch("replaced.znippy");
    znippy_options *options = options_with(ZNIPPY_OPT_DUPLICATE_PATHS, 1);
    znippy_writer *writer = create(archive.text, options);
    znippy_options_free(options);
    EXPECT_OK(add(writer, "a", "old"), &error);
    EXPECT_OK(add_link(writer, ZNIPPY_KIND_HARDLINK, "b", "a"), &error);
    EXPECT_OK(add_link(writer, ZNIPPY_KIND_HARDLINK, "c", "b"), &error);
    EXPECT_OK(add(writer, "a", "new"), &error); /* b and c keep the old bytes */
    EXPECT_OK(add(writer, "t/file", "covered"), &error);
    EXPECT_OK(znippy_writer_add_tree(writer, tree, "t", 1, &error), &error);
    EXPECT_OK(znippy_writer_add_tree(writer, tree, "t", 1, &error), &error);
    EXPECT_OK(add(writer, "t/file", "again"), &error);
    EXPECT(add(writer, "t", "not over a directory with entries"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    znippy_writer_free(writer);
    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    CHECK(znippy_reader_entry_count(reader) == 5);
    same_file(reader, "a", "new", 3);
    same_file(reader, "b", "old", 3);
    same_file(reader, "c", "old", 3);
    same_file(reader, "t/file", "again", 5);
    CHECK(entry(reader, "b").kind == ZNIPPY_KIND_FILE && entry(reader, "c").kind == ZNIPPY_KIND_HARDLINK);
    znippy_reader_free(reader);
}

/* With or without threads, with or without a name that exists already. */
static void freed_without_finish_it_leaves_nothing(const char *tree) {
    size_t names = count_names(scratch()), threads = count_threads(1), fds = count_names("/proc/self/fd");
    struct bytes noise = random_bytes(30 * MIB, 1);
    for (int with = 0; with < 3; with++) {
        znippy_writer *writer = create(in_scratch("never.znippy").text, NULL);
        znippy_entry_info info = meta(ZNIPPY_KIND_FILE, "noise");
        if (with > 0) {
            EXPECT_OK(znippy_writer_add_buffer(writer, &info, noise.data, noise.len, &error), &error);
            CHECK(count_threads(SIZE_MAX) > threads);
        }
        if (with > 1) {
            EXPECT_OK(znippy_writer_add_tree(writer, tree, NULL, 0, &error), &error);
        }
        znippy_writer_free(writer);
        CHECK(count_names(scratch()) == names && count_threads(threads) <= threads);
        CHECK(count_names("/proc/self/fd") == fds);
    }
    free(noise.data);
}

static void *finish_elsewhere(void *writer) {
    znippy_error *mine = NULL;
    EXPECT_OK(znippy_writer_finish(writer, NULL, &mine), &mine);
    znippy_writer_free(writer);
    return NULL;
}

static void it_moves_between_threads(void) {
    pthread_t thread;
    znippy_writer *writer = create(in_scratch("moved.znippy").text, NULL);
    EXPECT_OK(add(writer, "a", "from here"), &error);
    CHECK(pthread_create(&thread, NULL, finish_elsewhere, writer) == 0 && pthread_join(thread, NULL) == 0);
    znippy_reader_free(open_reader(in_scratch("moved.znippy").text));
}

static void null_and_nothing(void) {
    znippy_writer *writer = NULL;
    znippy_writer_free(NULL);
    EXPECT(znippy_writer_create(NULL, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_create("x", NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_create_sink(NULL, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(add(NULL, "x", "x"), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_tree(NULL, "x", NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_file(NULL, "x", "x", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_finish(NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    struct stream stream = {{NULL, 0}, 0, 1, 0, 0};
    EXPECT(add_stream(NULL, "x", &stream), ZNIPPY_E_INVALID_ARGUMENT, &error); /* released all the same */
    writer = create(in_scratch("empty.znippy").text, NULL);
    EXPECT(znippy_writer_add_buffer(writer, NULL, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_stream(writer, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_writer_add_tree(writer, NULL, NULL, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    znippy_writer_free(writer);
    znippy_reader *reader = open_reader(in_scratch("empty.znippy").text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    CHECK(znippy_reader_entry_count(reader) == 0);
    znippy_reader_free(reader);
}

int main(void) {
    struct path tree = in_scratch("tree");
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "in the tree\n");
    everything(tree.text);
    refusals_leave_it_usable(tree.text);
    later_ones_replace_earlier_ones(tree.text);
    freed_without_finish_it_leaves_nothing(tree.text);
    it_moves_between_threads();
    null_and_nothing();
    return 0;
}
