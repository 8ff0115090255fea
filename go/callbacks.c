#include "callbacks.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

/* ---- from C to Go: the functions with a capital G are Go's, see callbacks.go ---- */

static int32_t on_progress(void *handle, const znippy_progress *progress) {
    return znippyGoProgress((uintptr_t)handle, (znippy_progress *)progress);
}

static void on_log(void *handle, int32_t level, const char *message, size_t message_len) {
    znippyGoLog((uintptr_t)handle, level, (char *)message, message_len);
}

static int32_t on_filter(void *handle, const znippy_entry_info *entry) {
    return znippyGoFilter((uintptr_t)handle, (znippy_entry_info *)entry);
}

static int64_t on_read_at(void *handle, uint64_t offset, void *buffer, size_t len) {
    return znippyGoReadAt((uintptr_t)handle, offset, buffer, len);
}

static void on_release(void *handle) { znippyGoRelease((uintptr_t)handle); }

static int64_t on_write(void *handle, const void *data, size_t len) { return znippyGoWrite((uintptr_t)handle, (void *)data, len); }

static int64_t on_read(void *handle, void *buffer, size_t len) { return znippyGoRead((uintptr_t)handle, buffer, len); }

static int32_t on_wants(void *handle, const char *path, size_t path_len, uint64_t size) {
    return znippyGoWants((uintptr_t)handle, (char *)path, path_len, size);
}

static int32_t on_extract(void *handle, const char *path, size_t path_len, const uint8_t *data, size_t data_len, znippy_row *row) {
    return znippyGoExtract((uintptr_t)handle, (char *)path, path_len, (uint8_t *)data, data_len, row);
}

void zgo_set_progress(znippy_options *options, uintptr_t handle) {
    znippy_options_set_progress(options, on_progress, (void *)handle, NULL);
}

void zgo_set_log(znippy_options *options, uintptr_t handle) {
    znippy_options_set_log(options, ZNIPPY_LOG_INFO, on_log, (void *)handle, NULL);
}

void zgo_set_filter(znippy_options *options, uintptr_t handle) {
    znippy_options_set_filter(options, on_filter, (void *)handle, NULL);
}

znippy_status zgo_add_provider(znippy_options *options, const char *name, int32_t pkg_type, uint32_t flags, const char *names,
                               const uint32_t *types, size_t columns, uintptr_t handle, znippy_error **err) {
    znippy_column *table = calloc(columns ? columns : 1, sizeof *table);
    znippy_provider provider;
    znippy_status status;
    if (!table) {
        *err = NULL;
        return ZNIPPY_E_NO_MEMORY;
    }
    for (size_t i = 0; i < columns; i++) {
        table[i].struct_size = sizeof *table;
        table[i].column_type = types[i];
        table[i].name = names;
        names += strlen(names) + 1;
    }
    memset(&provider, 0, sizeof provider);
    provider.struct_size = sizeof provider;
    provider.flags = flags;
    provider.user_data = (void *)handle;
    provider.name = name;
    provider.pkg_type = pkg_type;
    provider.columns = table;
    provider.column_count = columns;
    provider.wants = on_wants;
    provider.extract = on_extract;
    status = znippy_options_add_provider(options, &provider, err);
    free(table);
    return status;
}

znippy_status zgo_open_source(uintptr_t handle, uint64_t size, const znippy_options *options, znippy_reader **reader_out,
                              znippy_error **err) {
    znippy_source source;
    memset(&source, 0, sizeof source);
    source.struct_size = sizeof source;
    source.flags = ZNIPPY_SOURCE_CONCURRENT;
    source.user_data = (void *)handle;
    source.size = size;
    source.read_at = on_read_at;
    source.release = on_release;
    return znippy_reader_open_source(&source, options, reader_out, err);
}

znippy_status zgo_open_memory(void *data, size_t len, const znippy_options *options, znippy_reader **reader_out,
                              znippy_error **err) {
    return znippy_reader_open_memory(data, len, free, data, options, reader_out, err);
}

znippy_status zgo_create_sink(uintptr_t handle, const znippy_options *options, znippy_writer **writer_out, znippy_error **err) {
    znippy_sink sink;
    memset(&sink, 0, sizeof sink);
    sink.struct_size = sizeof sink;
    sink.user_data = (void *)handle;
    sink.write = on_write;
    return znippy_writer_create_sink(&sink, options, writer_out, err);
}

/* ---- from Go to C ---- */

static znippy_entry_info with_strings(const znippy_entry_info *meta, const char *path, size_t path_len, const char *target,
                                      size_t target_len) {
    znippy_entry_info whole = *meta;
    whole.struct_size = sizeof whole;
    whole.path = path;
    whole.path_len = path_len;
    whole.link_target = target;
    whole.link_target_len = target_len;
    return whole;
}

