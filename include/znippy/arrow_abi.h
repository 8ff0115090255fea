/*
 * The structs of the Arrow C data interface and the Arrow C stream interface, through which
 * znippy_reader_export_schema() and znippy_reader_export_index() hand out the index of an archive.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Names, fields, flags and guards are those that the Arrow specification fixes; every library that speaks the
 * interface has them, and the guards keep a program that includes two such headers from defining them twice.
 * Nothing of Arrow has to be linked.
 *
 *     https://arrow.apache.org/docs/format/CDataInterface.html
 *     https://arrow.apache.org/docs/format/CStreamInterface.html
 *
 * In short: whoever gets a struct owns it, and calls its release function once, with the struct's address; NULL in
 * `release` says that this was done. To hand a struct on, copy it and set `release` of the old one to NULL.
 */
#ifndef ZNIPPY_ARROW_ABI_H
#define ZNIPPY_ARROW_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

/* A type: that of a column, or of a whole table, whose format is "+s" and whose children are the columns. */
struct ArrowSchema {
    const char *format;   /* the type, as in the specification: "u" is UTF-8 text, "L" uint64, "w:32" 32 bytes */
    const char *name;     /* of the column; may be NULL */
    const char *metadata; /* number of pairs, then length and bytes of key and value of each; may be NULL */
    int64_t flags;        /* ARROW_FLAG_... */
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;

    void (*release)(struct ArrowSchema *);
    void *private_data;
};

/* Values: those of a column, or of a whole batch, whose children are the columns. */
struct ArrowArray {
    int64_t length;
    int64_t null_count; /* -1 where it is not known */
    int64_t offset;     /* the first value that counts, in all buffers */
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers; /* the first is the validity bitmap, or NULL where nothing is null */
    struct ArrowArray **children;
    struct ArrowArray *dictionary;

    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

/* Batches one after the other. Functions return 0 or an errno number; the end is an array that was "released". */
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *); /* the stream's; NULL where there is no message */

    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif /* ARROW_C_STREAM_INTERFACE */

#ifdef __cplusplus
}
#endif

#endif /* ZNIPPY_ARROW_ABI_H */
