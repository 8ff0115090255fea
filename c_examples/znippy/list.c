/* list: the names in an archive, for people, for pipes and as JSON. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096 }; /* entries that are asked for at once */

/* How names are written. */
struct style {
    bool json, details, escape;
    char end;
};

/* Which of them are. */
struct choice {
    struct selection *selections;
    int count; /* 0: all */
};

static void put_name(const struct style *style, const char *name, size_t len) {
    if (style->escape) {
        put_escaped(stdout, name, len);
    } else {
        fwrite(name, 1, len, stdout);
    }
}

static void mode_text(const znippy_entry_info *entry, char text[11]) {
    static const char KINDS[] = "-dlhpcbs";
    static const char BITS[] = "rwxrwxrwx";
    text[0] = entry->kind < sizeof KINDS - 1 ? KINDS[entry->kind] : '?';
    for (int i = 0; i < 9; i++) {
        bool set = (entry->mode >> (8 - i)) & 1;
        text[1 + i] = !(entry->flags & ZNIPPY_ENTRY_HAS_MODE) ? '?' : set ? BITS[i] : '-';
    }
    if (entry->mode & 04000) {
        text[3] = text[3] == 'x' ? 's' : 'S';
    }
    if (entry->mode & 02000) {
        text[6] = text[6] == 'x' ? 's' : 'S';
    }
    if (entry->mode & 01000) {
        text[9] = text[9] == 'x' ? 't' : 'T';
    }
    text[10] = '\0';
}

static void put_details(const znippy_entry_info *entry) {
    char mode[11], time[TIME_TEXT];
    mode_text(entry, mode);
    bool has_time = entry->flags & ZNIPPY_ENTRY_HAS_MTIME;
    printf("%s %12" PRIu64 " %12" PRIu64 " %20s ", mode, entry->size, entry->stored_size,
           has_time ? time_text(entry->mtime_ns, false, time) : "-");
}

static void put_plain(const znippy_entry_info *entry, const struct style *style) {
    if (style->details) {
        put_details(entry);
    }
    put_name(style, entry->path, entry->path_len);
    if (style->details && entry->link_target) {
        fputs(" -> ", stdout);
        put_name(style, entry->link_target, entry->link_target_len);
    }
    putchar(style->end);
}

static void put_attributes(struct json *json, const znippy_entry_info *entry) {
    char text[TIME_TEXT];
    if (entry->flags & ZNIPPY_ENTRY_HAS_MODE) {
        snprintf(text, sizeof text, "%04o", (unsigned)entry->mode);
        json_text(json, "mode", text, strlen(text));
    }
    if (entry->flags & ZNIPPY_ENTRY_HAS_MTIME) {
        time_text(entry->mtime_ns, true, text);
        json_text(json, "mtime", text, strlen(text));
    }
    if (entry->flags & ZNIPPY_ENTRY_HAS_UID) {
        json_u64(json, "uid", entry->uid);
    }
    if (entry->flags & ZNIPPY_ENTRY_HAS_GID) {
        json_u64(json, "gid", entry->gid);
    }
    if (entry->flags & ZNIPPY_ENTRY_HAS_RDEV) {
        json_u64(json, "rdev", entry->rdev);
    }
    if (entry->flags & ZNIPPY_ENTRY_HAS_HASH) {
        json_hex(json, "blake3", entry->hash, sizeof entry->hash);
    }
}

static void put_json(const znippy_entry_info *entry) {
    struct json json;
    const char *kind = kind_name(entry->kind);
    json_open(&json, stdout);
    json_text(&json, "path", entry->path, entry->path_len);
    json_text(&json, "kind", kind, strlen(kind));
    json_u64(&json, "size", entry->size);
    json_u64(&json, "stored_size", entry->stored_size);
    put_attributes(&json, entry);
    if (entry->link_target) {
        json_text(&json, "link_target", entry->link_target, entry->link_target_len);
    }
    json_u64(&json, "slices", entry->slice_count);
    json_close(&json);
}

