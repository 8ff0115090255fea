/* append, compact and merge: archives from archives. */
#include "cli.h"

#include <string.h>

znippy_status append(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_writer *writer = NULL;
    const char *below = request->below ? request->below : "";
    znippy_status status = znippy_writer_append(request->operands[0], request->options, &writer, error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_add_tree(writer, request->operands[1], below, strlen(below), error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
    }
    znippy_writer_free(writer);
    return status;
}

/* Appends nothing. */
znippy_status compact(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_writer *writer = NULL;
    znippy_status status = znippy_options_set_i64(request->options, ZNIPPY_OPT_COMPACT, 1, error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_append(request->operands[0], request->options, &writer, error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
    }
    znippy_writer_free(writer);
    return status;
}

/* Adds one archive; an error names it. */
static znippy_status add_archive(znippy_writer *writer, const char *path, znippy_error **error) {
    znippy_reader *reader = NULL;
    znippy_status status = znippy_reader_open(path, NULL, &reader, error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_add_archive(writer, reader, NULL, 0, error);
    }
    znippy_reader_free(reader); /* the writer has a reference of its own */
    return status;
}

znippy_status merge(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_writer *writer = NULL;
    znippy_status status = znippy_writer_create(request->operands[0], request->options, &writer, error);
    for (int number = 1; number < request->operand_count && status == ZNIPPY_OK; number++) {
        status = add_archive(writer, request->operands[number], error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
    }
    znippy_writer_free(writer);
    return status;
}
