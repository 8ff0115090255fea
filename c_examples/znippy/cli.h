/*
 * znippy, the command-line tool: what its files share.
 *
 *   main.c      the commands, and which flags each of them takes
 *   args.c      the command line -> a request
 *   policy.c    what pack records of times, modes and owners
 *   help.c      texts for people who ask
 *   jobs.c      pack, unpack, verify;  build.c  append, compact, merge
 *   list.c      list;  select.c  which entries of an archive are meant
 *   cat.c       cat, and unpack --to-stdout
 *   diff.c      diff
 *   info.c      info
 *   convert.c   convert;  converter.c  the program it runs in;  foreign/  tar and zip for it
 *   progress.c  the bar on a terminal
 *   report.c    the counts of a finished job
 *   output.c    standard output, and errors as one line each
 *   signals.c   Ctrl-C
 *   text.c      names, sizes and times as text;  json.c  JSON
 *
 * The tool uses the public header of the library, libc and POSIX, and nothing else, save for what is in foreign/: that takes
 * libarchive and libzip, and is left out where they are not there.
 */
#ifndef ZNIPPY_CLI_H
#define ZNIPPY_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "znippy.h"

enum { CODE_OK = 0, CODE_FAILED = 1, CODE_USAGE = 2, CODE_PARTIAL = 3, CODE_DIFFERENT = 4, CODE_INTERRUPTED = 130 };

/* The numbers of options lie below this; some are not used. */
enum { OPTIONS_END = 256 };

/* ---- the command line ---- */

/* Flags of the command line, as bits. Macros, since an enum of C11 has no 64. */
#define FLAG_LEVEL (UINT64_C(1) << 0)
#define FLAG_PRESET (UINT64_C(1) << 1)
#define FLAG_THREADS (UINT64_C(1) << 2)
#define FLAG_NO_SKIP (UINT64_C(1) << 3)
#define FLAG_FORCE (UINT64_C(1) << 4)
#define FLAG_SET (UINT64_C(1) << 5)
#define FLAG_QUIET (UINT64_C(1) << 6)
#define FLAG_STATS (UINT64_C(1) << 7)
#define FLAG_JSON (UINT64_C(1) << 8)
#define FLAG_LONG (UINT64_C(1) << 9)
#define FLAG_NULL (UINT64_C(1) << 10)
#define FLAG_QUICK (UINT64_C(1) << 11)
#define FLAG_HELP (UINT64_C(1) << 12)
#define FLAG_INCLUDE (UINT64_C(1) << 13)
#define FLAG_EXCLUDE (UINT64_C(1) << 14)
#define FLAG_PREFIX (UINT64_C(1) << 15)
#define FLAG_STRIP (UINT64_C(1) << 16)
#define FLAG_OVERWRITE (UINT64_C(1) << 17)
#define FLAG_UNCHANGED (UINT64_C(1) << 18)
#define FLAG_CHECKSUM (UINT64_C(1) << 19)
#define FLAG_PRUNE (UINT64_C(1) << 20)
#define FLAG_KEEP_GOING (UINT64_C(1) << 21)
#define FLAG_OFFSET (UINT64_C(1) << 22)
#define FLAG_LENGTH (UINT64_C(1) << 23)
#define FLAG_ATOMIC (UINT64_C(1) << 24)
#define FLAG_BASE (UINT64_C(1) << 44)
#define FLAG_BELOW (UINT64_C(1) << 45)
#define FLAG_LIMITS (UINT64_C(1) << 30)
#define FLAG_DRY_RUN (UINT64_C(1) << 31)
#define FLAG_VERBOSE (UINT64_C(1) << 32)
#define FLAG_TO_STDOUT (UINT64_C(1) << 33)
#define FLAG_MTIME (UINT64_C(1) << 34)
#define FLAG_CHOICE (UINT64_C(1) << 46) /* which files are packed, besides globs */
#define FLAG_WHEN (UINT64_C(1) << 47)
#define FLAG_MODES (UINT64_C(1) << 48)
#define FLAG_XATTRS (UINT64_C(1) << 49)
#define FLAG_RESTORE_XATTRS (UINT64_C(1) << 50)
#define FLAG_REPRODUCIBLE (UINT64_C(1) << 51)
#define FLAG_RECOVERY (UINT64_C(1) << 56)
#define FLAG_PROFILE (UINT64_C(1) << 52)
#define FLAG_REPLACE (UINT64_C(1) << 57)
#define FLAG_INDEX_LIMIT (UINT64_C(1) << 58)

