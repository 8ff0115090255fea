/* cat: one file of an archive to standard output; unpack --to-stdout: many, in the order of the archive. */
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

/* Bytes of decoded blocks that are kept, so that files that share one find it: two of the biggest blocks there are. */
enum { CACHE = 160 << 20, PAGE = 1024 };

static znippy_status copy_page(const znippy_reader *reader, uint64_t first, size_t count, struct selection *selections,
                               int selection_count, char *buffer, znippy_error **error) {
    znippy_listing *listing = NULL;
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    znippy_status status = znippy_reader_list(reader, first, count, &listing, error);
    for (size_t i = 0; status == ZNIPPY_OK && i < znippy_listing_count(listing) && output_works(); i++) {
        status = znippy_listing_get(listing, i, &entry, error);
        bool meant = selection_count == 0 || selections_mean(selections, selection_count, &entry);
        if (status == ZNIPPY_OK && meant && (entry.kind == ZNIPPY_KIND_FILE || entry.kind == ZNIPPY_KIND_HARDLINK)) {
            status = copy_out(reader, entry.index, 0, UINT64_MAX, buffer, error);
        }
    }
    znippy_listing_free(listing);
    return status;
}

static znippy_status copy_chosen(const znippy_reader *reader, struct selection *selections, int selection_count,
                                 char *buffer, znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    uint64_t first = 0, total = znippy_reader_entry_count(reader);
    while (status == ZNIPPY_OK && output_works()) {
        uint64_t left = selection_count == 0 ? total - first : selections_next(selections, selection_count, &first);
        if (left == 0) {
            break;
        }
        size_t page = left < PAGE ? (size_t)left : PAGE;
        status = copy_page(reader, first, page, selections, selection_count, buffer, error);
        first += page;
    }
    return status;
}

static int copy_selected(const znippy_reader *reader, const struct request *request, struct selection *selections,
                         char *buffer) {
    int count = request->operand_count - 1, code = CODE_OK;
    znippy_error *error = NULL;
    znippy_status status = selections_find(reader, request->operands + 1, count, selections, &error);
    if (status == ZNIPPY_OK) {
        status = copy_chosen(reader, selections, count, buffer, &error);
    }
    if (status != ZNIPPY_OK) {
        return complain_of(status, error, request->operands[0]);
    }
    for (int i = 0; i < count && output_works(); i++) {
        if (!selections[i].found) {
            code = complain(CODE_FAILED, selections[i].word, "no such entry, and no name matches it",
                            "'znippy list ARCHIVE' shows them all");
        }
    }
    return code;
}

int run_to_stdout(const struct request *request) {
    int code = CODE_OK;
    znippy_options_set_i64(request->options, ZNIPPY_OPT_CACHE_SIZE, CACHE, NULL);
    znippy_reader *reader = open_archive(request, &code);
    if (!reader) {
        return code;
    }
    struct selection *selections = calloc((size_t)request->operand_count, sizeof *selections);
    char *buffer = malloc(CHUNK);
    if (selections && buffer) {
        code = copy_selected(reader, request, selections, buffer);
    } else {
        code = complain(CODE_FAILED, request->operands[0], "out of memory", "end some other programs");
    }
    free(buffer);
    free(selections);
    znippy_reader_free(reader);
    return code;
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
