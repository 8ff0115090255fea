/* Entries of another archive into a writer, as unpacking it and packing the tree would have it. */
#include "foreign.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* An entry that is neither file nor directory. */
struct special {
    char *path;
    char *target; /* or NULL */
    znippy_entry_info info;
};

static znippy_status no_memory(void) {
    return job_fail(ZNIPPY_E_NO_MEMORY, "convert", "out of memory");
}

static int by_path(const void *left, const void *right) {
    const struct special *a = left, *b = right;
    return strcmp(a->path, b->path);
}

static void special_free(void *special) {
    struct special *it = special;
    free(it->path);
    free(it->target);
    free(it);
}

static struct special *find_special(struct import *import, const char *path) {
    struct special wanted = {.path = (char *)path};
    struct special **found = tfind(&wanted, &import->specials, by_path);
    return found ? *found : NULL;
}

static void forget_special(struct import *import, const char *path) {
    struct special *known = find_special(import, path);
    if (known) {
        tdelete(known, &import->specials, by_path);
        special_free(known);
    }
}

static znippy_status remember_special(struct import *import, const znippy_entry_info *info) {
    struct special *special = calloc(1, sizeof *special);
    if (!special) {
        return no_memory();
    }
    special->info = *info;
    special->path = strdup(info->path);
    special->target = info->link_target ? strdup(info->link_target) : NULL;
    if (!special->path || (info->link_target && !special->target) || !tsearch(special, &import->specials, by_path)) {
        special_free(special);
        return no_memory();
    }
    return ZNIPPY_OK;
}

/* Takes off what means nothing: a leading "/", "." and empty components. Whether ".." is there is the library's to say. */
static znippy_status clean(struct import *import, const char *name, char **place, size_t *len_out) {
    size_t len = 0;
    free(*place);
    *place = malloc(strlen(name) + 1);
    if (!*place) {
        return no_memory();
    }
    if (name[0] == '/' && !import->told_absolute) {
        import->told_absolute = true;
        job_note(name, "is absolute; the leading '/' is taken off all names");
    }
    while (*name) {
        size_t step = strcspn(name, "/");
        bool means = step > 0 && !(step == 1 && name[0] == '.');
        if (means && len > 0) {
            (*place)[len++] = '/';
        }
        if (means) {
            memcpy(*place + len, name, step);
            len += step;
        }
        name += step;
        name += *name == '/';
    }
    (*place)[len] = '\0';
    *len_out = len;
    return ZNIPPY_OK;
}

static znippy_status add_without_bytes(struct import *import, const znippy_entry_info *info, znippy_error **error) {
    return znippy_writer_add_buffer(import->writer, info, NULL, 0, error);
}

/* The root of the tree is no entry; it needs a mode. */
static znippy_status add_root(struct import *import, const char *name, znippy_entry_info *info, znippy_error **error) {
    if (info->kind != ZNIPPY_KIND_DIRECTORY) {
        return job_fail(ZNIPPY_E_UNSAFE_PATH, name, "is no directory, and names the root of the tree");
    }
    info->mode = info->flags & ZNIPPY_ENTRY_HAS_MODE ? info->mode : 0755;
    info->flags |= ZNIPPY_ENTRY_HAS_MODE;
    return add_without_bytes(import, info, error);
}

/* A hard link to what is no file becomes another such entry: this format has hard links of files alone. */
znippy_status import_link(struct import *import, znippy_entry_info *info, znippy_error **error) {
    const struct special *special = find_special(import, info->link_target);
    if (!special) {
        forget_special(import, info->path);
        return add_without_bytes(import, info, error);
    }
    if (strcmp(special->path, info->path) == 0) {
        return ZNIPPY_OK; /* it is there */
    }
    znippy_entry_info copy = special->info;
    copy.path = info->path;
    copy.path_len = info->path_len;
    copy.link_target = special->target;
    forget_special(import, info->path);
    znippy_status status = add_without_bytes(import, &copy, error);
    return status == ZNIPPY_OK ? remember_special(import, &copy) : status;
}

static znippy_status add_or_keep_link(struct import *import, znippy_entry_info *info, znippy_error **error) {
    znippy_status status = clean(import, info->link_target, &import->target, &info->link_target_len);
    if (status != ZNIPPY_OK) {
        return status;
    }
    info->link_target = import->target;
    status = import_link(import, info, error);
    if (status != ZNIPPY_E_INVALID_ARGUMENT) {
        return status;
    }
    znippy_error_free(*error);
    *error = NULL;
    return late_keep(import, info);
}

znippy_status import_entry(struct import *import, znippy_entry_info *info, uint64_t size, const znippy_stream *bytes,
                           znippy_error **error) {
    const char *name = info->path;
    znippy_status status = clean(import, name, &import->path, &info->path_len);
    if (status == ZNIPPY_OK) {
        status = limits_admit(&import->limits, import->path, size);
    }
    if (status != ZNIPPY_OK) {
        return status;
    }
    info->path = import->path;
    late_forget(import, info->path);
    if (info->path_len == 0) {
        return add_root(import, name, info, error);
    }
    if (info->kind == ZNIPPY_KIND_HARDLINK) {
        return add_or_keep_link(import, info, error);
    }
    forget_special(import, info->path);
    if (info->kind == ZNIPPY_KIND_FILE) {
        return znippy_writer_add_stream(import->writer, info, bytes, error);
    }
    status = add_without_bytes(import, info, error);
    return status == ZNIPPY_OK && info->kind != ZNIPPY_KIND_DIRECTORY ? remember_special(import, info) : status;
}

znippy_status import_end(struct import *import, znippy_error **error) {
    return late_add(import, error);
}

void import_begin(struct import *import, const struct request *request, uint64_t archive_size, znippy_writer *writer) {
    int64_t owners = 0, xattrs = 0;
    memset(import, 0, sizeof *import);
    znippy_options_get_i64(request->options, ZNIPPY_OPT_RECORD_IDS, &owners, NULL);
    znippy_options_get_i64(request->options, ZNIPPY_OPT_XATTRS, &xattrs, NULL);
    limits_begin(&import->limits, request, archive_size);
    import->writer = writer;
    import->owners = owners != 0;
    import->xattrs = xattrs != 0;
}

void import_free(struct import *import) {
    while (import->specials) {
        struct special *special = *(struct special **)import->specials;
        tdelete(special, &import->specials, by_path);
        special_free(special);
    }
    late_free(import);
    free(import->path);
    free(import->target);
}
