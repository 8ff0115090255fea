/*
 * Archives of other programs and convert: what its files share.
 *
 *   import.c     entries of any archive -> a writer: names, links, duplicates
 *   late.c       hard links that came before their file
 *   limits.c     how much an archive may turn into
 *   from_tar.c   tar, compressed in whatever way -> entries, with libarchive
 *   gzip.c       what gzip packed, for from_tar.c, with zlib
 *   from_zip.c   zip -> entries, with libzip
 *   to_tar.c     a reader -> tar on standard output, with libarchive
 *   tree_order.c entries as tar wants them
 *   acl.c        access control lists: the kernel's bytes and libarchive's entries
 */
#ifndef ZNIPPY_FOREIGN_H
#define ZNIPPY_FOREIGN_H

#include <sys/types.h>

#include "../cli.h"

/* ---- how much an archive may turn into ---- */

struct limits {
    uint64_t bytes, entries, depth, by_ratio; /* UINT64_MAX: no limit */
    uint64_t seen_bytes, seen_entries;
};

/* The size of the archive is for the limit of the ratio; 0 where it is not known. */
void limits_begin(struct limits *limits, const struct request *request, uint64_t archive_size);

/* Looks at an entry of so many bytes before any of them is read. */
znippy_status limits_admit(struct limits *limits, const char *path, uint64_t size);

/* ---- entries into a writer ---- */

struct import {
    znippy_writer *writer;
    bool owners, xattrs;  /* whether these are recorded */
    void *specials;       /* tree of entries that are neither files nor directories, which hard links may name */
    struct limits limits;
    struct late **late;   /* hard links whose file has not come yet */
    size_t late_count, late_room;
    void *late_names;     /* tree of them, by path */
    bool told_absolute;
    char *path, *target;  /* names of the entry that is being added, cleaned */
};

void import_begin(struct import *import, const struct request *request, uint64_t archive_size, znippy_writer *writer);

/* Adds an entry under its name in the other archive, which info->path holds, and a hard link's target as well. What tar
 * does is done: "./" and a leading "/" are taken off. A file's bytes come from the stream, and are `size` at most. */
znippy_status import_entry(struct import *import, znippy_entry_info *info, uint64_t size, const znippy_stream *bytes,
                           znippy_error **error);

/* Adds a hard link whose names are clean; ZNIPPY_E_INVALID_ARGUMENT where what it names is not there. */
znippy_status import_link(struct import *import, znippy_entry_info *info, znippy_error **error);

/* Adds the hard links that are left. */
znippy_status import_end(struct import *import, znippy_error **error);
void import_free(struct import *import);

znippy_status late_keep(struct import *import, const znippy_entry_info *info);
void late_forget(struct import *import, const char *path); /* another entry has the path */
znippy_status late_add(struct import *import, znippy_error **error);
void late_free(struct import *import);

/* ---- other archives ---- */

/* The bytes of an archive, from a file or a pipe. */
struct input {
    const char *name; /* for messages */
    int fd;
    unsigned char *room;
    size_t first;     /* bytes in room that were read to see what this is */
    int cause;        /* error number of what can't be read */
};

enum { INPUT_ROOM = 256 << 10 };

/* Reads on; 0 at the end, -1 on failure. It waits no longer than until a signal was caught. */
ssize_t input_read(struct input *input, void *buffer, size_t len);

znippy_status from_tar(struct import *import, struct input *input, znippy_error **error);
znippy_status from_zip(struct import *import, struct input *input, znippy_error **error);
znippy_status to_tar(const znippy_reader *reader, const znippy_sink *sink, znippy_stats *stats, znippy_error **error);

typedef znippy_status (*tree_fn)(void *user_data, const znippy_entry_info *info, znippy_error **error);

/* Calls `visit_one` for each entry, what is in a directory right behind it. A hard link always names an entry that came
 * before, and which of a file's names is the file is settled anew. */
znippy_status tree_walk(const znippy_reader *reader, tree_fn visit_one, void *user_data, znippy_error **error);

struct gzip;

/* Unpacks what gzip packed; NULL for want of memory. */
struct gzip *gzip_begin(struct input *input);

/* As input_read(); where the bytes are wrong, says why. */
ssize_t gzip_read(struct gzip *gzip, void *buffer, size_t len, const char **why);
void gzip_end(struct gzip *gzip);

/* ---- access control lists ---- */

struct archive_entry;

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* The value of ACL_ACCESS or ACL_DEFAULT, to be freed; NULL where the entry has none of that kind. */
void *acl_value(struct archive_entry *entry, bool of_default, size_t *len);

/* The entry's mode as a file has it: with a list, the bits of the group are the list's mask, which libarchive takes apart. */
uint32_t acl_mode(struct archive_entry *entry, uint32_t mode);

/* Gives the entry the list; false where the bytes are none. */
bool acl_add(struct archive_entry *entry, bool of_default, const void *value, size_t len);

#endif
