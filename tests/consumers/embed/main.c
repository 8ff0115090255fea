/* Prints a file of the archive inside this program. */
#include <stdio.h>
#include <string.h>

#include "assets.h"

int main(int argc, char **argv) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    znippy_buffer bytes = {NULL, 0, 0};
    uint64_t index = 0;
    int code;
    if (argc != 2) {
        return 2;
    }
    if (assets_open(NULL, &reader, &error) == ZNIPPY_OK && znippy_reader_find(reader, argv[1], strlen(argv[1]), &index, &error) == ZNIPPY_OK &&
        znippy_reader_read(reader, index, NULL, &bytes, &error) == ZNIPPY_OK) {
        fwrite(bytes.data, 1, bytes.len, stdout);
    } else {
        fprintf(stderr, "%s\n", znippy_error_message(error));
    }
    code = error != NULL;
    znippy_buffer_free(&bytes);
    znippy_reader_free(reader);
    znippy_error_free(error);
    return code;
}
