/* Callbacks that fail, stop early or lie end in an error, never in a crash or a hang. */
#include "harness.h"

#include <unistd.h>

enum fault { FAILS, FAILS_ODDLY, ENDS_EARLY, CLAIMS_MORE, SENDS_ZEROS };

struct host {
    struct bytes bytes;
    enum fault fault;
    bool broken; /* from when on it misbehaves */
    int released;
};

static int64_t read_at(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct host *host = user_data;
    size_t rest = offset < host->bytes.len ? host->bytes.len - (size_t)offset : 0;
    size_t step = len < rest ? len : rest;
    if (host->broken) {
        switch (host->fault) {
        case FAILS: return ZNIPPY_E_PERMISSION;
        case FAILS_ODDLY: return -987654321;
        case ENDS_EARLY: return 0;
        case CLAIMS_MORE: return (int64_t)len + 1;
        case SENDS_ZEROS: memset(buffer, 0, len); return (int64_t)len;
        }
    }
    memcpy(buffer, host->bytes.data + offset, step);
    return (int64_t)step;
}

static void release(void *user_data) {
    ((struct host *)user_data)->released++;
}

static znippy_status wanted(enum fault fault) {
    return fault == FAILS ? ZNIPPY_E_PERMISSION : fault == FAILS_ODDLY ? ZNIPPY_E_CALLBACK : 0;
}

static void failed(znippy_status status, enum fault fault, znippy_error **error) {
    CHECK(status < 0 && *error && znippy_error_status(*error) == status);
    CHECK(wanted(fault) == 0 || status == wanted(fault));
    znippy_error_free(*error);
}

static void while_opening(struct host *host) {
    znippy_source source = {sizeof source, 0, host, host->bytes.len, read_at, release};
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    host->broken = true;
    host->released = 0;
    failed(znippy_reader_open_source(&source, NULL, &reader, &error), host->fault, &error);
    CHECK(reader == NULL && host->released == 1);
}

static void while_reading(struct host *host) {
    znippy_source source = {sizeof source, 0, host, host->bytes.len, read_at, release};
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    size_t got = 0;
    char buffer[100];
    host->broken = false;
    host->released = 0;
    EXPECT_OK(znippy_reader_open_source(&source, NULL, &reader, &error), &error);
    uint64_t index = find(reader, "big.txt");
    host->broken = true;
    failed(znippy_reader_read_at(reader, index, 5 * MIB, buffer, sizeof buffer, &got, &error), host->fault, &error);
    failed(znippy_reader_verify(reader, NULL, NULL, &error), host->fault, &error);
    host->broken = false; /* a failure is not kept */
    EXPECT_OK(znippy_reader_read_at(reader, index, 5 * MIB, buffer, sizeof buffer, &got, &error), &error);
    CHECK(got == sizeof buffer && host->released == 0);
    znippy_reader_free(reader);
    CHECK(host->released == 1);
}

static void wrong_size(struct host *host, uint64_t size) {
    znippy_source source = {sizeof source, 0, host, size, read_at, release};
    znippy_reader *reader = NULL;
    host->broken = false;
    CHECK(znippy_reader_open_source(&source, NULL, &reader, NULL) < 0 && reader == NULL);
}

static void bad_table(struct host *host) {
    znippy_source short_one = {8, 0, host, host->bytes.len, read_at, release};
    znippy_source no_function = {sizeof no_function, 0, host, host->bytes.len, NULL, NULL};
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    EXPECT(znippy_reader_open_source(&short_one, NULL, &reader, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT(znippy_reader_open_source(&no_function, NULL, &reader, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    alarm(60);
    make_tree(tree.text);
    pack(tree.text, archive.text);
    struct host host = {.bytes = read_file(archive.text), .fault = FAILS, .broken = false, .released = 0};
    for (int fault = FAILS; fault <= SENDS_ZEROS; fault++) {
        host.fault = (enum fault)fault;
        while_opening(&host);
        while_reading(&host);
    }
    wrong_size(&host, 0);
    wrong_size(&host, 1);
    wrong_size(&host, host.bytes.len - 1);
    wrong_size(&host, host.bytes.len + 1);
    wrong_size(&host, UINT64_MAX);
    bad_table(&host);
    free(host.bytes.data);
    return 0;
}
