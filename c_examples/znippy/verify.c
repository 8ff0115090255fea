/* verify: every byte of an archive; as JSON also what was checked, and how. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

/* What is checked in which way. `decodes` marks what --quick leaves out. */
static const struct {
    const char *what, *how;
    bool decodes;
} CHECKS[] = {
    {"head", "constant bytes", false},
    {"padding", "zeros", false},
    {"manifest", "BLAKE3 in the trailer; stream, ranges, bounds", false},
    {"sections", "BLAKE3 in the manifest", false},
    {"segments", "BLAKE3 in the manifest; stream, each row", false},
    {"structure", "order and uniqueness of paths, parents, slices, hard links, extended attributes", false},
    {"blob_table", "BLAKE3 in the manifest; tiles the payload, agrees with the rows", false},
    {"blobs", "BLAKE3 in the blob table", false},
    {"slices", "decoded, BLAKE3 in the index", true},
    {"files", "decoded, BLAKE3 of the whole in the index", true},
};

enum { CHECK_COUNT = sizeof CHECKS / sizeof CHECKS[0] };

static void put_checks(struct json *json, bool quick) {
    struct json checks = {.out = json->out, .began = false};
    json_key(json, "checks");
    putc('{', json->out);
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        const char *how = quick && CHECKS[i].decodes ? "not checked" : CHECKS[i].how;
        json_text(&checks, CHECKS[i].what, how, strlen(how));
    }
    putc('}', json->out);
}

static void put_failure(struct json *json, znippy_status status, const znippy_error *error) {
    const char *name = znippy_status_name(status), *message = znippy_error_message(error);
    const char *rule = znippy_error_rule(error);
    size_t len = 0;
    const char *path = znippy_error_path(error, &len);
    json_text(json, "status", name, strlen(name));
    json_text(json, "message", message, strlen(message));
    if (path) {
        json_text(json, "path", path, len);
    }
    if (rule) {
        json_text(json, "rule", rule, strlen(rule));
    }
}

void verify_report(const struct request *request, const znippy_archive_info *info, const znippy_stats *stats,
                   znippy_status status, const znippy_error *error) {
    const char *archive = request->operands[0];
    bool quick = request_has(request, FLAG_QUICK);
    struct json json;
    json_open(&json, stdout);
    json_text(&json, "archive", archive, strlen(archive));
    json_key(&json, "whole");
    fputs(status == ZNIPPY_OK ? "true" : "false", stdout);
    json_text(&json, "mode", quick ? "quick" : "full", quick ? 5 : 4);
    if (status != ZNIPPY_OK) {
        put_failure(&json, status, error);
    }
    put_checks(&json, quick);
    if (info->archive_size > 0) {
        json_u64(&json, "archive_size", info->archive_size);
        json_u64(&json, "payload_size", info->payload_size);
        json_u64(&json, "segments", info->segments);
        json_u64(&json, "blobs", info->blobs);
        json_hex(&json, "archive_digest", info->archive_digest, sizeof info->archive_digest);
    }
    if (status == ZNIPPY_OK) {
        report_fields(&json, stats);
    }
    json_close(&json);
}
