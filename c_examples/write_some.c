/*
 * Writes one archive from what a program has: bytes in memory, a stream of unknown length, a directory.
 *
 *     write_some ARCHIVE [DIRECTORY] < STREAM
 */
#include <stdio.h>
#include <string.h>

#include <znippy.h>

/* A stream is a function that reads some bytes, 0 at the end; here it reads standard input. */
static int64_t read_stdin(void *user_data, void *buffer, size_t len) {
    size_t got = fread(buffer, 1, len, stdin);
    (void)user_data;
    return got == 0 && ferror(stdin) ? ZNIPPY_E_IO : (int64_t)got;
}

/* What is recorded of an entry: its path and kind, and whatever the flags name. */
static znippy_entry_info file_at(const char *path) {
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.kind = ZNIPPY_KIND_FILE;
    info.path = path;
    info.path_len = strlen(path);
    info.mode = 0644;
    info.flags = ZNIPPY_ENTRY_HAS_MODE;
    return info;
}

static znippy_status add_all(znippy_writer *writer, const char *directory, znippy_error **error) {
    static const char TEXT[] = "Made by write_some.\n";
    znippy_entry_info note = file_at("note.txt"), input = file_at("input");
    znippy_stream stream;
    memset(&stream, 0, sizeof stream);
    stream.struct_size = sizeof stream;
    stream.read = read_stdin;
    znippy_status status = znippy_writer_add_buffer(writer, &note, TEXT, strlen(TEXT), error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_add_stream(writer, &input, &stream, error);
    }
    if (status == ZNIPPY_OK && directory) {
        status = znippy_writer_add_tree(writer, directory, "tree", strlen("tree"), error);
    }
    return status;
}

int main(int argc, char **argv) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    if (argc < 2 || argc > 3) {
        fputs("usage: write_some ARCHIVE [DIRECTORY] < STREAM\n", stderr);
        return 2;
    }
    znippy_status status = znippy_writer_create(argv[1], NULL, &writer, &error);
    if (status == ZNIPPY_OK) {
        status = add_all(writer, argc > 2 ? argv[2] : NULL, &error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, NULL, &error);
    }
    if (status != ZNIPPY_OK) {
        fprintf(stderr, "write_some: %s\n", znippy_error_message(error));
    }
    znippy_error_free(error);
    znippy_writer_free(writer); /* of an archive that was not finished nothing is left */
    return status == ZNIPPY_OK ? 0 : 1;
}
