/* salvage: a new archive of all that is whole of a damaged one. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

#define FIELD(name) {#name, offsetof(znippy_salvage_report, name)}

static const struct {
    const char *name;
    size_t offset;
} COUNTS[] = {
    FIELD(entries_kept), FIELD(entries_lost),  FIELD(blocks_nameless), FIELD(blocks_unchecked), FIELD(bytes_kept),
    FIELD(bytes_lost),   FIELD(blobs),         FIELD(blobs_damaged),   FIELD(segments),         FIELD(segments_lost),
    FIELD(records),      FIELD(xattrs_lost),   FIELD(bytes_in),        FIELD(bytes_out),
};

enum { COUNT = sizeof COUNTS / sizeof COUNTS[0] };

static const char *index_name(uint32_t index) {
    switch (index) {
    case ZNIPPY_SALVAGE_INDEX_LOST: return "lost";
    case ZNIPPY_SALVAGE_INDEX_WHOLE: return "whole";
    case ZNIPPY_SALVAGE_INDEX_RECOVERED: return "recovered";
    case ZNIPPY_SALVAGE_INDEX_PARTIAL: return "partial";
    default: return "unknown";
    }
}

static uint64_t count_at(const znippy_salvage_report *report, size_t offset) {
    uint64_t value;
    memcpy(&value, (const char *)report + offset, sizeof value);
    return value;
}

static void put_json(const znippy_salvage_report *report) {
    const char *index = index_name(report->index);
    struct json json;
    json_open(&json, stdout);
    json_text(&json, "index", index, strlen(index));
    for (size_t i = 0; i < COUNT; i++) {
        json_u64(&json, COUNTS[i].name, count_at(report, COUNTS[i].offset));
    }
    json_real(&json, "seconds", report->seconds);
    json_close(&json);
}

static void put_lines(const znippy_salvage_report *report) {
    printf("%-22s%s\n", "index", index_name(report->index));
    for (size_t i = 0; i < COUNT; i++) {
        printf("%-22s%" PRIu64 "\n", COUNTS[i].name, count_at(report, COUNTS[i].offset));
    }
    printf("%-22s%.3f\n", "seconds", report->seconds);
}

static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    FILE *out = level > ZNIPPY_LOG_WARNING ? stdout : stderr;
    progress_clear(user_data);
    if (out == stderr) {
        fputs("znippy: ", stderr);
    }
    put_escaped(out, message, len);
    putc('\n', out);
}

int run_salvage(const struct request *request) {
    const char *damaged = request->operands[0], *archive = request->operands[1];
    znippy_salvage_report report = {.struct_size = sizeof report};
    znippy_error *error = NULL;
    struct progress_bar bar;
    progress_attach(&bar, request->options, request_has(request, FLAG_QUIET));
    int32_t level = request_has(request, FLAG_VERBOSE) ? ZNIPPY_LOG_INFO : ZNIPPY_LOG_WARNING;
    znippy_options_set_log(request->options, level, on_log, &bar, NULL);
    znippy_status status = znippy_salvage(damaged, archive, request->options, &report, &error);
    progress_clear(&bar);
    if (status != ZNIPPY_OK && status != ZNIPPY_E_PARTIAL) {
        return complain_of(status, error, damaged);
    }
    if (request_has(request, FLAG_JSON)) {
        put_json(&report);
    } else if (!request_has(request, FLAG_QUIET)) {
        put_lines(&report);
    }
    znippy_error_free(error);
    if (status == ZNIPPY_E_PARTIAL) {
        return complain(CODE_PARTIAL, damaged, "salvaged in part", "what is lost is named above, as far as it has names");
    }
    return CODE_OK;
}
