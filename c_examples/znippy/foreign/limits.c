/* How much an archive may turn into: the limits of unpacking, for convert. */
#include "foreign.h"

#include <inttypes.h>

/* What untrusted stands for, as in the library. */
static const uint64_t BYTES = UINT64_C(64) << 30, ENTRIES = 1000000, RATIO = 1000, DEPTH = 128;

static uint64_t limit(const struct request *request, int32_t option, uint64_t of_untrusted) {
    int64_t value = 0, untrusted = 0;
    znippy_options_get_i64(request->options, option, &value, NULL);
    znippy_options_get_i64(request->options, ZNIPPY_OPT_UNTRUSTED, &untrusted, NULL);
    if (value == 0) {
        return untrusted && !request->chosen[option] ? of_untrusted : UINT64_MAX;
    }
    return (uint64_t)value;
}

void limits_begin(struct limits *limits, const struct request *request, uint64_t archive_size) {
    uint64_t ratio = limit(request, ZNIPPY_OPT_MAX_RATIO, RATIO);
    *limits = (struct limits){
        .bytes = limit(request, ZNIPPY_OPT_MAX_BYTES, BYTES),
        .entries = limit(request, ZNIPPY_OPT_MAX_ENTRIES, ENTRIES),
        .depth = limit(request, ZNIPPY_OPT_MAX_DEPTH, DEPTH),
        .by_ratio = archive_size && ratio <= UINT64_MAX / archive_size ? ratio * archive_size : UINT64_MAX,
    };
}

static znippy_status refuse(const char *path, uint64_t limit, const char *of_what, const char *option) {
    char what[160];
    snprintf(what, sizeof what, "up to here the archive has more than %" PRIu64 " %s; raise --%s if you trust it", limit, of_what,
             option);
    return job_fail(ZNIPPY_E_LIMIT, path, what);
}

znippy_status limits_admit(struct limits *limits, const char *path, uint64_t size) {
    uint64_t depth = 1;
    for (const char *at = path; *at; at++) {
        depth += *at == '/';
    }
    if (depth > limits->depth) {
        char what[160];
        snprintf(what, sizeof what, "has %" PRIu64 " components, the limit is %" PRIu64 "; raise --max-depth if you trust it",
                 depth, limits->depth);
        return job_fail(ZNIPPY_E_LIMIT, path, what);
    }
    if (++limits->seen_entries > limits->entries) {
        return refuse(path, limits->entries, "entries", "max-entries");
    }
    limits->seen_bytes = size > UINT64_MAX - limits->seen_bytes ? UINT64_MAX : limits->seen_bytes + size;
    if (limits->seen_bytes > limits->bytes) {
        return refuse(path, limits->bytes, "bytes", "max-bytes");
    }
    if (limits->seen_bytes > limits->by_ratio) {
        return refuse(path, limits->by_ratio, "bytes", "max-ratio");
    }
    return ZNIPPY_OK;
}
