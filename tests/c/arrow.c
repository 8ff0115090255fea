/* The index as an Arrow stream: whole, typed, shared by threads, failing cleanly, and freed exactly once. */
#include <errno.h>
#include <pthread.h>

#include "harness.h"
#include "znippy/arrow_abi.h"

_Static_assert(sizeof(struct ArrowSchema) == 72, "as the specification lays it out");
_Static_assert(sizeof(struct ArrowArray) == 80, "as the specification lays it out");
_Static_assert(sizeof(struct ArrowArrayStream) == 40, "as the specification lays it out");

static struct ArrowArrayStream export(const znippy_reader *reader) {
    znippy_error *error = NULL;
    struct ArrowArrayStream stream;
    memset(&stream, 0xEE, sizeof stream); /* what was there before doesn't matter */
    EXPECT_OK(znippy_reader_export_index(reader, NULL, &stream, &error), &error);
    CHECK(stream.release != NULL && stream.get_last_error(&stream) == NULL);
    return stream;
}

static int64_t column(const struct ArrowSchema *schema, const char *name) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, name) == 0) {
            return i;
        }
    }
    CHECK(!"the column is there");
    return -1;
}

static void schemas(const znippy_reader *reader) {
    znippy_error *error = NULL;
    struct ArrowSchema schema, of_stream;
    EXPECT_OK(znippy_reader_export_schema(reader, &schema, &error), &error);
    struct ArrowArrayStream stream = export(reader);
    CHECK(stream.get_schema(&stream, &of_stream) == 0);
    CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == of_stream.n_children && schema.metadata != NULL);
    for (int64_t i = 0; i < schema.n_children; i++) {
        const struct ArrowSchema *left = schema.children[i], *right = of_stream.children[i];
        CHECK(strcmp(left->name, right->name) == 0 && strcmp(left->format, right->format) == 0);
    }
    const struct ArrowSchema *path = schema.children[column(&schema, "relative_path")];
    const struct ArrowSchema *mode = schema.children[column(&schema, "mode")];
    CHECK(strcmp(path->format, "u") == 0 && !(path->flags & ARROW_FLAG_NULLABLE));
    CHECK(strcmp(mode->format, "I") == 0 && (mode->flags & ARROW_FLAG_NULLABLE));
    stream.release(&stream);
    of_stream.release(&of_stream);
    schema.release(&schema);
    CHECK(stream.release == NULL && schema.release == NULL && of_stream.release == NULL);
    CHECK(stream.private_data == NULL);
}

/* Entries in a stream, which are the rows with chunk_seq 0, and the rows themselves. */
struct count {
    int64_t entries, rows, batches;
};

static void count_batch(struct count *count, struct ArrowArray *batch, int64_t chunk_seq) {
    const struct ArrowArray *values = batch->children[chunk_seq];
    const uint32_t *numbers = (const uint32_t *)values->buffers[1] + values->offset;
    for (int64_t i = 0; i < batch->length; i++) {
        count->entries += numbers[i] == 0;
    }
    count->rows += batch->length;
    count->batches++;
    batch->release(batch);
    CHECK(batch->release == NULL);
}

static struct count drain(struct ArrowArrayStream *stream) {
    struct ArrowSchema schema;
    struct ArrowArray batch;
    struct count count = {0, 0, 0};
    CHECK(stream->get_schema(stream, &schema) == 0);
    int64_t chunk_seq = column(&schema, "chunk_seq");
    schema.release(&schema);
    while (CHECK(stream->get_next(stream, &batch) == 0), batch.release != NULL) {
        count_batch(&count, &batch, chunk_seq);
    }
    CHECK(stream->get_next(stream, &batch) == 0 && batch.release == NULL); /* the end stays */
    return count;
}

static void same_paths(const znippy_reader *reader, const struct ArrowArray *batch, const struct ArrowSchema *schema) {
    znippy_listing *listing = list_all(reader);
    const struct ArrowArray *paths = batch->children[column(schema, "relative_path")];
    const struct ArrowArray *numbers = batch->children[column(schema, "chunk_seq")];
    const int32_t *ends = (const int32_t *)paths->buffers[1] + paths->offset;
    const char *text = paths->buffers[2];
    size_t entry = 0;
    for (int64_t i = 0; i < batch->length; i++) {
        if (((const uint32_t *)numbers->buffers[1])[numbers->offset + i] != 0) {
            continue;
        }
        znippy_entry_info info = entry_at(listing, entry++);
        size_t len = (size_t)(ends[i + 1] - ends[i]);
        bool escaped = strstr(info.path, "\xe9") != NULL; /* not UTF-8: relative_path is an escape */
        CHECK(escaped || (len == info.path_len && memcmp(text + ends[i], info.path, len) == 0));
    }
    CHECK(entry == znippy_listing_count(listing));
    znippy_listing_free(listing);
}

static void rows_are_the_listing(const znippy_reader *reader) {
    struct ArrowArrayStream stream = export(reader);
    struct ArrowSchema schema;
    struct ArrowArray batch;
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_next(&stream, &batch) == 0);
    stream.release(&stream); /* batches outlive their stream */
    same_paths(reader, &batch, &schema);
    batch.release(&batch);
    schema.release(&schema);
}

struct shared {
    struct ArrowArrayStream *stream;
    struct count count;
};