static znippy_status put_page(const znippy_listing *listing, const struct style *style, const struct choice *choice,
                              znippy_error **error) {
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    for (size_t i = 0; i < znippy_listing_count(listing) && output_works(); i++) {
        znippy_status status = znippy_listing_get(listing, i, &entry, error);
        if (status != ZNIPPY_OK) {
            return status;
        }
        if (choice->count > 0 && !selections_mean(choice->selections, choice->count, &entry)) {
            continue;
        }
        if (style->json) {
            put_json(&entry);
        } else {
            put_plain(&entry, style);
        }
    }
    return ZNIPPY_OK;
}

static znippy_status put_range(const znippy_reader *reader, uint64_t first, uint64_t count, const struct style *style,
                               const struct choice *choice, znippy_error **error) {
    while (count > 0 && output_works()) {
        if (signals_caught()) {
            return ZNIPPY_E_CANCELLED;
        }
        size_t page = count < PAGE ? (size_t)count : PAGE;
        znippy_listing *listing = NULL;
        znippy_status status = znippy_reader_list(reader, first, page, &listing, error);
        if (status == ZNIPPY_OK) {
            status = put_page(listing, style, choice, error);
        }
        znippy_listing_free(listing);
        if (status != ZNIPPY_OK) {
            return status;
        }
        first += page;
        count -= page;
    }
    return ZNIPPY_OK;
}

static znippy_status put_chosen(const znippy_reader *reader, const struct style *style, const struct choice *choice,
                                znippy_error **error) {
    if (choice->count == 0) {
        return put_range(reader, 0, znippy_reader_entry_count(reader), style, choice, error);
    }
    znippy_status status = ZNIPPY_OK;
    uint64_t first = 0, count = selections_next(choice->selections, choice->count, &first);
    while (status == ZNIPPY_OK && count > 0 && output_works()) {
        status = put_range(reader, first, count, style, choice, error);
        first += count;
        count = selections_next(choice->selections, choice->count, &first);
    }
    return status;
}

/* Everything that was asked for and isn't there is told. */
static int tell_missing(const struct choice *choice) {
    int code = CODE_OK;
    for (int i = 0; i < choice->count && output_works(); i++) {
        const struct selection *selection = &choice->selections[i];
        if (!selection->found) {
            code = complain(CODE_FAILED, selection->word, "no such entry, and no name matches it",
                            "'znippy list ARCHIVE' shows them all");
        }
    }
    return code;
}

static int list_chosen(const znippy_reader *reader, const struct request *request, const struct style *style) {
    znippy_error *error = NULL;
    struct choice choice = {NULL, request->operand_count - 1};
    if (choice.count > 0) {
        choice.selections = calloc((size_t)choice.count, sizeof *choice.selections);
        if (!choice.selections) {
            return complain(CODE_FAILED, request->operands[0], "out of memory", "name fewer entries");
        }
    }
    znippy_status status =
        selections_find(reader, request->operands + 1, choice.count, choice.selections, &error);
    if (status == ZNIPPY_OK) {
        status = put_chosen(reader, style, &choice, &error);
    }
    int code = status == ZNIPPY_OK ? tell_missing(&choice) : complain_of(status, error, request->operands[0]);
    free(choice.selections);
    return code;
}

int run_list(const struct request *request) {
    bool null_ended = request_has(request, FLAG_NULL);
    struct style style = {.json = request_has(request, FLAG_JSON),
                          .details = request_has(request, FLAG_LONG),
                          .escape = !null_ended && isatty(STDOUT_FILENO),
                          .end = null_ended ? '\0' : '\n'};
    int code = CODE_OK;
    znippy_reader *reader = open_archive(request, &code);
    if (reader) {
        code = list_chosen(reader, request, &style);
        znippy_reader_free(reader);
    }
    return code;
}
