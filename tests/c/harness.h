/*
 * What the tests of the C interface share. Each test is one small program about one property; it ends with 0,
 * or with 1 and a line that says where, or with 77 where this machine can't show the property.
 */
#ifndef ZNIPPY_TEST_HARNESS_H
#define ZNIPPY_TEST_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "znippy.h"

enum { SKIP = 77, MIB = 1 << 20 };

/* A path, small enough to be passed around by value. */
struct path {
    char text[4096];
};

struct bytes {
    unsigned char *data;
    size_t len;
};

#define CHECK(condition) check_at(__FILE__, __LINE__, (condition), #condition)

/* The status is the wanted one, and the error object is there, or absent, to match. Frees the error. */
#define EXPECT(status, wanted, error) expect_at(__FILE__, __LINE__, (status), (wanted), (error))
#define EXPECT_OK(status, error) EXPECT(status, ZNIPPY_OK, error)

void check_at(const char *file, int line, bool good, const char *condition);
void expect_at(const char *file, int line, znippy_status status, znippy_status wanted, znippy_error **error);
void skip(const char *why);

/* A directory of this test alone, removed when it ends. */
const char *scratch(void);
struct path join(const char *directory, const char *name);
struct path in_scratch(const char *name);

/* Reproducible bytes; text-like ones compress about 3 to 1, the others not at all. */
struct bytes random_bytes(size_t len, uint32_t seed);
struct bytes text_bytes(size_t len, uint32_t seed);

void write_file(const char *path, const void *data, size_t len);
void write_string(const char *path, const char *text);
struct bytes read_file(const char *path);
bool exists(const char *path);
void make_dir(const char *path);
void set_mtime(const char *path, int64_t seconds, long nanoseconds);

/* Names in a directory, without "." and "..". */
size_t count_names(const char *directory);
/*
 * The threads of this process. The system lists a thread that was joined a moment longer, so while there are more than
 * `wanted` it looks again, for a second at most.
 */
size_t count_threads(size_t wanted);

/* Regular, empty and big files, links of both kinds, empty directories, odd modes, times and names, holes. */
void make_tree(const char *path);
/* `count` files of `len` bytes that don't compress. */
void make_big_tree(const char *path, int count, size_t len);

/* Ends the test at the first difference in names, kinds, modes, times, targets, links or bytes. */
void same_tree(const char *left, const char *right);

znippy_options *options_with(uint32_t key, int64_t value);
/* Packs with defaults, or opens, or ends the test. */
void pack(const char *tree, const char *archive);
znippy_reader *open_reader(const char *archive);
uint64_t find(const znippy_reader *reader, const char *path);
/* The listing of everything, and one of its entries. */
znippy_listing *list_all(const znippy_reader *reader);
znippy_entry_info entry_at(const znippy_listing *listing, size_t position);
void same_entries(const znippy_reader *left, const znippy_reader *right);

double seconds_now(void);

#endif
