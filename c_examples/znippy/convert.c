/* convert: an archive of one format into one of another, entry by entry, through a reader and a writer. */
#include "cli.h"

#include <string.h>

enum { PAGE = 1024, DIGEST = 32 };

/* A file on its way from the reader to the writer. */
struct flow {
    const znippy_reader *reader;
    uint64_t index, offset;
    znippy_error *error; /* why it can't be read */
};

static int64_t flow_read(void *user_data, void *buffer, size_t len) {
    struct flow *flow = user_data;
    size_t got = 0;
    znippy_status status = znippy_reader_read_at(flow->reader, flow->index, flow->offset, buffer, len, &got, &flow->error);
    flow->offset += got;
    return status == ZNIPPY_OK ? (int64_t)got : status;
}

static znippy_status pass_file(const znippy_reader *reader, znippy_writer *writer, const znippy_entry_info *entry,
                               znippy_error **error) {
    struct flow flow = {.reader = reader, .index = entry->index};
    znippy_stream stream = {.struct_size = sizeof stream, .user_data = &flow, .read = flow_read};
    znippy_status status = znippy_writer_add_stream(writer, entry, &stream, error);
    if (status != ZNIPPY_OK && flow.error) { /* the reader's own words say more */
        znippy_error_free(*error);
        *error = flow.error;
        flow.error = NULL;
    }
    znippy_error_free(flow.error);
    return status;
}

static znippy_status pass_page(const znippy_reader *reader, znippy_writer *writer, const znippy_listing *listing,
                               uint64_t *unverified, znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    for (size_t i = 0; status == ZNIPPY_OK && i < znippy_listing_count(listing); i++) {
        status = znippy_listing_get(listing, i, &entry, error);
        if (status != ZNIPPY_OK) {
            break;
        }
        *unverified += (entry.flags & ZNIPPY_ENTRY_UNVERIFIED) != 0;
        status = entry.kind == ZNIPPY_KIND_FILE ? pass_file(reader, writer, &entry, error)
                                                : znippy_writer_add_buffer(writer, &entry, NULL, 0, error);
    }
    return status;
}

static znippy_status pass_all(const znippy_reader *reader, znippy_writer *writer, uint64_t entries,
                              uint64_t *unverified, znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    for (uint64_t first = 0; status == ZNIPPY_OK && first < entries; first += PAGE) {
        znippy_listing *listing = NULL;
        status = znippy_reader_list(reader, first, PAGE, &listing, error);
        if (status == ZNIPPY_OK) {
            status = pass_page(reader, writer, listing, unverified, error);
        }
        znippy_listing_free(listing);
    }
    return status;
}

/* The other format than the archive has, unless --profile says which. */
static znippy_status choose_format(const struct request *request, const znippy_archive_info *info,
                                   znippy_error **error) {
    if (request->chosen[ZNIPPY_OPT_PROFILE]) {
        return ZNIPPY_OK;
    }
    int64_t profile = info->format_version == 3 ? ZNIPPY_PROFILE_V4 : ZNIPPY_PROFILE_V3;
    return znippy_options_set_i64(request->options, ZNIPPY_OPT_PROFILE, profile, error);
}

static znippy_status write_other(const struct request *request, const znippy_reader *reader, uint64_t entries,
                                 znippy_stats *stats, znippy_error **error) {
    znippy_writer *writer = NULL;
    uint64_t unverified = 0;
    znippy_status status = znippy_writer_create(request->operands[1], request->options, &writer, error);
    if (status == ZNIPPY_OK) {
        status = pass_all(reader, writer, entries, &unverified, error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
        stats->unverified = unverified;
    }
    znippy_writer_free(writer);
    return status;
}

static znippy_status print_digest(const struct request *request, znippy_error **error) {
    znippy_reader *reader = NULL;
    uint8_t digest[DIGEST];
    znippy_status status = znippy_reader_open(request->operands[1], NULL, &reader, error);
    if (status == ZNIPPY_OK) {
        status = znippy_reader_tree_digest(reader, digest, error);
    }
    if (status == ZNIPPY_OK) {
        fputs("tree digest ", stdout);
        put_hex(stdout, digest, DIGEST);
        putchar('\n');
    }
    znippy_reader_free(reader);
    return status;
}

znippy_status convert_archive(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_reader *reader = NULL;
    znippy_archive_info info = {.struct_size = sizeof info};
    znippy_status status = znippy_reader_open(request->operands[0], NULL, &reader, error);
    if (status == ZNIPPY_OK) {
        status = znippy_reader_info(reader, &info, error);
    }
    if (status == ZNIPPY_OK) {
        status = choose_format(request, &info, error);
    }
    if (status == ZNIPPY_OK) {
        status = write_other(request, reader, info.entries, stats, error);
    }
    znippy_reader_free(reader);
    return status == ZNIPPY_OK && !request_has(request, FLAG_JSON) ? print_digest(request, error) : status;
}
