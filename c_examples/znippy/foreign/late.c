/* Hard links that came before their file: kept until all entries are there, then added. A link may name a link that comes
 * behind it, in any order and to any depth; each is tried twice at most. */
#include "foreign.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct late {
    char *path, *target;
    znippy_entry_info info;
    size_t number; /* in order of coming */
    bool settled;  /* added, or another entry has its path by now */
};

static znippy_status no_memory(void) {
    return job_fail(ZNIPPY_E_NO_MEMORY, "convert", "out of memory");
}

static int by_path(const void *left, const void *right) {
    const struct late *a = left, *b = right;
    return strcmp(a->path, b->path);
}

static int by_target(const void *left, const void *right) {
    const struct late *a = *(struct late *const *)left, *b = *(struct late *const *)right;
    int order = strcmp(a->target, b->target);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

void late_forget(struct import *import, const char *path) {
    struct late wanted = {.path = (char *)path};
    struct late **found = tfind(&wanted, &import->late_names, by_path);
    if (found) {
        struct late *late = *found;
        tdelete(late, &import->late_names, by_path);
        late->settled = true;
    }
}

znippy_status late_keep(struct import *import, const znippy_entry_info *info) {
    if (import->late_count == import->late_room) {
        size_t room = 2 * import->late_room + 16;
        struct late **grown = realloc(import->late, room * sizeof *grown);
        if (!grown) {
            return no_memory();
        }
        import->late = grown;
        import->late_room = room;
    }
    late_forget(import, info->path);
    struct late *late = calloc(1, sizeof *late);
    if (!late) {
        return no_memory();
    }
    late->info = *info;
    late->number = import->late_count;
    late->path = strdup(info->path);
    late->target = strdup(info->link_target);
    import->late[import->late_count++] = late;
    return late->path && late->target && tsearch(late, &import->late_names, by_path) ? ZNIPPY_OK : no_memory();
}

static znippy_status try_one(struct import *import, struct late *late, znippy_error **error) {
    late->info.path = late->path;
    late->info.link_target = late->target;
    znippy_error_free(*error);
    *error = NULL;
    znippy_status status = import_link(import, &late->info, error);
    late->settled = status == ZNIPPY_OK;
    return status;
}

/* Where the links to a path begin, among those in order of target. */
static size_t first_to(const struct import *import, const char *path) {
    size_t low = 0, high = import->late_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(import->late[middle]->target, path) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds a link, and then those that have waited for it. */
static znippy_status settle(struct import *import, struct late *late, struct late **waiting, znippy_error **error) {
    size_t count = 0;
    znippy_status status = try_one(import, late, error);
    if (status == ZNIPPY_OK) {
        waiting[count++] = late;
    }
    while (count > 0) {
        const char *path = waiting[--count]->path;
        for (size_t i = first_to(import, path); i < import->late_count && strcmp(import->late[i]->target, path) == 0; i++) {
            if (!import->late[i]->settled) {
                status = try_one(import, import->late[i], error);
                if (status != ZNIPPY_OK) {
                    return status;
                }
                waiting[count++] = import->late[i];
            }
        }
    }
    return status;
}

znippy_status late_add(struct import *import, znippy_error **error) {
    struct late **waiting = import->late_count ? calloc(import->late_count, sizeof(struct late *)) : NULL;
    struct late *lost = NULL;
    znippy_status status = import->late_count && !waiting ? no_memory() : ZNIPPY_OK;
    if (import->late_count) {
        qsort(import->late, import->late_count, sizeof(struct late *), by_target);
    }
    for (size_t i = 0; status == ZNIPPY_OK && i < import->late_count; i++) {
        if (!import->late[i]->settled) {
            status = settle(import, import->late[i], waiting, error);
            status = status == ZNIPPY_E_INVALID_ARGUMENT ? ZNIPPY_OK : status;
        }
    }
    for (size_t i = 0; status == ZNIPPY_OK && i < import->late_count; i++) {
        struct late *late = import->late[i];
        lost = !late->settled && (!lost || late->number < lost->number) ? late : lost;
    }
    if (lost) {
        status = try_one(import, lost, error); /* for its words */
    } else if (status == ZNIPPY_OK) {
        znippy_error_free(*error);
        *error = NULL;
    }
    free(waiting);
    return status;
}

void late_free(struct import *import) {
    while (import->late_names) {
        tdelete(*(struct late **)import->late_names, &import->late_names, by_path);
    }
    for (size_t i = 0; i < import->late_count; i++) {
        free(import->late[i]->path);
        free(import->late[i]->target);
        free(import->late[i]);
    }
    free(import->late);
}