znippy_status zgo_add_buffer(znippy_writer *writer, const znippy_entry_info *meta, const char *path, size_t path_len,
                             const char *target, size_t target_len, const void *data, size_t len, znippy_error **err) {
    znippy_entry_info whole = with_strings(meta, path, path_len, target, target_len);
    return znippy_writer_add_buffer(writer, &whole, data, len, err);
}

znippy_status zgo_add_stream(znippy_writer *writer, const znippy_entry_info *meta, const char *path, size_t path_len,
                             uintptr_t handle, znippy_error **err) {
    znippy_entry_info whole = with_strings(meta, path, path_len, NULL, 0);
    znippy_stream stream;
    memset(&stream, 0, sizeof stream);
    stream.struct_size = sizeof stream;
    stream.user_data = (void *)handle;
    stream.read = on_read;
    return znippy_writer_add_stream(writer, &whole, &stream, err);
}

znippy_status zgo_list(const znippy_reader *reader, uint64_t first, size_t capacity, znippy_entry_info **infos_out,
                       size_t *count_out, znippy_listing **listing_out, znippy_error **err) {
    znippy_listing *listing = NULL;
    znippy_entry_info *infos = NULL;
    znippy_status status = znippy_reader_list(reader, first, capacity, &listing, err);
    size_t count = znippy_listing_count(listing);
    if (status == ZNIPPY_OK && count > 0) {
        infos = malloc(count * sizeof *infos);
        status = infos ? ZNIPPY_OK : ZNIPPY_E_NO_MEMORY;
    }
    for (size_t i = 0; i < count && status == ZNIPPY_OK; i++) {
        infos[i].struct_size = sizeof *infos;
        status = znippy_listing_get(listing, i, &infos[i], err);
    }
    if (status != ZNIPPY_OK) {
        znippy_listing_free(listing);
        free(infos);
        return status;
    }
    *infos_out = infos;
    *count_out = count;
    *listing_out = listing;
    return ZNIPPY_OK;
}

znippy_status zgo_entry(const znippy_reader *reader, uint64_t index, znippy_entry_info *info_out, znippy_listing **listing_out,
                        znippy_error **err) {
    znippy_status status;
    *listing_out = NULL;
    status = znippy_reader_list(reader, index, 1, listing_out, err);
    if (status == ZNIPPY_OK) {
        info_out->struct_size = sizeof *info_out;
        status = znippy_listing_get(*listing_out, 0, info_out, err);
    }
    if (status != ZNIPPY_OK) {
        znippy_listing_free(*listing_out);
        *listing_out = NULL;
    }
    return status;
}

static znippy_entry_info implied_directory(void) {
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.kind = ZNIPPY_KIND_DIRECTORY;
    info.index = ZNIPPY_UNKNOWN;
    return info;
}

/* The range of what is below a directory, not the directory itself; path_len bytes of path without a slash at the end. */
static znippy_status range_below(const znippy_reader *reader, const char *path, size_t path_len, uint64_t *first, uint64_t *count,
                                 znippy_error **err) {
    char on_stack[512], *below = path_len < sizeof on_stack ? on_stack : malloc(path_len + 1);
    znippy_status status;
    if (!below) {
        *err = NULL;
        return ZNIPPY_E_NO_MEMORY;
    }
    memcpy(below, path, path_len);
    below[path_len] = '/';
    status = znippy_reader_find_prefix(reader, below, path_len + 1, first, count, err);
    if (below != on_stack) {
        free(below);
    }
    return status;
}

znippy_status zgo_lookup(const znippy_reader *reader, const char *path, size_t path_len, znippy_entry_info *info_out,
                         znippy_listing **listing_out, znippy_error **err) {
    uint64_t index = 0, count = 0;
    znippy_status status = znippy_reader_find(reader, path, path_len, &index, err);
    *listing_out = NULL;
    if (status == ZNIPPY_E_NOT_FOUND) {
        znippy_error_free(*err);
        status = range_below(reader, path, path_len, &index, &count, err);
        if (status == ZNIPPY_OK && count == 0) {
            return ZNIPPY_E_NOT_FOUND;
        }
        *info_out = implied_directory();
        return status;
    }
    if (status == ZNIPPY_OK) {
        status = zgo_entry(reader, index, info_out, listing_out, err);
    }
    if (status == ZNIPPY_OK && !info_out->link_target) {
        znippy_listing_free(*listing_out);
        *listing_out = NULL;
        info_out->path = NULL;
    }
    return status;
}

