/* What a program does with the library: packs a directory, and reads a file of the archive back. */
#include <stdio.h>
#include <string.h>

#include <znippy.h>

static int fail(znippy_error *error) {
    fprintf(stderr, "%s: %s\n", znippy_status_name(znippy_error_status(error)), znippy_error_message(error));
    znippy_error_free(error);
    return 1;
}

/* usage: roundtrip DIR ARCHIVE NAME TEXT; the file NAME of DIR must begin with TEXT. */
int main(int argc, char **argv) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    znippy_stats stats;
    char text[256];
    uint64_t index = 0;
    size_t len = 0;
    if (argc != 5) {
        return 2;
    }
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    if (znippy_compress_dir(argv[1], argv[2], NULL, &stats, &error) != ZNIPPY_OK ||
        znippy_reader_open(argv[2], NULL, &reader, &error) != ZNIPPY_OK ||
        znippy_reader_find(reader, argv[3], strlen(argv[3]), &index, &error) != ZNIPPY_OK ||
        znippy_reader_read_at(reader, index, 0, text, sizeof text, &len, &error) != ZNIPPY_OK) {
        znippy_reader_free(reader);
        return fail(error);
    }
    znippy_reader_free(reader);
    if (len < strlen(argv[4]) || memcmp(text, argv[4], strlen(argv[4])) != 0) {
        fprintf(stderr, "%s has other bytes\n", argv[3]);
        return 1;
    }
    printf("%s, header %s: %u files\n", znippy_version_string(), ZNIPPY_VERSION_STRING, (unsigned)stats.files);
    return strcmp(znippy_version_string(), ZNIPPY_VERSION_STRING) != 0;
}
