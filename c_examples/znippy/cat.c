/* cat: one file of an archive to standard output. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4 << 20 };

static znippy_status entry_kind(const znippy_reader *reader, uint64_t index, uint32_t *kind, znippy_error **error) {
    znippy_listing *listing = NULL;
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    znippy_status status = znippy_reader_list(reader, index, 1, &listing, error);
    if (status == ZNIPPY_OK) {
        status = znippy_listing_get(listing, 0, &entry, error);
    }
    znippy_listing_free(listing);
    *kind = entry.kind;
    return status;
}

/* The library checks every slice before it hands out its bytes, so what is written is right as far as it goes. */
static znippy_status copy_out(const znippy_reader *reader, uint64_t index, uint64_t offset, uint64_t length,
                              char *buffer, znippy_error **error) {
    size_t wanted = 0, got = 0;
    do {
        wanted = length < CHUNK ? (size_t)length : CHUNK;
        if (signals_caught()) {
            return ZNIPPY_E_CANCELLED;
        }
        znippy_status status = znippy_reader_read_at(reader, index, offset, buffer, wanted, &got, error);
        if (status != ZNIPPY_OK) {
            return status;
        }
        fwrite(buffer, 1, got, stdout);
        offset += got;
        length -= got;
    } while (got == wanted && length > 0 && output_works());
    return ZNIPPY_OK;
}

static int cat_entry(const znippy_reader *reader, const struct request *request) {
    const char *path = request->operands[1];
    uint64_t index = 0;
    uint32_t kind = 0;
    znippy_error *error = NULL;
    znippy_status status = znippy_reader_find(reader, path, strlen(path), &index, &error);
    if (status == ZNIPPY_OK) {
        status = entry_kind(reader, index, &kind, &error);
    }
    if (status != ZNIPPY_OK) {
        return complain_of(status, error, path);
    }
    if (kind != ZNIPPY_KIND_FILE && kind != ZNIPPY_KIND_HARDLINK) {
        char what[64];
        snprintf(what, sizeof what, "this is a %s and has no bytes", kind_name(kind));
        return complain(CODE_FAILED, path, what, "name a file, 'znippy list -l' shows which are");
    }
    char *buffer = malloc(CHUNK);
    if (!buffer) {
        return complain(CODE_FAILED, path, "out of memory", "end some other programs");
    }
    status = copy_out(reader, index, request->offset, request->length, buffer, &error);
    free(buffer);
    return status == ZNIPPY_OK ? CODE_OK : complain_of(status, error, path);
}

int run_cat(const struct request *request) {
    int code = CODE_OK;
    znippy_reader *reader = open_archive(request, &code);
    if (reader) {
        code = cat_entry(reader, request);
        znippy_reader_free(reader);
    }
    return code;
}
