/*
 * Writes an archive of many small files from memory: names, and with them the bytes, are those of a tree of a hundred files
 * a directory. Prints nothing.
 *
 *     write_entries COUNT ARCHIVE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "znippy.h"

static int failed(const znippy_error *error) {
    fprintf(stderr, "write_entries: %s\n", error ? znippy_error_message(error) : "out of memory");
    return 1;
}

int main(int count, char **arguments) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    znippy_options *options = znippy_options_new();
    if (count != 3 || !options || znippy_options_set_i64(options, ZNIPPY_OPT_THREADS, 2, &error) != ZNIPPY_OK ||
        znippy_writer_create(arguments[2], options, &writer, &error) != ZNIPPY_OK) {
        return failed(error);
    }
    unsigned long entries = strtoul(arguments[1], NULL, 10);
    for (unsigned long i = 0; i < entries; i++) {
        char path[64], text[128];
        snprintf(path, sizeof path, "d%04lu/d%02lu/file-%08lu", i / 10000, i / 100 % 100, i);
        int len = snprintf(text, sizeof text, "%s has the number %lu, and these are its bytes\n", path, i * 7919);
        znippy_entry_info meta = {.struct_size = sizeof meta, .kind = ZNIPPY_KIND_FILE, .path = path, .path_len = strlen(path)};
        meta.mode = 0644;
        meta.mtime_ns = 1000000000L * (long)i;
        meta.flags = ZNIPPY_ENTRY_HAS_MODE | ZNIPPY_ENTRY_HAS_MTIME;
        if (znippy_writer_add_buffer(writer, &meta, text, (size_t)len, &error) != ZNIPPY_OK) {
            return failed(error);
        }
    }
    if (znippy_writer_finish(writer, NULL, &error) != ZNIPPY_OK) {
        return failed(error);
    }
    znippy_writer_free(writer);
    znippy_options_free(options);
    return 0;
}
