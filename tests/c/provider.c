/* Metadata providers: values in the index, turns, errors that name provider and file, and user data given back once. */
#include "harness.h"

#include <pthread.h>
#include <unistd.h>

#include "znippy/arrow_abi.h"

enum { FILES = 40 };

struct host {
    pthread_mutex_t lock;
    int inside, most, calls, released;
    const char *fails; /* on this path */
    int32_t answer;    /* with this */
};

static int32_t wants(void *user_data, const char *path, size_t path_len, uint64_t size) {
    (void)user_data;
    CHECK(strlen(path) == path_len);
    return size > 0 && strcmp(path + path_len - 4, ".txt") == 0;
}

static void enter(struct host *host, int step) {
    pthread_mutex_lock(&host->lock);
    host->inside += step;
    host->calls += step > 0;
    host->most = host->inside > host->most ? host->inside : host->most;
    pthread_mutex_unlock(&host->lock);
}

/* Column 0: bytes of the file; 1: its path; 2: half of its bytes; 3: its first byte. */
static int32_t extract(void *user_data, const char *path, size_t path_len, const uint8_t *data, size_t data_len,
                       znippy_row *row) {
    struct host *host = user_data;
    enter(host, 1);
    usleep(2000);
    CHECK(znippy_row_set_i64(row, 0, (int64_t)data_len) == ZNIPPY_OK);
    CHECK(znippy_row_set_bytes(row, 1, path, path_len) == ZNIPPY_OK);
    CHECK(znippy_row_set_f64(row, 2, (double)data_len / 2) == ZNIPPY_OK);
    CHECK(znippy_row_set_bytes(row, 3, data, 1) == ZNIPPY_OK);
    /* Columns out of range, of another type, text that is none, and no row at all. */
    CHECK(znippy_row_set_i64(row, 4, 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_i64(row, SIZE_MAX, 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_null(row, 4) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_i64(row, 1, 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_f64(row, 0, 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_bytes(row, 2, "x", 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_bytes(row, 1, "\xFF", 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_bytes(row, 1, NULL, 1) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_bytes(row, 3, data, SIZE_MAX) == ZNIPPY_E_INVALID_ARGUMENT);
    CHECK(znippy_row_set_null(NULL, 0) == ZNIPPY_E_INVALID_ARGUMENT);
    enter(host, -1);
    if (host->fails != NULL && strcmp(path, host->fails) == 0) {
        return host->answer;
    }
    return data[0] != 'n';
}

static void release(void *user_data) {
    ((struct host *)user_data)->released++;
}

static znippy_provider table(struct host *host, uint32_t flags) {
    static const znippy_column COLUMNS[] = {
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_INT64, "length", 0, 0},
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_UTF8, "own_path", 0, 0},
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_FLOAT64, "half", 0, 0},
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_BINARY, "first", 0, 0},
    };
    znippy_provider provider = {
        .struct_size = sizeof provider,
        .flags = flags,
        .user_data = host,
        .name = "lengths",
        .pkg_type = 42,
        .columns = COLUMNS,
        .column_count = 4,
        .wants = wants,
        .extract = extract,
        .release = release,
    };
    memset(host, 0, sizeof *host);
    pthread_mutex_init(&host->lock, NULL);
    return provider;
}

static void make_files(const char *tree) {
    char name[32];
    make_dir(tree);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%02d.%s", i, i % 4 == 3 ? "bin" : "txt");
        write_string(join(tree, name).text, i % 4 == 2 ? "not mine" : &"mine and more"[i % 2]);
    }
    write_string(join(tree, "empty.txt").text, "");
    /* Of 3 windows, which no buffer holds as a whole. */
    struct bytes big = text_bytes(9 * MIB, 5);
    write_file(join(tree, "zbig.txt").text, big.data, big.len);
    free(big.data);
}

static znippy_options *options_of(const znippy_provider *provider) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, 4);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_OVERWRITE, 1, &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_BLOCK_SIZE, 4096, &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_SMALL_FILE, 64, &error), &error);
    EXPECT_OK(znippy_options_add_provider(options, provider, &error), &error);
    return options;
}

static int64_t column_of(const struct ArrowSchema *schema, const char *name) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (strcmp(schema->children[i]->name, name) == 0) {
            return i;
        }
    }
    CHECK(!"the column is there");
    return -1;
}

static bool is_valid(const struct ArrowArray *column, int64_t row) {
    const uint8_t *bits = column->buffers[0];
    return bits == NULL || (bits[row / 8] >> (row % 8) & 1) != 0;
}

/* Of a text column. */
static bool equals(const struct ArrowArray *column, int64_t row, const char *text, size_t len) {
    const int32_t *ends = column->buffers[1];
    const char *all = column->buffers[2];
    return (size_t)(ends[row + 1] - ends[row]) == len && memcmp(all + ends[row], text, len) == 0;
}

