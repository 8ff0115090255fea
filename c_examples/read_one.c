/*
 * Writes one file of an archive to standard output. Only the blocks that hold its bytes are read, and each of
 * them is checked before a byte of it comes out.
 *
 *     read_one ARCHIVE PATH
 */
#include <stdio.h>
#include <string.h>
#include <znippy.h>

static znippy_status copy_out(const znippy_reader *reader, uint64_t index, znippy_error **error) {
    static char buffer[1 << 20];
    uint64_t offset = 0;
    size_t got = 0;
    do {
        znippy_status status = znippy_reader_read_at(reader, index, offset, buffer, sizeof buffer, &got, error);
        if (status != ZNIPPY_OK) {
            return status;
        }
        offset += got;
    } while (fwrite(buffer, 1, got, stdout) == got && got == sizeof buffer);
    return ZNIPPY_OK;
}

int main(int argc, char **argv) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    uint64_t index = 0;
    if (argc != 3) {
        fputs("usage: read_one ARCHIVE PATH\n", stderr);
        return 2;
    }
    if (znippy_reader_open(argv[1], NULL, &reader, &error) != ZNIPPY_OK
        || znippy_reader_find(reader, argv[2], strlen(argv[2]), &index, &error) != ZNIPPY_OK
        || copy_out(reader, index, &error) != ZNIPPY_OK) {
        fprintf(stderr, "read_one: %s\n", znippy_error_message(error));
    }
    int code = error != NULL || fflush(stdout) != 0;
    znippy_error_free(error);
    znippy_reader_free(reader);
    return code;
}