/* A flag of the command line. Where `option` is set, the flag sets that option of the library, and its help
 * and bounds come from the library. */
struct flag {
    uint64_t id;
    char letter; /* or 0 */
    const char *name;
    const char *value; /* what to call the value, or NULL for flags without one */
    const char *option;
    const char *help;
};

struct request;

struct command {
    const char *name;
    const char *operands; /* with "..." at the end, more may follow */
    int operand_count;    /* at least */
    uint64_t flags;
    const char *summary;
    int (*run)(const struct request *request);
};

/* What the command line asks for. */
struct request {
    const struct command *command;
    char **operands;         /* words of the command line */
    int operand_count;
    uint64_t flags;          /* those that were given */
    uint64_t offset, length; /* --offset, --length */
    const char *base;        /* --base, or NULL */
    const char *below;       /* --prefix of append, or NULL */
    znippy_options *options; /* owned; carries the cancel token */
    bool chosen[OPTIONS_END]; /* the options of the library that were given, by number */
};

extern const struct command COMMANDS[]; /* ends with a row without a name */
extern const struct flag FLAGS[];       /* ends with a row without an id */

const struct command *command_find(const char *name);
bool request_has(const struct request *request, uint64_t flag);

/* Reads the words after the command's name. A mistake is told on standard error, and false comes back. */
bool request_parse(struct request *request, int count, char **words);
void request_free(struct request *request);

/* --mtime: seconds since the epoch, or a time like 2026-01-01T00:00:00Z. False where it is neither, or out of bounds. */
bool policy_set_time(struct request *request, const char *text);

/* Settles what is recorded, once all flags are known. A mistake is told on standard error, and false comes back. */
bool policy_settle(struct request *request);

/* ---- the commands ---- */

int run_pack(const struct request *request);
int run_append(const struct request *request);
int run_compact(const struct request *request);
int run_merge(const struct request *request);
int run_unpack(const struct request *request);
int run_verify(const struct request *request);
int run_salvage(const struct request *request);
int run_list(const struct request *request);
int run_cat(const struct request *request);
int run_to_stdout(const struct request *request);
int run_diff(const struct request *request);
int run_convert(const struct request *request);
int run_info(const struct request *request);

/* Help on everything, on a command, or on "options"; a usage error for other topics. */
int help_print(const char *topic);
int version_print(void);

/* Goes on as the program that converts, with the same words; comes back where the tool has none, or it can't be run. */
void converter_become(char **words);

/* The job of convert: reads the first operand, writes the second, and prints the tree digest. */
znippy_status convert_archive(const struct request *request, znippy_stats *stats, znippy_error **error);

/* Jobs that add to an archive, or make one of others. */
znippy_status append(const struct request *request, znippy_stats *stats, znippy_error **error);
znippy_status compact(const struct request *request, znippy_stats *stats, znippy_error **error);
znippy_status merge(const struct request *request, znippy_stats *stats, znippy_error **error);

/* A job's own words for its failure, which are told in place of the library's. Returns `status`. */
znippy_status job_fail(znippy_status status, const char *subject, const char *what);

/* Tells something on standard error while the job goes on. */
void job_note(const char *subject, const char *what);

/* Standard output, for an archive; a job whose output breaks says so. */
znippy_sink job_sink(void);

/* ---- which entries are meant ---- */

/* A word of the command line that names entries. */
struct selection {
    const char *word;
    bool glob;           /* only those entries of the range that match it */
    bool found;
    uint64_t itself;     /* the entry of that name, or UINT64_MAX */
    uint64_t first, end; /* what lies below the directory */
};

