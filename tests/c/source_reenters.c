/* A source that calls the reader which it serves is told ZNIPPY_E_BUSY at once, and does no harm. */
#include "harness.h"

#include <unistd.h>

struct host {
    struct bytes bytes;
    znippy_reader *reader; /* once it is open */
    znippy_reader *other;  /* of the same bytes, by another way */
    bool reenters, frees;
    int reentered;
};

/* Every function of a reader that could need the source. */
static void reenter(const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_listing *listing = NULL;
    znippy_buffer buffer = {NULL, 0, 0};
    znippy_archive_info info = {.struct_size = sizeof info};
    uint64_t first = 0, count = 0;
    uint8_t digest[32];
    char bytes[10];
    size_t got = 0;
    EXPECT(znippy_reader_find(reader, "hello.txt", 9, &first, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_find_prefix(reader, "a", 1, &first, &count, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_list(reader, 0, 1, &listing, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_read_at(reader, 0, 0, bytes, sizeof bytes, &got, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_read(reader, 0, NULL, &buffer, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_verify(reader, NULL, NULL, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_verify_quick(reader, NULL, NULL, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_verify_entry(reader, 0, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_tree_digest(reader, digest, &error), ZNIPPY_E_BUSY, &error);
    EXPECT(znippy_reader_info(reader, &info, &error), ZNIPPY_E_BUSY, &error);
    CHECK(listing == NULL && buffer.data == NULL);
}

static int64_t read_at(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct host *host = user_data;
    if (host->reenters && host->reader) {
        host->reentered++;
        reenter(host->reader);
        CHECK(find(host->other, "hello.txt") < UINT64_MAX); /* another handle is nobody's business */
        znippy_reader_free(znippy_reader_retain(host->reader));
    }
    if (host->frees && host->reader) {
        znippy_reader *reader = host->reader;
        host->reader = NULL;
        znippy_reader_free(reader); /* the last reference but that of the call itself */
    }
    memcpy(buffer, host->bytes.data + offset, len);
    return (int64_t)len;
}

static void open_over(struct host *host, uint32_t flags) {
    znippy_source source = {sizeof source, flags, host, host->bytes.len, read_at, NULL};
    znippy_error *error = NULL;
    znippy_options *no_cache = options_with(ZNIPPY_OPT_CACHE_SIZE, 0); /* so that every read needs the source */
    host->reenters = host->frees = false;
    EXPECT_OK(znippy_reader_open_source(&source, no_cache, &host->reader, &error), &error);
    znippy_options_free(no_cache);
}

static void read_some(const znippy_reader *reader, uint64_t index) {
    znippy_error *error = NULL;
    char bytes[100];
    size_t got = 0;
    EXPECT_OK(znippy_reader_read_at(reader, index, 5 * MIB, bytes, sizeof bytes, &got, &error), &error);
    CHECK(got == sizeof bytes);
}

static void reentering(struct host *host, uint32_t flags) {
    znippy_error *error = NULL;
    open_over(host, flags);
    uint64_t big = find(host->reader, "big.txt");
    host->reenters = true;
    host->reentered = 0;
    read_some(host->reader, big);
    CHECK(host->reentered > 0);
    EXPECT_OK(znippy_reader_verify_entry(host->reader, big, &error), &error);
    host->reenters = false;
    read_some(host->reader, big);
    znippy_reader_free(host->reader);
    host->reader = NULL;
}

static void freeing(struct host *host) {
    open_over(host, 0);
    uint64_t big = find(host->reader, "big.txt");
    host->frees = true;
    read_some(host->reader, big);
    CHECK(host->reader == NULL);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    alarm(60);
    make_tree(tree.text);
    pack(tree.text, archive.text);
    struct host host = {.bytes = read_file(archive.text), .other = open_reader(archive.text)};
    reentering(&host, 0);
    reentering(&host, ZNIPPY_SOURCE_CONCURRENT);
    freeing(&host);
    znippy_reader_free(host.other);
    free(host.bytes.data);
    return 0;
}
