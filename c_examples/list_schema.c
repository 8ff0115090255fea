/*
 * Prints the columns of an archive's index: name, Arrow type, and whether values may be missing.
 *
 * usage: list_schema ARCHIVE
 */
#include <stdio.h>
#include <string.h>

#include "znippy.h"
#include "znippy/arrow_abi.h"

/* The Arrow types that stand in indexes; docs of the C data interface have them all. */
static const char *type_name(const char *format) {
    static const struct {
        const char *format, *name;
    } TYPES[] = {
        {"b", "Boolean"}, {"c", "Int8"},   {"C", "UInt8"},   {"s", "Int16"},   {"S", "UInt16"},    {"i", "Int32"},       {"I", "UInt32"},
        {"l", "Int64"},   {"L", "UInt64"}, {"f", "Float32"}, {"g", "Float64"}, {"u", "Utf8"},      {"U", "LargeUtf8"},   {"z", "Binary"},
        {"Z", "LargeBinary"}, {"w:32", "FixedSizeBinary(32)"},
    };
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        if (strcmp(TYPES[i].format, format) == 0) {
            return TYPES[i].name;
        }
    }
    return format;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: list_schema ARCHIVE\n");
        return 2;
    }
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    struct ArrowSchema schema;
    if (znippy_reader_open(argv[1], NULL, &reader, &error) != ZNIPPY_OK ||
        znippy_reader_export_schema(reader, &schema, &error) != ZNIPPY_OK) {
        fprintf(stderr, "list_schema: %s\n", znippy_error_message(error));
        znippy_error_free(error);
        znippy_reader_free(reader);
        return 1;
    }
    znippy_reader_free(reader); /* the schema is a thing of its own */
    for (int64_t i = 0; i < schema.n_children; i++) {
        const struct ArrowSchema *column = schema.children[i];
        printf("%-18s %-20s %s\n", column->name, type_name(column->format),
               column->flags & ARROW_FLAG_NULLABLE ? "may be null" : "");
    }
    schema.release(&schema);
    return 0;
}
