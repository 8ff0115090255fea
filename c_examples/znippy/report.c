/* The counts of a finished job, as lines or as one JSON object. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

#define FIELD(name) {#name, offsetof(znippy_stats, name)}

static const struct {
    const char *name;
    size_t offset;
} COUNTS[] = {
    FIELD(entries),         FIELD(files),           FIELD(files_stored),        FIELD(files_compressed),
    FIELD(directories),     FIELD(symlinks),        FIELD(hardlinks),           FIELD(specials),
    FIELD(slices),          FIELD(blocks),          FIELD(duplicate_files),     FIELD(duplicate_bytes),
    FIELD(skipped),         FIELD(failed),          FIELD(bytes_in),            FIELD(bytes_out),
    FIELD(bytes_stored),    FIELD(bytes_compressed_in), FIELD(bytes_compressed_out), FIELD(bytes_holes),
    FIELD(bytes_index),     FIELD(kept),            FIELD(pruned),              FIELD(created),
    FIELD(replaced),
    FIELD(unverified),
};

enum { COUNT = sizeof COUNTS / sizeof COUNTS[0] };

static uint64_t count_at(const znippy_stats *stats, size_t offset) {
    uint64_t value;
    memcpy(&value, (const char *)stats + offset, sizeof value);
    return value;
}

static void put_lines(FILE *out, const znippy_stats *stats) {
    for (size_t i = 0; i < COUNT; i++) {
        fprintf(out, "%-22s%" PRIu64 "\n", COUNTS[i].name, count_at(stats, COUNTS[i].offset));
    }
    fprintf(out, "%-22s%.3f\n%-22s%.3f\n", "ratio", stats->ratio, "seconds", stats->seconds);
}

void report_fields(struct json *json, const znippy_stats *stats) {
    for (size_t i = 0; i < COUNT; i++) {
        json_u64(json, COUNTS[i].name, count_at(stats, COUNTS[i].offset));
    }
    json_real(json, "ratio", stats->ratio);
    json_real(json, "seconds", stats->seconds);
}

static void put_json(FILE *out, const znippy_stats *stats) {
    struct json json;
    json_open(&json, out);
    report_fields(&json, stats);
    json_close(&json);
}

void report_print(FILE *out, const znippy_stats *stats, bool json) {
    if (json) {
        put_json(out, stats);
    } else {
        put_lines(out, stats);
    }
}
