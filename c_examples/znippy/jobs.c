/* pack, unpack and verify: calls that work for a while and end with a report. */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A job: fills the report, and the error where it fails. */
typedef znippy_status (*job_fn)(const struct request *request, znippy_stats *stats, znippy_error **error);

/* One line for people at a terminal. */
static void closing_line(const struct request *request, const char *verb, const znippy_stats *stats) {
    char bytes[SIZE_TEXT], out[SIZE_TEXT];
    if (request_has(request, FLAG_QUIET) || !isatty(STDERR_FILENO)) {
        return;
    }
    fprintf(stderr, "%s %" PRIu64 " entries, %s", verb, stats->entries, size_text(stats->bytes_in, bytes));
    if (request->command->run == run_pack) {
        fprintf(stderr, ", to %s (ratio %.2f)", size_text(stats->bytes_out, out), stats->ratio);
    }
    fprintf(stderr, " in %.1f s\n", stats->seconds);
}

/* Entries that are missing although nobody asked for that. The library counts files over max-file-size together with
 * those that can't be read; only on-error lets it go on after the latter. */
static uint64_t missing(const struct request *request, const znippy_stats *stats) {
    bool packs = request->command->run == run_pack || request->command->run == run_append ||
                 request->command->run == run_convert;
    int64_t lenient = 0;
    znippy_options_get_i64(request->options, ZNIPPY_OPT_ON_ERROR, &lenient, NULL);
    return stats->failed + (packs && !lenient ? 0 : stats->skipped);
}

/* Entries were left out because the options allow it: that is a success to tell apart from a whole one. */
static int left_out(const znippy_stats *stats, const char *subject) {
    char what[96];
    snprintf(what, sizeof what, "done in part: %" PRIu64 " entries were left out", stats->skipped + stats->failed);
    return complain(CODE_PARTIAL, subject, what, "each is named above");
}

/* Names what was left out or failed while the job went on. */
static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    progress_clear(user_data);
    if (level > ZNIPPY_LOG_WARNING) { /* what --verbose asks for */
        put_escaped(stdout, message, len);
        putchar('\n');
        return;
    }
    fputs("znippy: ", stderr);
    put_escaped(stderr, message, len);
    fputc('\n', stderr);
}

/* The library keeps and tells the first failures, and counts all. */
static void tell_of_more(const znippy_error *error, const znippy_stats *stats) {
    uint64_t told = znippy_error_failure_count(error);
    if (stats->failed > told) {
        fprintf(stderr, "znippy: and %" PRIu64 " more entries were not restored\n", stats->failed - told);
    }
}

/* What a dry run found out. */
static void summary(const znippy_stats *stats) {
    char bytes[SIZE_TEXT];
    printf("would create %" PRIu64 ", replace %" PRIu64 ", delete %" PRIu64 ", keep %" PRIu64 "; %s to write\n",
           stats->created, stats->replaced, stats->pruned, stats->kept, size_text(stats->bytes_out, bytes));
}

/* The error number of what stopped the archive on its way to standard output. */
static int stdout_cause;

static bool to_stdout(const struct request *request) {
    bool can = request->command->run == run_pack || request->command->run == run_convert;
    return can && strcmp(request->operands[1], "-") == 0;
}

znippy_sink job_sink(void) {
    return output_sink(&stdout_cause);
}

/* What the job that runs says of its failure, and the bar that it draws. */
static struct {
    char *subject, *what;
    struct progress_bar *bar;
} running;

znippy_status job_fail(znippy_status status, const char *subject, const char *what) {
    free(running.subject);
    free(running.what);
    running.subject = strdup(subject);
    running.what = strdup(what);
    return status;
}

void job_note(const char *subject, const char *what) {
    if (running.bar) {
        progress_clear(running.bar);
    }
    complain(CODE_OK, subject, what, NULL);
}

/* Tells of the failure in the job's own words, where it has some, else in the library's. */
static int tell_failure(znippy_status status, znippy_error *error, const char *subject) {
    if (!running.what || !running.subject || status == ZNIPPY_E_CANCELLED) {
        return complain_of(status, error, subject);
    }
    znippy_error_free(error);
    return complain(CODE_FAILED, running.subject, running.what, NULL);
}

static int broken_output(znippy_error *error) {
    znippy_error_free(error);
    return complain(CODE_FAILED, "standard output", strerror(stdout_cause), "what it got is not a whole archive");
}

static znippy_status verify(const struct request *request, znippy_stats *stats, znippy_error **error);