/* Looks the words up: a name stands for its entry and what lies below it, anything else for a glob. */
znippy_status selections_find(const znippy_reader *reader, char **words, int count, struct selection *selections,
                              znippy_error **error);

/* Whether one of them means the entry; those that do are marked as found. */
bool selections_mean(struct selection *selections, int count, const znippy_entry_info *entry);

/* The first entry from `from` on that may be meant, and how many in a row are; 0 where there is nothing more. */
uint64_t selections_next(const struct selection *selections, int count, uint64_t *from);

/* ---- results and errors ---- */

/* One line on standard error: "znippy: SUBJECT: what; advice". `advice` may be NULL. Returns `code`. */
int complain(int code, const char *subject, const char *what, const char *advice);

/* The same from a failed call of the library; frees the error. `subject` is named where the error names no path. */
int complain_of(znippy_status status, znippy_error *error, const char *subject);

/* Opens the archive that is the request's first operand; an error is told, and NULL comes back with *code. */
znippy_reader *open_archive(const struct request *request, int *code);

/* Whether standard output took everything so far; once it did not, there is no point in going on. */
bool output_works(void);

/* Flushes standard output and turns `code` into a failure where it could not be written. */
int output_finish(int code);

/* A sink that writes to standard output; `*cause` becomes the error number of what stopped it. */
znippy_sink output_sink(int *cause);

/* Keeps the first three descriptors from being given to an archive. */
bool output_prepare(void);

/* The counts of a job, on `out`. */
void report_print(FILE *out, const znippy_stats *stats, bool json);

/* What a verification checked and how, and what came of it, as JSON on standard output. */
void verify_report(const struct request *request, const znippy_archive_info *info, const znippy_stats *stats,
                   znippy_status status, const znippy_error *error);

/* ---- signals ---- */

/* What is written beyond the process's limit on the size of files is an error, and no signal that kills. */
void signals_prepare(void);

/* From here on SIGINT, SIGTERM and SIGHUP trigger the token; a second one kills. */
void signals_trigger(const znippy_cancel *cancel);
bool signals_caught(void);

/* ---- progress ---- */

struct progress_bar {
    bool active;
    uint32_t phase;
    double drawn_at;     /* seconds of a monotonic clock */
    double measured_at;  /* when `rate` was last brought up to date */
    uint64_t measured_bytes;
    double rate;         /* bytes a second, smoothed */
};

/* Draws on standard error where that is a terminal and nobody asked for quiet. The bar must outlive the options. */
void progress_attach(struct progress_bar *bar, znippy_options *options, bool quiet);
void progress_clear(struct progress_bar *bar);

/* ---- text ---- */

enum { SIZE_TEXT = 32, TIME_TEXT = 48 };

/* Bytes of the UTF-8 sequence that starts here; 0 where there is none. */
size_t utf8_sequence(const char *text, size_t len);
bool utf8_valid(const char *text, size_t len);

/* Writes a name for people: control characters and bytes that are not UTF-8 escaped. */
void put_escaped(FILE *out, const char *text, size_t len);
void put_hex(FILE *out, const void *data, size_t len);

const char *size_text(uint64_t bytes, char text[SIZE_TEXT]);
const char *kind_name(uint32_t kind);
/* 2024-01-31T23:59:59Z, with nine more digits where `digits`. */
const char *time_text(int64_t ns, bool digits, char text[TIME_TEXT]);

/* One JSON object, on one line. */
struct json {
    FILE *out;
    bool began;
};

void json_open(struct json *json, FILE *out);
void json_key(struct json *json, const char *key);
/* Adds KEY, and where the bytes are not UTF-8 also KEY_bytes with their hexadecimal digits. */
void json_text(struct json *json, const char *key, const char *text, size_t len);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_real(struct json *json, const char *key, double value);
void json_hex(struct json *json, const char *key, const void *data, size_t len);
void json_close(struct json *json);

/* The counts of a job, into an object. */
void report_fields(struct json *json, const znippy_stats *stats);

#endif
