/*
 * Writes one file out of an archive on an HTTP server to standard output, without fetching the archive: range
 * requests through znippy_reader_open_source(). Requests and bytes are counted on standard error.
 *
 *     remote URL PATH
 *
 * Every byte that is used is under a hash, so a server that answers nonsense, or an archive that is replaced
 * between two requests, ends in an error and not in wrong bytes.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <znippy.h>

/* Opening reads the last 64 KiB. A request for just these also tells the size, which saves one for that alone. */
enum { TAIL = 64 << 10 };

struct remote {
    CURL *curl;
    uint64_t size;
    unsigned char tail[TAIL];
    size_t tail_len;
    uint64_t requests, bytes;
};

/* Where the body of an answer goes: never more than was asked for. */
struct body {
    unsigned char *to;
    size_t len, room;
};

static size_t receive(char *data, size_t one, size_t len, void *user_data) {
    struct body *body = user_data;
    (void)one; /* always 1 */
    if (len > body->room - body->len) {
        return 0; /* ends the transfer */
    }
    memcpy(body->to + body->len, data, len);
    body->len += len;
    return len;
}

/* One request: `range` as in HTTP's "Range: bytes=". Whether a part came, and nothing but that. */
static bool fetch(struct remote *remote, const char *range, struct body *body) {
    long answer = 0;
    curl_easy_setopt(remote->curl, CURLOPT_RANGE, range);
    curl_easy_setopt(remote->curl, CURLOPT_WRITEDATA, body);
    remote->requests++;
    CURLcode code = curl_easy_perform(remote->curl);
    curl_easy_getinfo(remote->curl, CURLINFO_RESPONSE_CODE, &answer);
    remote->bytes += body->len;
    if (code == CURLE_OK && answer == 206) {
        return true;
    }
    const char *why = code == CURLE_OK || answer == 200 ? "the server doesn't answer with ranges"
                                                        : curl_easy_strerror(code);
    fprintf(stderr, "remote: %s (HTTP %ld)\n", why, answer);
    return false;
}

/* Gets the archive's tail, and its size from "Content-Range: bytes FIRST-LAST/SIZE". */
static bool fetch_tail(struct remote *remote) {
    char range[32];
    struct body body = {remote->tail, 0, TAIL};
    struct curl_header *header = NULL;
    snprintf(range, sizeof range, "-%d", TAIL);
    if (!fetch(remote, range, &body)) {
        return false;
    }
    remote->tail_len = body.len;
    if (curl_easy_header(remote->curl, "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK
        || sscanf(header->value, "bytes %*u-%*u/%" SCNu64, &remote->size) != 1 || remote->size < body.len) {
        fputs("remote: the server doesn't tell the archive's size\n", stderr);
        return false;
    }
    return true;
}

/* The library asks for one range at a time, since the source doesn't say that it may be called concurrently. */
static int64_t read_at(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct remote *remote = user_data;
    struct body body = {buffer, 0, len};
    uint64_t tail_start = remote->size - remote->tail_len;
    char range[64];
    if (offset >= tail_start) {
        memcpy(buffer, remote->tail + (offset - tail_start), len); /* never beyond the end */
        return (int64_t)len;
    }
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, offset, offset + len - 1);
    return fetch(remote, range, &body) ? (int64_t)body.len : ZNIPPY_E_IO;
}

static znippy_status copy_out(struct remote *remote, const char *path, znippy_error **error) {
    znippy_source source = {sizeof source, 0, remote, remote->size, read_at, NULL};
    znippy_buffer file = {NULL, 0, 0};
    znippy_reader *reader = NULL;
    uint64_t index = 0;
    znippy_status status = znippy_reader_open_source(&source, NULL, &reader, error);
    if (status == ZNIPPY_OK) {
        status = znippy_reader_find(reader, path, strlen(path), &index, error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_reader_read(reader, index, NULL, &file, error);
    }
    if (status == ZNIPPY_OK && file.len > 0 && fwrite(file.data, 1, file.len, stdout) != file.len) {
        perror("remote: standard output");
        status = ZNIPPY_E_IO;
    }
    znippy_buffer_free(&file);
    znippy_reader_free(reader);
    return status;
}

static int run(struct remote *remote, const char *url, const char *path) {
    znippy_error *error = NULL;
    curl_easy_setopt(remote->curl, CURLOPT_URL, url);
    curl_easy_setopt(remote->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(remote->curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(remote->curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(remote->curl, CURLOPT_WRITEFUNCTION, receive);
    znippy_status status = fetch_tail(remote) ? copy_out(remote, path, &error) : ZNIPPY_E_IO;
    if (error) {
        fprintf(stderr, "remote: %s\n", znippy_error_message(error));
    }
    znippy_error_free(error);
    fprintf(stderr, "remote: %" PRIu64 " requests, %" PRIu64 " bytes of %" PRIu64 "\n", remote->requests,
            remote->bytes, remote->size);
    return status == ZNIPPY_OK && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: remote URL PATH\n", stderr);
        return 2;
    }
    struct remote *remote = calloc(1, sizeof *remote);
    int code = 1;
    if (remote && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        remote->curl = curl_easy_init();
        code = remote->curl ? run(remote, argv[1], argv[2]) : 1;
        curl_easy_cleanup(remote->curl);
        curl_global_cleanup();
    }
    free(remote);
    return code;
}
