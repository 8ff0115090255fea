/*
 * Reads every file of an archive: the listing in batches, then each file whole, in order; and lists every entry. What a
 * binding's time is to be compared with.
 *
 *     read_all ARCHIVE
 *
 * Prints seconds and counts of both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <znippy.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ok(znippy_status status, znippy_error *error) {
    if (status < 0) {
        fprintf(stderr, "read_all: %s\n", znippy_error_message(error));
        exit(1);
    }
}

/* Lists all entries; reads files where buffers are wanted. Returns what was listed and adds up what was read. */
static uint64_t walk(const char *path, int read, uint64_t *files, uint64_t *bytes) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    uint64_t first = 0;
    ok(znippy_reader_open(path, NULL, &reader, &error), error);
    for (;;) {
        znippy_listing *listing = NULL;
        size_t count;
        ok(znippy_reader_list(reader, first, 1024, &listing, &error), error);
        count = znippy_listing_count(listing);
        for (size_t i = 0; i < count; i++) {
            znippy_entry_info info;
            info.struct_size = sizeof info;
            ok(znippy_listing_get(listing, i, &info, &error), error);
            *bytes += info.path_len;
            if (read && (info.kind == ZNIPPY_KIND_FILE || info.kind == ZNIPPY_KIND_HARDLINK)) {
                znippy_buffer buffer = {NULL, 0, 0};
                ok(znippy_reader_read(reader, info.index, NULL, &buffer, &error), error);
                *bytes += buffer.len;
                ++*files;
                znippy_buffer_free(&buffer);
            }
        }
        znippy_listing_free(listing);
        if (count == 0) {
            break;
        }
        first += count;
    }
    znippy_reader_free(reader);
    return first;
}

int main(int argc, char **argv) {
    uint64_t files = 0, bytes = 0, entries;
    double start = now();
    if (argc != 2) {
        fputs("usage: read_all ARCHIVE\n", stderr);
        return 2;
    }
    walk(argv[1], 1, &files, &bytes);
    printf("C read %.4f s, %llu files, %llu bytes\n", now() - start, (unsigned long long)files, (unsigned long long)bytes);
    start = now();
    entries = walk(argv[1], 0, &files, &bytes);
    printf("C list %.4f s, %llu entries\n", now() - start, (unsigned long long)entries);
    return 0;
}