/* What the columns of the archive say, against its listing. */
static void check_values(const char *archive) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    znippy_listing *listing = list_all(reader);
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    int claimed = 0, entry = 0;
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    EXPECT_OK(znippy_reader_export_index(reader, NULL, &stream, &error), &error);
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_next(&stream, &batch) == 0);
    CHECK(strcmp(schema.children[column_of(&schema, "first")]->format, "z") == 0);
    const struct ArrowArray *length = batch.children[column_of(&schema, "length")];
    const struct ArrowArray *own_path = batch.children[column_of(&schema, "own_path")];
    const struct ArrowArray *half = batch.children[column_of(&schema, "half")];
    const struct ArrowArray *first = batch.children[column_of(&schema, "first")];
    const struct ArrowArray *pkg_type = batch.children[column_of(&schema, "pkg_type")];
    const uint32_t *chunk_seq = batch.children[column_of(&schema, "chunk_seq")]->buffers[1];
    for (int64_t row = 0; row < batch.length; row++) {
        if (chunk_seq[row] != 0) {
            CHECK(!is_valid(length, row) && !is_valid(own_path, row) && !is_valid(pkg_type, row));
            continue;
        }
        znippy_entry_info info = entry_at(listing, (size_t)entry++);
        bool text = strcmp(info.path + info.path_len - 4, ".txt") == 0;
        bool mine = text && info.size > 0 && info.size != strlen("not mine");
        CHECK(is_valid(length, row) == mine && is_valid(own_path, row) == mine && is_valid(half, row) == mine);
        CHECK(is_valid(first, row) == mine && is_valid(pkg_type, row) == mine);
        if (mine) {
            CHECK(((const int64_t *)length->buffers[1])[row] == (int64_t)info.size);
            CHECK(((const double *)half->buffers[1])[row] == (double)info.size / 2);
            CHECK(((const int8_t *)pkg_type->buffers[1])[row] == 42);
            CHECK(equals(own_path, row, info.path, info.path_len));
            claimed++;
        }
    }
    CHECK(claimed > FILES / 3 && entry == FILES + 2);
    batch.release(&batch);
    schema.release(&schema);
    stream.release(&stream);
    znippy_listing_free(listing);
    znippy_reader_free(reader);
}

static void values_and_turns(const char *tree, const char *archive, uint32_t flags) {
    znippy_error *error = NULL;
    struct host host;
    znippy_provider provider = table(&host, flags);
    znippy_options *options = options_of(&provider);
    memset(&provider, 0, sizeof provider); /* the table was copied */
    EXPECT_OK(znippy_compress_dir(tree, archive, options, NULL, &error), &error);
    CHECK(host.calls == FILES / 4 * 3 + 1);
    /* With the flag several threads may meet, but nothing makes them. */
    CHECK(flags == ZNIPPY_PROVIDER_CONCURRENT || host.most == 1);
    znippy_options *copy = znippy_options_clone(options);
    znippy_options_free(options);
    CHECK(host.released == 0);
    EXPECT_OK(znippy_compress_dir(tree, archive, copy, NULL, &error), &error);
    znippy_options_free(copy);
    CHECK(host.released == 1);
    check_values(archive);
}

static void failures(const char *tree, const char *archive, const char *path, int32_t answer, znippy_status status) {
    znippy_error *error = NULL;
    struct host host;
    znippy_provider provider = table(&host, 0);
    znippy_options *options = options_of(&provider);
    host.fails = path;
    host.answer = answer;
    /* Leaving out what can't be read is for files, not for what the host reports. */
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_ON_ERROR, 1, &error), &error);
    CHECK(unlink(archive) == 0 || !exists(archive));
    CHECK(znippy_compress_dir(tree, archive, options, NULL, &error) == status);
    CHECK(strstr(znippy_error_message(error), "provider lengths") != NULL);
    CHECK(strcmp(znippy_error_path(error, NULL), join(tree, path).text) == 0);
    CHECK(!exists(archive));
    znippy_error_free(error);
    znippy_options_free(options);
    CHECK(host.released == 1);
}

/* Refused tables give the user data back, once; one that is too short is not looked into. */
static void refusals(void) {
    znippy_error *error = NULL;
    struct host host;
    znippy_provider good = table(&host, 0), bad = good;
    znippy_options *options = znippy_options_new();
    znippy_column taken = {sizeof taken, ZNIPPY_COLUMN_UTF8, "relative_path", 0, 0};
    bad.pkg_type = -128;
    EXPECT(znippy_options_add_provider(options, &bad, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    bad = good;
    bad.columns = &taken;
    bad.column_count = 1;
    EXPECT(znippy_options_add_provider(options, &bad, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_options_add_provider(NULL, &good, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(host.released == 3);
    bad.struct_size = sizeof bad - 1;
    EXPECT(znippy_options_add_provider(options, &bad, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_options_add_provider(options, NULL, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    CHECK(host.released == 3);
    EXPECT_OK(znippy_options_add_provider(options, &good, &error), &error);
    EXPECT(znippy_options_add_provider(options, &good, &error), ZNIPPY_E_INVALID_ARGUMENT, &error); /* the names */
    CHECK(host.released == 4);
    znippy_options_free(options);
    CHECK(host.released == 5);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    alarm(100);
    make_files(tree.text);
    values_and_turns(tree.text, archive.text, 0);
    values_and_turns(tree.text, archive.text, ZNIPPY_PROVIDER_CONCURRENT);
    failures(tree.text, archive.text, "05.txt", ZNIPPY_E_CORRUPT, ZNIPPY_E_CORRUPT);
    failures(tree.text, archive.text, "zbig.txt", -9999, ZNIPPY_E_CALLBACK);
    failures(tree.text, archive.text, "08.txt", 7, ZNIPPY_E_CALLBACK);
    refusals();
    return 0;
}