static int run_job(const struct request *request, job_fn job, const char *verb) {
    znippy_stats stats;
    znippy_error *error = NULL;
    struct progress_bar bar;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    progress_attach(&bar, request->options, request_has(request, FLAG_QUIET));
    running.bar = &bar;
    int32_t level = request_has(request, FLAG_VERBOSE) ? ZNIPPY_LOG_INFO : ZNIPPY_LOG_WARNING;
    znippy_options_set_log(request->options, level, on_log, &bar, NULL);
    znippy_status status = job(request, &stats, &error);
    progress_clear(&bar);
    if (status != ZNIPPY_OK && status != ZNIPPY_E_PARTIAL) {
        return stdout_cause ? broken_output(error) : tell_failure(status, error, request->operands[0]);
    }
    bool reported = job == verify && request_has(request, FLAG_JSON);
    if (!reported && request_has(request, FLAG_STATS | FLAG_JSON)) {
        report_print(to_stdout(request) ? stderr : stdout, &stats, request_has(request, FLAG_JSON));
    }
    if (request_has(request, FLAG_DRY_RUN) && !request_has(request, FLAG_QUIET | FLAG_STATS | FLAG_JSON)) {
        summary(&stats);
    }
    if (status == ZNIPPY_E_PARTIAL) {
        tell_of_more(error, &stats);
        znippy_error_free(error);
    }
    if (missing(request, &stats) > 0) {
        return left_out(&stats, request->operands[0]);
    }
    if (stats.unverified > 0) {
        char what[96];
        snprintf(what, sizeof what, "done in part: %" PRIu64 " entries could not be verified", stats.unverified);
        return complain(CODE_PARTIAL, request->operands[0], what, "the archive records no checksum of their bytes");
    }
    closing_line(request, verb, &stats);
    return CODE_OK;
}

/* Gives the options the archive of --base, where there is one. */
static znippy_status set_base(const struct request *request, znippy_error **error) {
    znippy_reader *base = NULL;
    if (!request->base) {
        return ZNIPPY_OK;
    }
    znippy_status status = znippy_reader_open(request->base, NULL, &base, error);
    if (status == ZNIPPY_OK) {
        status = znippy_options_set_base(request->options, base, error);
    }
    znippy_reader_free(base); /* the options have a reference of their own */
    return status;
}

static znippy_status pack_to_stdout(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_sink sink = job_sink();
    znippy_writer *writer = NULL;
    znippy_status status = znippy_writer_create_sink(&sink, request->options, &writer, error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_add_tree(writer, request->operands[0], NULL, 0, error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
    }
    znippy_writer_free(writer);
    return status;
}

static znippy_status pack(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_status status = set_base(request, error);
    if (status != ZNIPPY_OK) {
        return status;
    }
    if (to_stdout(request)) {
        return pack_to_stdout(request, stats, error);
    }
    return znippy_compress_dir(request->operands[0], request->operands[1], request->options, stats, error);
}

static znippy_status unpack(const struct request *request, znippy_stats *stats, znippy_error **error) {
    return znippy_extract_archive(request->operands[0], request->operands[1], request->options, stats, error);
}

/* With --json, what was checked is told here, whatever came of it. */
static znippy_status verify(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_reader *reader = NULL;
    znippy_archive_info info = {.struct_size = sizeof info};
    znippy_status status = znippy_reader_open(request->operands[0], request->options, &reader, error);
    if (status == ZNIPPY_OK) {
        status = znippy_reader_info(reader, &info, error);
    }
    if (status == ZNIPPY_OK && request_has(request, FLAG_QUICK)) {
        status = znippy_reader_verify_quick(reader, request->options, stats, error);
    } else if (status == ZNIPPY_OK) {
        status = znippy_reader_verify(reader, request->options, stats, error);
    }
    if (request_has(request, FLAG_JSON)) {
        verify_report(request, &info, stats, status, *error);
    }
    znippy_reader_free(reader);
    return status;
}

int run_pack(const struct request *request) {
    if (to_stdout(request) && isatty(STDOUT_FILENO)) {
        return complain(CODE_USAGE, "standard output", "is a terminal", "send the archive to a file or a pipe");
    }
    return run_job(request, pack, "packed");
}

int run_append(const struct request *request) {
    return run_job(request, append, "now has");
}

int run_compact(const struct request *request) {
    return run_job(request, compact, "kept");
}

int run_merge(const struct request *request) {
    return run_job(request, merge, "merged");
}

int run_unpack(const struct request *request) {
    if (!request_has(request, FLAG_TO_STDOUT)) {
        return run_job(request, unpack, request_has(request, FLAG_DRY_RUN) ? "would unpack" : "unpacked");
    }
    if (request->flags & (FLAG_INCLUDE | FLAG_EXCLUDE | FLAG_PREFIX | FLAG_STRIP | FLAG_DRY_RUN)) {
        return complain(CODE_USAGE, "--to-stdout", "it takes names and globs after the archive, and no filters",
                        "see 'znippy help unpack'");
    }
    return run_to_stdout(request);
}

/* A tar archive, as whoever calls it so expects, is written to standard output alone. */
static bool names_tar(const char *name) {
    static const char *const ENDS[] = {".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".zip"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        size_t end = strlen(ENDS[i]);
        if (len > end && strcmp(name + len - end, ENDS[i]) == 0) {
            return true;
        }
    }
    return false;
}

int run_convert(const struct request *request) {
    if (names_tar(request->operands[1])) {
        return complain(CODE_USAGE, request->operands[1], "only archives of znippy are written to files",
                        "write tar to standard output: znippy convert ARCHIVE - > NEW.tar");
    }
    if (to_stdout(request) && isatty(STDOUT_FILENO)) {
        return complain(CODE_USAGE, "standard output", "is a terminal", "send the archive to a file or a pipe");
    }
    return run_job(request, convert_archive, "converted");
}

int run_verify(const struct request *request) {
    return run_job(request, verify, "verified");
}