static void *drain_shared(void *argument) {
    struct shared *shared = argument;
    shared->count = drain(shared->stream);
    return NULL;
}

/* Two threads on one stream get each batch once. */
static void one_stream_two_threads(const znippy_reader *reader, struct count whole) {
    struct ArrowArrayStream stream = export(reader);
    struct shared shared[2] = {{&stream, {0, 0, 0}}, {&stream, {0, 0, 0}}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, drain_shared, &shared[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(shared[0].count.rows + shared[1].count.rows == whole.rows);
    CHECK(shared[0].count.batches + shared[1].count.batches == whole.batches);
    stream.release(&stream);
}

static void null_arguments(const znippy_reader *reader) {
    znippy_error *error = NULL;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    EXPECT(znippy_reader_export_schema(NULL, &schema, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_export_schema(reader, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_export_index(NULL, NULL, &stream, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_export_index(reader, NULL, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(znippy_reader_export_index(reader, NULL, NULL, NULL) == ZNIPPY_E_INVALID_ARGUMENT);
    stream = export(reader);
    CHECK(stream.get_schema(&stream, NULL) == EINVAL && strcmp(stream.get_last_error(&stream), "schema_out is NULL") == 0);
    stream.release(&stream);
    stream = export(reader);
    CHECK(stream.get_next(&stream, NULL) == EINVAL && stream.get_last_error(&stream) != NULL);
    stream.release(&stream);
}

static void cancelled(const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_options *options = znippy_options_new();
    znippy_cancel *cancel = znippy_cancel_new();
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    znippy_options_set_cancel(options, cancel);
    EXPECT_OK(znippy_reader_export_index(reader, options, &stream, &error), &error);
    znippy_options_free(options);
    znippy_cancel_trigger(cancel);
    znippy_cancel_free(cancel);
    CHECK(stream.get_next(&stream, &batch) == ECANCELED && stream.get_last_error(&stream) != NULL);
    CHECK(stream.get_next(&stream, &batch) == ECANCELED);
    stream.release(&stream);
}

/* A source whose callback pulls the stream that it serves, and one that fails from some moment on. */
struct odd_source {
    struct bytes archive;
    struct ArrowArrayStream *stream;
    int answer, released;
    bool failing;
};

static int64_t odd_read_at(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct odd_source *source = user_data;
    struct ArrowArray batch;
    if (source->failing) {
        return ZNIPPY_E_NO_SPACE;
    }
    if (source->stream != NULL) {
        source->answer = source->stream->get_next(source->stream, &batch);
    }
    memcpy(buffer, source->archive.data + offset, len);
    return (int64_t)len;
}

static void odd_release(void *user_data) {
    ((struct odd_source *)user_data)->released++;
}

/* Opening reads the last 64 KiB, which serve later reads too; the index of this archive is longer. */
static void odd_sources(const char *archive) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    struct odd_source source = {.archive = read_file(archive)};
    znippy_source table = {.struct_size = sizeof table, .user_data = &source, .size = source.archive.len,
                           .read_at = odd_read_at, .release = odd_release};
    EXPECT_OK(znippy_reader_open_source(&table, NULL, &reader, &error), &error);
    struct ArrowArrayStream stream = export(reader), other = export(reader);
    struct ArrowArray batch;
    znippy_reader_free(reader);
    CHECK(source.released == 0); /* the streams outlive the reader */

    source.stream = &stream;
    CHECK(stream.get_next(&stream, &batch) == 0 && batch.release != NULL);
    CHECK(source.answer == EBUSY && stream.get_last_error(&stream) == NULL);
    batch.release(&batch);
    source.stream = NULL;
    source.failing = true;
    CHECK(stream.get_next(&stream, &batch) == EIO);
    CHECK(stream.get_last_error(&stream)[0] != '\0');
    source.failing = false;
    CHECK(stream.get_next(&stream, &batch) == EIO); /* failed for good */
    CHECK(drain(&other).batches > 1);               /* the other one is not */
    stream.release(&stream);
    CHECK(source.released == 0);
    other.release(&other);
    CHECK(source.released == 1);
    free(source.archive.data);
}

/* More rows than a segment has, with names that don't compress to nothing. */
static void make_wide_tree(const char *tree) {
    make_dir(tree);
    for (uint32_t i = 0; i < 10500; i++) {
        struct bytes noise = random_bytes(40, i);
        char name[96];
        for (size_t j = 0; j < noise.len; j++) {
            snprintf(name + 2 * j, 3, "%02x", noise.data[j]);
        }
        write_file(join(tree, name).text, noise.data, noise.len);
        free(noise.data);
    }
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    struct path wide = in_scratch("wide"), wide_archive = in_scratch("wide.znippy");
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    schemas(reader);
    rows_are_the_listing(reader);
    null_arguments(reader);
    cancelled(reader);
    znippy_reader_free(reader);

    make_wide_tree(wide.text);
    pack(wide.text, wide_archive.text);
    reader = open_reader(wide_archive.text);
    struct ArrowArrayStream stream = export(reader);
    struct count whole = drain(&stream);
    stream.release(&stream);
    CHECK(whole.entries == (int64_t)znippy_reader_entry_count(reader) && whole.batches == 2);
    one_stream_two_threads(reader, whole);
    znippy_reader_free(reader);
    odd_sources(wide_archive.text);
    return 0;
}
