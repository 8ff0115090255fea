/* Entries in the order in which tar wants them: what is in a directory right behind it. The index has them in order of
 * their bytes, where "can.h" stands between "can" and "can/raw.h"; who unpacks that sets the time of "can" too early. */
#include "foreign.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1024 };

/* A name of a file that came before the one that has its bytes in the archive. */
struct early {
    char *file, *name;
};

struct walk {
    const znippy_reader *reader;
    znippy_listing *listing;
    uint64_t first; /* of the listing */
    void *early;    /* tree of those */
    tree_fn visit;
    void *user_data;
};

/* Entries that were visited before it was their turn. */
struct done {
    uint64_t first, end;
};

static znippy_status no_memory(void) {
    return job_fail(ZNIPPY_E_NO_MEMORY, "convert", "out of memory");
}

static int by_file(const void *left, const void *right) {
    return strcmp(((const struct early *)left)->file, ((const struct early *)right)->file);
}

static const char *early_name(struct walk *walk, const char *file) {
    struct early wanted = {.file = (char *)file};
    struct early **found = tfind(&wanted, &walk->early, by_file);
    return found ? (*found)->name : NULL;
}

static znippy_status add_early(struct walk *walk, const char *file, const char *name) {
    struct early *early = calloc(1, sizeof *early);
    if (early) {
        early->file = strdup(file);
        early->name = strdup(name);
    }
    if (early && early->file && early->name && tsearch(early, &walk->early, by_file)) {
        return ZNIPPY_OK;
    }
    if (early) {
        free(early->file);
        free(early->name);
        free(early);
    }
    return no_memory();
}

/* Whether a name comes before another one here: '/' is less than all else. */
static bool comes_before(const char *left, const char *right) {
    while (*left && *left == *right) {
        left++;
        right++;
    }
    unsigned a = *left == '/' ? 1 : *left ? (unsigned char)*left + 1u : 0;
    unsigned b = *right == '/' ? 1 : *right ? (unsigned char)*right + 1u : 0;
    return a < b;
}

/* The entry; its strings live up to the next call. */
static znippy_status get(struct walk *walk, uint64_t index, znippy_entry_info *info, znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    if (!walk->listing || index < walk->first || index - walk->first >= znippy_listing_count(walk->listing)) {
        znippy_listing_free(walk->listing);
        walk->listing = NULL;
        walk->first = index;
        status = znippy_reader_list(walk->reader, index, PAGE, &walk->listing, error);
    }
    return status == ZNIPPY_OK ? znippy_listing_get(walk->listing, (size_t)(index - walk->first), info, error) : status;
}

/* Of the names of a file, the first that comes here is the file, and the others are links to it. */
static znippy_status visit(struct walk *walk, znippy_entry_info *info, znippy_error **error) {
    bool link = info->kind == ZNIPPY_KIND_HARDLINK;
    const char *file = link ? info->link_target : info->path;
    const char *early = link || info->kind == ZNIPPY_KIND_FILE ? early_name(walk, file) : NULL;
    znippy_status status = ZNIPPY_OK;
    if (early) {
        info->kind = ZNIPPY_KIND_HARDLINK;
        info->link_target = early;
    } else if (link && comes_before(info->path, file)) {
        info->kind = ZNIPPY_KIND_FILE;
        status = add_early(walk, file, info->path);
    }
    return status == ZNIPPY_OK ? walk->visit(walk->user_data, info, error) : status;
}

/* What is below the directory at `index`, if something else stands in between. */
static znippy_status find_below(struct walk *walk, uint64_t index, const char *directory, struct done *below,
                                znippy_error **error) {
    znippy_entry_info next;
    size_t len = strlen(directory);
    uint64_t count = 0;
    below->first = below->end = index + 1;
    znippy_status status = get(walk, index + 1, &next, error);
    if (status != ZNIPPY_OK || strncmp(next.path, directory, len) != 0 || (unsigned char)next.path[len] >= '/') {
        return status;
    }
    char *prefix = malloc(len + 1);
    if (!prefix) {
        return no_memory();
    }
    memcpy(prefix, directory, len);
    prefix[len] = '/';
    status = znippy_reader_find_prefix(walk->reader, prefix, len + 1, &below->first, &count, error);
    free(prefix);
    below->end = below->first + count;
    return status;
}

static znippy_status visit_range(struct walk *walk, uint64_t at, uint64_t end, znippy_error **error) {
    struct done *done = NULL;
    size_t count = 0;
    znippy_status status = ZNIPPY_OK;
    while (status == ZNIPPY_OK && at < end) {
        znippy_entry_info info;
        if (count > 0 && done[count - 1].first == at) {
            at = done[--count].end;
            continue;
        }
        status = get(walk, at, &info, error);
        bool directory = status == ZNIPPY_OK && info.kind == ZNIPPY_KIND_DIRECTORY && at + 1 < end;
        char *path = directory ? strdup(info.path) : NULL;
        if (status == ZNIPPY_OK) {
            status = directory && !path ? no_memory() : visit(walk, &info, error);
        }
        struct done below = {0, 0};
        if (status == ZNIPPY_OK && directory) {
            status = find_below(walk, at, path, &below, error);
        }
        free(path);
        if (status == ZNIPPY_OK && below.end > below.first) {
            struct done *grown = realloc(done, (count + 1) * sizeof *grown);
            done = grown ? grown : done;
            status = grown ? visit_range(walk, below.first, below.end, error) : no_memory();
            if (grown) {
                done[count++] = below;
            }
        }
        at++;
    }
    free(done);
    return status;
}

znippy_status tree_walk(const znippy_reader *reader, tree_fn visit_one, void *user_data, znippy_error **error) {
    struct walk walk = {.reader = reader, .visit = visit_one, .user_data = user_data};
    znippy_status status = visit_range(&walk, 0, znippy_reader_entry_count(reader), error);
    znippy_listing_free(walk.listing);
    while (walk.early) {
        struct early *early = *(struct early **)walk.early;
        tdelete(early, &walk.early, by_file);
        free(early->file);
        free(early->name);
        free(early);
    }
    return status;
}
