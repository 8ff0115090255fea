/* Which entries of an archive the words of a command line mean. */
#include "cli.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* The entries at and below a name. Other names may stand between the two, as "a-b" between "a" and "a/b". */
static znippy_status find_name(const znippy_reader *reader, struct selection *selection, znippy_error **error) {
    uint64_t count = 0;
    size_t len = strlen(selection->word);
    while (len > 1 && selection->word[len - 1] == '/') {
        len--;
    }
    char *below = malloc(len + 2);
    if (!below) {
        return ZNIPPY_E_NO_MEMORY;
    }
    memcpy(below, selection->word, len);
    memcpy(below + len, "/", 2);
    selection->itself = UINT64_MAX;
    znippy_status status = znippy_reader_find(reader, below, len, &selection->itself, error);
    if (status == ZNIPPY_E_NOT_FOUND) {
        znippy_error_free(*error);
        *error = NULL;
        status = ZNIPPY_OK;
    }
    if (status == ZNIPPY_OK) {
        status = znippy_reader_find_prefix(reader, below, len + 1, &selection->first, &count, error);
    }
    if (status == ZNIPPY_E_INVALID_ARGUMENT) { /* no name of an entry, such as "../x": it names nothing */
        znippy_error_free(*error);
        *error = NULL;
        status = ZNIPPY_OK;
    }
    free(below);
    selection->end = selection->first + count;
    selection->found = selection->itself != UINT64_MAX || count > 0;
    return status;
}

/* What comes before the first special character, up to a slash, must be there word for word: only what lies below
 * that directory can match. */
static znippy_status find_glob_range(const znippy_reader *reader, struct selection *selection, znippy_error **error) {
    uint64_t count = 0;
    size_t len = strcspn(selection->word, "*?[\\");
    while (len > 0 && selection->word[len - 1] != '/') {
        len--;
    }
    znippy_status status = znippy_reader_find_prefix(reader, selection->word, len, &selection->first, &count, error);
    if (status == ZNIPPY_E_INVALID_ARGUMENT) {
        znippy_error_free(*error);
        *error = NULL;
        status = ZNIPPY_OK;
    }
    selection->end = selection->first + count;
    return status;
}

znippy_status selections_find(const znippy_reader *reader, char **words, int count, struct selection *selections,
                              znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    for (int i = 0; i < count && status == ZNIPPY_OK; i++) {
        struct selection *selection = &selections[i];
        memset(selection, 0, sizeof *selection);
        selection->word = words[i];
        status = find_name(reader, selection, error);
        /* Names with special characters are names first. */
        if (status == ZNIPPY_OK && !selection->found && strpbrk(selection->word, "*?[\\")) {
            selection->glob = true;
            status = find_glob_range(reader, selection, error);
        }
    }
    return status;
}

static bool means(const struct selection *selection, const znippy_entry_info *entry) {
    if (entry->index == selection->itself) {
        return true;
    }
    if (entry->index < selection->first || entry->index >= selection->end) {
        return false;
    }
    return !selection->glob || fnmatch(selection->word, entry->path, FNM_PATHNAME) == 0;
}

bool selections_mean(struct selection *selections, int count, const znippy_entry_info *entry) {
    bool meant = false;
    for (int i = 0; i < count; i++) {
        if (means(&selections[i], entry)) {
            selections[i].found = true;
            meant = true;
        }
    }
    return meant;
}

/* The nearer of what was found so far and of the range [first, end), as far as that lies behind `from`. */
static void take_nearer(uint64_t first, uint64_t end, uint64_t from, uint64_t *nearest, uint64_t *stop) {
    uint64_t begin = first > from ? first : from;
    if (begin < end && begin < *nearest) {
        *nearest = begin;
        *stop = end;
    }
}

uint64_t selections_next(const struct selection *selections, int count, uint64_t *from) {
    uint64_t nearest = UINT64_MAX, stop = UINT64_MAX;
    for (int i = 0; i < count; i++) {
        const struct selection *selection = &selections[i];
        take_nearer(selection->first, selection->end, *from, &nearest, &stop);
        if (selection->itself != UINT64_MAX) {
            take_nearer(selection->itself, selection->itself + 1, *from, &nearest, &stop);
        }
    }
    *from = nearest;
    return stop - nearest;
}