znippy_status zgo_differences(const znippy_diff *diff, uint64_t first, size_t count, znippy_difference *out) {
    znippy_status status = ZNIPPY_OK;
    for (size_t i = 0; status == ZNIPPY_OK && i < count; i++) {
        out[i].struct_size = sizeof out[i];
        status = znippy_diff_get(diff, first + i, &out[i], NULL);
    }
    return status;
}

/* Names that grow at their end. */
struct text {
    char *bytes;
    size_t len, room;
};

static int append(struct text *text, const char *bytes, size_t len) {
    if (len > text->room - text->len) {
        size_t room = 2 * (text->len + len) + 1024;
        char *grown = realloc(text->bytes, room);
        if (!grown) {
            return 0;
        }
        text->bytes = grown;
        text->room = room;
    }
    if (len) {
        memcpy(text->bytes + text->len, bytes, len);
    }
    text->len += len;
    return 1;
}

/* Records that grow at their end, with their names. */
struct records {
    znippy_entry_info *infos;
    size_t count, room;
    struct text text;
};

/* Takes one record over, with its name instead of its path. */
static int take(struct records *records, const znippy_entry_info *info, const char *name, size_t name_len) {
    znippy_entry_info *out;
    if (records->count == records->room) {
        size_t room = 2 * records->room + 16;
        out = realloc(records->infos, room * sizeof *out);
        if (!out) {
            return 0;
        }
        records->infos = out;
        records->room = room;
    }
    if (!append(&records->text, name, name_len) || !append(&records->text, info->link_target, info->link_target_len)) {
        return 0;
    }
    out = &records->infos[records->count++];
    *out = *info;
    out->path = out->link_target = NULL;
    out->path_len = name_len;
    return 1;
}

znippy_status zgo_children(const znippy_reader *reader, const char *below, size_t below_len, uint64_t *next, uint64_t end,
                           size_t capacity, znippy_entry_info **infos_out, size_t *count_out, char **text_out,
                           size_t *text_len_out, znippy_error **err) {
    struct records records = {NULL, 0, 0, {NULL, 0, 0}};
    znippy_listing *listing = NULL;
    uint64_t at = *next, begin = 0;
    /* Small at first and after each directory that is passed over, since most of what comes may lie deeper. */
    size_t batch = 16, listed = 0;
    znippy_status status = ZNIPPY_OK;
    *err = NULL;
    while (at < end && records.count < capacity) {
        znippy_entry_info info;
        const char *name, *slash;
        if (!listing || at - begin >= listed) {
            znippy_listing_free(listing);
            listing = NULL;
            if (batch > end - at) {
                batch = (size_t)(end - at);
            }
            status = znippy_reader_list(reader, at, batch, &listing, err);
            begin = at;
            listed = znippy_listing_count(listing);
            batch = batch < 512 ? batch * 2 : 1024;
            if (status != ZNIPPY_OK || listed == 0) {
                break;
            }
        }
        info.struct_size = sizeof info;
        status = znippy_listing_get(listing, (size_t)(at - begin), &info, err);
        if (status != ZNIPPY_OK) {
            break;
        }
        if (info.path_len <= below_len || memcmp(info.path, below, below_len) != 0) {
            at++;
            continue;
        }
        name = info.path + below_len;
        slash = memchr(name, '/', info.path_len - below_len);
        if (!slash) {
            if (!take(&records, &info, name, info.path_len - below_len)) {
                status = ZNIPPY_E_NO_MEMORY;
                break;
            }
            at++;
            continue;
        }
        /* Deeper: a directory of its own, which has an entry or is implied. All that is below it is passed over. */
        uint64_t index = 0, first = 0, deeper = 0;
        status = znippy_reader_find(reader, info.path, (size_t)(slash - info.path), &index, err);
        if (status == ZNIPPY_E_NOT_FOUND) {
            znippy_entry_info implied = implied_directory();
            znippy_error_free(*err);
            *err = NULL;
            status = ZNIPPY_OK;
            if (!take(&records, &implied, name, (size_t)(slash - name))) {
                status = ZNIPPY_E_NO_MEMORY;
            }
        }
        if (status == ZNIPPY_OK) {
            status = range_below(reader, info.path, (size_t)(slash - info.path), &first, &deeper, err);
        }
        if (status != ZNIPPY_OK) {
            break;
        }
        if (first + deeper - begin >= listed) {
            batch = 16;
        }
        at = first + deeper > at ? first + deeper : at + 1;
    }
    znippy_listing_free(listing);
    if (status != ZNIPPY_OK) {
        free(records.text.bytes);
        free(records.infos);
        return status;
    }
    *next = at;
    *infos_out = records.infos;
    *count_out = records.count;
    *text_out = records.text.bytes;
    *text_len_out = records.text.len;
    return ZNIPPY_OK;
}
