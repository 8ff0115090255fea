/* A sink gets the bytes of the file, in order and in bounded pieces; where it fails, the archive ends with it. */
#include "harness.h"

#include <unistd.h>

struct sink {
    struct bytes taken;
    size_t room, most, fails_at, longest;
    int64_t failure;
    int32_t finish_failure;
    int finished, released;
    znippy_cancel *cancel; /* triggered where it fails */
};

static int64_t take(void *user_data, const void *data, size_t len) {
    struct sink *sink = user_data;
    size_t some = len < sink->most ? len : sink->most;
    CHECK(len > 0 && sink->finished == 0 && sink->released == 0);
    sink->longest = len > sink->longest ? len : sink->longest;
    if (sink->fails_at < sink->taken.len + some) {
        znippy_cancel_trigger(sink->cancel);
        if (!sink->cancel) {
            return sink->failure;
        }
    }
    if (sink->taken.len + some > sink->room) {
        sink->room = 2 * (sink->taken.len + some);
        sink->taken.data = realloc(sink->taken.data, sink->room);
        CHECK(sink->taken.data != NULL);
    }
    memcpy(sink->taken.data + sink->taken.len, data, some);
    sink->taken.len += some;
    return (int64_t)some;
}

static int32_t end(void *user_data) {
    struct sink *sink = user_data;
    sink->finished++;
    return sink->finish_failure;
}

static void release(void *user_data) {
    ((struct sink *)user_data)->released++;
}

static struct sink good(void) {
    struct sink sink;
    memset(&sink, 0, sizeof sink);
    sink.most = sink.fails_at = SIZE_MAX;
    return sink;
}

/* Adds the tree and finishes; the first status that isn't ZNIPPY_OK, and no thread is left then. */
static znippy_status pack_into(struct sink *sink, const char *tree, const znippy_options *options) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    znippy_sink table = {sizeof table, 0, sink, take, end, release};
    size_t threads = count_threads(SIZE_MAX);
    EXPECT_OK(znippy_writer_create_sink(&table, options, &writer, &error), &error);
    znippy_error *late = NULL;
    znippy_status status = znippy_writer_add_tree(writer, tree, NULL, 0, &error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, NULL, &error);
    }
    CHECK((status == ZNIPPY_OK) == (error == NULL));
    znippy_error_free(error);
    CHECK(count_threads(threads) <= threads);
    if (status != ZNIPPY_OK) {
        EXPECT(znippy_writer_finish(writer, NULL, &late), ZNIPPY_E_INVALID_STATE, &late);
    }
    CHECK(sink->finished == (status == ZNIPPY_OK || sink->finish_failure != 0));
    znippy_writer_free(writer);
    CHECK(sink->released == 1);
    return status;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    size_t names;
    make_tree(tree.text);
    make_big_tree(join(tree.text, "big").text, 2, 9 * MIB);
    pack(tree.text, archive.text);
    struct bytes file = read_file(archive.text);
    names = count_names(scratch());

    struct sink sink = good();
    CHECK(pack_into(&sink, tree.text, NULL) == ZNIPPY_OK);
    CHECK(sink.taken.len == file.len && memcmp(sink.taken.data, file.data, file.len) == 0);
    CHECK(sink.longest == MIB);
    free(sink.taken.data);

    sink = good();
    sink.most = 7777;
    CHECK(pack_into(&sink, tree.text, NULL) == ZNIPPY_OK);
    CHECK(sink.taken.len == file.len && memcmp(sink.taken.data, file.data, file.len) == 0);
    free(sink.taken.data);

    /* At the first byte, in the payload, in the index, and at the last byte. */
    const size_t places[] = {0, 15, 16, file.len / 2, file.len - 5000, file.len - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        sink = good();
        sink.fails_at = places[i];
        sink.failure = i % 2 == 0 ? ZNIPPY_E_NO_SPACE : -77777;
        CHECK(pack_into(&sink, tree.text, NULL) == (i % 2 == 0 ? ZNIPPY_E_NO_SPACE : ZNIPPY_E_CALLBACK));
        CHECK(sink.taken.len <= places[i]);
        free(sink.taken.data);
    }

    sink = good();
    sink.most = 0; /* takes nothing, and says so */
    CHECK(pack_into(&sink, tree.text, NULL) == ZNIPPY_E_CALLBACK);
    free(sink.taken.data);
    sink = good();
    sink.finish_failure = ZNIPPY_E_PERMISSION;
    CHECK(pack_into(&sink, tree.text, NULL) == ZNIPPY_E_PERMISSION);
    free(sink.taken.data);

    /* A cancel while the sink is busy is seen when it comes back. */
    sink = good();
    sink.fails_at = file.len / 2;
    sink.cancel = znippy_cancel_new();
    znippy_options *options = znippy_options_new();
    znippy_options_set_cancel(options, sink.cancel);
    CHECK(pack_into(&sink, tree.text, options) == ZNIPPY_E_CANCELLED);
    CHECK(sink.taken.len <= file.len / 2 + MIB);
    znippy_options_free(options);
    znippy_cancel_free(sink.cancel);
    free(sink.taken.data);

    /* Tables that are refused are released, once their size is known. */
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    sink = good();
    znippy_sink table = {sizeof table, 1, &sink, take, end, release};
    EXPECT(znippy_writer_create_sink(&table, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(sink.released == 1);
    table.flags = 0;
    table.write = NULL;
    EXPECT(znippy_writer_create_sink(&table, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(sink.released == 2);
    table.write = take;
    table.struct_size--;
    EXPECT(znippy_writer_create_sink(&table, NULL, &writer, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    table.struct_size++;
    EXPECT(znippy_writer_create_sink(&table, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(sink.released == 3 && writer == NULL);
    EXPECT_OK(znippy_writer_create_sink(&table, NULL, &writer, &error), &error);
    znippy_writer_free(writer); /* never called, released */
    CHECK(sink.released == 4 && sink.taken.len == 0);

    CHECK(count_names(scratch()) == names);
    free(file.data);
    return 0;
}
