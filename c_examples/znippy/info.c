/* info: what an archive is, without decoding its files. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, KINDS = 8, DIGEST = 32 };

struct facts {
    znippy_archive_info archive;
    uint8_t tree_digest[DIGEST];
    uint64_t kinds[KINDS + 1]; /* the last counts kinds of later versions */
    uint64_t size;             /* original bytes; a hard link's bytes count once */
};

static void count_page(const znippy_listing *listing, struct facts *facts) {
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    for (size_t i = 0; i < znippy_listing_count(listing); i++) {
        if (znippy_listing_get(listing, i, &entry, NULL) != ZNIPPY_OK) {
            continue; /* only a wrong argument fails here */
        }
        facts->kinds[entry.kind < KINDS ? entry.kind : KINDS]++;
        facts->size += entry.kind == ZNIPPY_KIND_FILE ? entry.size : 0;
    }
}

static znippy_status count_entries(const znippy_reader *reader, struct facts *facts, znippy_error **error) {
    for (uint64_t first = 0; first < facts->archive.entries; first += PAGE) {
        if (signals_caught()) {
            return ZNIPPY_E_CANCELLED;
        }
        znippy_listing *listing = NULL;
        znippy_status status = znippy_reader_list(reader, first, PAGE, &listing, error);
        if (status != ZNIPPY_OK) {
            return status;
        }
        count_page(listing, facts);
        znippy_listing_free(listing);
    }
    return ZNIPPY_OK;
}

static znippy_status gather(const znippy_reader *reader, struct facts *facts, znippy_error **error) {
    memset(facts, 0, sizeof *facts);
    facts->archive.struct_size = sizeof facts->archive;
    znippy_status status = znippy_reader_info(reader, &facts->archive, error);
    if (status == ZNIPPY_OK) {
        status = znippy_reader_tree_digest(reader, facts->tree_digest, error);
    }
    return status == ZNIPPY_OK ? count_entries(reader, facts, error) : status;
}

static double ratio(const struct facts *facts) {
    return facts->archive.archive_size ? (double)facts->size / (double)facts->archive.archive_size : 0.0;
}

static uint64_t specials(const struct facts *facts) {
    uint64_t sum = 0;
    for (int kind = ZNIPPY_KIND_FIFO; kind <= KINDS; kind++) {
        sum += facts->kinds[kind];
    }
    return sum;
}

/* What stands in the archive under a name, or NULL. */
static const char *metadata(const znippy_reader *reader, const char *name) {
    const char *value = NULL;
    return znippy_reader_metadata(reader, name, &value) == ZNIPPY_OK ? value : NULL;
}

static void put_digest(const char *label, const uint8_t digest[DIGEST]) {
    printf("%-16s", label);
    put_hex(stdout, digest, DIGEST);
    putchar('\n');
}

static void put_size(const char *label, uint64_t bytes) {
    char text[SIZE_TEXT];
    printf("%-16s%" PRIu64 " (%s)\n", label, bytes, size_text(bytes, text));
}

static void put_options(const znippy_reader *reader) {
    printf("%-16s", "options");
    for (uint32_t key = 1; key < OPTIONS_END; key++) {
        const char *value = znippy_option_name(key) ? metadata(reader, znippy_option_name(key)) : NULL;
        if (value) {
            printf("%s=", znippy_option_name(key));
            put_escaped(stdout, value, strlen(value));
            putchar(' ');
        }
    }
    putchar('\n');
}

static void put_text(const znippy_reader *reader, const struct facts *facts) {
    const znippy_archive_info *archive = &facts->archive;
    const char *zstd = metadata(reader, "zstd_version");
    printf("%-16s%" PRIu32 "\n", "format", archive->format_version);
    put_digest("archive digest", archive->archive_digest);
    put_digest("tree digest", facts->tree_digest);
    printf("%-16s%" PRIu64 " (%" PRIu64 " files, %" PRIu64 " directories, %" PRIu64 " symbolic links, %" PRIu64
           " hard links, %" PRIu64 " others)\n",
           "entries", archive->entries, facts->kinds[ZNIPPY_KIND_FILE], facts->kinds[ZNIPPY_KIND_DIRECTORY],
           facts->kinds[ZNIPPY_KIND_SYMLINK], facts->kinds[ZNIPPY_KIND_HARDLINK], specials(facts));
    put_size("size", facts->size);
    put_size("archive size", archive->archive_size);
    put_size("payload", archive->payload_size);
    put_size("index", archive->index_size);
    printf("%-16s%.3f\n", "ratio", ratio(facts));
    printf("%-16s%" PRIu64 "\n%-16s%" PRIu64 "\n", "blobs", archive->blobs, "segments", archive->segments);
    if (zstd) {
        printf("%-16s%s\n", "zstd", zstd);
    }
    put_options(reader);
}

/* Options are numbers as a rule; what is not is written as a string. */
static void put_json_option(struct json *json, const char *name, const char *value) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0') {
        json_key(json, name);
        fprintf(json->out, "%lld", number);
    } else {
        json_text(json, name, value, strlen(value));
    }
}

static void put_json_options(const znippy_reader *reader, FILE *out) {
    struct json json = {.out = out, .began = false};
    putc('{', out);
    for (uint32_t key = 1; key < OPTIONS_END; key++) {
        const char *value = znippy_option_name(key) ? metadata(reader, znippy_option_name(key)) : NULL;
        if (value) {
            put_json_option(&json, znippy_option_name(key), value);
        }
    }
    putc('}', out);
}

static void put_json(const znippy_reader *reader, const struct facts *facts, const char *name) {
    const znippy_archive_info *archive = &facts->archive;
    const char *zstd = metadata(reader, "zstd_version");
    struct json json;
    json_open(&json, stdout);
    json_text(&json, "archive", name, strlen(name));
    json_u64(&json, "format_version", archive->format_version);
    json_hex(&json, "archive_digest", archive->archive_digest, DIGEST);
    json_hex(&json, "tree_digest", facts->tree_digest, DIGEST);
    json_u64(&json, "entries", archive->entries);
    json_u64(&json, "files", facts->kinds[ZNIPPY_KIND_FILE]);
    json_u64(&json, "directories", facts->kinds[ZNIPPY_KIND_DIRECTORY]);
    json_u64(&json, "symlinks", facts->kinds[ZNIPPY_KIND_SYMLINK]);
    json_u64(&json, "hardlinks", facts->kinds[ZNIPPY_KIND_HARDLINK]);
    json_u64(&json, "specials", specials(facts));
    json_u64(&json, "size", facts->size);
    json_u64(&json, "archive_size", archive->archive_size);
    json_u64(&json, "payload_size", archive->payload_size);
    json_u64(&json, "index_size", archive->index_size);
    json_real(&json, "ratio", ratio(facts));
    json_u64(&json, "blobs", archive->blobs);
    json_u64(&json, "segments", archive->segments);
    if (zstd) {
        json_text(&json, "zstd_version", zstd, strlen(zstd));
    }
    json_key(&json, "options");
    put_json_options(reader, stdout);
    json_close(&json);
}

int run_info(const struct request *request) {
    int code = CODE_OK;
    znippy_reader *reader = open_archive(request, &code);
    if (!reader) {
        return code;
    }
    struct facts facts;
    znippy_error *error = NULL;
    znippy_status status = gather(reader, &facts, &error);
    if (status != ZNIPPY_OK) {
        code = complain_of(status, error, request->operands[0]);
    } else if (request_has(request, FLAG_JSON)) {
        put_json(reader, &facts, request->operands[0]);
    } else {
        put_text(reader, &facts);
    }
    znippy_reader_free(reader);
    return code;
}
